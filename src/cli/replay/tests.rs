//! `sexton replay` as a whole: CSV in, text, JSON or a page out.

use super::*;
use crate::cli::doors::doors;

fn args(dir: &tempfile::TempDir, format: Format) -> ReplayArgs {
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let values = [10, 95, 95, 95, 10, 10, 95, 10];
    let rows: String = values.iter().enumerate().map(|(i, v)| format!("{},{v}\n", i * 60)).collect();
    let load = file("load.csv", &format!("time,value\n{rows}"));
    let rule = "[[rule]]\nid = \"busy\"\non = \"host\"\nfor = \"0s\"\nkeep = \"0s\"\nraise = \"cpu.busy > 90%\"\nclear = \"cpu.busy < 50%\"\n";
    ReplayArgs {
        series: SeriesArgs {
            series: vec![format!("cpu.busy={}*1%", load.display())],
            rule: Some("busy".to_owned()),
            threads: Some(1),
            ..SeriesArgs::default()
        },
        config: file("rules.toml", rule),
        labels: Some(file("labels.csv", "series,start,end\nload,60,120\n")),
        slack: 0,
        format,
    }
}

fn played(format: Format) -> String {
    let dir = tempfile::tempdir().unwrap();
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    replay(&args(&dir, format), &doors(), &facts).unwrap()
}

#[test]
fn text_has_a_row_per_rule() {
    let text = played(Format::Text);
    assert!(
        text.starts_with("8 samples of one host, 7m in all, from 1970-01-01 00:00 to 1970-01-01 00:07\n"),
        "{text}"
    );
    let row = text.lines().find(|l| l.trim_start().starts_with("busy")).unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(
        cells,
        ["busy", "1", "1440", "2", "1", "0", "4m", "3m", "1/1", "0s", "1", "75", "%"],
        "{text}"
    );
}

#[test]
fn a_rule_is_played_with_those_it_needs_and_shown_alone() {
    let dir = tempfile::tempdir().unwrap();
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let mut args = ReplayArgs { labels: None, ..args(&dir, Format::Json) };
    let rule = |id: &str, raise: &str, more: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\non = \"host\"\nfor = \"0s\"\nkeep = \"0s\"\nraise = \"{raise}\"\nclear = \"not ({raise})\"\n{more}\n"
        )
    };
    let text = rule("t-root", "cpu.busy > 80%", "")
        + &rule("t-symptom", "cpu.busy > 90%", "depends = [\"t-root\"]")
        + &rule("t-count", "events('raise/t-symptom', 1h) >= 2", "");
    std::fs::write(&args.config, text).unwrap();
    let mut figures = |glob: &str| {
        args.series.rule = Some(glob.to_owned());
        let json: serde_json::Value =
            serde_json::from_str(&replay(&args, &doors(), &facts).unwrap()).unwrap();
        let row = |r: &serde_json::Value| format!("{} {}/{}", r["rule"], r["incidents"], r["raises"]);
        let rows: Vec<_> = json["rules"].as_array().unwrap().iter().map(row).collect();
        (rows.join(", ").replace('"', ""), json["all"]["raises"].as_u64())
    };
    assert_eq!(figures("t-symptom"), ("t-symptom 0/2".to_owned(), Some(2)), "its parent explains it");
    assert_eq!(figures("t-count"), ("t-count 1/1".to_owned(), Some(1)), "events of another are counted");
    assert_eq!(figures("t-*").0, "t-count 1/1, t-root 1/2, t-symptom 0/2");
}

