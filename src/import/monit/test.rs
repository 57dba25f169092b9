//! Resource tests of Monit: `if cpu usage > 80% for 3 cycles`.

use super::lex::Word;
use super::service::{Kind, Service};
use crate::engine::cond::expr::{Expr, literal};
use crate::engine::record::Severity;
use crate::engine::signal::{Base, Class, Type};
use crate::import::draft::{Check, Step};
use crate::import::say;

/// Why a test is not carried over.
#[derive(Debug)]
pub struct Lost {
    /// Why.
    pub why: &'static str,
    /// What to do.
    pub instead: &'static str,
}

/// What a test became.
#[derive(Debug)]
pub struct Verdict {
    /// Behind the name of the service.
    pub id: String,
    /// `NAME` stands for that of the service.
    pub title: String,
    /// The breach.
    pub raise: Expr,
    /// In nanoseconds.
    pub for_: i64,
    /// How bad.
    pub severity: Severity,
    /// Another class than that of the service.
    pub class: Option<Class>,
    /// The check it is about.
    pub check: Option<Check>,
    /// What else is judged of that check.
    pub more: Option<Box<Verdict>>,
    /// For what is expected to be there.
    pub nodata_after: Option<&'static str>,
    /// What is different.
    pub differs: Vec<&'static str>,
    /// What is good to know.
    pub remarks: Vec<&'static str>,
}

impl Verdict {
    /// One with a condition written in our language.
    pub fn new(id: &str, title: &str, raise: &str, severity: Severity) -> Result<Self, Lost> {
        let raise = say::cond(raise).map_err(|_| STRANGE)?;
        Ok(Self {
            id: id.to_owned(),
            title: title.to_owned(),
            raise,
            for_: 0,
            severity,
            class: None,
            check: None,
            more: None,
            nodata_after: None,
            differs: Vec::new(),
            remarks: Vec::new(),
        })
    }

    /// The one step of its rule.
    pub fn step(&self) -> say::Built<Step> {
        let (clear, _) = say::calm(&self.raise)?;
        let raise = self.raise.clone();
        Ok(Step {
            severity: self.severity,
            impact: None,
            urgency: None,
            raise,
            clear,
            for_: self.for_,
            keep: None,
        })
    }
}

/// A test that is not understood.
pub const STRANGE: Lost =
    Lost { why: "is not understood", instead: "write the rule by hand, see docs/rules.md" };

/// How often a test must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// So many times.
    pub times: i64,
    /// Of so many cycles; in a row when absent.
    pub of: Option<i64>,
}

/// Takes `for 3 cycles`, `3 times within 5 cycles` off the end of a condition.
pub fn count(words: &[Word]) -> (&[Word], Count) {
    let once = Count { times: 1, of: None };
    let number =
        |i: usize| words.get(i).and_then(|w| w.text.parse::<i64>().ok()).filter(|n| (1..=10_000).contains(n));
    let is = |i: usize, texts: &[&str]| {
        words.get(i).is_some_and(|w| !w.is_quoted && texts.contains(&w.text.as_str()))
    };
    let n = words.len();
    if n < 2 || !is(n - 1, &["cycles", "cycle"]) {
        return (words, once);
    }
    let Some(last) = number(n - 2) else { return (words, once) };
    let head = |end: usize| words.get(..end).unwrap_or_default();
    // «for 5 cycles», «within 5 cycles»
    if n >= 3 && is(n - 3, &["for"]) {
        return (head(n - 3), Count { times: last, of: None });
    }
    if n >= 5 && is(n - 3, &["within"]) && is(n - 4, &["times", "time"]) {
        let start = if n >= 6 && is(n - 6, &["for"]) { n - 6 } else { n - 5 };
        let times = number(n - 5).unwrap_or(1);
        return (head(start), Count { times, of: Some(last.max(times)) });
    }
    if n >= 3 && is(n - 3, &["within"]) {
        return (head(n - 3), Count { times: 1, of: Some(last) });
    }
    (head(n - 2), Count { times: last, of: None })
}

/// Makes cycles time.
pub fn often(mut verdict: Verdict, count: Count, cycle: i64) -> Result<Verdict, Lost> {
    if let Some(more) = verdict.more.take() {
        verdict.more = Some(Box::new(often(*more, count, cycle)?));
    }
    // A check is asked once a cycle, and its last word holds until the next: half a cycle more lets that one
    // speak, or one failure less than was said would do.
    let asked = if verdict.class == Some(Class::Check) && count.times > 1 { cycle / 2 } else { 0 };
    let as_long = (count.times - 1).saturating_mul(cycle).saturating_add(asked);
    let Some(of) = count.of.filter(|of| *of > 1) else {
        verdict.for_ = as_long;
        return Ok(verdict);
    };
    if verdict.raise.to_string().contains('(') {
        verdict.differs.push("so many times of so many cycles there; here it must hold for as long");
        verdict.for_ = as_long;
        return Ok(verdict);
    }
    let window = say::span(of.saturating_mul(cycle));
    let share = literal((count.times as f64 / of as f64 * 1000.0).floor() / 1000.0, say::RATIO);
    verdict.raise =
        say::cond(&format!("frac({}, {window}) >= {share}", verdict.raise)).map_err(|_| STRANGE)?;
    Ok(verdict)
}

