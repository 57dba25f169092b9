//! Reads Rust text just well enough for the house rules: code without comments and literals, and paths into
//! the crate.
//!
//! No parser: it knows comments, strings, raw strings, characters and lifetimes, and nothing of grammar.
//! Every line stays where it was, so that a finding can name it.

/// A file's text taken apart: same lines and columns, but code without comments and literals, and comments
/// alone.
pub struct Source {
    pub code: String,
    pub comments: String,
    /// Characters of string and character literals in each line.
    pub literal: Vec<usize>,
    tests_from: usize,
}

impl Source {
    pub fn new(text: &str) -> Self {
        let (code, comments, literal) = take_apart(text);
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        let test_module =
            |w: &[&str]| w[0] == "#[cfg(test)]" && w[1].trim_start_matches("pub ").starts_with("mod ");
        let tests_from = lines.windows(2).position(test_module).map_or(usize::MAX, |n| n + 1);
        Self { code, comments, literal, tests_from }
    }

    pub fn is_test(&self, file: &str, line: usize) -> bool {
        file.ends_with("/tests.rs") || file.contains("/tests/") || line >= self.tests_from
    }

    /// Every path into this crate with its line: `crate::…`, and `super::…` seen from `module`.
    pub fn crate_paths(&self, module: &[String]) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        let bytes = self.code.as_bytes();
        for (at, _) in self.code.match_indices("::") {
            let start = self.code[..at].rfind(|c: char| !is_word(c)).map_or(0, |p| p + 1);
            let head = &self.code[start..at];
            if (head != "crate" && head != "super") || (start >= 2 && &bytes[start - 2..start] == b"::") {
                continue;
            }
            let line = self.code[..start].matches('\n').count() + 1;
            let mut supers = usize::from(head == "super");
            let mut rest = &self.code[at + 2..];
            while let Some(next) = rest.strip_prefix("super::") {
                (supers, rest) = (supers + 1, next);
            }
            // Inside an inline test module one `super` only leads to the file itself.
            supers -= usize::from(supers > 0 && line >= self.tests_from);
            let base = if head == "crate" { &[] } else { &module[..module.len().saturating_sub(supers)] };
            for tail in spread(rest) {
                found.push((line, base.iter().cloned().chain(tail).collect()));
            }
        }
        found
    }
}

/// The paths of one import: `a::{b, c::D}` gives `a::b` and `a::c::D`.
fn spread(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut from, mut paths) = (0_usize, 0, Vec::new());
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    paths.extend(spread(&group[from..i]));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    paths.extend(spread(&group[from..i]));
                    from = i + 1;
                }
                _ => {}
            }
        }
        return paths;
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    if end == 0 {
        return Vec::new();
    }
    let head = text[..end].to_owned();
    match text[end..].strip_prefix("::").map(spread) {
        Some(tails) if !tails.is_empty() => {
            tails.into_iter().map(|t| std::iter::once(head.clone()).chain(t).collect()).collect()
        }
        _ => vec![vec![head]],
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// True when `word` stands in `text` and does not go on as a longer name on either side.
pub fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && (!word.ends_with(is_word) || !after.is_some_and(is_word))
    })
}

/// `src/forward/connector/rt.rs` is `forward::connector::rt`.
pub fn module_path(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').filter(|p| *p != "lib").map(str::to_owned).collect()
}

/// Blanks what is not code, and what is not comment, keeping every line where it was; counts literals.
fn take_apart(text: &str) -> (String, String, Vec<usize>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments, mut literal) = (String::new(), String::new(), vec![0]);
    let mut i = 0;
    while i < chars.len() {
        let (length, comment) = literal_or_comment(&chars, i);
        for &c in &chars[i..i + length.max(1)] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            code.push(if length == 0 { c } else { blank });
            comments.push(if comment { c } else { blank });
            match literal.last_mut() {
                _ if c == '\n' => literal.push(0),
                Some(count) if length > 0 && !comment => *count += 1,
                _ => {}
            }
        }
        i += length.max(1);
    }
    (code, comments, literal)
}

/// Length of the comment or literal that begins at `i` (0: none), and whether it is a comment.
fn literal_or_comment(chars: &[char], i: usize) -> (usize, bool) {
    let rest = &chars[i..];
    let until = |from: usize, end: &[char]| {
        let found = rest[from.min(rest.len())..].windows(end.len()).position(|w| w == end);
        found.map_or(rest.len(), |p| from + p + end.len())
    };
    match rest {
        ['/', '/', ..] => (rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()), true),
        ['/', '*', ..] => (until(2, &['*', '/']), true),
        ['r', '"' | '#', ..] if i == 0 || !is_word(chars[i - 1]) || chars[i - 1] == 'b' => {
            let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
            let end: Vec<char> = std::iter::once('"').chain("#".repeat(hashes).chars()).collect();
            if rest.get(1 + hashes) == Some(&'"') { (until(2 + hashes, &end), false) } else { (0, false) }
        }
        ['"', ..] => {
            let mut n = 1;
            while n < rest.len() && rest[n] != '"' {
                n += if rest[n] == '\\' { 2 } else { 1 };
            }
            ((n + 1).min(rest.len()), false)
        }
        ['\'', '\\', _, ..] => (until(3, &['\'']), false),
        ['\'', _, '\'', ..] => (3, false),
        _ => (0, false),
    }
}
