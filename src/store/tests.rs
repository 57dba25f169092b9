//! The store as the daemon sees it: what is committed is there, whatever happens to file, disk and process.

mod crash;
mod full;

use std::path::Path;

use super::*;
use crate::engine::effect::{Outbox, RecordKind, Terms};
use crate::engine::moment::{DAY, MINUTE, Stamp};
use crate::engine::record::Priority;

/// A plan with ample limits.
fn plan(dir: &Path) -> StorePlan {
    StorePlan { dir: dir.to_owned(), outbox_limit: 1 << 30, journal_limit: 400 * DAY }
}

/// Commit number `n`: one journal entry, one row of state and one revision in the outbox that all say `n`.
fn numbered(n: u64) -> Commit {
    let body = format!("{{\"n\":{n},\"ballast\":\"{}\"}}", "x".repeat(1000));
    Commit {
        journal: vec![Entry {
            seq: n,
            at: Stamp(1_790_000_000_000_000_000),
            kind: "incident",
            subject: "i".to_owned(),
            body: body.clone(),
        }],
        state: vec![StateChange { kind: "engine", key: "n".to_owned(), body: Some(n.to_string()) }],
        outbox: vec![OutboxRow {
            destination: "desk".to_owned(),
            kind: RecordKind::Incident,
            record: "i".to_owned(),
            rev: n,
            priority: Priority::P3,
            over: false,
            opens: true,
            body,
            link: None,
            terms: Terms::default(),
        }],
    }
}

/// Numbers and kinds of the journal's entries.
async fn journal(store: &Store) -> Vec<(u64, String)> {
    let entries = |tx: &Tx<'_>| {
        let mut select = tx.prepare("SELECT seq, kind FROM journal ORDER BY seq")?;
        let rows = select.query_map([], |row| Ok((uint(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    store.read(entries).await.unwrap()
}

/// The number of the last commit in an open store; fails when journal, state and outbox do not agree.
async fn last(store: &Store, loaded: &Loaded) -> u64 {
    let journal = journal(store).await;
    assert!(journal.iter().zip(1..).all(|((found, _), seq)| *found == seq), "the journal is gapless");
    let state = loaded.state.first().map_or(0, |(_, _, body)| body.parse().unwrap());
    let outbox = store.outbox_rows(10).await.unwrap().first().map_or(0, |row| row.rev);
    let journal = journal.last().map_or(0, |(seq, _)| *seq);
    assert_eq!((journal, state), (outbox, outbox), "journal, state and outbox are of one commit");
    outbox
}

#[tokio::test]
async fn what_was_committed_is_there_again() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, loaded) = Store::open(&plan(tmp.path())).unwrap();
    assert_eq!(loaded, Loaded { born: loaded.born, ..Loaded::default() });
    assert!(loaded.born.0 > 0);
    for n in 1..=3 {
        store.commit(numbered(n)).await.unwrap();
    }
    let change = |key: &str, body: Option<&str>| StateChange {
        kind: "machine",
        key: key.to_owned(),
        body: body.map(str::to_owned),
    };
    for state in [vec![change("b", Some("1")), change("a", Some("2"))], vec![change("b", None)]] {
        store.commit(Commit { state, ..Commit::default() }).await.unwrap();
    }
    store.close().await;
    let (store, loaded) = Store::open(&plan(tmp.path())).unwrap();
    let triple = |k: &str, n: &str, b: &str| (k.to_owned(), n.to_owned(), b.to_owned());
    assert_eq!(loaded.state, [triple("engine", "n", "3"), triple("machine", "a", "2")]);
    assert_eq!((loaded.seq, loaded.recovered), (3, None));
    assert_eq!(journal(&store).await, (1..=3).map(|seq| (seq, "incident".to_owned())).collect::<Vec<_>>());
    let size = store.size().await.unwrap();
    assert!(size.database > 4096 && size.outbox > 1000 && size.outbox_limit == 1 << 30, "{size:?}");
}

#[tokio::test]
async fn a_commit_may_be_repeated_but_not_contradicted() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&plan(tmp.path())).unwrap();
    let commit = Arc::new(numbered(1));
    store.commit(Arc::clone(&commit)).await.unwrap();
    store.commit(commit).await.unwrap();
    let mut other = numbered(1);
    other.journal[0].body = "{}".to_owned();
    other.state[0].body = Some("other".to_owned());
    assert_eq!(store.commit(other).await, Err(StoreError::Conflict { seq: 1 }));
    store.close().await;
    let (store, loaded) = Store::open(&plan(tmp.path())).unwrap();
    assert_eq!(last(&store, &loaded).await, 1);
}

