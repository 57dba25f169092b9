//! Plays a story: lines `TIME VERB …`, times as `mm:ss` or `hh:mm:ss` after the start.
//!
//! ```text
//! 00:10 down front shop      these checks fail (told at once)
//! 00:20 up front             … and answer again
//! 00:30 slow front           check.latency 5 s; `fast` ends it
//! 01:00 restart 20           the process ends; a new one begins 20 s later with what was committed
//! 01:00 dark NAME            a new process under a configuration, whose doors are silent at first
//! 01:00 lose KIND            the same at once, and the rows of that kind are lost
//! 01:00 reload NAME          another configuration
//! 01:00 maintain 600 WHY     a window from the shell for so many seconds; `tag` marks only
//! 01:00 end ID               ends a window
//! 01:00 cancel INC000001     as an operator; `resolve`, `ack`, `reopen`, `hold`, `start` too
//! 01:00 clock +3600          the wall clock is set
//! 01:00 why t-down shop      explains a rule on a check
//! 01:00 kept                 prints what is kept and why
//! 01:00 windows              prints the windows
//! 01:00 look                 nothing but the time
//! ```
//! Printed is every new line of a timeline, refusals, and what was asked for.

use std::collections::BTreeMap;
use std::fmt::Write;

use sexton::config::{self, Config, HostFacts};
use sexton::engine::core::Engine;
use sexton::engine::effect::{Command, Maintenance, Step};
use sexton::engine::moment::{HOUR, MINUTE, Moment, SECOND, Stamp};
use sexton::engine::record::{Incident, Record};
use sexton::engine::signal::{Class, Instance, Observation};

/// Rules of every story: checks that fail at once, `gateway` and `upstream` among them.
pub const RULES: &str = r#"
[host]
name = "web-01"
id = "0123456789abcdef"
labels = { env = "prod" }
[correlate]
flap_half_life = "1m"
[[override]]
rule = ["*", "!t-*"]
set = { enabled = false }
[defaults]
for = "0s"
keep = "0s"
[[service]]
name = "shop"
tier = 1
match = { check = ["shop*"] }
"#;

/// Shown kinds of timeline entries.
const SHOWN: [&str; 9] =
    ["raised", "resolved", "reopened", "step", "suppressed", "maintenance", "sla", "cancelled", "flapping"];

/// A configuration from texts.
pub fn config(texts: &[&str]) -> Config {
    let facts = HostFacts { machine_id: "0123456789abcdef".into(), hostname: "web-01".into() };
    let named: Vec<_> = texts.iter().enumerate().map(|(i, t)| (format!("{i}.toml"), *t)).collect();
    let named: Vec<_> = named.iter().map(|(n, t)| (n.as_str(), *t)).collect();
    config::load_texts(&named, &sexton::cli::doors::doors(), &facts)
        .unwrap_or_else(|all| panic!("{:?}", all.items.iter().map(|d| d.render(false)).collect::<Vec<_>>()))
}

/// A host in a story.
pub struct Stage<'a> {
    configs: &'a [(&'a str, Config)],
    start: Stamp,
    now: Moment,
    engine: Engine,
    current: usize,
    rows: BTreeMap<(String, String), String>,
    seq: u64,
    said: String,
    /// What the doors said last; they say it again when they start.
    last: BTreeMap<(String, String), Observation>,
    /// Restart after every step, to see that nothing depends on memory alone.
    restless: bool,
}

/// Plays a story that starts at a time; plain, and once more with a restart after every step.
pub fn play(start: &str, configs: &[(&str, Config)], story: &str) -> String {
    let start: Stamp = start.parse().expect("a start");
    let played = |restless| {
        let now = Moment::at(start.0);
        let engine = Engine::new(configs[0].1.plan.clone(), 1);
        let (rows, last, said) = (BTreeMap::new(), BTreeMap::new(), String::new());
        let mut stage = Stage { configs, start, now, engine, current: 0, rows, seq: 0, said, last, restless };
        story.lines().map(str::trim).filter(|l| !l.is_empty()).for_each(|line| stage.line(line));
        stage.said
    };
    let (plain, restless) = (played(false), played(true));
    assert_eq!(plain, restless, "a process that restarts after every step sees another world");
    plain
}

