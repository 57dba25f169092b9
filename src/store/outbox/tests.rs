//! The outbox as its users see it, on a real file.

mod audit;
mod cap;
mod line;
mod terms;

use std::collections::BTreeMap;

use super::super::{Commit, Size, Store};
use super::table;
use crate::clock::Clock;
use crate::engine::effect::{Job, Operation, Outbox, OutboxRow, Outcome, RecordKind, Settled, Terms};
use crate::engine::moment::{DAY, SECOND, Stamp};
use crate::engine::option::StorePlan;
use crate::engine::record::Priority;

/// The present, once for all tests: the store's own sweep goes by the machine's clock.
fn now() -> Stamp {
    static NOW: std::sync::LazyLock<Stamp> = std::sync::LazyLock::new(|| Clock::start().now().stamp());
    *NOW
}

struct Bench {
    dir: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new(outbox_limit: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), outbox_limit);
        Self { dir, store }
    }

    async fn reopen(self) -> Self {
        self.store.close().await;
        let store = open(self.dir.path(), 1 << 30);
        Self { dir: self.dir, store }
    }

    async fn put(&self, outbox: Vec<OutboxRow>) {
        self.store.commit(Commit { outbox, ..Commit::default() }).await.unwrap();
    }

    async fn claim(&self) -> Vec<Job> {
        self.store.claim("rt", 100, now()).await.unwrap()
    }

    async fn settle(&self, job: &Job, outcome: Outcome, next: Stamp) {
        let settled = Settled { record: job.record.clone(), rev: job.rev, outcome, next };
        self.store.settle("rt", vec![settled], now()).await.unwrap();
    }

    async fn store_all(&self) -> Vec<Job> {
        let jobs = self.claim().await;
        for job in &jobs {
            self.settle(job, stored(&format!("remote-{}", job.record)), now()).await;
        }
        jobs
    }

    async fn state(&self, record: &str) -> String {
        self.store.outbox_record(record).await.unwrap().first().map_or("gone".to_owned(), |r| r.state.clone())
    }

    async fn size(&self) -> Size {
        self.store.size().await.unwrap()
    }

    /// The tally tells the truth and no body is left over or missing.
    async fn check(&self) {
        let wrong: i64 = self
            .store
            .read(|tx| {
                let sql = "
                    WITH truth AS (SELECT destination, state, count(*), sum(bytes) FROM outbox GROUP BY 1, 2),
                    told AS (SELECT destination, state, rows, bytes FROM tally WHERE rows > 0),
                    used AS (SELECT body AS id FROM outbox UNION SELECT op_body FROM outbox),
                    there AS (SELECT id FROM outbox_body UNION SELECT NULL)
                    SELECT (SELECT count(*) FROM (SELECT * FROM told EXCEPT SELECT * FROM truth))
                    + (SELECT count(*) FROM (SELECT * FROM truth EXCEPT SELECT * FROM told))
                    + (SELECT count(*) FROM (SELECT id FROM outbox_body EXCEPT SELECT id FROM used))
                    + (SELECT count(*) FROM (SELECT id FROM used EXCEPT SELECT id FROM there))
                    + (SELECT count(*) FROM outbox o WHERE bytes <> 512 + (
                        SELECT coalesce(sum(length(CAST(b.body AS BLOB))), 0)
                        FROM outbox_body b WHERE b.id IN (o.body, o.op_body)))";
                Ok(tx.query_row(sql, [], |row| row.get(0))?)
            })
            .await
            .unwrap();
        assert_eq!(wrong, 0);
        let mut flaws = self.store.outbox_verify().await.unwrap();
        // One test puts such a body in.
        flaws.retain(|flaw| flaw.claim != "a body is JSON");
        assert_eq!(flaws, []);
    }
}

fn open(dir: &std::path::Path, outbox_limit: u64) -> Store {
    let plan = StorePlan { dir: dir.to_owned(), outbox_limit, journal_limit: 400 * DAY };
    Store::open(&plan).unwrap().0
}

fn row(record: &str, rev: u64, over: bool, priority: Priority) -> OutboxRow {
    OutboxRow {
        destination: "rt".to_owned(),
        kind: RecordKind::Incident,
        record: record.to_owned(),
        rev,
        priority,
        over,
        alert_key: None,
        opens: true,
        body: format!("{{\"id\":\"{record}\",\"rev\":{rev},\"umlaut\":\"ü\"}}"),
        link: None,
        terms: Terms::default(),
    }
}