#[tokio::test]
async fn what_waits_together_is_one_transaction_and_each_hears_of_its_own_failure() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&plan(tmp.path())).unwrap();
    store.commit(numbered(1)).await.unwrap();
    for bad in [false, true] {
        // The thread is kept busy until the others wait for it.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let mut started = Some(started);
        let other = store.clone();
        let busy = tokio::spawn(async move {
            let work = move |_: &Tx<'_>| {
                let _ = started.take().map(|started| started.send(()));
                Ok(wait.recv().is_ok())
            };
            other.read(work).await
        });
        running.await.unwrap();
        let stamp = || store.write(|tx| Ok(tx.now));
        let conflict = async {
            let mut commit = numbered(1);
            commit.journal[0].body.clear();
            if bad { store.commit(commit).await } else { Ok(()) }
        };
        let release = async { go.send(()).unwrap() };
        let (a, conflict, b, ()) = tokio::join!(stamp(), conflict, stamp(), release);
        assert_eq!(busy.await.unwrap(), Ok(true));
        assert_eq!(conflict.is_err(), bad);
        assert_eq!(a.unwrap() == b.unwrap(), !bad, "alone after a failure, else together");
    }
}

#[tokio::test]
async fn a_directory_has_one_owner() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&plan(tmp.path())).unwrap();
    let refused = Store::open(&plan(tmp.path())).err().unwrap();
    assert_eq!(
        refused.to_string(),
        format!("cannot open store: {} is in use by process {}", tmp.path().display(), std::process::id())
    );
    let clone = store.clone();
    store.close().await;
    assert_eq!(clone.commit(numbered(1)).await, Err(StoreError::Closed));
    Store::open(&plan(tmp.path())).unwrap();
}

#[tokio::test]
async fn a_newer_store_is_refused_and_left_alone() {
    let tmp = tempfile::tempdir().unwrap();
    Store::open(&plan(tmp.path())).unwrap().0.close().await;
    let db = rusqlite::Connection::open(tmp.path().join("state.db")).unwrap();
    db.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(db);
    let refused = Store::open(&plan(tmp.path())).err().unwrap();
    assert_eq!(refused, StoreError::Newer { found: 99, known: 2 });
    assert!(refused.to_string().contains("schema version is 99, this sexton knows up to 2"));
}

/// Damages the file of a closed store.
type Damage = fn(&Path);

#[tokio::test]
async fn a_damaged_database_is_moved_aside_and_told() {
    let damages: [(&str, Damage); 5] = [
        ("garbage all over", |file| std::fs::write(file, vec![0xA5; 9000]).unwrap()),
        ("garbage in the middle", |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let (from, to) = (bytes.len() / 4, bytes.len() / 2);
            bytes[from..to].fill(0xA5);
            std::fs::write(file, bytes).unwrap();
        }),
        ("cut to half", |file| {
            let bytes = std::fs::read(file).unwrap();
            std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("a table is missing", |file| {
            rusqlite::Connection::open(file).unwrap().execute_batch("DROP TABLE state").unwrap();
        }),
        ("a word nobody knows", |file| {
            let db = rusqlite::Connection::open(file).unwrap();
            let sql =
                "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE' WHERE name = 'outbox'";
            db.execute_batch(sql).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let tmp = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&plan(tmp.path())).unwrap();
        for n in 1..=20 {
            store.commit(numbered(n)).await.unwrap();
        }
        store.close().await;
        let file = tmp.path().join("state.db");
        damage(&file);
        let damaged = std::fs::read(&file).unwrap();
        let (store, loaded) = Store::open(&plan(tmp.path())).unwrap();
        assert!(loaded.state.is_empty(), "{what}");
        let told = loaded.recovered.unwrap();
        let aside = told.split_whitespace().find(|word| word.starts_with("state.db.corrupt-"));
        let aside = aside.unwrap_or_else(|| panic!("{what}: {told}")).trim_end_matches(',');
        assert!(std::fs::read(tmp.path().join(aside)).unwrap() == damaged, "{what}: kept for the curious");
        store.commit(numbered(1)).await.unwrap();
        store.close().await;
        let (_store, loaded) = Store::open(&plan(tmp.path())).unwrap();
        assert_eq!((loaded.state.len(), loaded.recovered), (1, None), "{what}");
    }
}

#[tokio::test]
async fn an_emptied_database_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    Store::open(&plan(tmp.path())).unwrap().0.close().await;
    std::fs::write(tmp.path().join("state.db"), b"").unwrap();
    let (_store, loaded) = Store::open(&plan(tmp.path())).unwrap();
    assert_eq!(loaded.recovered.as_deref(), Some("state.db was empty; a new one was started"));
}

#[tokio::test]
async fn damage_found_at_work_is_looked_for_at_the_next_start() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&plan(tmp.path())).unwrap();
    let failed = store.read(|_| Err::<(), _>(StoreError::Corrupt("page 7".to_owned()))).await;
    assert_eq!(failed, Err(StoreError::Corrupt("page 7".to_owned())));
    store.close().await;
    assert!(tmp.path().join("state.suspect").exists());
    let (_store, loaded) = Store::open(&plan(tmp.path())).unwrap();
    assert_eq!(loaded.recovered, None, "it was sound");
    assert!(!tmp.path().join("state.suspect").exists());
}

