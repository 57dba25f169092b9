//! Crashes: torn logs taken at random moments, and a real process killed twenty times.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

/// A small generator, so that a failing run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Copies of database and log are taken at random moments, the log is cut or spoiled at a random place: each
/// time the store opens without complaint at exactly one of the commits before that moment, and a whole log
/// gives the last one.
#[tokio::test]
async fn a_torn_log_gives_an_earlier_commit_whole() {
    let mut random = Random(0x5E_C570);
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&plan(tmp.path())).unwrap();
    let mut n = 0;
    for round in 0..40 {
        for _ in 0..=random.below(6) {
            n += 1;
            store.commit(numbered(n)).await.unwrap();
            if n % 3 == 0 {
                store.claim("desk", 1, Stamp(1)).await.unwrap();
            }
        }
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(tmp.path().join("state.db"), copy.path().join("state.db")).unwrap();
        let mut wal = std::fs::read(tmp.path().join("state.db-wal")).unwrap();
        let at = random.below(wal.len() as u64) as usize;
        match round % 3 {
            0 => {}
            1 => wal.truncate(at),
            _ => wal[at..].iter_mut().take(100).for_each(|byte| *byte ^= 0x5A),
        }
        std::fs::write(copy.path().join("state.db-wal"), wal).unwrap();
        let (copied, loaded) = Store::open(&plan(copy.path())).unwrap();
        assert_eq!(loaded.recovered, None);
        let found = last(&copied, &loaded).await;
        assert!(found <= n);
        if round % 3 == 0 {
            assert_eq!(found, n, "a whole log is the whole truth");
        }
        copied.commit(numbered(found + 1)).await.unwrap();
        copied.close().await;
    }
    assert!(n > 40);
}

const DIR: &str = "SEXTON_TEST_CRASH";

/// A process that commits in a loop is killed twenty times; whatever it said was committed is there.
#[tokio::test]
async fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let mut random = Random(0xC4A5);
    let tmp = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::crash::commits_for_ever", "--ignored", "--nocapture"])
            .env(DIR, tmp.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 1 + random.below(60);
        let mut number = |line: std::io::Result<String>| {
            line.ok()?.strip_prefix("committed ")?.parse::<u64>().ok().inspect(|n| acknowledged = *n)
        };
        while left > 0 {
            let line = lines.next().unwrap_or_else(|| panic!("kill {kill}: the child ended by itself"));
            left -= u64::from(number(line).is_some());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still said before it died counts as well; the last line may be cut off.
        let rest: Vec<_> = lines.collect();
        rest.into_iter().for_each(|line| {
            number(line);
        });
        let (store, loaded) = Store::open(&plan(tmp.path())).unwrap();
        assert_eq!(loaded.recovered, None);
        let found = last(&store, &loaded).await;
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "kill {kill}: {found}, said {acknowledged}"
        );
        store.close().await;
        acknowledged = found;
    }
}

#[tokio::test]
#[ignore = "run by twenty_kills_lose_nothing_that_was_acknowledged"]
async fn commits_for_ever() {
    let Some(dir) = std::env::var_os(DIR).map(std::path::PathBuf::from) else { return };
    let (store, loaded) = Store::open(&plan(&dir)).unwrap();
    let mut n: u64 = loaded.state.first().map_or(0, |(_, _, body)| body.parse().unwrap());
    let mut stdout = std::io::stdout();
    println!();
    loop {
        n += 1;
        store.commit(numbered(n)).await.unwrap();
        writeln!(stdout, "committed {n}").and_then(|()| stdout.flush()).unwrap();
        store.claim("desk", 1, Stamp(1)).await.unwrap();
    }
}
