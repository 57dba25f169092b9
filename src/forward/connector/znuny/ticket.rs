//! Tickets of Znuny, read from JSON, and where their key stands.

use serde_json::Value as Json;

use super::super::names::Names;
use super::super::request::loose;
use super::super::tickets::Found;
use super::super::times;
use super::super::wanted::cut;
use crate::engine::effect::Stage;

/// The most characters of a title.
const TITLE_CHARS: usize = 255;
/// The user that owns what nobody owns.
const NOBODY: &str = "1";

/// A ticket as TicketGet shows it; `None` when it is none.
pub fn found(names: &Names, json: &Json) -> Option<Found> {
    let text = |name: &str| loose(&json[name]);
    let id = text("TicketID");
    if id.is_empty() || text("StateType").is_empty() {
        return None;
    }
    let assigned = text("OwnerID") != NOBODY;
    let touched = text("ChangeBy") != text("CreateBy");
    Some(Found {
        id,
        key: key(names, json),
        stage: stage(names, &text("StateType"), &text("State"), assigned, touched),
        assignee: Some(text("Owner")).filter(|owner| assigned && !owner.is_empty()),
        by: None,
        creator: text("CreateBy"),
        updated: times::changed(&text("Changed")),
        // Of the zone that is set there.
        wall: true,
        raw: json.clone(),
        ..Found::default()
    })
}

/// The title with the key, when that stands there.
pub fn title(names: &Names, subject: &str, key: &str) -> String {
    if !names.get("field.key").is_empty() {
        return cut(subject, TITLE_CHARS);
    }
    let tag = format!(" [{key}]");
    format!("{}{tag}", cut(subject, TITLE_CHARS - tag.len()))
}

/// The value of a dynamic field; empty when it has none.
pub fn dynamic(json: &Json, name: &str) -> String {
    let fields = json["DynamicField"].as_array().map_or(&[][..], Vec::as_slice);
    fields.iter().find(|f| f["Name"] == name).map_or(String::new(), |f| loose(&f["Value"]))
}

fn key(names: &Names, json: &Json) -> String {
    let field = names.get("field.key");
    if !field.is_empty() {
        return dynamic(json, field).split_whitespace().next().unwrap_or_default().to_owned();
    }
    let title = loose(&json["Title"]);
    let tag = title.rsplit_once("[sx-").and_then(|(_, rest)| rest.split_once(']'));
    tag.map_or(String::new(), |(key, _)| format!("sx-{key}"))
}

/// Where a ticket stands. We make a ticket `open` when its trouble comes back: only a person's hand makes it
/// more than new.
fn stage(names: &Names, kind: &str, state: &str, assigned: bool, touched: bool) -> Option<Stage> {
    Some(match kind {
        "new" | "open" if assigned => match kind {
            "new" => Stage::Acknowledged,
            _ => Stage::InProgress,
        },
        "new" => Stage::New,
        "open" if touched => Stage::Acknowledged,
        "open" => Stage::New,
        "pending reminder" | "pending auto" => Stage::OnHold,
        "closed" if state == names.get("state.cancelled") => Stage::Cancelled,
        "closed" => Stage::Resolved,
        "merged" | "removed" => Stage::Cancelled,
        _ => return None,
    })
}
