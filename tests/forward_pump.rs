//! The pump over real loopback connections, against a server that misbehaves in every way we know, with an
//! outbox in memory.

#[path = "forward/mod.rs"]
mod common;
#[path = "forward/server.rs"]
mod server;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use common::{Memory, State, fresh_id, incident, local, plan, quick, setting, until};
use serde_json::json;
use server::{Act, Server};
use sexton::clock::Clock;
use sexton::engine::effect::{Operation, Outcome, RecordKind};
use sexton::engine::moment::SECOND;
use sexton::engine::option::{DestinationPlan, OptionValue};
use sexton::forward::{Forward, Tuning, spawn};

/// A directory with a token in it, and an outbox.
struct Bench {
    dir: tempfile::TempDir,
    outbox: Memory,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap(), outbox: Memory::default() };
        bench.write_token("secret\n");
        bench
    }

    fn token(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    fn write_token(&self, text: &str) {
        std::fs::write(self.token(), text).unwrap();
    }

    fn plan(&self, url: &str) -> DestinationPlan {
        plan("desk", url, self.token().to_str().unwrap())
    }

    fn creates(&self, count: usize) {
        for _ in 0..count {
            self.outbox.push(RecordKind::Incident, Operation::Create, &incident(&fresh_id(), |_| {}));
        }
    }

    fn spawn(&self, plan: DestinationPlan, tuning: Tuning) -> Forward {
        spawn(&[plan], self.outbox.clone(), setting(tuning))
    }

    fn retries(&self, wanted_unknown: bool) -> usize {
        let outcomes = self.outbox.outcomes();
        outcomes
            .iter()
            .filter(|o| matches!(o, Outcome::Retry { unknown, .. } if *unknown == wanted_unknown))
            .count()
    }
}

fn state(forward: &Forward) -> (String, String) {
    let status = forward.status().remove(0);
    (status.state, status.reason.unwrap_or_default())
}

#[test]
fn records_are_delivered_in_batches_with_token_and_agent() {
    local(async {
        let (bench, server) = (Bench::new(), Server::start(|_| Act::Desk).await);
        bench.creates(250);
        let forward = bench.spawn(bench.plan(&server.url), quick());
        until("all are stored", || bench.outbox.all_stored()).await;
        assert_eq!(server.requests(), 4, "1 to see whether it is there, then 100 + 100 + 49");
        {
            let seen = server.seen.borrow();
            assert_eq!((seen.taken.len(), seen.again), (250, 0));
            for head in &seen.heads {
                assert!(head.starts_with("post /v1/events http/1.1"), "{head}");
                assert!(head.contains("authorization: bearer secret"), "{head}");
                assert!(
                    head.contains(&format!("user-agent: sexton/{}", env!("CARGO_PKG_VERSION"))),
                    "{head}"
                );
            }
        }
        assert!(forward.status()[0].last_stored.is_some());
        bench.creates(1);
        forward.wake();
        until("a wake brings the new row", || bench.outbox.all_stored()).await;
        forward.stop().await;
    });
}

#[test]
fn what_may_have_arrived_is_unknown_and_what_never_left_is_not() {
    let cases: [(&str, Act, bool); 7] = [
        ("cut after it was taken", Act::DeskThenCut, true),
        ("cut before an answer", Act::Cut, true),
        ("no HTTP", Act::Garbage, true),
        ("500", Act::Answer(500, "", "oops".into()), true),
        ("503", Act::Answer(503, "", String::new()), false),
        ("a success without words", Act::Answer(200, "", "\u{fffd}".repeat(50)), true),
        ("an answer without an end", Act::Flood, true),
    ];
    for (what, act, unknown) in cases {
        local(async move {
            let taken = matches!(act, Act::DeskThenCut);
            let first = move |n: usize| if n == 0 { act.clone() } else { Act::Desk };
            let (bench, server) = (Bench::new(), Server::start(first).await);
            bench.creates(1);
            let forward = bench.spawn(bench.plan(&server.url), quick());
            until(what, || bench.outbox.all_stored()).await;
            assert_eq!(bench.retries(unknown), 1, "{what}: {:?}", bench.outbox.outcomes());
            {
                let seen = server.seen.borrow();
                assert_eq!((seen.taken.len(), seen.again), (1, u32::from(taken)), "{what}");
                assert_eq!(seen.events[0], seen.events[1], "{what}: repeated as it was");
            }
            forward.stop().await;
        });
    }
}

