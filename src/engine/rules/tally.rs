//! Events that conditions count: `events('raise/disk-*', 1h)`.
//!
//! A condition on the host hears of every instance, any other of its own one only. An event is counted at
//! once, but calls for a judgement only a second later: rules that listen to each other, or to themselves,
//! turn once a second at most and never in circles within one moment.

use crate::engine::cond::program::Input;
use crate::engine::event::Event;
use crate::engine::moment::SECOND;
use crate::engine::plan::glob_matches;
use crate::engine::signal::Class;

use super::Rules;

/// How long after an event the conditions that count it are judged at the latest.
const LAG: i64 = SECOND;

impl Rules {
    /// Counts an event wherever it is listened for.
    pub(super) fn tally(&mut self, event: &Event, t: i64) {
        if self.ears.is_empty() {
            return;
        }
        let name = format!("{}/{}", event.kind.name(), event.rule.id);
        let own = self.by_key.get(event.instance.key()).copied();
        let host = self.by_key.get(Class::Host.name()).copied();
        let mut woken = Vec::new();
        for id in &self.ears {
            let Some(pane) = self.panes.get_mut(*id) else { continue };
            let is_heard = own == Some(pane.subject) || host == Some(pane.subject);
            let matches = matches!(&pane.spec.input, Input::Events(glob) if glob_matches(glob, &name));
            if is_heard && matches {
                pane.window.tally(t);
                woken.push((*id, pane.subject));
            }
        }
        for (pane, subject) in woken {
            let machines = self.subjects.get(subject).map(|s| s.machines.clone()).unwrap_or_default();
            for id in machines {
                if self.machines.get(id).is_some_and(|m| m.panes.contains(&pane)) {
                    self.wake(id, t.saturating_add(LAG));
                }
            }
        }
    }
}
