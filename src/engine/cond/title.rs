//! Titles: text with `{label}`, `{signal.name}` and `{let}` placeholders. `{{` and `}}` are braces.

use super::check::Checker;
use super::hint::did_you_mean;
use super::{CondError, Lets};
use crate::engine::signal::{Class, Metric, SIGNALS};

/// A title in pieces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Title(pub Vec<Piece>);

/// A piece of a title.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// A label of the instance.
    Label(String),
    /// The value of a signal.
    Signal(Metric),
    /// The value of the `let` at this index.
    Let(usize),
}

/// Checks the placeholders of a title.
///
/// # Errors
/// The first placeholder that stands for nothing, or a brace without its partner.
pub fn check_title(title: &str, class: Class, lets: &Lets) -> Result<(), CondError> {
    Title::parse(title, class, lets).map(drop)
}

impl Title {
    /// The pieces of a title.
    ///
    /// # Errors
    /// See [`check_title`].
    pub fn parse(title: &str, class: Class, lets: &Lets) -> Result<Self, CondError> {
        let (mut pieces, mut text, mut at) = (Vec::new(), String::new(), 0);
        while let Some(rest) = title.get(at..)
            && let Some(c) = rest.chars().next()
        {
            if rest.starts_with("{{") || rest.starts_with("}}") {
                text.push(c);
                at += 2;
            } else if c == '}' {
                return Err(CondError::new(at..at + 1, "`}` without `{`").help("write }} for a brace"));
            } else if c == '{' {
                let Some(end) = rest.find('}') else {
                    return Err(
                        CondError::new(at..title.len(), "`{` without `}`").help("write {{ for a brace")
                    );
                };
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                let error = |text: String| CondError::new(at..at + end + 1, text);
                pieces.push(placeholder(&rest[1..end], class, lets, &error)?);
                at += end + 1;
            } else {
                let end = rest.find(['{', '}']).unwrap_or(rest.len());
                text.push_str(&rest[..end]);
                at += end;
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self(pieces))
    }
}

fn placeholder(
    name: &str,
    class: Class,
    lets: &Lets,
    error: &dyn Fn(String) -> CondError,
) -> Result<Piece, CondError> {
    if let Some(index) = lets.iter().rposition(|(n, _)| n == name) {
        return Ok(Piece::Let(index));
    }
    let spec = class.spec();
    if spec.identity.iter().chain(spec.other).any(|label| *label == name) {
        return Ok(Piece::Label(name.to_owned()));
    }
    let visible = Checker::sees(class);
    if let Some(metric) = Metric::find(name).filter(|m| visible(m.spec().class)) {
        return Ok(Piece::Signal(metric));
    }
    let labels = spec.identity.iter().chain(spec.other).copied();
    let signals = SIGNALS.iter().filter(|s| visible(s.class)).map(|s| s.name);
    let known = labels.chain(signals).chain(lets.iter().map(|(n, _)| n.as_str()));
    let unknown = error(format!("`{{{name}}}` is no label, signal or `let` of a rule on {}", class.name()));
    Err(match did_you_mean(name, known) {
        Some(help) => unknown.help(help),
        None => unknown.help(match spec.identity.first() {
            Some(label) => format!(
                "placeholders are labels such as {{{label}}}, signals and `let` names; write {{{{ for a brace"
            ),
            None => "placeholders are signals and `let` names; write {{ for a brace".to_owned(),
        }),
    })
}
