//! The shared conversation against a product whose verbs are one request each.

use serde_json::{Value as Json, json};

use super::super::fixture::{KEY, Step, converse, create, later, link, ok, repeated, resolve, says};
use super::super::{Method, Request};
use super::*;
use crate::engine::option::Options;
use crate::engine::record::HostRef;

const ALERT: &str = "sx-a-0123456789abcdef-00000000000000aa";
const FIND: &str = "GET /find/sx-019ab000-0000-7000-8000-000000000001";

/// A product as plain as can be; its tickets come as `{"id", "key", "stage", "by"}`.
struct Plain;

impl Plain {
    fn list(&self, talk: &mut Talk, path: String) -> Result<Vec<Found>, Next> {
        let json = talk.ask(Request::get(path))?.json();
        Ok(json.as_array().into_iter().flatten().map(ticket).collect())
    }
}

fn ticket(json: &Json) -> Found {
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let stage = serde_json::from_value(json["stage"].clone()).ok();
    Found { id: text("id"), key: text("key"), stage, creator: text("by"), ..Found::default() }
}

impl Product for Plain {
    fn find(&self, talk: &mut Talk, _: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        self.list(talk, format!("/find/{key}"))
    }

    fn fit(&self, talk: &mut Talk, _: &Wanted) -> Result<(), Next> {
        let reply = talk.ask(Request::get("/fit"))?;
        success(talk, reply)
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        self.list(talk, format!("/orphans/{}", wanted.alert_key))
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        let body = json!({ "key": wanted.key });
        talk.ask(Request::json(Method::Put, format!("/adopt/{}", ticket.id), body)).map(|_| ())
    }

    fn create(&self, talk: &mut Talk, _: &Wanted, key: &str, before: Option<&Found>) -> Result<String, Next> {
        let body = json!({"key": key, "before": before.map(|b| b.id.clone())});
        let reply = talk.ask(Request::json(Method::Post, "/create", body))?;
        Ok(reply.json()["id"].as_str().unwrap_or_default().to_owned())
    }

    fn read(&self, talk: &mut Talk, _: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        let reply = talk.ask(Request::get(format!("/read/{id}")))?;
        Ok((reply.status != 404).then(|| ticket(&reply.json())))
    }

    fn is_said(&self, talk: &mut Talk, _: &Wanted, ticket: &Found) -> Result<bool, Next> {
        Ok(talk.ask(Request::get(format!("/said/{}", ticket.id)))?.json() == json!(true))
    }

    fn tell(&self, talk: &mut Talk, _: &Wanted, ticket: &Found, say: &Say) -> Result<Option<String>, Next> {
        let body = json!({"text": say.text, "stage": say.stage, "fields": say.fields});
        talk.ask(Request::json(Method::Post, format!("/tell/{}", ticket.id), body)).map(|_| None)
    }

    fn link(&self, talk: &mut Talk, _: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        talk.ask(Request::json(Method::Post, format!("/link/{incident}/{problem}"), json!({}))).map(|_| ())
    }
}

/// Played by a host whose store is older than any record.
fn play(job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    play_born(job, Stamp(0), steps)
}

fn play_born(job: &Job, born: Stamp, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let host = HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() };
    let target = Target { id: "plain".to_owned(), host, born, options: Options::default() };
    converse(|said| next(&Plain, &target, std::slice::from_ref(job), said), steps)
}

fn t(id: &str, stage: &str) -> Json {
    json!({"id": id, "key": KEY, "stage": stage, "by": "sexton"})
}

fn stored(id: &str) -> Outcome {
    Outcome::stored(Some(id.to_owned()))
}

fn none(asked: &'static str) -> Step {
    ok(asked, json!([]))
}

fn orphans() -> Step {
    none("GET /orphans/")
}

fn made(id: &str) -> Step {
    says("POST /create", 201, json!({ "id": id }))
}

fn told(asked: &'static str) -> Step {
    ok(asked, json!({}))
}

