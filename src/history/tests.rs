//! The history as a whole: what goes in comes out bit for bit, packed or not; the budget holds; nothing that
//! happens to the file is more than a loss of samples.

mod damage;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use proptest::prelude::*;

use super::read::{Part, RAW};
use super::write::{Writer, Written};
use super::*;
use crate::engine::moment::{HOUR, SECOND};
use crate::engine::signal::{Class, Instance, Metric, Value, metric};

const START: i64 = 1_790_000_000 * SECOND;
const BUSY: Metric = metric("cpu.busy");
const FREE: Metric = metric("mem.available");
const USED: Metric = metric("fs.used");
const STATE: Metric = metric("unit.state");
const ACTIVE: Metric = metric("unit.active");

fn writer(dir: &Path, limit: u64) -> Writer {
    Writer::new(file::open(dir).unwrap(), limit, START).unwrap()
}

fn seen(at: i64, instance: &Arc<Instance>, samples: &[(Metric, Option<Value>)]) -> Observation {
    let mut observation = Observation::new(Moment::at(at), Arc::clone(instance), 10 * SECOND);
    observation.samples = samples.to_vec();
    observation
}

/// All series of all time.
fn all_time() -> Ask<'static> {
    Ask { from: Stamp(i64::MIN), to: Stamp(i64::MAX), wants: &|_| true, before: BTreeMap::new() }
}

fn everything(conn: &rusqlite::Connection) -> Vec<Observation> {
    let mut all = Vec::new();
    let mut reader = Reader::new(conn);
    let mut stream = Stream::begin(&mut reader, all_time()).unwrap();
    while let Some(seen) = stream.next(&mut reader).unwrap() {
        all.push(seen.clone());
    }
    assert_eq!((reader.damaged.count(), stream.dropped), (0, 0));
    all
}

/// One line for each sample, sorted: floats by their bits.
fn lines(observations: &[Observation]) -> Vec<String> {
    let value = |v: &Option<Value>| match v {
        Some(Value::Num(n)) => format!("{:016x}", n.to_bits()),
        other => format!("{other:?}"),
    };
    let mut lines: Vec<String> = observations
        .iter()
        .flat_map(|o| {
            let line = move |(m, v): &(Metric, Option<Value>)| {
                format!("{} {} {} {} {}", o.at.mono, o.instance.key(), m.name(), o.interval, value(v))
            };
            let gone = o.gone.then(|| format!("{} {} gone", o.at.mono, o.instance.key()));
            o.samples.iter().map(line).chain(gone)
        })
        .collect();
    lines.sort();
    lines
}

/// Samples of a series by name.
fn samples(conn: &rusqlite::Connection, name: &str) -> Vec<Sample> {
    let mut reader = Reader::new(conn);
    let all = reader.series().unwrap();
    let id = all.iter().find(|s| s.name() == name).unwrap_or_else(|| panic!("no series {name}")).id;
    let mut out = Vec::new();
    let mut take = |sample| {
        out.push(sample);
        ControlFlow::Continue(())
    };
    reader.samples(id, Stamp(i64::MIN), Stamp(i64::MAX), &mut take).unwrap();
    out
}

/// Step, unit, interval, samples by signal, gone.
type Seen = (i64, usize, i64, Vec<(usize, Option<Value>)>, bool);

