//! Values of a rule as TOML, exactly: what is written here is read back as the same value.

use crate::engine::moment::{DAY, HOUR, MINUTE, SECOND};
use crate::engine::plan::{Argument, Globs, Part};

/// A text in the quotes that suit it.
pub fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A list of texts.
pub fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| text(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// Globs; one alone without brackets.
pub fn globs(globs: &Globs) -> String {
    match &globs.0[..] {
        [one] => text(one),
        many => list(many),
    }
}

/// A duration in whole units, `1d 2h`; below a millisecond as a part of one.
pub fn duration(ns: i64) -> String {
    const UNITS: [(i64, &str); 5] =
        [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1_000_000, "ms")];
    let (mut rest, mut parts) = (ns.max(0), Vec::new());
    for (unit, name) in UNITS {
        if rest >= unit {
            parts.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if rest > 0 {
        parts.push(format!("{}ms", rest as f64 / 1e6));
    }
    if parts.is_empty() { text("0s") } else { text(&parts.join(" ")) }
}

/// A share: as a percentage when that says it exactly.
pub fn ratio(share: f64) -> String {
    // A product has too many digits: 0.29 is 28.999999999999996 %.
    let percent = format!("{:.6}", share * 100.0);
    let percent = percent.trim_end_matches('0').trim_end_matches('.');
    match percent.parse::<f64>().is_ok_and(|p| p / 100.0 == share) {
        true => text(&format!("{percent}%")),
        false => format!("{share:?}"),
    }
}

/// The argv of an action.
pub fn argv(run: &[Argument]) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        Part::Label(label) => format!("{{{label}}}"),
    };
    list(run.iter().map(|argument| argument.0.iter().map(part).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn durations_are_read_back_to_the_nanosecond() {
        for (ns, written) in [
            (0, "\"0s\""),
            (90 * MINUTE, "\"1h 30m\""),
            (26 * HOUR + 5 * MINUTE + 250_000_000, "\"1d 2h 5m 250ms\""),
            (1_500_000, "\"1ms 0.5ms\""),
        ] {
            assert_eq!(duration(ns), written);
            assert_eq!(config::duration(written.trim_matches('"')), Ok(ns));
        }
    }

    #[test]
    fn shares_and_texts_stay_what_they_are() {
        assert_eq!(ratio(0.5), "\"50%\"");
        assert_eq!(ratio(0.29), "\"29%\"", "not 28.999999999999996%");
        assert_eq!(ratio(1.0 / 3.0), "0.3333333333333333");
        for odd in ["a \"b\" 'c'", "line\nline\n", "\\ \t \u{7f} \"\"\"", "", "'''"] {
            let document: toml::Table = format!("x = {}", text(odd)).parse().expect(odd);
            assert_eq!(document["x"].as_str(), Some(odd));
        }
        let braces = Argument(vec![Part::Text("a{b}".to_owned()), Part::Label("unit".to_owned())]);
        assert_eq!(argv(&[braces]), "[\"a{{b}}{unit}\"]");
    }
}
