//! The wire, against a real message bus on which the test plays systemd. Without `dbus-daemon` these tests
//! say so and pass.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use super::*;
use crate::clock::Clock;
use crate::collect::ledger::Ledger;
use crate::collect::tell::Beat;
use crate::collect::tests::{until, values};
use crate::engine::moment::SECOND;
use crate::engine::signal::Value;

const SSH: &str = "unit{unit=ssh.service}";
const OK: Metric = metric("sexton.ok");

/// A message bus of the test's own.
struct Daemon {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        let listen = format!("unix:path={}", dir.path().join("bus").display());
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"><busconfig><type>session</type>\
             <listen>{listen}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow send_destination=\"*\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>\
             </busconfig>"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg("--nofork").arg("--print-address").arg(format!("--config-file={}", config.display()));
        let Ok(mut child) = command.stdout(Stdio::piped()).spawn() else {
            eprintln!("left out: no dbus-daemon on this machine");
            return None;
        };
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Some(Self { child, address: address.trim().to_owned(), _dir: dir })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Rows = Arc<Mutex<Vec<Row>>>;

/// What answers under systemd's name.
struct Systemd {
    bus: Connection,
    rows: Rows,
    _answers: JoinHandle<()>,
}

fn object(name: &str) -> OwnedObjectPath {
    format!("/org/freedesktop/systemd1/unit/{}", name.replace('.', "_2e")).try_into().unwrap()
}

fn row(name: &str, state: &str) -> Row {
    let text = |t: &str| t.to_owned();
    let nothing = OwnedObjectPath::try_from("/").unwrap();
    (
        text(name),
        text("x"),
        text("loaded"),
        text(state),
        text("x"),
        text(""),
        object(name),
        0,
        text(""),
        nothing,
    )
}

impl Systemd {
    async fn start(address: &str, rows: Vec<Row>) -> Self {
        let bus = zbus::connection::Builder::address(address).build().await.unwrap();
        let rows: Rows = Arc::new(Mutex::new(rows));
        let mut calls = MessageStream::from(&bus);
        let (answering, known) = (bus.clone(), Arc::clone(&rows));
        let answers = tokio::spawn(async move {
            let subscribed = AtomicBool::new(false);
            while let Some(Ok(call)) = calls.next().await {
                if call.message_type() == Type::MethodCall {
                    let _ = answer(&answering, &call, &known, &subscribed).await;
                }
            }
        });
        bus.request_name(SYSTEMD).await.unwrap();
        Self { bus, rows, _answers: answers }
    }

    async fn manager<B: serde::Serialize + zbus::DynamicType>(&self, signal: &str, body: &B) {
        self.bus.emit_signal(None::<&str>, MANAGER_PATH, MANAGER, signal, body).await.unwrap();
    }

