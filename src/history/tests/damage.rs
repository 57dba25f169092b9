//! Whatever happens to the file: the history goes on, in a new one if need be, and says so.

use std::io::{Read, Seek, SeekFrom, Write};
use std::process::Command;

use super::*;
use crate::history::worker::{Message, Worker};

fn plan(dir: &Path) -> HistoryPlan {
    HistoryPlan { dir: dir.to_owned(), limit: 64 << 20 }
}

fn now() -> Moment {
    Moment::at(START + 1_000_000 * SECOND)
}

/// A minute of a host, ending so many minutes after the start.
fn minute(n: i64) -> Vec<Observation> {
    let host = Instance::of(Class::Host, &[]);
    let one = |i: i64| {
        let noise = f64::from((n * 6 + i) as u32).sqrt();
        seen(START + (n * 60 + i * 10) * SECOND, &host, &[(BUSY, Some(Value::Num(noise)))])
    };
    (0..6).map(one).collect()
}

/// A thread's work without the thread: the messages in turn, then the end.
fn work(dir: &Path, batches: impl IntoIterator<Item = Vec<Observation>>) -> Status {
    let shared = Arc::new(Shared::default());
    let worker = Worker::new(dir.to_owned(), plan(dir).limit, Clock::told(now), Arc::clone(&shared));
    let (tx, rx) = mpsc::channel(1000);
    for batch in batches {
        tx.try_send(Message::Write(batch)).ok().unwrap();
    }
    drop(tx);
    worker.serve(rx);
    shared.get()
}

/// A history of three hours, packed but for the last minutes.
fn filled(dir: &Path) {
    let mut writer = writer(dir, 64 << 20);
    for n in 0..170 {
        writer.write(&minute(n)).unwrap();
        if n % 60 == 59 {
            writer.pack().unwrap();
        }
    }
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    writer.conn.query_row(checkpoint, [], |_| Ok(())).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    names.sort();
    names
}

fn spoil(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn what_cannot_be_used_is_moved_aside_and_the_batch_is_kept() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 5] = [
        ("corrupt", |file| std::fs::write(file, b"SQLite format 3\0 no longer").unwrap()),
        ("corrupt", |file| spoil(file, 0, &[0; 100])),
        ("corrupt", |file| {
            let whole = std::fs::metadata(file).unwrap().len();
            std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(whole / 3).unwrap();
        }),
        ("newer", |file| {
            rusqlite::Connection::open(file).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        }),
        ("foreign", |file| {
            std::fs::remove_file(file).unwrap();
            rusqlite::Connection::open(file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        }),
    ];
    for (i, (why, spoil)) in cases.into_iter().enumerate() {
        let tmp = tempfile::tempdir().unwrap();
        filled(tmp.path());
        spoil(&file::path(tmp.path()));
        let status = work(tmp.path(), (170..240).map(minute));
        assert_eq!((status.written, status.dropped, &status.error), (420, 0, &None), "case {i}");
        let recovered = status.recovered.unwrap_or_else(|| panic!("case {i} says nothing"));
        assert!(recovered.contains(&format!("history.db.{why}-")), "case {i}: {recovered}");
        let names = names(tmp.path());
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[1].starts_with(&format!("history.db.{why}-2026")), "{names:?}");
        let archive = Archive::open(tmp.path()).unwrap();
        assert_eq!(samples(&archive.0, "cpu.busy").len(), 420, "case {i}");
    }
}

