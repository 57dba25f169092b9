//! Control files of Monit to words, and words to statements.
//!
//! The language is free of line ends and full of words that mean nothing; a statement begins with one of a
//! few keywords where the word before does not claim it (`then restart` is an action).

use super::super::draft::Place;
use super::super::input::{File, Refused};

/// Most words of a file.
const MOST: usize = 200_000;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Its text without quotes; unquoted ones in lower case.
    pub text: String,
    /// As written.
    pub raw: String,
    /// It stood in quotes.
    pub is_quoted: bool,
    /// From 1.
    pub line: usize,
}

/// A statement: its words, the keyword first.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// At least one.
    pub words: Vec<Word>,
}

impl Statement {
    /// The keyword.
    pub fn keyword(&self) -> &str {
        self.words.first().filter(|w| !w.is_quoted).map_or("", |w| &w.text)
    }

    /// The line it begins in.
    pub fn line(&self) -> usize {
        self.words.first().map_or(0, |w| w.line)
    }

    /// As written, on one line.
    pub fn text(&self) -> String {
        shown(&self.words)
    }
}

/// Words as written, on one line.
pub fn shown(words: &[Word]) -> String {
    let each = words.iter().map(|w| if w.is_quoted { format!("\"{}\"", w.raw) } else { w.raw.clone() });
    each.collect::<Vec<_>>().join(" ")
}

/// The statements of a file.
///
/// # Errors
/// A quote without its partner, or too much.
pub fn statements(file: &File) -> Result<Vec<Statement>, Refused> {
    let words = words(file)?;
    let mut all: Vec<Statement> = Vec::new();
    let mut inside = false;
    for (i, word) in words.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| words.get(i)).map_or("", |w| w.text.as_str());
        let is_first = before.is_empty() || words.get(i.wrapping_sub(1)).is_none_or(|w| w.line < word.line);
        let begins = !word.is_quoted
            && match word.text.as_str() {
                "check" | "set" | "include" => is_first,
                "if" => inside && before != "else",
                "start" | "stop" | "restart" | "alert" | "noalert" => {
                    inside && !["then", "else", "and", "noalert"].contains(&before) && is_first
                }
                "depends" | "depend" | "group" | "mode" | "onreboot" | "every" => {
                    inside && is_first && before != "repeat" && before != "not"
                }
                "not" => inside && is_first && words.get(i + 1).is_some_and(|w| w.text == "every"),
                _ => false,
            };
        if begins || all.is_empty() {
            inside = match word.text.as_str() {
                "check" => true,
                "set" | "include" => false,
                _ => inside,
            };
            all.push(Statement::default());
        }
        if let Some(last) = all.last_mut() {
            last.words.push(word.clone());
        }
    }
    Ok(all)
}

fn words(file: &File) -> Result<Vec<Word>, Refused> {
    let mut all = Vec::new();
    let mut chars = file.text.chars().peekable();
    let mut line = 1;
    let refuse = |line, why: String| Refused::at(Place { file: file.name.clone(), line }, why);
    while let Some(&c) = chars.peek() {
        match c {
            '\n' => {
                line += 1;
                chars.next();
            }
            c if c.is_whitespace() || "(),;{}[]".contains(c) => {
                chars.next();
            }
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '\'' => {
                chars.next();
                let (start, mut text, mut is_closed) = (line, String::new(), false);
                for inner in chars.by_ref() {
                    if inner == c {
                        is_closed = true;
                        break;
                    }
                    line += usize::from(inner == '\n');
                    text.push(inner);
                }
                if !is_closed {
                    return Err(refuse(start, "this text is not closed: a quote is missing".to_owned()));
                }
                all.push(Word { raw: text.clone(), text, is_quoted: true, line: start });
            }
            '<' | '>' | '=' | '!' => {
                let mut raw = String::new();
                while let Some(sign) = chars.next_if(|c| "<>=!".contains(*c)) {
                    raw.push(sign);
                }
                all.push(Word { text: raw.clone(), raw, is_quoted: false, line });
            }
            _ => {
                let mut raw = String::new();
                let is_end = |c: &char| c.is_whitespace() || "(),;{}[]<>=!\"'#".contains(*c);
                while let Some(c) = chars.next_if(|c| !is_end(c)) {
                    raw.push(c);
                }
                all.push(Word { text: raw.to_ascii_lowercase(), raw, is_quoted: false, line });
            }
        }
        if all.len() > MOST {
            return Err(refuse(line, format!("more than {MOST} words: this is no control file of Monit")));
        }
    }
    Ok(all)
}
