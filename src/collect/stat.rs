//! `/proc/PID/stat` (proc_pid_stat(5)): what one line says of a process.
//!
//! A zombie is not alive, unless other threads of it are (its first thread may end before them).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Longest line of `/proc/PID/stat`, longest `argv[0]` looked at.
const LINE_MAX: usize = 2048;

/// What the line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// One letter: R runs, S sleeps, D waits for a device, Z is a zombie, T is stopped.
    pub state: char,
    /// Threads.
    pub threads: u64,
    /// Processor time, user and system, in ticks.
    pub cpu_ticks: u64,
    /// When it started, in ticks since boot.
    pub started_ticks: u64,
    /// Resident memory in pages.
    pub rss_pages: u64,
}

impl Stat {
    /// Reads one line. The name in parentheses may hold anything, parentheses and line ends included.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut words = rest.split_ascii_whitespace();
        let state = words.next()?.chars().next()?;
        // The manual counts fields from 1, and the state is the third.
        let mut field = [0_u64; 25];
        for (slot, word) in field[4..].iter_mut().zip(words.by_ref()) {
            // Some are signed; none of those that count here may be below zero.
            *slot = word.parse().or_else(|_| word.parse::<i64>().map(|_| 0)).ok()?;
        }
        // Two more stand behind the last one wanted, so that a line cut short is not taken for whole.
        words.next()?;
        let cpu_ticks = field[14].saturating_add(field[15]);
        Some(Self { state, threads: field[20], cpu_ticks, started_ticks: field[22], rss_pages: field[24] })
    }

    /// It runs, sleeps or waits.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }

    /// Reads the line of an open `/proc/PID/stat`.
    pub fn read(file: &File) -> io::Result<Self> {
        Self::parse(&head(file)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Opens and reads the line of a process.
    pub fn open(pid: i32) -> io::Result<(Self, File)> {
        let file = File::open(format!("/proc/{pid}/stat"))?;
        Ok((Self::read(&file)?, file))
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> f64 {
        self.rss_pages as f64 * rustix::param::page_size() as f64
    }

    /// Seconds since its start, `uptime` seconds after boot. `None` where the two are not of one clock
    /// (containers).
    pub fn age(&self, uptime: f64) -> Option<f64> {
        let age = uptime - self.started_ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        (age >= 0.0).then_some(age)
    }
}

/// The beginning of a small file of `/proc`.
pub(super) fn head(file: &File) -> io::Result<String> {
    let mut text = [0; LINE_MAX];
    let length = file.read_at(&mut text, 0)?;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

/// A process's `comm`.
pub(super) fn comm(pid: i32) -> io::Result<String> {
    let mut name = head(&File::open(format!("/proc/{pid}/comm"))?)?;
    if name.ends_with('\n') {
        name.pop();
    }
    Ok(name)
}

/// Seconds since boot in the text of `/proc/uptime`, as the start times of processes are counted.
pub(super) fn uptime(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "4242 (a) b (c\n) S 1 4242 4242 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 3 0 123456 99 \
                        512 18446744073709551615 1 1";

    #[test]
    fn a_line_survives_any_name() {
        let (state, cpu_ticks, started_ticks) = ('S', 200, 123_456);
        let stat = Stat { state, threads: 3, cpu_ticks, started_ticks, rss_pages: 512 };
        assert_eq!(Stat::parse(LINE), Some(stat));
        let cut = LINE.split_once(" 512").unwrap().0;
        for odd in ["", "1 (x", "1 (x) S 1 2 3", cut, "1 (x) S a b c d e f g h i j k l m n o p q r s t u v w"]
        {
            assert_eq!(Stat::parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn zombies_are_dead_unless_their_threads_live() {
        let zombie = |threads: u32| {
            let line =
                LINE.replace(") S ", ") Z ").replace("20 0 3 0 123456", &format!("20 0 {threads} 0 123456"));
            Stat::parse(&line).unwrap().is_alive()
        };
        assert!(!zombie(1));
        assert!(zombie(2));
    }

    #[test]
    fn our_own_line_makes_sense() {
        let me = i32::try_from(std::process::id()).unwrap();
        let (stat, _) = Stat::open(me).unwrap();
        assert!(stat.is_alive() && stat.rss() > 1e5 && stat.threads >= 1);
        let up = uptime(&std::fs::read_to_string("/proc/uptime").unwrap()).unwrap();
        assert!(stat.age(up).is_none_or(|age| age < up));
        assert_eq!(stat.age(-1.0), None);
    }
}
