//! A service of Monit: what it is about, its tests, and what depends on it.

use super::super::draft::{Check, Fate, Item, Loss, Place, Rule, kebab, shorten};
use super::action::{self, Programs};
use super::lex::{Statement, Word};
use super::test::{self, Verdict};
use super::{PIECE, connection};
use crate::engine::signal::Class;

/// The kinds of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host itself.
    System,
    /// A mount or block device.
    Filesystem,
    /// A process.
    Process,
    /// Another host, asked over the network.
    Host,
    /// An interface.
    Network,
    /// A program that is run.
    Program,
    /// Files, directories, pipes: nothing here looks at them.
    Other,
}

/// A service with its statements.
#[derive(Debug)]
pub struct Service {
    /// What it is.
    pub kind: Kind,
    /// As it is called there.
    pub name: String,
    /// Path, address, interface or program.
    pub subject: String,
    /// `pidfile` or `matching`.
    pub by: String,
    /// Where it begins.
    pub place: Place,
    /// Its first statement as written.
    pub text: String,
    /// The others.
    pub statements: Vec<(Place, Statement)>,
}

impl Service {
    /// From `check … `.
    pub fn new(place: Place, statement: &Statement) -> Self {
        let words = &statement.words;
        let at = |i: usize| words.get(i).map(|w| w.text.clone()).unwrap_or_default();
        let kind = match at(1).as_str() {
            "system" => Kind::System,
            "filesystem" | "device" => Kind::Filesystem,
            "process" => Kind::Process,
            "host" => Kind::Host,
            "network" => Kind::Network,
            "program" => Kind::Program,
            _ => Kind::Other,
        };
        let name = words.get(2).map(|w| w.raw.clone()).unwrap_or_default();
        let noise = ["with", "path", "address", "pidfile", "matching", "match", "interface", "is", "as"];
        let subject = words.iter().skip(3).find(|w| w.is_quoted || !noise.contains(&w.text.as_str()));
        let by = words.iter().skip(3).find(|w| ["pidfile", "matching", "match"].contains(&w.text.as_str()));
        let subject = subject.map(|w| w.raw.as_str()).unwrap_or_default();
        let subject = if kind == Kind::Filesystem { super::super::draft::mount(subject) } else { subject };
        Self {
            kind,
            name,
            subject: subject.to_owned(),
            by: by.map(|w| w.text.clone()).unwrap_or_default(),
            place,
            text: shorten(&statement.text(), PIECE),
            statements: Vec::new(),
        }
    }

    /// The class of its rules.
    pub fn class(&self) -> Class {
        match self.kind {
            Kind::System | Kind::Other => Class::Host,
            Kind::Filesystem => Class::Fs,
            Kind::Process => Class::Proc,
            Kind::Host => Class::Check,
            Kind::Network => Class::Net,
            Kind::Program => Class::Plugin,
        }
    }

