//! An explained incident as lines: what it is, why it was raised, what it weighs, what happened, where it
//! went.

use serde_json::Value;

use super::text::{Page, between, items, second, word};
use crate::cli::terminal::Terminal;
use crate::engine::cond::human;
use crate::engine::signal::{Base, Type};

/// Cells of a small plot.
const CELLS: usize = 32;
/// Newest entries of the timeline that are told.
const TIMELINE_MOST: usize = 40;
/// Lines of an exhibit that are told.
const EXHIBIT_LINES: usize = 8;

/// An incident as text.
pub fn plain(answer: &Value, terminal: Terminal) -> String {
    let mut page = Page::new(terminal);
    let incident = &answer["incident"];
    page.head(answer, incident);
    page.raise(incident);
    page.weight(incident, &answer["at"]);
    page.kept(items(&answer["kept"]));
    page.links(answer, incident);
    page.timeline(items(&incident["timeline"]));
    page.deliveries(items(&answer["deliveries"]), &answer["at"]);
    page.rule_now(answer, incident);
    page.out
}

impl Page {
    fn section(&mut self, title: &str) {
        self.line("");
        let title = self.paint("1", title);
        self.line(&title);
    }

    fn head(&mut self, answer: &Value, incident: &Value) {
        let state = word(&incident["state"]).replace('_', " ");
        let open = ["new", "acknowledged", "in progress", "on hold"].contains(&state.as_str());
        let state = self.paint(if open { "1;31" } else { "32" }, &state.to_uppercase());
        let (number, priority) = (word(&incident["number"]), word(&incident["priority"]));
        self.line(&format!("{number}  {priority} {}  {state}", word(&incident["severity"])));
        self.wrapped("  ", &word(&incident["title"]));
        let service = incident["service"].as_str().map(|s| format!(", service {s}")).unwrap_or_default();
        let (rule, on) = (word(&incident["rule"]["id"]), word(&incident["instance"]));
        let host = word(&incident["host"]["name"]);
        self.wrapped("  rule      ", &format!("{rule} on {on} of {host}{service}"));
        self.wrapped("  id        ", &format!("{}, revision {}", word(&incident["id"]), incident["rev"]));
        let mut times = Vec::new();
        let keys = ["breach_at", "raised_at", "acknowledged_at", "resolved_at", "confirmed_at", "closed_at"];
        for key in keys.iter().filter(|key| !incident[**key].is_null()) {
            times.push(format!("{} {}", key.trim_end_matches("_at"), second(&incident[*key])));
        }
        self.wrapped("  times     ", &times.join(", "));
        let counters = &incident["counters"];
        let mut facts = vec![count(counters["events"].as_u64().unwrap_or(0), "event")];
        for (key, what) in [("reopens", "reopened"), ("flaps", "flaps"), ("suppressed", "symptoms explained")]
        {
            if let Some(n) = counters[key].as_u64().filter(|n| *n > 0) {
                facts.push(format!("{what} {n}"));
            }
        }
        for (key, what) in [("flapping", "FLAPPING"), ("disputed", "resolved by people while still true")] {
            if incident[key] == true {
                facts.push(what.to_owned());
            }
        }
        self.wrapped("  counted   ", &facts.join(", "));
        if let Some(closure) = incident["closure"]["code"].as_str() {
            let note = word(&incident["closure"]["note"]);
            self.wrapped("  closure   ", &format!("{}: {note}", closure.replace('_', " ")));
        }
        if answer["held"] == false {
            self.wrapped("  note      ", "no longer held by the daemon: told from its journal");
        }
    }

    fn raise(&mut self, incident: &Value) {
        self.section("why it was raised");
        let opening = |e: &&Value| ["raised", "reopened", "step"].iter().any(|kind| e["kind"] == *kind);
        let entries: Vec<&Value> = items(&incident["timeline"]).iter().filter(opening).collect();
        let rows: Vec<Vec<String>> = entries
            .iter()
            .rev()
            .take(6)
            .rev()
            .map(|e| vec![second(&e["at"]), word(&e["kind"]), word(&e["note"])])
            .collect();
        self.table(&rows);
        for series in items(&incident["evidence"]["series"]) {
            let text = plot(series, self.terminal.unicode);
            self.wrapped(&format!("  {}  ", word(&series["signal"])), &text);
        }
        for exhibit in items(&incident["evidence"]["exhibits"]) {
            self.line(&format!("  {} at {}", word(&exhibit["title"]), second(&exhibit["at"])));
            let text = word(&exhibit["text"]);
            for line in text.lines().take(EXHIBIT_LINES) {
                self.line(&format!("    {line}"));
            }
            let more = text.lines().count().saturating_sub(EXHIBIT_LINES);
            if more > 0 {
                self.line(&format!("    … {more} more lines (--json has all)"));
            }
        }
    }

