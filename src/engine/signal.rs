//! What enters the engine: signals of instances, and the catalogue that gives each signal its class, type and
//! kind.
//!
//! A signal name is interned as a [`Metric`], an index into [`SIGNALS`]; nothing on the hot path compares
//! strings. An [`Instance`] is one object of a class (a mount, a unit, a check) named by its identity labels.
//! "No data" is a reading of its own and never zero. This file must not know how a value is read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::moment::Moment;

/// The class of an instance: what kind of object a signal speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the documentation; the table below explains each")]
pub enum Class {
    Host,
    Cpu,
    Fs,
    Disk,
    Net,
    Unit,
    Proc,
    Check,
    Plugin,
    Log,
    Beat,
    Slo,
    Sexton,
}

/// A class: its name in rule files, its identity labels, its other labels.
pub struct ClassSpec {
    /// The class.
    pub class: Class,
    /// As written in `on = "…"`.
    pub name: &'static str,
    /// Labels that together name one instance; the first is the one a person would say.
    pub identity: &'static [&'static str],
    /// Labels that describe an instance and may change while it lives.
    pub other: &'static [&'static str],
}

impl ClassSpec {
    /// True when its instances have a label of that name.
    pub fn has_label(&self, name: &str) -> bool {
        self.identity.iter().chain(self.other).any(|label| *label == name)
    }
}

/// Every class of this version, in the order of [`Class`].
pub const CLASSES: &[ClassSpec] = &[
    ClassSpec { class: Class::Host, name: "host", identity: &[], other: &[] },
    ClassSpec { class: Class::Cpu, name: "cpu", identity: &["cpu"], other: &[] },
    ClassSpec { class: Class::Fs, name: "fs", identity: &["mount"], other: &["fstype", "device"] },
    ClassSpec { class: Class::Disk, name: "disk", identity: &["disk"], other: &[] },
    ClassSpec { class: Class::Net, name: "net", identity: &["iface"], other: &[] },
    ClassSpec { class: Class::Unit, name: "unit", identity: &["unit"], other: &[] },
    ClassSpec { class: Class::Proc, name: "proc", identity: &["name"], other: &[] },
    ClassSpec { class: Class::Check, name: "check", identity: &["check"], other: &["kind"] },
    ClassSpec { class: Class::Plugin, name: "plugin", identity: &["check"], other: &[] },
    ClassSpec { class: Class::Log, name: "log", identity: &["source", "pattern"], other: &[] },
    ClassSpec { class: Class::Beat, name: "beat", identity: &["job"], other: &[] },
    ClassSpec { class: Class::Slo, name: "slo", identity: &["slo"], other: &[] },
    ClassSpec { class: Class::Sexton, name: "sexton", identity: &["part", "name"], other: &[] },
];

impl Class {
    /// The row of this class in [`CLASSES`].
    pub fn spec(self) -> &'static ClassSpec {
        &CLASSES[self as usize]
    }

    /// The name in rule files.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The class of that name.
    pub fn parse(name: &str) -> Option<Class> {
        CLASSES.iter().find(|c| c.name == name).map(|c| c.class)
    }
}

/// The type of a value in the condition language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// The kind of quantity.
    pub base: Base,
    /// True for a quantity per second (`bytes/s`).
    pub per_second: bool,
}

/// The kind of quantity of a [`Type`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "one word each, as in the language reference")]
pub enum Base {
    Bool,
    Text,
    Number,
    Ratio,
    Bytes,
    Seconds,
}

impl Type {
    /// A plain quantity.
    pub const fn of(base: Base) -> Self {
        Self { base, per_second: false }
    }

    /// The quantity per second.
    pub const fn per_second(base: Base) -> Self {
        Self { base, per_second: true }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.base {
            Base::Bool => "bool",
            Base::Text => "string",
            Base::Number => "number",
            Base::Ratio => "ratio",
            Base::Bytes => "bytes",
            Base::Seconds => "seconds",
        };
        f.write_str(name)?;
        if self.per_second { f.write_str("/s") } else { Ok(()) }
    }
}

/// How a signal's samples are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The value now.
    Gauge,
    /// A total that only grows, until it is reset.
    Counter,
    /// What is fixed for as long as the instance is there: never too old, and a window may be as long as it
    /// says.
    Attribute,
}

