//! Which alerts a record becomes, and what is made of each answer.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::engine::moment::MINUTE;
use crate::engine::option::{OptionValue, Options};
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::{self, Step, converse, cut, ok, repeated, says};

const NOW: &str = "2026-11-22T10:20:00Z";
const STARTS: &str = "2026-11-22T09:50:00.25Z";

fn at(text: &str) -> Stamp {
    text.parse().unwrap()
}

fn target(more: &[(&str, OptionValue)]) -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    let mut options = BTreeMap::from([
        ("url".to_owned(), OptionValue::Text("http://a:9093".into())),
        ("repeat".to_owned(), OptionValue::Duration(MINUTE)),
    ]);
    options.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Target { id: "am".into(), host, born: Stamp(0), options: Options(options) }
}

fn cluster() -> Target {
    target(&[("peers", OptionValue::List(vec!["http://b:9093/".into()]))])
}

/// The job as the outbox hands it out at ten past ten, the label set known that was sent last.
fn claimed(mut job: Job) -> Job {
    job.claimed_at = at(NOW);
    if job.remote_id.is_some() {
        job.remote_id = Some(serde_json::to_string(&labels(&job, &target(&[]))).unwrap());
    }
    job
}

fn labels(job: &Job, target: &Target) -> Labels {
    let Subject::Incident(incident) = Wanted::of(job).unwrap().record else { panic!("no incident") };
    Alert::incident(&Map::of(target), &incident, &job.record_key).labels
}

fn firing() -> Job {
    claimed(fixture::create())
}

fn update() -> Job {
    claimed(fixture::later(Operation::Update, None))
}

/// Over since five to ten past ten, decided at 10:19.
fn resolve() -> Job {
    let mut job = claimed(fixture::resolve());
    job.body["resolved_at"] = json!("2026-11-22T10:05:00Z");
    job.body["confirmed_at"] = json!("2026-11-22T10:19:00Z");
    job
}

/// The end claimed again, a while after it was decided.
fn told_again(after: i64) -> Job {
    let mut job = resolve();
    (job.operation, job.acked_rev) = (Operation::Update, job.rev);
    job.claimed_at = at("2026-11-22T10:19:00Z").plus(after);
    job
}

/// As another record with the same labels, begun later.
fn successor() -> Job {
    let mut job = firing();
    job.record = "019ab000-0000-7000-8000-000000000002".into();
    job.body["breach_at"] = json!("2026-11-22T10:18:00Z");
    job.body["intervals"] = json!([{"from": "2026-11-22T10:18:00Z"}]);
    job
}

fn play(target: &Target, jobs: &[Job], steps: Vec<Step>) -> (Done, Vec<Request>) {
    converse(|said| next(target, jobs, said), steps)
}

fn alerts(request: &Request) -> &[Json] {
    request.json_body().as_array().unwrap()
}

const POST: &str = "POST /api/v2/alerts";
const LOOK: &str =
    "GET /api/v2/alerts?filter=sexton_host%3D%220123456789abcdef%22&filter=alertname%3D~%22disk.full%22";

fn minute() -> Option<Duration> {
    Some(Duration::from_secs(60))
}

fn stored(outcome: &Outcome) -> (Option<Labels>, Option<Duration>) {
    match outcome {
        Outcome::Stored { remote_id, again } => {
            (remote_id.as_ref().map(|id| serde_json::from_str(id).unwrap()), *again)
        }
        other => panic!("not stored: {other:?}"),
    }
}

