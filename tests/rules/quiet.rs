//! A quiet machine stays quiet: a day of idle values of every signal there is.

use std::sync::Arc;

use sexton::engine::core::Engine;
use sexton::engine::effect::Step;
use sexton::engine::moment::{DAY, Moment, SECOND};
use sexton::engine::signal::{Class, Instance, Metric, Observation, SIGNALS, Value};

use super::{START, built_in};

/// Signals of one instance. A number is a middle and how far values stray from it; a text is constant.
type Row = (Class, &'static [(&'static str, &'static str)], bool, &'static [(&'static str, Idle)]);

enum Idle {
    Around(f64, f64),
    Grows(f64),
    Is(bool),
    Says(&'static str),
}
use Idle::{Around, Grows, Is, Says};

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const OK: &[(&str, Idle)] = &[("sexton.ok", Is(true)), ("sexton.age", Around(5.0, 5.0))];

/// A small web server at night: class, labels, told, signals.
#[rustfmt::skip]
const MACHINE: &[Row] = &[
    (Class::Host, &[], false, &[
        ("cpu.busy", Around(0.08, 0.07)), ("cpu.user", Around(0.05, 0.04)), ("cpu.system", Around(0.03, 0.02)),
        ("cpu.iowait", Around(0.01, 0.01)), ("cpu.steal", Around(0.005, 0.005)), ("cpu.count", Around(4.0, 0.0)),
        ("load.avg1", Around(0.5, 0.5)), ("load.avg5", Around(0.4, 0.3)), ("load.avg15", Around(0.4, 0.1)),
        ("mem.total", Around(8.0 * GIB, 0.0)), ("mem.available", Around(5.0 * GIB, 0.2 * GIB)),
        ("mem.used", Around(0.38, 0.03)), ("swap.total", Around(2.0 * GIB, 0.0)), ("swap.free", Around(1.5 * GIB, 0.0)),
        ("swap.in", Around(2048.0, 2048.0)), ("swap.out", Around(0.0, 0.0)),
        ("psi.cpu.some", Around(0.02, 0.02)), ("psi.mem.some", Around(0.001, 0.001)),
        ("psi.mem.full", Around(0.0, 0.0)), ("psi.io.some", Around(0.02, 0.02)), ("psi.io.full", Around(0.01, 0.01)),
        ("mem.major_faults", Around(3.0, 3.0)), ("fd.used", Around(0.001, 0.001)), ("pid.used", Around(0.01, 0.01)),
        ("conntrack.used", Around(0.05, 0.05)), ("host.reboot_required", Is(false)),
        ("host.uptime", Grows(1.0)), ("kernel.oom_kills", Around(2.0, 0.0)),
    ]),
    (Class::Cpu, &[("cpu", "0")], false, &[("core.busy", Around(0.08, 0.08))]),
    (Class::Fs, &[("mount", "/"), ("fstype", "ext4"), ("device", "/dev/vda1")], false, &[
        ("fs.size", Around(40.0 * GIB, 0.0)), ("fs.avail", Around(18.0 * GIB, 0.01 * GIB)),
        ("fs.used", Around(0.52, 0.001)), ("fs.inodes_used", Around(0.11, 0.001)),
        ("fs.readonly", Is(false)), ("fs.hung", Is(false)),
    ]),
    // Full for a year, and nearly still.
    (Class::Fs, &[("mount", "/archive"), ("fstype", "xfs"), ("device", "/dev/vdb1")], false, &[
        ("fs.size", Around(900.0 * GIB, 0.0)), ("fs.avail", Around(72.0 * GIB, 0.0)),
        ("fs.used", Around(0.92, 0.0001)), ("fs.inodes_used", Around(0.01, 0.0)),
        ("fs.readonly", Is(false)), ("fs.hung", Is(false)),
    ]),
    // An image: full and read-only by nature.
    (Class::Fs, &[("mount", "/mnt/image"), ("fstype", "iso9660"), ("device", "/dev/loop1")], false, &[
        ("fs.used", Around(1.0, 0.0)), ("fs.avail", Around(0.0, 0.0)), ("fs.readonly", Is(true)), ("fs.hung", Is(false)),
    ]),
    (Class::Disk, &[("disk", "vda")], false, &[
        ("disk.read", Around(1e4, 1e4)), ("disk.write", Around(2e5, 2e5)), ("disk.latency", Around(0.004, 0.003)),
        ("disk.busy", Around(0.03, 0.03)), ("disk.queue", Around(0.1, 0.1)),
    ]),
    (Class::Net, &[("iface", "eth0")], false, &[
        ("net.rx", Around(3e4, 3e4)), ("net.tx", Around(5e4, 5e4)), ("net.errors", Around(0.0, 0.0)),
        ("net.drops", Around(0.5, 0.5)), ("net.up", Is(true)),
    ]),
    // A socket without a cable.
    (Class::Net, &[("iface", "eth1")], false, &[
        ("net.rx", Around(0.0, 0.0)), ("net.tx", Around(0.0, 0.0)), ("net.errors", Around(0.0, 0.0)),
        ("net.drops", Around(0.0, 0.0)), ("net.up", Is(false)),
    ]),
    (Class::Unit, &[("unit", "nginx.service")], true, &[
        ("unit.state", Says("active")), ("unit.active", Is(true)), ("unit.restarts", Around(3.0, 0.0)),
        ("unit.age", Around(9e5, 0.0)),
    ]),
    (Class::Unit, &[("unit", "logrotate.service")], true, &[
        ("unit.state", Says("inactive")), ("unit.active", Is(false)), ("unit.restarts", Around(0.0, 0.0)),
        ("unit.age", Around(9e5, 0.0)),
    ]),
    (Class::Proc, &[("name", "sshd")], false, &[
        ("proc.count", Around(1.0, 0.0)), ("proc.cpu", Around(0.001, 0.001)), ("proc.rss", Around(9e6, 1e5)),
        ("proc.age", Grows(1.0)),
    ]),
    (Class::Check, &[("check", "front"), ("kind", "http")], false, &[
        ("check.up", Is(true)), ("check.latency", Around(0.08, 0.05)), ("check.cert_left", Around(5e6, 0.0)),
    ]),
    (Class::Sexton, &[("part", "collector"), ("name", "cpu")], false, OK),
    (Class::Sexton, &[("part", "destination"), ("name", "rt")], false, OK),
    (Class::Sexton, &[("part", "store"), ("name", "state")], false, OK),
    (Class::Sexton, &[("part", "clock"), ("name", "wall")], false, OK),
    (Class::Sexton, &[("part", "config"), ("name", "/etc/sexton")], true, OK),
    (Class::Sexton, &[("part", "outbox"), ("name", "bytes")], false, &[("sexton.used", Around(0.01, 0.01))]),
];

/// Between -1 and 1, the same in every run.
fn stray(i: usize, tick: i64) -> f64 {
    let mut x = (tick as u64 ^ (i as u64) << 40).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

#[test]
fn the_machine_has_every_signal() {
    // Nothing collects these yet: what is written about them is for series that come from elsewhere.
    let uncollected = [Class::Plugin, Class::Log, Class::Beat, Class::Slo];
    for signal in SIGNALS.iter().filter(|signal| !uncollected.contains(&signal.class)) {
        let given = MACHINE.iter().flat_map(|row| row.3).any(|(name, _)| *name == signal.name);
        assert!(given, "the quiet machine lacks {}", signal.name);
    }
}

#[test]
fn a_quiet_machine_stays_quiet_for_a_day() {
    const INTERVAL: i64 = 10 * SECOND;
    let mut engine = Engine::new(Arc::clone(&built_in().plan), 1);
    let mut step = Step::default();
    engine.incidents.journal(START, "boot", "sexton", "{}".to_owned(), &mut step);
    let boot = step.journal.len();
    step.state.clear();
    let instances: Vec<_> = MACHINE.iter().map(|row| Instance::of(row.0, row.1)).collect();
    for tick in 0..=DAY / INTERVAL {
        let now = START.plus(tick * INTERVAL);
        while let Some(due) = engine.poll_timeout().filter(|due| *due <= now.mono) {
            engine.handle_timeout(Moment::at(due), &mut step);
        }
        let rows = MACHINE.iter().zip(&instances).filter(|(row, _)| tick == 0 || !row.2);
        let seen = |(i, (row, instance)): (usize, (&Row, &Arc<Instance>))| {
            let interval = if row.2 { 0 } else { INTERVAL };
            let mut seen = Observation::new(now, Arc::clone(instance), interval);
            for (name, idle) in row.3 {
                let metric = Metric::find(name).expect("a signal of the catalogue");
                seen.samples.push((metric, Some(value(idle, i, tick))));
            }
            seen
        };
        let batch: Vec<_> = rows.enumerate().map(seen).collect();
        engine.observe(now, &batch, &mut step);
    }
    let journal: Vec<_> = step.journal.iter().skip(boot).map(|e| (e.kind, &e.body)).collect();
    assert!(journal.is_empty(), "{journal:?}");
    assert!(step.state.is_empty(), "{:?}", step.state);
    assert!(step.records.is_empty() && step.evidence_wanted.is_empty());
    let unknown =
        engine.rules.standing().into_iter().filter(|s| s.state != sexton::engine::rules::Health::Ok);
    assert_eq!(
        unknown.map(|s| format!("{} {} {:?}", s.rule, s.instance, s.state)).collect::<Vec<_>>(),
        [""; 0]
    );
}

fn value(idle: &Idle, i: usize, tick: i64) -> Value {
    match idle {
        Around(middle, far) => Value::Num(middle + far * stray(i, tick)),
        Grows(by) => Value::Num(1000.0 + by * 10.0 * tick as f64),
        Is(truth) => Value::Bool(*truth),
        Says(text) => Value::from(*text),
    }
}
