//! The recordings of `tests/data/replay`, unpacked and with their labelled windows.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use sexton::workshop::csv::Table;
use sexton::workshop::labels::{self, Window};
use sexton::workshop::load::load;
use sexton::workshop::replay::Host;

const FOLDER: &str = "tests/data/replay";
/// The signal as which every series is played: a number of the host, whatever it was.
pub const SIGNAL: &str = "load.avg1";
/// Single series by kind: what is like each other, and left out together.
pub const FAMILIES: &[(&str, &[&str])] = &[
    (
        "use of CPUs",
        &[
            "nab_ec2_cpu_utilization_5f5533",
            "nab_ec2_cpu_utilization_825cc2",
            "nab_ec2_cpu_utilization_c6585a",
            "nab_ec2_request_latency_system_failure",
            "nab_rds_cpu_utilization_e47b3b",
        ],
    ),
    (
        "traffic",
        &["nab_ec2_disk_write_bytes_1ef3de", "nab_ec2_network_in_5abac7", "nab_elb_request_count_8c0756"],
    ),
    ("temperature", &["nab_machine_temperature_system_failure"]),
    ("latency", &["ms_outbound_01", "ms_outbound_02", "ms_outbound_03"]),
    ("crashes, outages", &["ms_app1_04", "ms_app1_07", "ms_unavail_01"]),
    ("database queries", &["ms_machine_01"]),
];
/// Hosts with many metrics each.
pub const HOSTS: &[&str] = &["asd_omi_1", "asd_omi_6", "smd_machine_1_6"];

/// A series with what was wrong meanwhile.
pub struct Series {
    /// As a host of its own.
    pub host: Host,
    /// Distance of its samples, in ns.
    pub step: i64,
    /// Its values in the order of the file, without the missing ones.
    pub values: Vec<f64>,
    /// Labelled windows that are about it, in ns since 1970.
    pub windows: Vec<(i64, i64)>,
}

/// All labelled windows.
pub fn windows() -> Vec<Window> {
    labels::read(&Path::new(FOLDER).join("labels.csv")).expect("the labels can be read")
}

/// The series of a file: its value, or each of its columns.
pub fn series(name: &str, all: &[Window]) -> Vec<Series> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(format!("{name}.csv"));
    let packed = File::open(format!("{FOLDER}/{name}.csv.gz")).expect("the recording is there");
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("the recording is whole");
    fs::write(&path, text).expect("it can be unpacked");
    let table = Table::read(&path).expect("it is a table");
    table.header[1..].iter().map(|column| one(&path, name, column, &table, all)).collect()
}

fn one(path: &Path, name: &str, column: &str, table: &Table, all: &[Window]) -> Series {
    let argument = format!("{SIGNAL}={}:{column}", path.display());
    let recording = load(&[argument]).expect("it can be loaded");
    let at = table.column(column).expect("the column is there");
    let values = table.rows().filter_map(|(_, row)| row.get(at)?.trim().parse().ok()).collect();
    let about = all.iter().filter(|w| w.is_about(name, column)).map(|w| (w.from, w.to)).collect();
    let step = recording.series[0].track.interval;
    let host = Host { name: format!("{name}:{column}"), series: recording.series, past: None };
    Series { host, step, values, windows: about }
}
