//! What a seed makes of a world: its configuration, its destinations, its faults, and what happens when.

use std::collections::VecDeque;
use std::sync::OnceLock;

use sexton::config::{self, Config, HostFacts};
use sexton::engine::moment::{DAY, HOUR, MINUTE, SECOND};

use crate::random::Random;

/// Id of the host.
pub const HOST: &str = "0123456789abcdef";

/// Things that are watched, each with the rule that watches it and no other.
pub const SUBJECTS: usize = 4;

/// The rules of every world; what a configuration leaves out or changes stands in [`configs`].
const RULES: &str = r#"
[host]
name = "web-01"
id = "0123456789abcdef"
[correlate]
failure_gap = "1m"
flap_half_life = "5m"
[[override]]
rule = ["*", "!w-*"]
set = { enabled = false }
[[rule]]
id = "w-down"
on = "check"
severity = "critical"
impact = 1
urgency = 1
raise = "not check.up"
clear = "check.up"
for = "0s"
keep = "0s"
"#;

const SLOW: &str = r#"
[[rule]]
id = "w-slow"
on = "check"
raise = "check.latency > 2s"
clear = "check.latency < 1s"
for = "30s"
keep = "1m"
reopen = "10m"
"#;

const FULL: &str = r#"
[[rule]]
id = "w-full"
on = "fs"
nature = "capacity"
impact = 2
for = "10s"
keep = "30s"
reopen = "30m"
step = [
  { severity = "warning", urgency = 3, raise = "fs.used > 80%", clear = "fs.used < 70%" },
  { severity = "critical", urgency = 2, raise = "fs.used > 95%", clear = "fs.used < 90%" },
]
"#;

/// What stands at the far end of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Desk,
    Rt,
}

impl Kind {
    /// Id and kind of the destination.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Desk => "desk",
            Kind::Rt => "rt",
        }
    }
}

/// What happens in a world beside the weather of its networks.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A subject takes a level: 0 is well, 1 and 2 are not.
    Turn { subject: usize, level: u8 },
    /// Another configuration is read.
    Reload(usize),
    /// The wall clock is set.
    Step(i64),
    /// The host sleeps.
    Suspend(i64),
    /// The disk is full, or has room again.
    Full(bool),
    /// The daemon dies.
    Crash,
    /// The daemon is stopped and started as it should be.
    Restart,
    /// The store's directory is lost while the daemon is away.
    Lose,
    /// A person works on the host: acknowledges, resolves, writes.
    Operate,
    /// A person works at a desk behind our back.
    Meddle,
}

impl Act {
    /// What it is counted as.
    pub fn name(&self) -> &'static str {
        match self {
            Act::Turn { .. } => "turn",
            Act::Reload(_) => "reload",
            Act::Step(by) if *by < 0 => "wall clock back",
            Act::Step(_) => "wall clock forward",
            Act::Suspend(_) => "suspension",
            Act::Full(true) => "full disk",
            Act::Full(false) => "room on the disk",
            Act::Crash => "crash at a moment",
            Act::Restart => "restart",
            Act::Lose => "lost store",
            Act::Operate => "operator at the host",
            Act::Meddle => "person at the desk",
        }
    }
}

/// A world before it begins.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Destinations.
    pub kinds: Vec<Kind>,
    /// What happens when, in nanoseconds since the beginning.
    pub script: VecDeque<(i64, Act)>,
    /// When the last fault ends.
    pub calm: i64,
    /// How many requests in a hundred meet a fault while the weather is bad.
    pub storm: u64,
    /// How often the daemon may die of its fuse.
    pub crashes: u64,
    /// Most steps of one life while it may die.
    pub fuse: u64,
    /// Of a hundred crashes so many tear the store's files.
    pub torn: u64,
    /// Largest size of the outbox in bytes.
    pub outbox_limit: u64,
}