/// A process or mount that is away.
pub fn missing(service: &Service) -> Result<Verdict, Lost> {
    match service.kind {
        Kind::Process => {
            Verdict::new("not-running", "NAME is not running", "proc.count < 1", Severity::Critical)
        }
        Kind::Filesystem => {
            let mut verdict =
                Verdict::new("missing", "NAME hangs or is not mounted", "fs.hung", Severity::Critical)?;
            if service.subject.starts_with("/dev/") {
                let why = "that it is not mounted is seen of a path, not of a device: `match` on the mount with `nodata_after`";
                verdict.differs.push(why);
            } else {
                verdict.nodata_after = Some("2m");
                let told = "that the mount is away is told by the companion of this rule (nodata_after)";
                verdict.remarks.push(told);
            }
            Ok(verdict)
        }
        _ => Err(Lost {
            why: "nothing here sees whether it exists",
            instead: "a plugin rule with check_file_age or the like",
        }),
    }
}

/// A condition without its count.
pub fn read(service: &Service, words: &[Word]) -> Result<Verdict, Lost> {
    let plain: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
    let has = |word: &str| plain.contains(&word);
    if has("exist") || has("exists") || (has("not") && has("running")) {
        return if has("not") {
            missing(service)
        } else {
            Err(Lost { why: "that something exists is no breach here", instead: "" })
        };
    }
    match (service.kind, plain.first().copied()) {
        (Kind::Program, Some("status")) => return program(words),
        (Kind::Network, Some("link")) if has("down") => {
            return Verdict::new("link", "NAME has lost its link", "not net.up", Severity::Critical);
        }
        (_, Some("changed")) => {
            let instead = match service.kind {
                Kind::Process => "proc.age < 5m: it was started a moment ago",
                Kind::Filesystem => "the built-in rule fs-readonly sees a mount become read-only",
                _ => "a plugin rule",
            };
            return Err(Lost { why: "that something has changed is no condition here", instead });
        }
        (Kind::Other, _) => {
            return Err(Lost {
                why: "files and directories have no signal in this version",
                instead: "a plugin rule with check_file_age or check_log",
            });
        }
        _ => {}
    }
    let Some(limit) = limit(words) else { return Err(STRANGE) };
    match service.kind {
        Kind::System => system(&limit),
        Kind::Process => process(&limit),
        Kind::Filesystem => filesystem(&limit),
        Kind::Network => network(&limit),
        _ => Err(STRANGE),
    }
}

/// `resource op number unit`.
struct Limit {
    resource: String,
    op: &'static str,
    value: f64,
    unit: String,
    rest: String,
}

impl Limit {
    /// In our words, of this type.
    fn of(&self, ty: Type) -> Option<String> {
        let scale = match (ty.base, self.unit.as_str()) {
            (Base::Ratio, "%" | "percent") => 0.01,
            (Base::Bytes, unit) => match unit.trim_end_matches("/s") {
                "" | "b" | "byte" | "bytes" => 1.0,
                "kb" | "kilobyte" | "kilobytes" => 1024.0,
                "mb" | "megabyte" | "megabytes" => 1_048_576.0,
                "gb" | "gigabyte" | "gigabytes" => 1_073_741_824.0,
                "tb" | "terabyte" | "terabytes" => 1_099_511_627_776.0,
                _ => return None,
            },
            (Base::Seconds, unit) => match unit {
                "" | "s" | "second" | "seconds" => 1.0,
                "ms" | "millisecond" | "milliseconds" => 0.001,
                "m" | "minute" | "minutes" => 60.0,
                "h" | "hour" | "hours" => 3600.0,
                "d" | "day" | "days" => 86_400.0,
                _ => return None,
            },
            (Base::Number, "") => 1.0,
            _ => return None,
        };
        Some(literal(self.value * scale, ty))
    }

    fn is_share(&self) -> bool {
        self.unit == "%" || self.unit == "percent"
    }

    /// `signal op limit`.
    fn says(&self, signal: &str, ty: Type) -> Result<String, Lost> {
        let limit = self.of(ty).ok_or(STRANGE)?;
        Ok(format!("{signal} {} {limit}", self.op))
    }
}

