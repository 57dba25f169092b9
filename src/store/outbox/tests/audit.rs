//! Looking closer, handing over, and the audit, which must find each kind of damage.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn every_kind_of_damage_is_found() {
    for (claim, damage) in [
        ("a row that waits has a body", "UPDATE outbox SET body = NULL WHERE record = 'b'"),
        ("a body that a row names exists", "UPDATE outbox SET body = 999 WHERE record = 'b'"),
        ("a body is named by a row", "INSERT INTO outbox_body VALUES (77, 2, '{}')"),
        (
            "a row that is being sent has its operation",
            "UPDATE outbox SET state = 'sending', op = NULL WHERE record = 'b'",
        ),
        (
            "a row that is neither stored, parked nor a link in waiting is due some time",
            "UPDATE outbox SET due = NULL WHERE record = 'b'",
        ),
        (
            "the far end holds no revision that was never made",
            "UPDATE outbox SET acked_rev = 9 WHERE record = 'b'",
        ),
        ("a stored row holds the newest revision", "UPDATE outbox SET rev = 4 WHERE record = 'a'"),
        ("the tally counts rows and bytes", "UPDATE tally SET rows = rows + 1 WHERE state = 'acked'"),
        ("a row weighs what it holds", "UPDATE outbox SET bytes = bytes + 1 WHERE record = 'b'"),
        ("a body is JSON", "UPDATE outbox_body SET body = '{'"),
    ] {
        let bench = Bench::new(1 << 30);
        bench.put(vec![row("a", 1, false, Priority::P3)]).await;
        bench.store_all().await;
        bench.put(vec![row("b", 1, false, Priority::P3)]).await;
        assert_eq!(bench.store.outbox_verify().await.unwrap(), []);
        bench.store.write(move |tx| Ok(tx.execute_batch(damage)?)).await.unwrap();
        let flaws = bench.store.outbox_verify().await.unwrap();
        assert!(flaws.iter().any(|f| f.claim == claim), "{claim}: {flaws:?}");
    }
}

/// How many steps each claim takes for so many rows that wait.
async fn steps_of_claims(rows: usize) -> Vec<(&'static str, i32)> {
    let bench = Bench::new(1 << 30);
    bench.put((0..rows).map(|n| row(&format!("r{n:04}"), 1, false, Priority::P3)).collect()).await;
    let count = |tx: &crate::store::worker::Tx<'_>| {
        let mut all = Vec::new();
        for (claim, sql) in super::super::audit::claims() {
            let mut select = tx.prepare(&sql)?;
            let found = select.query_map([], |row| row.get::<_, String>(0))?.count();
            assert_eq!(found, 0, "{claim}");
            all.push((claim, select.get_status(rusqlite::StatementStatus::VmStep)));
        }
        Ok(all)
    };
    bench.store.read(count).await.unwrap()
}

#[tokio::test]
async fn no_claim_takes_more_than_in_proportion_to_the_rows() {
    let (few, many) = (steps_of_claims(100).await, steps_of_claims(400).await);
    for ((claim, few), (_, many)) in few.into_iter().zip(many) {
        assert!(many < 6 * few.max(100), "{claim}: {few} steps for 100 rows, {many} for 400");
    }
}

#[tokio::test]
async fn everything_undelivered_is_handed_over_page_by_page() {
    let bench = Bench::new(1 << 30);
    let count = super::super::audit::PAGE + 7;
    let rows = (0..count).map(|n| row(&format!("r{n:04}"), 1, false, Priority::P3)).collect();
    bench.put(rows).await;
    let job = bench.claim().await.remove(0);
    bench.settle(&job, stored("7"), now()).await;
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = bench.store.outbox_export(after).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last["cursor"].as_i64().unwrap();
        seen.extend(page.iter().map(|row| row["row"]["record"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen.len(), count - 1, "what is delivered stays out");
    assert!(seen.is_sorted() && !seen.contains(&job.record));
}

#[tokio::test]
async fn one_row_shows_what_is_sent_and_what_is_wanted() {
    let bench = Bench::new(1 << 30);
    bench.put(vec![row("a", 1, false, Priority::P3)]).await;
    let job = bench.claim().await.remove(0);
    bench.put(vec![row("a", 2, true, Priority::P3)]).await;
    bench.settle(&job, retry(true), now()).await;
    let whole = bench.store.outbox_row("rt", "a").await.unwrap().unwrap();
    assert_eq!(whole["sending"]["key"], "sx-a-1-c");
    assert_eq!((&whole["sending"]["body"]["rev"], &whole["body"]["rev"]), (&json!(1), &json!(2)));
    assert_eq!((&whole["row"]["state"], &whole["row"]["attempts"]), (&json!("unknown"), &json!(1)));
    assert_ne!(whole["doubt_at"], Value::Null);
    assert_eq!(bench.store.outbox_row("rt", "b").await.unwrap(), None);
}
