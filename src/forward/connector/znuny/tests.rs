//! What is asked of Znuny, and what its answers mean.

use serde_json::{Value as Json, json};

use super::super::fixture::{KEY, Step, converse, create, later, link, ok, repeated, resolve, says};
use super::super::{Done, Place, Request};
use super::*;
use crate::engine::effect::{Operation, Outcome, Stage};
use crate::engine::moment::Stamp;
use crate::engine::option::OptionValue;
use crate::engine::record::HostRef;

const FIND: &str = "POST /TicketSearch";
const GET: &str = "POST /TicketGet";
const MAKE: &str = "POST /TicketCreate";
const UPDATE: &str = "POST /TicketUpdate";

fn play(map: &[(&str, &str)], job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let map = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = [
        ("user".to_owned(), OptionValue::Text("sexton".to_owned())),
        ("map".to_owned(), OptionValue::Map(map)),
    ];
    let host = HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() };
    let options = Options(options.into());
    assert_eq!(check(&options), Ok(()));
    let target = Target { id: "znuny".to_owned(), host, born: Stamp(0), options };
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

fn ticket(id: u64, state: &str, kind: &str) -> Json {
    json!({"TicketID": id, "TicketNumber": format!("2026{id}"), "State": state, "StateType": kind, "OwnerID": 1,
        "Owner": "root@localhost", "CreateBy": 7, "ChangeBy": 7, "Priority": "2 low",
        "Title": format!("web-01: /data is 91 % full [{KEY}]")})
}

fn shown(ticket: Json) -> Json {
    json!({ "Ticket": [ticket] })
}

fn error(code: &str, text: &str) -> Json {
    json!({"Error": {"ErrorCode": code, "ErrorMessage": text}})
}

fn made() -> Json {
    json!({"TicketID": 20, "TicketNumber": "202620", "ArticleID": 1})
}

#[test]
fn a_create_works_on_a_stock_installation_with_the_password_in_place_of_nothing() {
    let steps = vec![ok(MAKE, made()), ok(GET, shown(ticket(20, "new", "new")))];
    let (done, asked) = play(&[], &create(), steps);
    assert_eq!(done, Done::from(Outcome::stored(Some("20".to_owned()))));
    let body = asked[0].json_body();
    assert_eq!(body["Ticket"]["Title"], format!("web-01: /data is 91 % full [{KEY}]"));
    assert_eq!(body["Ticket"]["Queue"], "Raw");
    assert_eq!(
        (&body["Ticket"]["Priority"], &body["Ticket"]["CustomerUser"]),
        (&json!("2 low"), &json!("root@localhost"))
    );
    assert!(body["Ticket"].get("Type").is_none() && body.get("DynamicField").is_none());
    assert_eq!((&body["UserLogin"], &body["Password"]), (&json!("sexton"), &json!("")));
    for request in &asked {
        assert_eq!(request.secrets[0].place, Place::Json("/Password"));
        assert!(!request.login);
    }
    assert!(asked[0].is_write() && !asked[1].is_write(), "a POST that reads leaves no doubt");
}

#[test]
fn dynamic_fields_hold_the_keys_where_they_are_named() {
    let map = [("field.key", "SextonKey"), ("type.incident", "Incident")];
    let mut there = ticket(20, "new", "new");
    there["Title"] = json!("web-01: /data is 91 % full");
    there["DynamicField"] =
        json!([{"Name": "SextonKey", "Value": format!("{KEY} sx-a-0123456789abcdef-00000000000000aa")}]);
    let steps = vec![ok(FIND, json!({})), ok(MAKE, made()), ok(GET, shown(there))];
    let (done, asked) = play(&map, &create(), steps);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".to_owned()))]);
    let like = &asked[0].json_body()["DynamicField_SextonKey"]["Like"];
    assert_eq!(like, "*sx-a-0123456789abcdef-00000000000000aa*", "an orphan is looked for");
    let body = asked[1].json_body();
    assert_eq!(body["DynamicField"][0]["Value"], format!("{KEY} sx-a-0123456789abcdef-00000000000000aa"));
    assert_eq!(
        (&body["Ticket"]["Title"], &body["Ticket"]["Type"]),
        (&json!("web-01: /data is 91 % full"), &json!("Incident"))
    );
}

#[test]
fn an_error_inside_a_200_is_an_error() {
    let paused = |steps| play(&[], &create(), steps).0.pause.unwrap_or_default();
    let said = paused(vec![ok(MAKE, error("TicketCreate.AuthFail", "could not be authenticated"))]);
    assert!(said.starts_with("user 'sexton' is refused"), "{said}");
    let said =
        paused(vec![ok(MAKE, error("TicketCreate.InvalidParameter", "Ticket->Queue parameter is invalid!"))]);
    assert!(said.contains("Ticket->Queue"), "{said}");
    let said = paused(vec![says(MAKE, 404, json!({}))]);
    assert!(said.contains("no web service"), "{said}");
    let doubt = |steps| play(&[], &create(), steps).0.outcomes.remove(0);
    for odd in [json!("sign in"), json!({}), json!({"TicketNumber": "x"})] {
        let outcome = doubt(vec![ok(MAKE, odd.clone())]);
        assert!(matches!(outcome, Outcome::Retry { unknown: true, .. }), "{odd}: {outcome:?}");
    }
    let outcome = doubt(vec![says(MAKE, 500, json!({"faultstring": "deadlock"}))]);
    assert!(matches!(outcome, Outcome::Retry { unknown: true, .. }), "{outcome:?}");
}