    fn weight(&mut self, incident: &Value, at: &Value) {
        self.section("what it weighs");
        self.wrapped("  priority  ", &word(&incident["priority_reason"]));
        let (impact, urgency) = (incident["impact"].as_u64(), incident["urgency"].as_u64());
        if let (Some(impact), Some(urgency)) = (impact, urgency) {
            let text = format!(
                "impact {impact} × urgency {urgency} by the matrix = {}; it was never more than {}",
                word(&incident["priority"]),
                word(&incident["priority_max"])
            );
            self.wrapped("            ", &text);
        }
        for (key, what) in [("respond", "  respond   "), ("resolve", "  resolve   ")] {
            let clock = &incident["sla"][key];
            let state = match (&clock["met_at"], &clock["breached_at"]) {
                (Value::Null, Value::Null) => {
                    format!("due {} ({})", second(&clock["due"]), left(at, &clock["due"]))
                }
                (Value::Null, breached) => format!("MISSED at {}", second(breached)),
                (met, Value::Null) => format!("met at {}", second(met)),
                (met, _) => format!("met at {}, after it was due", second(met)),
            };
            self.wrapped(what, &state);
        }
    }

    fn kept(&mut self, kept: &[Value]) {
        if kept.is_empty() {
            return;
        }
        self.section("what kept its raises back, newest first");
        let row = |k: &Value| {
            let by = match (k["window"].as_str(), k["parent"].as_str()) {
                (Some(window), _) => format!("maintenance window {window}"),
                (None, Some(parent)) => format!("explained by {parent}"),
                _ => word(&k["by"]),
            };
            let why = k["why"].as_str().filter(|why| !why.is_empty());
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            vec![second(&k["at"]), word(&k["event"]), format!("{by}{why}")]
        };
        self.table(&kept.iter().map(row).collect::<Vec<_>>());
    }

    fn links(&mut self, answer: &Value, incident: &Value) {
        let (problem, links) = (&answer["problem"], &incident["links"]);
        let mut rows = Vec::new();
        if let Some(number) = problem["number"].as_str() {
            let (title, state) = (word(&problem["title"]), word(&problem["state"]).replace('_', " "));
            let (members, openings) = (&problem["members"], &problem["openings"]);
            let text = format!("{number} ({state}): {title}; {members} incidents, {openings} openings");
            rows.push(vec!["problem".to_owned(), text]);
            for why in items(&problem["why"]) {
                rows.push(vec!["  because".to_owned(), word(&why["text"])]);
            }
        } else if let Some(id) = links["problem"].as_str() {
            rows.push(vec!["problem".to_owned(), id.to_owned()]);
        }
        for (key, what) in [
            ("previous", "came after"),
            ("maintenance", "maintenance"),
            ("change", "change"),
            ("runbook", "runbook"),
        ] {
            if let Some(text) = links[key].as_str() {
                rows.push(vec![what.to_owned(), text.to_owned()]);
            }
        }
        if !rows.is_empty() {
            self.section("what it belongs to");
            self.table(&rows);
        }
    }

    fn timeline(&mut self, entries: &[Value]) {
        self.section("timeline");
        let left_out = entries.len().saturating_sub(TIMELINE_MOST);
        if left_out > 0 {
            self.line(&format!("  … {left_out} older entries (--json has all that are held)"));
        }
        let row = |e: &Value| {
            let turn = match (e["from"].as_str(), e["to"].as_str()) {
                (Some(from), Some(to)) => format!("{from} → {to}: ").replace('_', " "),
                (None, Some(to)) => format!("{to}: ").replace('_', " "),
                _ => String::new(),
            };
            let text = format!("{turn}{}", word(&e["note"]));
            vec![second(&e["at"]), word(&e["actor"]), word(&e["kind"]), text]
        };
        self.table(&entries[left_out..].iter().map(row).collect::<Vec<_>>());
    }

    fn deliveries(&mut self, all: &[Value], at: &Value) {
        self.section("where it went");
        if all.is_empty() {
            self.line("  no [[destination]] is configured: it stays on this host");
            return;
        }
        let row = |d: &Value| {
            let state = word(&d["state"]).to_uppercase();
            vec![word(&d["destination"]), state, delivery(d, at)]
        };
        self.table(&all.iter().map(row).collect::<Vec<_>>());
    }