/// Any byte of the file may be wrong: what is read is true, or is missing and counted, or the file is moved
/// aside.
#[test]
fn a_flipped_byte_gives_no_wrong_sample() {
    let original = tempfile::tempdir().unwrap();
    filled(original.path());
    let truth: BTreeMap<i64, u64> = (0..170)
        .flat_map(minute)
        .map(|o| match o.samples[0].1 {
            Some(Value::Num(n)) => (o.at.mono, n.to_bits()),
            _ => unreachable!("numbers only"),
        })
        .collect();
    let len = std::fs::metadata(file::path(original.path())).unwrap().len();
    let (mut whole, mut short, mut aside) = (0, 0, 0);
    for i in 0..60 {
        let tmp = tempfile::tempdir().unwrap();
        let path = file::path(tmp.path());
        std::fs::copy(file::path(original.path()), &path).unwrap();
        let at = len / 60 * i + (i * 37) % (len / 60);
        let mut byte = [0];
        let mut file = std::fs::File::open(&path).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        spoil(&path, at, &[byte[0] ^ 0x10]);
        let status = work(tmp.path(), [minute(170), minute(171)]);
        assert_eq!((status.written, status.dropped), (12, 0), "at {at}: {status:?}");
        let archive = Archive::open(tmp.path()).unwrap();
        let mut reader = archive.reader();
        let mut found = 0;
        let mut check = |o: &Observation| {
            for (metric, value) in &o.samples {
                let Some(Value::Num(n)) = value else { panic!("at {at}: {value:?}") };
                assert_eq!((*metric, o.instance.key()), (BUSY, "host"), "at {at}");
                if o.at.mono < START + 170 * 60 * SECOND {
                    assert_eq!(truth.get(&o.at.mono), Some(&n.to_bits()), "at {at}");
                    found += 1;
                }
            }
        };
        let mut read_all = || -> Result<(), HistoryError> {
            let mut stream = Stream::begin(&mut reader, all_time())?;
            while let Some(seen) = stream.next(&mut reader)? {
                check(seen);
            }
            Ok(())
        };
        let read = read_all();
        match (status.recovered.is_some(), read) {
            (true, _) => aside += 1,
            (false, Ok(())) if found == truth.len() => whole += 1,
            (false, Ok(())) => short += 1,
            (false, Err(HistoryError::Damaged(_))) => short += 1,
            (false, Err(other)) => panic!("at {at}: {other}"),
        }
    }
    // Bytes of free pages do no harm.
    assert!(whole > 0 && short > 0, "{whole} whole, {short} short, {aside} aside");
}

/// What is said of a row is not true: it is not known when its samples are from, and packing or rolling up
/// must not make it look well.
#[test]
fn what_is_falsely_dated_is_dropped_and_counted_once() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    for n in 0..4 {
        writer.write(&minute(n)).unwrap();
    }
    let change = |writer: &Writer, sql: &str| assert_eq!(writer.conn.execute(sql, []).unwrap(), 1);
    change(&writer, "UPDATE recent SET ahead = ahead + 1000000000 WHERE id = (SELECT min(id) FROM recent)");
    let read = |writer: &Writer| {
        let mut reader = Reader::new(&writer.conn);
        let mut found = 0;
        for _ in 0..2 {
            let mut stream = Stream::begin(&mut reader, all_time()).unwrap();
            found = std::iter::from_fn(|| stream.next(&mut reader).unwrap().map(|_| ())).count();
        }
        (found, reader.damaged)
    };
    let (found, met) = read(&writer);
    assert_eq!((found, met.count()), (18, 1), "met twice, counted once");
    let mut joined = met.clone();
    joined.join(met);
    assert_eq!(joined.count(), 1);
    writer.pack().unwrap();
    assert_eq!(writer.damaged, 1);
    assert_eq!(read(&writer).0, 18, "its samples are not in the segment");
    // The same of segments: two of them, one false.
    for n in 4..8 {
        writer.write(&minute(n)).unwrap();
    }
    writer.pack().unwrap();
    change(&writer, "UPDATE segment SET first = first + 1 WHERE id = (SELECT min(id) FROM segment)");
    writer.limit = LEAST / 16;
    writer.keep_budget().unwrap();
    assert_eq!(writer.damaged, 2);
    let steps = "SELECT coalesce(min(first), 0) FROM segment";
    let first: i64 = writer.conn.query_row(steps, [], |row| row.get(0)).unwrap();
    assert!(first == 0 || first >= START + 4 * 60 * SECOND - rollup::STEP, "{first}");
}

