//! Network interfaces: traffic, errors and drops from `/proc/net/dev`, and whether they are up.
//!
//! `operstate` "unknown" means that the driver does not say (tunnels, some virtual cards) and that the
//! interface is to be taken as up when it is administratively up (kernel:
//! Documentation/networking/operstates.rst).

use std::collections::BTreeMap;

use super::reading::{HotFile, Names, elapsed, growth, sample};
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::{DoorSpec, Globs, OptionKind, OptionSpec};
use crate::engine::signal::{Class, Metric, Observation, Value, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "net",
        about: "network interfaces",
        options: &[OptionSpec {
            key: "interfaces",
            kind: OptionKind::List(&["*", "!lo", "!veth*", "!docker*", "!br-*", "!ifb*", "!dummy*"]),
            about: "globs on the interface name; ! excludes, the last that matches decides",
        }],
        signals: &["net.rx", "net.tx", "net.errors", "net.drops", "net.up"],
        check: crate::engine::option::any,
    },
    build: |plan, _| {
        Ok(Source::Poll(Box::new(Net {
            file: HotFile::new("/proc/net/dev"),
            wanted: Globs(plan.options.list("interfaces").to_vec()),
            states: BTreeMap::new(),
            names: Names::new(Class::Net),
            before: None,
        })))
    },
};

const RX: Metric = metric("net.rx");
const TX: Metric = metric("net.tx");
const ERRORS: Metric = metric("net.errors");
const DROPS: Metric = metric("net.drops");
const UP: Metric = metric("net.up");
/// The flag IFF_UP of `/sys/class/net/*/flags`.
const FLAG_UP: u32 = 1;

struct Net {
    file: HotFile,
    wanted: Globs,
    states: BTreeMap<String, HotFile>,
    names: Names,
    before: Option<(Moment, Raw)>,
}

impl Poll for Net {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        let mut raw = parse(self.file.text()?, &self.wanted);
        self.states.retain(|name, _| raw.contains_key(name));
        for (name, counters) in &mut raw {
            let open = || HotFile::new(format!("/sys/class/net/{name}/operstate"));
            let state = self.states.entry(name.clone()).or_insert_with(open);
            counters.up = state.read().ok().and_then(|state| is_up(state, || flags(name)));
        }
        signals(self.before.as_ref(), &raw, now, &mut self.names, out);
        self.before = Some((now, raw));
        Ok(())
    }
}

/// Counters of one interface since it was made, and whether it is up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    rx: u64,
    tx: u64,
    errors: u64,
    drops: u64,
    up: Option<bool>,
}

type Raw = BTreeMap<String, Counters>;

/// The interfaces that are wanted. The two heading lines and lines that do not hold 16 numbers are left out.
fn parse(text: &str, wanted: &Globs) -> Raw {
    let mut raw = Raw::new();
    for line in text.lines() {
        // Old kernels print no space after the colon.
        let Some((name, numbers)) = line.rsplit_once(':') else { continue };
        let name = name.trim();
        let mut field = [0_u64; 16];
        let mut words = numbers.split_ascii_whitespace();
        let whole = field
            .iter_mut()
            .all(|slot| words.next().and_then(|w| w.parse().ok()).map(|v| *slot = v).is_some());
        if whole && wanted.accepts(name) {
            let counters = Counters {
                rx: field[0],
                tx: field[8],
                errors: field[2].saturating_add(field[10]),
                drops: field[3].saturating_add(field[11]),
                up: None,
            };
            raw.insert(name.to_owned(), counters);
        }
    }
    raw
}

fn is_up(operstate: &str, flags: impl FnOnce() -> Option<u32>) -> Option<bool> {
    match operstate.trim() {
        "up" => Some(true),
        "unknown" => flags().map(|flags| flags & FLAG_UP != 0),
        "" => None,
        _ => Some(false),
    }
}

fn flags(name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/flags")).ok()?;
    u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

fn signals(
    before: Option<&(Moment, Raw)>,
    raw: &Raw,
    now: Moment,
    names: &mut Names,
    out: &mut Vec<Observation>,
) {
    for (name, counters) in raw {
        let earlier = before.and_then(|(at, raw)| raw.get(name).zip(elapsed(*at, now)));
        let per_second = |field: fn(&Counters) -> u64| {
            let (before, seconds) = earlier?;
            Some(growth(field(before), field(counters))? as f64 / seconds)
        };
        let mut seen = Observation::new(now, names.get(name), 0);
        sample(&mut seen, RX, per_second(|c| c.rx));
        sample(&mut seen, TX, per_second(|c| c.tx));
        sample(&mut seen, ERRORS, per_second(|c| c.errors));
        sample(&mut seen, DROPS, per_second(|c| c.drops));
        seen.samples.push((UP, counters.up.map(Value::Bool)));
        out.push(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::{ratio_of, values};
    use crate::engine::moment::SECOND;

    const HEAD: &str = "Inter-|   Receive                      |  Transmit\n face |bytes packets errs drop\n";

    fn wanted() -> Globs {
        Globs(["*", "!lo", "!veth*"].map(str::to_owned).to_vec())
    }

    fn text(eth0_rx: u64) -> String {
        format!(
            "{HEAD}    lo:    3193      29    0    0    0     0     0     0  3193   29   0   0   0   0   0   0\n\
             \x20 eth0:{eth0_rx}   10491    1    2    0     0     0     0  604382 6797 3   4   0   0   0   0\n\
             vethab: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n short: 1 2 3\n\
             wlan0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 x\n"
        )
    }

    #[test]
    fn traffic_errors_and_drops_are_per_second() {
        let before = (Moment::at(0), parse(&text(1000), &wanted()));
        assert_eq!(before.1.keys().collect::<Vec<_>>(), ["eth0"]);
        let mut after = parse(&text(11_000), &wanted());
        after.get_mut("eth0").unwrap().errors += 5;
        let mut out = Vec::new();
        signals(Some(&before), &after, Moment::at(10 * SECOND), &mut Names::new(Class::Net), &mut out);
        assert_eq!(ratio_of(&out, "net{iface=eth0}", RX), 1000.0);
        assert_eq!(ratio_of(&out, "net{iface=eth0}", TX), 0.0);
        assert_eq!(ratio_of(&out, "net{iface=eth0}", ERRORS), 0.5);
        assert_eq!(ratio_of(&out, "net{iface=eth0}", DROPS), 0.0);
    }

    #[test]
    fn a_counter_that_went_back_has_no_rate_and_a_new_interface_none_yet() {
        let before = (Moment::at(0), parse(&text(5000), &wanted()));
        let after = parse(&format!("{} eth9: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n", text(10)), &wanted());
        let mut out = Vec::new();
        signals(Some(&before), &after, Moment::at(SECOND), &mut Names::new(Class::Net), &mut out);
        assert_eq!(values(&out, "net{iface=eth0}", RX), [None]);
        assert_eq!(values(&out, "net{iface=eth0}", TX), [Some(0.0)]);
        assert_eq!(values(&out, "net{iface=eth9}", RX), [None]);
    }

    #[test]
    fn up_is_what_the_kernel_calls_operational() {
        for (state, flags, up) in [
            ("up\n", None, Some(true)),
            ("down\n", None, Some(false)),
            ("lowerlayerdown", None, Some(false)),
            ("dormant", None, Some(false)),
            ("unknown\n", Some(0x1043), Some(true)),
            ("unknown\n", Some(0x1002), Some(false)),
            ("unknown\n", None, None),
            ("", None, None),
        ] {
            assert_eq!(is_up(state, || flags), up, "{state:?}");
        }
    }
}