    fn rule_now(&mut self, answer: &Value, incident: &Value) {
        let (rule, judged) = (&answer["rule"], &answer["rule"]["now"]);
        self.section("the rule now");
        let (id, on) = (word(&incident["rule"]["id"]), word(&incident["instance"]));
        if rule["in_force"] == false {
            self.wrapped("  ", "it is no longer in force: it was taken out, or switched off");
        } else if judged.is_null() {
            self.wrapped("  ", &format!("it is not judged for {on}; sexton explain {id} '{on}' says why"));
        } else {
            self.wrapped("  state  ", &word(&judged["state"]).to_uppercase());
            self.wrapped("  why    ", &word(&judged["verdict"]));
            self.wrapped("  next   ", &word(&judged["next"]));
        }
        if rule["changed"] == true {
            self.wrapped("  note   ", "it has been changed since this was raised");
        }
        let raised = word(&incident["raised_at"]);
        let raised = raised.split('.').next().unwrap_or_default().trim_end_matches('Z');
        self.line("");
        self.line(&format!("All numbers now:           sexton explain {id} '{on}'"));
        self.line(&format!("All numbers at the raise:  sexton explain {id} '{on}' --at {raised}Z"));
    }
}

/// What became of it at a destination.
fn delivery(d: &Value, at: &Value) -> String {
    if let Some(why) = d["why"].as_str() {
        return why.to_owned();
    }
    let (rev, there) = (&d["rev"], d["acked_rev"].as_u64().unwrap_or(0));
    let mut facts = vec![match there {
        0 => format!("revision {rev} waits, nothing is there yet"),
        there if Some(there) == rev.as_u64() => format!("revision {rev} is there"),
        there => format!("revision {there} is there, {rev} waits"),
    }];
    if let Some(id) = d["remote_id"].as_str() {
        facts.push(format!("remote id {id}"));
    }
    if !d["stored_at"].is_null() {
        facts.push(format!("stored {}", second(&d["stored_at"])));
    }
    if let Some(key) = d["key"].as_str() {
        facts.push(format!("under way: {} {key}", word(&d["operation"])));
    }
    let failed = d["attempts"].as_u64().unwrap_or(0);
    if failed > 0 {
        facts.push(format!("{} since the last that was stored", count(failed, "failed attempt")));
    }
    if let Some(next) = d["next"].as_str() {
        facts.push(if next.starts_with("1970-") {
            "next at once".to_owned()
        } else {
            format!("next in {}", between(at, &d["next"]))
        });
    }
    if let Some(error) = d["last_error"].as_str() {
        facts.push(format!("last error: {error}"));
    }
    match (d["destination_state"].as_str(), d["destination_reason"].as_str()) {
        (Some("up"), _) | (None, _) => {}
        (Some(state), Some(reason)) => facts.push(format!("destination {state}: {reason}")),
        (Some(state), None) => facts.push(format!("destination {state}")),
    }
    if d["state"] == "parked" {
        facts.push(format!(
            "dead letter: sexton outbox requeue {} {}",
            word(&d["destination"]),
            word(&d["record"])
        ));
    }
    facts.join("; ")
}

fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn left(at: &Value, due: &Value) -> String {
    match between(at, due) {
        left if left == "0s" => "late".to_owned(),
        left => format!("in {left}"),
    }
}

/// The samples around the raise: a small plot, their range, and the limit.
fn plot(series: &Value, unicode: bool) -> String {
    let ty = type_of(&word(&series["unit"]));
    let values: Vec<f64> = items(&series["points"]).iter().filter_map(|p| p[1].as_f64()).collect();
    let missing = items(&series["points"]).len() - values.len();
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return "no samples".to_owned();
    };
    let (least, most) = values.iter().fold((*first, *first), |(a, b), v| (a.min(*v), b.max(*v)));
    let mut text = if unicode { sparkline(&values, least, most) + " " } else { String::new() };
    text.push_str(&format!(
        "{}, {} to {}, last {}",
        count(values.len() as u64, "sample"),
        human(least, ty),
        human(most, ty),
        human(*last, ty)
    ));
    if missing > 0 {
        text.push_str(&format!(", {missing} missing"));
    }
    if let Some(limit) = series["limit"].as_f64() {
        text.push_str(&format!(", limit {}", human(limit, ty)));
    }
    text
}

fn sparkline(values: &[f64], least: f64, most: f64) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let cells = values.len().min(CELLS);
    let level = |cell: usize| {
        let (from, to) = (cell * values.len() / cells, (cell + 1) * values.len() / cells);
        let highest = values[from..to.max(from + 1)].iter().copied().fold(f64::MIN, f64::max);
        let share = if most > least { (highest - least) / (most - least) } else { 0.0 };
        LEVELS[((share * 7.0).round() as usize).min(7)]
    };
    (0..cells).map(level).collect()
}

fn type_of(unit: &str) -> Type {
    let (name, per_second) = unit.strip_suffix("/s").map_or((unit, false), |name| (name, true));
    let base = match name {
        "ratio" => Base::Ratio,
        "bytes" => Base::Bytes,
        "seconds" => Base::Seconds,
        "bool" => Base::Bool,
        _ => Base::Number,
    };
    Type { base, per_second }
}
