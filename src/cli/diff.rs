//! `sexton diff`: what would a new rule set raise more, less, earlier or later than the old one?

use std::path::PathBuf;

use super::replay::{SeriesArgs, comparison, rules, series, threads, watched};
use super::{FINE, fail, say};
use crate::config::{Doors, HostFacts};
use crate::workshop::compare::compare;
use crate::workshop::replay::report;

/// Arguments of `sexton diff`.
#[derive(clap::Args, Clone, Debug)]
pub struct DiffArgs {
    /// The rules as they are: a configuration directory, or a rule file
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The rules as they are to be
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// What both are played on.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Compares and prints to standard output.
pub fn run(args: &DiffArgs, doors: &Doors, facts: &HostFacts) -> u8 {
    match diff(args, doors, facts) {
        Ok(text) => {
            say(&text);
            FINE
        }
        Err((code, why)) => fail(code, &why),
    }
}

fn diff(args: &DiffArgs, doors: &Doors, facts: &HostFacts) -> Result<String, (u8, String)> {
    let rule = args.series.rule.as_deref();
    let (old, new) = (rules(&args.old, rule, doors, facts)?, rules(&args.new, rule, doors, facts)?);
    let (dropped, hosts) = series(&args.series, &new.dir)?;
    let threads = threads(&args.series);
    let before = watched(&old, &hosts, threads, "old rules")?;
    let of_old = report(&old.shown, &hosts, &before, None, dropped);
    let after = watched(&new, &hosts, threads, "new rules")?;
    let of_new = report(&new.shown, &hosts, &after, None, dropped);
    let found = compare(&before, &after).short_of(&of_old, &of_new);
    Ok(if args.json {
        serde_json::to_string_pretty(&found).unwrap_or_default() + "\n"
    } else {
        comparison(&found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doors::doors;

    #[test]
    fn a_lower_limit_raises_earlier_and_more() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let rule = |limit: u32| {
            format!(
                "[[rule]]\nid = \"busy\"\non = \"host\"\nfor = \"0s\"\nkeep = \"0s\"\nraise = \"cpu.busy > {limit}%\"\nclear = \"cpu.busy < 50%\"\n"
            )
        };
        let values = [10, 82, 95, 10, 10, 85, 10];
        let rows: String = values.iter().enumerate().map(|(i, v)| format!("{},{v}\n", i * 60)).collect();
        let series = file("load.csv", &format!("time,value\n{rows}"));
        let args = DiffArgs {
            old: file("old.toml", &rule(90)),
            new: file("new.toml", &rule(80)),
            series: SeriesArgs {
                series: vec![format!("cpu.busy={}*1%", series.display())],
                rule: Some("busy".to_owned()),
                threads: Some(2),
                ..SeriesArgs::default()
            },
            json: false,
        };
        let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
        let text = diff(&args, &doors(), &facts).unwrap();
        assert!(text.contains("raised 1 more, 1 earlier"), "{text}");
        assert!(text.contains("earlier  1m  1970-01-01 00:01  busy  host  warning"), "{text}");
        assert!(text.contains("busy  1          "), "a reopen is no other incident: {text}");
        let same = DiffArgs { new: args.old.clone(), ..args };
        assert_eq!(diff(&same, &doors(), &facts).unwrap(), "no difference: 1 rule raises the same\n");
        // A row that goes back is left out, and that is said.
        std::fs::write(&series, format!("time,value\n{rows}0,10\n")).unwrap();
        let said = diff(&same, &doors(), &facts).unwrap();
        assert!(
            said.ends_with("the same\n\nIn both one sample that goes back in time was left out.\n"),
            "{said}"
        );
    }
}
