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