    async fn changed(&self, name: &str, interface: &str, properties: &[(&str, Variant<'_>)]) {
        let changed: BTreeMap<&str, &Variant<'_>> = properties.iter().map(|(k, v)| (*k, v)).collect();
        let body = (interface, changed, Vec::<&str>::new());
        self.bus
            .emit_signal(None::<&str>, object(name), PROPERTIES, "PropertiesChanged", &body)
            .await
            .unwrap();
    }
}

async fn answer(bus: &Connection, call: &Message, rows: &Rows, subscribed: &AtomicBool) -> zbus::Result<()> {
    let header = call.header();
    match header.member().unwrap().as_str() {
        "ListUnits" => {
            let all = rows.lock().unwrap().clone();
            bus.reply(&header, &all).await
        }
        "ListUnitsByNames" => {
            let names: Vec<String> = call.body().deserialize()?;
            let some: Vec<Row> =
                rows.lock().unwrap().iter().filter(|r| names.contains(&r.0)).cloned().collect();
            bus.reply(&header, &some).await
        }
        "Get" => {
            let (_, property): (String, String) = call.body().deserialize()?;
            let value = if property == "NRestarts" { Variant::U32(3) } else { Variant::U64(1_000_000) };
            bus.reply(&header, &value).await
        }
        // systemd has the same answer for everybody here, as each test has one client.
        "Subscribe" if subscribed.swap(true, Ordering::SeqCst) => {
            bus.reply_error(&header, ALREADY_SUBSCRIBED, &"Client is already subscribed.").await
        }
        _ => bus.reply(&header, &()).await,
    }
}

fn start(address: &str) -> (Receiver<Vec<Observation>>, JoinHandle<()>) {
    let (tx, rx) = channel(64);
    let clock = Clock::start();
    let beat = Beat::new(clock.now().mono, SECOND);
    let tell = Tell { clock, beat, tx, ledger: Arc::new(Mutex::new(Ledger::new("unit"))) };
    let units = Units::new(Globs(vec!["*.service".to_owned()]), AGE_EVERY);
    (rx, tokio::spawn(follow_on(tell, units, Some(address.to_owned()))))
}

fn state_is(key: &'static str, state: &'static str) -> impl FnMut(&Observation) -> bool {
    move |o| o.instance.key() == key && o.samples.contains(&(STATE, Some(Value::from(state))))
}

#[tokio::test]
async fn units_are_listed_and_their_changes_told() {
    let Some(daemon) = Daemon::start() else { return };
    let mut ghost = row("ghost.service", "inactive");
    ghost.2 = "not-found".to_owned();
    let all =
        vec![row("ssh.service", "active"), row("a.mount", "active"), row("old.service", "inactive"), ghost];
    let systemd = Systemd::start(&daemon.address, all).await;
    let (mut rx, task) = start(&daemon.address);
    let listed =
        until(&mut rx, |o| o.instance.key() == SSH && o.samples.iter().any(|(m, _)| *m == AGE)).await;
    assert!(listed.iter().any(|o| o.samples.contains(&(OK, Some(true.into())))));
    assert_eq!(values(&listed, SSH, RESTARTS), [Some(3.0)]);
    assert!(listed.iter().any(|o| o.instance.name() == "old.service"));
    assert!(!listed.iter().any(|o| ["a.mount", "ghost.service"].contains(&o.instance.name())));

    systemd.changed("ssh.service", UNIT, &[("ActiveState", Variant::Str("failed".into()))]).await;
    systemd.changed("ssh.service", SERVICE, &[("NRestarts", Variant::U32(4)), ("X", Variant::U8(1))]).await;
    systemd.changed("ssh.service", UNIT, &[("ActiveState", Variant::Str("active".into()))]).await;
    let told = until(&mut rx, state_is(SSH, "active")).await;
    let text = |o: &Observation| o.samples.iter().any(|(_, v)| *v == Some(Value::from("failed")));
    assert!(told.iter().any(text), "the failure in between is not lost");

    systemd.rows.lock().unwrap().push(row("new.service", "activating"));
    systemd.manager("UnitNew", &("new.service", object("new.service"))).await;
    until(&mut rx, state_is("unit{unit=new.service}", "activating")).await;
    systemd.manager("UnitRemoved", &("new.service", object("new.service"))).await;
    until(&mut rx, |o| o.instance.name() == "new.service" && o.gone).await;
    task.abort();
}

#[tokio::test]
async fn a_reload_lists_anew_and_forgets_only_what_is_gone() {
    let Some(daemon) = Daemon::start() else { return };
    let systemd =
        Systemd::start(&daemon.address, vec![row("ssh.service", "active"), row("b.service", "active")]).await;
    let (mut rx, task) = start(&daemon.address);
    until(&mut rx, state_is(SSH, "active")).await;
    systemd.manager("Reloading", &true).await;
    for name in ["ssh.service", "b.service"] {
        systemd.manager("UnitRemoved", &(name, object(name))).await;
    }
    *systemd.rows.lock().unwrap() = vec![row("ssh.service", "failed")];
    systemd.manager("Reloading", &false).await;
    let after = until(&mut rx, |o| o.instance.name() == "b.service" && o.gone).await;
    assert!(after.iter().any(|o| state_is(SSH, "failed")(o)));
    assert!(!after.iter().any(|o| o.instance.key() == SSH && o.gone));
    let failed = |o: &Observation| o.samples.contains(&(OK, Some(false.into())));
    assert!(!after.iter().any(failed), "the session goes on");
    task.abort();
}

#[tokio::test]
async fn a_lost_bus_leaves_no_values_and_is_found_again() {
    let Some(daemon) = Daemon::start() else { return };
    // A relay, so that the connection can be cut while the address stays.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relay");
    let real =
        daemon.address.strip_prefix("unix:path=").and_then(|a| a.split(',').next()).unwrap().to_owned();
    let cut = Arc::new(tokio::sync::Notify::new());
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let cutting = Arc::clone(&cut);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::UnixStream::connect(&real).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = cutting.notified() => {}
            }
        }
    });
    let _systemd = Systemd::start(&daemon.address, vec![row("ssh.service", "active")]).await;
    let (mut rx, task) = start(&format!("unix:path={}", path.display()));
    until(&mut rx, state_is(SSH, "active")).await;
    cut.notify_one();
    let lost = until(&mut rx, |o| o.samples.contains(&(OK, Some(false.into())))).await;
    assert!(lost.iter().any(|o| o.instance.key() == SSH && o.samples.contains(&(STATE, None))));
    let back = until(&mut rx, |o| o.samples.contains(&(OK, Some(true.into())))).await;
    assert!(back.iter().any(|o| state_is(SSH, "active")(o)));
    task.abort();
}

#[tokio::test]
async fn a_machine_without_a_bus_is_silent() {
    let (mut rx, task) = start("unix:path=/nonexistent/sexton-test-bus");
    let heard = tokio::time::timeout(Duration::from_millis(200), rx.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
    task.abort();
}
