//! Reloads of a living daemon, with real files: what is refused, what goes in, and what is awkward.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::cli::doors::doors;
use crate::cli::handle::{RequestError, request};
use crate::config::{self, HostFacts};
use crate::daemon::tests::{quiet, setup, until};
use crate::daemon::{Daemon, Ended, Prove, Setup};

use super::attempt::Reading;

/// Longest time of a story.
const PATIENCE: Duration = Duration::from_secs(120);
/// Holds for nothing that is well.
const CALM: &str = "not sexton.ok";
/// Holds for everything that is well: clock, store, history, configuration.
const LOUD: &str = "sexton.ok";

/// A configuration directory and the daemon's socket.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(scene.path("etc/rules.d")).unwrap();
        scene.main("limit = { raise = 1, close = 1 }");
        scene.rule(CALM);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    fn main(&self, reload: &str) {
        let flaps = "[correlate]\nflap_half_life = \"1s\"\n";
        let text = format!("{}{flaps}[reload]\n{reload}\n", quiet(self.dir.path()));
        fs::write(self.path("etc/sexton.toml"), text).unwrap();
    }

    /// The rule of these tests, saved as an editor saves.
    fn rule(&self, raise: &str) {
        self.save("etc/rules.d/rule.toml", &rule("watched", raise));
    }

    fn save(&self, name: &str, text: &str) {
        let file = self.path(name);
        fs::write(file.with_extension("new"), text).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    }

    fn setup(&self, is_watched: bool) -> Setup {
        let etc = self.path("etc");
        let watch = is_watched.then(|| etc.clone());
        let load = move || {
            let facts = HostFacts { machine_id: "m".to_owned(), hostname: "h".to_owned() };
            config::load(&etc, &doors(), &facts).map_err(|d| d.render(false))
        };
        Setup { watch, ..setup(&self.socket(), load) }
    }

    /// Lives through a story.
    async fn live(&self, setup: Setup, story: impl Future<Output = ()>) {
        let story = async {
            until(&self.socket(), |s| s["rules"]["instances"].as_u64() > Some(3)).await;
            story.await;
        };
        let local = LocalSet::new();
        let lived = local.run_until(async {
            let daemon = Daemon::start(setup).await.unwrap();
            tokio::time::timeout(PATIENCE, daemon.run(story)).await
        });
        assert_eq!(lived.await, Ok(Ended::Asked));
    }

    /// What `sexton reload` is told: the message, or the refusal.
    async fn reload(&self, body: Value) -> Result<String, String> {
        let socket = self.socket();
        let ask = move || request(&socket, "POST", "/v1/reload", &body);
        match tokio::task::spawn_blocking(ask).await.unwrap() {
            Ok(answer) => Ok(answer["message"].as_str().unwrap().to_owned()),
            Err(RequestError::Refused(why)) => Err(why),
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn get(&self, path: &'static str) -> Value {
        let socket = self.socket();
        tokio::task::spawn_blocking(move || request(&socket, "GET", path, &Value::Null).unwrap())
            .await
            .unwrap()
    }

    async fn until(&self, is_so: impl Fn(&Value) -> bool) {
        until(&self.socket(), is_so).await;
    }

    fn journal(&self) -> Vec<Value> {
        let store = rusqlite::Connection::open(self.path("store/state.db")).unwrap();
        let mut rows = store.prepare("SELECT body FROM journal WHERE kind = 'config' ORDER BY seq").unwrap();
        let bodies = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        bodies.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
    }
}

fn rule(id: &str, raise: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\non = \"sexton\"\nmatch = {{ part = [\"clock\", \"store\", \"history\"] }}\n\
         raise = \"{raise}\"\nfor = \"0s\"\nkeep = \"0s\"\n"
    )
}

fn open_of(status: &Value, rule: &str) -> usize {
    let all = status["incidents"]["list"].as_array().unwrap();
    all.iter().filter(|i| i["rule"] == rule).count()
}