fn problem(record: &str) -> OutboxRow {
    OutboxRow { kind: RecordKind::Problem, ..row(record, 1, false, Priority::P3) }
}

fn link(incident: &str, problem: &str) -> OutboxRow {
    OutboxRow {
        kind: RecordKind::Link,
        link: Some((incident.to_owned(), problem.to_owned())),
        ..row(&format!("{incident}-{problem}"), 1, false, Priority::P3)
    }
}

fn stored(id: &str) -> Outcome {
    Outcome::stored(Some(id.to_owned()))
}

fn retry(unknown: bool) -> Outcome {
    Outcome::Retry { after: None, unknown, reason: "timed out".to_owned() }
}

fn keys(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.operation_key.as_str()).collect()
}

#[tokio::test]
async fn revisions_collapse_and_operations_follow_the_life_of_an_incident() {
    let bench = Bench::new(1 << 30);
    let p = Priority::P3;
    bench.put(vec![row("a", 1, false, p)]).await;
    let job = bench.claim().await.remove(0);
    assert_eq!((job.operation, job.acked_rev, job.unknown), (Operation::Create, 0, false));
    assert_eq!((job.record_key.as_str(), job.body["umlaut"].as_str()), ("sx-a", Some("ü")));
    // Three revisions while the create is under way: one operation in flight, the rest one update.
    for rev in 2..=4 {
        bench.put(vec![row("a", rev, false, p)]).await;
    }
    assert!(bench.claim().await.is_empty());
    bench.settle(&job, stored("17"), now()).await;
    let job = bench.claim().await.remove(0);
    assert_eq!((job.operation_key.as_str(), job.acked_rev), ("sx-a-4-u", 1));
    assert_eq!((job.remote_id.as_deref(), job.body["rev"].as_u64()), (Some("17"), Some(4)));
    bench.settle(&job, stored("17"), now()).await;
    for (rev, over, key) in [(5, true, "sx-a-5-r"), (6, true, "sx-a-6-u"), (7, false, "sx-a-7-o")] {
        bench.put(vec![row("a", rev, over, p)]).await;
        assert_eq!(keys(&bench.store_all().await), [key]);
    }
    // A revision that is not newer changes nothing; a stored row keeps no body.
    bench.put(vec![row("a", 7, true, p)]).await;
    assert!(bench.claim().await.is_empty());
    assert_eq!(bench.size().await.outbox, table::ROW_BYTES);
    bench.check().await;
}

#[tokio::test]
async fn what_a_filter_no_longer_lets_in_follows_where_it_went_before_and_nowhere_else() {
    let bench = Bench::new(1 << 30);
    let follows =
        |record: &str, rev, over| OutboxRow { opens: false, ..row(record, rev, over, Priority::P3) };
    bench.put(vec![row("a", 1, false, Priority::P3)]).await;
    bench.store_all().await;
    bench.put(vec![follows("a", 2, true), follows("b", 2, true)]).await;
    assert_eq!(keys(&bench.store_all().await), ["sx-a-2-r"]);
    assert_eq!(bench.state("b").await, "gone");
    bench.check().await;
}

#[tokio::test]
async fn a_record_that_opened_and_closed_unsent_is_one_create() {
    let bench = Bench::new(1 << 30);
    bench.put(vec![row("a", 1, false, Priority::P3)]).await;
    bench.put(vec![row("a", 2, true, Priority::P3)]).await;
    let jobs = bench.store_all().await;
    assert_eq!(keys(&jobs), ["sx-a-2-c"]);
    bench.put(vec![row("a", 3, false, Priority::P3)]).await;
    assert_eq!(bench.claim().await[0].operation, Operation::Reopen, "the create was over already");
}

