//! The outbox in figures: durable records in, records out to a desk, and a start with a large backlog.
//!
//! ```text
//! cargo bench --bench outbox                     # ingest, drain, desk
//! cargo bench --bench outbox -- backlog 1024     # a start with 1024 MiB of backlog; needs the disk space
//! ```
//! Prints medians of [`RUNS`] runs. Nothing is asserted. `ingest` commits creates of a real incident's size
//! through [`Store::commit`] (`synchronous=FULL`: each batch is on disk on return). `drain` empties them
//! through the real pump into a real desk over loopback, both in this process on one core each. `desk` is the
//! desk's ingest alone, fed with ready batches by four connections. `backlog` fills a store with rows that
//! wait for a dead destination and starts the daemon on it: time until its socket answers, and its memory
//! after ten seconds, beside the same daemon with an empty store. SEXTON_BIN names the daemon (default
//! target/release/sexton).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sexton::clock::Clock;
use sexton::engine::effect::{OutboxRow, RecordKind, Terms};
use sexton::engine::moment::{DAY, SECOND, Stamp};
use sexton::engine::option::{
    DeskPlan, DestinationPlan, Filter, Gone, OptionValue, Options, SecretRef, StorePlan,
};
use sexton::engine::record::{HostRef, Priority};
use sexton::forward::Setting;
use sexton::store::{Commit, Store};

/// Repetitions of each figure.
const RUNS: usize = 5;
/// Records of one run of `drain`.
const RECORDS: usize = 20_000;
/// Bytes that evidence adds to the fixture: with it a record is as large as a usual one with two series.
const EVIDENCE: usize = 2_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    match args.first().map(String::as_str) {
        Some("backlog") => backlog(args.get(1).and_then(|n| n.parse().ok()).unwrap_or(1024)),
        _ => {
            ingest();
            drain();
            desk();
        }
    }
}

fn median(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[0], values[values.len() - 1]);
    format!("{:>10.0} ({low:.0}–{high:.0})", values[values.len() / 2])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn host() -> HostRef {
    HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() }
}

fn store_plan(dir: &Path) -> StorePlan {
    StorePlan { dir: dir.to_owned(), outbox_limit: 1 << 40, journal_limit: 400 * DAY }
}

/// The fixture of the tests with some evidence, under the n-th id.
fn body(n: usize) -> (String, String) {
    let mut incident: Value =
        serde_json::from_str(include_str!("../tests/data/forward/incident.json")).unwrap();
    let id = format!("019ab000-0000-7000-8000-{n:012x}");
    incident["id"] = json!(id);
    incident["evidence"]["exhibits"] =
        json!([{"title": "top processes by CPU", "at": Stamp(0), "text": "x".repeat(EVIDENCE)}]);
    (id, incident.to_string())
}

fn row(n: usize) -> OutboxRow {
    let (record, body) = body(n);
    OutboxRow {
        destination: "desk".to_owned(),
        kind: RecordKind::Incident,
        record,
        rev: 1,
        priority: Priority::P3,
        over: false,
        alert_key: None,
        opens: true,
        body,
        link: None,
        terms: Terms::default(),
    }
}

fn ingest() {
    let size = body(0).1.len();
    println!("ingest: durable records/s into the outbox, {size} bytes each, by batch");
    for (batch, batches) in [(1, 400), (10, 200), (100, 60), (1000, 10)] {
        let rates = (0..RUNS).map(|_| {
            let dir = tempfile::tempdir_in(".").unwrap();
            let commits: Vec<_> = (0..batches)
                .map(|b| {
                    let outbox = (0..batch).map(|n| row(b * batch + n)).collect();
                    Arc::new(Commit { outbox, ..Commit::default() })
                })
                .collect();
            runtime().block_on(async {
                let (store, _) = Store::open(&store_plan(dir.path())).unwrap();
                let from = Instant::now();
                for commit in commits {
                    store.commit(commit).await.unwrap();
                }
                let rate = (batch * batches) as f64 / from.elapsed().as_secs_f64();
                store.close().await;
                rate
            })
        });
        println!("  {batch:>5} {}", median(rates.collect()));
    }
}

/// A desk of its own thread and directory; the address and what ends it.
fn open_desk(dir: &Path) -> (String, tokio::sync::oneshot::Sender<()>) {
    let tokens = dir.join("tokens");
    std::fs::write(&tokens, "secret-of-sixteen\n").unwrap();
    let plan = DeskPlan {
        listen: "127.0.0.1:0".to_owned(),
        dir: dir.join("desk"),
        tokens: Some(SecretRef::File(tokens.display().to_string())),
    };
    let (told, address) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        tokio::task::LocalSet::new().block_on(&runtime(), async {
            let desk = sexton::desk::bind(plan, Clock::start()).await.unwrap();
            told.send(desk.address().to_string()).unwrap();
            let asked = async {
                let _ = stopped.await;
            };
            desk.run(asked).await.unwrap();
        });
    });
    (format!("http://{}", address.recv().unwrap()), stop)
}

