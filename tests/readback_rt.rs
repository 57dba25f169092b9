//! The whole way there and back: the daemon, a check that fails, a real Request Tracker, and an operator who
//! works in it.
//!
//! Left out with a plain message where RT is not installed (`tests/services/rt install`, Debian, as root).

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sexton::cli::doors::doors;
use sexton::cli::handle::request;
use sexton::config::{self, HostFacts};
use sexton::daemon::{Daemon, Ended, Setup};
use tokio::task::LocalSet;

/// A running RT, stopped in the end.
struct Rt {
    dir: tempfile::TempDir,
    port: u16,
    operator: String,
}

impl Rt {
    fn start() -> Option<Self> {
        if !Path::new("/usr/share/request-tracker5/libexec/rt-server").exists() {
            eprintln!("left out: Request Tracker 5 is not installed (run tests/services/rt install as root)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut rt = Self { dir, port, operator: String::new() };
        rt.call("start", None);
        std::fs::write(rt.token(), rt.call("token", Some("sexton"))).unwrap();
        rt.operator = rt.call("token", Some("operator"));
        Some(rt)
    }

    fn call(&self, verb: &str, more: Option<&str>) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/rt");
        let mut command = Command::new(script);
        command.arg(verb).arg(self.dir.path().join("rt")).args(more).env("RT_PORT", self.port.to_string());
        let output = command.output().unwrap();
        assert!(output.status.success(), "rt {verb}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn token(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    /// What the operator does or sees.
    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Json>) -> Json {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{}/REST/2.0{path}", self.port);
        let mut request =
            client.request(method, url).header("Authorization", format!("token {}", self.operator));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    async fn set(&self, ticket: &str, body: Json) {
        self.ask(reqwest::Method::PUT, &format!("/ticket/{ticket}"), Some(body)).await;
    }

    async fn status(&self, ticket: &str) -> String {
        let ticket = self.ask(reqwest::Method::GET, &format!("/ticket/{ticket}"), None).await;
        ticket["Status"].as_str().unwrap().to_owned()
    }

    /// Comments that sexton wrote on the ticket.
    async fn comments(&self, ticket: &str) -> usize {
        let path = format!("/ticket/{ticket}/history?fields=Type,Creator&per_page=100");
        let history = self.ask(reqwest::Method::GET, &path, None).await;
        let items = history["items"].as_array().unwrap().iter();
        items.filter(|i| i["Type"] == "Comment" && i["Creator"]["id"] == "sexton").count()
    }
}

impl Drop for Rt {
    fn drop(&mut self) {
        self.call("stop", None);
    }
}

async fn local(socket: &Path, method: &'static str, path: &str, body: Json) -> Json {
    let (socket, path) = (socket.to_owned(), path.to_owned());
    let ask = move || request(&socket, method, &path, &body).unwrap_or_default();
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// The incident, as soon as it satisfies the condition.
async fn until(socket: &Path, what: &str, is_so: impl Fn(&Json) -> bool) -> Json {
    for _ in 0..1200 {
        let all = local(socket, "GET", "/v1/incidents", Json::Null).await;
        if let Some(incident) = all["incidents"].as_array().and_then(|all| all.first())
            && is_so(incident)
        {
            return incident.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within a minute: {what}: {}", local(socket, "GET", "/v1/incidents", Json::Null).await);
}

/// The row of the incident at RT, as soon as everything is delivered.
async fn delivered(socket: &Path) -> Json {
    for _ in 0..1200 {
        let all = local(socket, "GET", "/v1/outbox", Json::Null).await;
        let rows = all["rows"].as_array().cloned().unwrap_or_default();
        if let Some(row) = rows.iter().find(|r| r["kind"] == "incident" && r["state"] == "acked") {
            return row.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not delivered within a minute: {}", local(socket, "GET", "/v1/outbox", Json::Null).await);
}

fn configuration(rt: &Rt, dir: &Path, check: u16) -> String {
    let dir = dir.display();
    let off = ["cpu", "load", "memory", "swap", "pressure", "uptime", "fs", "disk", "net", "proc", "unit"];
    let off: String = off.iter().map(|c| format!("{c} = false\n")).collect();
    format!(
        "[host]\nid = \"0123456789abcdef\"\n[store]\ndir = \"{dir}/store\"\n[collect]\ninterval = \"1s\"\n{off}\
         [[check]]\nid = \"front\"\nkind = \"tcp\"\naddress = \"127.0.0.1:{check}\"\ninterval = \"200ms\"\n\
         [[rule]]\nid = \"check-down\"\non = \"check\"\nraise = \"not check.up\"\nclear = \"check.up\"\n\
         for = \"0s\"\nkeep = \"0s\"\n\
         [[destination]]\nid = \"rt\"\nkind = \"rt\"\nurl = \"http://127.0.0.1:{}/REST/2.0\"\n\
         token = {{ file = \"{}\" }}\nread_back = \"1s\"\nmatch = {{ rule = [\"check-*\"] }}\n",
        rt.port,
        rt.token().display()
    )
}

async fn story(rt: &Rt, socket: &Path, check: u16) {
    until(socket, "raised", |i| i["state"] == "new").await;
    let ticket = delivered(socket).await["remote_id"].as_str().unwrap().to_owned();
    rt.set(&ticket, json!({"Owner": "operator"})).await;
    let i = until(socket, "taken", |i| i["state"] == "acknowledged").await;
    assert_eq!(i["assignee"], "operator");
    for (status, state) in [("open", "in_progress"), ("stalled", "on_hold"), ("open", "in_progress")] {
        rt.set(&ticket, json!({ "Status": status })).await;
        until(socket, status, |i| i["state"] == state).await;
    }
    let path = format!("/ticket/{ticket}/comment");
    let words = json!({"Content": "restarted it", "ContentType": "text/plain", "Status": "resolved"});
    rt.ask(reqwest::Method::POST, &path, Some(words)).await;
    let i = until(socket, "resolved", |i| i["state"] == "resolved").await;
    assert_eq!((&i["disputed"], &i["closure"]["code"]), (&json!(true), &json!("fixed")));
    let note = i["closure"]["note"].as_str().unwrap();
    assert!(note.starts_with("resolved at rt by operator: restarted it"), "{note}");
    rt.set(&ticket, json!({"Status": "open"})).await;
    until(socket, "reopened", |i| i["state"] == "in_progress").await;
    delivered(socket).await;
    assert_eq!(rt.comments(&ticket).await, 0, "nothing that happened there is said there again");

    // A person on the host holds it: that goes to the ticket, and does not come back as another decision.
    let number = until(socket, "open", |_| true).await["number"].as_str().unwrap().to_owned();
    local(socket, "POST", &format!("/v1/incidents/{number}/hold"), json!({"note": "vendor"})).await;
    let rev = until(socket, "held", |i| i["state"] == "on_hold").await["rev"].clone();
    while rt.status(&ticket).await != "stalled" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What was written there has been read when this has come back.
    rt.set(&ticket, json!({"Owner": "Nobody"})).await;
    let i = until(socket, "given back", |i| i["assignee"].is_null()).await;
    assert_eq!((&i["state"], i["rev"].as_u64()), (&json!("on_hold"), rev.as_u64().map(|rev| rev + 1)));

    let listener = TcpListener::bind(("127.0.0.1", check)).unwrap();
    let i = until(socket, "cleared", |i| i["state"] == "resolved").await;
    assert_eq!(i["closure"]["code"], "auto_cleared");
    while rt.status(&ticket).await != "resolved" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rt.set(&ticket, json!({"Status": "open"})).await;
    until(socket, "reopened once more", |i| i["state"] == "in_progress").await;
    rt.set(&ticket, json!({"Status": "rejected"})).await;
    let i = until(socket, "rejected", |i| i["state"] == "cancelled").await;
    assert_eq!(i["closure"]["code"], "false_positive");
    drop(listener);
}

/// Runs a daemon while the story lasts.
fn live(rt: &Rt, dir: &Path, check: u16, story: impl Future<Output = ()>) {
    let text = configuration(rt, dir, check);
    let load = move || {
        let facts = HostFacts { machine_id: "m".to_owned(), hostname: "web-01".to_owned() };
        config::load_texts(&[("sexton.toml", &text)], &doors(), &facts).map_err(|d| d.render(false))
    };
    let setup = Setup {
        load: std::sync::Arc::new(load),
        prove: sexton::cli::run::prove(),
        watch: None,
        socket: dir.join("control.sock"),
        narrator: None,
        boot_grace: Duration::ZERO,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lived = LocalSet::new().block_on(&runtime, async {
        let daemon = Daemon::start(setup).await.unwrap();
        tokio::time::timeout(Duration::from_secs(240), daemon.run(story)).await
    });
    assert_eq!(lived, Ok(Ended::Asked));
}

/// A port where nothing listens until the test does.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn what_an_operator_does_in_rt_comes_back_to_the_host() {
    let Some(rt) = Rt::start() else { return };
    let (dir, check) = (tempfile::tempdir().unwrap(), free_port());
    live(&rt, dir.path(), check, story(&rt, &dir.path().join("control.sock"), check));
}

#[test]
fn a_host_that_lost_its_store_finds_its_open_tickets_again() {
    let Some(rt) = Rt::start() else { return };
    let (dir, check) = (tempfile::tempdir().unwrap(), free_port());
    let socket = dir.path().join("control.sock");
    let ticket = std::cell::RefCell::new(String::new());
    live(&rt, dir.path(), check, async {
        let row = delivered(&socket).await;
        ticket.replace(row["remote_id"].as_str().unwrap().to_owned());
    });
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    live(&rt, dir.path(), check, async {
        let (row, ticket) = (delivered(&socket).await, ticket.take());
        assert_eq!(row["remote_id"], ticket, "adopted, not doubled");
        let key = format!("sx-{}", row["record"].as_str().unwrap());
        let query = format!("'CF.{{CorrelationKey}}' = '{key}'").replace(' ', "%20");
        let found = rt.ask(reqwest::Method::GET, &format!("/tickets?query={query}"), None).await;
        assert_eq!(found["total"], 1, "{found}");
        let open = "Queue%20=%20'Incidents'%20AND%20Status%20=%20'__Active__'";
        let all = rt.ask(reqwest::Method::GET, &format!("/tickets?query={open}"), None).await;
        assert_eq!(all["total"], 1, "{all}");
        let listener = TcpListener::bind(("127.0.0.1", check)).unwrap();
        until(&socket, "cleared", |i| i["state"] == "resolved").await;
        while rt.status(&ticket).await != "resolved" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drop(listener);
    });
}
