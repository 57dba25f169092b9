//! Tickets of Zammad, read from JSON.

use serde_json::Value as Json;

use super::super::names::Names;
use super::super::request::loose;
use super::super::tickets::Found;
use super::super::times;
use crate::engine::effect::Stage;

/// The name of the user that stands for nobody.
const NOBODY: &str = "-";

/// A ticket as `expand=true` shows it; `None` when it is none.
pub fn found(names: &Names, json: &Json) -> Option<Found> {
    let text = |name: &str| loose(&json[name]);
    let id = text("id");
    if id.is_empty() || text("state").is_empty() {
        return None;
    }
    let some = |text: String| Some(text).filter(|t| !t.is_empty() && t != NOBODY);
    let (creator, assignee, by) = (text("created_by"), some(text("owner")), some(text("updated_by")));
    let by = by.filter(|b| *b != creator);
    Some(Found {
        id,
        key: keys(&text(names.get("field.key"))).0,
        stage: stage(names, &text("state"), assignee.is_some(), by.is_some()),
        assignee,
        by,
        creator,
        updated: times::changed(&text("updated_at")),
        raw: json.clone(),
        ..Found::default()
    })
}

/// Record key and alert key as [`together`] wrote them.
pub fn keys(text: &str) -> (String, String) {
    let mut words = text.split_whitespace().filter(|w| w.starts_with("sx-"));
    let mut next = || words.next().unwrap_or_default().to_owned();
    (next(), next())
}

/// Both keys in one field.
pub fn together(key: &str, alert_key: &str) -> String {
    format!("{key} {alert_key}").trim_end().to_owned()
}

/// Where a ticket stands. `open` is what Zammad makes of a ticket that somebody answered, and what we make of
/// one that came back: only a person's hand makes it more than new.
fn stage(names: &Names, state: &str, assigned: bool, touched: bool) -> Option<Stage> {
    let is = |entry: &str| names.get(entry) == state;
    Some(match state {
        "merged" | "removed" => Stage::Cancelled,
        _ if is("state.resolved") || state == "closed" => Stage::Resolved,
        _ if is("state.hold") && !is("state.open") => Stage::OnHold,
        "pending reminder" | "pending close" => Stage::OnHold,
        _ if is("state.open") && assigned => Stage::InProgress,
        _ if is("state.new") && !assigned => Stage::New,
        _ if is("state.open") && !touched => Stage::New,
        _ if is("state.open") || is("state.new") => Stage::Acknowledged,
        _ => return None,
    })
}
