//! An issue as Jira tells it, and the ways that lead out of its status.

use serde_json::Value as Json;

use super::super::names::Names;
use super::super::tickets::Found;
use super::super::times;
use crate::engine::effect::Stage;

/// The fields that are asked for.
pub const FIELDS: &[&str] =
    &["summary", "status", "labels", "assignee", "priority", "resolution", "creator", "updated"];

/// One way out of a status.
#[derive(Clone, Debug)]
pub struct Way {
    /// Its id, as the request names it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Name of the status it leads to.
    pub to: String,
    /// Where it leads.
    pub stage: Stage,
    /// Its screen asks for a resolution.
    pub resolution: bool,
}

/// Reads an issue. The key is the label that begins with `sx-` and is no alert key.
pub fn found(names: &Names, json: &Json) -> Found {
    let fields = &json["fields"];
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let labels = fields["labels"].as_array().cloned().unwrap_or_default();
    let key =
        labels.iter().filter_map(Json::as_str).find(|l| l.starts_with("sx-") && !l.starts_with("sx-a-"));
    let status = &fields["status"];
    let mut stage =
        stage(names, status["name"].as_str().unwrap_or(""), category(status), &fields["resolution"]);
    let ways = ways(names, json);
    // Closed for good is what has no way back.
    if stage == Some(Stage::Closed) && ways.iter().any(|way| way.stage.is_open()) {
        stage = Some(Stage::Resolved);
    }
    let person = |value: &Json| text(&value["displayName"]).or_else(|| text(&value["name"]));
    let note = text(&fields["resolution"]["name"])
        .map(|r| format!("{}: {r}", status["name"].as_str().unwrap_or("")));
    Found {
        id: text(&json["key"]).unwrap_or_default(),
        key: key.unwrap_or_default().to_owned(),
        stage,
        assignee: person(&fields["assignee"]),
        by: None,
        creator: text(&fields["creator"]["accountId"])
            .or_else(|| text(&fields["creator"]["name"]))
            .unwrap_or_default(),
        note,
        updated: fields["updated"].as_str().and_then(times::changed),
        raw: json.clone(),
        ..Found::default()
    }
}

/// The ways out, when the issue was asked for with them.
pub fn ways(names: &Names, json: &Json) -> Vec<Way> {
    let listed = json["transitions"].as_array().cloned().unwrap_or_default();
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let way = |way: &Json| {
        let to = &way["to"];
        Some(Way {
            id: text(&way["id"]),
            name: text(&way["name"]),
            to: text(&to["name"]),
            stage: stage(names, to["name"].as_str()?, category(to), &Json::Null)?,
            resolution: way["fields"].get("resolution").is_some(),
        })
    };
    listed.iter().filter_map(way).collect()
}

fn category(status: &Json) -> &str {
    status["statusCategory"]["key"].as_str().unwrap_or("")
}

/// The category decides; names only tell apart what has the same category.
fn stage(names: &Names, status: &str, category: &str, resolution: &Json) -> Option<Stage> {
    let ended = resolution["name"].as_str().unwrap_or("");
    let cancelled = names.lists("status.cancelled", status) || names.lists("status.cancelled", ended);
    Some(match category {
        "new" if names.lists("status.on_hold", status) => Stage::OnHold,
        "new" => Stage::New,
        "indeterminate" if names.lists("status.on_hold", status) => Stage::OnHold,
        "indeterminate" => Stage::InProgress,
        "done" if cancelled => Stage::Cancelled,
        "done" if names.lists("status.closed", status) => Stage::Closed,
        "done" => Stage::Resolved,
        _ => return None,
    })
}