fn limit(words: &[Word]) -> Option<Limit> {
    let at = words.iter().position(|w| !w.is_quoted && operator(&w.text).is_some())?;
    let op = operator(&words[at].text)?;
    let noise = ["is", "the", "than", "usage", "using", "total", "of"];
    let resource: Vec<_> =
        words[..at].iter().map(|w| w.text.as_str()).filter(|w| !noise.contains(w)).collect();
    let after: Vec<&str> =
        words[at + 1..].iter().map(|w| w.text.as_str()).filter(|w| !["than", "to"].contains(w)).collect();
    let first = after.first()?;
    let digits = first.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(first.len());
    let value = first[..digits].parse().ok()?;
    let (unit, used) = match &first[digits..] {
        "" => match after.get(1) {
            Some(unit) if *unit != "in" => ((*unit).to_owned(), 2),
            _ => (String::new(), 1),
        },
        unit => (unit.to_owned(), 1),
    };
    let rest = after.get(used..).unwrap_or_default().join(" ");
    Some(Limit { resource: resource.join(" "), op, value, unit, rest })
}

fn operator(word: &str) -> Option<&'static str> {
    Some(match word {
        ">" | "gt" | "greater" | "more" => ">",
        "<" | "lt" | "less" => "<",
        ">=" | "ge" => ">=",
        "<=" | "le" => "<=",
        "=" | "==" | "eq" | "equal" => "==",
        "!=" | "<>" | "ne" | "notequal" => "!=",
        _ => return None,
    })
}

const BYTES: Type = Type::of(Base::Bytes);
const BYTES_PER_SECOND: Type = Type::per_second(Base::Bytes);

fn warning(id: &str, title: &str, raise: &str) -> Result<Verdict, Lost> {
    Verdict::new(id, title, raise, Severity::Warning)
}

fn system(l: &Limit) -> Result<Verdict, Lost> {
    let resource = l.resource.as_str();
    if let Some(rest) = resource.strip_prefix("loadavg") {
        let minutes = ["15", "5", "1"].into_iter().find(|m| rest.contains(&format!("{m}min"))).unwrap_or("1");
        let limit = l.of(say::NUMBER).ok_or(STRANGE)?;
        let limit = if rest.contains("core") { format!("{limit} * cpu.count") } else { limit };
        let signal = format!("load.avg{minutes}");
        return warning(
            &format!("load{minutes}"),
            &format!("load {{{signal}}}"),
            &format!("{signal} {} {limit}", l.op),
        );
    }
    let (id, title, raise) = match resource {
        "cpu" => ("cpu", "CPU {cpu.busy} busy", l.says("cpu.busy + cpu.iowait", say::RATIO)?),
        "cpu user" => ("cpu-user", "CPU {cpu.user} in programs", l.says("cpu.user", say::RATIO)?),
        "cpu system" => ("cpu-system", "CPU {cpu.system} in the kernel", l.says("cpu.system", say::RATIO)?),
        "cpu wait" => ("cpu-wait", "CPU {cpu.iowait} waits for disks", l.says("cpu.iowait", say::RATIO)?),
        "cpu steal" => ("cpu-steal", "the hypervisor takes {cpu.steal}", l.says("cpu.steal", say::RATIO)?),
        "memory" | "mem" if l.is_share() => {
            ("memory", "memory {mem.used} used", l.says("mem.used", say::RATIO)?)
        }
        "memory" | "mem" => ("memory", "memory {mem.used} used", l.says("mem.total - mem.available", BYTES)?),
        "swap" if l.is_share() => {
            ("swap", "swap: {swap.free} free", l.says("(swap.total - swap.free) / swap.total", say::RATIO)?)
        }
        "swap" => ("swap", "swap: {swap.free} free", l.says("swap.total - swap.free", BYTES)?),
        "uptime" => ("uptime", "up for {host.uptime}", l.says("host.uptime", say::SECONDS)?),
        "filedescriptors" if l.is_share() => {
            ("files", "{fd.used} of all file handles in use", l.says("fd.used", say::RATIO)?)
        }
        "filedescriptors" => {
            return Err(Lost { why: "open files have a signal only as share", instead: "fd.used > 80%" });
        }
        _ => return Err(STRANGE),
    };
    warning(id, title, &raise)
}

