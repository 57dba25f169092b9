//! What Monit does about a failed test, as the action of a rule: programs and arguments, never a shell.

use super::super::draft::{Action, Item, Loss, Place, shorten};
use super::lex::{Statement, Word};
use super::service::Service;
use crate::import::say;
use crate::import::words::arguments;

/// Longest piece in a message.
const PIECE: usize = 90;

/// The programs of a service.
pub struct Programs {
    start: Vec<String>,
    stop: Vec<String>,
    restart: Vec<String>,
}

impl Programs {
    /// Those it names.
    pub fn of(service: &Service) -> Self {
        let find = |keyword: &str| {
            let statement = service.statements.iter().find(|(_, s)| s.keyword() == keyword);
            let quoted = statement.and_then(|(_, s)| s.words.iter().find(|w| w.is_quoted));
            quoted.map(|w| arguments(&w.raw)).unwrap_or_default()
        };
        Self { start: find("start"), stop: find("stop"), restart: find("restart") }
    }

    /// The action behind `then`.
    pub fn of_action(&self, does: &str, item: &mut Item, place: &Place) -> Option<Action> {
        let run = match does {
            "restart" if !self.restart.is_empty() => self.restart.clone(),
            "restart" => self.restarted(item, place)?,
            "start" => self.start.clone(),
            "stop" => self.stop.clone(),
            "unmonitor" | "monitor" => {
                lose(item, place, does, "stops watching", "`sexton maintenance start`, for a time");
                return None;
            }
            _ => return None,
        };
        if run.is_empty() {
            lose(
                item,
                place,
                does,
                "names no program",
                "[rule.action] run = [\"systemctl\", \"restart\", \"…\"]",
            );
            return None;
        }
        usable(run, item, place)
    }

    /// Stop and start are two programs there; here it is one, as service managers have it.
    fn restarted(&self, item: &mut Item, place: &Place) -> Option<Vec<String>> {
        let at = self.start.iter().position(|w| w == "start");
        let is_manager = self.start.first().is_some_and(|p| {
            p.contains("/init.d/")
                || ["systemctl", "service", "rc-service"].contains(&p.rsplit('/').next().unwrap_or(p))
        });
        if let Some(at) = at.filter(|_| is_manager) {
            let mut run = self.start.clone();
            if let Some(word) = run.get_mut(at) {
                "restart".clone_into(word);
            }
            return Some(run);
        }
        let what =
            if self.start.is_empty() { "restart without a program" } else { "restart by two programs" };
        lose(item, place, "restart", what, "[rule.action] run = [\"systemctl\", \"restart\", \"…\"]");
        None
    }

    /// `then exec "…"`.
    pub fn exec(&self, then: &[Word], item: &mut Item, place: &Place) {
        let Some(command) = then.iter().find(|w| w.is_quoted) else { return };
        if let Some(action) = usable(arguments(&command.raw), item, place) {
            for rule in &mut item.rules {
                rule.action = Some(action.clone());
            }
        }
    }
}

fn lose(item: &mut Item, place: &Place, piece: &str, why: &str, instead: &str) {
    let (piece, why, instead) = (shorten(piece, PIECE), why.to_owned(), instead.to_owned());
    item.losses.push(Loss { place: place.clone(), piece, why, instead, widens: false });
}

/// An action, unless its words would mean something else here.
fn usable(run: Vec<String>, item: &mut Item, place: &Place) -> Option<Action> {
    let text = run.join(" ");
    if run.is_empty() || run.len() > 64 {
        return None;
    }
    if text.contains(['{', '}', '$', '|', '>', '<', '&', ';', '`']) {
        lose(item, place, &text, "needs a shell", "put it into a script and name that in [rule.action] run");
        return None;
    }
    if item.rules.is_empty() && item.checks.is_empty() {
        item.remark("the action is only said, not done: mode = \"dry-run\"");
    }
    Some(Action { run, ..Action::default() })
}

/// `if 3 restarts within 5 cycles then …`: the budget of the actions.
pub fn restarts(statement: &Statement, cycle: i64) -> Option<String> {
    let words = &statement.words;
    let at = words.iter().position(|w| w.text.starts_with("restart") && !w.is_quoted)?;
    let number =
        |i: usize| words.get(i).and_then(|w| w.text.parse::<i64>().ok()).filter(|n| (1..=10_000).contains(n));
    let times = number(at.checked_sub(1)?)?;
    let cycles = number(at + 2)?;
    Some(format!("{times} per {}", say::span(cycles.saturating_mul(cycle))))
}
