//! Text to TOML table, with every syntax error of the file at once.
//!
//! The parser bounds the nesting of brackets by itself, but not the number of dots in a key, which nest as
//! well: they are counted first, with the parser's own lexer, so that no file can exhaust the stack.

use toml::Spanned;
use toml::de::DeTable;
use toml_parser::lexer::TokenKind;

use super::diagnose::{At, Finding, Report};
use super::suggest::names_a_secret;

/// Most dots in one dotted key.
const MOST_DOTS: usize = 16;
/// Most syntax errors taken from one file.
const MOST_ERRORS: usize = 200;

/// Parses a file; what could not be understood is reported and missing from the table.
pub fn parse<'t>(file: u32, text: &'t str, report: &mut Report) -> Spanned<DeTable<'t>> {
    if let Some(span) = has_many_dots(text).then(|| too_deep(text)).flatten() {
        let message = format!("a key with more than {MOST_DOTS} dots");
        report.add(Finding::syntax(At::new(file, span), message).help("no key here needs more than two"));
        return Spanned::new(0..0, DeTable::new());
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MOST_ERRORS) {
        let span = error.span().unwrap_or(0..0);
        let at = At::new(file, on_line(text, span));
        hide_secret(at, report);
        report.add(explain(at, error.message(), text));
    }
    table
}

/// A secret that is written wrong is not shown either.
fn hide_secret(at: At, report: &mut Report) {
    let Some(source) = report.sources.get(at.file as usize) else { return };
    let (_, line) = source.line(at.start as usize);
    let Some((key, _)) = source.text.get(line.clone()).and_then(|l| l.split_once('=')) else { return };
    if names_a_secret(key.trim()) {
        let value = At::new(at.file, line.start + key.len() + 1..line.end);
        report.secret(value);
    }
}

/// The parser's words, and what to do where experience knows better.
fn explain(at: At, message: &str, text: &str) -> Finding {
    let written = text.get(at.start as usize..at.end as usize).unwrap_or("");
    if message.contains("must be quoted") && written.trim().is_empty() {
        return Finding::syntax(at, "the value is missing").label("nothing follows");
    }
    if let Some(plain) = plain(written) {
        let message = "typographic quotes are no quotes";
        return Finding::syntax(at, message)
            .help(format!("write {plain}: an editor for text or code keeps them plain"));
    }
    if message.contains("must be quoted") && !written.contains(['\n', '"', '\'']) {
        let help =
            format!("text, durations and conditions stand in quotes: \"{}\"", super::walk::shorten(written));
        return Finding::syntax(at, message.to_owned()).help(help);
    }
    let before = text.get(..at.start as usize).unwrap_or("").trim_end_matches(' ');
    let is_inner = message.contains("unexpected key or value") && before.ends_with('"');
    let help = if message.contains("duplicate key") {
        "a key stands once in a table; a list of tables begins each one with [[…]] in double brackets"
    } else if is_inner {
        "the text ended at the quote before; text within text stands in single quotes: raise = \"unit.state == 'failed'\""
    } else if message.contains("unquoted key")
        && text.get(at.start as usize..).is_some_and(|t| t.starts_with(':'))
    {
        "this is TOML, not YAML: a line is key = value, and a table begins with [name] or [[name]]"
    } else if message.contains("key with no value") {
        "a line is key = value, and a table begins with [name] or [[name]]"
    } else if message.contains("must be quoted") || message.contains("unquoted") {
        "text, durations and conditions stand in quotes: for = \"10m\""
    } else if message.contains("invalid basic string") || message.contains("invalid literal string") {
        "a quote is not closed on this line; three quotes begin a text of several lines"
    } else if message.contains("recursion") {
        "brackets are nested deeper than anything here needs"
    } else {
        ""
    };
    let message = match message.strip_prefix("duplicate key") {
        Some(rest) if !written.is_empty() => {
            format!("duplicate key `{}`{rest}", super::walk::shorten(written))
        }
        _ => message.to_owned(),
    };
    let finding = Finding::syntax(at, message);
    if help.is_empty() { finding } else { finding.help(help) }
}

/// A text in typographic quotes, in plain ones.
fn plain(written: &str) -> Option<String> {
    const QUOTES: [char; 10] = ['“', '”', '„', '‟', '‘', '’', '‚', '‛', '«', '»'];
    let inner = written.strip_prefix(QUOTES)?;
    let inner = inner.strip_suffix(QUOTES).unwrap_or(inner);
    Some(format!("\"{}\"", super::walk::shorten(inner)))
}

/// A span that begins at a line end is moved before it, so that the line is shown where something is missing.
fn on_line(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = span.start.min(text.len());
    let at_end = text.as_bytes().get(start).is_none_or(|b| *b == b'\n' || *b == b'\r');
    match at_end && span.len() <= 2 {
        true => start..start,
        false => start..span.end.min(text.len()),
    }
}

/// A key stands on one line: where none has more dots than that, whatever they are, there is nothing to lex.
fn has_many_dots(text: &str) -> bool {
    let mut dots = 0;
    text.bytes().any(|byte| {
        match byte {
            b'\n' => dots = 0,
            b'.' => dots += 1,
            _ => {}
        }
        dots > MOST_DOTS
    })
}

fn too_deep(text: &str) -> Option<std::ops::Range<usize>> {
    let (mut dots, mut first) = (0, 0);
    for token in toml_parser::Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => {
                dots += 1;
                if dots > MOST_DOTS {
                    return Some(first..token.span().end());
                }
            }
            TokenKind::Atom | TokenKind::Whitespace => {}
            TokenKind::BasicString | TokenKind::LiteralString => {}
            _ => (dots, first) = (0, token.span().end()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::source::{Role, Source};
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let mut report = Report::new(vec![Source::new(Role::Main, "f", text)]);
        parse(0, text, &mut report);
        report
            .finish()
            .map_or_else(|all| all.items.iter().map(|d| d.message.clone()).collect(), |_| Vec::new())
    }

    #[test]
    fn all_syntax_errors_are_reported_at_once() {
        let said = errors("a = \nb = 10m\nc = 1\nc = 2\n[d]\ne = 'x");
        assert_eq!(said.len(), 4, "{said:?}");
    }

    #[test]
    fn depth_is_bounded_in_every_way_it_can_be_written() {
        let n = 200_000;
        for text in [
            format!("{}a = 1", "a.".repeat(n)),
            format!("[{}a]", "a . ".repeat(n)),
            format!("{}a = 1", "\"a\".".repeat(n)),
            format!("a = {}", "[".repeat(n)),
            format!("a = {}", "{a=".repeat(n)),
            format!("a = \"x\n{}a = 1", "a.".repeat(n)),
            format!("a = \"\"\"x\n\"\"\"\n{}a = 1", "a.".repeat(n)),
        ] {
            assert!(!errors(&text).is_empty(), "{}", &text[..20]);
        }
    }

    #[test]
    fn dots_in_text_and_lists_of_numbers_are_no_depth() {
        let numbers = vec!["1.5"; 100].join(", ");
        let text = format!("a = [{numbers}]\nb = \"{}\"\n# {}\n", ". ".repeat(100), ".".repeat(100));
        assert_eq!(errors(&text), Vec::<String>::new());
    }
}