#[tokio::test]
async fn old_journal_entries_go_in_batches_from_the_old_end() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&plan(tmp.path())).unwrap();
    // Number 1 is 49 days old, number 50 of today: the store's own upkeep leaves them alone.
    let today = Clock::start().now().stamp();
    let day = move |seq: i64| today.plus((seq - 50) * DAY);
    let entry = |seq: u64| Entry { at: day(seq as i64), ..numbered(seq).journal.remove(0) };
    let commit = Commit { journal: (1..=50).map(entry).collect(), ..Commit::default() };
    store.commit(commit).await.unwrap();
    for (before, batch, gone, oldest) in [(11, 4, 4, 5), (11, 40, 6, 11), (11, 40, 0, 11), (99, 500, 39, 50)]
    {
        let trim = move |tx: &Tx<'_>| journal::trim(tx, day(before), batch);
        assert_eq!(store.write(trim).await.unwrap(), gone);
        assert_eq!(journal(&store).await[0].0, oldest, "the newest stays");
    }
}

#[test]
fn upkeep_makes_the_ballast_again_and_gives_pages_back() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::lock(tmp.path()).unwrap();
    dir.prepare_database().unwrap();
    let conn = schema::connect(&dir.database()).unwrap();
    let mut upkeep = Upkeep::new(DAY);
    let start = Clock::start().now();
    upkeep.run(&conn, &dir, start);
    conn.execute_batch(
        "INSERT INTO state SELECT 'x', value, hex(zeroblob(4000)) FROM json_each('[1,2,3,4,5,6,7,8,9]');
         INSERT INTO state SELECT 'y' || key, kind || hex(randomblob(8)), body FROM state;
         INSERT INTO state SELECT 'z' || hex(randomblob(8)), key, body || body || body FROM state;
         INSERT INTO state SELECT 'w' || hex(randomblob(8)), key, body || body || body || body FROM state;
         DELETE FROM state",
    )
    .unwrap();
    let free = || conn.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = free();
    assert!(before > 300, "{before}");
    assert!(dir.free_ballast());
    upkeep.run(&conn, &dir, start.plus(MINUTE / 2));
    assert_eq!(free(), before, "not yet");
    upkeep.run(&conn, &dir, start.plus(MINUTE));
    assert_eq!(free(), 256);
    assert!(dir.free_ballast(), "it is there again");
}

#[tokio::test]
async fn the_outbox_serves_from_any_clone() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&plan(tmp.path())).unwrap();
    let pump = store.clone();
    store.commit(numbered(1)).await.unwrap();
    let jobs = pump.claim("desk", 5, Stamp(1)).await.unwrap();
    assert_eq!(jobs[0].operation_key, "sx-i-1-c");
    drop(store);
    assert_eq!(pump.next_due("desk").await.unwrap(), None);
}

#[tokio::test]
async fn the_journal_is_searched_for_an_incident_by_number_or_the_beginning_of_its_id() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&plan(tmp.path())).unwrap();
    let entry = |seq, kind, subject: &str, body: &str| Entry {
        seq,
        at: Stamp(1_790_000_000_000_000_000),
        kind,
        subject: subject.to_owned(),
        body: body.to_owned(),
    };
    let journal = vec![
        entry(1, "incident", "01a2-aa", "{\"number\":\"INC000001\"}"),
        entry(2, "event", "print", "{}"),
        entry(3, "incident", "01a2-bb", "{\"number\":\"INC000002\"}"),
        entry(4, "incident", "01a2-aa", "no JSON at all"),
        entry(5, "problem", "01a2-cc", "{\"number\":\"INC000003\"}"),
    ];
    store.commit(Commit { journal, ..Commit::default() }).await.unwrap();
    for (text, scan, found) in [
        ("inc000001", 100, &["01a2-aa"][..]),
        ("01a2-b", 100, &["01a2-bb"]),
        ("01a2", 100, &["01a2-aa", "01a2-bb"]),
        ("inc000001", 3, &[]),
        ("inc000003", 100, &[]),
        ("%", 100, &[]),
    ] {
        assert_eq!(store.journal_incidents(text, scan).await.unwrap(), found, "{text} in {scan}");
    }
    let about = store.journal_about(vec!["print".to_owned(), "01a2-aa".to_owned()], 100).await.unwrap();
    assert_eq!(about.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 4]);
}
