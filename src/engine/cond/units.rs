//! Values as a person reads them: `91.2 %`, `3.1 GiB`, `2d 3h`, `4 MiB/s`.

use crate::engine::moment;
use crate::engine::signal::{Base, Type};

/// A value of that type in words; unknown (NaN) is `unknown`, an infinite duration is `never`.
pub fn human(value: f64, ty: Type) -> String {
    if value.is_nan() {
        return "unknown".to_owned();
    }
    if value.is_infinite() {
        let endless = if ty == Type::of(Base::Seconds) { "never" } else { "unbounded" };
        return endless.to_owned();
    }
    let text = match ty.base {
        Base::Ratio => format!("{} %", decimals(value * 100.0, 1)),
        Base::Bytes => bytes(value),
        Base::Seconds => seconds(value),
        Base::Bool => (value != 0.0).to_string(),
        Base::Number | Base::Text => number(value),
    };
    if ty.per_second { text + "/s" } else { text }
}

/// At most `places` decimals, no trailing zeros.
fn decimals(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || size >= 1.0 => decimals(value, 2),
        size if size >= 0.001 => decimals(value, 4),
        _ => format!("{value:.2e}"),
    }
}

fn bytes(value: f64) -> String {
    let mut size = value;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        // What would round to 1024 is one of the next unit.
        if size.abs() < 1023.95 {
            return format!("{} {unit}", decimals(size, 1));
        }
        size /= 1024.0;
    }
    format!("{} PiB", decimals(size, 1))
}

fn seconds(value: f64) -> String {
    match value.abs() {
        0.0 => "0s".to_owned(),
        size if size < 0.001 => format!("{}us", decimals(value * 1e6, 1)),
        size if size < 1.0 => format!("{}ms", decimals(value * 1e3, 1)),
        size if size < 60.0 => format!("{}s", decimals(value, 1)),
        _ => moment::human((value * 1e9) as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        let (ratio, bytes) = (Type::of(Base::Ratio), Type::of(Base::Bytes));
        let (seconds, number) = (Type::of(Base::Seconds), Type::of(Base::Number));
        for (value, ty, text) in [
            (0.912, ratio, "91.2 %"),
            (0.85, ratio, "85 %"),
            (3.1 * 1_073_741_824.0, bytes, "3.1 GiB"),
            (512.0, bytes, "512 B"),
            (1_048_575.0, bytes, "1 MiB"),
            (4_194_304.0, Type::per_second(Base::Bytes), "4 MiB/s"),
            (0.812, seconds, "812ms"),
            (1.55, seconds, "1.6s"),
            (183_600.0, seconds, "2d 3h"),
            (f64::INFINITY, seconds, "never"),
            (f64::NAN, ratio, "unknown"),
            (3.0, number, "3"),
            (0.0123, number, "0.0123"),
            (-0.0, number, "0"),
        ] {
            assert_eq!(human(value, ty), text);
        }
    }
}
