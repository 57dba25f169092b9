//! The outbox within its limit, and free of what is over.

use super::super::super::worker::Tx;
use super::super::OutboxView;
use super::super::cap;
use super::*;

/// A row of 10 000 bytes of body.
fn fat(record: &str, rev: u64, over: bool, priority: Priority) -> OutboxRow {
    OutboxRow { body: format!("\"{}\"", "x".repeat(10_000)), ..row(record, rev, over, priority) }
}

#[tokio::test]
async fn over_its_limit_the_outbox_drops_in_order_and_counts() {
    let p = Priority::ALL;
    let bench = Bench::new(45_000);
    // Known to the far end with a waiting update; being sent; and one unsent create of each priority.
    bench.put(vec![row("known", 1, false, p[0]), row("left", 1, false, p[4])]).await;
    let jobs = bench.claim().await;
    let known = jobs.iter().find(|job| job.record == "known").unwrap();
    bench.settle(known, stored("1"), now()).await;
    bench.put(vec![fat("known", 2, false, p[0])]).await;
    bench.put(vec![fat("p5", 1, false, p[4]), fat("p3", 1, false, p[2]), fat("p4", 1, false, p[3])]).await;
    assert_eq!(bench.store.dropped(), 0);
    let steps = [
        ("p1", p[0], "known withdrawn"),
        ("p2", p[1], "p5"),
        ("q1", p[0], "p4"),
        ("q2", p[1], "p3"),
        ("r1", p[0], "nothing left to drop"),
        ("r5", p[4], "r5"),
    ];
    let mut gone = Vec::new();
    for (record, priority, expected) in steps {
        let before = bench.store.outbox_rows(100).await.unwrap();
        bench.put(vec![fat(record, 1, false, priority)]).await;
        let after = bench.store.outbox_rows(100).await.unwrap();
        let missing = before.iter().find(|b| !after.iter().any(|a| a.record == b.record));
        let known = |rows: &[OutboxView]| rows.iter().any(|r| r.record == "known" && r.rev == 2);
        let change = match missing {
            Some(row) => row.record.clone(),
            None if known(&before) && !known(&after) => "known withdrawn".to_owned(),
            None if !after.iter().any(|r| r.record == record) => record.to_owned(),
            None => "nothing left to drop".to_owned(),
        };
        gone.push((expected, change));
    }
    for (expected, change) in gone {
        assert_eq!(expected, change);
    }
    assert_eq!(bench.store.dropped(), 5);
    let drops = bench.store.drops(now().plus(-DAY)).await.unwrap();
    let drops: Vec<_> =
        drops.iter().map(|d| (d.destination.as_str(), d.priority.as_str(), d.records)).collect();
    assert_eq!(drops, [("rt", "P3", 1), ("rt", "P4", 1), ("rt", "P5", 2)]);
    assert_eq!(bench.state("left").await, "sending", "its create may have left");
    assert!(bench.size().await.outbox > 45_000, "P1 and P2 are never dropped");
    bench.check().await;
    let bench = bench.reopen().await;
    assert_eq!(bench.store.dropped(), 5);
}

#[tokio::test]
async fn what_follows_a_dropped_create_is_dropped_until_there_is_room() {
    let p = Priority::ALL;
    let bench = Bench::new(21_000);
    bench.put(vec![fat("keep", 1, false, p[0]), row("a", 1, false, p[4]), row("b", 1, false, p[4])]).await;
    bench.put(vec![link("a", "p"), fat("more", 1, false, p[0])]).await;
    assert_eq!((bench.state("a").await, bench.state("b").await), ("gone".into(), "gone".into()));
    assert_eq!(bench.state("a-p").await, "gone", "a link follows its incident");
    assert_eq!(bench.store.dropped(), 3);
    bench.put(vec![row("a", 2, true, p[4]), row("b", 2, false, p[4])]).await;
    assert_eq!((bench.state("a").await, bench.state("b").await), ("gone".into(), "gone".into()));
    bench.put(vec![row("b", 3, false, p[1])]).await;
    assert_eq!(bench.state("b").await, "pending", "it has become P2");
    bench.store_all().await;
    bench.put(vec![row("a", 3, true, p[4])]).await;
    assert_eq!(bench.state("a").await, "gone", "a resolve of what was never created");
    bench.put(vec![row("a", 4, false, p[4])]).await;
    assert_eq!(bench.state("a").await, "pending", "open, and there is room");
    bench.check().await;
}

#[tokio::test]
async fn settled_rows_are_swept_when_nobody_will_ask_again() {
    let bench = Bench::new(1 << 30);
    let p = Priority::P3;
    let over = OutboxRow { over: true, ..problem("problem-over") };
    bench.put(vec![row("open", 1, false, p), row("over", 1, true, p), problem("problem"), over]).await;
    bench.put(vec![row("waiting", 1, true, p), link("open", "problem"), link("x", "y")]).await;
    for job in bench.claim().await.into_iter().filter(|job| job.record != "waiting") {
        bench.settle(&job, stored("1"), now()).await;
    }
    bench.store_all().await;
    let sweep = |days: i64| {
        let store = bench.store.clone();
        async move {
            let at = move |tx: &Tx<'_>| cap::sweep(&Tx::new(tx, now().plus(days * DAY), u64::MAX), 500);
            store.write(at).await.unwrap();
            let rows = store.outbox_rows(100).await.unwrap();
            let mut left: Vec<String> = rows.into_iter().map(|row| row.record).collect();
            left.sort_unstable();
            left
        }
    };
    let all = ["open", "open-problem", "over", "problem", "problem-over", "waiting", "x-y"];
    assert_eq!(sweep(39).await, all);
    let left = sweep(41).await;
    assert_eq!(
        left.iter().filter(|r| *r != "x-y").collect::<Vec<_>>(),
        ["open", "problem", "problem-over", "waiting"]
    );
    assert_eq!(sweep(500).await, ["open", "problem", "waiting"]);
    bench.check().await;
}

#[tokio::test]
async fn everything_that_waits_for_a_removed_destination_is_given_up() {
    let bench = Bench::new(1 << 30);
    let p = Priority::P3;
    bench.put(vec![row("known", 1, false, p)]).await;
    bench.store_all().await;
    bench.put(vec![row("known", 2, false, p), problem("p"), link("known", "p")]).await;
    bench.put((0..600).map(|n| row(&format!("r{n}"), 1, false, p)).collect()).await;
    let flying = bench.store.claim("rt", 1, now()).await.unwrap().remove(0);
    // A link goes with its problem, if that one is not the one being sent.
    let given_up = bench.store.drop_all("rt", "moved to another desk").await.unwrap();
    assert!((601..=602).contains(&given_up), "{given_up}");
    let counts = bench.store.outbox_counts().await.unwrap()["rt"].clone();
    assert_eq!(counts.get("acked"), Some(&1), "what is stored there is still known");
    assert_eq!((counts.get("sending"), counts.get("pending")), (Some(&1), None), "{} flies", flying.record);
    assert_eq!(bench.store.drop_all("elsewhere", "").await.unwrap(), 0);
    let why = bench.store.why_dropped("rt", "r599").await.unwrap();
    assert_eq!(why.unwrap().1, "moved to another desk");
    bench.check().await;
}
