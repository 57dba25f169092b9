//! What to say when something does not fit: the nearest name, the unit that is missing, the function that was
//! meant.

use super::expr::{Expr, Node};
use super::{CondError, Lets};
use crate::engine::func::FUNCTIONS;
use crate::engine::signal::{Base, Class, SIGNALS, Type};

/// `` did you mean `fs.used`? `` for the nearest of `known`, when one is near enough.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    // A name is bounded by the source; comparing a very long one with everything would be slow and pointless.
    if name.len() > 64 {
        return None;
    }
    let allowed = (name.chars().count() / 3).max(1);
    let nearest = known.map(|k| (distance(name, k), k)).min()?;
    (nearest.0 <= allowed).then(|| format!("did you mean `{}`?", nearest.1))
}

/// Levenshtein's distance, an exchange of neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// A name that is neither a signal of the class or the host nor a `let`.
pub fn unknown_name(expr: &Expr, name: &str, class: Class, lets: &Lets) -> CondError {
    let error = |text: String| CondError::new(expr.span.clone(), text);
    if let Some(signal) = SIGNALS.iter().find(|s| s.name == name) {
        let text = format!("`{name}` is a signal of {}, this is about {}", signal.class.name(), class.name());
        return error(text).help(format!("write on = \"{}\" in the rule", signal.class.name()));
    }
    let spec = class.spec();
    if spec.identity.iter().chain(spec.other).any(|label| *label == name) {
        return error(format!("`{name}` is a label, not a signal"))
            .help(format!("choose instances by match = {{ {name} = [\"…\"] }}"));
    }
    if FUNCTIONS.iter().any(|f| f.name == name) {
        return error(format!("`{name}` is a function and needs its arguments"));
    }
    let unknown = error(format!("no signal or `let` is called `{name}`"));
    let seen = || SIGNALS.iter().filter(move |s| s.class == class || s.class == Class::Host).map(|s| s.name);
    let known = |word: &str| seen().any(|k| k == word) || lets.iter().any(|(n, _)| n == word);
    if let Some((first, rest)) = name.split_once('-')
        && known(first)
    {
        return unknown
            .help(format!("`-` binds to a name: write `{first} - {rest}` with blanks to subtract"));
    }
    let near = did_you_mean(name, seen().chain(lets.iter().map(|(n, _)| n.as_str())));
    match near.or_else(|| did_you_mean(name, SIGNALS.iter().map(|s| s.name))) {
        Some(help) => unknown.help(help),
        None => {
            let list: Vec<_> = SIGNALS.iter().filter(|s| s.class == class).map(|s| s.name).take(12).collect();
            unknown.help(format!("signals of {} are {}", class.name(), list.join(" ")))
        }
    }
}

/// An expression that is no condition.
pub fn not_a_condition(expr: &Expr, ty: Type) -> CondError {
    let text = format!("a condition is true or false, `{}` is {}", shown(expr), with_article(ty));
    let error = CondError::new(expr.span.clone(), text);
    match ty.base {
        Base::Text => error.help(format!("compare it: {} == 'failed'", shown(expr))),
        _ => error.help(format!("compare it: {} > {}", shown(expr), example(ty))),
    }
}

/// Two operands whose types differ.
pub fn types_differ(what: &str, left: (&Expr, Type), right: (&Expr, Type), whole: &Expr) -> CondError {
    let text = format!("cannot {what} {} and {}", left.1, right.1);
    for ((literal, ty), (other, wanted)) in [(right, left), (left, right)] {
        if let Node::Number(value, _) = literal.node {
            let error =
                CondError::new(literal.span.clone(), format!("{text}: `{}` is {wanted}", shown(other)));
            return match in_unit(value, ty, wanted) {
                Some(better) => error.help(format!("write {better}")),
                None => match of_type(ty, wanted, &shown(other)) {
                    Some(help) => error.help(help),
                    None => error,
                },
            };
        }
    }
    let error = CondError::new(whole.span.clone(), text);
    if left.1.base == right.1.base && left.1.per_second != right.1.per_second {
        return error.help("one of them is per second: rate() or deriv() makes a quantity per second");
    }
    error
}

/// The signals beside this one that have the type of the literal.
fn of_type(ty: Type, wanted: Type, signal: &str) -> Option<String> {
    let (area, _) = signal.split_once('.').filter(|_| SIGNALS.iter().any(|s| s.name == signal))?;
    let beside = SIGNALS.iter().filter(|s| s.ty == ty && s.name.split('.').next() == Some(area));
    let names: Vec<_> = beside.map(|s| s.name).collect();
    let write = format!("write {} such as {}", with_article(wanted), example(wanted));
    Some(match names.is_empty() {
        true => write,
        false => format!("{write}, or compare {}: {}", with_article(ty), names.join(" or ")),
    })
}

/// How a literal of one type would be written as another.
fn in_unit(value: f64, ty: Type, wanted: Type) -> Option<String> {
    let number = format!("{value}");
    let per = if wanted.per_second { "/s" } else { "" };
    match (ty.base, wanted.base) {
        (a, b) if a == b && wanted.per_second => Some(format!("{}/s", super::expr::literal(value, ty))),
        (Base::Number, Base::Ratio) if value <= 1.0 && value.fract() != 0.0 => {
            Some(super::expr::literal(value, wanted))
        }
        (Base::Number, Base::Ratio) => Some(format!("{number}%{per}")),
        (Base::Number, Base::Bytes) => Some(format!("{number}B{per}, {number}MiB{per} or {number}GiB{per}")),
        (Base::Number, Base::Seconds) => Some(format!("{number}ms, {number}s or {number}m")),
        (Base::Number, Base::Bool) => Some("true or false".to_owned()),
        (Base::Ratio, Base::Number) => Some(format!("{}{per}", value * 100.0)),
        _ => None,
    }
}

/// A literal of that type, for a hint.
pub fn example(ty: Type) -> &'static str {
    match (ty.base, ty.per_second) {
        (Base::Ratio, false) => "90%",
        (Base::Ratio, true) => "1%/h",
        (Base::Bytes, false) => "100MiB",
        (Base::Bytes, true) => "4MiB/s",
        (Base::Seconds, _) => "30s",
        (_, true) => "6/m",
        (_, false) => "5",
    }
}

/// `a ratio`, `bytes`, `a number per second`.
pub fn with_article(ty: Type) -> String {
    let name = match ty.base {
        Base::Bool => "a bool",
        Base::Text => "a string",
        Base::Number => "a number",
        Base::Ratio => "a ratio",
        Base::Bytes => "bytes",
        Base::Seconds => "seconds",
    };
    if ty.per_second { format!("{name} per second") } else { name.to_owned() }
}

/// An expression in a message: short, however long it is.
pub fn shown(expr: &Expr) -> String {
    let text = expr.to_string();
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_near() {
        let known = || ["fs.used", "fs.avail", "cpu.busy"].into_iter();
        assert_eq!(did_you_mean("fs.usde", known()), Some("did you mean `fs.used`?".into()));
        assert_eq!(did_you_mean("weather", known()), None);
    }
}