/// Copies of file and log taken in the middle of the work, the log torn: what a power cut leaves.
#[test]
fn a_torn_log_gives_an_earlier_minute_whole() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    // What was synced before a checkpoint is never torn: here nothing is copied into the file but once.
    writer.conn.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(())).unwrap();
    for n in 0..150 {
        if n == 75 {
            writer.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
        writer.write(&minute(n)).unwrap();
        if n % 40 == 39 {
            writer.pack().unwrap();
        }
        if n % 7 != 0 {
            continue;
        }
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(file::path(tmp.path()), file::path(copy.path())).unwrap();
        let mut wal = std::fs::read(tmp.path().join("history.db-wal")).unwrap();
        let at = wal.len() * (n as usize * 31 % 97) / 97;
        if n % 2 == 0 {
            wal.truncate(at)
        } else {
            wal[at..].iter_mut().take(50).for_each(|b| *b ^= 0x5A)
        }
        std::fs::write(copy.path().join("history.db-wal"), wal).unwrap();
        let status = work(copy.path(), [minute(1000)]);
        assert_eq!((status.written, status.recovered), (6, None));
        let archive = Archive::open(copy.path()).unwrap();
        let read = everything(&archive.0);
        let expected: Vec<Observation> = (0..=n).flat_map(minute).collect();
        let old = read.len() - 6;
        assert_eq!(old % 6, 0, "whole minutes");
        assert!(lines(&read[..old]) == lines(&expected[..old]), "after {n}: {old}");
    }
}

#[test]
fn a_full_file_drops_samples_and_goes_on_when_there_is_room() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    let pages: i64 = writer.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |writer: &Writer, pages: i64| {
        writer.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };
    limit(&writer, pages + 3);
    let failed = (0..10_000).find_map(|n| writer.write(&minute(n)).err().map(|e| (n, e)));
    let (n, error) = failed.unwrap();
    assert_eq!(error, HistoryError::Full);
    assert!(n > 5);
    assert_eq!(everything(&writer.conn).len() as i64, 6 * n, "reads go on, nothing is half-written");
    limit(&writer, pages + 100);
    assert_eq!(writer.write(&minute(n)).unwrap().samples, 6);
    assert_eq!(everything(&writer.conn).len() as i64, 6 * n + 6);
}

#[tokio::test]
async fn where_nothing_can_be_written_the_daemon_goes_on_without() {
    let tmp = tempfile::tempdir().unwrap();
    // Even root cannot make a directory where a file is.
    std::fs::write(tmp.path().join("store"), "").unwrap();
    let mut history = History::start(&plan(&tmp.path().join("store")), Clock::start());
    history.keep(now(), minute(0));
    history.flush();
    let answer = history.asker().read(|reader| reader.series()).await;
    assert!(matches!(answer, Err(HistoryError::File { .. })), "{answer:?}");
    let status = history.status();
    assert_eq!((status.written, status.dropped), (0, 6));
    assert!(status.error.unwrap().contains("cannot open"));
    // The cause is mended: the next batch is kept.
    std::fs::remove_file(tmp.path().join("store")).unwrap();
    history.keep(now(), minute(1));
    history.flush();
    assert_eq!(history.asker().read(|reader| reader.series()).await.unwrap().len(), 1);
    assert_eq!((history.status().written, history.status().error.clone()), (6, None));
    history.close().await;
    assert_eq!(everything(&Archive::open(&tmp.path().join("store")).unwrap().0).len(), 6);
}

#[tokio::test]
async fn no_budget_no_history() {
    let tmp = tempfile::tempdir().unwrap();
    let none = HistoryPlan { limit: 0, ..plan(tmp.path()) };
    let mut history = History::start(&none, Clock::start());
    history.keep(now(), minute(0));
    let answer = history.asker().read(|reader| reader.series()).await;
    assert!(matches!(answer, Err(HistoryError::Absent(_))), "{answer:?}");
    assert_eq!((history.status().limit, history.status().dropped), (0, 0));
    history.close().await;
    assert!(names(tmp.path()).is_empty());
}

