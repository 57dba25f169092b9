//! The loop with a real store, real doors and a store that cannot write.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::*;
use crate::cli::doors::doors;
use crate::cli::handle::request;
use crate::config::{self, HostFacts};

#[tokio::test]
async fn a_change_while_the_daemon_starts_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sexton.toml");
    let text = |interval: &str| {
        format!("[collect]\ninterval = \"{interval}\"\n[store]\ndir = \"{}/store\"\n", dir.path().display())
    };
    std::fs::write(&path, text("1h")).unwrap();
    let (after, loads, again) = (text("2h"), AtomicUsize::new(0), Arc::new(Notify::new()));
    let (file, told) = (path.clone(), Arc::clone(&again));
    let load = move || {
        let facts = HostFacts { machine_id: "m".to_owned(), hostname: "h".to_owned() };
        let config = config::load(&file, &doors(), &facts).map_err(|d| d.render(false));
        // Somebody saves the file just after it was read.
        match loads.fetch_add(1, Ordering::Relaxed) {
            0 => std::fs::write(&file, &after).unwrap(),
            _ => told.notify_one(),
        }
        config
    };
    let socket = dir.path().join("control.sock");
    let setup = Setup { watch: Some(path.clone()), ..setup(&socket, load) };
    let local = LocalSet::new();
    let lived = local.run_until(async {
        let daemon = Daemon::start(setup).await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), daemon.run(again.notified())).await
    });
    assert_eq!(lived.await, Ok(Ended::Asked), "the change is read");
}

/// A daemon by that configuration, which nobody watches.
pub(super) fn setup(
    socket: &std::path::Path,
    load: impl Fn() -> Result<Config, String> + Send + Sync + 'static,
) -> Setup {
    let (socket, boot_grace) = (socket.to_owned(), Duration::ZERO);
    Setup {
        load: Arc::new(load),
        prove: crate::cli::run::prove(),
        watch: None,
        socket,
        narrator: None,
        boot_grace,
    }
}

/// Waits until the daemon's status satisfies the condition.
pub(super) async fn until(socket: &std::path::Path, is_so: impl Fn(&Value) -> bool) {
    loop {
        let status = ask(socket, "GET", "/v1/status").await;
        if status.as_ref().is_ok_and(&is_so) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) async fn ask(
    socket: &std::path::Path,
    method: &'static str,
    path: &'static str,
) -> Result<Value, ()> {
    let socket = socket.to_owned();
    let ask = move || request(&socket, method, path, &Value::Null).map_err(drop);
    tokio::task::spawn_blocking(ask).await.unwrap()
}

pub(super) fn load_text(text: &str) -> Result<Config, String> {
    let facts = HostFacts { machine_id: "m".to_owned(), hostname: "h".to_owned() };
    config::load_texts(&[("sexton.toml", text)], &doors(), &facts).map_err(|d| d.render(false))
}

/// A configuration that collects nothing, with its own signals every second.
pub(super) fn quiet(dir: &std::path::Path) -> String {
    let off: String = crate::collect::TABLE.iter().map(|s| format!("{} = false\n", s.door.kind)).collect();
    format!("[collect]\ninterval = \"1s\"\n{off}[store]\ndir = \"{}\"\n", dir.join("store").display())
}

#[tokio::test]
async fn it_speaks_of_itself_though_nothing_is_collected() {
    let dir = tempfile::tempdir().unwrap();
    let text = quiet(dir.path());
    let socket = dir.path().join("control.sock");
    let setup = setup(&socket, move || load_text(&text));
    let told = until(&socket, |s| s["rules"]["instances"].as_u64() > Some(0));
    let local = LocalSet::new();
    let lived = local.run_until(async {
        let daemon = Daemon::start(setup).await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), daemon.run(told)).await
    });
    assert_eq!(lived.await, Ok(Ended::Asked), "rules about sexton itself have their instances");
}

