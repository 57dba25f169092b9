//! Versions: hashes over what a rule or a configuration means, so that formatting and comments do not change
//! them.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::engine::cond::Cond;
use crate::engine::plan::{Action, Rule};
use crate::engine::suppress::Ancestor;

/// The host id: first 16 hex digits of HMAC-SHA256(machine-id, "sexton").
pub fn host_id(machine_id: &str) -> String {
    match Hmac::<Sha256>::new_from_slice(machine_id.as_bytes()) {
        Ok(mut mac) => {
            mac.update(b"sexton");
            hex16(&mac.finalize().into_bytes())
        }
        // HMAC takes keys of any length.
        Err(_) => hex16(&Sha256::digest(machine_id.as_bytes())),
    }
}

/// The version of a rule. Conditions count in their canonical spelling.
pub fn rule(rule: &Rule) -> String {
    let steps = rule.steps.iter().map(|s| {
        let conditions = (s.raise.canonical(), s.clear.canonical());
        (s.severity, s.impact, s.urgency, s.for_, s.keep, conditions)
    });
    let steps: Vec<_> = steps.collect();
    let lets: Vec<_> = rule.lets.iter().map(|(name, cond)| (name, cond.canonical())).collect();
    let identity = (&rule.id, rule.class.name(), &rule.matches, rule.nature, &rule.category, rule.outage);
    let words = (&rule.title, &rule.description, &rule.runbook, &rule.service, &rule.labels);
    let times = (rule.reopen, rule.stale, rule.min_coverage);
    let more = (&rule.silence, rule.every, rule.cause_hint, rule.action.as_deref().map(action));
    digest(format_args!("{identity:?}{words:?}{times:?}{steps:?}{lets:?}{more:?}"))
}

fn action(action: &Action) -> String {
    let canonical = |cond: &Option<Cond>| cond.as_ref().map(|c| c.canonical().to_owned());
    let conditions = (canonical(&action.only_if), canonical(&action.verify));
    let times = (action.after, action.timeout, action.cooldown, action.verify_in);
    format!("{:?}{:?}{times:?}{conditions:?}{:?}{:?}", action.run, action.budget, action.on_fail, action.mode)
}

/// The version of a rule that depends on others.
pub fn related(hash: &str, ancestors: &[Ancestor]) -> String {
    digest(format_args!("{hash}{ancestors:?}"))
}

/// The version of a whole configuration.
pub fn config(config: &Config) -> String {
    let plan = &config.plan;
    let rules: Vec<_> = plan.rules.iter().map(|r| &r.hash).collect();
    let engine = (&plan.host, rules, &plan.overrides, &plan.services, &plan.correlate, plan.matrix, plan.sla);
    let engine = (engine, &plan.declared, &plan.suppress);
    let doors = (
        &config.collectors,
        &config.checks,
        &config.destinations,
        &config.store,
        &config.history,
        &config.desk,
        &config.reload,
    );
    digest(format_args!("{engine:?}{doors:?}{}", config.interval))
}

fn digest(text: std::fmt::Arguments<'_>) -> String {
    let mut hasher = Hasher { hash: Sha256::new(), text: String::with_capacity(2 * CHUNK) };
    // Writing into a hasher cannot fail.
    let _ = hasher.write_fmt(text);
    hasher.hash.update(&hasher.text);
    hex16(&hasher.hash.finalize())
}

/// Bytes of text that are hashed at once: text comes in crumbs.
const CHUNK: usize = 1024;

struct Hasher {
    hash: Sha256,
    /// What is not hashed yet.
    text: String,
}

impl Write for Hasher {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.text.push_str(s);
        if self.text.len() >= CHUNK {
            self.hash.update(&self.text);
            self.text.clear();
        }
        Ok(())
    }
}

fn hex16(bytes: &[u8]) -> String {
    let first = bytes.iter().take(8).fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    format!("{first:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_id_is_the_first_half_of_the_mac() {
        // printf sexton | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        assert_eq!(host_id("0123456789abcdef0123456789abcdef"), "8a563f8eceac3dbb");
    }
}
