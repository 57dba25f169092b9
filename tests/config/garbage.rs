//! Whatever stands in a file: an error or a configuration, never a panic, never an exhausted stack.

use proptest::prelude::*;

use super::{load, texts};

/// Pieces that real files are made of, to get past the lexer in every combination.
const PIECES: &[&str] = &[
    "[[rule]]",
    "[rule.let]",
    "[host]",
    "[collect]",
    "[[override]]",
    "[[check]]",
    "[[destination]]",
    "[defaults]",
    "id",
    "on",
    "match",
    "raise",
    "clear",
    "step",
    "set",
    "rule",
    "kind",
    "token",
    "map",
    "labels",
    "title",
    "for",
    "=",
    "=",
    "=",
    "\n",
    "\n",
    "\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    ".",
    "\"fs\"",
    "\"http\"",
    "\"rt\"",
    "\"a\"",
    "'{x'",
    "\"fs.used > 90%\"",
    "\"\"\"",
    "\"",
    "'",
    "5",
    "1.5",
    "-1",
    "true",
    "1979-05-27",
    "#",
    "é",
    "\u{0}",
    "\\u0000",
    "\"10s\"",
    "[[",
    "]]",
    "\u{feff}",
    "0x",
    "nan",
    "\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text(text in ".{0,400}") {
        let _ = texts(&[&text]);
    }

    #[test]
    fn random_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..80), gap in " ?") {
        if let Err(all) = texts(&["", &pieces.join(&gap)]) {
            // Messages can be drawn, wherever they point.
            all.items.iter().for_each(|d| drop(d.render(true)));
        }
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        if let Err(all) = load(file.path()) {
            all.items.iter().for_each(|d| drop(d.render(false)));
        }
    }

    #[test]
    fn the_built_in_file_with_a_piece_cut_out(at in 0usize..20_000, len in 0usize..60) {
        let whole = sexton::config::BUILTIN;
        let (from, to) = (at.min(whole.len()), (at + len).min(whole.len()));
        if let (Some(head), Some(tail)) = (whole.get(..from), whole.get(to..))
            && let Err(all) = texts(&[&format!("{head}{tail}")])
        {
            all.items.iter().for_each(|d| drop(d.render(false)));
        }
    }
}

#[test]
fn a_hundred_megabytes_are_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(100 << 20).unwrap();
    let all = load(file.path()).unwrap_err();
    assert!(all.items[0].message.contains("100.0 MiB; at most 8 MiB"), "{all}");
}

#[test]
fn a_full_size_file_of_mistakes_ends_with_a_bounded_message() {
    for line in ["x = \n", "[[rule]]\nid = 5\n", "[a]\n", "= = =\n"] {
        let text = line.repeat(100_000 / line.len());
        let all = texts(&[&text]).unwrap_err();
        assert!(all.items.len() <= 100, "{} messages of {:?}", all.items.len(), line);
        assert!(all.errors >= all.items.len());
    }
}

#[test]
fn nesting_of_every_sort_is_refused_and_not_followed() {
    let n = 100_000;
    for text in [
        format!("[host]\nlabels = {}", "[".repeat(n)),
        format!("[host]\nlabels = {}", "{a=".repeat(n)),
        format!("[host]\nlabels.{}x = 1", "a.".repeat(n)),
        format!("[host{}]", ".a".repeat(n)),
        format!("[[rule]]\nid = \"a\"\non = \"fs\"\nraise = \"{}\"", "(".repeat(n)),
        format!("[[rule]]\nid = \"a\"\non = \"fs\"\nraise = \"{}\"", "not ".repeat(n)),
        "[[destination]]\nid='a'\nkind='rt'\nmap = ".to_owned() + &"{a.a.a.a.a.a.a.a.a.a = ".repeat(70),
    ] {
        let _ = texts(&[&text]);
    }
}