#[test]
fn a_stalled_or_trickling_answer_ends_with_the_timeout() {
    for act in [Act::Stall, Act::Trickle] {
        local(async move {
            let first = move |n: usize| if n == 0 { act.clone() } else { Act::Desk };
            let (bench, server) = (Bench::new(), Server::start(first).await);
            bench.creates(1);
            let plan = DestinationPlan { timeout: SECOND / 4, ..bench.plan(&server.url) };
            let forward = bench.spawn(plan, quick());
            until("the repetition is stored", || bench.outbox.all_stored()).await;
            assert_eq!(bench.retries(true), 1, "{:?}", bench.outbox.outcomes());
            forward.stop().await;
        });
    }
}

#[test]
fn a_closed_port_opens_the_circuit_and_its_return_closes_it() {
    local(async {
        let bench = Bench::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        bench.creates(3);
        let forward = bench.spawn(bench.plan(&format!("http://{address}")), quick());
        let mut changes = forward.changes();
        until("it is down", || state(&forward).0 == "down").await;
        assert!(changes.has_changed().unwrap(), "the change is told");
        changes.borrow_and_update();
        assert_eq!(
            bench.retries(true),
            0,
            "a refused connection was never sent: {:?}",
            bench.outbox.outcomes()
        );
        let probes = bench.outbox.outcomes().len();
        until("it is probed", || bench.outbox.outcomes().len() > probes).await;
        let server = Server::on(&address.to_string(), |_| Act::Desk).await;
        until("all are stored", || bench.outbox.all_stored()).await;
        assert_eq!(state(&forward), ("up".to_owned(), String::new()));
        assert!(changes.has_changed().unwrap(), "the return is told");
        assert_eq!(server.seen.borrow().again, 0);
        forward.stop().await;
    });
}

#[test]
fn while_the_circuit_is_open_one_probe_goes_at_a_time() {
    local(async {
        let open = Rc::new(Cell::new(false));
        let gate = Rc::clone(&open);
        let script = move |_: usize| if gate.get() { Act::Desk } else { Act::Answer(503, "", String::new()) };
        let (bench, server) = (Bench::new(), Server::start(script).await);
        bench.creates(150);
        let forward = bench.spawn(bench.plan(&server.url), quick());
        until("it is down", || state(&forward).0 == "down").await;
        let before = server.requests();
        until("probes go", || server.requests() >= before + 3).await;
        {
            let seen = server.seen.borrow();
            assert!(seen.events[before + 1..].iter().all(|e| e.len() == 1), "a probe is one record");
        }
        open.set(true);
        until("all are stored", || bench.outbox.all_stored()).await;
        assert_eq!(state(&forward), ("up".to_owned(), String::new()));
        assert_eq!(server.seen.borrow().again, 0);
        forward.stop().await;
    });
}

#[test]
fn retry_after_is_obeyed_in_both_forms() {
    let date = "date: Sun, 22 Nov 2026 16:00:00 GMT\r\nretry-after: Sun, 22 Nov 2026 16:00:01 GMT\r\n";
    for headers in ["retry-after: 1\r\n", date] {
        local(async move {
            let script =
                move |n: usize| if n == 0 { Act::Answer(429, headers, String::new()) } else { Act::Desk };
            let (bench, server) = (Bench::new(), Server::start(script).await);
            bench.creates(1);
            let clock = Clock::start();
            let forward = bench.spawn(bench.plan(&server.url), quick());
            until("it was told to wait", || !bench.outbox.outcomes().is_empty()).await;
            let told = clock.now();
            let next = bench.outbox.0.borrow().rows[0].next;
            assert!(next > told.stamp().plus(SECOND / 2), "quick backoff is far shorter: {next} {told:?}");
            bench.creates(1);
            forward.wake();
            until("both are stored", || bench.outbox.all_stored()).await;
            let first = bench.outbox.0.borrow().rows[1].outcomes.len();
            assert_eq!(first, 1, "the other record was held back, not tried and refused");
            assert_eq!(bench.retries(false), 1);
            forward.stop().await;
        });
    }
}