#[test]
fn a_firing_incident_is_one_alert_with_everything_in_it() {
    let mut job = firing();
    job.body["labels"] =
        json!({"env": "prod", "mount": "/data", "2nd-team": "ops", "severity": "mine", "empty": ""});
    let extra = OptionValue::Map(BTreeMap::from([("team".to_owned(), "sre".to_owned())]));
    let (done, requests) = play(&target(&[("labels", extra)]), &[job], vec![ok(POST, json!(null))]);
    let expected = json!([{
        "labels": {
            "alertname": "disk-full", "instance": "web-01", "severity": "warning", "service": "shop",
            "sexton_host": "0123456789abcdef", "sexton_instance": "fs{mount=/data}", "team": "sre",
            "env": "prod", "mount": "/data", "_2nd_team": "ops", "exported_severity": "mine",
        },
        "annotations": {
            "summary": "/data is 91 % full", "description": "The file system fills up.\nFree space or grow it.",
            "sexton_record": fixture::KEY, "number": "INC000042", "value": "0.912", "priority": "P4",
            "runbook_url": "https://runbooks.example/disk",
        },
        "startsAt": STARTS,
        "endsAt": "2026-11-22T10:24:00Z",
    }]);
    assert_eq!(requests[0].json_body(), &expected);
    assert_eq!(requests[0].base.as_deref(), Some("http://a:9093"));
    let (labels, again) = stored(&done.outcomes[0]);
    assert_eq!((json!(labels), again), (expected[0]["labels"].clone(), minute()));
}

#[test]
fn the_end_is_sent_until_it_has_been_told_for_five_minutes() {
    for (job, sent) in [
        (resolve(), true),
        (told_again(MINUTE), true),
        (told_again(5 * MINUTE), false),
        (told_again(60 * MINUTE), false),
    ] {
        let steps = if sent { vec![ok(LOOK, json!([])), ok(POST, json!(null))] } else { Vec::new() };
        let (done, requests) = play(&target(&[]), std::slice::from_ref(&job), steps);
        let (_, again) = stored(&done.outcomes[0]);
        assert_eq!(again.is_some(), sent, "{:?}", job.claimed_at);
        if sent {
            let alert = &alerts(&requests[1])[0];
            assert_eq!(alert["endsAt"], "2026-11-22T10:05:00Z");
            assert_eq!(alert["startsAt"], STARTS);
        }
    }
    // The server was away for an hour when it ended: told once, and once more is for naught.
    let mut late = resolve();
    late.claimed_at = at(NOW).plus(60 * MINUTE);
    let (done, _) = play(&target(&[]), &[late], vec![ok(LOOK, json!([])), ok(POST, json!(null))]);
    assert_eq!(stored(&done.outcomes[0]).1, minute());
}

#[test]
fn what_was_never_sent_as_firing_does_not_end() {
    let mut over = resolve();
    (over.operation, over.remote_id, over.acked_rev) = (Operation::Create, None, 0);
    let (done, _) = play(&target(&[]), &[over.clone()], Vec::new());
    assert_eq!(done.outcomes, [Outcome::stored(None)]);
    // An earlier attempt may have arrived.
    let steps = vec![ok(LOOK, json!([])), ok(POST, json!(null))];
    let (done, requests) = play(&target(&[]), &[repeated(over)], steps);
    assert_eq!(alerts(&requests[1])[0]["endsAt"], "2026-11-22T10:05:00Z");
    assert!(stored(&done.outcomes[0]).0.is_some());
}

#[test]
fn another_severity_ends_the_old_label_set_in_the_same_post() {
    let mut worse = update();
    worse.body["severity"] = json!("critical");
    let (done, requests) = play(&target(&[]), std::slice::from_ref(&worse), vec![ok(POST, json!(null))]);
    let [new, old] = alerts(&requests[0]) else { panic!("two alerts") };
    assert_eq!(
        (&new["labels"]["severity"], &new["endsAt"]),
        (&json!("critical"), &json!("2026-11-22T10:24:00Z"))
    );
    assert_eq!((&old["labels"]["severity"], &old["endsAt"]), (&json!("warning"), &json!(NOW)));
    let (labels, _) = stored(&done.outcomes[0]);
    assert_eq!(labels.unwrap()["severity"], "critical");

    // After that the new one alone.
    worse.remote_id = Some(new["labels"].to_string());
    let (_, requests) = play(&target(&[]), &[worse], vec![ok(POST, json!(null))]);
    assert_eq!(alerts(&requests[0]).len(), 1);
}

