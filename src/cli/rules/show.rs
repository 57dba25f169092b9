//! `sexton rules show`: one rule as TOML that can be copied into a file of `rules.d`.

use std::fmt::Write;

use serde_json::json;

use super::rendered::{Key, Rendered, Table, render};
use crate::cli::FINDING;
use crate::config::{Config, Layer, Origin, Origins, nearest};
use crate::engine::plan::Rule;

/// Column at which places begin, for lines that are not longer.
const PLACES: usize = 44;

/// The rule as text or JSON.
///
/// # Errors
/// There is no such rule.
pub fn show(
    config: &Config,
    origins: &Origins,
    id: &str,
    with_places: bool,
    as_json: bool,
) -> Result<String, (u8, String)> {
    let rendered = find(config, origins, id)?;
    Ok(if as_json {
        format!("{:#}\n", document(&rendered))
    } else {
        shown(&rendered, config, origins, with_places)
    })
}

fn find(config: &Config, origins: &Origins, id: &str) -> Result<Rendered, (u8, String)> {
    if let Some(rule) = config.plan.rules.iter().find(|rule| rule.id == id) {
        return Ok(render(rule, None, config, origins));
    }
    if let Some(off) = origins.off().get(id) {
        return Ok(render(&off.rule, Some(off), config, origins));
    }
    let ids = config.plan.rules.iter().map(|r| r.id.as_str()).chain(origins.off().keys().map(String::as_str));
    let near = match nearest(id, ids) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Err((FINDING, format!("there is no rule `{id}`{near} (`sexton rules list` names them all)")))
}

fn shown(rendered: &Rendered, config: &Config, origins: &Origins, with_places: bool) -> String {
    let rule = &rendered.rule;
    let mut out = head(rendered, config, origins);
    // Nobody can write a companion: it comes with its rule.
    let comment = if rule.silence.of.is_some() { "# " } else { "" };
    for table in rendered.tables() {
        out.push('\n');
        table.notes.iter().for_each(|note| {
            let _ = writeln!(out, "# {note}");
        });
        // An override of a companion is written like any other.
        let is_override = table.header == "[[override]]";
        let comment = if is_override { "" } else { comment };
        let with_places = with_places && (is_override || rule.silence.of.is_none());
        let _ = writeln!(out, "{comment}{}", table.header);
        for key in &table.keys {
            for line in line(key, with_places).lines() {
                let _ = writeln!(out, "{}", format!("{comment}{line}").trim_end());
            }
        }
    }
    out
}

/// Where the rule stands, and what a reader should know that is no key of it.
fn head(rendered: &Rendered, config: &Config, origins: &Origins) -> String {
    let rule = &rendered.rule;
    let mut out = format!("# {}: rule of class {}, {}", rule.id, rule.class.name(), rule.origin);
    match rendered.overrides {
        0 => {}
        1 => out.push_str(", 1 override"),
        n => {
            let _ = write!(out, ", {n} overrides");
        }
    }
    out.push('\n');
    if let Some(of) = &rule.silence.of {
        let _ = writeln!(
            out,
            "# It comes with rule {of} and says that that one is blind; it has no keys of its own."
        );
        let _ = writeln!(
            out,
            "# To change it: [[override]] with rule = \"{}\", or `nodata_after` of {of}.",
            rule.id
        );
    }
    if let Some(place) = &rendered.off {
        let _ = writeln!(out, "# It is switched off: {place}");
    }
    if rule.steps.iter().any(|s| s.impact.is_none()) {
        let _ = writeln!(out, "# impact: not written, so {}", impact(rule, config));
    }
    if rule.stale == 0 {
        out.push_str("# stale: not written, so 3 × the interval of a signal, at least 30s\n");
    }
    for id in explained_by(rule, origins) {
        let _ = writeln!(out, "# Rule {id} suppresses it.");
    }
    out
}

fn impact(rule: &Rule, config: &Config) -> String {
    let plan = &config.plan;
    let named = rule.service.as_ref().and_then(|name| plan.services.iter().find(|s| s.name == *name));
    match (named.and_then(|s| s.tier), plan.host.tier) {
        (Some(tier), _) => format!("{tier}, the tier of its service"),
        (None, Some(tier)) => format!("the tier of the service, else that of the host, {tier}"),
        (None, None) => "the tier of the service, else 3".to_owned(),
    }
}

fn explained_by<'o>(rule: &Rule, origins: &'o Origins) -> Vec<&'o str> {
    let names = |all: &[(String, Vec<String>)]| all.iter().any(|(id, _)| *id == rule.id);
    let all = origins.relations().iter().filter(|(_, relations)| names(&relations.suppresses));
    all.map(|(id, _)| id.as_str()).collect()
}

fn line(key: &Key, with_places: bool) -> String {
    let line = format!("{} = {}", key.name, key.value);
    if !with_places {
        return line;
    }
    let place = key.origin.as_ref().map_or_else(|| "default".to_owned(), place);
    let last = line.lines().last().unwrap_or_default().chars().count();
    let gap = PLACES.saturating_sub(last).max(2);
    format!("{line}{:gap$}# {place}", "")
}

/// The place, and what stands there when it is not the rule itself.
fn place(origin: &Origin) -> String {
    let place = &origin.place;
    match &origin.layer {
        Layer::Rule => place.clone(),
        Layer::Template(name) => format!("{place} template {name}"),
        Layer::Defaults => format!("{place} [defaults]"),
        Layer::Override => format!("{place} override"),
    }
}

fn document(rendered: &Rendered) -> serde_json::Value {
    let key =
        |key: &Key| json!({ "key": key.name, "toml": key.value, "origin": key.origin.as_ref().map(place) });
    let table = |table: &Table| json!({ "table": table.header, "keys": table.keys.iter().map(key).collect::<Vec<_>>() });
    json!({
        "id": rendered.rule.id,
        "enabled": rendered.enabled,
        "origin": rendered.rule.origin,
        "hash": rendered.rule.hash,
        "tables": rendered.tables().iter().map(table).collect::<Vec<_>>(),
    })
}