fn observation() -> impl Strategy<Value = Seen> {
    let number = prop_oneof![
        any::<f64>().prop_filter("numbers", |n| n.is_finite()),
        (0_i64..9).prop_map(|n| n as f64),
        Just(-0.0),
    ];
    let value = prop_oneof![
        4 => number.prop_map(|n| Some(Value::Num(n))),
        1 => any::<bool>().prop_map(|b| Some(Value::Bool(b))),
        1 => "[ab]{0,2}".prop_map(|t| Some(Value::Text(t.into()))),
        1 => Just(None),
    ];
    let interval = prop_oneof![8 => Just(10 * SECOND), 1 => Just(0), 1 => 0..HOUR];
    let samples = prop::collection::vec((0_usize..3, value), 1..4);
    (0..20 * SECOND, 0_usize..3, interval, samples, prop::bool::weighted(0.05))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Random observations, in batches, packed at random moments, with a new run of the daemon in between.
    #[test]
    fn what_goes_in_comes_out_bit_for_bit(
        story in prop::collection::vec((observation(), 0_u8..20), 1..200),
    ) {
        let tmp = tempfile::tempdir().unwrap();
        let mut writer = writer(tmp.path(), 64 << 20);
        // Each signal has values of one type only.
        let units: Vec<_> = ["a", "b", "c"].map(|u| Instance::of(Class::Unit, &[("unit", u)])).into();
        let metrics = [metric("unit.restarts"), ACTIVE, STATE];
        let fits = |m: usize, v: &Option<Value>| match v {
            Some(Value::Num(_)) => m == 0,
            Some(Value::Bool(_)) => m == 1,
            Some(Value::Text(_)) => m == 2,
            None => true,
        };
        let (mut at, mut batch, mut expected) = (START, Vec::new(), Vec::new());
        for ((step, unit, interval, samples, gone), event) in story {
            at += step;
            let mut observation = seen(at, &units[unit], &[]);
            observation.interval = interval;
            observation.gone = gone;
            for (m, value) in samples.into_iter().filter(|(m, v)| fits(*m, v)) {
                observation.samples.push((metrics[m], value));
            }
            batch.push(observation.clone());
            expected.push(observation);
            if event < 4 {
                prop_assert_eq!(writer.write(&std::mem::take(&mut batch)).unwrap().refused, 0);
            }
            match event {
                0 => writer.pack().unwrap(),
                1 => {
                    drop(writer);
                    writer = self::writer(tmp.path(), 64 << 20);
                }
                _ => {}
            }
        }
        writer.write(&batch).unwrap();
        prop_assert_eq!(lines(&everything(&writer.conn)), lines(&expected));
        writer.pack().unwrap();
        prop_assert_eq!(lines(&everything(&writer.conn)), lines(&expected));
        drop(writer);
        let archive = Archive::open(tmp.path()).unwrap();
        prop_assert_eq!(lines(&everything(&archive.0)), lines(&expected));
    }
}

#[test]
fn observations_come_in_order_and_together() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    let (host, fs) = (Instance::of(Class::Host, &[]), Instance::of(Class::Fs, &[("mount", "/")]));
    let mut batch = Vec::new();
    for i in 0..500 {
        let (at, n) = (START + i * 10 * SECOND, i as f64);
        batch.push(seen(at, &fs, &[(USED, Some(Value::Num(n / 1000.0)))]));
        batch.push(seen(at + 7, &host, &[(BUSY, Some(Value::Num(n))), (FREE, Some(Value::Num(n * 4096.0)))]));
    }
    writer.write(&batch).unwrap();
    let simple = |o: &Observation| (o.at, o.instance.key().to_owned(), o.samples.clone());
    for _ in 0..2 {
        let read: Vec<_> = everything(&writer.conn).iter().map(simple).collect();
        assert_eq!(read, batch.iter().map(simple).collect::<Vec<_>>());
        writer.pack().unwrap();
    }
    let one = samples(&writer.conn, "fs.used{mount=/}");
    assert_eq!((one.len(), &one[499].value), (500, &Some(Value::Num(0.499))));
    assert_eq!(one[1].stamp, Stamp(START + 10 * SECOND));
    let mut reader = Reader::new(&writer.conn);
    let some = reader.parts(RAW, Stamp(START), Stamp(START)).unwrap();
    assert!(matches!(some[..], [Part::Packed(_)]));
    assert!(reader.parts(RAW, Stamp(0), Stamp(START - 1)).unwrap().is_empty());
}

#[test]
fn old_and_foreign_samples_are_refused_and_no_number_is_no_value() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    let host = Instance::of(Class::Host, &[]);
    let num = |n: f64| Some(Value::Num(n));
    let batch = [
        seen(START, &host, &[(BUSY, num(f64::NAN)), (USED, num(1.0)), (Metric(9999), num(1.0))]),
        seen(START - 1, &host, &[(BUSY, num(2.0)), (FREE, num(3.0))]),
    ];
    assert_eq!(writer.write(&batch).unwrap(), Written { samples: 2, refused: 3 });
    assert_eq!(samples(&writer.conn, "cpu.busy")[0].value, None);
    assert_eq!(samples(&writer.conn, "mem.available")[0].value, num(3.0));
}