fn outcome(status: &Value) -> &str {
    status["config"]["reload"]["outcome"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn what_would_raise_or_close_too_much_is_refused_until_it_is_forced() {
    let scene = Scene::new();
    let story = async {
        scene.rule(LOUD);
        let said = scene.reload(json!({"dry_run": true})).await.unwrap();
        assert!(said.starts_with("dry run: this would be refused (it would raise 3 incidents"), "{said}");
        scene.until(|s| s["config"]["error"].is_null() && s["config"]["reload"].is_null()).await;
        let why = scene.reload(json!({})).await.unwrap_err();
        for part in [
            "it would raise 3 incidents and close 0; [reload] limit allows 1 and 1\n",
            "~ watched  rules.d/rule.toml:1",
            "raise: not sexton.ok → sexton.ok",
            "warning   watched on sexton{part=clock,name=wall}: sexton.ok is true",
            "sexton reload --force",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        scene.until(|s| open_of(s, "sexton-config") == 1 && outcome(s) == "refused").await;
        let status = scene.get("/v1/status").await;
        assert_eq!(
            (open_of(&status, "watched"), &status["config"]["reload"]["refused_by"]),
            (0, &json!("limit"))
        );
        let said = scene.reload(json!({"force": true})).await.unwrap();
        assert!(said.contains("rules in force, by force") && said.contains("raises 3"), "{said}");
        scene.until(|s| open_of(s, "watched") == 3 && s["config"]["error"].is_null()).await;
        // Closing three is too much as well; a rule that is gone closes what it has raised.
        fs::remove_file(scene.path("etc/rules.d/rule.toml")).unwrap();
        let why = scene.reload(json!({})).await.unwrap_err();
        assert!(why.contains("raise 0 incidents and close 3") && why.contains("- watched"), "{why}");
        scene.main("limit = { close = 3 }");
        let said = scene.reload(json!({})).await.unwrap();
        assert!(said.contains("closes 3") && said.contains("~ [reload]"), "the new limit counts: {said}");
        scene.until(|s| open_of(s, "watched") == 0 && outcome(s) == "applied").await;
    };
    scene.live(scene.setup(false), story).await;
    let told: Vec<_> = scene.journal().iter().map(|e| (e["outcome"].clone(), e["forced"].clone())).collect();
    let expected = [("refused", false), ("applied", true), ("refused", false), ("applied", false)];
    assert_eq!(told, expected.map(|(outcome, forced)| (json!(outcome), json!(forced))));
    let forced = &scene.journal()[1];
    assert_eq!(forced["outlook"]["raise"]["count"], 3);
    assert_eq!(forced["difference"]["rules"][0]["keys"][0]["key"], "raise");
}

#[tokio::test]
async fn checks_and_destinations_that_are_taken_out_close_what_was_raised_about_them() {
    let scene = Scene::new();
    let check = |id: &str| {
        format!("[[check]]\nid = \"{id}\"\nkind = \"tcp\"\naddress = \"127.0.0.1:9\"\ninterval = \"1s\"\n")
    };
    let token = scene.path("no-token");
    let desk = format!(
        "[[destination]]\nid = \"away\"\nkind = \"desk\"\nurl = \"http://127.0.0.1:9\"\ntoken = {{ file = \"{}\" }}\n",
        token.display()
    );
    let rules = "[[rule]]\nid = \"down\"\non = \"check\"\nraise = \"not check.up\"\nfor = \"0s\"\nkeep = \"0s\"\n\
                 [[rule]]\nid = \"away\"\non = \"sexton\"\nmatch = { part = [\"destination\"] }\n\
                 raise = \"not sexton.ok\"\nfor = \"0s\"\nkeep = \"0s\"\n";
    scene.save("etc/rules.d/down.toml", rules);
    scene.save("etc/rules.d/checks.toml", &[check("one"), check("two"), desk].concat());
    let story = async {
        scene.until(|s| (open_of(s, "down"), open_of(s, "away")) == (2, 1)).await;
        fs::remove_file(scene.path("etc/rules.d/checks.toml")).unwrap();
        let why = scene.reload(json!({})).await.unwrap_err();
        assert!(why.contains("raise 0 incidents and close 3"), "{why}");
        scene.reload(json!({"force": true})).await.unwrap();
        scene.until(|s| (open_of(s, "down"), open_of(s, "away")) == (0, 0)).await;
    };
    scene.live(scene.setup(false), story).await;
}

#[tokio::test]
async fn a_rule_that_fails_its_own_test_keeps_the_whole_set_out() {
    let scene = Scene::new();
    let test = |state: &str| {
        let series = "{ \"sexton.ok{part=clock,name=wall}\" = \"truex3 falsex5\" }";
        let expect = format!("[{{ at = \"5m\", state = \"{state}\" }}]");
        format!("[[test]]\nrule = \"watched\"\nstep = \"1m\"\nseries = {series}\nexpect = {expect}\n")
    };
    let story = async {
        scene.save("etc/rules.d/test.toml", &test("ok"));
        scene.save("etc/rules.d/other.toml", &rule("another", CALM));
        let why = scene.reload(json!({})).await.unwrap_err();
        for part in
            ["FAILED   watched  ", "test.toml:1:1", "5m  ok        raised warning", "1 test: 0 ok, 1 failed"]
        {
            assert!(why.contains(part), "{part}: {why}");
        }
        let forced = scene.reload(json!({"force": true})).await.unwrap_err();
        assert_eq!(forced, why, "force is about limits");
        scene.until(|s| s["config"]["reload"]["refused_by"] == "tests").await;
        let rules = scene.get("/v1/rules").await;
        let of = |id: &str| rules["instances"].as_array().unwrap().iter().any(|r| r["rule"] == id);
        assert_eq!((of("another"), of("watched")), (false, true), "refused whole");
        scene.save("etc/rules.d/test.toml", &test("raised"));
        let said = scene.reload(json!({})).await.unwrap();
        assert!(said.contains("1 test passed") && said.contains("+ another"), "{said}");
        let said = scene.reload(json!({})).await.unwrap();
        assert_eq!(said, "configuration read: nothing has changed");
        // A test alone is a change too: it is played.
        scene.save("etc/rules.d/test.toml", &test("pending"));
        assert!(scene.reload(json!({})).await.unwrap_err().contains("FAILED"));
    };
    scene.live(scene.setup(false), story).await;
}

#[tokio::test]
async fn the_loop_goes_on_while_tests_are_played_and_what_is_asked_meanwhile_is_answered_by_a_later_attempt()
{
    let scene = Scene::new();
    let gate = std::sync::Arc::new((Mutex::new((0, false)), Condvar::new()));
    let held = std::sync::Arc::clone(&gate);
    let prove: Prove = std::sync::Arc::new(move |_, _, _| {
        let (state, changed) = &*held;
        let mut state = state.lock().unwrap();
        state.0 += 1;
        drop(changed.wait_while(state, |state| !state.1).unwrap());
        Ok(0)
    });
    let setup = Setup { prove, ..scene.setup(false) };
    let is_answered = AtomicBool::new(false);
    let story = async {
        scene.save("etc/rules.d/more.toml", &rule("first", CALM));
        let asked = async {
            let said = scene.reload(json!({})).await.unwrap();
            is_answered.store(true, std::sync::atomic::Ordering::Relaxed);
            said
        };
        let meanwhile = async {
            while gate.0.lock().unwrap().0 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Samples go on: the window of a second is judged, and questions are answered.
            let before = scene.get("/v1/status").await["now"].clone();
            let written = |s: &Value| s["history"]["written"].as_u64().unwrap_or(0);
            let had = written(&scene.get("/v1/status").await);
            scene.until(|s| s["now"].as_str() > before.as_str()).await;
            let page = "/v1/history/samples?series=sexton.ok%7Bpart%3Dclock%2Cname%3Dwall%7D";
            let rows = |page: &Value| page["rows"].as_array().map_or(0, Vec::len);
            let seen = rows(&scene.get(page).await);
            while rows(&scene.get(page).await) < seen + 2 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(written(&scene.get("/v1/status").await) > had);
            assert!(!is_answered.load(std::sync::atomic::Ordering::Relaxed));
            // The file changes again while the first attempt is under way: the last one wins.
            scene.save("etc/rules.d/more.toml", &rule("second", CALM));
            let mut all = tokio::task::JoinSet::new();
            let socket = scene.socket();
            for _ in 0..5 {
                let socket = socket.clone();
                all.spawn_blocking(move || request(&socket, "POST", "/v1/reload", &json!({})).is_ok());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            gate.0.lock().unwrap().1 = true;
            gate.1.notify_all();
            while let Some(done) = all.join_next().await {
                assert!(done.unwrap());
            }
        };
        let (said, ()) = tokio::join!(asked, meanwhile);
        assert!(said.contains("+ second") || said.contains("+ first"), "{said}");
        let rules = scene.get("/v1/rules").await;
        let of = |id: &str| rules["instances"].as_array().unwrap().iter().any(|r| r["rule"] == id);
        assert_eq!((of("first"), of("second")), (false, true));
    };
    scene.live(setup, story).await;
    let tests = gate.0.lock().unwrap().0;
    assert!(tests <= 3, "six asks made {tests} attempts");
}

#[tokio::test]
async fn awkward_files_refuse_the_set_and_heal_by_themselves() {
    let scene = Scene::new();
    let story = async {
        let file = scene.path("etc/rules.d/more.toml");
        let is_bad = |s: &Value| s["config"]["error"].is_string() && open_of(s, "sexton-config") == 1;
        let is_good = |s: &Value| s["config"]["error"].is_null();
        // A directory where a file should be.
        fs::create_dir(&file).unwrap();
        scene.until(is_bad).await;
        fs::remove_dir(&file).unwrap();
        scene.until(is_good).await;
        // A file where the directory of rules should be: it cannot be listed.
        fs::rename(scene.path("etc/rules.d"), scene.path("etc/kept")).unwrap();
        fs::write(scene.path("etc/rules.d"), "no directory").unwrap();
        scene.until(is_bad).await;
        let rules = scene.get("/v1/rules").await;
        assert!(rules["instances"].as_array().unwrap().iter().any(|r| r["rule"] == "watched"), "the old set");
        fs::remove_file(scene.path("etc/rules.d")).unwrap();
        fs::rename(scene.path("etc/kept"), scene.path("etc/rules.d")).unwrap();
        scene.until(is_good).await;
        // A link that leads nowhere, as one whose file is removed while it is read.
        symlink("gone.toml", &file).unwrap();
        scene.until(is_bad).await;
        fs::remove_file(&file).unwrap();
        scene.until(is_good).await;
        // The first half of a file, and a while later the rest.
        let text = rule("halves", CALM);
        fs::write(&file, &text[..text.len() / 2]).unwrap();
        scene.until(is_bad).await;
        fs::write(&file, &text).unwrap();
        scene.until(|s| is_good(s) && outcome(s) == "applied").await;
        scene.until(|s| open_of(s, "sexton-config") == 0).await;
    };
    scene.live(scene.setup(true), story).await;
}

#[tokio::test]
async fn two_writes_in_quick_succession_are_one_change() {
    let scene = Scene::new();
    let story = async {
        let text = rule("halves", CALM);
        let (file, rest) = (scene.path("etc/rules.d/more.toml"), text.len() / 2);
        for _ in 0..3 {
            fs::write(&file, &text[..rest]).unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        fs::write(&file, &text).unwrap();
        scene.until(|s| outcome(s) == "applied").await;
    };
    scene.live(scene.setup(true), story).await;
    let told: Vec<_> = scene.journal().iter().map(|e| e["outcome"].clone()).collect();
    assert_eq!(told, [json!("applied")], "the half was never looked at");
}

#[tokio::test]
async fn a_mounted_set_that_is_swapped_by_its_link_goes_in_whole() {
    let scene = Scene::new();
    let etc = scene.path("etc");
    let data = |n: usize| etc.join("rules.d").join(format!("..v{n}"));
    let write = |n: usize| {
        fs::create_dir(data(n)).unwrap();
        // Both files name the version: half of one and half of the other would be told apart.
        fs::write(data(n).join("a.toml"), rule(&format!("a-{n}"), CALM)).unwrap();
        fs::write(data(n).join("b.toml"), rule(&format!("b-{n}"), CALM)).unwrap();
    };
    write(0);
    symlink("..v0", etc.join("rules.d/..data")).unwrap();
    for name in ["a.toml", "b.toml"] {
        symlink(Path::new("..data").join(name), etc.join("rules.d").join(name)).unwrap();
    }
    let story = async {
        for n in 1..4 {
            write(n);
            symlink(format!("..v{n}"), etc.join("rules.d/..data_tmp")).unwrap();
            fs::rename(etc.join("rules.d/..data_tmp"), etc.join("rules.d/..data")).unwrap();
            fs::remove_dir_all(data(n - 1)).unwrap();
            let rules = |s: &Value| s["config"]["reload"]["difference"]["rules"].clone();
            let names = |s: &Value| {
                let all = rules(s).as_array().cloned().unwrap_or_default();
                all.iter()
                    .map(|r| format!("{} {}", r["fate"], r["id"]))
                    .collect::<Vec<_>>()
                    .join(", ")
                    .replace('"', "")
            };
            let wanted = format!("removed a-{0}, added a-{n}, removed b-{0}, added b-{n}", n - 1);
            scene.until(|s| names(s) == wanted).await;
        }
    };
    scene.live(scene.setup(true), story).await;
    assert!(scene.journal().iter().all(|e| e["outcome"] == "applied"));
}

#[tokio::test]
async fn a_new_window_is_filled_from_the_history() {
    use crate::clock::Clock;
    use crate::engine::moment::SECOND;
    use crate::engine::signal::{Class, Instance, Observation, metric};
    use crate::history::History;
    let scene = Scene::new();
    let setup = scene.setup(false);
    let plan = (setup.load)().unwrap().history;
    // Half an hour of an earlier run.
    let (clock, wall) = (Clock::start(), Instance::of(Class::Sexton, &[("part", "clock"), ("name", "wall")]));
    let mut history = History::start(&plan, clock);
    for ago in (1..1800).rev() {
        let at = clock.now().plus(-ago * SECOND);
        let seen = Observation::new(at, std::sync::Arc::clone(&wall), SECOND).with(metric("sexton.ok"), true);
        history.keep(clock.now(), [seen]);
    }
    history.close().await;
    let story = async {
        let window = "frac(sexton.ok, 20m) > 50%";
        let clock = rule("filled", window).replace(", \"store\", \"history\"", "");
        scene.save("etc/rules.d/more.toml", &clock);
        let said = scene.reload(json!({})).await.unwrap();
        for part in
            ["1 new, 1 of them filled from the history", "raises 1", "filled on sexton{part=clock,name=wall}"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        // Without a past it would not be known for ten minutes.
        scene.until(|s| open_of(s, "filled") == 1).await;
        // Another limit on the same window leaves it as it is.
        scene.save("etc/rules.d/more.toml", &clock.replace("> 50%", "> 60%"));
        let said = scene.reload(json!({})).await.unwrap();
        assert!(said.contains("1 judged anew") && !said.contains("windows:"), "{said}");
    };
    scene.live(setup, story).await;
}

#[test]
fn a_reading_that_hangs_is_not_joined_by_another() {
    let reading = Reading::default();
    let held = reading.begin();
    assert!(reading.begin().is_err_and(|refused| refused.message.contains("still hangs")));
    drop(held);
    assert!(reading.begin().is_ok());
}