#[test]
fn json_and_html_say_the_same() {
    let json: serde_json::Value = serde_json::from_str(&played(Format::Json)).unwrap();
    assert_eq!(
        (json["all"]["incidents"].as_u64(), json["rules"][0]["hits"]["hit"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(json["raised"][""].as_array().map(Vec::len), Some(2));
    let page = played(Format::Html);
    assert_eq!(page.matches("<svg").count(), 1);
    assert_eq!(page.matches("class=\"band warning\"").count(), 2);
    assert_eq!(page.matches("class=\"window\"").count(), 1);
    for outside in ["http://", "https://", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "the page stands alone: {outside}");
    }
}

#[test]
fn labels_that_are_about_nothing_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let args = args(&dir, Format::Text);
    let told = |labels: &str| {
        std::fs::write(args.labels.as_ref().unwrap(), format!("series,subject,start,end\n{labels}")).unwrap();
        replay(&args, &doors(), &facts)
    };
    let text = told("load,,60,120\nload,cpu.busy,60,120\nload,m07,60,120\nother,,1,2\n").unwrap();
    assert!(
        text.contains("2 labelled windows are about no series here, and not counted: load (m07), other"),
        "{text}"
    );
    assert!(text.contains(" 1/1 "), "a signal is a subject too, and the same window once: {text}");
    let (code, why) = told("load.csv,,60,120\n").unwrap_err();
    assert_eq!(code, COULD_NOT_RUN);
    assert!(why.contains("none of the windows is about a series here: load ("), "{why}");
}

#[test]
fn what_cannot_be_played_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let why = |change: &dyn Fn(&mut ReplayArgs)| {
        let mut args = args(&dir, Format::Text);
        change(&mut args);
        replay(&args, &doors(), &facts).unwrap_err()
    };
    assert_eq!(
        why(&|a| a.series.rule = Some("none*".into())),
        (COULD_NOT_RUN, "no rule matches `none*`".to_owned())
    );
    assert_eq!(why(&|a| a.labels = Some("away.csv".into())).0, COULD_NOT_RUN);
    assert_eq!(why(&|a| a.config = "away.toml".into()).0, COULD_NOT_RUN);
}

static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

/// A history of an hour that is still being written: busy for ten minutes of it.
async fn history(dir: &std::path::Path) -> crate::history::History {
    use crate::engine::moment::{MINUTE, Moment, SECOND};
    use crate::engine::signal::{Class, Instance, Observation, metric};
    let now = || Moment::at(NOW.load(std::sync::atomic::Ordering::Relaxed));
    let host = Instance::of(Class::Host, &[]);
    let plan = crate::engine::option::HistoryPlan { dir: dir.to_owned(), limit: 8 << 20 };
    let start = 1_790_000_000 * SECOND;
    NOW.store(start, std::sync::atomic::Ordering::Relaxed);
    let mut kept = crate::history::History::start(&plan, Clock::told(now));
    for minute in 0..60 {
        let at = Moment::at(start + minute * MINUTE);
        NOW.store(at.mono, std::sync::atomic::Ordering::Relaxed);
        let busy = if (20..30).contains(&minute) { 0.95 } else { 0.1 };
        kept.keep(
            at,
            [Observation::new(at, std::sync::Arc::clone(&host), MINUTE).with(metric("cpu.busy"), busy)],
        );
        kept.flush();
        // The thread's pace is ours.
        kept.asker().read(|_| Ok(())).await.unwrap();
    }
    kept
}

#[test]
fn without_files_the_hosts_own_history_is_played_while_it_is_written() {
    let (rules, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kept = runtime.block_on(history(dir.path()));
    let played = |change: &dyn Fn(&mut ReplayArgs)| {
        let mut args = ReplayArgs { labels: None, ..args(&rules, Format::Text) };
        args.series.series.clear();
        args.series.history = Some(dir.path().to_owned());
        change(&mut args);
        replay(&args, &doors(), &facts)
    };
    let text = played(&|_| {}).unwrap();
    assert!(text.starts_with("60 samples of one host, 59m in all, from 2026-09-21 14:13 to"), "{text}");
    let row = |text: &str| -> Vec<String> {
        let row = text.lines().find(|l| l.trim_start().starts_with("busy")).unwrap_or_default();
        row.split_whitespace().take(4).map(str::to_owned).collect()
    };
    assert_eq!(row(&text)[..2], ["busy", "1"], "{text}");
    let page = played(&|a| a.format = Format::Html).unwrap();
    assert_eq!((page.matches("<svg").count(), page.matches("class=\"band warning\"").count()), (1, 1));
    let at = |minute: i64| When::At(Stamp(1_790_000_000_000_000_000).plus(minute * 60_000_000_000));
    let text = played(&|a| (a.series.from, a.series.to) = (Some(at(40)), Some(at(50)))).unwrap();
    assert!(text.starts_with("11 samples") && text.contains("nothing was raised"), "{text}");
    let why = |change: &dyn Fn(&mut ReplayArgs)| played(change).unwrap_err().1;
    let early = why(&|a| a.series.to = Some(at(-60)));
    assert!(
        early.contains("the history has no samples of that time; it has them from 2026-09-21"),
        "{early}"
    );
    assert!(
        why(&|a| (a.series.from, a.series.to) = (Some(at(2)), Some(at(1)))).contains("is not before --to")
    );
    let away = why(&|a| a.series.history = Some(rules.path().to_owned()));
    assert!(away.contains("there is no history at") && away.contains("--history DIR"), "{away}");
    runtime.block_on(kept.close());
}
