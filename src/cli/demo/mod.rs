//! `sexton demo`: agent and desk in one process on a throw-away directory, watching this very machine.
//!
//! Prints the page's address at once and then what happens, one line each. `--provoke` breaks something
//! harmless of its own (see `provoke`). Ends at Ctrl-C or after `--seconds`, and leaves nothing behind.

mod provoke;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use self::provoke::Provoker;
use super::table::tame;
use super::{COULD_NOT_RUN, FINE, asked_to_end, doors, fail, host, runtime, say};
use crate::clock::Clock;
use crate::config;
use crate::daemon::{Daemon, Ended, Setup};
use crate::desk;
use crate::engine::moment::Stamp;
use crate::engine::option::{DeskPlan, SecretRef};
use crate::engine::record::Record;

/// What `sexton demo` takes.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Break something harmless of its own, repair it, and repeat
    #[arg(long)]
    pub provoke: bool,
    /// End after this many seconds instead of at Ctrl-C
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Where the page listens; a taken port is replaced by a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7878")]
    pub listen: String,
}

/// Runs the demo.
pub fn run(args: &DemoArgs) -> u8 {
    crate::telemetry::init(tracing::Level::ERROR);
    let scratch = match Scratch::make() {
        Ok(scratch) => scratch,
        Err(why) => return fail(COULD_NOT_RUN, &why),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(why) => return fail(COULD_NOT_RUN, &why),
    };
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, show(args, &scratch.0));
    runtime.shutdown_background();
    match outcome {
        Ok(()) => FINE,
        Err(why) => fail(COULD_NOT_RUN, &why),
    }
}

async fn show(args: &DemoArgs, dir: &Path) -> Result<(), String> {
    // From here on nothing is left behind, whenever Ctrl-C comes.
    let asked = asked_to_end();
    let token = dir.join("token");
    std::fs::write(&token, random_hex()?).map_err(|e| format!("cannot write {}: {e}", token.display()))?;
    let desk = open_desk(args, dir, &token).await?;
    let address = desk.address().to_string();
    say(&format!(
        "sexton demo: open http://{address}/ in a browser; Ctrl-C ends it\n\
         watching this machine once a second with the shipped rules\n\n"
    ));
    let mut provoker = if args.provoke { Some(Provoker::start(dir).await?) } else { None };
    let text = demo_toml(dir, &token, &address, provoker.as_ref());
    let socket = dir.join("control.sock");
    let setup = Setup {
        prove: super::run::prove(),
        load: std::sync::Arc::new(move || {
            let texts = [("demo.toml", text.as_str())];
            config::load_texts(&texts, &doors::doors(), &host::facts()).map_err(|d| d.render(false))
        }),
        watch: None,
        socket,
        narrator: Some(Box::new(tell)),
        // Whoever looks at a demo wants to see something now.
        boot_grace: Duration::ZERO,
    };
    let daemon = Daemon::start(setup).await?;
    let (end_desk, desk_ended) = tokio::sync::oneshot::channel::<()>();
    let page = tokio::task::spawn_local(desk.run(async move {
        let _ = desk_ended.await;
    }));
    let end = async {
        tokio::select! {
            () = asked => {}
            () = elapsed(args.seconds) => {}
            () = provoke_for_ever(&mut provoker) => {}
        }
    };
    let ended = daemon.run(end).await;
    let _ = end_desk.send(());
    let _ = page.await;
    match ended {
        Ended::Asked => {
            say("\nsexton demo: ended, nothing is left behind\n");
            Ok(())
        }
        Ended::Broken(why) => Err(why),
    }
}

async fn open_desk(args: &DemoArgs, dir: &Path, token: &Path) -> Result<desk::Desk, String> {
    let plan = |listen: &str| DeskPlan {
        listen: listen.to_owned(),
        dir: dir.join("desk"),
        tokens: Some(SecretRef::File(token.display().to_string())),
    };
    let clock = Clock::start();
    match desk::bind(plan(&args.listen), clock).await {
        Ok(desk) => Ok(desk),
        Err(_) => desk::bind(plan("127.0.0.1:0"), clock).await.map_err(|e| e.to_string()),
    }
}

fn demo_toml(dir: &Path, token: &Path, address: &str, provoker: Option<&Provoker>) -> String {
    let quote = |p: &Path| format!("'{}'", p.display());
    let mut text = format!(
        "schema = 1\n\
         [collect]\ninterval = \"1s\"\n\
         [correlate]\nfailure_gap = \"5s\"\nflap_half_life = \"5s\"\n\
         [store]\ndir = {}\n\
         [[destination]]\nid = \"desk\"\nkind = \"desk\"\nurl = \"http://{address}\"\ntoken = {{ file = {} }}\n",
        quote(&dir.join("agent")),
        quote(token),
    );
    if let Some(provoker) = provoker {
        text.push_str(&provoker.toml());
    }
    text
}

/// One line for what has happened to a record.
fn tell(record: &Record) {
    let (number, priority, state, title, timeline, rev) = match record {
        Record::Incident(i) => {
            (&i.number, i.priority, format!("{:?}", i.state), &i.title, &i.timeline, i.rev)
        }
        Record::Problem(p) => (&p.number, p.priority, format!("{:?}", p.state), &p.title, &p.timeline, p.rev),
        Record::Link(_) => return,
    };
    // What this revision brought; a change of state says more than what came with it.
    let news = || timeline.iter().filter(|e| e.rev == rev);
    let Some(entry) = news().rfind(|e| e.to.is_some()).or_else(|| news().next_back()) else { return };
    let (at, state) = (clock_time(entry.at), words(&state));
    let told = format!("{at}  {number}  {priority:?}  {state:<12} {title}: {}", entry.note);
    say(&(tame(&told) + "\n"));
}

fn words(state: &str) -> String {
    let mut out = String::new();
    for (i, c) in state.chars().enumerate() {
        if i > 0 && c.is_uppercase() {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn clock_time(stamp: Stamp) -> String {
    let timestamp = jiff::Timestamp::from_nanosecond(i128::from(stamp.0)).unwrap_or_default();
    timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

async fn elapsed(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

async fn provoke_for_ever(provoker: &mut Option<Provoker>) {
    match provoker {
        Some(provoker) => provoker.run().await,
        None => std::future::pending().await,
    }
}

fn random_hex() -> Result<String, String> {
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .map_err(|e| format!("cannot read /dev/urandom: {e}"))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// A directory of our own that goes when the demo ends.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, String> {
        use std::os::unix::fs::DirBuilderExt;
        let dir = std::env::temp_dir().join(format!("sexton-demo-{}", random_hex()?));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("sexton: cannot remove {}: {error}", self.0.display());
        }
    }
}
