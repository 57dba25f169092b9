//! Plain tables for terminals: columns as wide as they need to be, the last one takes the rest; and texts
//! that others have chosen, made harmless. Mount points, process names and what a ticket system answers come
//! from anybody, and a terminal obeys what it is sent.

use serde_json::Value;

/// What stands for a character that a terminal would obey.
const TAMED: char = '\u{fffd}';

/// A text without control characters, line ends excepted, and without those that turn the direction of what
/// follows.
pub fn tame(text: &str) -> String {
    let is_wild = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_wild(c) { TAMED } else { c }).collect()
}

/// An answer with all its texts tamed.
pub fn tamed(answer: &Value) -> Value {
    match answer {
        Value::String(text) => Value::String(tame(text)),
        Value::Array(all) => all.iter().map(tamed).collect(),
        Value::Object(all) => all.iter().map(|(key, value)| (tame(key), tamed(value))).collect(),
        other => other.clone(),
    }
}

/// Lays out rows under each other, two spaces between columns, indented by two. Cells are tamed, and of one
/// line each.
pub fn lay_out(rows: &[Vec<String>]) -> String {
    let cell = |text: &String| tame(text).replace('\n', " ");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            text.push(' ');
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 1 - cell.chars().count()));
        }
        text.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        let text = lay_out(&[row(&["P1", "INC000001", "größer"]), row(&["P22", "x", "y"])]);
        assert_eq!(text, "  P1   INC000001  größer\n  P22  x          y\n");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_not_sent() {
        let name = "/data\u{1b}]0;root\u{7}\u{1b}[8m\r\u{9b}2J\u{202e}x\ny";
        assert_eq!(tame(name), "/data�]0;root��[8m��2J�x\ny");
        assert_eq!(lay_out(&[vec![name.to_owned()]]), "  /data�]0;root��[8m��2J�x y\n");
        let answer = serde_json::json!({"instances": [{"instance": "a\u{1b}c", "n": 1}]});
        assert_eq!(tamed(&answer), serde_json::json!({"instances": [{"instance": "a�c", "n": 1}]}));
    }
}
