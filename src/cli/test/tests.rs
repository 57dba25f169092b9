//! `sexton test` as a whole: files in, exit code and text out.

use std::fs;

use super::*;
use crate::cli::doors::doors;

const RULE: &str = "[[rule]]\nid = \"busy\"\non = \"host\"\nfor = \"0s\"\nraise = \"cpu.busy > 90%\"\nclear = \"cpu.busy < 80%\"\n";

fn a_test(state: &str) -> String {
    format!(
        "[[test]]\nrule = \"busy\"\nname = \"a & b\"\nseries = {{ \"cpu.busy\" = \"95%x9\" }}\n\
         expect = [{{ at = \"20s\", state = \"{state}\" }}]\n"
    )
}

fn play(paths: &[&Path], change: impl Fn(&mut TestArgs)) -> (u8, String) {
    let paths = paths.iter().map(|p| p.to_path_buf()).collect();
    let mut args = TestArgs { paths, rule: None, builtin: false, verbose: false, format: Format::Text };
    change(&mut args);
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let terminal = Terminal { colour: false, unicode: true, width: 80, lines: None };
    test(&args, &doors(), &facts, terminal)
}

#[test]
fn the_exit_code_says_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let good = file("good.toml", &(RULE.to_owned() + &a_test("raised")));
    let bad = file("bad.toml", &(RULE.to_owned() + &a_test("ok")));
    let broken = file("broken.toml", "[[rule]]\n");
    let none = file("none.toml", RULE);
    let away = dir.path().join("away.toml");
    let code = |path: &Path| play(&[path], |_| ()).0;
    assert_eq!(
        [&good, &bad, &broken, &none, &away].map(|p| code(p)),
        [FINE, FINDING, FINDING, COULD_NOT_RUN, COULD_NOT_RUN]
    );
    let (code, text) = play(&[&good, &bad], |_| ());
    assert_eq!(code, FINDING);
    assert!(text.ends_with("2 tests: 1 ok, 1 failed\n"), "{text}");
    assert!(text.contains("✗  20s  ok        raised warning P5"), "{text}");
    assert_eq!(play(&[&bad], |args| args.rule = Some("b*y".into())).0, FINDING);
    assert_eq!(play(&[&bad], |args| args.rule = Some("other".into())).0, COULD_NOT_RUN);
}

#[test]
fn a_drop_in_is_played_with_the_configuration_around_it() {
    let dir = tempfile::tempdir().unwrap();
    let drop_ins = dir.path().join("rules.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::write(dir.path().join("sexton.toml"), RULE.to_owned() + &a_test("ok")).unwrap();
    let file = drop_ins.join("10.toml");
    fs::write(&file, a_test("raised")).unwrap();
    let (code, text) = play(&[&file], |_| ());
    assert_eq!((code, text.lines().count()), (FINE, 2), "only the tests of that file: {text}");
    let (code, text) = play(&[dir.path()], |_| ());
    assert_eq!(code, FINDING);
    assert!(text.ends_with("2 tests: 1 ok, 1 failed\n"), "{text}");
    assert_eq!(play(&[&drop_ins], |_| ()).0, FINE, "a directory of drop-ins is its files");
    let bare = tempfile::tempdir().unwrap();
    fs::write(bare.path().join("sexton.toml"), RULE).unwrap();
    assert_eq!(play(&[bare.path()], |_| ()).0, COULD_NOT_RUN, "a configuration without tests");
}

#[test]
fn machines_get_xml_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.toml");
    fs::write(&path, RULE.to_owned() + &a_test("ok")).unwrap();
    let (_, xml) = play(&[&path], |args| args.format = Format::Junit);
    assert!(xml.contains("<testsuites tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\">"), "{xml}");
    assert!(xml.contains("<testcase name=\"a &amp; b\" classname=\"busy\""), "{xml}");
    assert!(xml.contains("<failure message=\"at 20s: expected ok, found raised warning P5\">"), "{xml}");
    let (_, json) = play(&[&path], |args| args.format = Format::Json);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["failed"].as_u64(), json["tests"][0]["verdict"].as_str()), (Some(1), Some("failed")));
    assert_eq!(json["tests"][0]["transitions"][0]["after"], 0.0);
    assert_eq!(json["tests"][0]["expect"][0]["holds"], false);
}

#[test]
fn built_in_tests_need_no_configuration_and_no_site_can_break_them() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("sexton.toml");
    let other = "[[override]]\nrule = \"*\"\nset = { for = \"5h\" }\n";
    fs::write(&main, other.to_owned() + RULE + &a_test("pending")).unwrap();
    let alone = |args: &mut TestArgs| (args.builtin, args.rule) = (true, Some("cpu-*".into()));
    let (code, text) = play(&[], alone);
    assert_eq!(code, FINE, "{text}");
    assert!(text.contains("cpu-steal: hover  built-in/tests.toml:"), "{text}");
    let (code, beside) = play(&[&main], |args| args.builtin = true);
    assert_eq!(code, FINE, "{beside}");
    assert!(beside.contains("busy: a & b") && beside.contains("cpu-steal: hover"), "{beside}");
}
