//! Rows that are not like the others: known there, fallen back, instead of another destination, not yet.

use super::*;
use crate::engine::effect::Fallen;

fn with(row: OutboxRow, terms: Terms) -> OutboxRow {
    OutboxRow { terms, ..row }
}

fn at(destination: &str, row: OutboxRow) -> OutboxRow {
    OutboxRow { destination: destination.to_owned(), ..row }
}

#[tokio::test]
async fn what_came_from_the_destination_is_not_sent_back() {
    let bench = Bench::new(1 << 30);
    let p = Priority::P3;
    let known = || Terms { known: true, ..Terms::default() };
    bench.put(vec![row("a", 1, false, p), at("desk", row("a", 1, false, p))]).await;
    bench.store_all().await;
    bench.put(vec![with(row("a", 2, true, p), known()), at("desk", row("a", 2, true, p))]).await;
    assert!(bench.claim().await.is_empty());
    assert_eq!(
        keys(&bench.store.claim("desk", 9, now()).await.unwrap()),
        ["sx-a-2-c"],
        "the others are told"
    );
    bench.put(vec![row("a", 3, false, p)]).await;
    let job = bench.claim().await.remove(0);
    assert_eq!((job.operation, job.acked_rev), (Operation::Reopen, 2), "it was over there");
    // While something is under way there, it goes with the rest.
    bench.put(vec![with(row("a", 4, true, p), known())]).await;
    bench.settle(&job, stored("17"), now()).await;
    assert_eq!(keys(&bench.claim().await), ["sx-a-4-r"]);
    bench.check().await;
}

#[tokio::test]
async fn a_far_end_that_has_lost_our_writes_gets_them_again() {
    let bench = Bench::new(1 << 30);
    let p = Priority::P3;
    for (rev, over) in [(1, false), (2, true)] {
        bench.put(vec![row("a", rev, over, p)]).await;
        bench.store_all().await;
    }
    let fallen = |rev, over| Terms { fallen: Some(Fallen { rev, over }), ..Terms::default() };
    bench
        .put(vec![with(row("a", 1, true, p), fallen(1, false)), with(row("b", 1, true, p), fallen(1, false))])
        .await;
    assert!(bench.claim().await.is_empty(), "an older revision, an unknown record");
    bench.put(vec![with(row("a", 2, true, p), fallen(1, false))]).await;
    let job = bench.claim().await.remove(0);
    assert_eq!((job.operation, job.acked_rev, job.unknown), (Operation::Resolve, 1, false));
    assert_eq!(job.remote_id.as_deref(), Some("remote-a"));
    bench.settle(&job, stored("remote-a"), now()).await;
    assert_eq!(bench.state("a").await, "acked");
    bench.check().await;
}

#[tokio::test]
async fn a_ticket_that_is_gone_is_looked_for_and_made_anew_with_its_links() {
    let bench = Bench::new(1 << 30);
    bench.put(vec![row("i", 1, false, Priority::P3), problem("p"), link("i", "p")]).await;
    bench.store_all().await;
    bench.store_all().await;
    let gone = || Terms { fallen: Some(Fallen { rev: 0, over: false }), ..Terms::default() };
    bench.put(vec![with(link("i", "p"), gone()), with(row("i", 1, false, Priority::P3), gone())]).await;
    let jobs = bench.claim().await;
    assert_eq!(keys(&jobs), ["sx-i-1-c"], "the link waits for it");
    assert!(jobs[0].unknown && jobs[0].remote_id.is_none() && jobs[0].doubt_at.is_some());
    bench.settle(&jobs[0], stored("44"), now()).await;
    let job = bench.claim().await.remove(0);
    assert_eq!((job.operation_key.as_str(), job.remote_id.as_deref()), ("sx-i-p-1-l", Some("44")));
    bench.check().await;
}

