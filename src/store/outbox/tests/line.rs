//! Claims in another line than the usual: by age, and one by one for each alert key.

use super::*;
use crate::engine::effect::Line;

const BY_ALERT: Line = Line { oldest: false, by_alert: true };

fn alert(key: &str, row: OutboxRow) -> OutboxRow {
    OutboxRow { alert_key: Some(key.to_owned()), ..row }
}

async fn claim(bench: &Bench, line: Line, max: usize) -> Vec<Job> {
    bench.store.claim_in(line, "rt", max, now()).await.unwrap()
}

#[tokio::test]
async fn the_end_of_an_episode_goes_before_the_next_of_its_alert_and_holds_no_other_back() {
    let bench = Bench::new(1 << 30);
    bench.put(vec![alert("k", row("a", 1, false, Priority::P4))]).await;
    bench.store_all().await;
    let a_ends = alert("k", row("a", 2, true, Priority::P4));
    let b_begins = alert("k", row("b", 1, false, Priority::P1));
    let other = alert("l", row("c", 1, false, Priority::P2));
    bench.put(vec![a_ends, b_begins, other, row("d", 1, false, Priority::P3)]).await;
    assert_eq!(keys(&bench.store.claim("rt", 1, now()).await.unwrap()), ["sx-b-1-c"], "elsewhere priority");
    let bench = bench.reopen().await;
    let jobs = claim(&bench, BY_ALERT, 1).await;
    assert_eq!(keys(&jobs), ["sx-a-2-r"], "in the place of the P1 that waits for it");
    bench.settle(&jobs[0], retry(true), now().plus(60 * SECOND)).await;
    // It waits by itself: of its alert nothing goes, of others everything.
    let jobs = claim(&bench, BY_ALERT, 1).await;
    assert_eq!(keys(&jobs), ["sx-c-1-c"], "one that is held back takes no place");
    let jobs = bench.store.claim_in(BY_ALERT, "rt", 9, now().plus(60 * SECOND)).await.unwrap();
    assert_eq!(keys(&jobs), ["sx-a-2-r", "sx-d-1-c"], "and its successor not in the same claim");
    bench.settle(&jobs[0], Outcome::Refused { reason: "no".to_owned() }, now()).await;
    assert_eq!(keys(&claim(&bench, BY_ALERT, 9).await), ["sx-b-1-c"], "what is parked holds nothing back");
    bench.check().await;
}

#[tokio::test]
async fn who_was_sent_away_stands_behind_all_others() {
    let bench = Bench::new(1 << 30);
    let oldest = Line { oldest: true, by_alert: false };
    bench.put(vec![row("a", 1, false, Priority::P1), row("b", 1, false, Priority::P1)]).await;
    bench.put(vec![row("c", 1, false, Priority::P5)]).await;
    let mut claimed = Vec::new();
    for minute in 0..6 {
        let at = now().plus(minute * 60 * SECOND);
        let job = bench.store.claim_in(oldest, "rt", 1, at).await.unwrap().remove(0);
        claimed.push(job.record.clone());
        bench.settle(&job, Outcome::Pause { reason: "403".to_owned() }, at.plus(60 * SECOND)).await;
    }
    assert_eq!(claimed, ["a", "b", "c", "a", "b", "c"]);
    bench.check().await;
}