#[test]
fn an_end_uses_the_label_set_that_fires_there() {
    let mut job = resolve();
    job.body["severity"] = json!("critical");
    let steps = vec![ok(LOOK, json!([])), ok(POST, json!(null))];
    let (_, requests) = play(&target(&[]), &[job], steps);
    let [end] = alerts(&requests[1]) else { panic!("one alert") };
    assert_eq!(end["labels"]["severity"], "warning");
}

#[test]
fn a_reopened_record_fires_from_its_new_interval_on() {
    let mut job = claimed(fixture::later(Operation::Reopen, Some(("resolved", "new"))));
    job.body["severity"] = json!("critical");
    job.body["intervals"] =
        json!([{"from": STARTS, "to": "2026-11-22T10:05:00Z"}, {"from": "2026-11-22T10:18:00Z"}]);
    let (_, requests) = play(&target(&[]), &[job], vec![ok(POST, json!(null))]);
    let [alert] = alerts(&requests[0]) else { panic!("one alert") };
    assert_eq!(alert["startsAt"], "2026-11-22T10:18:00Z");
}

#[test]
fn an_end_gives_way_to_a_newer_record_with_the_same_labels() {
    // In the same batch.
    let (done, requests) = play(&target(&[]), &[resolve(), successor()], vec![ok(POST, json!(null))]);
    assert_eq!(alerts(&requests[0]).len(), 1);
    assert_eq!(done.outcomes[0], Outcome::stored(None));
    assert_eq!(stored(&done.outcomes[1]).1, minute());
    // Sent earlier, and seen at the server.
    for (starts, gives_way) in [("2026-11-22T10:18:00.000Z", true), ("2026-11-22T09:50:00.250Z", false)] {
        let there = json!([{"labels": labels(&resolve(), &target(&[])), "startsAt": starts}]);
        let mut steps = vec![ok(LOOK, there)];
        if !gives_way {
            steps.push(ok(POST, json!(null)));
        }
        let (done, _) = play(&target(&[]), &[resolve()], steps);
        assert_eq!(stored(&done.outcomes[0]).1.is_none(), gives_way, "{starts}");
    }
    // A server that cannot say does not hold the end back.
    let steps = vec![says(LOOK, 500, json!("no")), ok(POST, json!(null))];
    assert_eq!(stored(&play(&target(&[]), &[resolve()], steps).0.outcomes[0]).1, minute());
}

#[test]
fn a_bad_alert_is_parted_from_the_good_ones() {
    let jobs: Vec<Job> = (0..4).map(|_| firing()).collect();
    let bad = || says(POST, 400, json!({"code": 601, "message": "labels in body is required"}));
    let good = || ok(POST, json!(null));
    let steps = vec![bad(), good(), bad(), good(), bad()];
    let (done, requests) = play(&target(&[]), &jobs, steps);
    assert_eq!(requests.iter().map(|r| alerts(r).len()).collect::<Vec<_>>(), [4, 2, 2, 1, 1]);
    let refused = |o: &Outcome| matches!(o, Outcome::Refused { reason } if reason.contains("is required"));
    assert_eq!(done.outcomes.iter().map(refused).collect::<Vec<_>>(), [false, false, false, true]);
}