impl Stage<'_> {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.pass_to(time(words[0]));
        match (words[1], &words[2..]) {
            ("down", checks) => self.tell(checks, "check.up", false),
            ("up", checks) => self.tell(checks, "check.up", true),
            ("slow", checks) => self.tell(checks, "check.latency", 5.0),
            ("fast", checks) => self.tell(checks, "check.latency", 0.1),
            ("look", _) => self.step(|_, _, _| Ok(String::new())),
            ("restart", away) => {
                let away: i64 = away.first().map_or(0, |s| s.parse().expect("seconds"));
                self.now = self.now.plus(away * SECOND);
                self.restart(true);
            }
            ("dark", name) => {
                self.current = self.configs.iter().position(|(n, _)| *n == name[0]).expect("a configuration");
                self.restart(false);
                self.restless = false;
            }
            ("lose", kind) => {
                self.rows.retain(|(row, _), _| row != kind[0]);
                self.restart(true);
            }
            ("reload", name) => {
                self.current = self.configs.iter().position(|(n, _)| *n == name[0]).expect("a configuration");
                let plan = self.configs[self.current].1.plan.clone();
                self.step(|engine, now, out| {
                    engine.reload(now, plan, out);
                    Ok(String::new())
                });
            }
            ("maintain" | "tag", [lasts, why @ ..]) => {
                let ask = Maintenance {
                    lasts: lasts.parse::<i64>().expect("seconds") * SECOND,
                    reason: why.join(" "),
                    by: "ada".to_owned(),
                    tag: words[1] == "tag",
                    ..Maintenance::default()
                };
                self.step(|engine, now, out| engine.start_maintenance(now, &ask, out));
            }
            ("end", id) => self.step(|engine, now, out| engine.end_maintenance(now, id[0], out)),
            ("cancel" | "resolve" | "ack" | "reopen" | "hold" | "start", incident) => {
                let (incident, by, note) = (incident[0].to_owned(), "ada".to_owned(), "so it is".to_owned());
                let command = match words[1] {
                    "cancel" => Command::Cancel { incident, by, note },
                    "resolve" => Command::Resolve { incident, by, note },
                    "reopen" => Command::Reopen { incident, by, note },
                    "hold" => Command::Hold { incident, by, reason: "the vendor has it".to_owned() },
                    "start" => Command::Start { incident, by },
                    _ => Command::Acknowledge { incident, by },
                };
                self.step(|engine, now, out| engine.command(now, &command, out).map(|()| String::new()));
            }
            ("clock", by) => self.now.wall += by[0].parse::<i64>().expect("seconds") * SECOND,
            ("kept", _) => {
                for kept in self.engine.suppression.kept(self.now, &self.engine.incidents) {
                    let line = format!("kept {} {}: {}", kept.rule, kept.instance, kept.reason);
                    self.say(&line);
                }
            }
            ("why", [rule, instance]) => self.explain(rule, instance),
            ("windows", _) => {
                for w in self.engine.suppression.windows(self.now) {
                    let (from, to) = (w.from.unwrap_or_default(), w.to.unwrap_or_default());
                    let open = if w.active { "open" } else { "closed" };
                    self.say(&format!("window {} {open} {from} {to} keeps {}", w.id, w.kept));
                }
            }
            _ => panic!("no such verb: {line}"),
        }
    }

    /// What stands between a raise of a rule on a check and an incident.
    fn explain(&mut self, rule: &str, check: &str) {
        let key = format!("check{{check={check}}}");
        let view = self.engine.explain(self.now, rule, Some(&key)).expect("the rule is in force");
        let Some(detail) = view.detail else { return self.say(&format!("{rule} does not bind {check}")) };
        self.say(&format!("{:?}: {}", detail.judgement.standing.state, detail.judgement.verdict));
        for h in detail.suppression {
            self.say(&format!("  {:?} {}: {}", h.effect, h.kind, h.text));
        }
    }

    /// The engine is called whenever it wants to be, up to that time.
    fn pass_to(&mut self, after: i64) {
        let until = self.start.0 + after;
        for _ in 0..10_000 {
            let Some(due) = self.engine.poll_timeout().filter(|due| *due <= until) else { break };
            self.now = self.now.plus((due - self.now.mono).max(0));
            self.step(|engine, now, out| {
                engine.handle_timeout(now, out);
                Ok(String::new())
            });
        }
        let waits = self.engine.poll_timeout().is_some_and(|due| due <= until);
        assert!(!waits, "it asks to be called for ever");
        self.now = self.now.plus((until - self.now.mono).max(0));
    }

    fn tell(&mut self, checks: &[&str], signal: &str, value: impl Into<sexton::engine::signal::Value>) {
        let value = value.into();
        let one = |check: &&str| {
            let instance = Instance::of(Class::Check, &[("check", check), ("kind", "tcp")]);
            let metric = sexton::engine::signal::Metric::find(signal).expect("a signal");
            Observation::new(self.now, instance, 0).with(metric, value.clone())
        };
        let batch: Vec<_> = checks.iter().map(one).collect();
        for seen in &batch {
            self.last.insert((seen.instance.key().to_owned(), signal.to_owned()), seen.clone());
        }
        self.observe(batch);
    }

    fn observe(&mut self, batch: Vec<Observation>) {
        self.step(|engine, now, out| {
            engine.observe(now, &batch, out);
            Ok(String::new())
        });
    }

    fn step(&mut self, act: impl FnOnce(&mut Engine, Moment, &mut Step) -> Result<String, String>) {
        let mut out = Step::default();
        let answer = act(&mut self.engine, self.now, &mut out);
        for entry in &out.journal {
            self.seq += 1;
            assert_eq!(entry.seq, self.seq, "the journal has no gap");
        }
        for row in out.state {
            match row.body {
                Some(body) => self.rows.insert((row.kind.to_owned(), row.key), body),
                None => self.rows.remove(&(row.kind.to_owned(), row.key)),
            };
        }
        for record in out.records {
            if let Record::Incident(incident) = record {
                self.news(&incident);
            }
        }
        match answer {
            Ok(said) if said.is_empty() => {}
            Ok(said) => self.say(&said),
            Err(why) => self.say(&format!("refused: {why}")),
        }
        if self.restless {
            self.restless = false;
            self.restart(true);
            self.restless = true;
        }
    }

    fn restart(&mut self, doors_tell: bool) {
        let rows = self.rows.iter().map(|((kind, key), body)| (kind.clone(), key.clone(), body.clone()));
        let rows = rows.collect();
        self.engine = Engine::new(self.configs[self.current].1.plan.clone(), 2);
        let bad = self.engine.restore(self.now, rows, self.seq);
        assert_eq!(bad, Vec::<String>::new());
        let now = self.now;
        let again = self.last.values().map(|seen| Observation { at: now, ..seen.clone() });
        let again = again.collect();
        if doors_tell {
            self.observe(again);
        }
        // What a start wants to look at again.
        if self.engine.poll_timeout().is_some_and(|due| due <= self.now.mono) {
            self.step(|engine, now, out| {
                engine.handle_timeout(now, out);
                Ok(String::new())
            });
        }
    }

    fn news(&mut self, incident: &Incident) {
        let news = incident.timeline.iter().filter(|e| e.rev == incident.rev);
        for entry in news.filter(|e| SHOWN.contains(&&*e.kind)) {
            let name = incident.instance.trim_start_matches("check{check=").trim_end_matches('}');
            let mut line = format!("{} {} {name} {}", incident.number, incident.rule.id, entry.kind);
            if entry.kind == "raised" || entry.kind == "reopened" {
                let late = (incident.raised_at.0 - incident.breach_at.0) / SECOND;
                let _ = write!(line, " {late} s after the breach");
            } else {
                let _ = write!(line, ": {}", entry.note);
            }
            self.say(&line);
        }
    }

    fn say(&mut self, line: &str) {
        let after = self.now.mono - self.start.0;
        let (h, m, s) = (after / HOUR, after / MINUTE % 60, after / SECOND % 60);
        let time = if h == 0 { format!("{m:02}:{s:02}") } else { format!("{h:02}:{m:02}:{s:02}") };
        let _ = writeln!(self.said, "{time} {line}");
    }

    /// The incident of that number.
    pub fn incident(&self, number: &str) -> Incident {
        self.engine.incidents.incident(number).expect("an incident").clone()
    }
}

/// Plays a story and looks at an incident of it.
pub fn incident(start: &str, configs: &[(&str, Config)], story: &str, number: &str) -> Incident {
    let start: Stamp = start.parse().expect("a start");
    let engine = Engine::new(configs[0].1.plan.clone(), 1);
    let (now, rows, last) = (Moment::at(start.0), BTreeMap::new(), BTreeMap::new());
    let (said, restless) = (String::new(), false);
    let mut stage = Stage { configs, start, now, engine, current: 0, rows, seq: 0, said, last, restless };
    story.lines().map(str::trim).filter(|l| !l.is_empty()).for_each(|line| stage.line(line));
    stage.incident(number)
}

fn time(text: &str) -> i64 {
    let parts: Vec<i64> = text.split(':').map(|p| p.parse().expect("a time")).collect();
    parts.iter().fold(0, |sum, part| sum * 60 + part) * SECOND
}
