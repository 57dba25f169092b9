//! What is sent, against the schemas of those who receive it and our own.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use jsonschema::Validator;
use serde_json::{Value as Json, json};
use sexton::engine::core::Engine;
use sexton::engine::effect::{Command, Step};
use sexton::engine::moment::{Moment, SECOND};
use sexton::engine::record::{Exhibit, Record};
use sexton::engine::signal::{Class, Instance, Observation, metric};

fn read(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

/// Everything that does not fit, one sentence each.
fn wrong(schema: &Validator, value: &Json) -> Vec<String> {
    schema.iter_errors(value).map(|e| format!("{} at {}", e, e.instance_path())).collect()
}

/// What may be posted to Alertmanager: its own definition of `postableAlerts`.
pub fn postable_alerts(value: &Json) -> Vec<String> {
    static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
        let api = read(include_str!("../data/schemas/alertmanager-api-v2.json"));
        let schema = json!({"$ref": "#/definitions/postableAlerts", "definitions": api["definitions"]});
        jsonschema::draft4::options().should_validate_formats(true).build(&schema).unwrap()
    });
    wrong(&SCHEMA, value)
}

/// A CloudEvent whose data is one of our records.
pub fn event(value: &Json) -> Vec<String> {
    static EVENT: LazyLock<Validator> = LazyLock::new(|| {
        let schema = read(include_str!("../data/schemas/cloudevents-1.0.schema.json"));
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    });
    let mut found = wrong(&EVENT, value);
    found.extend(record(&value["data"]));
    found
}

/// A record of the schema that it names; a link may name none.
pub fn record(value: &Json) -> Vec<String> {
    static OURS: LazyLock<[(&str, Validator); 3]> = LazyLock::new(|| {
        let made = |text| jsonschema::options().should_validate_formats(true).build(&read(text)).unwrap();
        [
            ("incident/1", made(include_str!("../../docs/schemas/incident-1.schema.json"))),
            ("problem/1", made(include_str!("../../docs/schemas/problem-1.schema.json"))),
            ("link/1", made(include_str!("../../docs/schemas/link-1.schema.json"))),
        ]
    });
    let name = value["schema"].as_str().unwrap_or("link/1");
    match OURS.iter().find(|(n, _)| *n == name) {
        Some((_, schema)) => wrong(schema, value),
        None => vec![format!("no schema for {name}")],
    }
}

#[test]
fn the_schemas_see_what_is_wrong() {
    let alert = |ends: &str, name: &str| json!([{"labels": {"alertname": name}, "endsAt": ends}]);
    assert_eq!(postable_alerts(&alert("2026-11-22T10:00:00Z", "x")), Vec::<String>::new());
    assert!(!postable_alerts(&alert("soon", "x")).is_empty());
    assert!(!postable_alerts(&json!([{"annotations": {}}])).is_empty(), "labels are required");
    let mut incident = read(include_str!("../data/forward/incident.json"));
    assert_eq!(record(&incident), Vec::<String>::new());
    incident["state"] = json!("gone");
    assert_eq!(record(&incident).len(), 1);
    assert!(!event(&json!({"id": "a", "data": incident})).is_empty());
}

/// The schema with nothing allowed that it does not name: a field that was added to a record and not to its
/// schema shows.
fn closed(schema: &mut Json) {
    if let Some(map) = schema.as_object_mut() {
        if map.contains_key("properties") {
            map.insert("additionalProperties".to_owned(), json!(false));
        }
        map.values_mut().for_each(closed);
    } else if let Some(list) = schema.as_array_mut() {
        list.iter_mut().for_each(closed);
    }
}

/// Records of a host whose rule is broken again and again, with people and evidence in between.
fn real_records() -> Vec<Json> {
    let text = "[host]\nlabels = { env = \"prod\" }\nservice = \"shop\"\n[[rule]]\nid = \"busy\"\non = \"host\"\n\
                runbook = \"https://runbooks.example/busy\"\nfor = \"0s\"\nkeep = \"0s\"\nreopen = \"2h\"\nstep = [\n\
                {severity = \"warning\", raise = \"cpu.busy > 80%\", clear = \"cpu.busy < 70%\"},\n\
                {severity = \"critical\", raise = \"cpu.busy > 90%\", clear = \"cpu.busy < 80%\"}]\n\
                [[override]]\nrule = [\"*\", \"!busy\"]\nset = { enabled = false }\n";
    let facts = sexton::config::HostFacts { machine_id: "m".to_owned(), hostname: "web-01".to_owned() };
    let config = sexton::config::load_texts(&[("t.toml", text)], &Default::default(), &facts).unwrap();
    let mut engine = Engine::new(config.plan, 7);
    let host = Instance::of(Class::Host, &[]);
    let mut records = Vec::new();
    for t in (0..86_400).step_by(10) {
        let now = Moment::at(t * SECOND);
        // Worse and worse for a quarter of each hour.
        let busy = match t % 3600 {
            0..=299 => 0.85,
            300..=899 => 0.95,
            _ => 0.3,
        };
        let seen = Observation::new(now, Arc::clone(&host), 10 * SECOND).with(metric("cpu.busy"), busy);
        let mut step = Step::default();
        engine.observe(now, &[seen], &mut step);
        if engine.poll_timeout().is_some_and(|due| due <= now.mono) {
            engine.handle_timeout(now, &mut step);
        }
        let open = engine.incidents.incidents().find(|i| i.state.is_open()).map(|i| i.id.clone());
        if let Some(incident) = open {
            let by = || "alice".to_owned();
            let exhibit = Exhibit { title: "top".into(), at: now.stamp(), text: "1 init".into() };
            let asked = match t % 7200 {
                60 => Some(Command::Acknowledge { incident, by: by() }),
                120 => Some(Command::Evidence { incident, exhibits: vec![exhibit] }),
                180 => Some(Command::Note { incident, by: by(), text: "looking".into() }),
                240 => Some(Command::Resolve { incident, by: by(), note: "done".into() }),
                _ => None,
            };
            // What the life cycle refuses by then is of no matter here.
            asked.into_iter().for_each(|command| drop(engine.command(now, &command, &mut step)));
        }
        for record in step.records {
            records.push(match record {
                Record::Incident(incident) => json!(incident),
                Record::Problem(problem) => json!(problem),
                Record::Link(link) => json!(link),
            });
        }
    }
    records
}

#[test]
fn records_of_the_engine_are_what_their_schemas_say() {
    let texts = [
        include_str!("../../docs/schemas/incident-1.schema.json"),
        include_str!("../../docs/schemas/problem-1.schema.json"),
        include_str!("../../docs/schemas/link-1.schema.json"),
    ];
    let closed: Vec<Validator> = texts
        .iter()
        .map(|text| {
            let mut schema = read(text);
            closed(&mut schema);
            jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
        })
        .collect();
    let mut seen = BTreeSet::new();
    for record in real_records() {
        let kind = match record["schema"].as_str() {
            Some("incident/1") => 0,
            Some("problem/1") => 1,
            _ => 2,
        };
        assert_eq!(wrong(&closed[kind], &record), Vec::<String>::new(), "{record:#}");
        let words = record["timeline"].as_array().into_iter().flatten().map(|e| e["kind"].to_string());
        seen.extend(words);
        seen.insert(format!("kind {kind}"));
    }
    for what in ["kind 0", "kind 1", "kind 2", "\"resolved\"", "\"reopened\"", "\"acknowledged\"", "\"note\""]
    {
        assert!(seen.contains(what), "the story lacks {what}: {seen:?}");
    }
}
