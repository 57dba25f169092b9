//! Whatever text comes in, lexer, parser and checker answer, and an error's bytes can be underlined.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Words of the language, of others, and of neither.
const SOUP: &[&str] = &[
    "fs.used",
    "cpu.busy",
    "unit.state",
    "slo.bad",
    "slo.target",
    "beat.seen",
    "beat.period",
    "left",
    "slo",
    "avg",
    "count",
    "eta",
    "if",
    "p",
    "ewma",
    "baseline",
    "zscore",
    "events",
    "burn",
    "fit",
    "held",
    "coalesce",
    "nodata",
    "age",
    "rate",
    "changes",
    "kernel.oom_kills",
    "(",
    ")",
    "[",
    "]",
    ",",
    "<",
    "<=",
    "==",
    "!=",
    "and",
    "or",
    "not",
    "in",
    "+",
    "-",
    "*",
    "/",
    "90%",
    "5m",
    "1e9",
    "0",
    "4MiB/s",
    "'x'",
    "'raise/x'",
    "'theil-sen'",
    "true",
    "'",
    "%",
    ".",
    "&&",
    "é",
    "\u{0}",
    "\u{202e}",
    "1e308",
    "400d",
];

/// Sources that compile, one of each construct.
const SOUND: &[(Class, &str)] = &[
    (Class::Fs, "fs.used > 95% or (fs.used > 80% and left < 4h)"),
    (Class::Fs, "eta(fs.used, 100%, 6h, 'theil-sen') < 3d and fit(fs.used, 6h) > 80%"),
    (Class::Fs, "forecast(fs.avail, 6h, 1d) < 1GiB and not fs.readonly"),
    (Class::Host, "least(avg(swap.in, 3m), avg(swap.out, 3m)) > 4MiB/s and psi.mem.some > 5%"),
    (Class::Host, "frac(cpu.busy > 90%, 10m) >= 80% and cpu.busy > 20% + ewma(cpu.busy, 1d)"),
    (Class::Host, "events('raise/*', 5m) > 1 and zscore(load.avg1, 1d) > -6e0"),
    (Class::Unit, "unit.state not in ['active', 'reloading'] and changes(unit.state, 1h) > 3"),
    (Class::Net, "net.rx > 3 * baseline(net.rx, 1w, 4) or p(net.tx, 95%, 10m) != 7B/s"),
    (
        Class::Check,
        "held(not check.up) > 5m or if(check.up, check.latency, 10s) > coalesce(check.latency, 1s)",
    ),
    (Class::Beat, "nodata(beat.seen, beat.period + beat.grace) or count(beat.seen, 3 * beat.period) < 2"),
    (Class::Slo, "burn(slo, 1h) > 14.4 and increase(slo.total, 1h) >= 50 and rate(slo.bad, 5m) > 6/m"),
];

/// One change to a source, by places that are taken modulo its length.
#[derive(Clone, Debug)]
enum Change {
    Drop(usize, usize),
    Double(usize, usize),
    Put(usize, &'static str),
    Swap(usize, usize),
    Char(usize, char),
    Splice(usize, usize, usize),
    Wrap(&'static str, &'static str, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || any::<usize>();
    let wraps = vec![
        ("(", ")"),
        ("not (", ")"),
        ("-", ""),
        ("abs(", ")"),
        ("held(", ")"),
        ("avg(", ", 5m)"),
        ("[", "]"),
    ];
    prop_oneof![
        (at(), 1..5_usize).prop_map(|(a, n)| Change::Drop(a, n)),
        (at(), 1..8_usize).prop_map(|(a, n)| Change::Double(a, n)),
        (at(), select(SOUP)).prop_map(|(a, word)| Change::Put(a, word)),
        (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        (at(), any::<char>()).prop_map(|(a, c)| Change::Char(a, c)),
        (at(), at(), at()).prop_map(|(a, b, c)| Change::Splice(a, b, c)),
        (select(wraps), 1..80_usize).prop_map(|((open, close), n)| Change::Wrap(open, close, n)),
    ]
}

/// The source in pieces: words, signs, blanks.
fn pieces(source: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let is_word = |c: char| c.is_alphanumeric() || "._-%'".contains(c);
    for c in source.chars() {
        match all.last_mut().filter(|last| is_word(c) && last.chars().all(is_word)) {
            Some(last) => last.push(c),
            None => all.push(c.to_string()),
        }
    }
    all
}

fn apply(source: &str, change: &Change) -> String {
    let mut all = pieces(source);
    let n = all.len().max(1);
    match change {
        Change::Drop(at, count) => drop(all.drain(at % n..(at % n + count).min(all.len()))),
        Change::Double(at, count) => {
            let copy = all[at % n..(at % n + count).min(all.len())].to_vec();
            all.splice(at % n..at % n, copy);
        }
        Change::Put(at, word) => all.insert(at % n, (*word).to_owned()),
        Change::Swap(a, b) => all.swap(a % n, b % n),
        Change::Char(at, c) => {
            let piece = &mut all[at % n];
            let inside = (0..piece.len()).filter(|i| piece.is_char_boundary(*i)).nth(at % 3).unwrap_or(0);
            piece.insert(inside, *c);
        }
        Change::Splice(at, other, from) => {
            let other = pieces(SOUND[other % SOUND.len()].1);
            let from = from % other.len();
            all.splice(at % n.., other[from..].iter().cloned());
        }
        Change::Wrap(open, close, n) => return format!("{}{source}{}", open.repeat(*n), close.repeat(*n)),
    }
    all.concat()
}

fn survive(class: Class, source: &str) {
    let lets = [("left".to_owned(), compile_any("eta(fs.used, 100%, 6h)", Class::Fs, &[]).unwrap())];
    let lets = if class == Class::Fs { &lets[..] } else { &[] };
    for result in [compile(source, class, lets), compile_any(source, class, lets)] {
        match result {
            Ok(cond) => {
                drop(default_clear(&cond));
                // What was accepted is accepted as it is shown, and shown the same again.
                let again = compile_any(cond.canonical(), class, &[]);
                assert_eq!(
                    again.map(|c| c.canonical().to_owned()).as_deref(),
                    Ok(cond.canonical()),
                    "{source:?}"
                );
            }
            Err(error) => {
                assert!(source.get(error.span.clone()).is_some(), "{source:?} {error:?}");
                assert!(!error.message.is_empty() && !error.message.contains('\n'), "{source:?} {error:?}");
            }
        }
    }
    if let Err(error) = check_title(source, class, lets) {
        assert!(source.get(error.span).is_some());
    }
}

#[test]
fn what_is_changed_is_sound_to_begin_with() {
    let lets = [("left".to_owned(), compile_any("eta(fs.used, 100%, 6h)", Class::Fs, &[]).unwrap())];
    for (class, source) in SOUND {
        compile(source, *class, if *class == Class::Fs { &lets } else { &[] }).unwrap();
    }
}

proptest! {
    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..200)) {
        survive(Class::Fs, &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn token_soup(words in vec(select(SOUP), 0..40), glue in any::<bool>()) {
        survive(Class::Fs, &words.join(if glue { " " } else { "" }));
    }

    #[test]
    fn sources_with_mistakes(which in select(SOUND), changes in vec(change(), 1..6)) {
        let source = changes.iter().fold(which.1.to_owned(), |source, change| {
            if source.is_empty() { source } else { apply(&source, change) }
        });
        survive(which.0, &source);
    }
}