#[tokio::test]
async fn the_incident_of_a_destination_ends_when_the_destination_is_taken_out() {
    let dir = tempfile::tempdir().unwrap();
    let rule = "[[rule]]\nid = \"away\"\non = \"sexton\"\nmatch = { part = [\"destination\"] }\n\
                raise = \"not sexton.ok\"\nclear = \"sexton.ok\"\nfor = \"0s\"\nkeep = \"0s\"\n";
    let destination = "[[destination]]\nid = \"desk\"\nkind = \"desk\"\nurl = \"http://127.0.0.1:9\"\n\
                       token = { file = \"/nonexistent/token\" }\n";
    let without = format!("{}{rule}", quiet(dir.path()));
    let with = format!("{without}{destination}");
    let socket = dir.path().join("control.sock");
    let first = AtomicBool::new(true);
    let setup = setup(&socket, move || {
        load_text(if first.swap(false, Ordering::Relaxed) { &with } else { &without })
    });
    let story = async {
        until(&socket, |s| s["incidents"]["open"] == 1).await;
        ask(&socket, "POST", "/v1/reload").await.unwrap();
        until(&socket, |s| s["incidents"]["open"] == 0).await;
    };
    let local = LocalSet::new();
    let lived = local.run_until(async {
        let daemon = Daemon::start(setup).await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), daemon.run(story)).await
    });
    assert_eq!(lived.await, Ok(Ended::Asked), "nothing is left that could clear it");
}

