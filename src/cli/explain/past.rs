//! A past moment: the rule and what it needs, replayed from history.db by the real engine up to then.
//!
//! The history is played as `sexton replay` plays it: rollups where samples are gone, and the engine begins
//! anew where the daemon did. Only the signals that these rules look at are read, from a day before at least,
//! so that what was raised then is. What only the daemon knew is not in the history: windows from the shell
//! and what people did with incidents.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::handle::request;
use super::super::{COULD_NOT_RUN, FINDING, fail};
use super::{ExplainArgs, when};
use crate::clock::Clock;
use crate::config::{self, Doors, HostFacts};
use crate::control::Refusal;
use crate::daemon::explain;
use crate::engine::core::Engine;
use crate::engine::moment::{DAY, Moment, Stamp};
use crate::engine::plan::Plan;
use crate::engine::signal::Instance;
use crate::workshop::needed;
use crate::workshop::past::{Choice, Past};
use crate::workshop::play::Player;
use crate::workshop::replay::around;

/// Replayed at least.
const BACK_LEAST: i64 = DAY;

/// The answer for a past moment.
///
/// # Errors
/// The exit code, after the message.
pub fn answer(args: &ExplainArgs, at: &str, doors: &Doors, facts: &HostFacts) -> Result<Value, u8> {
    let now = Clock::start().now().stamp();
    let at = when::moment(at, now, &TimeZone::system()).map_err(|why| fail(COULD_NOT_RUN, &why))?;
    if at > now {
        return Err(fail(COULD_NOT_RUN, &format!("--at {at} lies in the future")));
    }
    let config = config::load(&args.config, doors, facts).map_err(|all| {
        let code = if all.unreadable { COULD_NOT_RUN } else { FINDING };
        fail(code, &format!("cannot use {}\n\n{}", args.config.display(), all.render(false)))
    })?;
    let engine = |plan: &Arc<Plan>| Engine::new(Arc::clone(plan), 0);
    if needed::rule(&config.plan, &args.subject).is_none() {
        let why = match explain::no_such(&engine(&config.plan), &args.subject) {
            Refusal::NotFound(why) | Refusal::Conflict(why) | Refusal::Failed(why) => why,
        };
        let hint = if looks_like_incident(&args.subject) { "; --at is about rules" } else { "" };
        return Err(fail(FINDING, &format!("{why}{hint}")));
    }
    let plan = needed::playable(&config.plan, |id| id == args.subject);
    // A daemon that runs hands over what it has seen since the last minute before it answers this.
    let _ = request(&args.socket.socket, "GET", "/v1/history", &Value::Null);
    let dir = args.dir.as_ref().unwrap_or(&config.history.dir);
    let (player, replayed) = replay(plan, &args.subject, args.instance.as_deref(), dir, at)
        .map_err(|why| fail(COULD_NOT_RUN, &why))?;
    if replayed["samples"] == 0 {
        let why = format!("{} holds no samples for {} before {at}", dir.display(), args.subject);
        return Err(fail(FINDING, &format!("{why}; `sexton history ls` lists what is kept")));
    }
    match explain::rule(player.engine(), Moment::at(at.0), &args.subject, args.instance.as_deref()) {
        Some(Ok(mut answer)) => {
            answer["replayed"] = replayed;
            answer["replayed"]["config"] = json!(args.config);
            Ok(answer)
        }
        Some(Err(Refusal::NotFound(why) | Refusal::Conflict(why) | Refusal::Failed(why))) => {
            Err(fail(FINDING, &why))
        }
        None => Err(fail(FINDING, "the rule is not in force")),
    }
}

fn looks_like_incident(text: &str) -> bool {
    text.to_ascii_uppercase().strip_prefix("INC").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
}

