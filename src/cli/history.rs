//! `sexton history`: which series are kept, and what they were; from the daemon, or straight from the file.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::handle::{RequestError, path, request};
use super::table::lay_out;
use super::{COULD_NOT_RUN, FINDING, FINE, SocketArgs, fail, say};
use crate::clock::Clock;
use crate::control::{Refusal, SamplesWanted};
use crate::daemon::past;
use crate::engine::moment::Stamp;
use crate::history::{Archive, HistoryError};

/// What `sexton history` takes.
#[derive(Clone, Debug, Args)]
pub struct HistoryArgs {
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
    /// Read history.db in this directory instead of asking the daemon
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What is to be shown; without it, as `ls`.
    #[command(subcommand)]
    pub verb: Option<HistoryVerb>,
}

/// A look into the history.
#[derive(Clone, Debug, Subcommand)]
pub enum HistoryVerb {
    /// List the series
    Ls {
        /// Only those whose name holds this text
        text: Option<String>,
    },
    /// Show the samples of a series
    Show {
        /// Its name as `ls` prints it: cpu.busy, 'fs.used{mount=/data}'
        series: String,
        /// From then on: RFC 3339, or so long ago ("2h"); by default an hour ago
        #[arg(long, value_name = "TIME", value_parser = moment)]
        from: Option<When>,
        /// Until then; by default now
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: Option<When>,
        /// Five minutes a row: count, sum, least, largest, first and last value
        #[arg(long)]
        rollup: bool,
        /// Comma-separated values with a head
        #[arg(long, conflicts_with = "json")]
        csv: bool,
    },
}

/// A moment as people give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At that time.
    At(Stamp),
    /// So many nanoseconds ago.
    Ago(i64),
}

pub(super) fn moment(text: &str) -> Result<When, String> {
    if let Ok(stamp) = text.parse() {
        return Ok(When::At(stamp));
    }
    crate::config::value::duration(text)
        .map(When::Ago)
        .map_err(|_| "neither a time (2026-11-22T10:00:00Z) nor a duration (2h)".to_owned())
}

impl When {
    /// That moment, seen from now.
    pub(super) fn stamp(self, now: Stamp) -> Stamp {
        match self {
            When::At(stamp) => stamp,
            When::Ago(ns) => now.plus(-ns),
        }
    }
}

/// Reads and prints.
pub fn run(args: &HistoryArgs) -> u8 {
    let source = match Source::open(args) {
        Ok(source) => source,
        Err(code) => return code,
    };
    let done = match &args.verb {
        None => ls(args, &source, None),
        Some(HistoryVerb::Ls { text }) => ls(args, &source, text.as_deref()),
        Some(HistoryVerb::Show { series, from, to, rollup, csv }) => {
            let now = Clock::start().now().stamp();
            let from = Some(from.unwrap_or(When::Ago(crate::engine::moment::HOUR)).stamp(now));
            let to = to.map(|to| to.stamp(now));
            let wanted = SamplesWanted { series: series.clone(), from, to, rollup: *rollup };
            show(args, &source, wanted, *csv)
        }
    };
    done.unwrap_or_else(|code| code)
}

/// Where answers come from.
enum Source<'a> {
    Daemon(&'a Path),
    File(Archive),
}

impl<'a> Source<'a> {
    fn open(args: &'a HistoryArgs) -> Result<Self, u8> {
        match &args.dir {
            None => Ok(Self::Daemon(&args.socket.socket)),
            Some(dir) => Archive::open(dir).map(Self::File).map_err(|e| fail(COULD_NOT_RUN, &e.to_string())),
        }
    }

    fn ask(&self, url: &str) -> Result<Value, u8> {
        let Self::Daemon(socket) = self else { return Ok(Value::Null) };
        request(socket, "GET", url, &Value::Null).map_err(|error: RequestError| error.report())
    }

    fn series(&self) -> Result<Value, u8> {
        match self {
            Self::Daemon(_) => self.ask("/v1/history"),
            Self::File(archive) => answer(past::list(&mut archive.reader())),
        }
    }

    fn page(&self, wanted: &SamplesWanted) -> Result<Value, u8> {
        match self {
            Self::Daemon(_) => self.ask(&url(wanted)),
            Self::File(archive) => answer(past::samples(&mut archive.reader(), wanted)),
        }
    }
}

fn url(wanted: &SamplesWanted) -> String {
    // Escaped as a segment of a path is; a query needs no more.
    let escaped = path(&[&wanted.series]);
    let mut url = format!("/v1/history/samples?series={}", &escaped["/v1/".len()..]);
    for (name, stamp) in [("from", wanted.from), ("to", wanted.to)] {
        if let Some(stamp) = stamp {
            url.push_str(&format!("&{name}={stamp}"));
        }
    }
    url + &format!("&rollup={}", wanted.rollup)
}

