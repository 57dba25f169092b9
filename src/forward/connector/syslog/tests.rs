//! Every message is read back by a parser of RFC 5424 that knows nothing of how it was written.

use std::collections::BTreeMap;

use super::*;
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::{self, KEY, converse, cut as cut_off, ok};

/// A message as a receiver sees it.
#[derive(Debug, PartialEq)]
struct Parsed {
    priority: u8,
    time: String,
    host: String,
    app: String,
    msgid: String,
    id: String,
    data: BTreeMap<String, String>,
    text: String,
}

/// RFC 5424, section 6: `HEADER SP STRUCTURED-DATA [SP MSG]`.
fn parse(message: &str) -> Parsed {
    let (priority, rest) = message.strip_prefix('<').unwrap().split_once('>').unwrap();
    let (fields, rest): (Vec<&str>, &str) = {
        let mut parts = rest.splitn(7, ' ');
        let fields: Vec<&str> = parts.by_ref().take(6).collect();
        (fields, parts.next().unwrap())
    };
    assert_eq!(fields[0], "1", "version");
    for (field, most) in [(fields[2], 255), (fields[3], 48), (fields[4], 128), (fields[5], 32)] {
        assert!(!field.is_empty() && field.len() <= most && field.bytes().all(|b| b.is_ascii_graphic()));
    }
    let time = fields[1];
    assert!(time.parse::<Stamp>().is_ok() && time.ends_with('Z') && time.len() <= 27, "{time}");
    let mut chars = rest.strip_prefix('[').expect("structured data").chars();
    let id: String = chars.by_ref().take_while(|c| *c != ' ').collect();
    let mut data = BTreeMap::new();
    loop {
        let name: String = chars.by_ref().take_while(|c| *c != '=').collect();
        assert!(name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase()), "{name}");
        assert_eq!(chars.next(), Some('"'));
        let mut value = String::new();
        loop {
            match chars.next().expect("a value ends") {
                '"' => break,
                '\\' => value.extend(chars.next().filter(|c| "\"\\]".contains(*c))),
                ']' => panic!("a bracket must be escaped"),
                c => value.push(c),
            }
        }
        assert!(data.insert(name, value).is_none(), "a name stands twice");
        match chars.next() {
            Some(' ') => {}
            Some(']') => break,
            other => panic!("{other:?} after a value"),
        }
    }
    assert_eq!(chars.next(), Some(' '));
    let text = chars.as_str();
    assert_eq!(text.starts_with('\u{feff}'), !text.is_ascii(), "UTF-8 is announced, ASCII is not");
    assert!(!text.chars().any(char::is_control));
    Parsed {
        priority: priority.parse().unwrap(),
        time: time.to_owned(),
        host: fields[2].to_owned(),
        app: fields[3].to_owned(),
        msgid: fields[5].to_owned(),
        id,
        data,
        text: text.trim_start_matches('\u{feff}').to_owned(),
    }
}

fn target(more: &[(&str, OptionValue)]) -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    let text = |t: &str| OptionValue::Text(t.to_owned());
    let mut options = BTreeMap::from([
        ("url".to_owned(), text("tls://logs.example")),
        ("app_name".to_owned(), text("sexton")),
        ("sd_id".to_owned(), text("sexton@32473")),
        ("facility".to_owned(), text("daemon")),
    ]);
    options.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Target { id: "log".into(), host, born: Stamp(0), options: Options(options) }
}

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_owned())
}