/// The rules of a plan as they stood at a moment, and what was played to know it.
fn replay(
    mut plan: Plan,
    rule: &str,
    instance: Option<&str>,
    dir: &Path,
    at: Stamp,
) -> Result<(Player, Value), String> {
    let steps = plan.rules.iter().flat_map(|rule| &rule.steps);
    let held = steps.map(|step| step.for_.saturating_add(step.keep)).max().unwrap_or(0);
    let from = at.plus(held.max(BACK_LEAST).saturating_neg());
    let (past, recorded) = Past::open(dir, from, at)?;
    let known: Vec<Arc<Instance>> = recorded.into_iter().map(|r| Arc::clone(&r.track.instance)).collect();
    let class = needed::rule(&plan, rule).map(|rule| rule.class);
    let is_asked =
        |i: &&Arc<Instance>, text: &str| Some(i.class) == class && (i.key() == text || i.name() == text);
    let asked = instance.and_then(|text| known.iter().find(|i| is_asked(i, text)));
    let (instances, named) = match asked.and_then(|asked| around(&plan, &known, asked.key())) {
        // What is not read is not missing.
        Some(part) => {
            plan.declared.retain(|object| part.instances.contains(object.key()));
            (part.instances, part.named)
        }
        None => (known.iter().map(|i| i.key().to_owned()).collect(), Arc::default()),
    };
    let mut player = Player::new(Arc::new(plan));
    let before = player.engine().wants_past();
    let signals: BTreeSet<_> = before.keys().copied().collect();
    let mut source = past.source(&Choice { instances, signals: Some(signals), named }, before)?;
    player.take(&mut source, past.span().0, &mut |_| {})?;
    player.look(at.0);
    drop(source);
    let replayed = json!({
        "from": Stamp(past.span().0),
        "samples": player.played().samples,
        "dropped": past.dropped(),
        "damaged": past.damaged(),
        "coarse": past.coarse(),
        "history": dir,
    });
    Ok((player, replayed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::{HOUR, MINUTE, SECOND};
    use crate::engine::option::HistoryPlan;
    use crate::engine::signal::{Class, Observation, metric};
    use crate::history::History;

    const START: i64 = 1_790_000_000 * SECOND;
    const RULES: &str = r#"
[[rule]]
id = "t-busy"
on = "host"
for = "0s"
raise = "cpu.busy > 90%"
clear = "cpu.busy < 80%"
[[rule]]
id = "t-often"
on = "host"
for = "0s"
raise = "events('raise/t-busy', 1h) >= 2"
clear = "events('raise/t-busy', 1h) < 1"
[[rule]]
id = "t-held"
on = "fs"
for = "20m"
raise = "fs.used > 90%"
clear = "fs.used < 80%"
[[rule]]
id = "t-other"
on = "fs"
raise = "fs.inodes_used > 90%"
clear = "fs.inodes_used < 80%"
"#;
    static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(START);

    /// Two hours, the daemon away for some minutes after the first: busy twice, two mounts that are full.
    async fn lived(dir: &Path) {
        let now = || Moment::at(NOW.load(std::sync::atomic::Ordering::Relaxed));
        let (host, fs) = (Instance::of(Class::Host, &[]), |m| Instance::of(Class::Fs, &[("mount", m)]));
        for run in 0..2 {
            let plan = HistoryPlan { dir: dir.to_owned(), limit: 8 << 20 };
            let mut kept = History::start(&plan, Clock::told(now));
            for minute in 0..60 {
                let at = Moment::at(START + run * 65 * MINUTE + minute * MINUTE);
                NOW.store(at.mono, std::sync::atomic::Ordering::Relaxed);
                let busy = if matches!(minute, 20 | 50) { 0.95 } else { 0.1 };
                let mut seen =
                    vec![Observation::new(at, Arc::clone(&host), MINUTE).with(metric("cpu.busy"), busy)];
                // Full for the last ten minutes of the first run and from then on.
                let used = if run == 1 || minute >= 50 { 0.95 } else { 0.5 };
                for mount in ["/a", "/b"] {
                    seen.push(Observation::new(at, fs(mount), MINUTE).with(metric("fs.used"), used));
                }
                kept.keep(at, seen);
                kept.flush();
                // The thread's pace is ours.
                kept.asker().read(|_| Ok(())).await.unwrap();
            }
            kept.close().await;
        }
    }

    #[test]
    fn a_past_moment_is_what_the_daemon_saw_then() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(lived(dir.path()));
        let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
        let config = config::load_texts(&[("rules.toml", RULES)], &Doors::default(), &facts);
        let whole = config.unwrap_or_else(|all| panic!("{}", all.render(false))).plan;
        let stood = |rule: &str, instance: Option<&str>, minute: i64| {
            let at = Stamp(START + minute * MINUTE + SECOND);
            let plan = needed::playable(&whole, |id| id == rule);
            let (player, replayed) = replay(plan, rule, instance, dir.path(), at).unwrap();
            let answer = explain::rule(player.engine(), Moment::at(at.0), rule, instance).unwrap().unwrap();
            (answer["instances"].clone(), replayed["samples"].as_u64().unwrap())
        };
        let state = |rule: &str, instance, minute| {
            stood(rule, instance, minute).0[0]["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(state("t-often", None, 40), "ok");
        assert_eq!(state("t-often", None, 51), "raised", "the events of another rule count");
        // Nobody looked from 59 to 65: what held is not held through the gap.
        assert_eq!(state("t-held", Some("/a"), 72), "pending", "it began anew with the daemon");
        assert_eq!(state("t-held", Some("/a"), 86), "raised");
        assert_eq!(stood("t-held", Some("/a"), 86).1 * 2, stood("t-held", None, 86).1, "one mount is read");
        let plan = needed::playable(&whole, |id| id == "t-busy");
        let early = replay(plan, "t-busy", None, dir.path(), Stamp(START - HOUR));
        assert!(early.err().unwrap().contains("no samples of that time; it has them from"));
    }
}
