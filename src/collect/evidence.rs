//! Text evidence, taken once when an incident opens: who used the resource, how the unit or the processes
//! fare.
//!
//! Everything is bounded, in time and in text, because it goes onto a record. Command lines are left out, as
//! they may hold secrets; names are cleared of control characters. These calls block: the daemon makes them
//! on a thread for that.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::stat::{Stat, comm, uptime};
use crate::clock::Clock;
use crate::engine::moment::{Moment, SECOND, human};
use crate::engine::record::Exhibit;

/// Rows of a table of processes.
const ROWS: usize = 8;
/// Bytes of one exhibit.
const TEXT_MAX: usize = 4096;
/// Distance of the two readings that processor time is taken from.
const SAMPLE: Duration = Duration::from_millis(100);
/// Longest time a program or a file system may take.
const PROGRAM_WITHIN: i64 = 2 * SECOND;
const MOUNT_WITHIN: Duration = Duration::from_secs(1);
/// More processes than this are not looked through.
const PROCESSES_MAX: usize = 1 << 16;

/// Evidence for an incident of `category` on the instance `name` of `class`. Blocks for up to about two
/// seconds.
pub fn evidence(category: &str, class: &str, name: &str, now: Moment) -> Vec<Exhibit> {
    let mut exhibits = Vec::new();
    let mut add = |title: String, text: Option<String>| {
        exhibits.extend(text.map(|text| Exhibit { title, at: now.stamp(), text: bounded(&text) }));
    };
    match class {
        "unit" => add(format!("systemctl status {name}"), unit_status(name)),
        "proc" => add(format!("processes called {name}"), Some(called(name))),
        "fs" => add(format!("space on {name}"), space(name)),
        "host" | "cpu" | "disk" => {
            let area = category.split('/').next().unwrap_or_default();
            let processes = scan();
            if area != "memory" {
                add("top processes by CPU".to_owned(), Some(top(&processes, |p| p.cpu)));
            }
            if area != "cpu" {
                add("top processes by memory".to_owned(), Some(top(&processes, |p| p.rss)));
            }
        }
        _ => {}
    }
    exhibits
}

/// A row of a table of processes.
#[derive(Clone, Debug)]
struct Process {
    pid: i32,
    name: String,
    state: char,
    /// Ratio of one CPU.
    cpu: f64,
    /// Bytes.
    rss: f64,
    /// Seconds.
    age: Option<f64>,
}

fn pids() -> Vec<i32> {
    let Ok(dir) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = dir.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.take(PROCESSES_MAX).collect()
}

/// Every process, with its processor time over a short while.
fn scan() -> Vec<Process> {
    let clock = Clock::start();
    let started = clock.now().mono;
    let before: Vec<_> = pids().into_iter().filter_map(|pid| Some((pid, Stat::open(pid).ok()?.0))).collect();
    std::thread::sleep(SAMPLE);
    let seconds = (clock.now().mono - started) as f64 / SECOND as f64;
    let hertz = rustix::param::clock_ticks_per_second() as f64;
    let up = std::fs::read_to_string("/proc/uptime").ok().and_then(|text| uptime(&text));
    let again = |(pid, before): (i32, Stat)| {
        let (stat, _) = Stat::open(pid).ok()?;
        let same = stat.started_ticks == before.started_ticks;
        let ticks = same.then(|| stat.cpu_ticks.saturating_sub(before.cpu_ticks))?;
        let (cpu, age) = (ticks as f64 / hertz / seconds, up.and_then(|up| stat.age(up)));
        Some(Process { pid, name: comm(pid).ok()?, state: stat.state, cpu, rss: stat.rss(), age })
    };
    before.into_iter().filter_map(again).collect()
}

fn top(processes: &[Process], by: fn(&Process) -> f64) -> String {
    let mut sorted: Vec<_> = processes.iter().collect();
    sorted.sort_by(|a, b| by(b).total_cmp(&by(a)).then(a.pid.cmp(&b.pid)));
    table(sorted.into_iter().take(ROWS))
}

fn table<'a>(rows: impl Iterator<Item = &'a Process>) -> String {
    let mut text = format!("{:>8}  {}  {:>6}  {:>10}  {:>8}  NAME\n", "PID", "S", "CPU %", "RSS", "AGE");
    for p in rows {
        let age =
            p.age.map_or_else(|| "-".to_owned(), |s| human((s * SECOND as f64) as i64 / SECOND * SECOND));
        let (cpu, rss) = (p.cpu * 100.0, bytes(p.rss));
        text += &format!("{:>8}  {}  {cpu:>6.1}  {rss:>10}  {age:>8}  {}\n", p.pid, p.state, p.name);
    }
    text
}

/// The processes of a name, zombies included: one may be what is left of the missing one.
fn called(name: &str) -> String {
    let short: String = name.chars().take(15).collect();
    let of_name = scan().into_iter().filter(|p| p.name == name || p.name == short);
    let rows: Vec<_> = of_name.take(ROWS).collect();
    if rows.is_empty() { "none is running\n".to_owned() } else { table(rows.iter()) }
}

fn unit_status(unit: &str) -> Option<String> {
    let args = ["status", "--no-pager", "--full", "-n", "10", "--", unit];
    let mut command = Command::new("systemctl");
    command.args(args).env("SYSTEMD_COLORS", "0").env("LC_ALL", "C.UTF-8");
    run(command, PROGRAM_WITHIN).filter(|text| !text.is_empty())
}

