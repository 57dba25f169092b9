//! An explained rule as lines: its instances, or one of them with its conditions taken apart.

use serde_json::Value;

use crate::cli::table::lay_out;
use crate::cli::terminal::Terminal;
use crate::engine::moment::{SECOND, Stamp, human};

/// Instances of the class that are not bound and are told.
const UNBOUND_MOST: usize = 10;
/// Widest column of texts beside which values still stand on the same line.
const TEXT_MOST: usize = 46;
/// Narrowest and widest text.
const WIDTH: std::ops::RangeInclusive<usize> = 60..=120;

/// Lines with what the terminal can show.
pub(super) struct Page {
    pub out: String,
    pub terminal: Terminal,
    width: usize,
}

/// A rule as text.
pub fn plain(answer: &Value, terminal: Terminal) -> String {
    let mut page = Page::new(terminal);
    page.moment(answer);
    let instances = items(&answer["instances"]);
    if let Some(detail) = answer["detail"].as_object() {
        let detail = Value::Object(detail.clone());
        page.detail(&answer["id"], &answer["origin"], &detail, &answer["at"]);
    } else if !answer["asked"].is_null() {
        page.not_bound(answer);
    } else if instances.is_empty() {
        page.binds_nothing(answer);
    } else {
        page.overview(answer, instances);
    }
    page.out
}

impl Page {
    pub fn new(terminal: Terminal) -> Self {
        let width = terminal.width.clamp(*WIDTH.start(), *WIDTH.end());
        Self { out: String::new(), terminal, width }
    }

    pub fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    pub fn paint(&self, code: &str, text: &str) -> String {
        if self.terminal.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line that goes on under itself, behind `head`.
    pub fn wrapped(&mut self, head: &str, text: &str) {
        let indent = head.chars().count();
        let room = self.width.saturating_sub(indent).max(20);
        let mut lines: Vec<String> = vec![String::new()];
        for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
            let last = lines.last().map_or(0, |line| line.chars().count());
            if last > 0 && last + 1 + word.chars().count() > room {
                lines.push(word.to_owned());
            } else if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
        }
        for (i, line) in lines.iter().enumerate() {
            let margin = if i == 0 { head.to_owned() } else { " ".repeat(indent) };
            self.line(&(margin + line).replace('\u{a0}', " "));
        }
    }

    /// A past moment is said first.
    fn moment(&mut self, answer: &Value) {
        let replayed = &answer["replayed"];
        if replayed.is_null() {
            return;
        }
        let (at, from) = (second(&answer["at"]), second(&replayed["from"]));
        let samples = &replayed["samples"];
        let text = format!("As of {at}, replayed from {from} on ({samples} samples of the history).");
        self.wrapped("", &text);
        let without = "Not known to a replay: windows from the shell, what people did, and what was raised \
                       before it begins. Numbers of incidents are its own.";
        self.wrapped("", without);
        let coarse = &replayed["coarse"];
        if !coarse.is_null() {
            let (from, to) = (second(&coarse["from"]), second(&coarse["to"]));
            self.wrapped("", &format!("From {from} to {to} only steps of five minutes are kept: times there are true to five minutes."));
        }
        match replayed["damaged"].as_u64().unwrap_or(0) {
            0 => {}
            1 => self.wrapped("", "One row of the history is damaged; its samples are missing."),
            n => {
                self.wrapped("", &format!("{n} rows of the history are damaged; their samples are missing."))
            }
        }
        self.line("");
    }

    fn binds_nothing(&mut self, answer: &Value) {
        let (id, class) = (word(&answer["id"]), word(&answer["class"]));
        let mark = self.paint("33", "BINDS NOTHING");
        self.line(&format!("{id}  {}", place(&answer["origin"])));
        self.line(&format!("{mark}: it is about {class}, and judged for none of them"));
        self.wrapped("  why    ", &word(&answer["binds_nothing"]));
        self.wrapped("  next   ", "raised for an instance only once one is seen that `match` takes");
        self.unbound(answer);
    }

    fn not_bound(&mut self, answer: &Value) {
        let asked = &answer["asked"];
        let mark = self.paint("33", "NOT BOUND");
        self.line(&format!(
            "{} on {}  {}",
            word(&answer["id"]),
            word(&asked["instance"]),
            place(&answer["origin"])
        ));
        self.line(&format!("{mark}: the rule is not judged for this instance"));
        self.wrapped("  why    ", &word(&asked["why"]));
        self.wrapped(
            "  next   ",
            "never raised here while that is so: change `match` in the rule, or the override",
        );
    }