/// One row of the signal catalogue.
pub struct SignalSpec {
    /// Dotted, lower case.
    pub name: &'static str,
    /// The class whose instances have it.
    pub class: Class,
    /// The type of its values.
    pub ty: Type,
    /// Gauge, counter or attribute.
    pub kind: Kind,
    /// One line for the reference.
    pub about: &'static str,
}

const fn gauge(name: &'static str, class: Class, base: Base, about: &'static str) -> SignalSpec {
    SignalSpec { name, class, ty: Type::of(base), kind: Kind::Gauge, about }
}

const fn flow(name: &'static str, class: Class, base: Base, about: &'static str) -> SignalSpec {
    SignalSpec { name, class, ty: Type::per_second(base), kind: Kind::Gauge, about }
}

const fn counter(name: &'static str, class: Class, about: &'static str) -> SignalSpec {
    SignalSpec { name, class, ty: Type::of(Base::Number), kind: Kind::Counter, about }
}

const fn attribute(name: &'static str, class: Class, base: Base, about: &'static str) -> SignalSpec {
    SignalSpec { name, class, ty: Type::of(base), kind: Kind::Attribute, about }
}

/// Every signal this version knows.
#[rustfmt::skip]
pub const SIGNALS: &[SignalSpec] = &[
    gauge("cpu.busy", Class::Host, Base::Ratio, "share of all CPU time not idle and not waiting for I/O"),
    gauge("cpu.user", Class::Host, Base::Ratio, "share of CPU time in user mode, nice included"),
    gauge("cpu.system", Class::Host, Base::Ratio, "share of CPU time in the kernel, interrupts included"),
    gauge("cpu.iowait", Class::Host, Base::Ratio, "share of CPU time idle with I/O outstanding"),
    gauge("cpu.steal", Class::Host, Base::Ratio, "share of CPU time taken by the hypervisor"),
    gauge("load.avg1", Class::Host, Base::Number, "run-queue load average over 1 minute"),
    gauge("load.avg5", Class::Host, Base::Number, "run-queue load average over 5 minutes"),
    gauge("load.avg15", Class::Host, Base::Number, "run-queue load average over 15 minutes"),
    gauge("cpu.count", Class::Host, Base::Number, "CPUs that are online"),
    gauge("mem.total", Class::Host, Base::Bytes, "physical memory usable by the kernel"),
    gauge("mem.available", Class::Host, Base::Bytes, "memory that can be had without swapping (MemAvailable)"),
    gauge("mem.used", Class::Host, Base::Ratio, "1 - mem.available / mem.total"),
    gauge("swap.total", Class::Host, Base::Bytes, "swap space"),
    gauge("swap.free", Class::Host, Base::Bytes, "swap space not in use"),
    flow("swap.in", Class::Host, Base::Bytes, "bytes read back from swap"),
    flow("swap.out", Class::Host, Base::Bytes, "bytes written to swap"),
    flow("mem.major_faults", Class::Host, Base::Number, "page faults that had to wait for a disk"),
    gauge("psi.cpu.some", Class::Host, Base::Ratio, "share of time at least one task waited for CPU"),
    gauge("psi.mem.some", Class::Host, Base::Ratio, "share of time at least one task waited for memory"),
    gauge("psi.mem.full", Class::Host, Base::Ratio, "share of time all tasks waited for memory"),
    gauge("psi.io.some", Class::Host, Base::Ratio, "share of time at least one task waited for I/O"),
    gauge("psi.io.full", Class::Host, Base::Ratio, "share of time all tasks waited for I/O"),
    gauge("fd.used", Class::Host, Base::Ratio, "file handles in use of those the kernel allows"),
    gauge("pid.used", Class::Host, Base::Ratio, "tasks of those that ids and the kernel's limit allow"),
    gauge("conntrack.used", Class::Host, Base::Ratio, "tracked connections of those the table holds"),
    gauge("host.uptime", Class::Host, Base::Seconds, "time since boot, suspension included"),
    gauge("host.reboot_required", Class::Host, Base::Bool, "the distribution asks for a reboot (Debian, Ubuntu)"),
    counter("kernel.oom_kills", Class::Host, "processes killed for lack of memory since boot"),
    gauge("core.busy", Class::Cpu, Base::Ratio, "share of this CPU's time not idle and not waiting for I/O"),
    gauge("fs.size", Class::Fs, Base::Bytes, "size of the file system"),
    gauge("fs.avail", Class::Fs, Base::Bytes, "space an unprivileged user can still fill"),
    gauge("fs.used", Class::Fs, Base::Ratio, "used / (used + avail), as df prints it"),
    gauge("fs.inodes_used", Class::Fs, Base::Ratio, "used / (used + available) inodes"),
    gauge("fs.readonly", Class::Fs, Base::Bool, "the superblock is mounted read-only"),
    gauge("fs.hung", Class::Fs, Base::Bool, "statvfs on the mount did not answer within its deadline"),
    flow("disk.read", Class::Disk, Base::Bytes, "bytes read"),
    flow("disk.write", Class::Disk, Base::Bytes, "bytes written"),
    gauge("disk.latency", Class::Disk, Base::Seconds, "mean time of a finished request, queueing included"),
    gauge("disk.busy", Class::Disk, Base::Ratio, "share of time with a request outstanding"),
    gauge("disk.queue", Class::Disk, Base::Number, "mean number of requests outstanding"),
    flow("net.rx", Class::Net, Base::Bytes, "bytes received"),
    flow("net.tx", Class::Net, Base::Bytes, "bytes sent"),
    flow("net.errors", Class::Net, Base::Number, "packets with errors, both directions"),
    flow("net.drops", Class::Net, Base::Number, "packets dropped, both directions"),
    gauge("net.up", Class::Net, Base::Bool, "the interface is operationally up"),
    gauge("unit.state", Class::Unit, Base::Text, "systemd ActiveState: active, activating, deactivating, failed, inactive, reloading"),
    gauge("unit.active", Class::Unit, Base::Bool, "ActiveState is active or reloading"),
    counter("unit.restarts", Class::Unit, "automatic restarts of the unit (NRestarts)"),
    gauge("unit.age", Class::Unit, Base::Seconds, "time since the last change of state"),
    gauge("proc.count", Class::Proc, Base::Number, "live processes of that name; zombies do not count"),
    gauge("proc.cpu", Class::Proc, Base::Ratio, "CPU time of all processes of that name, as a share of one CPU"),
    gauge("proc.rss", Class::Proc, Base::Bytes, "resident memory of all processes of that name"),
    gauge("proc.age", Class::Proc, Base::Seconds, "age of the youngest process of that name"),
    gauge("check.up", Class::Check, Base::Bool, "the check's last probe succeeded"),
    gauge("check.latency", Class::Check, Base::Seconds, "duration of the last successful probe"),
    gauge("check.cert_left", Class::Check, Base::Seconds, "time until the server's certificate expires"),
    gauge("plugin.status", Class::Plugin, Base::Number, "exit code of the plugin, 0 to 2; 3 or a timeout is no sample"),
    counter("log.hits", Class::Log, "lines of the source that matched the pattern"),
    gauge("beat.seen", Class::Beat, Base::Number, "when the job last reported, seconds since 1970"),
    attribute("beat.period", Class::Beat, Base::Seconds, "how often the job should report"),
    attribute("beat.grace", Class::Beat, Base::Seconds, "how much later it may report"),
    counter("slo.total", Class::Slo, "requests, or other things that can go well or wrong"),
    counter("slo.bad", Class::Slo, "those that went wrong"),
    attribute("slo.target", Class::Slo, Base::Ratio, "share that is to go well"),
    gauge("sexton.ok", Class::Sexton, Base::Bool, "this part of sexton works"),
    gauge("sexton.used", Class::Sexton, Base::Ratio, "share of this part's budget in use"),
    gauge("sexton.age", Class::Sexton, Base::Seconds, "time since this part last made progress"),
];