/// The same job, an attempt of which may have been carried out so many seconds ago.
fn in_doubt(job: Job, seconds: i64) -> Job {
    let claimed_at = Stamp(1000 * SECOND);
    Job { claimed_at, doubt_at: Some(claimed_at.plus(-seconds * SECOND)), ..repeated(job) }
}

#[test]
fn a_first_create_looks_for_orphans_only() {
    let (done, asked) = play(&create(), vec![orphans(), made("20"), ok("GET /read/20", t("20", "new"))]);
    assert_eq!(done, Done::from(stored("20")));
    assert!(asked[0].path.ends_with(ALERT));
    assert_eq!(asked[1].json_body(), &json!({"key": KEY, "before": null}));
}

#[test]
fn what_may_have_been_made_is_waited_for_and_then_made_once() {
    let (done, _) = play(&in_doubt(create(), 1), vec![none(FIND)]);
    let after = Some(Duration::from_secs(2));
    assert!(
        matches!(&done.outcomes[0], Outcome::Retry { after: a, unknown: false, .. } if *a == after),
        "{done:?}"
    );
    // A clock that went back does not make it wait for ever.
    let (done, _) = play(&in_doubt(create(), -5000), vec![none(FIND)]);
    let most = Some(Duration::from_secs(3));
    assert!(matches!(&done.outcomes[0], Outcome::Retry { after: a, .. } if *a == most), "{done:?}");

    let read = || ok("GET /read/20", t("20", "new"));
    let fit = || told("GET /fit");
    let steps = vec![none(FIND), fit(), orphans(), made("20"), read(), ok(FIND, json!([t("20", "new")]))];
    assert_eq!(play(&in_doubt(create(), 4), steps).0, Done::from(stored("20")));
    let unfit = vec![none(FIND), says("GET /fit", 403, json!({"error": "no such field"}))];
    let (done, _) = play(&in_doubt(create(), 4), unfit);
    let held = matches!(done.outcomes[0], Outcome::Pause { .. });
    assert!(held, "not found says nothing when the search is broken: {done:?}");
}

#[test]
fn of_several_tickets_the_oldest_counts_and_ours_are_retired() {
    let mut persons = t("23", "new");
    persons["by"] = json!("alice");
    let mut upper = t("19", "new");
    upper["key"] = json!(KEY.to_uppercase());
    let all = json!([upper, t("20", "new"), t("22", "new"), persons, t("24", "cancelled")]);
    let steps = vec![
        ok(FIND, all),
        told("POST /tell/22"),
        ok("GET /read/20", t("20", "new")),
        ok("GET /said/20", json!(true)),
        told("POST /tell/20"),
    ];
    let (done, asked) = play(&repeated(create()), steps);
    assert_eq!(done.outcomes, [stored("20")]);
    let twin = asked[1].json_body();
    assert_eq!((&twin["stage"], &twin["fields"]), (&json!("cancelled"), &json!(false)));
    assert!(twin["text"].as_str().unwrap().starts_with("Duplicate of ticket 20"), "{twin}");

    // One that is worked on counts before an older one that is over.
    let all = json!([t("20", "closed"), t("22", "new")]);
    let steps = vec![
        ok(FIND, all),
        ok("GET /read/22", t("22", "new")),
        ok("GET /said/22", json!(true)),
        told("POST /tell/22"),
    ];
    assert_eq!(play(&repeated(create()), steps).0.outcomes, [stored("22")]);
}

#[test]
fn a_create_that_lost_the_race_against_its_first_attempt_retires_its_own() {
    let steps = vec![
        none(FIND),
        told("GET /fit"),
        orphans(),
        made("21"),
        ok("GET /read/21", t("21", "new")),
        ok(FIND, json!([t("20", "new"), t("21", "new")])),
        told("POST /tell/21"),
        ok("GET /read/20", t("20", "new")),
        ok("GET /said/20", json!(true)),
        told("POST /tell/20"),
    ];
    assert_eq!(play(&repeated(create()), steps).0.outcomes, [stored("20")]);
}

