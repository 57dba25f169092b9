//! Whether hosts are alive, silent or gone, judged on a database of its own at moments of our choosing.

use serde_json::json;
use tokio::sync::broadcast;

use super::super::db::{Database, Hearing, Life, hosts, overview};
use super::super::wire::{Shape, decode};
use super::sample::{heartbeat, incident, of_incident};
use super::{dir, now};
use crate::engine::moment::{DAY, MINUTE, SECOND, Stamp};

#[tokio::test]
async fn a_host_is_silent_after_three_intervals_and_gone_after_a_week() {
    let (dir, start) = (dir(), now());
    let (changes, _told) = broadcast::channel(16);
    let db = Database::open(dir.path(), changes).expect("a database");
    let mut quick = heartbeat("quick", start);
    quick["data"]["interval"] = json!(5);
    let plain = of_incident(&incident(1, "plain", "no heartbeat at all", start));
    let batch = decode(Shape::Batch, json!([quick, plain]).to_string().as_bytes()).expect("a batch");
    db.ingest(batch.events, start).await.expect("stored");

    let seen = async |at: i64, since: Stamp| {
        let hearing = Hearing { now: start.plus(at), since };
        let asked =
            db.ask(move |db| Ok((overview(db, hearing, 9, 9, 9)?, hosts(db, hearing, false, 9)?))).await;
        let (overview, list) = asked.expect("an answer");
        let lives: Vec<(String, Life)> = list.into_iter().map(|h| (h.name, h.life)).collect();
        assert_eq!(overview.silent.len() as u64, overview.hosts.silent);
        (lives, (overview.hosts.alive, overview.hosts.silent, overview.hosts.all))
    };
    let named = |a: (&str, Life), b: (&str, Life)| vec![(a.0.to_owned(), a.1), (b.0.to_owned(), b.1)];
    use Life::{Alive, Gone, Silent};

    let table = [
        (29 * SECOND, start, named(("plain", Alive), ("quick", Alive)), (2, 0, 2)),
        (31 * SECOND, start, named(("quick", Silent), ("plain", Alive)), (1, 1, 2)),
        (181 * SECOND, start, named(("plain", Silent), ("quick", Silent)), (0, 2, 2)),
        (7 * DAY + MINUTE, start, named(("plain", Gone), ("quick", Gone)), (0, 0, 2)),
        // A desk that has just started could not hear anything before.
        (DAY, start.plus(DAY - SECOND), named(("plain", Alive), ("quick", Alive)), (2, 0, 2)),
    ];
    for (at, since, lives, counts) in table {
        assert_eq!(seen(at, since).await, (lives, counts), "after {at} ns");
    }
    db.close();
}