/// A signal name, interned: an index into [`SIGNALS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric(pub u16);

impl Metric {
    /// The metric of that name.
    pub fn find(name: &str) -> Option<Metric> {
        SIGNALS.iter().position(|s| s.name == name).map(|i| Metric(i as u16))
    }

    /// Its row in the catalogue.
    pub fn spec(self) -> &'static SignalSpec {
        &SIGNALS[usize::from(self.0)]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

/// The metric of that name, looked up by the compiler: `const BUSY: Metric = metric("cpu.busy");`.
///
/// # Panics
/// At compile time, when no signal has that name.
pub const fn metric(name: &str) -> Metric {
    let mut i = 0;
    while i < SIGNALS.len() {
        if same(SIGNALS[i].name.as_bytes(), name.as_bytes()) {
            return Metric(i as u16);
        }
        i += 1;
    }
    panic!("no such signal in the catalogue")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A value of a signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Number, ratio (0..1), bytes or seconds, per second where the catalogue says so. Always finite.
    Num(f64),
    /// Truth.
    Bool(bool),
    /// Text, shared so that a repeated state costs no allocation.
    Text(Arc<str>),
}

impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Value::Num(v)
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Value::Bool(v)
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Value::Text(v.into())
    }
}

/// One object of a class. Two instances are the same when class and identity labels are.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its class.
    pub class: Class,
    /// All labels, identity and other, by name.
    pub labels: BTreeMap<String, String>,
    key: String,
}

