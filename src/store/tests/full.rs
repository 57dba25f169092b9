//! Full disks: by SQLite's own limit everywhere, and for real on a tiny file system where one may be mounted.

use std::process::Command;

use super::*;

#[tokio::test]
async fn a_full_database_fails_per_call_and_goes_on_when_there_is_room() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, loaded) = Store::open(&plan(tmp.path())).unwrap();
    let pages = |n: i64| {
        store.read(move |tx| {
            Ok(tx.query_row(&format!("PRAGMA max_page_count = {n}"), [], |r| r.get::<_, i64>(0))?)
        })
    };
    pages(60).await.unwrap();
    let mut done = 0;
    let failed = loop {
        match store.commit(numbered(done + 1)).await {
            Ok(()) => done += 1,
            Err(e) => break e,
        }
        assert!(done < 10_000);
    };
    assert_eq!(failed, StoreError::Full);
    assert!(done > 5);
    assert_eq!(store.commit(numbered(done + 1)).await, Err(StoreError::Full), "per call");
    assert_eq!(journal(&store).await.len() as u64, done, "reads go on, nothing is half-written");
    pages(1_000_000).await.unwrap();
    store.commit(numbered(done + 1)).await.unwrap();
    drop(loaded);
    store.close().await;
    let (store, loaded) = Store::open(&plan(tmp.path())).unwrap();
    assert_eq!(last(&store, &loaded).await, done + 1);
}

const DIR: &str = "SEXTON_TEST_FULL_DISK";

/// Runs [`on_a_small_disk`] in a mount namespace of its own, with 8 MiB of tmpfs.
#[test]
fn a_full_disk_frees_the_ballast_first() {
    let tmp = tempfile::tempdir().unwrap();
    let mount = |then: &str| {
        let script = format!("mount -t tmpfs -o size=8m tmpfs \"${DIR}\" && {then}");
        let exe = std::env::current_exe().unwrap();
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script, "sh"]).arg(exe).env(DIR, tmp.path());
        command.output()
    };
    if !mount("true").is_ok_and(|out| out.status.success()) {
        eprintln!("left out: mounting a small file system is not permitted here");
        return;
    }
    let out = mount("exec \"$1\" --exact store::tests::full::on_a_small_disk --ignored --nocapture").unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[tokio::test]
#[ignore = "run by a_full_disk_frees_the_ballast_first"]
async fn on_a_small_disk() {
    let Some(dir) = std::env::var_os(DIR).map(std::path::PathBuf::from) else { return };
    let (store, _) = Store::open(&plan(&dir.join("store"))).unwrap();
    store.commit(numbered(1)).await.unwrap();
    let ballast = dir.join("store/ballast");
    assert!(ballast.exists());
    let junk = dir.join("junk");
    let filled = std::fs::write(&junk, vec![1; 16 << 20]);
    assert_eq!(filled.map_err(|e| e.kind()), Err(std::io::ErrorKind::StorageFull));
    let mut done = 1;
    let failed = loop {
        match store.commit(numbered(done + 1)).await {
            Ok(()) => done += 1,
            Err(e) => break e,
        }
        assert!(done < 10_000);
    };
    assert_eq!(failed, StoreError::Full);
    assert!(!ballast.exists());
    assert!(done > 20, "the ballast took {done} commits");
    assert_eq!(journal(&store).await.len() as u64, done);
    // The daemon is restarted while the disk is full.
    store.close().await;
    let (store, loaded) = Store::open(&plan(&dir.join("store"))).unwrap();
    assert_eq!(last(&store, &loaded).await, done);
    std::fs::remove_file(junk).unwrap();
    store.commit(numbered(done + 1)).await.unwrap();
    store.close().await;
    let (store, loaded) = Store::open(&plan(&dir.join("store"))).unwrap();
    assert_eq!((last(&store, &loaded).await, loaded.recovered), (done + 1, None));
    assert!(ballast.exists());
}