    fn unbound(&mut self, answer: &Value) {
        let all = items(&answer["unbound"]);
        if all.is_empty() {
            return;
        }
        let count = answer["unbound_count"].as_u64().unwrap_or(0);
        self.line(&format!("not bound    {count}"));
        let rows: Vec<_> =
            all.iter().take(UNBOUND_MOST).map(|u| vec![word(&u["instance"]), word(&u["why"])]).collect();
        self.table(&rows);
        let more = count.saturating_sub(rows.len() as u64);
        if more > 0 {
            self.line(&format!("  and {more} more"));
        }
    }

    /// Rows of which the last cell goes on under itself.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        let heads: Vec<Vec<String>> =
            rows.iter().map(|row| row[..row.len().saturating_sub(1)].to_vec()).collect();
        let with_end = |row: &Vec<String>| [row.as_slice(), &["|".to_owned()]].concat();
        let laid_out = lay_out(&heads.iter().map(with_end).collect::<Vec<_>>());
        for (head, row) in laid_out.lines().zip(rows) {
            let last = row.last().map(String::as_str).unwrap_or_default();
            self.wrapped(head.trim_end_matches('|'), last);
        }
    }

    fn overview(&mut self, answer: &Value, instances: &[Value]) {
        let (id, class, bound) = (word(&answer["id"]), word(&answer["class"]), &answer["bound"]);
        self.line(&format!("{id}  {}", place(&answer["origin"])));
        self.line(&format!("judged for {bound} {class}"));
        let rank = |i: &Value| match i["state"].as_str() {
            Some("raised") => 0,
            Some("pending") => 1,
            Some("unknown") => 2,
            _ => 3,
        };
        let mut sorted: Vec<&Value> = instances.iter().collect();
        sorted.sort_by_key(|i| rank(i));
        let row = |i: &&Value| {
            let kept = i["suppressed_by"].as_str().map(|why| format!("no incident: {why}; "));
            let incident = i["incident"].as_str().map(|number| format!("{number}; "));
            let why = kept.or(incident).unwrap_or_default() + &word(&i["verdict"]);
            vec![word(&i["state"]).to_uppercase(), word(&i["instance"]), why]
        };
        self.table(&sorted.iter().map(row).collect::<Vec<_>>());
        let more = bound.as_u64().unwrap_or(0).saturating_sub(instances.len() as u64);
        if more > 0 {
            self.line(&format!("  and {more} more"));
        }
        self.unbound(answer);
        if let Some(first) = sorted.first() {
            self.line("");
            self.line(&format!("All numbers of one: sexton explain {id} '{}'", word(&first["instance"])));
        }
    }

    fn detail(&mut self, id: &Value, origin: &Value, detail: &Value, at: &Value) {
        let judged = &detail["judgement"];
        self.line(&format!("{} on {}  {}", word(id), word(&judged["instance"]), place(origin)));
        self.line(&self.headline(detail, at));
        self.wrapped("  why    ", &word(&judged["verdict"]));
        let kept = items(&detail["suppression"]).iter().find(|h| h["effect"] == "keeps");
        if let Some(kept) = kept {
            self.wrapped("  but    ", &format!("no incident: {}", word(&kept["text"])));
        }
        self.wrapped("  next   ", &word(&judged["next"]));
        for (name, key) in [("  looks  ", "looks_at"), ("  grace  ", "settles_at")] {
            if !judged[key].is_null() {
                let what =
                    if key == "looks_at" { "judged only now and then (every), next at" } else { "until" };
                self.wrapped(name, &format!("{what} {}", second(&judged[key])));
            }
        }
        for (i, step) in items(&judged["steps"]).iter().enumerate() {
            self.step(step, &detail["priority"][i], items(&judged["steps"]).len() > 1);
        }
        self.hindrances(items(&detail["suppression"]));
    }

    /// `RAISED critical since 2026-11-22 14:02:11Z, 3m ago: INC000012`.
    fn headline(&self, detail: &Value, at: &Value) -> String {
        let judged = &detail["judgement"];
        let state = word(&judged["state"]);
        let code = match state.as_str() {
            "raised" => "1;31",
            "pending" | "unknown" => "33",
            _ => "32",
        };
        let mut text = self.paint(code, &state.to_uppercase());
        if let Some(severity) = judged["severity"].as_str() {
            text.push_str(&format!(" {severity}"));
        }
        if !judged["since"].is_null() {
            text.push_str(&format!(
                " since {}, {} ago",
                second(&judged["since"]),
                between(&judged["since"], at)
            ));
        }
        let incident = &detail["incident"];
        if let Some(number) = incident["number"].as_str() {
            let state = word(&incident["state"]).replace('_', " ");
            text.push_str(&format!("   {number} {} {state}", word(&incident["priority"])));
        }
        text
    }

    fn step(&mut self, step: &Value, priority: &Value, named: bool) {
        let seconds = |key: &str| human((step[key].as_f64().unwrap_or(0.0) * 1e9) as i64);
        self.line("");
        let raised = if step["latched_since"].is_null() { "" } else { ", raised" };
        let name = self.paint("1", &format!("step {}{raised}", word(&step["severity"])));
        self.line(&format!("{name}   for {}, keep {}   {}", seconds("for"), seconds("keep"), word(priority)));
        if named {
            self.wrapped("  stands ", &word(&step["says"]));
        }
        self.clock(&step["clock"]);
        // Whether it is over matters only while it is raised.
        self.condition("  raise  ", &step["raise"], true);
        self.condition("  clear  ", &step["clear"], !step["latched_since"].is_null());
    }

    fn clock(&mut self, clock: &Value) {
        if clock.is_null() {
            return;
        }
        let seconds = |key: &str| (clock[key].as_f64().unwrap_or(0.0) * 1e9) as i64;
        let (held, needed, since) = (seconds("held"), seconds("needed"), second(&clock["since"]));
        let left = human((needed - held).max(0));
        let bar = self.bar(held, needed);
        let state = match &clock["frozen"] {
            Value::Null => format!("{left} left"),
            frozen => format!("STANDS STILL, given up at {}", second(&frozen[1])),
        };
        let of = word(&clock["of"]);
        self.line(&format!("  {of:<6} {bar} {} of {}, since {since}, {state}", human(held), human(needed)));
    }

    fn bar(&self, held: i64, needed: i64) -> String {
        const CELLS: i64 = 20;
        let full = if needed <= 0 { CELLS } else { (held.min(needed) * CELLS / needed).max(0) };
        let (on, off) = if self.terminal.unicode { ("█", "░") } else { ("#", ".") };
        on.repeat(full as usize) + &off.repeat((CELLS - full) as usize)
    }

    fn condition(&mut self, head: &str, node: &Value, whole: bool) {
        let is_joined = ["and", "or", "not", "function"].iter().any(|kind| node["kind"] == *kind);
        let verdict = self.verdict(node);
        if !is_joined {
            self.leaf(&format!("{head}{verdict:<9}"), node, 0, whole);
            return;
        }
        self.wrapped(&format!("{head}{verdict:<9}"), &word(&node["text"]));
        if whole {
            self.parts(node, 4, widest(node, 0));
        }
    }

    fn verdict(&self, node: &Value) -> String {
        word(&node["verdict"]).to_uppercase()
    }

    /// The parts of a joined condition, each with its mark.
    fn parts(&mut self, node: &Value, indent: usize, widest: usize) {
        for part in items(&node["parts"]) {
            let margin = " ".repeat(indent);
            let mark = self.mark(part);
            if ["and", "or", "not"].iter().any(|kind| part["kind"] == *kind) {
                let joint = match part["kind"].as_str() {
                    Some("and") => "all of",
                    Some("or") => "any of",
                    _ => "not",
                };
                self.line(&format!("{margin}{mark} {joint}"));
                self.parts(part, indent + 2, widest.saturating_sub(2));
            } else {
                self.leaf(&format!("{margin}{mark} "), part, widest, true);
            }
        }
    }

    fn mark(&self, node: &Value) -> String {
        let marks = if self.terminal.unicode { ["✓", "✗", "?", "·"] } else { ["+", "-", "?", " "] };
        match node["verdict"].as_str() {
            Some("true") => self.paint("32", marks[0]),
            Some("false") => self.paint("31", marks[1]),
            Some(_) => self.paint("33", marks[2]),
            None => marks[3].to_owned(),
        }
    }

    /// A comparison or another part with no verdicts below it, and what it is worked out of.
    fn leaf(&mut self, head: &str, node: &Value, widest: usize, whole: bool) {
        let text = word(&node["text"]);
        let pad = " ".repeat(widest.saturating_sub(text.chars().count()));
        let why = node["why"].as_str();
        let said = match (why, node["margin"]["shown"].as_str()) {
            (Some(why), _) => format!("unknown: {why}"),
            (None, Some(margin)) => format!("{}, {margin}", word(&node["shown"])),
            (None, None) => word(&node["shown"]),
        };
        let plain_head = strip(head);
        self.wrapped(&plain_head, &join(&text, &pad, &said));
        if plain_head != head {
            // The mark is put in after the lines are broken, so that its colour takes no room.
            let at = self.out.rfind(&plain_head).unwrap_or(self.out.len());
            self.out.replace_range(at..(at + plain_head.len()).min(self.out.len()), head);
        }
        let indent = plain_head.chars().count() + 2;
        let parts = items(&node["parts"]);
        // The value of the one signal that is polled has just been told.
        let is_told_already =
            matches!(parts, [one] if one["kind"] == "signal" && one["signal"]["interval"] != 0.0);
        if whole && !is_told_already {
            parts.iter().for_each(|part| self.worked_out(part, indent, &text));
        }
    }

    /// What a value is worked out of, where that says more than the value.
    fn worked_out(&mut self, node: &Value, indent: usize, above: &str) {
        let margin = " ".repeat(indent);
        let (text, shown) = (word(&node["text"]), word(&node["shown"]));
        let is_new = !above.starts_with(&text);
        match node["kind"].as_str() {
            Some("window") if !node["why"].is_null() => {
                if is_new {
                    self.wrapped(&margin, &format!("{text} = unknown: {}", word(&node["why"])));
                }
            }
            Some("window") => {
                let span = node["window"]["span"].as_f64().map(|s| human((s * 1e9) as i64));
                let span = span.map(|s| format!("over {s}: ")).unwrap_or_default();
                let seen = word(&node["window"]["shown"]);
                let fed: Vec<String> = items(&node["parts"]).iter().filter_map(fresh).collect();
                let fed = if fed.is_empty() { String::new() } else { format!("; {}", fed.join(", ")) };
                let name = if is_new { format!("{text} = {shown}   ") } else { String::new() };
                self.wrapped(&margin, &format!("{name}{span}{seen}{fed}"));
            }
            Some("signal") => {
                if let Some(said) = fresh(node) {
                    self.wrapped(&margin, &said);
                }
            }
            _ => {
                if is_new {
                    self.wrapped(&margin, &format!("{text} = {shown}"));
                }
                items(&node["parts"]).iter().for_each(|part| self.worked_out(part, indent + 2, &text));
            }
        }
    }

    fn hindrances(&mut self, all: &[Value]) {
        if all.is_empty() {
            return;
        }
        self.line("");
        let title = self.paint("1", "between a raise and an incident");
        self.line(&title);
        let row = |h: &Value| {
            let effect = match h["effect"].as_str() {
                Some("keeps") => "KEEPS IT",
                Some("would") => "would keep it",
                Some("delays") => "would delay it",
                Some("marks") => "marks it",
                _ => "-",
            };
            vec![effect.to_owned(), word(&h["kind"]), word(&h["text"])]
        };
        self.table(&all.iter().map(row).collect::<Vec<_>>());
    }
}