impl Shape {
    /// The world of that seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::stream(seed, "shape");
        let kinds = random.weighted::<&[Kind]>(&[
            (35, &[Kind::Desk]),
            (40, &[Kind::Rt]),
            (25, &[Kind::Desk, Kind::Rt]),
        ]);
        let calm = random.within(HOUR, 6 * HOUR);
        let mut script = Vec::new();
        turns(&mut random, calm, &mut script);
        for (percent, most, act) in ACTS {
            if random.chance(*percent) {
                for _ in 0..=random.below(*most) {
                    act(&mut random, calm, &mut script);
                }
            }
        }
        quiet(&mut Random::stream(seed, "quiet"), calm, &mut script);
        // A stable sort: what was thrown first comes first at the same moment.
        script.sort_by_key(|(at, _)| *at);
        Self {
            kinds: kinds.to_vec(),
            script: script.into(),
            calm,
            storm: *random.pick(&[0, 10, 30, 60, 95]),
            crashes: random.below(5),
            fuse: *random.pick(&[20, 60, 200]),
            torn: *random.pick(&[0, 30, 100]),
            outbox_limit: if random.chance(10) {
                random.within(6_000, 60_000).unsigned_abs()
            } else {
                1 << 30
            },
        }
    }
}

type Plan = fn(&mut Random, i64, &mut Vec<(i64, Act)>);

/// In how many of a hundred worlds, how often at most, what.
const ACTS: &[(u64, u64, Plan)] = &[
    (30, 3, |random, calm, script| {
        script.push((random.within(0, calm), Act::Reload(random.below(FIRST_QUIET as u64) as usize)));
    }),
    (25, 4, |random, calm, script| {
        let far = *random.pick(&[MINUTE, HOUR, 10 * HOUR, 3 * DAY]);
        script.push((random.within(0, calm), Act::Step(random.within(-far, far))));
    }),
    (15, 2, |random, calm, script| {
        let long = *random.pick(&[10 * SECOND, 10 * MINUTE, 5 * HOUR]);
        script.push((random.within(0, calm), Act::Suspend(random.within(0, long))));
    }),
    (20, 2, |random, calm, script| {
        let from = random.within(0, calm);
        let long = *random.pick(&[SECOND, MINUTE, 10 * MINUTE]);
        let to = (from + random.within(0, long)).min(calm);
        script.extend([(from, Act::Full(true)), (to, Act::Full(false))]);
    }),
    (20, 2, |random, calm, script| script.push((random.within(0, calm), Act::Crash))),
    (20, 2, |random, calm, script| script.push((random.within(0, calm), Act::Restart))),
    (3, 1, |random, calm, script| script.push((random.within(calm / 4, calm), Act::Lose))),
    (30, 6, |random, calm, script| script.push((random.within(0, calm), Act::Operate))),
    (25, 4, |random, calm, script| script.push((random.within(0, calm), Act::Meddle))),
];

/// In a third of the worlds raises are kept from becoming incidents for a while, by each other or by windows.
fn quiet(random: &mut Random, calm: i64, script: &mut Vec<(i64, Act)>) {
    if !random.chance(33) {
        return;
    }
    for _ in 0..=random.below(3) {
        let variant = FIRST_QUIET + random.below((VARIANTS - FIRST_QUIET) as u64) as usize;
        // Often from the beginning on, so that a raise meets it.
        let from = if random.chance(50) { random.within(0, MINUTE) } else { random.within(0, calm) };
        script.push((from, Act::Reload(variant)));
        if random.chance(50) {
            script.push((random.within(from, calm), Act::Reload(0)));
        }
    }
}

/// Each subject has its episodes: some long, some quick after each other.
fn turns(random: &mut Random, calm: i64, script: &mut Vec<(i64, Act)>) {
    for subject in 0..SUBJECTS {
        let mut at = random.within(0, calm / 2);
        let hectic = random.chance(15);
        for _ in 0..random.below(5) {
            let scale = if hectic { MINUTE } else { calm / 4 };
            script.push((at, Act::Turn { subject, level: 1 + u8::from(random.chance(30)) }));
            at += random.within(SECOND, scale);
            if random.chance(20) {
                script.push((at, Act::Turn { subject, level: 1 + u8::from(random.chance(50)) }));
                at += random.within(SECOND, scale);
            }
            // Some last are still so in the end.
            if at >= calm && random.chance(50) {
                break;
            }
            script.push((at, Act::Turn { subject, level: 0 }));
            at += random.within(SECOND, scale);
        }
    }
    script.retain(|(at, _)| *at < calm);
}

