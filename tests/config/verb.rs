//! `sexton check`: exit codes, the summary line, JSON.

use std::path::PathBuf;
use std::process::Command;

use sexton::cli::check::{CheckArgs, check};

use super::{doors, facts};

fn run(config: &str, strict: bool, json: bool) -> (u8, String) {
    let args = CheckArgs { config: PathBuf::from(config), strict, json };
    let mut out = Vec::new();
    let code = check(&args, &doors(), &facts(), false, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn exit_codes_say_what_was_found() {
    for (config, strict, code) in [
        ("config/examples/10-first-steps.toml", true, 0),
        ("tests/config/doubtful/rule-without-clear.toml", false, 0),
        ("tests/config/doubtful/rule-without-clear.toml", true, 1),
        ("tests/config/bad/misspelt-keys.toml", false, 1),
        ("tests/config/bad/not-utf8.toml", false, 1),
        ("tests/config/no-such-file.toml", false, 2),
        ("tests/config/bad/no-main-file", false, 2),
    ] {
        let (got, said) = run(config, strict, false);
        assert_eq!(got, code, "{config}: {said}");
    }
}

/// A pipeline that keeps a report must learn that it has none.
#[test]
fn what_cannot_be_printed_is_no_success() {
    let full =
        std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device that is always full");
    let mut schema = Command::new(env!("CARGO_BIN_EXE_sexton"));
    let out = schema.arg("schema").stdout(full).output().expect("sexton schema");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot write to standard output: No space left on device"), "{said}");
}

#[test]
fn the_last_line_sums_up() {
    let last = |config: &str| run(config, false, false).1.lines().last().unwrap().to_owned();
    let fine = last("config/examples/10-first-steps.toml");
    assert!(fine.ends_with("rules, 2 checks, 1 destination"), "{fine}");
    assert!(fine.contains("10-first-steps.toml: fine: "), "{fine}");
    let refused = last("tests/config/bad/rule-defined-twice.toml");
    assert_eq!(refused, "tests/config/bad/rule-defined-twice.toml: refused: 1 error");
    let doubtful = last("tests/config/doubtful/rule-without-clear.toml");
    assert!(doubtful.contains("usable, with 1 warning: "), "{doubtful}");
}

#[test]
fn json_has_every_place() {
    let (code, text) = run("tests/config/bad/rule-defined-twice.toml", false, true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["exit_code"], &json["errors"]), (1, &1.into(), &1.into()));
    let first = &json["diagnostics"][0];
    assert_eq!(first["level"], "error");
    assert_eq!((&first["at"]["line"], &first["at"]["column"]), (&8.into(), &6.into()));
    assert_eq!(first["also"][0]["line"], 2);
    let (_, text) = run("config/examples/10-first-steps.toml", false, true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["config"]["destinations"], 1);
    assert_eq!(json["config"]["hash"].as_str().unwrap().len(), 16);
}