    /// `match` of its rules, and what is uncertain about it.
    pub fn matches(&self) -> (Option<(&'static str, String)>, Option<&'static str>) {
        match self.kind {
            Kind::Filesystem if self.subject.starts_with("/dev/") => {
                (Some(("device", self.subject.clone())), None)
            }
            Kind::Filesystem => (Some(("mount", self.subject.clone())), None),
            Kind::Network if self.subject.parse::<std::net::IpAddr>().is_ok() => {
                (None, Some("an interface is named here, not its address: write it into `match`"))
            }
            Kind::Network => (Some(("iface", self.subject.clone())), None),
            Kind::Program => (Some(("check", kebab(&self.name))), None),
            Kind::Process => {
                let (name, doubt) = self.process();
                (Some(("name", name)), doubt)
            }
            _ => (None, None),
        }
    }

    /// The name of the process as the kernel has it.
    fn process(&self) -> (String, Option<&'static str>) {
        let file = self.subject.rsplit('/').next().unwrap_or_default();
        if self.by == "pidfile" {
            let stem = file.strip_suffix(".pid").unwrap_or(file);
            let stem = if stem.is_empty() || stem == "pid" { &self.name } else { stem };
            return (
                stem.to_owned(),
                Some("named after its pid file: see that it is the name that `ps -o comm` shows"),
            );
        }
        let first = self.subject.split_whitespace().next().unwrap_or_default();
        let base = first.trim_matches(['^', '$']).rsplit('/').next().unwrap_or_default().replace('\\', "");
        let is_plain = !base.is_empty() && base.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        let is_whole = is_plain && base.len() == self.subject.trim_matches(['^', '$']).len();
        let name = if is_plain { base } else { self.name.clone() };
        let doubt = "a pattern over command lines there, the name that `ps -o comm` shows here";
        (name, (!is_whole).then_some(doubt))
    }

    /// Its tests.
    pub fn items(&self, cycle: i64) -> Vec<Item> {
        let cycle = cycle.saturating_mul(self.every());
        let programs = Programs::of(self);
        let tests: Vec<_> = self.statements.iter().filter(|(_, s)| s.keyword() == "if").collect();
        let mut items = Vec::new();
        let asks_presence = |s: &Statement| {
            let text = s.text().to_ascii_lowercase();
            text.contains("exist") || text.contains("not running")
        };
        if self.kind == Kind::Process && !tests.iter().any(|(_, s)| asks_presence(s)) {
            // A process that is away is restarted without being asked for.
            items.push(self.item(&self.place, &self.text, test::missing(self), &programs, Some("restart")));
        }
        let limit = tests.iter().find_map(|(_, s)| action::restarts(s, cycle));
        for (place, statement) in tests {
            if action::restarts(statement, cycle).is_some() {
                continue;
            }
            items.push(self.test(place, statement, cycle, &programs));
        }
        for item in &mut items {
            for action in item.rules.iter_mut().filter_map(|r| r.action.as_mut()) {
                action.max.clone_from(&limit);
            }
        }
        for (place, statement) in &self.statements {
            items.extend(self.other(place, statement));
        }
        if items.is_empty() {
            let mut item = Item { what: self.what(), place: self.place.clone(), ..Item::default() };
            item.losses.push(self.loss(
                &self.place,
                &self.text,
                "has no test that is carried over",
                "a plugin rule",
            ));
            items.push(item);
        }
        items
    }

    /// `every 5 cycles`.
    fn every(&self) -> i64 {
        let every = self.statements.iter().find(|(_, s)| s.keyword() == "every");
        let count = every.and_then(|(_, s)| s.words.get(1)).and_then(|w| w.text.parse::<i64>().ok());
        count.filter(|n| (1..=10_000).contains(n)).unwrap_or(1)
    }

    fn what(&self) -> String {
        let kind = self.text.split_whitespace().nth(1).unwrap_or("service");
        format!("{kind} {}", shorten(&self.name, 40))
    }

    fn loss(&self, place: &Place, piece: &str, why: &str, instead: &str) -> Loss {
        let (piece, why, instead) = (shorten(piece, PIECE), why.to_owned(), instead.to_owned());
        Loss { place: place.clone(), piece, why, instead, widens: false }
    }

    fn test(&self, place: &Place, statement: &Statement, cycle: i64, programs: &Programs) -> Item {
        let (condition, then) = split(&statement.words);
        let (condition, count) = test::count(condition);
        let verdict = match condition.first().map(|w| w.text.as_str()) {
            Some("failed") => connection::read(self, &condition[1..], cycle),
            _ => test::read(self, condition),
        };
        let verdict = verdict.and_then(|v| test::often(v, count, cycle));
        let does = then.first().map(|w| w.text.as_str());
        let mut item = self.item(place, &statement.text(), verdict, programs, does);
        if does == Some("exec") {
            programs.exec(then, &mut item, place);
        }
        item
    }

    fn item(
        &self,
        place: &Place,
        text: &str,
        verdict: Result<Verdict, test::Lost>,
        programs: &Programs,
        does: Option<&str>,
    ) -> Item {
        let mut item = Item { what: self.what(), place: place.clone(), ..Item::default() };
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(lost) => {
                item.losses.push(self.loss(place, text, lost.why, lost.instead));
                return item;
            }
        };
        let (selects, doubt) = self.matches();
        for why in
            doubt.filter(|_| verdict.class.is_none()).into_iter().chain(verdict.differs.iter().copied())
        {
            item.losses.push(self.loss(place, text, why, ""));
        }
        verdict.remarks.iter().for_each(|r| item.remark(*r));
        let Some(mut rule) = self.rule(place, text, &verdict) else {
            item.losses.push(self.loss(place, text, "is too large for a rule", ""));
            return item;
        };
        if verdict.class.is_none()
            && let Some((label, value)) = selects.filter(|(_, v)| !v.is_empty())
        {
            rule.matches.insert(label.to_owned(), vec![value]);
        }
        if let Some(check) = &verdict.check {
            let check = Check { id: kebab(&format!("{}-{}", self.name, verdict.id)), ..check.clone() };
            rule.matches.insert("check".to_owned(), vec![check.id.clone()]);
            item.checks.push(check);
        }
        rule.action = programs.of_action(does.unwrap_or(""), &mut item, place);
        let more = verdict.more.as_ref().and_then(|more| self.rule(place, text, more));
        let more = more.map(|r| Rule { matches: rule.matches.clone(), action: rule.action.clone(), ..r });
        item.rules.push(rule);
        item.rules.extend(more);
        item
    }