#[test]
fn only_what_a_lost_store_left_open_is_adopted() {
    let minted_at = minted(KEY).unwrap();
    let job = |born: Stamp| Job { claimed_at: born.plus(DAY), ..create() };
    let fresh = || vec![made("30"), ok("GET /read/30", t("30", "new"))];
    let orphan = |t: Json| vec![ok("GET /orphans/", json!([t]))];
    for (what, born, ticket, days) in [
        ("of this store", minted_at.plus(-SECOND), t("20", "new"), 1),
        ("of the millisecond in which this store began", minted_at.plus(400_000), t("20", "new"), 1),
        ("over", minted_at.plus(SECOND), t("20", "resolved"), 1),
        ("without a key of ours", minted_at.plus(SECOND), json!({"id": "20", "key": "x", "stage": "new"}), 1),
    ] {
        let job = Job { claimed_at: born.plus(days * DAY), ..job(born) };
        let (done, _) = play_born(&job, born, [orphan(ticket), fresh()].concat());
        assert_eq!(done.outcomes, [stored("30")], "{what}");
    }
    let born = minted_at.plus(SECOND);
    let late = Job { claimed_at: born.plus(91 * DAY), ..create() };
    assert_eq!(play_born(&late, born, fresh()).0.outcomes, [stored("30")], "no longer looked for");

    let left = json!([t("20", "in_progress"), t("21", "new")]);
    let steps = vec![
        ok("GET /orphans/", left),
        told("PUT /adopt/20"),
        told("POST /tell/21"),
        ok("GET /read/20", t("20", "in_progress")),
        ok("GET /said/20", json!(false)),
        told("POST /tell/20"),
    ];
    let (done, asked) = play_born(&job(born), born, steps);
    assert_eq!(done.outcomes, [stored("20")]);
    assert_eq!(asked[1].json_body(), &json!({ "key": KEY }), "later searches see it");
    assert_eq!(asked[5].json_body()["stage"], json!(null), "what a person works on stays as it is");
}

#[test]
fn a_ticket_without_its_key_pauses_and_is_kept() {
    let bare = json!({"id": "20", "key": "", "stage": "new"});
    let (done, _) = play(&create(), vec![orphans(), made("20"), ok("GET /read/20", bare.clone())]);
    assert_eq!(done.outcomes, [stored("20")]);
    assert!(done.pause.unwrap().contains("without its key"));
    let steps = vec![says("GET /read/20", 404, json!({})), none(FIND), made("20"), ok("GET /read/20", bare)];
    let (done, _) = play(&later(Operation::Update, None), steps);
    assert!(done.pause.is_some() && done.outcomes == [stored("20")], "a ticket made anew as well: {done:?}");
    let steps = vec![orphans(), made("20"), says("GET /read/20", 404, json!({}))];
    let (done, _) = play(&create(), steps);
    assert!(
        matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }),
        "made and not to be seen: {done:?}"
    );
    let steps = vec![orphans(), made("20"), says("GET /read/20", 401, json!({}))];
    let (done, _) = play(&create(), steps);
    assert!(
        matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }) && done.pause.is_some(),
        "{done:?}"
    );
}

#[test]
fn a_ticket_without_its_key_of_what_is_over_is_ended_all_the_same() {
    let mut past = resolve();
    (past.acked_rev, past.remote_id, past.operation) = (0, None, Operation::Create);
    let bare = |stage: &str| ok("GET /read/20", json!({"id": "20", "key": "", "stage": stage}));
    let begin = || vec![made("20"), bare("new"), bare("new")];
    let end = vec![ok("GET /said/20", json!(false)), told("POST /tell/20")];
    let (done, asked) = play(&past, [begin(), end].concat());
    assert_eq!(done.outcomes, [stored("20")]);
    assert!(done.pause.unwrap().contains("without its key"));
    assert_eq!(asked.last().unwrap().json_body()["stage"], "resolved");
    let (done, _) = play(&past, [begin(), vec![says("GET /said/20", 503, json!({}))]].concat());
    assert_eq!(done.outcomes, [stored("20")], "made again it would be two: {done:?}");
}

