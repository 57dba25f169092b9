//! What getters give and say.

use toml::de::DeTable;

use super::super::source::{Role, Source};
use super::*;

/// Reads `x` from `text` with a getter and returns what it gave and what it said.
fn read<T>(text: &str, get: impl FnOnce(&Walk<'_>, &mut Report) -> Option<T>) -> (Option<T>, String) {
    let table = DeTable::parse(text).unwrap();
    let mut report = Report::new(vec![Source::new(Role::Main, "f", text)]);
    let got = get(&Walk::new(At::new(0, 0..1), "[t]", table.get_ref()), &mut report);
    let said = match report.finish() {
        Ok(_) => String::new(),
        Err(all) => all.items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    (got, said)
}

#[test]
fn a_place_in_a_string_is_exact_unless_it_has_escapes() {
    for (text, part) in [
        ("x = \"abcdef\"", 7..9),
        ("x = 'abcdef'", 7..9),
        ("x = \"\"\"\nabcdef\"\"\"", 10..12),
        ("x = \"ab\\u0063def\"", 4..17),
    ] {
        let (got, _) = read(text, |w, r| w.text("x", r));
        let at = got.unwrap().part(2..4);
        assert_eq!((at.start..at.end), part, "{text}");
    }
}

#[test]
fn wrong_types_say_what_to_write() {
    let (_, said) = read("x = 10", |w, r| w.duration("x", 0..=9, r));
    assert!(said.contains("x = \"10s\""), "{said}");
    let (_, said) = read("x = 'yes'", |w, r| w.flag("x", r));
    assert!(said.contains("write x = true"), "{said}");
    let (_, said) = read("x = 4", |w, r| w.int("x", 1..=3, r));
    assert!(said.contains("from 1 to 3"), "{said}");
    let (_, said) = read("x = 99999999999999999999", |w, r| w.int("x", 1..=3, r));
    assert!(said.contains("from 1 to 3"), "{said}");
    let (_, said) = read("x = 50", |w, r| w.ratio("x", r));
    assert!(said.contains("50%"), "{said}");
    let (_, said) = read("x = 'critcal'", |w, r| w.word("x", &[("critical", 1), ("info", 2)], r));
    assert!(said.contains("allowed: `critical` or `info`"), "{said}");
    let (_, said) = read("x = {}", |w, r| w.list("x", r));
    assert!(said.contains("list of texts"), "{said}");
}

#[test]
fn numbers_in_other_bases_and_with_underscores_are_read() {
    assert_eq!(read("x = 0x10", |w, r| w.int("x", 0..=99, r)).0.unwrap().value, 16);
    assert_eq!(read("x = 1_0", |w, r| w.int("x", 0..=99, r)).0.unwrap().value, 10);
}
