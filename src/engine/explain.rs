//! Why a rule is or is not raised, and why a raise is or is not an incident: machine, gate and incidents
//! asked at one moment and put together.
//!
//! Reads only; the shape is that of `explain/1` (docs/control.md).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::core::Engine;
use super::id;
use super::incident::{Newest, second};
use super::moment::{Moment, human};
use super::plan::{OnMissing, Plan, Rule};
use super::rules::{Health, Judgement, Rules, Standing, Unbound};
use super::signal::Instance;
use super::suppress::{Effect, Hindrance};

/// Instances of a rule told by name.
const INSTANCES_MOST: usize = 250;

/// A rule, as far as an explanation names it.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView {
    /// Its id.
    pub id: String,
    /// Where it is written.
    pub origin: String,
    /// The class of its instances.
    pub class: &'static str,
    /// What it means and what to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Link to what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// Every instance it is judged for, at most 250, raised and pending ones first.
    pub instances: Vec<InstanceView>,
    /// How many that are.
    pub bound: usize,
    /// Instances of its class that it does not bind, at most 50, with the reason.
    pub unbound: Vec<Unbound>,
    /// How many that are.
    pub unbound_count: usize,
    /// Why it binds nothing, when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binds_nothing: Option<String>,
    /// The one instance that was asked for, or that there is only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<Detail>>,
}

/// A rule on an instance in one line.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceView {
    /// State, value and limit.
    #[serde(flatten)]
    pub standing: Standing,
    /// Why it is in this state.
    pub verdict: String,
    /// Why a raise is no incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_by: Option<String>,
    /// Number of its incident that is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
}

/// A rule on an instance, whole.
#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    /// What its machine says.
    pub judgement: Judgement,
    /// What keeps, or would keep, a raise from becoming an incident.
    pub suppression: Vec<Hindrance>,
    /// What an incident of each step would weigh, in the order of the steps.
    pub priority: Vec<String>,
    /// Its newest incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<Newest>,
}

impl Engine {
    /// Why a rule is or is not raised, on each instance; in detail on the one of that key, or when there is
    /// only one. `None` when no rule in force has that id.
    pub fn explain(&self, now: Moment, rule: &str, instance: Option<&str>) -> Option<RuleView> {
        let plan = self.rules.plan();
        let planned = Rules::planned(plan, rule)?;
        let mut keys = self.rules.instances_of(planned);
        let troubled = self.rules.troubled(rule);
        let troubled: BTreeSet<&str> = troubled.iter().map(|t| t.instance.key()).collect();
        keys.sort_by_key(|key| !troubled.contains(key.as_str()));
        let kept = self.suppression.kept(now, &self.incidents);
        let line = |key: &String| {
            let judgement = self.rules.explain(now, rule, key)?;
            let reason = kept.iter().find(|k| k.rule == rule && k.instance == *key);
            let print = id::fingerprint(rule, &plan.host.host.id, &*self.rules.instance(key)?);
            Some(InstanceView {
                standing: judgement.standing,
                verdict: judgement.verdict,
                suppressed_by: reason.map(|k| k.reason.clone()),
                incident: self.incidents.open_of(&print).map(|(_, number)| number),
            })
        };
        let shown: Vec<&String> = match instance {
            Some(wanted) => keys.iter().filter(|key| *key == wanted).collect(),
            None => keys.iter().take(INSTANCES_MOST).collect(),
        };
        let one = match shown.as_slice() {
            [one] => self.detail(now, plan, planned, one),
            _ => None,
        };
        let (unbound, unbound_count) = self.rules.unbound(rule);
        let binds_nothing = keys.is_empty().then(|| self.binds_nothing(planned, unbound_count));
        Some(RuleView {
            id: planned.id.clone(),
            origin: planned.origin.clone(),
            class: planned.class.name(),
            description: planned.description.trim().to_owned(),
            runbook: planned.runbook.clone(),
            instances: shown.into_iter().filter_map(line).collect(),
            bound: keys.len(),
            unbound,
            unbound_count,
            binds_nothing,
            detail: one.map(Box::new),
        })
    }

    fn binds_nothing(&self, rule: &Rule, seen: usize) -> String {
        let class = rule.class.name();
        let unseen = self.rules.unseen(&rule.id);
        if !unseen.is_empty() {
            let names = unseen.join(", ");
            return format!("{names} was raised or pending before the restart, and has not been seen since");
        }
        match seen {
            0 => format!("no {class} has been seen since the daemon started"),
            1 => format!("one {class} has been seen, and the rule does not take it"),
            n => format!("{n} {class} instances have been seen, and the rule takes none of them"),
        }
    }

