//! `{placeholders}` of a title: labels of the class, signals, names of `let`.

use crate::config::diagnose::Finding;
use crate::config::suggest::nearest;
use crate::config::walk::{Text, shorten};
use crate::engine::signal::{Class, Metric, SIGNALS};

/// What is wrong with a title, for a rule of `class` with these `let` names.
pub fn check(title: &Text, class: Class, lets: &[String]) -> Vec<Finding> {
    let (placeholders, open) = split(&title.value);
    let mut wrong: Vec<_> =
        placeholders.into_iter().filter_map(|bytes| unknown(title, bytes, class, lets)).collect();
    if let Some(at) = open {
        wrong.push(
            Finding::error(title.part(at..at + 1), "`{` without `}` in a title")
                .help("a placeholder is a name in braces: {mount}"),
        );
    }
    wrong
}

/// Bytes of the names in braces, and where a brace stays open.
fn split(title: &str) -> (Vec<std::ops::Range<usize>>, Option<usize>) {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(open) = title[from..].find('{').map(|i| from + i) {
        match title[open..].find('}').map(|i| open + i) {
            Some(close) => {
                found.push(open + 1..close);
                from = close + 1;
            }
            None => return (found, Some(open)),
        }
    }
    (found, None)
}

fn unknown(title: &Text, bytes: std::ops::Range<usize>, class: Class, lets: &[String]) -> Option<Finding> {
    let name = &title.value[bytes.clone()];
    let labels = || class.spec().identity.iter().chain(class.spec().other).copied();
    let signals = || SIGNALS.iter().filter(|s| s.class == class || s.class == Class::Host).map(|s| s.name);
    let known = labels().any(|l| l == name)
        || lets.iter().any(|l| l == name)
        || Metric::find(name).is_some_and(|m| signals().any(|s| s == m.name()));
    if known {
        return None;
    }
    let message = format!("unknown placeholder `{{{}}}` in a title", shorten(name));
    let mut own: Vec<_> = labels().map(|l| format!("{{{l}}}")).collect();
    own.extend(lets.iter().map(|l| format!("{{{l}}}")));
    own.push("any signal of the rule, such as {cpu.busy}".to_owned());
    let finding =
        Finding::error(title.part(bytes), message).help(format!("placeholders here: {}", own.join(", ")));
    let near = nearest(name, labels().chain(lets.iter().map(String::as_str)).chain(signals()));
    Some(match near {
        Some(near) => finding.label(format!("did you mean `{{{near}}}`?")),
        None => finding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnose::At;

    #[test]
    fn names_in_braces_are_labels_signals_or_lets() {
        let at = At { file: 0, start: 0, end: 1 };
        for (title, wrong) in [
            ("{mount} is {fs.used} full, {left} left, load {load.avg1}", 0),
            ("no placeholder", 0),
            ("{mout} {net.rx}", 2),
            ("{mount", 1),
            ("{}", 1),
            ("é{é}", 1),
        ] {
            let text = Text { value: title.to_owned(), at, inner: Some(1) };
            assert_eq!(check(&text, Class::Fs, &["left".to_owned()]).len(), wrong, "{title}");
        }
    }
}