#[tokio::test]
async fn claims_go_by_operation_then_priority_then_age() {
    let bench = Bench::new(1 << 30);
    let p = Priority::ALL;
    let known = ["u3", "u1", "r5", "o4"].map(|id| row(id, 1, id == "o4", p[2]));
    bench.put(known.to_vec()).await;
    bench.store_all().await;
    bench.put(vec![row("u3", 2, false, p[2]), row("u1", 2, false, p[0])]).await;
    bench.put(vec![row("c3", 1, false, p[2]), row("r5", 2, true, p[4]), row("o4", 2, false, p[3])]).await;
    bench.put(vec![row("c1", 1, false, p[0]), row("d3", 1, false, p[2])]).await;
    let first = bench.store.claim("rt", 3, now()).await.unwrap();
    assert_eq!(keys(&first), ["sx-c1-1-c", "sx-c3-1-c", "sx-d3-1-c"]);
    assert_eq!(keys(&bench.claim().await), ["sx-o4-2-o", "sx-r5-2-r", "sx-u1-2-u", "sx-u3-2-u"]);
    assert!(bench.store.claim("elsewhere", 9, now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_waits_for_its_time_and_next_due_tells_when() {
    let bench = Bench::new(1 << 30);
    assert_eq!(bench.store.next_due("rt").await.unwrap(), None);
    bench.put(vec![row("a", 1, false, Priority::P3)]).await;
    assert!(bench.store.next_due("rt").await.unwrap().is_some_and(|due| due <= now()));
    let job = bench.claim().await.remove(0);
    assert_eq!(bench.store.next_due("rt").await.unwrap(), None, "what is being sent does not wait");
    let next = now().plus(30 * SECOND);
    bench.settle(&job, retry(false), next).await;
    assert!(bench.claim().await.is_empty());
    assert_eq!(bench.store.next_due("rt").await.unwrap(), Some(next));
    let job = bench.store.claim("rt", 1, next).await.unwrap().remove(0);
    assert_eq!((job.attempts, job.unknown), (1, false));
    // The wall clock goes back by a year: the row does not wait for that year to pass.
    bench.settle(&job, retry(false), next).await;
    assert_eq!(bench.store.claim("rt", 1, now().plus(-365 * DAY)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn links_wait_until_both_ends_are_stored() {
    let bench = Bench::new(1 << 30);
    let p = Priority::P3;
    bench.put(vec![link("i", "p"), row("i", 1, false, p), problem("p")]).await;
    let jobs = bench.claim().await;
    assert_eq!(keys(&jobs), ["sx-i-1-c", "sx-p-1-c"]);
    bench.settle(&jobs[0], stored("1"), now()).await;
    assert!(bench.claim().await.is_empty());
    assert_eq!(bench.store.next_due("rt").await.unwrap(), None);
    bench.settle(&jobs[1], stored("2"), now()).await;
    let job = bench.claim().await.remove(0);
    assert_eq!((job.operation, job.operation_key.as_str()), (Operation::Link, "sx-i-p-1-l"));
    assert_eq!((job.remote_id.as_deref(), job.remote_problem.as_deref()), (Some("1"), Some("2")));
    bench.settle(&job, Outcome::stored(None), now()).await;
    assert_eq!(bench.state("i-p").await, "acked");
    // Both ends known already: no waiting. One end unknown at this destination: waits.
    bench.put(vec![row("j", 1, false, p)]).await;
    bench.store_all().await;
    bench.put(vec![link("j", "p"), link("nobody", "p")]).await;
    assert_eq!(keys(&bench.claim().await), ["sx-j-p-1-l"]);
}

#[tokio::test]
async fn a_link_whose_end_a_filter_keeps_out_is_blocked_and_no_backlog() {
    let bench = Bench::new(1 << 30);
    bench.put(vec![row("i", 1, false, Priority::P4), link("i", "p")]).await;
    let counts = || async { bench.store.outbox_counts().await.unwrap()["rt"].clone() };
    assert_eq!(counts().await, [("blocked".to_owned(), 1), ("pending".to_owned(), 1)].into());
    bench.store_all().await;
    assert_eq!(counts().await, [("acked".to_owned(), 1), ("blocked".to_owned(), 1)].into());
    assert_eq!(bench.state("i-p").await, "blocked");
    // The problem has grown heavy enough for the filter: both ends are there, the link goes.
    bench.put(vec![problem("p")]).await;
    bench.store_all().await;
    bench.store_all().await;
    assert_eq!(counts().await, [("acked".to_owned(), 3)].into());
}

#[tokio::test]
async fn after_a_restart_what_was_being_sent_is_unknown_and_repeated_byte_for_byte() {
    let bench = Bench::new(1 << 30);
    bench.put(vec![row("a", 1, false, Priority::P3), row("b", 1, false, Priority::P3)]).await;
    let before = bench.store.claim("rt", 1, now()).await.unwrap().remove(0);
    bench.put(vec![row("a", 2, true, Priority::P1)]).await;
    let bench = bench.reopen().await;
    assert_eq!((bench.state("a").await, bench.state("b").await), ("unknown".into(), "pending".into()));
    let after = bench.claim().await.into_iter().find(|job| job.record == "a").unwrap();
    assert!(after.unknown);
    assert_eq!(after.operation_key, before.operation_key);
    assert_eq!(after.body.to_string(), before.body.to_string());
    bench.settle(&after, stored("7"), now()).await;
    let next = bench.claim().await.remove(0);
    assert_eq!((next.operation_key.as_str(), next.unknown), ("sx-a-2-r", false));
    bench.check().await;
}

#[tokio::test]
async fn all_dead_letters_of_a_destination_are_requeued_so_many_at_a_time() {
    let bench = Bench::new(1 << 30);
    bench.put(["a", "b", "c"].map(|id| row(id, 1, false, Priority::P3)).to_vec()).await;
    for job in bench.claim().await {
        bench.settle(&job, Outcome::Refused { reason: "422 no such queue".to_owned() }, now()).await;
    }
    assert_eq!(bench.store.requeue_all("another", 10).await.unwrap(), 0);
    assert_eq!(bench.store.requeue_all("rt", 2).await.unwrap(), 2, "no more than asked for");
    assert_eq!(bench.store.requeue_all("rt", 2).await.unwrap(), 1);
    assert_eq!(keys(&bench.store_all().await), ["sx-a-1-c", "sx-b-1-c", "sx-c-1-c"]);
    bench.check().await;
}

#[tokio::test]
async fn a_dead_letter_is_kept_and_can_be_requeued_or_dropped() {
    let bench = Bench::new(1 << 30);
    bench.put(vec![row("a", 1, false, Priority::P3), row("b", 1, false, Priority::P3)]).await;
    for job in bench.claim().await {
        bench.settle(&job, Outcome::Refused { reason: "422 no such queue".to_owned() }, now()).await;
    }
    let rows = bench.store.outbox_rows(10).await.unwrap();
    assert_eq!((rows.len(), rows[0].state.as_str(), rows[0].attempts), (2, "parked", 1));
    assert_eq!(rows[0].last_error.as_deref(), Some("422 no such queue"));
    bench.put(vec![row("a", 2, true, Priority::P3)]).await;
    assert!(bench.claim().await.is_empty());
    assert!(bench.store.requeue("rt", "a").await.unwrap());
    assert!(!bench.store.requeue("rt", "a").await.unwrap());
    assert_eq!(keys(&bench.store_all().await), ["sx-a-2-c"]);
    assert!(bench.store.drop("rt", "b", "old queue").await.unwrap());
    assert!(!bench.store.drop("rt", "b", "again").await.unwrap());
    bench.put(vec![row("b", 2, false, Priority::P1), link("b", "p")]).await;
    assert_eq!(bench.state("b").await, "gone", "a person dropped it: what follows is dropped too");
    assert_eq!(bench.store.why_dropped("rt", "b").await.unwrap().unwrap().1, "old queue");
    assert_eq!(
        (bench.store.dropped(), bench.store.outbox_counts().await.unwrap()["rt"].clone()),
        (0, BTreeMap::from([("acked".to_owned(), 1)]))
    );
    bench.check().await;
}

#[tokio::test]
async fn dropping_a_stored_record_gives_up_only_what_waits() {
    let bench = Bench::new(1 << 30);
    bench.put(vec![row("a", 1, false, Priority::P3)]).await;
    bench.store_all().await;
    assert!(!bench.store.drop("rt", "a", "nothing waits").await.unwrap());
    bench.put(vec![row("a", 2, false, Priority::P3)]).await;
    assert!(bench.store.drop("rt", "a", "noise").await.unwrap());
    assert!(bench.claim().await.is_empty());
    bench.put(vec![row("a", 3, true, Priority::P3)]).await;
    assert_eq!(keys(&bench.claim().await), ["sx-a-3-r"]);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_parked_and_stops_nobody() {
    let bench = Bench::new(1 << 30);
    let bad = OutboxRow { body: "{".to_owned(), ..row("bad", 1, false, Priority::P1) };
    bench.put(vec![bad, row("good", 1, false, Priority::P5)]).await;
    assert_eq!(keys(&bench.claim().await), ["sx-good-1-c"]);
    assert_eq!(bench.state("bad").await, "parked");
    bench.check().await;
}

#[tokio::test]
async fn a_claim_is_bounded_by_bytes() {
    let bench = Bench::new(1 << 30);
    let big = |n: u32| OutboxRow {
        body: format!("\"{}\"", "x".repeat(400_000)),
        ..row(&format!("r{n}"), 1, false, Priority::P3)
    };
    bench.put((0..5).map(big).collect()).await;
    assert_eq!((bench.claim().await.len(), bench.claim().await.len()), (3, 2));
}

#[tokio::test]
async fn ten_thousand_rows_are_a_small_matter() {
    let bench = Bench::new(1 << 30);
    for chunk in 0..10 {
        let rows = (0..1000).map(|n| row(&format!("{chunk}-{n:03}"), 1, false, Priority::ALL[n % 5]));
        bench.put(rows.collect()).await;
    }
    let bench = bench.reopen().await;
    assert_eq!(bench.store.outbox_counts().await.unwrap()["rt"]["pending"], 10_000);
    let plan: String = bench
        .store
        .read(|tx| {
            let sql = "EXPLAIN QUERY PLAN SELECT id FROM outbox INDEXED BY outbox_order
                WHERE destination = 'rt' AND due IS NOT NULL AND due <= 1
                ORDER BY rank, priority, queued LIMIT 3";
            Ok(tx.query_row(sql, [], |row| row.get(3))?)
        })
        .await
        .unwrap();
    assert!(plan.contains("COVERING INDEX outbox_order"), "{plan}");
    let mut seen = 0;
    loop {
        let jobs = bench.store.claim("rt", 1000, now()).await.unwrap();
        if jobs.is_empty() {
            break;
        }
        let settled = jobs.iter().map(|job| Settled {
            record: job.record.clone(),
            rev: job.rev,
            outcome: stored("x"),
            next: now(),
        });
        seen += jobs.len();
        bench.store.settle("rt", settled.collect(), now()).await.unwrap();
    }
    assert_eq!(seen, 10_000);
    bench.check().await;
}

/// Plays a seed of random steps: at every moment the books are right, and in the end everything is stored.
#[tokio::test]
async fn random_lives_keep_the_books_right() {
    for seed in 1..=6_u64 {
        let mut bench = Bench::new(1 << 30);
        let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut random = |n: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x % n
        };
        let mut revs = [0_u64; 6];
        let mut flying: Vec<Job> = Vec::new();
        for _ in 0..150 {
            match random(10) {
                0..=4 => {
                    let n = random(6) as usize;
                    revs[n] += 1 + random(2);
                    let new = row(&format!("r{n}"), revs[n], random(3) == 0, Priority::ALL[n % 5]);
                    bench.put(vec![new]).await;
                }
                5..=6 => flying.extend(bench.store.claim("rt", random(4) as usize, now()).await.unwrap()),
                7..=8 if !flying.is_empty() => {
                    let job = flying.swap_remove(random(flying.len() as u64) as usize);
                    let outcome = match random(5) {
                        0 => retry(true),
                        1 => retry(false),
                        2 => Outcome::Pause { reason: "401".to_owned() },
                        _ => stored(&job.record),
                    };
                    bench.settle(&job, outcome, now()).await;
                }
                9 if random(4) == 0 => {
                    bench = bench.reopen().await;
                    flying.clear();
                }
                _ => {}
            }
            bench.check().await;
        }
        bench = bench.reopen().await;
        while !bench.store_all().await.is_empty() {}
        for (n, rev) in revs.iter().enumerate().filter(|(_, rev)| **rev > 0) {
            let view = bench.store.outbox_record(&format!("r{n}")).await.unwrap().remove(0);
            assert_eq!((view.state.as_str(), view.acked_rev), ("acked", *rev), "seed {seed}");
        }
        bench.check().await;
    }
}