#[test]
fn a_refused_token_pauses_and_a_new_one_is_taken_up() {
    local(async {
        let (bench, server) = (Bench::new(), {
            let script = |_: usize| Act::Answer(401, "", r#"{"detail":"unknown token"}"#.into());
            Server::start(script).await
        });
        let good = Server::start(|_| Act::Desk).await;
        bench.creates(3);
        let mut forward = bench.spawn(bench.plan(&server.url), quick());
        until("it is paused", || state(&forward).0 == "paused").await;
        let told =
            format!("HTTP 401: unknown token; logged in by token from file {}", bench.token().display());
        assert_eq!(state(&forward).1, told, "what to mend, and never the token");
        assert_eq!(bench.outbox.count(State::Parked), 0, "everything is kept");
        let before = server.requests();
        bench.write_token("rotated");
        let rotated = || server.seen.borrow().heads.iter().any(|h| h.contains("bearer rotated"));
        until("the new token is shown", rotated).await;
        assert!(server.requests() > before);
        forward.reconfigure(&[bench.plan(&good.url)]);
        until("all are stored", || bench.outbox.all_stored()).await;
        forward.stop().await;
    });
}

#[test]
fn a_missing_token_pauses_without_a_claim() {
    local(async {
        let (bench, server) = (Bench::new(), Server::start(|_| Act::Desk).await);
        std::fs::remove_file(bench.token()).unwrap();
        bench.creates(1);
        let forward = bench.spawn(bench.plan(&server.url), quick());
        until("it is paused", || state(&forward).0 == "paused").await;
        assert!(state(&forward).1.contains("cannot read secret file"), "{:?}", state(&forward));
        assert_eq!(bench.outbox.0.borrow().claims, 0);
        bench.write_token("back");
        until("it is stored", || bench.outbox.all_stored()).await;
        assert_eq!(state(&forward).0, "up");
        forward.stop().await;
    });
}

#[test]
fn a_redirect_is_not_followed() {
    local(async {
        let other = Server::start(|_| Act::Desk).await;
        let place: &'static str =
            Box::leak(format!("location: {}/v1/events\r\n", other.url).into_boxed_str());
        let (bench, server) =
            (Bench::new(), Server::start(move |_| Act::Answer(302, place, String::new())).await);
        bench.creates(1);
        let forward = bench.spawn(bench.plan(&server.url), quick());
        until("it is paused", || state(&forward).0 == "paused").await;
        assert!(state(&forward).1.contains("not followed"), "{:?}", state(&forward));
        assert_eq!(other.requests(), 0);
        forward.stop().await;
    });
}

#[test]
fn one_bad_record_is_parked_and_the_others_go_on() {
    local(async {
        let (bench, server) = (Bench::new(), {
            let script = |n: usize| match n {
                1..=3 => Act::Answer(400, "", r#"{"detail":"no such field"}"#.into()),
                _ => Act::Desk,
            };
            Server::start(script).await
        });
        bench.creates(5);
        let forward = bench.spawn(bench.plan(&server.url), quick());
        until("all are settled", || {
            bench.outbox.count(State::Stored) + bench.outbox.count(State::Parked) == 5
        })
        .await;
        assert_eq!(
            bench.outbox.count(State::Parked),
            1,
            "the first alone, then four, two, one: refused alone"
        );
        let refused = Outcome::Refused { reason: "HTTP 400: no such field".into() };
        assert!(bench.outbox.outcomes().contains(&refused));
        assert_eq!(state(&forward).0, "up");
        forward.stop().await;
    });
}

#[test]
fn a_conversation_cut_short_by_the_end_is_settled_as_unknown() {
    local(async {
        let (bench, server) = (Bench::new(), Server::start(|_| Act::Stall).await);
        bench.creates(1);
        let forward = bench.spawn(bench.plan(&server.url), quick());
        until("it is under way", || server.requests() == 1).await;
        forward.stop().await;
        assert_eq!(bench.outbox.count(State::Sending), 0, "nothing is left claimed");
        assert_eq!(bench.retries(true), 1);
    });
}

#[test]
fn a_failing_outbox_is_asked_again_and_nothing_is_settled_twice() {
    local(async {
        let (bench, server) = (Bench::new(), Server::start(|_| Act::Desk).await);
        bench.outbox.0.borrow_mut().broken_settles = 3;
        bench.creates(2);
        let forward = bench.spawn(bench.plan(&server.url), quick());
        until("all are stored", || bench.outbox.all_stored()).await;
        assert_eq!(server.requests(), 2);
        forward.stop().await;
    });
}

#[test]
fn a_reload_restarts_only_what_changed() {
    local(async {
        let (one, two) = (Server::start(|_| Act::Desk).await, Server::start(|_| Act::Desk).await);
        let bench = Bench::new();
        let named = |id: &str, url: &str| DestinationPlan { id: id.to_owned(), ..bench.plan(url) };
        let mut forward =
            spawn(&[named("a", &one.url), named("b", &two.url)], bench.outbox.clone(), setting(quick()));
        let ids = |f: &Forward| f.status().into_iter().map(|s| s.id).collect::<Vec<_>>();
        assert_eq!(ids(&forward), ["a", "b"]);
        until("all have turned", || forward.turned().is_some()).await;
        forward.reconfigure(&[named("b", &two.url), named("c", &one.url)]);
        assert_eq!(ids(&forward), ["b", "c"]);
        let mut odd = named("d", "not a url");
        odd.options.0.insert("ca".to_owned(), OptionValue::Text("/nowhere.pem".to_owned()));
        forward.reconfigure(&[odd]);
        until("a bad url is told", || state(&forward).1.contains("url 'not a url'")).await;
        forward.stop().await;
    });
}

#[test]
fn only_the_latest_heartbeat_is_sent() {
    local(async {
        let (bench, server) = (Bench::new(), Server::start(|_| Act::Desk).await);
        let forward = bench.spawn(bench.plan(&server.url), Tuning { heartbeat: SECOND / 10, ..quick() });
        forward.heartbeat(json!({"n": 1}));
        until("the first is sent at once", || server.requests() >= 1).await;
        for n in 2..=9 {
            forward.heartbeat(json!({"n": n}));
        }
        let last = || server.seen.borrow().events.last().is_some_and(|e| e[0]["data"]["n"] == 9);
        until("the latest follows", last).await;
        {
            let seen = server.seen.borrow();
            let sent: Vec<u64> = seen.events.iter().map(|e| e[0]["data"]["n"].as_u64().unwrap()).collect();
            assert!(sent.iter().all(|n| *n == 1 || *n == 9), "{sent:?}");
            assert!(seen.events.iter().all(|e| e[0]["type"] == "org.sexton.host.heartbeat.v1"));
        }
        forward.stop().await;
    });
}

#[test]
fn a_pace_lets_no_more_through_than_it_says() {
    local(async {
        let (bench, server) = (Bench::new(), Server::start(|_| Act::Desk).await);
        bench.creates(8);
        let forward = bench.spawn(DestinationPlan { pace: 4.0, ..bench.plan(&server.url) }, quick());
        until("the first burst is sent", || server.requests() >= 1).await;
        until("all are stored", || bench.outbox.all_stored()).await;
        let sizes: Vec<usize> = server.seen.borrow().events.iter().map(Vec::len).collect();
        assert_eq!(sizes[..2], [1, 3], "a burst of one second's worth: {sizes:?}");
        assert_eq!(sizes.iter().sum::<usize>(), 8);
        assert!(sizes[2..].iter().all(|n| *n < 4), "then drop by drop: {sizes:?}");
        forward.stop().await;
    });
}