#[test]
fn every_server_gets_every_alert_and_one_is_enough() {
    let good = || ok(POST, json!(null));
    let (_, requests) = play(&cluster(), &[firing()], vec![good(), good()]);
    let bases: Vec<_> = requests.iter().filter_map(|r| r.base.as_deref()).collect();
    assert_eq!(bases, ["http://a:9093", "http://b:9093"]);

    for steps in [vec![cut(POST, false), good()], vec![good(), says(POST, 503, json!("starting"))]] {
        let (done, _) = play(&cluster(), &[firing()], steps);
        assert_eq!(stored(&done.outcomes[0]).1, minute());
        assert!(done.warning.is_some());
    }
    // A proxy's page is no success.
    let mut page = fixture::reply(200, &json!(null));
    page.body = b"\n<!DOCTYPE html><html>log in</html>".to_vec();
    let (done, _) = play(&target(&[]), &[firing()], vec![(POST, Ok(page))]);
    assert!(
        matches!(&done.outcomes[0], Outcome::Pause { reason } if reason.contains("web page")),
        "{done:?}"
    );
    // None took it: what passes by itself decides, and what may have been carried out is said.
    for (steps, expected) in [
        (vec![cut(POST, true), says(POST, 404, json!(null))], "retry in doubt"),
        (vec![says(POST, 404, json!(null)), cut(POST, false)], "retry"),
        (vec![says(POST, 401, json!(null)), says(POST, 404, json!(null))], "pause"),
    ] {
        let (done, _) = play(&cluster(), &[firing()], steps);
        let got = match &done.outcomes[0] {
            Outcome::Retry { unknown: true, .. } => "retry in doubt",
            Outcome::Retry { .. } => "retry",
            Outcome::Pause { .. } => "pause",
            other => panic!("{other:?}"),
        };
        assert_eq!(got, expected);
    }
}

#[test]
fn problems_are_alerts_when_asked_for_and_links_never() {
    let mut job = firing();
    job.kind = RecordKind::Problem;
    job.body = fixture::body(include_str!("../../../../tests/data/forward/problem.json"));
    let (done, _) = play(&target(&[]), &[job.clone(), fixture::link()], Vec::new());
    assert_eq!(done.outcomes, vec![Outcome::stored(None); 2]);

    let asked = target(&[("problems", OptionValue::Bool(true))]);
    let (_, requests) = play(&asked, &[job], vec![ok(POST, json!(null))]);
    let alert = &alerts(&requests[0])[0];
    assert_eq!(alert["labels"]["alertname"], "ProblemCandidate");
    assert_eq!(alert["labels"]["sexton_problem"], "fingerprint:00000000000000aa");
    assert_eq!(alert["annotations"]["summary"], "/data fills up again and again");
}

#[test]
fn hello_wants_one_alertmanager() {
    const STATUS: &str = "GET /api/v2/status";
    let fit = || ok(STATUS, json!({"versionInfo": {"version": "0.25.0"}}));
    for (steps, pause, waits) in [
        (vec![fit()], None, false),
        (vec![cut(STATUS, false), fit()], None, false),
        (
            vec![ok(STATUS, json!({"hello": 1})), says(STATUS, 404, json!(null))],
            Some("no Alertmanager API v2"),
            false,
        ),
        (vec![says(STATUS, 401, json!(null)), cut(STATUS, false)], None, true),
    ] {
        let (done, _) = converse(|said| hello(&cluster(), said), steps);
        assert_eq!(done.pause.is_some(), pause.is_some(), "{done:?}");
        assert!(pause.is_none_or(|p| done.pause.as_ref().unwrap().contains(p)), "{done:?}");
        assert_eq!(!done.outcomes.is_empty(), waits, "{done:?}");
    }
}

#[test]
fn options_are_checked_together() {
    let text = |t: &str| OptionValue::Text(t.to_owned());
    let map = |k: &str, v: &str| OptionValue::Map(BTreeMap::from([(k.to_owned(), v.to_owned())]));
    assert_eq!(options::check(&target(&[]).options), Ok(()));
    for (key, value, says) in [
        ("url", text("am:9093"), "is no address"),
        ("url", text("http://am:9093/api/v2/"), "leave out /api/v2"),
        ("peers", OptionValue::List(vec!["https:///x".into()]), "is no address"),
        ("repeat", OptionValue::Duration(0), "between 1s and 1h"),
        ("labels", map("bad-name", "x"), "is no label name"),
        ("map", map("severity.high", "x"), "has no entry 'severity.high'"),
    ] {
        let error = options::check(&target(&[(key, value)]).options).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}
