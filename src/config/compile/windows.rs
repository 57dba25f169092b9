//! `[[window]]`: unique, about rules that exist, and about this host.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Known, overrides};
use crate::config::diagnose::Report;
use crate::config::door;
use crate::config::raw::RawWindow;
use crate::engine::suppress::Window;

/// Compiles windows in the order of the files; those of other hosts are left out.
pub fn compile(
    raws: &[RawWindow],
    rules: &BTreeMap<String, Known>,
    host: &str,
    report: &mut Report,
) -> Vec<Arc<Window>> {
    door::unique("window", raws.iter().map(|w| &w.id), report);
    let mut windows = Vec::with_capacity(raws.len());
    for raw in raws {
        for text in &raw.rules {
            let glob = text.value.strip_prefix('!').unwrap_or(&text.value);
            if !rules.keys().any(|id| crate::engine::plan::glob_matches(glob, id)) {
                report.add(overrides::unknown(
                    text.at,
                    glob,
                    rules.keys().map(String::as_str),
                    "matches no rule",
                ));
            }
        }
        if raw.hosts.accepts(host) {
            let origin = report.origin(raw.at);
            windows.push(Arc::new(Window { origin, ..raw.window.clone() }));
        }
    }
    windows
}