#[test]
fn a_gone_ticket_is_found_again_or_made_anew_and_never_for_a_record_that_is_over() {
    let gone = || says("GET /read/20", 404, json!({}));
    let over = vec![gone(), none(FIND)];
    assert_eq!(play(&resolve(), over).0, Done::from(stored("20")), "nothing is left open");

    let update = later(Operation::Update, None);
    let another = ok(FIND, json!([t("25", "new")]));
    let (done, _) = play(&update, vec![gone(), another, told("POST /tell/25")]);
    assert_eq!(done.outcomes, [stored("25")]);

    let closed = || ok(FIND, json!([t("9", "closed")]));
    let read = || ok("GET /read/26", t("26", "new"));
    let (done, asked) = play(&update, vec![gone(), closed(), made("26"), read()]);
    assert_eq!(done.outcomes, [stored("26")], "one that is closed for good cannot take it up");
    assert!(done.warning.unwrap().contains("was gone"));
    assert_eq!(asked[2].json_body()["key"], KEY);

    let lost = ok(FIND, json!([t("9", "closed"), t("26", "new")]));
    let steps = vec![gone(), closed(), lost];
    assert_eq!(play(&repeated(update), steps).0.outcomes, [stored("26")], "made by the lost attempt");
}

#[test]
fn a_ticket_closed_for_good_gets_a_successor_once() {
    let reopen = later(Operation::Reopen, Some(("resolved", "in_progress")));
    let read = || ok("GET /read/20", t("20", "closed"));
    let successor = json!({"id": "27", "key": format!("{KEY}-2"), "stage": "new"});
    let seen = || ok("GET /read/27", successor.clone());
    let (done, asked) = play(&reopen, vec![read(), made("27"), seen()]);
    assert_eq!(done.outcomes, [stored("27")]);
    assert_eq!(asked[1].json_body(), &json!({"key": format!("{KEY}-2"), "before": "20"}));
    let again = ok("GET /find/sx-019ab000-0000-7000-8000-000000000001-2", json!([successor]));
    assert_eq!(play(&repeated(reopen), vec![read(), again]).0.outcomes, [stored("27")]);
    // What does not come back is told where it stands.
    let (done, asked) = play(&later(Operation::Update, None), vec![read(), told("POST /tell/20")]);
    assert_eq!(done.outcomes, [stored("20")]);
    assert_eq!(asked[1].json_body()["stage"], json!(null));
}

#[test]
fn a_persons_decision_is_kept() {
    let job = |change: Option<(&str, &str)>, operation| later(operation, change);
    let up = |to: &'static str| job(Some(("new", to)), Operation::Update);
    let back = || job(Some(("resolved", "in_progress")), Operation::Reopen);
    for (what, job, at, to) in [
        ("a note moves nothing", job(None, Operation::Update), "on_hold", None),
        ("a resolve ends what is worked on", resolve(), "in_progress", Some("resolved")),
        ("what a person ended stays so", up("in_progress"), "resolved", None),
        ("a resolve after a person's", resolve(), "cancelled", None),
        ("it came back", back(), "resolved", Some("in_progress")),
        ("it came back and is open there", back(), "acknowledged", None),
        ("seen on the host", up("acknowledged"), "new", Some("acknowledged")),
        ("seen on the host, worked on there", up("acknowledged"), "in_progress", None),
        ("a hold on the host", up("on_hold"), "in_progress", Some("on_hold")),
        ("work goes on", up("in_progress"), "on_hold", Some("in_progress")),
        ("a state we do not know", resolve(), "odd", Some("resolved")),
    ] {
        let (_, asked) = play(&job, vec![ok("GET /read/20", t("20", at)), told("POST /tell/20")]);
        assert_eq!(asked[1].json_body()["stage"].as_str(), to, "{what}");
    }
    let merged = ok("GET /read/20", t("7", "new"));
    let (done, asked) = play(&resolve(), vec![merged, told("POST /tell/7")]);
    assert_eq!(done.outcomes, [stored("7")]);
    let body = asked[1].json_body();
    assert_eq!(
        (&body["stage"], &body["fields"]),
        (&json!(null), &json!(false)),
        "another's is told, not closed"
    );
    assert!(body["text"].is_string());
}

