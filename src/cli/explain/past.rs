//! A past moment: the rule and what explains it, replayed from history.db by the real engine up to then.
//!
//! Only the signals that these rules need are read, as far back as their windows reach and a day at least, so
//! that what was raised then is. What only the daemon knew is not in the history: windows from the shell,
//! what people did with incidents, the grace after a boot.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
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
use crate::engine::rules::Rules;
use crate::history::{Archive, Series};
use crate::workshop::play::Player;

/// Replayed at least.
const BACK_LEAST: i64 = DAY;

/// What was replayed.
struct Replayed {
    from: Stamp,
    first: Option<Stamp>,
    samples: u64,
}

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
    let Some(plan) = only(&config.plan, &args.subject) else {
        let why = match explain::no_such(&engine(&config.plan), &args.subject) {
            Refusal::NotFound(why) | Refusal::Conflict(why) | Refusal::Failed(why) => why,
        };
        let hint = if looks_like_incident(&args.subject) { "; --at is about rules" } else { "" };
        return Err(fail(FINDING, &format!("{why}{hint}")));
    };
    // A daemon that runs hands over what it has seen since the last minute before it answers this.
    let _ = request(&args.socket.socket, "GET", "/v1/history", &Value::Null);
    let dir = args.dir.as_ref().unwrap_or(&config.history.dir);
    let archive = Archive::open(dir).map_err(|e| fail(COULD_NOT_RUN, &e.to_string()))?;
    let mut player = Player::new(Arc::clone(&plan));
    let replayed = replay(&archive, &mut player, &plan, args, at)?;
    if replayed.samples == 0 {
        let why = format!("{} holds no samples for {} before {at}", dir.display(), args.subject);
        return Err(fail(FINDING, &format!("{why}; `sexton history ls` lists what is kept")));
    }
    player.look(at.0);
    let instance = args.instance.as_deref();
    match explain::rule(player.engine(), Moment::at(at.0), &args.subject, instance) {
        Some(Ok(mut answer)) => {
            answer["replayed"] = json!({
                "from": replayed.first.unwrap_or(replayed.from).max(replayed.from),
                "samples": replayed.samples,
                "history": dir,
                "config": args.config,
            });
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

/// The plan with that rule, and those that explain it, alone.
fn only(plan: &Arc<Plan>, id: &str) -> Option<Arc<Plan>> {
    Rules::planned(plan, id)?;
    let ancestors = plan.suppress.ancestors.get(id).into_iter().flatten();
    let wanted: BTreeSet<&str> = ancestors.map(|a| a.rule.as_str()).chain([id]).collect();
    let rules = plan.rules.iter().filter(|rule| wanted.contains(rule.id.as_str())).cloned().collect();
    Some(Arc::new(Plan { rules, ..Plan::clone(plan) }))
}

/// Shows the player what was recorded up to then.
fn replay(
    archive: &Archive,
    player: &mut Player,
    plan: &Plan,
    args: &ExplainArgs,
    at: Stamp,
) -> Result<Replayed, u8> {
    let wants = player.engine().wants_past();
    let steps = plan.rules.iter().flat_map(|rule| &rule.steps);
    let held = steps.map(|step| step.for_.saturating_add(step.keep)).max().unwrap_or(0);
    let back = wants.values().max().copied().unwrap_or(0).saturating_add(held).max(BACK_LEAST);
    let from = at.plus(back.saturating_neg());
    let mut reader = archive.reader();
    let could_not = |e: crate::history::HistoryError| fail(COULD_NOT_RUN, &e.to_string());
    let one = one_instance(&reader.series().map_err(could_not)?, plan, args);
    let wanted = |series: &Series| {
        let is_other = |key: &String| {
            series.instance.class.name() == key.split('{').next().unwrap_or_default()
                && series.instance.key() != key
        };
        let is_known = series.is_end() || series.metric().is_some_and(|m| wants.contains_key(&m));
        is_known && !one.as_ref().is_some_and(is_other)
    };
    let (mut last, mut first) = (i64::MIN, None);
    let mut take = |mut seen: crate::engine::signal::Observation| {
        // Wall time, as people ask for it; where the clock was set back, time stands still.
        last = last.max(seen.at.wall);
        first.get_or_insert(Stamp(last));
        seen.at = Moment::at(last);
        player.feed(&seen);
        ControlFlow::Continue(())
    };
    reader.observations(from, at, &wanted, &mut take).map_err(could_not)?;
    Ok(Replayed { from, first, samples: player.played().samples })
}

/// The key of the only instance that need be replayed: the one asked for, unless the rule is explained by
/// another instance of its class.
fn one_instance(all: &[Series], plan: &Plan, args: &ExplainArgs) -> Option<String> {
    let (text, rule) = (args.instance.as_deref()?, Rules::planned(plan, &args.subject)?);
    let ancestors = plan.suppress.ancestors.get(&args.subject).into_iter().flatten();
    let by_others = |a: &&crate::engine::suppress::Ancestor| {
        a.same.is_empty() && Rules::planned(plan, &a.rule).is_some_and(|r| r.class == rule.class)
    };
    if ancestors.into_iter().any(|a| by_others(&a)) {
        return None;
    }
    let of_class = all.iter().map(|s| &s.instance).filter(|i| i.class == rule.class);
    let found = of_class.into_iter().find(|i| i.key() == text || i.name() == text)?;
    Some(found.key().to_owned())
}
