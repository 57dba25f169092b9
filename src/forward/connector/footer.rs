//! The last line of a description, by which a ticket is found again in products without a field for keys.
//!
//! ```text
//! sexton [sx-019a…] [sx-a-0123…-00aa…]
//! ```
//! The keys stand in brackets here and nowhere else in a description, so that a search for `[key]` does not
//! find tickets that only mention it. It survives HTML: no character of it is ever escaped.

/// What the line begins with.
const MARK: &str = "sexton [sx-";

/// The line for these keys; a problem has no alert key.
pub fn line(key: &str, alert_key: &str) -> String {
    match alert_key {
        "" => format!("sexton [{key}]"),
        alert_key => format!("sexton [{key}] [{alert_key}]"),
    }
}

/// A key as it is searched for.
pub fn needle(key: &str) -> String {
    format!("[{key}]")
}

/// The record key in a description; empty when there is none. The last line counts: what came before may be
/// quoted from anywhere.
pub fn key(text: &str) -> &str {
    bracketed(text, 0)
}

/// The alert key in a description; empty when there is none.
pub fn alert_key(text: &str) -> &str {
    bracketed(text, 1)
}

fn bracketed(text: &str, nth: usize) -> &str {
    let Some(at) = text.rfind(MARK) else { return "" };
    let mut rest = text[at..].strip_prefix("sexton ").unwrap_or_default();
    for _ in 0..nth {
        rest = rest.split_once(']').map_or("", |(_, rest)| rest.strip_prefix(' ').unwrap_or_default());
    }
    let inner = rest.strip_prefix('[').and_then(|r| r.split_once(']')).map_or("", |(inner, _)| inner);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if inner.starts_with("sx-") && inner.chars().all(fits) { inner } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_the_last_line_in_text_and_html() {
        for (text, wanted, alert) in [
            ("a\nsexton [sx-1-2] [sx-a-h-f]", "sx-1-2", "sx-a-h-f"),
            ("<p>a<br>sexton [sx-1-2]</p>", "sx-1-2", ""),
            ("sexton [sx-quoted] [sx-a-x]\nsexton [sx-own]", "sx-own", ""),
            ("Record INC1 sx-1\nPrevious sx-2", "", ""),
            ("sexton [sx-1", "", ""),
            ("sexton [sx-<b>]", "", ""),
            ("sexton [sx-1] and [sx-a-1]", "sx-1", ""),
            ("", "", ""),
        ] {
            assert_eq!((key(text), alert_key(text)), (wanted, alert), "{text}");
        }
        let line = line("sx-7", "sx-a-8");
        assert_eq!((key(&line), alert_key(&line)), ("sx-7", "sx-a-8"));
        assert!(line.contains(&needle("sx-7")) && line.contains(&needle("sx-a-8")));
    }
}