    fn detail(&self, now: Moment, plan: &Plan, planned: &Arc<Rule>, key: &str) -> Option<Detail> {
        let judgement = self.rules.explain(now, &planned.id, key)?;
        let instance = self.rules.instance(key)?;
        let rule = plan.effective(planned, &instance)?;
        let print = id::fingerprint(&rule.id, &plan.host.host.id, &instance);
        let newest = self.incidents.newest_for(now, &print);
        let mut suppression = self.own_hindrances(&judgement, &rule, &instance, newest.as_ref());
        let lowest = rule.steps.iter().map(|s| s.severity).min();
        if let Some(severity) = judgement.standing.severity.or(lowest) {
            let about = (&*rule, &*instance);
            let all = self.suppression.hindrances(now, about, severity, &self.rules, &self.incidents);
            suppression.extend(all);
        }
        suppression.sort_by_key(|h| h.effect);
        let weigh = |i: usize| super::incident::reason(plan, &rule, &instance, i);
        let priority = (0..rule.steps.len()).map(weigh).collect();
        Some(Detail { judgement, suppression, priority, incident: newest })
    }

    /// What the machine and the incidents themselves have to say to a raise.
    fn own_hindrances(
        &self,
        judgement: &Judgement,
        rule: &Rule,
        instance: &Instance,
        newest: Option<&Newest>,
    ) -> Vec<Hindrance> {
        let mut all = Vec::new();
        if let Some(at) = judgement.settles_at {
            let text =
                format!("the host has just started: polled signals raise nothing before {}", second(at));
            all.push(Hindrance::new("start", Effect::Would, text));
        }
        if self.rules.is_awaited(instance.key()) {
            let text = "the configuration names it, and nothing of it has been seen yet";
            all.push(Hindrance::new("missing", Effect::None, text));
        }
        let meaning = match rule.silence.on_missing {
            OnMissing::Hold => None,
            OnMissing::Raise => Some("missing data counts as a breach (on_missing = \"raise\")"),
            OnMissing::Clear => Some("missing data counts as over (on_missing = \"clear\")"),
        };
        if let Some(meaning) = meaning {
            let text = match &judgement.missing {
                Some(now) => format!("{meaning}; now: {now}"),
                None => format!("{meaning}; nothing is missing"),
            };
            all.push(Hindrance::new("missing", Effect::None, text));
        }
        if let Some(after) = rule.silence.nodata_after.filter(|after| *after > 0) {
            let text = format!("{} without a value is an incident of {}/nodata", human(after), rule.id);
            all.push(Hindrance::new("missing", Effect::None, text));
        }
        all.extend(newest.map(|newest| by_incident(newest, judgement.standing.state)));
        all.extend(newest.and_then(by_flapping));
        all
    }
}

/// What the newest incident does with a raise.
fn by_incident(newest: &Newest, state: Health) -> Hindrance {
    let number = &newest.number;
    let say = |effect, text: String| Hindrance::new("incident", effect, text);
    match (newest.dismissed, newest.state.is_open(), newest.reopens_until) {
        (true, ..) if state == Health::Raised => {
            say(Effect::Keeps, format!("{number} was ended by people while its condition holds on"))
        }
        (_, true, _) => say(Effect::None, format!("{number} is open: a raise is written on it")),
        (_, false, Some(until)) => {
            say(Effect::None, format!("{number} is resolved: a raise before {} reopens it", second(until)))
        }
        (..) => say(Effect::None, format!("{number} is over: a raise is a new incident")),
    }
}

fn by_flapping(newest: &Newest) -> Option<Hindrance> {
    let (count, from) = (newest.flap_count, newest.flapping_from);
    let number = &newest.number;
    match newest.flapping_until {
        Some(until) => {
            let text = format!(
                "{number} flaps ({count:.1} transitions, decayed): it stays open until {}, whatever happens",
                second(until)
            );
            Some(Hindrance::new("flapping", Effect::Marks, text))
        }
        None if count >= 1.0 => {
            let text = format!("not flapping: {count:.1} of {from:.0} transitions, decayed");
            Some(Hindrance::new("flapping", Effect::None, text))
        }
        None => None,
    }
}