impl Instance {
    /// An instance from its class and labels; a missing identity label counts as empty.
    pub fn new(class: Class, labels: BTreeMap<String, String>) -> Self {
        let mut key = class.name().to_owned();
        for (i, label) in class.spec().identity.iter().enumerate() {
            key.push(if i == 0 { '{' } else { ',' });
            key.push_str(label);
            key.push('=');
            key.push_str(labels.get(*label).map_or("", String::as_str));
        }
        if !class.spec().identity.is_empty() {
            key.push('}');
        }
        Self { class, labels, key }
    }

    /// Shorthand for doors and tests: `Instance::of(Class::Fs, &[("mount", "/"), ("fstype", "ext4")])`.
    pub fn of(class: Class, labels: &[(&str, &str)]) -> Arc<Self> {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Arc::new(Self::new(class, labels))
    }

    /// Class and identity labels as text, `fs{mount=/data}`: stable across restarts, the key of all state.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The first identity label's value, or the class name for the host.
    pub fn name(&self) -> &str {
        let first = self.class.spec().identity.first();
        first.and_then(|l| self.labels.get(*l)).map_or(self.class.name(), String::as_str)
    }

    /// A label's value; empty when absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl PartialEq for Instance {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Instance {}

impl PartialOrd for Instance {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Instance {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// What a door saw of one instance at one moment.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When it was read, or when the kernel or systemd told.
    pub at: Moment,
    /// Of what.
    pub instance: Arc<Instance>,
    /// Expected distance to the next one in nanoseconds; 0 when told on change: such a value holds until the
    /// next word.
    pub interval: i64,
    /// The values; `None` says that there is no value now (unsupported, timed out), which is never zero.
    pub samples: Vec<(Metric, Option<Value>)>,
    /// The instance has gone (unmounted, unit removed): its rule instances retire.
    pub gone: bool,
}

impl Observation {
    /// An observation without samples yet.
    pub fn new(at: Moment, instance: Arc<Instance>, interval: i64) -> Self {
        Self { at, instance, interval, samples: Vec::new(), gone: false }
    }

    /// Adds one value.
    #[must_use]
    pub fn with(mut self, metric: Metric, value: impl Into<Value>) -> Self {
        self.samples.push((metric, Some(value.into())));
        self
    }

    /// Adds "no value now".
    #[must_use]
    pub fn without(mut self, metric: Metric) -> Self {
        self.samples.push((metric, None));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_stand_in_the_order_of_the_enum() {
        for (i, spec) in CLASSES.iter().enumerate() {
            assert_eq!(spec.class as usize, i, "{}", spec.name);
        }
    }

    #[test]
    fn signal_names_are_unique_and_well_formed() {
        for (i, spec) in SIGNALS.iter().enumerate() {
            assert_eq!(Metric::find(spec.name), Some(Metric(i as u16)), "{} stands twice", spec.name);
            assert!(
                spec.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c))
            );
        }
    }

    #[test]
    fn the_key_holds_identity_labels_only() {
        let fs = Instance::of(Class::Fs, &[("mount", "/data"), ("fstype", "ext4")]);
        assert_eq!(fs.key(), "fs{mount=/data}");
        assert_eq!(fs.name(), "/data");
        assert_eq!(Instance::of(Class::Host, &[]).key(), "host");
    }
}