/// An hour of a host that has so many file systems.
fn hour(writer: &mut Writer, from: i64, mounts: &[Arc<Instance>]) {
    for quarter in 0..4 {
        let mut batch = Vec::new();
        for i in 0..90 {
            let at = from + (quarter * 900 + i * 10) * SECOND;
            for (m, mount) in mounts.iter().enumerate() {
                let noise = (at ^ (m as i64) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64);
                let value = f64::from_bits(0x3FE0_0000_0000_0000 | (noise as u64 >> 12));
                batch.push(seen(at, mount, &[(USED, Some(Value::Num(value)))]));
            }
        }
        writer.write(&batch).unwrap();
    }
    writer.pack().unwrap();
    writer.keep_budget().unwrap();
}

fn mounts(names: std::ops::Range<usize>) -> Vec<Arc<Instance>> {
    names.map(|n| Instance::of(Class::Fs, &[("mount", &format!("/m{n}"))])).collect()
}

#[test]
fn the_budget_holds_samples_become_rollups_and_what_has_gone_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let mut writer = writer(tmp.path(), limit);
    // Noise that nothing can compress: 2.3 KiB an hour and series.
    let first = mounts(0..12);
    for i in 0..20 {
        hour(&mut writer, START + i * HOUR, &first);
    }
    let others = mounts(20..32);
    let mut seen_rollups = false;
    for i in 20..130 {
        hour(&mut writer, START + i * HOUR, &others);
        let size = writer.size().unwrap();
        assert!(size.file <= limit, "{size:?} at hour {i}");
        let count = |sql: &str| writer.conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        seen_rollups |= count("SELECT count(*) FROM segment WHERE kind = 1") > 0;
    }
    assert!(seen_rollups);
    let count = |sql: &str| writer.conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM series"), 12, "the first have left");
    assert_eq!(count("SELECT count(*) FROM instance"), 12);
    let orphans = "SELECT count(*) FROM chunk WHERE (id >> 24) NOT IN (SELECT id FROM segment)";
    assert_eq!(count(orphans), 0);
    assert_eq!(count("SELECT count(*) FROM stamps WHERE (id >> 24) NOT IN (SELECT id FROM segment)"), 0);
    let reach = count("SELECT max(last) - min(first) FROM segment WHERE kind = 0");
    assert!(reach > 3 * HOUR, "{} min, {:?}", reach / 60 / SECOND, writer.size());
    let text: String = writer.conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(text, "ok");
}

#[test]
fn rollups_are_the_same_before_and_after() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    let mounts = mounts(0..2);
    for i in 0..30 {
        hour(&mut writer, START + i * HOUR, &mounts);
    }
    let rollups = |writer: &Writer| {
        let (mut reader, mut rows) = (Reader::new(&writer.conn), Vec::new());
        let id = reader.series().unwrap()[0].id;
        let (from, to) = (Stamp(START + HOUR + 1), Stamp(START + 29 * HOUR));
        let mut take = |row| {
            rows.push(row);
            ControlFlow::Continue(())
        };
        reader.rollups(id, from, to, &mut take).unwrap();
        rows
    };
    let before = rollups(&writer);
    assert!(before.len() > 330 && before.iter().map(|r| r.count).sum::<u64>() > 330 * 29);
    let (samples, all) = (samples(&writer.conn, "fs.used{mount=/m0}").len(), 30 * 360);
    assert_eq!(samples, all);
    writer.limit = writer.size().unwrap().used * 2 - 8192;
    writer.keep_budget().unwrap();
    let kept = self::samples(&writer.conn, "fs.used{mount=/m0}").len();
    assert!(kept < all && kept > 0, "a day of samples has gone: {kept}");
    assert!(writer.conn.query_row("SELECT max(kind) FROM segment", [], |r| r.get::<_, i64>(0)) == Ok(1));
    let after = rollups(&writer);
    assert_eq!(before.len(), after.len());
    for (before, mut after) in before.into_iter().zip(after) {
        // The step in which the rolled up part ends was added up in two parts.
        assert!((before.sum - after.sum).abs() < 1e-9);
        after.sum = before.sum;
        assert!(before == after, "{before:?} {after:?}");
    }
}

