//! Reading back, greetings, options.

use super::*;
use crate::engine::effect::Stage;
use crate::engine::option::SecretRef;

#[test]
fn what_people_did_is_read_in_one_go_per_table() {
    let held = |kind, id: &str| Held {
        cursor: 1,
        kind,
        record: format!("r{id}"),
        rev: 3,
        remote_id: id.into(),
        over: false,
    };
    let (i, p) = (RecordKind::Incident, RecordKind::Problem);
    let ids = ["20", "21", "22", "23", "24", "25", "26^x"];
    let mut all: Vec<Held> = ids.iter().map(|id| held(i, id)).collect();
    all.push(held(p, "30"));
    let of = |id: &str, state: &str, more: &[(&str, &str)]| {
        let both = [("sys_updated_by", "ada"), ("sys_updated_on", "2026-11-22 10:00:00")];
        row(state, &[&[("sys_id", id)], &both[..], more].concat())
    };
    let incidents = [
        of("20", "1", &[("assigned_to", "Ada")]),
        of("21", "3", &[("hold_reason", "Awaiting Vendor")]),
        of("22", "6", &[("close_notes", "disk grown")]),
        of("23", "99", &[]),
    ];
    let problems = [of("30", "107", &[("problem_state", "107"), ("resolution_code", "canceled")])];
    let steps = vec![
        many("GET /api/now/table/incident?sysparm_query=sys_idIN20%2C21%2C22%2C23%2C24%2C25&", &incidents),
        says("GET /api/now/table/incident/24?", 404, json!({})),
        many("GET /api/now/table/incident?sysparm_query=sys_id%3D24&", &[]),
        says("GET /api/now/table/incident/25?", 403, json!({})),
        many("GET /api/now/table/problem?sysparm_query=sys_idIN30&", &problems),
    ];
    let (done, asked) = converse(|said| read(&target(&[]), &all, said), steps);
    assert!(asked[0].path.contains("sys_updated_on"));
    let got: Vec<_> = done
        .remotes
        .iter()
        .map(|r| (r.record.as_str(), r.stage, r.assignee.as_deref(), r.note.as_deref()))
        .collect();
    assert_eq!(
        got,
        [
            ("r20", Stage::Acknowledged, Some("Ada"), None),
            ("r21", Stage::OnHold, None, Some("Awaiting Vendor")),
            ("r22", Stage::Resolved, None, Some("disk grown")),
            ("r30", Stage::Cancelled, None, None),
        ]
    );
    assert!(done.remotes.iter().all(|r| r.by.as_deref() == Some("ada") && r.rev == 3));
    assert_eq!(done.gone, ["r24"], "hidden is not gone");
    let ten = "2026-11-22T10:00:00Z".parse().ok();
    assert!(done.remotes.iter().all(|r| r.updated == ten));
}

#[test]
fn a_greeting_proves_searches_fields_and_names() {
    let nobody: &'static str = "GET /api/now/table/incident?sysparm_query=correlation_id%3Dsx-00000000";
    let newest: &'static str = "GET /api/now/table/incident?sysparm_query=ORDERBYDESCnumber&";
    let group: &'static str = "GET /api/now/table/sys_user_group?sysparm_query=name%3DLinux&";
    let full = || {
        let fields = ["correlation_id", "state", "short_description", "description", "impact", "urgency"];
        let more = ["work_notes", "assigned_to", "close_notes", "correlation_display", "cmdb_ci"];
        let last = ["close_code", "problem_id"];
        fields
            .iter()
            .chain(&more)
            .chain(&last)
            .map(|f| ((*f).to_owned(), json!("")))
            .collect::<serde_json::Map<_, _>>()
    };
    let greet = |map: &[(&str, &str)], steps| {
        let map = [&[("table.problem", "")], map].concat();
        converse(|said| hello::hello(&target(&map), said), steps).0
    };
    assert_eq!(greet(&[], vec![many(nobody, &[]), many(newest, &[json!(full())])]), Done::default());
    assert_eq!(greet(&[], vec![many(nobody, &[]), many(newest, &[])]), Done::default(), "an empty table");
    let done = greet(&[], vec![many(nobody, &[row("1", &[])])]);
    assert!(done.pause.unwrap().contains("ignore correlation_id"));
    let done = greet(&[], vec![refuses(nobody, 403, "User Not Authorized")]);
    assert!(done.pause.unwrap().contains("roles of the user"));
    let mut poor = full();
    poor.remove("work_notes");
    let done = greet(&[], vec![many(nobody, &[]), many(newest, &[json!(poor)])]);
    assert!(done.pause.unwrap().contains("field work_notes of incident"));
    let mut poor = full();
    poor.remove("cmdb_ci");
    let done = greet(&[], vec![many(nobody, &[]), many(newest, &[json!(poor)])]);
    assert!(done.pause.is_none() && done.warning.unwrap().contains("cmdb_ci"));
    for (rows, fits) in [(vec![json!({"sys_id": "g", "name": "Linux"})], true), (vec![], false)] {
        let steps = vec![many(nobody, &[]), many(newest, &[]), many(group, &rows)];
        let done = greet(&[("group.incident", "Linux")], steps);
        assert_eq!(done.pause.is_none(), fits, "{done:?}");
    }
    let choice = json!({"name": "incident", "element": "close_code", "value": "Known error"});
    let steps = vec![many(nobody, &[]), many(newest, &[]), many(CHOICES, &[choice])];
    let warning = greet(&[("close_code", "Mine")], steps).warning.unwrap();
    assert!(warning.contains("'Mine'") && warning.contains("Known error"), "{warning}");
}

#[test]
fn options_that_cannot_work_are_refused() {
    let with = |entry: &str, value: &str| {
        let map = OptionValue::Map(BTreeMap::from([(entry.to_owned(), value.to_owned())]));
        let token = OptionValue::Secret(SecretRef::Env("X".into()));
        check(&Options(BTreeMap::from([("map".to_owned(), map), ("token".to_owned(), token)])))
    };
    for (entry, value) in [
        ("table.problem", ""),
        ("set.incident.u_origin", "sexton ^ x"),
        ("category.default", "software"),
        ("length.text", "32000"),
    ] {
        assert_eq!(with(entry, value), Ok(()), "{entry}");
    }
    for (entry, value, words) in [
        ("queue.incident", "x", "no entry 'queue.incident'"),
        ("set.incident.a^b", "x", "no entry"),
        ("field.key", "", "cannot be switched off"),
        ("field.key", "a=b", "must be the name"),
        ("length.text", "10", "at least 40"),
    ] {
        assert!(with(entry, value).unwrap_err().contains(words), "{entry}");
    }
    assert!(check(&Options::default()).unwrap_err().contains("no credentials"));
}