/// Text, room, and what is said of it; without room the wrap decides.
fn join(text: &str, pad: &str, said: &str) -> String {
    // Blanks that line up must survive the breaking of lines.
    let pad = pad.replace(' ', "\u{a0}");
    if said.is_empty() { text.to_owned() } else { format!("{text}{pad}\u{a0}\u{a0}\u{a0}{said}") }
}

fn strip(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = rest[at..].find('m').map_or("", |end| &rest[at + end + 1..]);
    }
    plain + rest
}

/// `cpu.busy 97 %, 3s old`, when there is a value.
fn fresh(node: &Value) -> Option<String> {
    let signal = &node["signal"];
    if node["kind"] != "signal" || !node["why"].is_null() {
        return None;
    }
    let ns = |key: &str| signal[key].as_f64().map(|s| (s * 1e9) as i64);
    let pace = match ns("interval") {
        Some(0) | None => "told on change".to_owned(),
        Some(interval) => format!("every {}", human(interval)),
    };
    let age = ns("age").map(|age| format!("{} old, ", human(age / SECOND * SECOND))).unwrap_or_default();
    Some(format!("{} {}, {age}{pace}", word(&node["text"]), word(&node["shown"])))
}

/// The longest text among the leaves of a joined condition that fits beside its value.
fn widest(node: &Value, depth: usize) -> usize {
    let each = items(&node["parts"]).iter().map(|part| {
        match ["and", "or", "not"].iter().any(|kind| part["kind"] == *kind) {
            true => widest(part, depth + 2),
            false => word(&part["text"]).chars().count() + depth,
        }
    });
    each.filter(|width| *width <= TEXT_MOST).max().unwrap_or(0)
}

fn place(origin: &Value) -> String {
    match origin.as_str() {
        Some(origin) if !origin.is_empty() => format!("({origin})"),
        _ => String::new(),
    }
}

pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn stamp(value: &Value) -> Option<Stamp> {
    value.as_str()?.parse().ok()
}

/// `2026-11-22 14:05:00Z`.
pub(super) fn second(value: &Value) -> String {
    match stamp(value) {
        Some(at) => Stamp(at.0.div_euclid(SECOND) * SECOND).to_string().replace('T', " "),
        None => "?".to_owned(),
    }
}

/// How long from one moment to another.
pub(super) fn between(from: &Value, to: &Value) -> String {
    match (stamp(from), stamp(to)) {
        (Some(from), Some(to)) => human((to.0 - from.0).max(0) / SECOND * SECOND),
        _ => "?".to_owned(),
    }
}