/// A desk that takes everything.
async fn desk() -> u16 {
    use axum::Json;
    let take = |Json(events): Json<Value>| async move {
        let stored = |event: &Value| serde_json::json!({"id": event["id"], "status": "stored"});
        let results: Vec<Value> = events.as_array().into_iter().flatten().map(stored).collect();
        Json(serde_json::json!({ "results": results }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let routes = axum::Router::new().route("/v1/events", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    port
}

#[tokio::test]
async fn a_fallback_takes_what_waits_for_a_destination_that_is_down_and_both_get_it_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let port = desk().await;
    let token = dir.path().join("token");
    std::fs::write(&token, "a-token-of-both-desks").unwrap();
    let rule = "[[rule]]\nid = \"away\"\non = \"sexton\"\nmatch = { part = [\"destination\"] }\n\
                raise = \"not sexton.ok\"\nclear = \"sexton.ok\"\nfor = \"0s\"\nkeep = \"0s\"\n";
    let destination = |id: &str, token: &std::path::Path, more: &str| {
        let token = token.display();
        format!(
            "[[destination]]\nid = \"{id}\"\nkind = \"desk\"\nurl = \"http://127.0.0.1:{port}\"\n\
             token = {{ file = \"{token}\" }}\n{more}\n"
        )
    };
    let text = |main: &std::path::Path| {
        let fallback = destination("second", &token, "fallback = { of = \"main\", after = \"1s\" }");
        [quiet(dir.path()), rule.to_owned(), destination("main", main, ""), fallback].concat()
    };
    // Without its token the first one is paused.
    let (without, with) = (text(&dir.path().join("nowhere")), text(&token));
    let first = AtomicBool::new(true);
    let socket = dir.path().join("control.sock");
    let setup = setup(&socket, move || {
        load_text(if first.swap(false, Ordering::Relaxed) { &without } else { &with })
    });
    let stored = |s: &Value, id: &str| {
        let all = s["destinations"].as_array().unwrap();
        let one = all.iter().find(|d| d["id"] == id).unwrap();
        (one["rows"]["acked"].as_u64().unwrap_or(0), one["rows"]["pending"].as_u64().unwrap_or(0))
    };
    let story = async {
        until(&socket, |s| stored(s, "second").0 == 1 && stored(s, "main") == (0, 1)).await;
        ask(&socket, "POST", "/v1/reload").await.unwrap();
        until(&socket, |s| s["incidents"]["open"] == 0 && stored(s, "main").0 == 1).await;
        until(&socket, |s| stored(s, "second") == (1, 0)).await;
    };
    let local = LocalSet::new();
    let lived = local.run_until(async {
        let daemon = Daemon::start(setup).await.unwrap();
        tokio::time::timeout(Duration::from_secs(180), daemon.run(story)).await
    });
    assert_eq!(lived.await, Ok(Ended::Asked));
}

#[tokio::test]
async fn windows_go_on_where_the_last_run_ended_and_a_damaged_history_is_only_told() {
    use crate::engine::signal::{Class, Instance, Observation, metric};
    let dir = tempfile::tempdir().unwrap();
    let rule = "[[rule]]\nid = \"steady\"\non = \"sexton\"\nmatch = { part = [\"clock\"] }\n\
                raise = \"frac(sexton.ok, 20m) > 50%\"\nfor = \"0s\"\n";
    let text = format!("{}{rule}", quiet(dir.path()));
    let plan = load_text(&text).unwrap().history;
    // Half an hour of an earlier run.
    let (clock, wall) = (Clock::start(), Instance::of(Class::Sexton, &[("part", "clock"), ("name", "wall")]));
    let second = crate::engine::moment::SECOND;
    let mut history = History::start(&plan, clock);
    for ago in (1..1800).rev() {
        let at = clock.now().plus(-ago * second);
        let seen = Observation::new(at, std::sync::Arc::clone(&wall), second).with(metric("sexton.ok"), true);
        history.keep(clock.now(), [seen]);
    }
    history.close().await;
    let socket = dir.path().join("control.sock");
    for damaged in [false, true] {
        let file = plan.dir.join("history.db");
        if damaged {
            std::fs::write(&file, "no database").unwrap();
        }
        let text = text.clone();
        let setup = setup(&socket, move || load_text(&text));
        let story = async {
            // Without a past the window would not be known for ten minutes; the raise outlives the damage.
            until(&socket, |s| s["incidents"]["open"] == 1).await;
            let status = ask(&socket, "GET", "/v1/status").await.unwrap();
            let recovered = status["history"]["recovered"].as_str().unwrap_or_default().to_owned();
            assert_eq!(recovered.contains("history.db.corrupt-"), damaged, "{recovered}");
            let page = "/v1/history/samples?series=sexton.ok%7Bpart%3Dclock%2Cname%3Dwall%7D";
            loop {
                let rows = ask(&socket, "GET", page).await.map(|page| page["rows"].as_array().unwrap().len());
                match rows {
                    Ok(n) if damaged && n > 0 => break assert!(n < 1000, "{n} samples of a new file"),
                    Ok(n) if !damaged && n > 1799 => break,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
            let listed = ask(&socket, "GET", "/v1/history").await.unwrap();
            let clock = listed["series"].as_array().unwrap().iter().find(|s| s["labels"]["part"] == "clock");
            assert_eq!(clock.unwrap()["metric"], "sexton.ok");
            assert!(ask(&socket, "GET", "/v1/history/samples?series=none").await.is_err());
        };
        let local = LocalSet::new();
        let lived = local.run_until(async {
            let daemon = Daemon::start(setup).await.unwrap();
            tokio::time::timeout(Duration::from_secs(60), daemon.run(story)).await
        });
        assert_eq!(lived.await, Ok(Ended::Asked), "damaged: {damaged}");
    }
}

#[tokio::test]
async fn after_a_suspension_polled_signals_raise_nothing_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let rule = "[[rule]]\nid = \"clock\"\non = \"sexton\"\nmatch = { part = [\"clock\"] }\n\
                raise = \"not sexton.ok\"\nfor = \"0s\"\n";
    let text = format!("{}{rule}", quiet(dir.path()));
    let socket = dir.path().join("control.sock");
    let setup = Setup { boot_grace: Duration::from_millis(1), ..setup(&socket, move || load_text(&text)) };
    let settles = |daemon: &Daemon| {
        let told = explain::rule(&daemon.engine, daemon.clock.now(), "clock", None).unwrap().unwrap();
        told["detail"]["judgement"]["settles_at"].clone()
    };
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut daemon = Daemon::start(setup).await.unwrap();
            let now = daemon.clock.now();
            let own = daemon.own_signals(now).await;
            daemon.look_around(now, &own, &mut Step::default());
            daemon.grace = 120 * SECOND;
            daemon.notice_suspension();
            assert_eq!(settles(&daemon), Value::Null);
            daemon.slept -= 3600 * SECOND;
            daemon.notice_suspension();
            assert_ne!(settles(&daemon), Value::Null);
        })
        .await;
}

#[tokio::test]
async fn samples_that_are_left_out_are_told() {
    use crate::engine::signal::{Class, Instance, Observation, metric};
    let dir = tempfile::tempdir().unwrap();
    let text = quiet(dir.path());
    let socket = dir.path().join("control.sock");
    let setup = setup(&socket, move || load_text(&text));
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut daemon = Daemon::start(setup).await.unwrap();
            let now = daemon.clock.now();
            for (ago, refused) in [(0, 0), (5 * SECOND, 1)] {
                let host = Instance::of(Class::Host, &[]);
                let seen = Observation::new(now.plus(-ago), host, SECOND).with(metric("cpu.busy"), 0.5);
                daemon.engine.observe(now, &[seen], &mut Step::default());
                assert_eq!(daemon.status().await["rules"]["refused_samples"], refused);
            }
        })
        .await;
}