/// Configurations a world may be given; it begins and ends with the first.
pub const VARIANTS: usize = 8;
/// From this one on raises may be kept.
const FIRST_QUIET: usize = 5;

/// Everything is a symptom of a check that is down, or of its own.
const SYMPTOMS: &str = r#"
[[rule]]
id = "w-slow"
on = "check"
raise = "check.latency > 2s"
clear = "check.latency < 1s"
for = "30s"
keep = "1m"
reopen = "10m"
depends = [{ rule = "w-down", same = ["check"] }]
suppresses = ["w-full"]
"#;

/// Every other hour, and a flexible one.
const WINDOWS: &str = r#"
[[window]]
id = "hours"
every = ["daily 00:00-01:00", "daily 02:00-03:00", "daily 04:30-07:00", "daily 08:00-16:00", "daily 20:00-02:30"]
tz = "Europe/Berlin"
match = { rule = ["*", "!w-slow"] }
change = "CHG0042"
[[window]]
id = "some-time"
every = "daily 00:00-24:00"
tz = "UTC"
duration = "10m"
match = { rule = ["w-slow"] }
"#;

/// The configuration of that number with these destinations.
pub fn config(kinds: &[Kind], variant: usize) -> &'static Config {
    static ALL: [OnceLock<Config>; 3 * VARIANTS] = [const { OnceLock::new() }; 3 * VARIANTS];
    let set = match kinds {
        [Kind::Desk] => 0,
        [Kind::Rt] => 1,
        _ => 2,
    };
    ALL[set * VARIANTS + variant].get_or_init(|| load(kinds, variant))
}

fn load(kinds: &[Kind], variant: usize) -> Config {
    let rules = match variant {
        1 => format!("{RULES}{FULL}"),
        2 => format!("{}{SLOW}{FULL}", RULES.replace("urgency = 1", "urgency = 2")),
        5 => format!("{RULES}{SYMPTOMS}{FULL}"),
        6 => format!("{RULES}{SLOW}{FULL}{WINDOWS}"),
        7 => format!("{RULES}{SYMPTOMS}{FULL}{WINDOWS}"),
        _ => format!("{RULES}{SLOW}{FULL}"),
    };
    let more = match variant {
        3 => "match = { priority = [\"P1\", \"P2\"] }\n",
        4 => "pace = \"12/m\"\n",
        _ => "",
    };
    let token = token();
    let destinations = kinds.iter().map(|kind| {
        let name = kind.name();
        let read = if *kind == Kind::Rt { "read_back = \"30m\"\n" } else { "" };
        format!(
            "[[destination]]\nid = \"{name}\"\nkind = \"{name}\"\nurl = \"http://{name}.invalid/REST/2.0\"\n\
             token = {{ file = \"{token}\" }}\ntimeout = \"10s\"\n{read}{more}"
        )
    });
    let text = rules + &destinations.collect::<String>();
    let facts = HostFacts { machine_id: "m".to_owned(), hostname: "web-01".to_owned() };
    config::load_texts(&[("sexton.toml", &text)], &sexton::cli::doors::doors(), &facts)
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)))
}

/// A file that holds the token of every destination.
fn token() -> String {
    static FILE: OnceLock<String> = OnceLock::new();
    let make = || {
        let path = std::env::temp_dir().join(format!("sexton-sim-token-{}", std::process::id()));
        std::fs::write(&path, "secret").expect("a file for the token");
        path.display().to_string()
    };
    FILE.get_or_init(make).clone()
}
