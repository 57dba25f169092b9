//! The loop with a real store, real doors and a store that cannot write.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::*;
use crate::cli::doors::doors;
use crate::config::{self, HostFacts};

#[tokio::test]
async fn a_change_while_the_daemon_starts_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sexton.toml");
    let text = |interval: &str| {
        format!("[collect]\ninterval = \"{interval}\"\n[store]\ndir = \"{}/store\"\n", dir.path().display())
    };
    std::fs::write(&path, text("1h")).unwrap();
    let (after, loads, again) = (text("2h"), Cell::new(0), Rc::new(Notify::new()));
    let (file, told) = (path.clone(), Rc::clone(&again));
    let load = move || {
        let facts = HostFacts { machine_id: "m".to_owned(), hostname: "h".to_owned() };
        let config = config::load(&file, &doors(), &facts).map_err(|d| d.render(false));
        // Somebody saves the file just after it was read.
        match loads.replace(loads.get() + 1) {
            0 => std::fs::write(&file, &after).unwrap(),
            _ => told.notify_one(),
        }
        config
    };
    let socket = dir.path().join("control.sock");
    let (load, boot_grace) = (Box::new(load), Duration::ZERO);
    let setup = Setup { load, watch: Some(path.clone()), socket, narrator: None, boot_grace };
    let local = LocalSet::new();
    let lived = local.run_until(async {
        let daemon = Daemon::start(setup).await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), daemon.run(again.notified())).await
    });
    assert_eq!(lived.await, Ok(Ended::Asked), "the change is read");
}