fn process(l: &Limit) -> Result<Verdict, Lost> {
    let resource = l.resource.as_str();
    let (id, title, raise) = match resource {
        "cpu" | "totalcpu" => {
            ("cpu", "NAME uses {proc.cpu} of a CPU", l.says("proc.cpu / cpu.count", say::RATIO)?)
        }
        "memory" | "mem" | "totalmemory" | "totalmem" if l.is_share() => {
            ("memory", "NAME uses {proc.rss}", l.says("proc.rss / mem.total", say::RATIO)?)
        }
        "memory" | "mem" | "totalmemory" | "totalmem" => {
            ("memory", "NAME uses {proc.rss}", l.says("proc.rss", BYTES)?)
        }
        "uptime" => ("uptime", "NAME runs for {proc.age}", l.says("proc.age", say::SECONDS)?),
        "children" => {
            return Err(Lost {
                why: "children of a process have no signal",
                instead: "proc.count: live processes of that name",
            });
        }
        "threads" => return Err(Lost { why: "threads have no signal", instead: "a plugin rule" }),
        _ => return Err(STRANGE),
    };
    warning(id, title, &raise)
}

fn filesystem(l: &Limit) -> Result<Verdict, Lost> {
    let (id, title, raise) = match l.resource.as_str() {
        "space" if l.is_share() => ("space", "{mount} is {fs.used} full", l.says("fs.used", say::RATIO)?),
        "space" => ("space", "{mount} is {fs.used} full", l.says("fs.size - fs.avail", BYTES)?),
        "space free" if l.is_share() => {
            ("space", "{mount} is {fs.used} full", l.says("100% - fs.used", say::RATIO)?)
        }
        "space free" => ("space", "{mount} has {fs.avail} left", l.says("fs.avail", BYTES)?),
        "inode" | "inodes" if l.is_share() => (
            "inodes",
            "{mount} has {fs.inodes_used} of its inodes in use",
            l.says("fs.inodes_used", say::RATIO)?,
        ),
        "inode free" | "inodes free" if l.is_share() => (
            "inodes",
            "{mount} has {fs.inodes_used} of its inodes in use",
            l.says("100% - fs.inodes_used", say::RATIO)?,
        ),
        "inode" | "inodes" | "inode free" | "inodes free" => {
            return Err(Lost { why: "inodes have a signal only as share", instead: "fs.inodes_used > 90%" });
        }
        "read" | "write" | "read rate" | "write rate" | "service time" => {
            return Err(Lost {
                why: "traffic is of a disk, not of a mount",
                instead: "a rule on disk: disk.read, disk.write, disk.latency",
            });
        }
        _ => return Err(STRANGE),
    };
    let mut verdict = warning(id, title, &raise)?;
    // `100% - x < 20%` is `x > 80%`.
    if let Some(rest) = raise.strip_prefix("100% - ")
        && let Some((signal, op, _)) =
            rest.split_once(' ').and_then(|(s, r)| r.split_once(' ').map(|(o, l)| (s, o, l)))
    {
        let turned = match op {
            "<" => ">",
            "<=" => ">=",
            ">" => "<",
            ">=" => "<=",
            op => op,
        };
        let limit = literal(1.0 - l.value / 100.0, say::RATIO);
        verdict.raise = say::cond(&format!("{signal} {turned} {limit}")).map_err(|_| STRANGE)?;
    }
    Ok(verdict)
}

fn network(l: &Limit) -> Result<Verdict, Lost> {
    let signal = match l.resource.split(' ').find(|w| ["upload", "download", "saturation"].contains(w)) {
        Some("upload") => "net.tx",
        Some("download") => "net.rx",
        Some(_) => {
            return Err(Lost {
                why: "the speed of an interface has no signal",
                instead: "write it as a number: net.rx > 100MB/s",
            });
        }
        None => return Err(STRANGE),
    };
    if l.unit.contains("packet") {
        return Err(Lost { why: "packets have no signal", instead: "net.rx and net.tx in bytes" });
    }
    let id = if signal == "net.tx" { "upload" } else { "download" };
    let title = format!("NAME: {{{signal}}}");
    let window = match l.rest.strip_prefix("in last ").or_else(|| l.rest.strip_prefix("last ")) {
        Some("minute") => Some("1m"),
        Some("hour") => Some("1h"),
        Some("day") => Some("1d"),
        Some(_) => return Err(STRANGE),
        None => None,
    };
    match window {
        None => warning(id, &title, &l.says(signal, BYTES_PER_SECOND)?),
        Some(w) => warning(id, &title, &l.says(&format!("avg({signal}, {w}) * {w}"), BYTES)?),
    }
}

/// `if status != 0`.
fn program(words: &[Word]) -> Result<Verdict, Lost> {
    let l = limit(words).ok_or(STRANGE)?;
    let raise = l.says("plugin.status", say::NUMBER)?;
    let mut verdict = Verdict::new("status", "NAME ends with {plugin.status}", &raise, Severity::Warning)?;
    verdict
        .differs
        .push("plugins are not run in this version: the rule waits for them; exit codes are 0 to 2 then");
    Ok(verdict)
}
