//! `check_disk`: what is free there is what is used here.

use std::collections::BTreeMap;

use super::command::Target;
use super::id;
use super::options::Options;
use super::plugin::{BYTES, Made, Outcome, steps};
use crate::engine::cond::expr::literal;
use crate::engine::record::Severity;
use crate::engine::signal::Class;
use crate::import::draft::mount;
use crate::import::say::RATIO;

/// Types that `-l` (local only) leaves out.
const REMOTE: [&str; 4] = ["!nfs*", "!cifs", "!smb*", "!fuse.sshfs"];

/// Its arguments as rules.
pub fn read(words: &[String], target: &Target) -> Option<Outcome> {
    // `-E` says that paths are to be taken as they are, which is what `match` does.
    let options = Options::read(words, "wcWKpxXNugRrIit");
    let mut outcome = Outcome::default();
    let mut matches = BTreeMap::new();
    let (mut mounts, mut types): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let paths = options.each("p").into_iter().filter(|p| !p.is_empty());
    mounts.extend(paths.map(|p| mount(p).to_owned()));
    mounts.extend(options.rest.iter().filter(|r| r.starts_with('/')).map(|r| mount(r).to_owned()));
    if options.each("p").iter().any(|p| p.starts_with("/dev/")) {
        let devices = std::mem::take(&mut mounts);
        matches.insert("device".to_owned(), devices);
    }
    mounts.extend(
        options.each("x").into_iter().filter(|p| p.starts_with('/')).map(|p| format!("!{}", mount(p))),
    );
    types.extend(options.each("N").into_iter().map(str::to_owned));
    types.extend(options.each("X").into_iter().map(|t| format!("!{t}")));
    if options.get("l").is_some() || options.get("L").is_some() {
        types.extend(REMOTE.map(str::to_owned));
    }
    for (label, globs) in [("mount", mounts), ("fstype", types)] {
        let globs: Vec<String> = globs
            .into_iter()
            .map(|g| g.replace(['[', '{'], "?"))
            .filter(|g| g.len() > 1 || g == "/")
            .collect();
        if !globs.is_empty() {
            matches.insert(label.to_owned(), globs);
        }
    }
    for letter in ["r", "R", "i", "I", "g"] {
        if options.get(letter).is_some() {
            outcome.losses.push((
                format!("-{letter}"),
                "a selection by pattern or group is not carried over",
                "`match` in the rule",
            ));
        }
    }
    if ["w", "c"].iter().any(|o| options.each(o).len() > 1) {
        outcome.losses.push((
            String::new(),
            "several groups of limits: the first is taken",
            "a rule for each group",
        ));
    }
    let megabyte = match options.get("u").map(str::to_ascii_lowercase).as_deref() {
        None | Some("mb" | "mib" | "") => 1_048_576.0,
        Some("bytes" | "b") => 1.0,
        Some("kb" | "kib" | "k") => 1024.0,
        Some("gb" | "gib" | "g") => 1_073_741_824.0,
        Some("tb" | "tib" | "t") => 1_099_511_627_776.0,
        Some(_) => return None,
    };
    if let Some(raises) = steps(&options, |text| free(text, megabyte)) {
        let title = "{mount} is {fs.used} full, {fs.avail} left".to_owned();
        outcome.rules.push(Made {
            id: id(target, ""),
            class: Class::Fs,
            matches: matches.clone(),
            title,
            raises,
        });
    }
    if let Some(raises) = inodes(&options) {
        let title = "{mount} has {fs.inodes_used} of its inodes in use".to_owned();
        outcome.rules.push(Made { id: id(target, "-inodes"), class: Class::Fs, matches, title, raises });
    }
    Some(outcome)
}

/// A limit of what is free: a share, or an amount.
fn free(text: &str, unit: f64) -> Option<String> {
    let text = text.trim().trim_end_matches(':');
    if let Some(share) = text.strip_suffix('%') {
        let share =
            share.trim_end_matches(':').trim().parse::<f64>().ok().filter(|s| (0.0..100.0).contains(s))?;
        return Some(format!("fs.used > {}", literal((100.0 - share) / 100.0, RATIO)));
    }
    let amount = text.parse::<f64>().ok().filter(|a| a.is_finite() && *a >= 0.0)?;
    Some(format!("fs.avail < {}", literal(amount * unit, BYTES)))
}

fn inodes(options: &Options) -> Option<Vec<(Severity, String)>> {
    let mut raises = Vec::new();
    for (name, severity) in [("W", Severity::Warning), ("K", Severity::Critical)] {
        let share = options.get(name).map(|t| t.trim_end_matches(['%', ':']).parse::<f64>().ok());
        if let Some(share) = share {
            let share = share.filter(|s| (0.0..100.0).contains(s))?;
            raises.push((severity, format!("fs.inodes_used > {}", literal((100.0 - share) / 100.0, RATIO))));
        }
    }
    (!raises.is_empty()).then_some(raises)
}