#[tokio::test]
async fn a_thread_that_is_behind_costs_samples_and_they_are_counted() {
    let tmp = tempfile::tempdir().unwrap();
    let mut history = History::start(&plan(tmp.path()), Clock::start());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    let asker = history.asker();
    let busy = tokio::spawn(async move {
        let work = move |_: &mut Reader<'_>| {
            let _ = started.send(());
            Ok(wait.recv().is_ok())
        };
        asker.read(work).await
    });
    running.await.unwrap();
    for n in 0..20 {
        history.keep(now(), minute(n));
        history.flush();
    }
    go.send(()).unwrap();
    assert_eq!(busy.await.unwrap(), Ok(true));
    history.asker().read(|_| Ok(())).await.unwrap();
    let status = history.status();
    assert_eq!((status.written, status.dropped), (6 * QUEUE as u64, 6 * (20 - QUEUE as u64)));
    history.close().await;
}

const DIR: &str = "SEXTON_TEST_HISTORY_DISK";

/// Runs [`on_a_small_disk`] and [`on_a_read_only_disk`] in mount namespaces of their own.
#[test]
fn full_and_read_only_disks() {
    for (test, size, then) in [("on_a_small_disk", "2m", ""), ("on_a_read_only_disk", "8m", "remount")] {
        let tmp = tempfile::tempdir().unwrap();
        filled(&tmp.path().join("before"));
        let mount = |then: &str| {
            let script = format!("mount -t tmpfs -o size={size} tmpfs \"${DIR}/disk\" && {then}");
            let exe = std::env::current_exe().unwrap();
            std::fs::create_dir_all(tmp.path().join("disk")).unwrap();
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", &script, "sh"]).arg(exe).env(DIR, tmp.path()).output()
        };
        if !mount("true").is_ok_and(|out| out.status.success()) {
            eprintln!("left out: mounting a file system is not permitted here");
            return;
        }
        let copy = format!("cp \"${DIR}/before/history.db\" \"${DIR}/disk/\" && ");
        let read_only = format!("mount -o remount,ro \"${DIR}/disk\" && ");
        let first = if then.is_empty() { String::new() } else { copy + &read_only };
        let run = format!("{first}exec \"$1\" --exact history::tests::damage::{test} --ignored --nocapture");
        let out = mount(&run).unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.contains("1 passed"), "{said}{errors}");
    }
}

#[test]
#[ignore = "run by full_and_read_only_disks"]
fn on_a_small_disk() {
    let Some(dir) = std::env::var_os(DIR).map(std::path::PathBuf::from) else { return };
    let dir = dir.join("disk");
    let status = work(&dir, (0..60).map(minute));
    assert_eq!((status.written, status.dropped), (360, 0));
    let junk = dir.join("junk");
    let filled = std::fs::write(&junk, vec![1; 4 << 20]);
    assert_eq!(filled.map_err(|e| e.kind()), Err(std::io::ErrorKind::StorageFull));
    let status = work(&dir, (60..400).map(minute));
    assert!(status.dropped > 0 && status.recovered.is_none(), "{status:?}");
    assert!(status.error.is_some(), "{status:?}");
    std::fs::remove_file(junk).unwrap();
    let status = work(&dir, [minute(400)]);
    assert_eq!((status.written, status.dropped, status.error), (6, 0, None));
    let archive = Archive::open(&dir).unwrap();
    let read = everything(&archive.0);
    assert!(read.len() >= 366, "what was written before is there: {}", read.len());
}

#[test]
#[ignore = "run by full_and_read_only_disks"]
fn on_a_read_only_disk() {
    let Some(dir) = std::env::var_os(DIR).map(std::path::PathBuf::from) else { return };
    let dir = dir.join("disk");
    let status = work(&dir, (200..210).map(minute));
    assert_eq!((status.written, status.dropped), (0, 60), "{status:?}");
    assert!(status.error.is_some() && status.recovered.is_none(), "{status:?}");
    assert_eq!(names(&dir), ["history.db"]);
    let archive = Archive::open(&dir).unwrap();
    assert_eq!(everything(&archive.0).len(), 170 * 6, "what cannot be written can be read");
}
