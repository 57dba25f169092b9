//! Real files, real renames; every wait has a bound.

use std::fs;
use std::os::unix::fs::symlink;

use tokio::sync::mpsc;

use super::*;

/// Longest wait for a signal that must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Polling that cannot help a test: what it shows must come from inotify.
const NEVER: Duration = Duration::from_secs(3600);

struct Scene {
    dir: tempfile::TempDir,
    rx: mpsc::Receiver<()>,
    _watch: Watch,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Builds a directory, watches `etc` within it.
fn scene(build: impl FnOnce(&Path)) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let (tx, rx) = mpsc::channel(1);
    let watch = spawn_with(&dir.path().join("etc"), tx, NEVER).unwrap();
    Scene { dir, rx, _watch: watch }
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Waits for the signal that a change must give.
    fn signal(&mut self, what: &str) {
        let got = runtime().block_on(async { tokio::time::timeout(PATIENCE, self.rx.recv()).await });
        assert_eq!(got, Ok(Some(())), "no signal after {what}");
    }
}

fn plain(dir: &Path) {
    fs::create_dir_all(dir.join("etc/rules.d")).unwrap();
    fs::write(dir.join("etc/sexton.toml"), "schema = 1").unwrap();
    fs::write(dir.join("etc/rules.d/a.toml"), "a").unwrap();
}

/// As editors save: a new file takes the name of the old one.
fn save(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

#[test]
fn every_save_of_an_editor_is_seen_not_only_the_first() {
    let mut scene = scene(plain);
    for n in 0..3 {
        save(&scene.path("etc/sexton.toml"), &format!("# {n}"));
        scene.signal("a save of the main file");
        save(&scene.path("etc/rules.d/a.toml"), &format!("# {n}"));
        scene.signal("a save of a drop-in");
    }
}

#[test]
fn writing_in_place_adding_and_removing_are_seen() {
    let mut scene = scene(plain);
    fs::write(scene.path("etc/rules.d/a.toml"), "b").unwrap();
    scene.signal("a write in place");
    fs::write(scene.path("etc/rules.d/b.toml"), "b").unwrap();
    scene.signal("a new file");
    fs::remove_file(scene.path("etc/rules.d/b.toml")).unwrap();
    scene.signal("a removal");
}

#[test]
fn the_swap_of_a_data_link_is_seen_again_and_again() {
    let mut scene = scene(|dir| {
        let etc = dir.join("etc");
        fs::create_dir_all(etc.join("..v0")).unwrap();
        fs::write(etc.join("..v0/sexton.toml"), "0").unwrap();
        symlink("..v0", etc.join("..data")).unwrap();
        symlink("..data/sexton.toml", etc.join("sexton.toml")).unwrap();
    });
    for n in 1..4 {
        let etc = scene.path("etc");
        fs::create_dir(etc.join(format!("..v{n}"))).unwrap();
        fs::write(etc.join(format!("..v{n}/sexton.toml")), n.to_string()).unwrap();
        symlink(format!("..v{n}"), etc.join("..data_tmp")).unwrap();
        fs::rename(etc.join("..data_tmp"), etc.join("..data")).unwrap();
        fs::remove_dir_all(etc.join(format!("..v{}", n - 1))).unwrap();
        scene.signal("a swap");
    }
}

#[test]
fn a_linked_directory_that_is_swapped_whole_is_seen() {
    let mut scene = scene(|dir| {
        for n in 0..3 {
            fs::create_dir(dir.join(format!("v{n}"))).unwrap();
            fs::write(dir.join(format!("v{n}/sexton.toml")), n.to_string()).unwrap();
        }
        symlink("v0", dir.join("etc")).unwrap();
    });
    for n in 1..3 {
        symlink(format!("v{n}"), scene.path("next")).unwrap();
        fs::rename(scene.path("next"), scene.path("etc")).unwrap();
        scene.signal("a swap of the directory");
    }
    fs::write(scene.path("v2/sexton.toml"), "in place").unwrap();
    scene.signal("a write behind the new link");
}

#[test]
fn a_directory_removed_and_made_again_is_watched_again() {
    let mut scene = scene(plain);
    fs::remove_dir_all(scene.path("etc")).unwrap();
    scene.signal("the removal");
    plain(scene.dir.path());
    scene.signal("the return");
    fs::write(scene.path("etc/rules.d/a.toml"), "after").unwrap();
    scene.signal("a write in the directory made again");
}

#[test]
fn rules_d_may_come_later() {
    let mut scene = scene(|dir| {
        fs::create_dir(dir.join("etc")).unwrap();
        fs::write(dir.join("etc/sexton.toml"), "schema = 1").unwrap();
    });
    fs::create_dir(scene.path("etc/rules.d")).unwrap();
    fs::write(scene.path("etc/rules.d/a.toml"), "a").unwrap();
    scene.signal("the first drop-in");
    fs::write(scene.path("etc/rules.d/a.toml"), "b").unwrap();
    scene.signal("a write to it");
}

#[test]
fn reading_and_touching_is_no_change() {
    let mut scene = scene(plain);
    let file = scene.path("etc/sexton.toml");
    fs::read(&file).unwrap();
    save(&file, "schema = 1");
    fs::write(scene.path("etc/rules.d/README"), "no rule").unwrap();
    // The next real change gives exactly one signal: nothing was queued before it.
    save(&file, "schema = 1 # new");
    scene.signal("a save");
    assert!(scene.rx.try_recv().is_err());
}

#[test]
fn polling_finds_what_inotify_does_not_tell() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing to watch yet: neither the directory nor its parent exists.
    let path = dir.path().join("later/etc");
    let (tx, rx) = mpsc::channel(1);
    let watch = spawn_with(&path, tx, Duration::from_millis(20)).unwrap();
    let mut scene = Scene { dir, rx, _watch: watch };
    fs::create_dir(scene.path("later")).unwrap();
    plain(&scene.path("later"));
    scene.signal("the first appearance");
}

#[test]
fn the_thread_ends_with_its_watch() {
    let mut scene = scene(plain);
    let Scene { rx, _watch: watch, .. } = &mut scene;
    let stopped = Arc::clone(&watch.stopped);
    drop(std::mem::replace(watch, Watch { stopped, nudge: sync_channel(1).0 }));
    // The thread holds the only sender.
    let got = runtime().block_on(async { tokio::time::timeout(PATIENCE, rx.recv()).await });
    assert_eq!(got, Ok(None));
}