/// The hours begin within a step: each seam of what was rolled up together lies in one.
#[test]
fn steps_in_two_segments_come_once_and_time_never_goes_back() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    let (mounts, told) = (mounts(0..2), Instance::of(Class::Unit, &[("unit", "a")]));
    for i in 0..30 {
        let mut batch = Vec::new();
        for n in 0..360 {
            let at = START + i * HOUR + n * 10 * SECOND;
            for (m, mount) in (1_i64..).zip(&mounts) {
                // Noise that nothing can compress.
                let noise = (at ^ m << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) as u64;
                let value = f64::from_bits(0x3FE0_0000_0000_0000 | (noise >> 12));
                batch.push(seen(at, mount, &[(USED, Some(Value::Num(value)))]));
            }
            if n == 0 || n == 359 {
                let state = Some(Value::Bool(n == 0));
                batch.push(Observation { interval: 0, ..seen(at, &told, &[(ACTIVE, state)]) });
            }
        }
        writer.write(&batch).unwrap();
        writer.pack().unwrap();
    }
    for _ in 0..3 {
        writer.limit = writer.size().unwrap().used * 2 - 8192;
        writer.keep_budget().unwrap();
    }
    let rollups = "SELECT count(*) FROM segment WHERE kind = 1";
    assert!(writer.conn.query_row(rollups, [], |row| row.get::<_, i64>(0)).unwrap() > 1);
    assert!(samples(&writer.conn, "fs.used{mount=/m0}").len() < 29 * 360, "and samples behind them");
    let all = everything(&writer.conn);
    assert!(all.windows(2).all(|pair| pair[0].at.mono <= pair[1].at.mono), "in the order of time");
    let of = |instance: &Arc<Instance>| {
        all.iter().filter(|o| o.instance.key() == instance.key()).map(|o| o.at.mono).collect::<Vec<_>>()
    };
    for mount in &mounts {
        let times = of(mount);
        assert_eq!(times.len(), 30 * 360, "each step gives as many samples as it had");
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    }
    assert_eq!(of(&told).len(), 60, "what was told is told, and before what came later");
}

#[test]
fn a_clock_that_steps_begins_a_new_segment() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    let host = Instance::of(Class::Host, &[]);
    let at = |second: i64, ahead: i64| {
        let mut o = seen(START + second * SECOND, &host, &[(BUSY, Some(Value::Num(1.0)))]);
        o.at.wall += ahead;
        o
    };
    writer.write(&[at(0, 0), at(10, 5), at(20, -HOUR), at(30, -HOUR)]).unwrap();
    writer.pack().unwrap();
    let stamps: Vec<i64> = samples(&writer.conn, "cpu.busy").iter().map(|s| s.stamp.0 - START).collect();
    assert_eq!(stamps, [20 * SECOND - HOUR, 30 * SECOND - HOUR, 0, 10 * SECOND], "by wall time");
    let placed: Vec<i64> = everything(&writer.conn).iter().map(|o| o.at.mono - START + HOUR).collect();
    assert_eq!(placed, [0, 10, 20, 30].map(|s| s * SECOND), "the clock was right in the end");
}

#[test]
fn too_many_series_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let mut writer = writer(tmp.path(), 64 << 20);
    let all = mounts(0..write::SERIES + 10);
    let batch: Vec<_> = all.iter().map(|m| seen(START, m, &[(USED, Some(Value::Num(0.5)))])).collect();
    let written = writer.write(&batch).unwrap();
    assert_eq!((written.samples, written.refused), (write::SERIES as u64, 10));
    // What has gone makes room.
    let mut gone = seen(START + 1, &all[0], &[]);
    gone.gone = true;
    writer.write(&[gone]).unwrap();
    let next = seen(START + 2, &all[write::SERIES], &[(USED, Some(Value::Num(0.5)))]);
    assert_eq!(writer.write(&[next]).unwrap(), Written { samples: 1, refused: 0 });
}
