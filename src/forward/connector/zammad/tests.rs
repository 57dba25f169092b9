//! What is asked of Zammad, and what its answers mean.

use serde_json::{Value as Json, json};

use super::super::fixture::{KEY, converse, create, cut, later, link, ok, repeated, resolve, says};
use super::super::{Done, Request};
use super::*;
use crate::engine::effect::{Operation, Outcome};
use crate::engine::record::HostRef;

const ALERT: &str = "sx-a-0123456789abcdef-00000000000000aa";
const FIND: &str = "GET /api/v1/tickets/search?condition%5Bticket.note%5D";
const SAID: &str = "GET /api/v1/tickets/search?condition%5Bticket.number%5D";

fn target() -> Target {
    let host = HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() };
    Target { id: "zammad".to_owned(), host, born: Stamp(0), options: Options::default() }
}

fn play(job: &Job, steps: Vec<super::super::fixture::Step>) -> (Done, Vec<Request>) {
    let target = target();
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

fn ticket(id: u64, state: &str) -> Json {
    json!({"id": id, "number": format!("9{id}"), "state": state, "priority": "2 normal", "owner": "-",
        "created_by": "sexton", "updated_by": "sexton", "note": format!("{KEY} {ALERT}"), "type": "Incident"})
}

fn stored(id: &str) -> Outcome {
    Outcome::stored(Some(id.to_owned()))
}

#[test]
fn a_create_works_on_a_stock_installation() {
    let steps = vec![
        ok(FIND, json!([])),
        says("POST /api/v1/tickets?expand=true", 201, ticket(20, "new")),
        ok("GET /api/v1/tickets/20?expand=true", ticket(20, "new")),
    ];
    let (done, asked) = play(&create(), steps);
    assert_eq!(done, Done::from(stored("20")));
    assert!(asked[0].path.contains("sx-a-0123456789abcdef"), "an orphan is looked for by alert key");
    let body = asked[1].json_body();
    assert_eq!(body["note"], format!("{KEY} {ALERT}"), "both keys in a column that every ticket has");
    assert_eq!(
        (&body["group"], &body["state"], &body["type"]),
        (&json!("Users"), &json!("new"), &json!("Incident"))
    );
    assert_eq!((&body["priority"], &body["article"]["internal"]), (&json!("2 normal"), &json!(true)));
    assert_eq!(body["customer_id"], "guess:sexton@example.com");
    let text = body["article"]["body"].as_str().unwrap();
    assert!(text.starts_with("<p>/data is 91 % full</p>") && text.contains("<pre>Host"), "{text}");
}

#[test]
fn a_setup_that_no_record_passes_pauses_and_a_bad_record_is_refused() {
    let post = "POST /api/v1/tickets?expand=true";
    let error = |text: &str| json!({"error": text, "error_human": text});
    for (status, text, pauses) in [
        (422, "No lookup value found for 'group': \"Users\"", true),
        (422, "Missing required value for field 'area'!", true),
        (403, "Not authorized", true),
        (422, "Title is too long", false),
    ] {
        let steps = vec![ok(FIND, json!([])), says(post, status, error(text))];
        let (done, _) = play(&create(), steps);
        assert_eq!(done.pause.is_some(), pauses, "{text}: {done:?}");
        let refused = matches!(&done.outcomes[0], Outcome::Refused { reason } if reason.contains(text));
        assert_eq!(refused, !pauses, "{text}: {done:?}");
    }
}

#[test]
fn a_page_of_a_proxy_proves_nothing() {
    let page = || json!("sign in");
    let get = "GET /api/v1/tickets/20";
    let cases = vec![
        ("create", create(), vec![ok(FIND, json!([])), ok("POST /api/v1/tickets", page())], true),
        ("find", repeated(create()), vec![ok(FIND, page())], true),
        ("read", resolve(), vec![ok(get, page())], false),
        ("404", resolve(), vec![says(get, 404, page())], false),
        ("tell", resolve(), vec![ok(get, ticket(20, "new")), ok("PUT /api/v1/tickets/20", page())], true),
    ];
    for (name, job, steps, unknown) in cases {
        let (done, _) = play(&job, steps);
        let told = matches!(done.outcomes[0], Outcome::Retry { unknown: u, .. } if u == unknown);
        assert!(told, "{name}: {done:?}");
    }
}

#[test]
fn a_resolve_says_and_closes_in_one_call() {
    let steps = vec![
        ok("GET /api/v1/tickets/20", ticket(20, "new")),
        ok("PUT /api/v1/tickets/20?expand=true", ticket(20, "closed")),
    ];
    let (done, asked) = play(&resolve(), steps);
    assert_eq!(done, Done::from(stored("20")));
    let body = asked[1].json_body();
    assert_eq!(body["state"], "closed");
    let subject = body["article"]["subject"].as_str().unwrap();
    assert!(subject.ends_with(&format!("[{KEY}-2-r]")), "{subject}");
    assert!(body.get("priority").is_none() && body.get("title").is_none());
}

#[test]
fn what_was_said_is_not_said_again() {
    let get = || ok("GET /api/v1/tickets/20", ticket(20, "new"));
    let said = ok(SAID, json!([ticket(20, "new")]));
    let put = ok("PUT /api/v1/tickets/20?expand=true", ticket(20, "closed"));
    let (done, asked) = play(&repeated(resolve()), vec![get(), said, put]);
    assert_eq!(done.outcomes, [stored("20")]);
    assert_eq!(asked[2].json_body(), &json!({"state": "closed"}), "only what the lost attempt left undone");
    assert!(asked[1].path.contains("article.subject"), "{}", asked[1].path);

    let closed = || ok("GET /api/v1/tickets/20", ticket(20, "closed"));
    let (done, _) = play(&repeated(resolve()), vec![closed(), ok(SAID, json!([ticket(20, "closed")]))]);
    assert_eq!(done.outcomes, [stored("20")], "nothing is left to do");
}

#[test]
fn weight_only_grows_and_a_hold_has_a_day() {
    let mut job = later(Operation::Update, Some(("new", "on_hold")));
    job.body["priority"] = json!("P1");
    job.claimed_at = "2026-11-22T10:00:00.5Z".parse().unwrap();
    let get = |t: Json| ok("GET /api/v1/tickets/20", t);
    let put = || ok("PUT /api/v1/tickets/20", ticket(20, "pending reminder"));
    let (_, asked) = play(&job, vec![get(ticket(20, "new")), put()]);
    let body = asked[1].json_body();
    assert_eq!((&body["priority"], &body["state"]), (&json!("3 high"), &json!("pending reminder")));
    assert_eq!(body["pending_time"], "2026-11-23T10:00:00Z");
    let mut raised = ticket(20, "new");
    raised["priority"] = json!("3 high");
    job.body["priority"] = json!("P4");
    let (_, asked) = play(&job, vec![get(raised), put()]);
    assert!(asked[1].json_body().get("priority").is_none(), "what a person raised stays");
}

#[test]
fn a_merged_ticket_is_told_but_not_closed() {
    let links = json!({"links": [
        {"link_type": "normal", "link_object": "Ticket", "link_object_value": 8},
        {"link_type": "parent", "link_object": "Ticket", "link_object_value": 30},
        {"link_type": "parent", "link_object": "Ticket", "link_object_value": 7}]});
    let mut problem = ticket(30, "open");
    problem["type"] = json!("Problem");
    let steps = vec![
        ok("GET /api/v1/tickets/20", ticket(20, "merged")),
        ok("GET /api/v1/links?link_object=Ticket&link_object_value=20", links),
        ok("GET /api/v1/tickets/30", problem),
        ok("GET /api/v1/tickets/7", ticket(7, "open")),
        ok("PUT /api/v1/tickets/7", ticket(7, "open")),
    ];
    let (done, asked) = play(&resolve(), steps);
    assert_eq!(done.outcomes, [stored("7")]);
    let body = asked[4].json_body();
    assert!(body.get("state").is_none() && body.get("article").is_some(), "{body}");
}

#[test]
fn a_link_goes_from_the_problems_number_to_the_incidents_id_once() {
    let links = |list: Json| ok("GET /api/v1/links?", json!({ "links": list }));
    let tied = json!([{"link_type": "parent", "link_object": "Ticket", "link_object_value": 30}]);
    let get = |id| ok("GET /api/v1/tickets/", ticket(id, "open"));
    let add = says("POST /api/v1/links/add", 201, json!({"id": 1}));
    let (done, asked) = play(&link(), vec![get(20), links(json!([])), get(30), add, links(tied.clone())]);
    assert_eq!(done.outcomes, [Outcome::stored(None)]);
    let body = asked[3].json_body();
    assert_eq!(
        (&body["link_object_source_number"], &body["link_object_target_value"]),
        (&json!("930"), &json!(20))
    );
    assert_eq!(body["link_type"], "parent");
    let (done, _) = play(&link(), vec![get(20), links(tied)]);
    assert_eq!(done.outcomes, [Outcome::stored(None)], "tied already");
    let gone = says("GET /api/v1/tickets/20", 404, json!({"error": "Couldn't find Ticket"}));
    assert!(matches!(play(&link(), vec![gone]).0.outcomes[0], Outcome::Refused { .. }));
}

#[test]
fn a_hidden_ticket_is_told_from_lost_rights() {
    let denied = || says("GET /api/v1/tickets/20", 403, json!({"error": "Not authorized"}));
    let me = || ok("GET /api/v1/users/me", json!({"login": "sexton"}));
    let states = json!([{"name": "new"}, {"name": "open"}, {"name": "pending reminder"}, {"name": "closed"}]);
    let priorities = json!([{"name": "1 low"}, {"name": "2 normal"}, {"name": "3 high"}]);
    let steps = vec![
        denied(),
        me(),
        ok("GET /api/v1/ticket_states", states),
        ok("GET /api/v1/ticket_priorities", priorities),
        ok(FIND, json!([])),
    ];
    assert!(matches!(play(&resolve(), steps).0.outcomes[0], Outcome::Refused { .. }), "one ticket");
    let steps = vec![denied(), me(), says("GET /api/v1/ticket_states", 403, json!({}))];
    let (done, _) = play(&resolve(), steps);
    assert!(done.pause.unwrap().contains("ticket.agent"), "all of it");
    let (done, _) = play(&resolve(), vec![cut("GET /api/v1/tickets/20", true)]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: false, .. }), "a read leaves no doubt");
}

#[test]
fn options_are_checked_before_anything_runs() {
    use crate::engine::option::{OptionValue, SecretRef};
    let secret = || OptionValue::Secret(SecretRef::Env("X".to_owned()));
    let with = |entries: Vec<(&str, OptionValue)>| {
        Options(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    };
    let map = |key: &str, value: &str| OptionValue::Map([(key.to_owned(), value.to_owned())].into());
    assert!(check(&with(vec![])).unwrap_err().contains("token"));
    assert!(check(&with(vec![("user", OptionValue::Text("a".into())), ("password", secret())])).is_ok());
    assert!(check(&with(vec![("token", secret()), ("map", map("state.opened", "x"))])).is_err());
    assert!(check(&with(vec![("token", secret()), ("map", map("field.key", ""))])).is_err());
    assert_eq!(check(&with(vec![("token", secret())])), Ok(()));
}