/// What a program prints, as far as it comes within the time and the space; `None` when it cannot be started.
fn run(mut command: Command, within: i64) -> Option<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let output = listen(&mut child, within);
    // It may be done already; killing it then does nothing.
    let _ = child.kill();
    let _ = child.wait();
    Some(String::from_utf8_lossy(&output).into_owned())
}

fn listen(child: &mut Child, within: i64) -> Vec<u8> {
    let mut output = Vec::new();
    let Some(mut pipe) = child.stdout.take() else { return output };
    let clock = Clock::start();
    let until = clock.now().mono + within;
    let mut part = [0; 1024];
    while output.len() < TEXT_MAX {
        let left = (until - clock.now().mono).max(0);
        let wait = Timespec { tv_sec: left / SECOND, tv_nsec: left % SECOND };
        let ready = poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&wait));
        match ready {
            Ok(0) => break,
            Ok(_) => match pipe.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(n) => output.extend_from_slice(&part[..n]),
            },
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    output
}

/// One line as df prints it, asked on a thread that is left alone if the mount hangs.
fn space(mount: &str) -> Option<String> {
    let (tx, rx) = channel();
    let asked = mount.to_owned();
    let thread = std::thread::Builder::new().name("statvfs".to_owned());
    // Nobody hears the answer of a mount that hung.
    thread.spawn(move || drop(tx.send(rustix::fs::statvfs(&*asked)))).ok()?;
    let s = match rx.recv_timeout(MOUNT_WITHIN) {
        Ok(answer) => answer.ok()?,
        Err(_) => return Some(format!("{mount} does not answer\n")),
    };
    let size = |blocks: u64| bytes(blocks as f64 * s.f_frsize as f64);
    let percent = |used: u64, avail: u64| match used as f64 + avail as f64 {
        0.0 => "-".to_owned(),
        all => format!("{:.1}%", used as f64 / all * 100.0),
    };
    let used = s.f_blocks.saturating_sub(s.f_bfree);
    let inodes = s.f_files.saturating_sub(s.f_ffree);
    Some(format!(
        "{:>10}  {:>10}  {:>10}  {:>6}  {:>7}  MOUNT\n{:>10}  {:>10}  {:>10}  {:>6}  {:>7}  {mount}\n",
        "SIZE",
        "USED",
        "AVAIL",
        "USE %",
        "INODE %",
        size(s.f_blocks),
        size(used),
        size(s.f_bavail),
        percent(used, s.f_bavail),
        percent(inodes, s.f_favail),
    ))
}

/// `1.2 GiB`.
fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Without control characters, and cut to its limit at the end of a character.
fn bounded(text: &str) -> String {
    let clean = |c: char| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c };
    let mut out = String::with_capacity(text.len().min(TEXT_MAX));
    for c in text.chars().map(clean) {
        if out.len() + c.len_utf8() > TEXT_MAX {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, cpu: f64, rss: f64, age: Option<f64>) -> Process {
        Process { pid, name: format!("p{pid}"), state: 'S', cpu, rss, age }
    }

    #[test]
    fn a_table_is_sorted_and_bounded() {
        let mut all: Vec<_> = (0..20).map(|i| process(i, f64::from(i) / 100.0, 1e6, Some(5.0))).collect();
        all.push(process(99, 0.931, 1.5 * 1024.0 * 1024.0 * 1024.0, Some(90_061.7)));
        let text = top(&all, |p| p.cpu);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + ROWS);
        assert_eq!(lines[0], "     PID  S   CPU %         RSS       AGE  NAME");
        assert_eq!(lines[1], "      99  S    93.1     1.5 GiB     1d 1h  p99");
        assert_eq!(lines[2], "      19  S    19.0   976.6 KiB        5s  p19");
        assert!(top(&all, |p| p.rss).lines().nth(1).unwrap().ends_with("p99"));
    }

    #[test]
    fn text_is_cut_and_cleared() {
        let long = "é".repeat(TEXT_MAX);
        assert_eq!(bounded(&long).len(), TEXT_MAX);
        assert_eq!(bounded(&format!("a{long}")).len(), TEXT_MAX - 1);
        assert_eq!(bounded("a\u{1b}[31m\tb\n\r"), "a?[31m\tb\n?");
    }

    #[test]
    fn a_program_is_bounded_in_text_and_time() {
        let text = run(Command::new("yes"), 60 * SECOND).unwrap();
        assert!((TEXT_MAX..2 * TEXT_MAX).contains(&text.len()));
        let mut sleeper = Command::new("sleep");
        sleeper.arg("600");
        assert_eq!(run(sleeper, SECOND / 20).as_deref(), Some(""));
        assert_eq!(run(Command::new("/no/such/program"), SECOND), None);
    }

    #[test]
    fn each_class_has_its_evidence() {
        let titles = |category: &str, class: &str, name: &str| -> Vec<String> {
            evidence(category, class, name, Moment::at(7)).into_iter().map(|e| e.title).collect()
        };
        let (cpu, memory) = ("top processes by CPU", "top processes by memory");
        assert_eq!(titles("cpu/saturation", "host", "host"), [cpu]);
        assert_eq!(titles("memory/pressure", "host", "host"), [memory]);
        assert_eq!(titles("host/load", "host", "host"), [cpu, memory]);
        assert_eq!(titles("storage/filesystem", "fs", "/"), ["space on /"]);
        assert_eq!(titles("storage/filesystem", "fs", "/no/such/mount"), [""; 0]);
        assert_eq!(titles("service/endpoint", "check", "front"), [""; 0]);
        let none = evidence("service/process", "proc", "no such process", Moment::at(7));
        assert_eq!((none[0].text.as_str(), none[0].at.0), ("none is running\n", 7));
    }
}