#[test]
fn a_resolve_says_and_closes_in_one_call_and_once() {
    let open = || ok(GET, shown(ticket(20, "new", "new")));
    let told = || ok(UPDATE, json!({"TicketID": 20, "TicketNumber": "202620"}));
    let (done, asked) = play(&[], &resolve(), vec![open(), told()]);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".to_owned()))]);
    let body = asked[1].json_body();
    assert_eq!(body["Ticket"], json!({"State": "closed successful"}));
    assert!(body["Article"]["Subject"].as_str().unwrap().ends_with(&format!("[{KEY}-2-r]")));

    let mut said = ticket(20, "new", "new");
    said["Article"] = json!([{"Subject": format!("INC000042 resolved [{KEY}-2-r]"), "Body": "…"}]);
    let (_, asked) = play(&[], &repeated(resolve()), vec![open(), ok(GET, shown(said)), told()]);
    assert_eq!(asked[1].json_body()["ArticleLimit"], 20, "a long ticket is not read whole");
    assert!(asked[2].json_body().get("Article").is_none());
}

#[test]
fn a_merged_ticket_is_told_and_stays_merged() {
    let reopened = || later(Operation::Reopen, Some(("resolved", "new")));
    for (state, kind, changes) in [("merged", "merged", false), ("closed successful", "closed", true)] {
        let told = ok(UPDATE, json!({"TicketID": 20, "TicketNumber": "202620"}));
        let (done, asked) = play(&[], &reopened(), vec![ok(GET, shown(ticket(20, state, kind))), told]);
        assert_eq!(done.outcomes, [Outcome::stored(Some("20".to_owned()))]);
        let body = asked[1].json_body();
        assert!(body.get("Article").is_some(), "{body}");
        assert_eq!(body.get("Ticket").is_some(), changes, "{body}");
    }
}

#[test]
fn a_link_is_a_note_or_a_field() {
    let (incident, problem) =
        (|| ok(GET, shown(ticket(20, "open", "open"))), || ok(GET, shown(ticket(30, "open", "open"))));
    let told = || ok(UPDATE, json!({"TicketID": 20}));
    let (_, asked) = play(&[], &link(), vec![incident(), problem(), incident(), told()]);
    let subject = asked[3].json_body()["Article"]["Subject"].as_str().unwrap().to_owned();
    assert!(subject.starts_with("Problem Ticket#202630 [sx-"), "{subject}");
    let mut tied = ticket(20, "open", "open");
    tied["Article"] = json!([{ "Subject": subject }]);
    let (done, _) = play(&[], &link(), vec![incident(), problem(), ok(GET, shown(tied))]);
    assert_eq!(done.outcomes, [Outcome::stored(None)], "said already");
    let (_, asked) = play(&[("field.problem", "Problem")], &link(), vec![incident(), problem(), told()]);
    assert_eq!(asked[2].json_body()["DynamicField"], json!([{"Name": "Problem", "Value": "202630"}]));
    assert!(
        asked[2].json_body().get("Article").is_none(),
        "beside an article it would be the article's field"
    );
}

#[test]
fn what_people_did_is_read_back_with_the_time_of_the_last_change() {
    let held = Held {
        cursor: 1,
        kind: crate::engine::effect::RecordKind::Incident,
        record: "r1".to_owned(),
        rev: 3,
        remote_id: "20".to_owned(),
        over: true,
    };
    let mut taken = ticket(20, "open", "open");
    (taken["OwnerID"], taken["Owner"]) = (json!(9), json!("ada"));
    taken["Changed"] = json!("2026-11-22 10:00:00");
    let options = Options([("user".to_owned(), OptionValue::Text("sexton".to_owned()))].into());
    let host = HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() };
    let target = Target { id: "znuny".to_owned(), host, born: Stamp(0), options };
    let (done, _) =
        converse(|said| read(&target, std::slice::from_ref(&held), said), vec![ok(GET, shown(taken))]);
    let [remote] = &done.remotes[..] else { panic!("one ticket was read: {done:?}") };
    assert_eq!((remote.stage, remote.assignee.as_deref()), (Stage::InProgress, Some("ada")));
    assert_eq!(remote.updated, "2026-11-22T10:00:00Z".parse().ok());
}

#[test]
fn a_web_service_that_was_not_imported_is_told_as_such() {
    let options = Options([("user".to_owned(), OptionValue::Text("sexton".to_owned()))].into());
    let host = HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() };
    let target = Target { id: "znuny".to_owned(), host, born: Stamp(0), options };
    let greet = |step: Step| converse(|said| hello(&target, said), vec![step]).0;
    let bare = greet(says(FIND, 500, json!("<html><title>500 Internal Server Error</title></html>")));
    assert!(bare.pause.as_deref().is_some_and(|why| why.contains("znuny-webservice.yml")), "{bare:?}");
    let fault = json!({"faultcode": "Server", "faultstring": "database is away"});
    let away = greet(says(FIND, 500, fault));
    assert!(matches!(away.outcomes[..], [Outcome::Retry { .. }]) && away.pause.is_none(), "{away:?}");
}
