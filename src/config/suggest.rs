//! The nearest known name for a misspelt one.

/// Longest name that is compared; longer ones are no slip of the finger.
const LONGEST: usize = 64;

/// The known name that `name` most likely means, if any is near: at most one edit per three characters.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let folded = name.to_lowercase().replace('_', "-");
    if folded.is_empty() || folded.len() > LONGEST {
        return None;
    }
    let allowed = (folded.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|k| (distance(&folded, &k.to_lowercase().replace('_', "-")), k))
        .filter(|(d, k)| *d <= allowed && *d < k.chars().count())
        .min()
        .map(|(_, k)| k)
}

/// True when the value of a key of that name is probably a secret, also when the name is misspelt.
pub fn names_a_secret(name: &str) -> bool {
    let folded = name.to_lowercase();
    let parts = ["token", "secret", "passw", "credential", "authorization", "apikey", "api_key", "api-key"];
    parts.iter().any(|part| folded.contains(part))
        || nearest(name, ["token", "tokens", "secret", "password"]).is_some()
}

/// A list for a person: `a`, `b` or `c`.
pub fn one_of<'k>(known: impl IntoIterator<Item = &'k str>) -> String {
    let mut quoted: Vec<_> = known.into_iter().map(|k| format!("`{k}`")).collect();
    match quoted.pop() {
        None => "nothing".to_owned(),
        Some(last) if quoted.is_empty() => last,
        Some(last) => format!("{} or {last}", quoted.join(", ")),
    }
}

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`: optimal string alignment.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut before_last = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1; width];
        for (j, cb) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(ca != cb);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_strangers_do_not() {
        let known = ["raise", "clear", "severity", "for", "min_coverage"];
        for (written, meant) in [
            ("rasie", Some("raise")),
            ("Raise", Some("raise")),
            ("severty", Some("severity")),
            ("min-coverage", Some("min_coverage")),
            ("fro", Some("for")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
        assert_eq!(nearest(&"raise".repeat(40), known), None);
    }

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in ["token", "tokn", "api_token", "Password", "X-Api-Key", "Authorization", "pasword"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["url", "id", "kind", "method", "title", "for"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn lists_read_like_a_sentence() {
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of([]), "nothing");
    }
}