#[test]
fn a_message_says_what_happened_to_which_record() {
    let parsed = parse(&message(&target(&[]), &fixture::create()));
    assert_eq!(
        (parsed.priority, parsed.msgid.as_str(), parsed.id.as_str()),
        (28, "incident.create", "sexton@32473")
    );
    assert_eq!(
        (parsed.time.as_str(), parsed.host.as_str(), parsed.app.as_str()),
        ("2026-11-22T10:00:30.5Z", "web-01", "sexton")
    );
    let operation = format!("{KEY}-1-c");
    for (name, value) in [
        ("op", operation.as_str()),
        ("key", KEY),
        ("rev", "1"),
        ("state", "new"),
        ("number", "INC000042"),
        ("rule", "disk-full"),
        ("instance", "fs{mount=/data}"),
        ("priority", "P4"),
        ("service", "shop"),
    ] {
        assert_eq!(parsed.data.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(
        parsed.text,
        "INC000042 raised: web-01: /data is 91 % full (warning, P4) fs.used 91.2 % > 85 %"
    );

    let over = parse(&message(&target(&[]), &fixture::resolve()));
    assert_eq!(
        (over.priority, over.msgid.as_str(), over.data["state"].as_str()),
        (29, "incident.resolve", "resolved")
    );
    let mut problem = fixture::create();
    problem.kind = RecordKind::Problem;
    problem.body = fixture::body(include_str!("../../../../tests/data/forward/problem.json"));
    assert_eq!(parse(&message(&target(&[]), &problem)).msgid, "problem.create");
    let mut link = fixture::link();
    link.body = json!({"id": "a-b", "incident": "a", "problem": "b", "at": "2026-11-22T10:00:30.123456789Z"});
    let link = parse(&message(&target(&[]), &link));
    assert_eq!(
        (link.time.as_str(), link.text.as_str()),
        ("2026-11-22T10:00:30.123456Z", "incident a belongs to problem b")
    );
}

#[test]
fn whatever_stands_in_a_record_the_message_stays_one() {
    for evil in [
        "a\"]\\b",
        "line\nbreak <34>1 - - - - - -",
        "größe \u{1b}[31m",
        "]",
        "\\",
        "\"",
        "\u{feff}x",
        "",
        &"ä".repeat(9000),
    ] {
        let mut job = fixture::create();
        for key in ["title", "instance", "category", "service", "number"] {
            job.body[key] = json!(evil);
        }
        job.body["ci"]["name"] = json!(evil);
        job.body["timeline"][0]["note"] = json!(evil);
        let whole = message(&target(&[]), &job);
        assert!(whole.len() <= 8192, "{}", whole.len());
        let parsed = parse(&whole);
        assert_eq!(
            parsed.data.get("category").cloned().unwrap_or_default(),
            cut(evil, VALUE).replace(['\n', '\u{1b}'], " ")
        );
        let udp = message(&target(&[("url", text("udp://a"))]), &job);
        assert!(udp.len() <= 2048 || evil.len() > 9000, "{}", udp.len());
        let local = message(&target(&[("url", text("unix:///dev/log"))]), &job);
        assert!(local.starts_with("<28>sexton: ") && local.lines().count() == 1, "{local}");
    }
    let mut odd = target(&[]);
    odd.host.name = "mein host".into();
    assert_eq!(parse(&message(&odd, &fixture::create())).host, "mein-host");
}

#[test]
fn weight_and_facility_are_the_users() {
    let map = OptionValue::Map(BTreeMap::from([("severity.warning".to_owned(), "alert".to_owned())]));
    let chosen = target(&[("map", map), ("facility", text("local7"))]);
    assert_eq!(parse(&message(&chosen, &fixture::create())).priority, 23 * 8 + 1);
    assert_eq!(FACILITIES.len(), NUMBERS.len());
}

#[test]
fn a_batch_is_stored_or_not_as_a_whole() {
    let jobs = [fixture::create(), fixture::resolve()];
    let (done, requests) = converse(|said| next(&target(&[]), &jobs, said), vec![ok("POST /", json!(null))]);
    assert_eq!(requests[0].json_body().as_array().unwrap().len(), 2);
    assert!(done.outcomes.iter().all(|o| matches!(o, Outcome::Stored { .. })));
    let (done, _) = converse(|said| next(&target(&[]), &jobs, said), vec![cut_off("POST /", true)]);
    assert!(done.outcomes.iter().all(|o| matches!(o, Outcome::Retry { unknown: true, .. })));
}

#[test]
fn options_are_checked_together() {
    assert_eq!(check(&target(&[]).options), Ok(()));
    let map = |k: &str, v: &str| OptionValue::Map(BTreeMap::from([(k.to_owned(), v.to_owned())]));
    for (key, value, says) in [
        ("url", text("logs.example"), "is no address"),
        ("app_name", text("my app"), "visible ASCII"),
        ("sd_id", text("sexton"), "name@number"),
        ("sd_id", text("a]b@1"), "name@number"),
        ("sd_id", text("sexton@1.2x"), "name@number"),
        ("map", map("severity.high", "crit"), "has no entry"),
        ("map", map("severity.over", "ok"), "'ok' is no severity"),
    ] {
        let error = check(&target(&[(key, value)]).options).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    let error = check(&target(&[("url", text("tcp://a")), ("ca", text("/x"))]).options).unwrap_err();
    assert!(error.contains("are for tls://"), "{error}");
}