fn answer(outcome: Result<Result<Value, Refusal>, HistoryError>) -> Result<Value, u8> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Refusal::NotFound(why) | Refusal::Conflict(why) | Refusal::Failed(why))) => {
            Err(fail(FINDING, &why))
        }
        Err(error) => Err(fail(COULD_NOT_RUN, &error.to_string())),
    }
}

fn ls(args: &HistoryArgs, source: &Source<'_>, text: Option<&str>) -> Result<u8, u8> {
    let mut answer = source.series()?;
    if let (Some(text), Some(rows)) = (text, answer["series"].as_array_mut()) {
        rows.retain(|row| row["series"].as_str().is_some_and(|name| name.contains(text)));
    }
    if args.json {
        say(&format!("{answer:#}\n"));
        return Ok(FINE);
    }
    let row = |row: &Value| {
        let labels = row["labels"].as_object().into_iter().flatten();
        let labels: Vec<String> = labels.map(|(k, v)| format!("{k}={}", plain(v))).collect();
        vec![plain(&row["series"]), plain(&row["class"]), labels.join(" ")]
    };
    let rows: Vec<Vec<String>> = answer["series"].as_array().into_iter().flatten().map(row).collect();
    say(&if rows.is_empty() { "no series\n".to_owned() } else { lay_out(&rows) });
    Ok(FINE)
}

fn show(args: &HistoryArgs, source: &Source<'_>, wanted: SamplesWanted, csv: bool) -> Result<u8, u8> {
    let head: &[&str] = if wanted.rollup { &ROLLUP_HEAD } else { &SAMPLE_HEAD };
    if csv {
        say(&(head.join(",") + "\n"));
    }
    let mut wanted = wanted;
    let mut all = 0;
    loop {
        let page = source.page(&wanted)?;
        let rows = page["rows"].as_array().cloned().unwrap_or_default();
        all += rows.len();
        let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, csv)).collect();
        if args.json {
            rows.iter().for_each(|row| say(&format!("{row}\n")));
        } else if csv {
            cells.iter().for_each(|row| say(&(row.join(",") + "\n")));
        } else if !cells.is_empty() {
            let titles = head.iter().map(|title| title.to_uppercase()).collect();
            say(&lay_out(&[vec![titles], cells].concat()));
        }
        match page["next"].as_str().and_then(|next| next.parse().ok()) {
            Some(next) => wanted.from = Some(next),
            None => break,
        }
    }
    if all == 0 && !csv && !args.json {
        say("no samples in that time\n");
    }
    Ok(FINE)
}

/// Columns of samples; as the replayed recordings have them.
const SAMPLE_HEAD: [&str; 2] = ["t", "value"];
/// Columns of rollups.
const ROLLUP_HEAD: [&str; 7] = ["t", "count", "sum", "min", "max", "first", "last"];

fn cells(row: &Value, csv: bool) -> Vec<String> {
    let word = |value: &Value| match value {
        Value::String(text) if csv && text.contains([',', '"', '\n']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        // An empty cell is a missing sample.
        Value::Null if !csv => "-".to_owned(),
        other => plain(other),
    };
    match row.as_array() {
        Some(pair) => pair.iter().map(word).collect(),
        None => ["at", "count", "sum", "min", "max", "first", "last"].map(|key| word(&row[key])).to_vec(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_moments_or_so_long_ago() {
        assert_eq!(moment("2h"), Ok(When::Ago(2 * crate::engine::moment::HOUR)));
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(When::At(Stamp(1_000_000_000))));
        assert!(moment("yesterday").is_err());
        assert_eq!(When::Ago(5).stamp(Stamp(7)), Stamp(2));
    }

    #[test]
    fn rows_are_cells_and_a_missing_value_is_an_empty_one() {
        let at = Stamp(1_000_000_000);
        assert_eq!(cells(&json!([at, 0.5]), true), ["1970-01-01T00:00:01Z", "0.5"]);
        assert_eq!(cells(&json!([at, null]), true)[1], "");
        assert_eq!(cells(&json!([at, null]), false)[1], "-");
        assert_eq!(cells(&json!([at, "a \"b\", c"]), true)[1], "\"a \"\"b\"\", c\"");
    }

    #[test]
    fn names_of_series_survive_the_address() {
        let series = "fs.used{mount=/srv/a b&c}".to_owned();
        let wanted = SamplesWanted { series, from: Some(Stamp(0)), to: None, rollup: true };
        let expected = "/v1/history/samples?series=fs.used%7Bmount%3D%2Fsrv%2Fa%20b%26c%7D\
                        &from=1970-01-01T00:00:00Z&rollup=true";
        assert_eq!(url(&wanted), expected);
    }
}
