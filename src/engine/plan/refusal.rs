//! Why a rule does not bind an instance, in words.

use super::{Concern, Globs, Plan, Rule};
use crate::engine::signal::Instance;

impl Plan {
    /// Why a rule does not bind an instance; `None` when it does. Agrees with [`Plan::effective`].
    pub fn refusal(&self, rule: &Rule, instance: &Instance) -> Option<String> {
        if rule.class != instance.class {
            let (wanted, found) = (rule.class.name(), instance.class.name());
            return Some(format!("the rule is about {wanted}, this is {found}"));
        }
        let refused = |(label, globs): (&String, &Globs)| {
            let value = instance.label(label);
            let takes = || globs.0.iter().map(|g| format!("\"{g}\"")).collect::<Vec<_>>().join(", ");
            match value {
                _ if globs.accepts(value) => None,
                "" => Some(format!("it has no {label}, and match wants {label} = [{}]", takes())),
                value => {
                    Some(format!("its {label} is {value:?}, and match takes only {label} = [{}]", takes()))
                }
            }
        };
        if let Some(why) = rule.matches.0.iter().find_map(refused) {
            return Some(why);
        }
        let off = |o: &&super::Override| {
            let concerns = !matches!(o.concern(rule), Concern::None);
            concerns && o.set.enabled == Some(false) && o.matches.accepts(instance)
        };
        let patch = self.overrides.iter().find(off)?;
        Some(format!("an [[override]] of rule = [{}] switches it off", patch.rule.0.join(", ")))
    }
}