fn drain() {
    println!("drain: records/s from the outbox into a desk on this machine, {RECORDS} records, no pace");
    let rates = (0..RUNS).map(|_| {
        let dir = tempfile::tempdir_in(".").unwrap();
        let (url, stop) = open_desk(dir.path());
        let token = SecretRef::File(dir.path().join("tokens").display().to_string());
        let options = Options(
            [("url".to_owned(), OptionValue::Text(url)), ("token".to_owned(), OptionValue::Secret(token))]
                .into(),
        );
        let plan = DestinationPlan {
            id: "desk".to_owned(),
            kind: "desk",
            filter: Filter::default(),
            pace: 0.0,
            timeout: 30 * SECOND,
            read_back: 0,
            gone: Gone::Recreate,
            fallback: None,
            digest: None,
            options,
        };
        let rate = tokio::task::LocalSet::new().block_on(&runtime(), async {
            let (store, _) = Store::open(&store_plan(dir.path())).unwrap();
            for chunk in (0..RECORDS).collect::<Vec<_>>().chunks(1000) {
                let outbox = chunk.iter().map(|n| row(*n)).collect();
                store.commit(Commit { outbox, ..Commit::default() }).await.unwrap();
            }
            let (remotes, _) = tokio::sync::mpsc::channel(1);
            let from = Instant::now();
            let setting = Setting::new(host(), Stamp(0), Clock::start(), remotes);
            let forward = sexton::forward::spawn(&[plan], store.clone(), setting);
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let counts = store.outbox_counts().await.unwrap();
                if counts["desk"].get("acked") == Some(&(RECORDS as u64)) {
                    break;
                }
            }
            let rate = RECORDS as f64 / from.elapsed().as_secs_f64();
            forward.stop().await;
            store.close().await;
            rate
        });
        let _ = stop.send(());
        rate
    });
    println!("        {}", median(rates.collect()));
}

fn desk() {
    println!("desk: records/s durably taken from 4 connections in batches of 100, {RECORDS} records");
    let rates = (0..RUNS).map(|_| {
        let dir = tempfile::tempdir_in(".").unwrap();
        let (url, stop) = open_desk(dir.path());
        let posts: Vec<Vec<u8>> = (0..RECORDS / 100).map(|b| batch(b * 100..(b + 1) * 100)).collect();
        let rate = runtime().block_on(async {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let from = Instant::now();
            let mut tasks = tokio::task::JoinSet::new();
            for part in posts.chunks(posts.len() / 4) {
                let (client, url, part) = (client.clone(), format!("{url}/v1/events"), part.to_vec());
                tasks.spawn(async move {
                    for post in part {
                        let sent = client.post(&url).bearer_auth("secret-of-sixteen");
                        let sent =
                            sent.header("content-type", "application/cloudevents-batch+json").body(post);
                        assert_eq!(sent.send().await.unwrap().status(), 200);
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
            RECORDS as f64 / from.elapsed().as_secs_f64()
        });
        let _ = stop.send(());
        rate
    });
    println!("        {}", median(rates.collect()));
}

fn batch(range: std::ops::Range<usize>) -> Vec<u8> {
    let events = range.map(|n| {
        let (id, body) = body(n);
        let data: Value = serde_json::from_str(&body).unwrap();
        json!({"specversion": "1.0", "id": format!("sx-{id}-1-c"), "source": "/hosts/0123456789abcdef",
            "type": "org.sexton.incident.created.v1", "subject": id, "time": data["at"],
            "datacontenttype": "application/json", "data": data})
    });
    serde_json::to_vec(&events.collect::<Vec<_>>()).unwrap()
}

fn backlog(mebibytes: usize) {
    let per_row = body(0).1.len() + 512;
    let rows = mebibytes * 1024 * 1024 / per_row;
    for (what, rows) in [("empty", 0), ("backlog", rows)] {
        let dir = tempfile::tempdir_in(".").unwrap();
        let state = dir.path().join("state");
        runtime().block_on(async {
            let (store, _) = Store::open(&store_plan(&state)).unwrap();
            for chunk in (0..rows).collect::<Vec<_>>().chunks(1000) {
                let outbox = chunk.iter().map(|n| row(*n)).collect();
                store.commit(Commit { outbox, ..Commit::default() }).await.unwrap();
            }
            store.close().await;
        });
        let size = std::fs::metadata(state.join("state.db")).unwrap().len() >> 20;
        let (mut starts, mut memory, mut stops) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            let (start, pss, stop) = start(dir.path(), &state);
            starts.push(start * 1000.0);
            memory.push(pss);
            stops.push(stop * 1000.0);
        }
        println!("{what}: {rows} rows, state.db {size} MiB");
        println!("  start to answer, ms   {}", median(starts));
        println!("  PSS after 10 s, KiB   {}", median(memory));
        println!("  stop, ms              {}", median(stops));
    }
}

/// Starts the daemon on that store: seconds until its socket answers, PSS in KiB after ten seconds, seconds
/// it takes to stop.
fn start(dir: &Path, state: &Path) -> (f64, f64, f64) {
    let config = dir.join("sexton.toml");
    let socket = dir.join("control.sock");
    std::fs::write(dir.join("tokens"), "secret").unwrap();
    let text = format!(
        "[store]\ndir = \"{}\"\nlimits = {{ outbox = \"4GiB\" }}\n[[destination]]\nid = \"desk\"\nkind = \"desk\"\n\
         url = \"http://127.0.0.1:9\"\ntoken = {{ file = \"{}/tokens\" }}\n",
        std::path::absolute(state).unwrap().display(),
        std::path::absolute(dir).unwrap().display()
    );
    std::fs::write(&config, text).unwrap();
    let binary = std::env::var("SEXTON_BIN").unwrap_or_else(|_| "target/release/sexton".to_owned());
    let from = Instant::now();
    let mut daemon = std::process::Command::new(binary)
        .args(["run", "--config"])
        .arg(&config)
        .arg("--socket")
        .arg(&socket)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(daemon.try_wait().unwrap().is_none(), "the daemon has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    let started = from.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(10));
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", daemon.id())).unwrap();
    let pss = smaps.lines().find_map(|l| l.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok());
    let from = Instant::now();
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    daemon.wait().unwrap();
    (started, pss.unwrap_or(0.0), from.elapsed().as_secs_f64())
}