    /// The rule of a verdict, yet without `match`; `None`: it is too large.
    fn rule(&self, place: &Place, text: &str, verdict: &Verdict) -> Option<Rule> {
        let id = format!("{}-{}", kebab(&self.name), verdict.id);
        let class = verdict.class.unwrap_or(self.class());
        let mut rule = Rule::new(&id, place, class, vec![verdict.step().ok()?]);
        (rule.nature, rule.category, rule.outage) = super::super::subject::of(&verdict.raise);
        rule.title = Some(verdict.title.replace("NAME", &self.name.replace('{', "{{").replace('}', "}}")));
        rule.nodata_after = verdict.nodata_after;
        rule.description = Some(format!("Was in Monit: {}", shorten(text, 200)));
        Some(rule)
    }

    /// Statements that are neither tests nor programs.
    fn other(&self, place: &Place, statement: &Statement) -> Option<Item> {
        let (why, instead) = match statement.keyword() {
            "alert" | "noalert" => {
                ("says who is told of this service", "`match` of the [[destination]]: docs/forwarding.md")
            }
            "not" => ("hours in which it is not judged", "a [[window]] with `every`"),
            "every" if self.every() == 1 => {
                ("hours in which it is judged", "a [[window]] with `every` for the other hours")
            }
            "mode" if statement.text().contains("passive") => {
                ("only watches: no action", "leave out [rule.action]")
            }
            "mode" => ("says who starts it", "systemd starts services"),
            "onreboot" => ("says what is started after a boot", "systemd starts services"),
            _ => return None,
        };
        let mut item = Item { what: self.what(), place: place.clone(), ..Item::default() };
        item.losses.push(self.loss(place, &statement.text(), why, instead));
        Some(item)
    }
}

/// The words of an `if` up to `then`, and the action behind it up to `else`.
fn split(words: &[Word]) -> (&[Word], &[Word]) {
    let is = |w: &Word, text: &str| !w.is_quoted && w.text == text;
    let then = words.iter().position(|w| is(w, "then")).unwrap_or(words.len());
    let rest = words.get(then + 1..).unwrap_or_default();
    let end = rest.iter().position(|w| is(w, "else")).unwrap_or(rest.len());
    (words.get(1..then).unwrap_or_default(), &rest[..end])
}

/// `depends on x`: the rules of one service are symptoms of those that say that the other is away.
pub fn depend(services: &[Service], items: &mut [Item]) {
    for service in services {
        let statements =
            service.statements.iter().filter(|(_, s)| matches!(s.keyword(), "depends" | "depend"));
        for (place, statement) in statements {
            for word in statement.words.iter().skip(1).filter(|w| w.text != "on") {
                let head = format!("{}-", kebab(&word.raw));
                let tells = |id: &str| {
                    id.strip_prefix(&head).is_some_and(|rest| {
                        ["not-running", "missing", "down"].contains(&rest) || rest.starts_with("port")
                    })
                };
                let ids: Vec<String> = items
                    .iter()
                    .flat_map(|i| &i.rules)
                    .map(|r| r.id.clone())
                    .filter(|id| tells(id))
                    .collect();
                let own = format!("{}-", kebab(&service.name));
                let mine = items.iter_mut().filter(|i| i.what == service.what() && i.fate() != Fate::Not);
                for item in mine {
                    if ids.is_empty() {
                        let why = "no rule here says that it is away";
                        item.losses.push(service.loss(
                            place,
                            &statement.text(),
                            why,
                            "`depends` on a rule of it",
                        ));
                    }
                    for rule in item.rules.iter_mut().filter(|r| r.id.starts_with(&own)) {
                        rule.depends.extend(ids.iter().filter(|id| **id != rule.id).cloned());
                    }
                }
            }
        }
    }
}