#[test]
fn a_lost_word_is_waited_for_before_it_is_said_again() {
    let read = || ok("GET /read/20", t("20", "new"));
    let said = |yes: bool| ok("GET /said/20", json!(yes));
    let (done, _) = play(&in_doubt(resolve(), 1), vec![read(), said(false)]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: false, .. }), "{done:?}");
    let (_, asked) = play(&in_doubt(resolve(), 4), vec![read(), said(true), told("POST /tell/20")]);
    assert_eq!(asked[2].json_body()["text"], json!(null));
    let over = || ok("GET /read/20", t("20", "resolved"));
    let (done, _) = play(&in_doubt(resolve(), 1), vec![over(), said(true), told("POST /tell/20")]);
    assert_eq!(done.outcomes, [stored("20")], "nothing is left to wait for");

    let (done, _) = play(&in_doubt(link(), 1), vec![]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: false, .. }), "{done:?}");
    assert_eq!(
        play(&in_doubt(link(), 4), vec![told("POST /link/20/30")]).0.outcomes,
        [Outcome::stored(None)]
    );
    let alone = Job { remote_problem: None, ..link() };
    assert!(matches!(play(&alone, vec![]).0.outcomes[0], Outcome::Retry { after: Some(_), .. }));
}

#[test]
fn keys_tell_when_they_were_minted() {
    assert_eq!(minted(KEY), Some(Stamp(0x019a_b000_0000 * MILLISECOND)));
    assert_eq!(minted(&format!("{KEY}-12")), minted(KEY));
    for odd in ["", "sx-", "INC42", "sx-zz", "sx-a-0123456789abcdef", "sx-019a"] {
        assert_eq!(minted(odd), None, "{odd}");
    }
}

#[test]
fn one_hidden_ticket_keeps_no_other_from_being_read_back() {
    let held = |record: &str| Held {
        cursor: 1,
        kind: RecordKind::Incident,
        record: record.to_owned(),
        rev: 3,
        remote_id: record.to_owned(),
        over: false,
    };
    let all = [held("a"), held("b"), held("c")];
    let read = |said: &[super::super::Exchange]| {
        read_back(&all, said, |talk, held| {
            let reply = talk.ask(Request::get(format!("/read/{}", held.remote_id)))?;
            match reply.status {
                404 => Err(gone(held)),
                410 => Ok(Some(deleted(held, "thrown away"))),
                403 => Err(refused("hidden".to_owned())),
                _ => Ok(ticket(&reply.json()).remote(&held.record, held.rev)),
            }
        })
    };
    let steps =
        |last: Step| vec![says("GET /read/a", 403, json!({})), says("GET /read/b", 404, json!({})), last];
    let (done, _) = converse(read, steps(ok("GET /read/c", t("c", "on_hold"))));
    let told: Vec<_> = done.remotes.iter().map(|r| (r.record.as_str(), r.rev, r.stage)).collect();
    assert_eq!(told, [("c", 3, Stage::OnHold)]);
    assert_eq!(done.gone, ["b"]);
    assert!(done.outcomes.is_empty() && done.pause.is_none(), "{done:?}");
    let (done, _) = converse(read, steps(says("GET /read/c", 503, json!({}))));
    assert!(matches!(done.outcomes[..], [Outcome::Retry { .. }]), "{done:?}");
}
