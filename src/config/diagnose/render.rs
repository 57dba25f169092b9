//! A [`Diagnostic`] as text, drawn by rustc's own renderer.

use annotate_snippets::{AnnotationKind, Group, Level as Drawn, Origin, Renderer, Snippet};

use super::{Diagnostic, Excerpt, Level};

/// The message with its places underlined, without a final line end.
pub fn render(diagnostic: &Diagnostic, colour: bool) -> String {
    let level = match diagnostic.level {
        Level::Error => Drawn::ERROR,
        Level::Warning => Drawn::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let mut group = Group::with_title(match diagnostic.lint {
        Some(lint) => title.id(lint),
        None => title,
    });
    match (&diagnostic.at, &diagnostic.file) {
        (Some(at), _) => group = place(group, at, AnnotationKind::Primary),
        (None, Some(file)) => group = group.element(Origin::path(file.as_str())),
        (None, None) => {}
    }
    for also in &diagnostic.also {
        group = place(group, also, AnnotationKind::Context);
    }
    for help in &diagnostic.help {
        group = group.element(Drawn::HELP.message(help.as_str()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

fn place<'a>(group: Group<'a>, at: &'a Excerpt, kind: AnnotationKind) -> Group<'a> {
    let mut mark = kind.span(at.mark.clone());
    if !at.label.is_empty() {
        mark = mark.label(at.label.as_str());
    }
    let snippet = Snippet::source(at.text.as_str()).line_start(at.line).annotation(mark);
    if !at.is_cut() {
        return group.element(snippet.path(at.file.as_str()));
    }
    // The renderer would count columns from where the line was cut.
    let origin = Origin::path(at.file.as_str()).line(at.line).char_column(at.column);
    group.element(origin).element(snippet)
}
