//! Command lines of strangers as words. Nothing is run here.

/// A command as words: blanks separate, quotes keep together.
pub fn arguments(command: &str) -> Vec<String> {
    let (mut all, mut word, mut quote, mut is_open) = (Vec::new(), String::new(), None, false);
    for c in command.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => (quote, is_open) = (Some(c), true),
            (c, None) if c.is_whitespace() => {
                if is_open || !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            (c, _) => word.push(c),
        }
    }
    if is_open || !word.is_empty() {
        all.push(word);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        for (text, words) in [
            ("a  b", &["a", "b"][..]),
            ("a 'b c' \"d'e\"", &["a", "b c", "d'e"]),
            ("--x='1 2'", &["--x=1 2"]),
            ("a ''", &["a", ""]),
            ("", &[]),
            ("'open", &["open"]),
        ] {
            assert_eq!(arguments(text), words, "{text}");
        }
    }
}