#[tokio::test]
async fn a_dead_letter_whose_ticket_is_gone_is_heard_of_and_made_anew() {
    let bench = Bench::new(1 << 30);
    let p = Priority::P3;
    bench.put(vec![row("goes-on", 1, false, p), row("ends", 1, false, p)]).await;
    bench.store_all().await;
    bench.put(vec![row("goes-on", 2, false, p), row("ends", 2, true, p), row("never", 1, false, p)]).await;
    for job in bench.claim().await {
        bench.settle(&job, Outcome::Refused { reason: "no".to_owned() }, now()).await;
    }
    let held = bench.store.held("rt", 0, 9).await.unwrap();
    let told: Vec<_> = held.iter().map(|h| (h.record.as_str(), h.rev, h.over)).collect();
    assert_eq!(told, [("goes-on", 2, false)], "of an end that is refused a reading tells nothing new");
    let fallen = |rev| Terms { fallen: Some(Fallen { rev, over: false }), ..Terms::default() };
    bench.put(vec![with(row("goes-on", 2, false, p), fallen(1))]).await;
    assert!(bench.claim().await.is_empty(), "what was refused is not sent again by itself");
    bench
        .put(vec![with(row("goes-on", 2, false, p), fallen(0)), with(row("never", 1, false, p), fallen(0))])
        .await;
    let jobs = bench.claim().await;
    assert_eq!(keys(&jobs), ["sx-goes-on-2-c"]);
    assert!(jobs[0].unknown && jobs[0].remote_id.is_none());
    bench.check().await;
}

#[tokio::test]
async fn a_fallback_gets_what_the_other_never_stored() {
    let bench = Bench::new(1 << 30);
    let p = Priority::P3;
    let instead = || Terms { instead_of: Some("rt".to_owned()), ..Terms::default() };
    let mail = |row: OutboxRow| with(at("mail", row), instead());
    bench.put(vec![row("known", 1, false, p)]).await;
    bench.store_all().await;
    bench.put(vec![row("waits", 1, false, p), row("tried", 1, false, p), row("over", 2, true, p)]).await;
    let job = bench.store.claim("rt", 1, now()).await.unwrap().remove(0);
    bench.settle(&job, retry(false), now().plus(SECOND)).await;
    // The row of a new record stands in the same commit, in whatever order.
    let fresh = row("new", 1, false, p);
    let rows = ["known", "waits", "tried", "elsewhere"].map(|record| mail(row(record, 1, false, p)));
    let rows = rows.into_iter().chain([mail(row("over", 2, true, p)), mail(fresh.clone()), fresh]);
    bench.put(rows.collect()).await;
    let mut records: Vec<_> = bench.store.claim("mail", 99, now()).await.unwrap();
    records.sort_by(|a, b| a.record.cmp(&b.record));
    assert_eq!(keys(&records), ["sx-new-1-c", "sx-tried-1-c", "sx-waits-1-c"]);
    // What follows goes wherever the record went, and nowhere else.
    let follows = |record: &str| OutboxRow { opens: false, ..mail(row(record, 2, true, p)) };
    for job in &records {
        let settled = Settled { record: job.record.clone(), rev: 1, outcome: stored("m"), next: now() };
        bench.store.settle("mail", vec![settled], now()).await.unwrap();
    }
    bench.put(vec![follows("new"), follows("known")]).await;
    assert_eq!(keys(&bench.store.claim("mail", 99, now()).await.unwrap()), ["sx-new-2-r"]);
    bench.check().await;
}

#[tokio::test]
async fn what_can_wait_for_a_digest_collapses_until_then_and_goes_at_once_when_it_presses() {
    let bench = Bench::new(1 << 30);
    let slot = now().plus(60 * SECOND);
    let later = || Terms { not_before: Some(slot), ..Terms::default() };
    let low = |record: &str, rev, over| with(row(record, rev, over, Priority::P5), later());
    bench.put(vec![low("a", 1, false), low("b", 1, false)]).await;
    assert_eq!(bench.store.next_due("rt").await.unwrap(), Some(slot));
    bench.put(vec![low("a", 2, true)]).await;
    assert!(bench.claim().await.is_empty());
    bench.put(vec![row("b", 2, false, Priority::P2)]).await;
    let job = bench.claim().await.remove(0);
    assert_eq!(job.operation_key, "sx-b-2-c");
    bench.settle(&job, stored("1"), now()).await;
    let jobs = bench.store.claim("rt", 9, slot).await.unwrap();
    assert_eq!(keys(&jobs), ["sx-a-2-c"], "one create, over already");
    // What was stored before waits for the next one, also over a restart.
    bench.put(vec![with(row("b", 3, false, Priority::P5), later())]).await;
    let bench = bench.reopen().await;
    assert!(bench.claim().await.iter().all(|job| job.record != "b"));
    assert_eq!(bench.store.claim("rt", 9, slot).await.unwrap().len(), 1);
    bench.check().await;
}
