//! What may stand in a table: its keys, each with what may stand behind it and a line for people.
//!
//! The parser goes by the names, `sexton schema` by all of it. That both agree about the values too is proved
//! by a test that writes values of every kind behind every key.

use super::Range;

/// Words of a key.
pub type WordList = fn() -> Vec<&'static str>;

/// One key of a table.
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// One line for people, without a full stop.
    pub about: &'static str,
    /// What holds without it, as a person would write it; empty when that cannot be said in a word.
    pub default: &'static str,
    /// It must be written.
    pub must: bool,
}

impl Key {
    /// A key that may be left out.
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, about, default: "", must: false }
    }

    /// With what holds without it.
    pub const fn or(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// A key that must be written.
    pub const fn must(self) -> Self {
        Self { must: true, ..self }
    }
}

/// What may stand behind a key.
pub enum Kind {
    /// Any text.
    Text,
    /// Text of a form: a regular expression of what fits, unanchored.
    Form(&'static str),
    /// A condition or an expression.
    Condition,
    /// A date with a time, of TOML or as text.
    Moment,
    /// In nanoseconds.
    Duration(Range),
    /// `"128MiB"`.
    Size,
    /// `"50%"` or 0.5.
    Ratio,
    /// A whole number.
    Int(Range),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(WordList),
    /// Some of these words.
    Words(WordList),
    /// Texts, or one.
    List,
    /// Texts of a form, or one; at least one.
    ListOf(&'static str),
    /// A program and its arguments.
    Argv,
    /// Globs, or one.
    Globs,
    /// A secret by reference.
    Secret(&'static Keys),
    /// A table.
    Table(&'static Keys),
    /// A list of tables.
    Tables(&'static Keys),
    /// Tables by names of one's own.
    Named(&'static Keys),
    /// Rules by id, or tables of these keys.
    Relations(&'static Keys),
    /// A table whose keys are names of one's own, with texts.
    Labels,
    /// A table whose keys are names of one's own, with expressions.
    Lets,
    /// A table of globs by names of one's own.
    GlobsByLabel,
    /// A table of globs by the labels of the classes.
    GlobsByClassLabel,
    /// A table of globs by class.
    GlobsByClass,
    /// A table of samples by series.
    Series,
    /// `interval` and one key per collector.
    Collectors(&'static Keys),
    /// A list of tables of these keys and those of the kind of check.
    Checks(&'static Keys),
    /// A list of tables of these keys and those of the kind of destination.
    Destinations(&'static Keys),
}

/// The keys of a table.
pub struct Keys {
    /// What may stand in it.
    pub known: &'static [Key],
    /// Keys of the full language that this version does not carry.
    pub later: &'static [&'static str],
    /// What to do instead of a key of `later`.
    pub instead: &'static str,
    /// Names people try, and what to write instead.
    pub renamed: &'static [(&'static str, &'static str)],
}

impl Keys {
    /// Only known keys.
    pub const fn of(known: &'static [Key]) -> Self {
        Self { known, later: &[], instead: LATER, renamed: &[] }
    }

    /// The names of the known keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.known.iter().map(|key| key.name)
    }
}

/// What to do about a key that this version does not carry.
pub const LATER: &str = "take the key out; it is refused so that nobody relies on it";
