//! Forwarding against a real Request Tracker, started by `tests/services/rt` and read back with another
//! user's token.
//!
//! Left out with a plain message where RT is not installed (`tests/services/rt install`, Debian, as root).

#[path = "forward/mod.rs"]
mod common;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex, Weak};

use common::{Memory, State, fresh_id, host, incident, local, plan, quick, setting, until, within_a_minute};
use serde_json::{Value as Json, json};
use sexton::engine::effect::{Operation, RecordKind};
use sexton::engine::moment::SECOND;
use sexton::engine::option::DestinationPlan;
use sexton::forward::{Forward, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running RT; stopped when the last test that uses it lets go.
struct Rt {
    dir: tempfile::TempDir,
    port: u16,
    operator: String,
    token_file: PathBuf,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/rt")
}

/// The RT that all tests of this file share, or `None` with a message when it cannot run here.
fn rt() -> Option<Arc<Rt>> {
    static SHARED: Mutex<Weak<Rt>> = Mutex::new(Weak::new());
    if !Path::new("/usr/share/request-tracker5/libexec/rt-server").exists() {
        eprintln!("left out: Request Tracker 5 is not installed (run tests/services/rt install as root)");
        return None;
    }
    let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = Arc::new(Rt::start());
    *shared = Arc::downgrade(&started);
    Some(started)
}

impl Rt {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut rt = Self { token_file: dir.path().join("token"), dir, port, operator: String::new() };
        rt.call("start", None);
        std::fs::write(&rt.token_file, rt.call("token", Some("sexton"))).unwrap();
        rt.operator = rt.call("token", Some("operator"));
        rt
    }

    fn call(&self, verb: &str, more: Option<&str>) -> String {
        let mut command = Command::new(script());
        command.arg(verb).arg(self.home()).args(more).env("RT_PORT", self.port.to_string());
        let output = command.output().unwrap();
        assert!(output.status.success(), "rt {verb}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("rt")
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn plan(&self, port: u16) -> DestinationPlan {
        plan("rt", &format!("http://127.0.0.1:{port}/REST/2.0"), self.token_file.to_str().unwrap())
    }

    async fn read(&self, path: &str) -> Json {
        self.ask(reqwest::Method::GET, path, None).await
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Json>) -> Json {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client
            .request(method, format!("http://127.0.0.1:{}/REST/2.0{path}", self.port))
            .header("Authorization", format!("token {}", self.operator));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// All tickets that carry the key, oldest first: (id, status).
    async fn tickets(&self, record: &str) -> Vec<(String, String)> {
        let query = format!("'CF.{{CorrelationKey}}' = 'sx-{record}'").replace(' ', "%20");
        let found = self.read(&format!("/tickets?query={query}&fields=Status&orderby=id")).await;
        let text = |j: &Json| j.as_str().unwrap().to_owned();
        found["items"].as_array().unwrap().iter().map(|i| (text(&i["id"]), text(&i["Status"]))).collect()
    }

    /// Texts of all comments and of the ticket itself, oldest first.
    async fn texts(&self, ticket: &str) -> Vec<String> {
        let list = self.read(&format!("/ticket/{ticket}/attachments?fields=Content&per_page=100")).await;
        let items = list["items"].as_array().unwrap().iter();
        items.map(|i| i["Content"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Rt {
    fn drop(&mut self) {
        self.call("stop", None);
    }
}

/// The number of a record's ticket.
fn ticket_of(outbox: &Memory, record: &str) -> String {
    outbox.0.borrow().remote.get(record).expect("has a ticket").clone()
}

/// The problem of the fixture under another id.
fn problem(id: &str) -> Json {
    let mut body: Json = serde_json::from_str(include_str!("data/forward/problem.json")).unwrap();
    body["id"] = json!(id);
    body
}

/// Adds a line to a record's timeline and makes it the next revision.
fn advance(body: &mut Json, at: &str, kind: &str, from_to: Option<(&str, &str)>, note: &str) {
    let rev = body["rev"].as_u64().unwrap() + 1;
    body["rev"] = json!(rev);
    body["at"] = json!(at);
    let mut entry = json!({"at": at, "rev": rev, "actor": "rule", "kind": kind, "note": note});
    if let Some((from, to)) = from_to {
        entry["from"] = json!(from);
        entry["to"] = json!(to);
        body["state"] = json!(to);
    }
    body["timeline"].as_array_mut().unwrap().push(entry);
}

fn field(ticket: &Json, name: &str) -> String {
    let fields = ticket["CustomFields"].as_array().unwrap();
    let found = fields.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no field {name}"));
    found["values"][0].as_str().unwrap_or_default().to_owned()
}

fn forward(plan: DestinationPlan, outbox: &Memory) -> Forward {
    spawn(&[plan], outbox.clone(), setting(quick()))
}

async fn stored(forward: &Forward, outbox: &Memory) {
    within_a_minute(|| outbox.all_stored() || outbox.count(State::Parked) > 0).await;
    assert!(outbox.all_stored(), "{:#?}\n{:#?}", outbox.outcomes(), forward.status());
}

#[test]
fn an_episode_with_its_problem_is_in_rt_as_it_happened() {
    let Some(rt) = rt() else { return };
    local(async {
        let (outbox, id, problem_id) = (Memory::default(), fresh_id(), fresh_id());
        let forward = forward(rt.plan(rt.port), &outbox);
        let mut body = incident(&id, |_| {});
        outbox.push(RecordKind::Incident, Operation::Create, &body);
        forward.wake();
        stored(&forward, &outbox).await;
        let number = ticket_of(&outbox, &id);
        created_as_told(&rt, &number, &id).await;

        body["severity"] = json!("critical");
        (body["impact"], body["urgency"], body["priority"]) = (json!(1), json!(1), json!("P1"));
        body["title"] = json!("/data is 97 % full");
        advance(&mut body, "2026-11-22T10:05:00Z", "step", None, "fs.used 97.0 % > 95 %");
        outbox.push(RecordKind::Incident, Operation::Update, &body);
        forward.wake();
        stored(&forward, &outbox).await;
        let ticket = rt.read(&format!("/ticket/{number}")).await;
        assert_eq!(ticket["Priority"], "100");
        assert_eq!(ticket["Subject"], "web-01: /data is 97 % full");
        assert_eq!(ticket["Status"], "new", "a step changes no status");
        assert_eq!((field(&ticket, "Impact"), field(&ticket, "Urgency")), ("1-High".into(), "1-High".into()));

        resolve(&mut body);
        outbox.push(RecordKind::Incident, Operation::Resolve, &body);
        forward.wake();
        stored(&forward, &outbox).await;
        let ticket = rt.read(&format!("/ticket/{number}")).await;
        assert_eq!(ticket["Status"], "resolved");
        assert_eq!(field(&ticket, "LastSeen"), "2026-11-22T10:20:00Z", "the start of the clear, back-dated");

        body.as_object_mut().unwrap().remove("resolved_at");
        body["intervals"].as_array_mut().unwrap().push(json!({"from": "2026-11-22T10:30:00Z"}));
        advance(&mut body, "2026-11-22T10:31:00Z", "reopened", Some(("resolved", "new")), "raised again");
        outbox.push(RecordKind::Incident, Operation::Reopen, &body);
        outbox.push(RecordKind::Problem, Operation::Create, &problem(&problem_id));
        let link = json!({"id": format!("{id}-{problem_id}"), "incident": id, "problem": problem_id,
            "host": host(), "at": "2026-11-22T11:00:00Z"});
        outbox.push(RecordKind::Link, Operation::Link, &link);
        forward.wake();
        stored(&forward, &outbox).await;
        reopened_and_linked(&rt, &number, &ticket_of(&outbox, &problem_id)).await;
        assert_eq!(rt.tickets(&id).await, [(number.clone(), "open".to_owned())]);
        forward.stop().await;
    });
}

async fn created_as_told(rt: &Rt, number: &str, id: &str) {
    let ticket = rt.read(&format!("/ticket/{number}")).await;
    for (name, value) in [
        ("CorrelationKey", format!("sx-{id}").as_str()),
        ("IdempotencyKey", format!("sx-{id}").as_str()),
        ("CI", "web-01"),
        ("EventSource", "sexton/web-01"),
        ("Impact", "2-Medium"),
        ("Urgency", "3-Low"),
        ("OccurrenceCount", "1"),
        ("FirstSeen", "2026-11-22T09:50:00Z"),
        ("LastSeen", "2026-11-22T10:00:30Z"),
    ] {
        assert_eq!(field(&ticket, name), value, "{name}");
    }
    assert_eq!(ticket["Subject"], "web-01: /data is 91 % full");
    assert_eq!((ticket["Status"].as_str(), ticket["Priority"].as_str()), (Some("new"), Some("20")));
    let queue = rt.read("/queue/Incidents").await;
    assert_eq!(ticket["Queue"]["id"].as_str().unwrap(), queue["id"].to_string().trim_matches('"'));
    let text = &rt.texts(number).await[0];
    for part in ["Free space or grow it.", "41G /data/logs", "limit 85.0 %", "▁", "INC000042"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

fn resolve(body: &mut Json) {
    body["resolved_at"] = json!("2026-11-22T10:20:00Z");
    body["confirmed_at"] = json!("2026-11-22T10:25:00Z");
    body["intervals"][0]["to"] = json!("2026-11-22T10:20:00Z");
    body["closure"] = json!({"code": "auto_cleared", "note": "fs.used 70.0 % < 80 % for 5m"});
    advance(body, "2026-11-22T10:20:00Z", "resolved", Some(("new", "resolved")), "clear held 5m");
}

async fn reopened_and_linked(rt: &Rt, number: &str, problem: &str) {
    let ticket = rt.read(&format!("/ticket/{number}")).await;
    assert_eq!(ticket["Status"], "open");
    assert_eq!(field(&ticket, "OccurrenceCount"), "2");
    let links = ticket["_hyperlinks"].as_array().unwrap();
    let parents: Vec<_> = links.iter().filter(|l| l["ref"] == "parent").map(|l| l["id"].as_str()).collect();
    assert_eq!(parents, [Some(problem)]);
    let problem = rt.read(&format!("/ticket/{problem}")).await;
    assert_eq!(problem["Subject"], "web-01: /data fills up again and again");
    assert_eq!(
        (field(&problem, "KnownError"), field(&problem, "OccurrenceCount")),
        ("no".into(), "3".into())
    );
    assert_eq!(field(&problem, "FirstSeen"), "2026-11-22T10:00:00Z");
    assert_eq!(field(&problem, "LastSeen"), "2026-11-22T11:00:00Z");
    let texts = rt.texts(number).await;
    assert_eq!(texts.len(), 4, "the ticket and three comments: {texts:#?}");
    for (text, marker) in texts[1..].iter().zip(["-2-u]", "-3-r]", "-4-o]"]) {
        assert!(text.trim_end().ends_with(marker), "{marker} does not end:\n{text}");
    }
    assert!(
        texts[1].contains("97.0 % > 95 %") && !texts[1].contains("91.2 %"),
        "only what is new: {}",
        texts[1]
    );
    assert!(texts[2].contains("over since 2026-11-22 10:20:00Z, lasted 29m 59s"), "{}", texts[2]);
}

#[test]
fn a_record_that_came_and_went_unseen_is_one_resolved_ticket() {
    let Some(rt) = rt() else { return };
    local(async {
        let (outbox, id) = (Memory::default(), fresh_id());
        let mut body = incident(&id, |_| {});
        resolve(&mut body);
        outbox.push(RecordKind::Incident, Operation::Create, &body);
        let forward = forward(rt.plan(rt.port), &outbox);
        stored(&forward, &outbox).await;
        let tickets = rt.tickets(&id).await;
        assert_eq!(tickets, [(ticket_of(&outbox, &id), "resolved".to_owned())]);
        assert_eq!(rt.texts(&tickets[0].0).await.len(), 2);
        forward.stop().await;
    });
}

#[test]
fn people_at_the_desk_have_the_last_word() {
    let Some(rt) = rt() else { return };
    local(async {
        let outbox = Memory::default();
        let forward = forward(rt.plan(rt.port), &outbox);
        let ids: Vec<String> = (0..3).map(|_| fresh_id()).collect();
        for id in &ids {
            outbox.push(RecordKind::Incident, Operation::Create, &incident(id, |_| {}));
        }
        forward.wake();
        stored(&forward, &outbox).await;
        let number = |i: usize| ticket_of(&outbox, &ids[i]);
        let acts =
            [json!({"Status": "rejected"}), json!({"Status": "deleted"}), json!({"Queue": "Quarantine"})];
        for (i, act) in acts.into_iter().enumerate() {
            rt.ask(reqwest::Method::PUT, &format!("/ticket/{}", number(i)), Some(act)).await;
        }
        for id in &ids {
            let mut body = incident(id, |_| {});
            resolve(&mut body);
            outbox.push(RecordKind::Incident, Operation::Resolve, &body);
        }
        forward.wake();
        until("all are settled", || outbox.count(State::Stored) == 5 && outbox.count(State::Parked) == 1)
            .await;
        assert_eq!(rt.tickets(&ids[0]).await, [(number(0), "rejected".to_owned())]);
        assert_eq!(rt.read(&format!("/ticket/{}", number(1))).await["Status"], "deleted");
        let parked = format!("{:?}", outbox.outcomes().last().unwrap());
        assert!(parked.contains("hidden from this token"), "{parked}");
        assert_eq!(forward.status()[0].state, "up", "one hidden ticket is no reason to pause");
        forward.stop().await;
    });
}

/// What the proxy does to the first create that passes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Lets RT finish and swallows its answer.
    AfterAnswer,
    /// Closes as soon as the request is written, RT still at work.
    AtOnce,
}

/// A TCP proxy to RT that cuts the first create; one request per connection, as RT closes each.
async fn proxy(to: SocketAddr, cut: Cut) -> (u16, Rc<std::cell::Cell<u32>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let creates = Rc::new(std::cell::Cell::new(0));
    let seen = Rc::clone(&creates);
    tokio::task::spawn_local(async move {
        while let Ok((client, _)) = listener.accept().await {
            let seen = Rc::clone(&seen);
            tokio::task::spawn_local(async move {
                let _ = carry(client, to, cut, &seen).await;
            });
        }
    });
    (port, creates)
}

async fn carry(
    mut client: TcpStream,
    to: SocketAddr,
    cut: Cut,
    seen: &std::cell::Cell<u32>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    let request = whole_request(&mut client).await?;
    server.write_all(&request).await?;
    let create = request.starts_with(b"POST /REST/2.0/ticket HTTP");
    seen.set(seen.get() + u32::from(create));
    if create && seen.get() == 1 {
        if let Cut::AfterAnswer = cut {
            server.read_to_end(&mut Vec::new()).await?;
        } else {
            drop(client);
            server.read_to_end(&mut Vec::new()).await?;
        }
        return Ok(());
    }
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    client.write_all(&answer).await?;
    client.shutdown().await
}

async fn whole_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let n = client.read(&mut piece).await?;
        request.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text.split("content-length: ").nth(1).and_then(|l| l.split("\r\n").next());
            let length: usize = length.and_then(|l| l.parse().ok()).unwrap_or(0);
            if request.len() >= head + 4 + length {
                return Ok(request);
            }
        }
        if n == 0 {
            return Ok(request);
        }
    }
}

#[test]
fn a_create_cut_off_after_it_was_written_is_one_ticket() {
    let Some(rt) = rt() else { return };
    local(async {
        for cut in [Cut::AfterAnswer, Cut::AtOnce, Cut::AtOnce, Cut::AtOnce] {
            let (port, creates) = proxy(rt.address(), cut).await;
            let (outbox, id) = (Memory::default(), fresh_id());
            let mut body = incident(&id, |_| {});
            outbox.push(RecordKind::Incident, Operation::Create, &body);
            let forward = forward(rt.plan(port), &outbox);
            stored(&forward, &outbox).await;
            assert!(creates.get() >= 1, "the create went through the proxy");
            resolve(&mut body);
            outbox.push(RecordKind::Incident, Operation::Resolve, &body);
            forward.wake();
            stored(&forward, &outbox).await;
            one_ticket_counts(&rt, &id, &outbox, &format!("{cut:?}")).await;
            if matches!(cut, Cut::AfterAnswer) {
                assert_eq!(rt.tickets(&id).await.len(), 1);
            }
            forward.stop().await;
        }
    });
}

/// Exactly one ticket is the record's, resolved; what a race made beside it is rejected.
async fn one_ticket_counts(rt: &Rt, id: &str, outbox: &Memory, what: &str) {
    let tickets = rt.tickets(id).await;
    let ours = ticket_of(outbox, id);
    let resolved: Vec<_> = tickets.iter().filter(|t| t.1 == "resolved").map(|t| &t.0).collect();
    assert_eq!(resolved, [&ours], "{what}: {tickets:?}");
    let others = tickets.iter().filter(|t| t.0 != ours);
    assert!(others.clone().all(|t| t.1 == "rejected"), "{what}: {tickets:?}");
    if tickets.len() > 1 {
        eprintln!("{what}: a race made {} tickets, all but one rejected", tickets.len());
    }
}

#[test]
fn a_frozen_rt_loses_nothing_and_doubles_nothing() {
    let Some(rt) = rt() else { return };
    // Its own instance: the others must not freeze.
    drop(rt);
    let rt = Rt::start();
    local(async {
        let outbox = Memory::default();
        let mut plan = rt.plan(rt.port);
        plan.timeout = SECOND / 2;
        rt.call("pause", None);
        let ids: Vec<String> = (0..5).map(|_| fresh_id()).collect();
        let mut bodies: Vec<Json> = ids.iter().map(|id| incident(id, |_| {})).collect();
        bodies.iter().for_each(|b| outbox.push(RecordKind::Incident, Operation::Create, b));
        let forward = forward(plan, &outbox);
        let waiting = || outbox.outcomes().len() >= 3 || forward.status()[0].state == "down";
        until("it is seen to be away", waiting).await;
        rt.call("resume", None);
        stored(&forward, &outbox).await;
        for body in &mut bodies {
            resolve(body);
            outbox.push(RecordKind::Incident, Operation::Resolve, body);
        }
        forward.wake();
        stored(&forward, &outbox).await;
        for id in &ids {
            one_ticket_counts(&rt, id, &outbox, "frozen").await;
        }
        assert_eq!(forward.status()[0].state, "up");
        forward.stop().await;
    });
}
