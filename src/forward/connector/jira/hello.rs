//! Proves a Jira fit: project seen, issue types there, nothing required that we do not give.

use serde_json::Value as Json;

use super::super::classify::{Class, class};
use super::super::request::{encode, loose};
use super::super::talk::Talk;
use super::super::tickets::{pause, proven};
use super::super::{Next, Request};
use super::product::{Issues, foreign, told};
use crate::engine::effect::RecordKind;

/// Fields we give ourselves, or that Jira fills in.
const GIVEN: &[&str] =
    &["project", "issuetype", "summary", "description", "labels", "priority", "reporter", "attachment"];

/// Pauses with what must be mended; a flaw when something will be left out.
pub fn hello(issues: &Issues, talk: &mut Talk) -> Next {
    let kinds = [RecordKind::Incident, RecordKind::Problem];
    let flaws = kinds.iter().try_fold(Vec::new(), |flaws, kind| {
        let more = of_kind(issues, talk, *kind)?;
        Ok::<_, Next>([flaws, more].concat())
    });
    proven(flaws)
}

fn of_kind(issues: &Issues, talk: &mut Talk, kind: RecordKind) -> Result<Vec<String>, Next> {
    let (project, name) = (issues.project_of(kind), issues.type_of(kind));
    if name.is_empty() {
        return Ok(Vec::new());
    }
    issues.is_project_seen(talk, kind)?;
    let path = issues.path(&format!("/issue/createmeta/{}/issuetypes", encode(project)));
    let reply = talk.ask(Request::get(format!("{path}?maxResults=100")))?;
    match class(reply.status) {
        Class::Success => {}
        Class::Gone | Class::Denied => {
            return Err(pause(format!(
                "no issue may be created in project {project}: grant Create issues ({})",
                told(reply)
            )));
        }
        _ => return Err(talk.give_up(reply, false)),
    }
    let json = reply.json();
    if json["issueTypes"].is_null() && json["values"].is_null() {
        return Err(foreign(talk, reply));
    }
    let types = list(&json, &["issueTypes", "values"]);
    let Some(issue_type) = types.iter().find(|t| t["name"] == name) else {
        let known: Vec<&str> = types.iter().filter_map(|t| t["name"].as_str()).collect();
        let entry = if kind == RecordKind::Problem { "type.problem" } else { "type.incident" };
        let known = known.join(", ");
        return Err(pause(format!(
            "project {project} has no issue type '{name}': set map {entry} to one of: {known}"
        )));
    };
    let reply =
        talk.ask(Request::get(format!("{path}/{}?maxResults=200", encode(&loose(&issue_type["id"])))))?;
    if class(reply.status) != Class::Success {
        return Err(talk.give_up(reply, false));
    }
    let json = reply.json();
    fields(issues, name, &list(&json, &["fields", "values"]))
}

fn list(json: &Json, names: &[&str]) -> Vec<Json> {
    names.iter().find_map(|n| json[*n].as_array()).cloned().unwrap_or_default()
}

fn fields(issues: &Issues, name: &str, fields: &[Json]) -> Result<Vec<String>, Next> {
    let id = |f: &Json| f["fieldId"].as_str().or(f["key"].as_str()).unwrap_or_default().to_owned();
    let set = issues.names.beginning("set.");
    let missing: Vec<String> = fields
        .iter()
        .filter(|f| f["required"] == true && f["hasDefaultValue"] != true)
        .filter(|f| !GIVEN.contains(&id(f).as_str()) && set.iter().all(|(field, _)| *field != id(f)))
        .map(|f| format!("{} (map set.{})", f["name"].as_str().unwrap_or(""), id(f)))
        .collect();
    if !missing.is_empty() {
        return Err(pause(format!(
            "issue type '{name}' requires fields that have no value: {}",
            missing.join(", ")
        )));
    }
    let has = |wanted: &str| fields.iter().any(|f| id(f) == wanted);
    if !fields.is_empty() && !has("labels") {
        let why = format!(
            "issue type '{name}' shows no labels on its create screen: by a label issues are found again"
        );
        return Err(pause(why));
    }
    let lost: Vec<&str> =
        ["priority", "description"].into_iter().filter(|f| !fields.is_empty() && !has(f)).collect();
    if lost.is_empty() {
        Ok(Vec::new())
    } else {
        Ok(vec![format!("issue type '{name}' takes no {}", lost.join(" and no "))])
    }
}
