//! What is kept and which windows there are, for status and lists.

use serde::Serialize;

use crate::engine::incident::{Incidents, second};
use crate::engine::moment::{Moment, Stamp};
use crate::engine::record::Severity;

use super::Suppression;
use super::kept::By;
use super::terms::Mode;

/// A raise that is not an incident, for now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeptRaise {
    /// Rule id.
    pub rule: String,
    /// Instance key.
    pub instance: String,
    /// Severity it would have.
    pub severity: Severity,
    /// Since when it is kept.
    pub at: Stamp,
    /// `maintenance` or `dependency`.
    pub by: &'static str,
    /// The reason in words: `symptom of gateway-down on check{check=gateway} (INC000012)`.
    pub reason: String,
}

/// A maintenance window that is open, or will be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowStatus {
    /// Its id.
    pub id: String,
    /// `rules.d/10-patch.toml:12` or `shell`.
    pub origin: String,
    /// It is open.
    pub active: bool,
    /// Start of this opening, or of the next one; of a flexible window, when it may begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Stamp>,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Stamp>,
    /// It begins with the first raise it covers.
    pub flexible: bool,
    /// What it does.
    pub mode: Mode,
    /// What it is about, in words.
    pub covers: String,
    /// Id of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Raises that it keeps now.
    pub kept: usize,
}

impl Suppression {
    /// Every raise that is kept, by rule and instance.
    pub fn kept(&self, now: Moment, incidents: &Incidents) -> Vec<KeptRaise> {
        let one = |((rule, instance), kept): (&(String, String), &super::Kept)| KeptRaise {
            rule: rule.clone(),
            instance: instance.clone(),
            severity: kept.severity,
            at: now.stamp_of(kept.at.mono),
            by: kept.by.word(),
            reason: self.reason(now, &kept.by, incidents),
        };
        self.kept.iter().map(one).collect()
    }

    /// Why a raise is kept, in words.
    pub(super) fn reason(&self, now: Moment, by: &By, incidents: &Incidents) -> String {
        let number = |print: &str| incidents.number_of(print).map(|n| format!(" ({n})")).unwrap_or_default();
        match by {
            By::Window { id, change: Some(change) } => format!("maintenance window {id} (change {change})"),
            By::Window { id, change: None } => format!("maintenance window {id}"),
            By::Symptom { of } => format!("symptom of {}{}", of.name(), number(&of.print)),
            By::Settling { of, until } => {
                format!("{} is over; raised at {} if it holds on", of.name(), second(now.stamp_of(*until)))
            }
            By::Waiting { of, until } => {
                format!("{} is pending; raised at {} otherwise", of.name(), second(now.stamp_of(*until)))
            }
        }
    }

    /// Every window that is open or will be, open ones first.
    pub fn windows(&self, now: Moment) -> Vec<WindowStatus> {
        let now = now.stamp();
        let status = |window: &std::sync::Arc<super::Window>| {
            let open = self.windows.active().iter().find(|(w, _)| w.id == window.id).map(|(_, o)| *o);
            let next = open.or_else(|| window.when.at(now).filter(|_| window.lasts.is_some()));
            let opening = next.or_else(|| window.when.next(now));
            let by_it = |kept: &&super::Kept| matches!(&kept.by, By::Window { id, .. } if *id == window.id);
            WindowStatus {
                id: window.id.clone(),
                origin: window.origin.clone(),
                active: open.is_some(),
                from: opening.map(|o| o.from),
                to: opening.map(|o| o.to),
                flexible: window.lasts.is_some(),
                mode: window.mode,
                covers: window.covers.words(),
                change: window.change.clone(),
                reason: window.reason.clone(),
                by: window.by.clone(),
                kept: self.kept.values().filter(by_it).count(),
            }
        };
        let mut all: Vec<_> =
            self.windows.all().map(status).filter(|w| w.active || w.from.is_some()).collect();
        all.sort_by_key(|w| (!w.active, w.from));
        all
    }
}
