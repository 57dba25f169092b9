//! Made-up records on which templates are tried when the configuration is read: one with everything that a
//! record may hold, one with nothing that it may lack.

use serde_json::Value as Json;

use crate::engine::effect::{Job, Operation, RecordKind};
use crate::engine::moment::Stamp;

/// What a record may lack, by JSON pointer to its parent and name.
const OPTIONAL: &[(&str, &str)] = &[
    ("", "service"),
    ("", "acknowledged_at"),
    ("", "first_action_at"),
    ("", "resolved_at"),
    ("", "confirmed_at"),
    ("", "closed_at"),
    ("", "closure"),
    ("", "hold_reason"),
    ("", "assignee"),
    ("", "median_gap"),
    ("", "mtbf"),
    ("", "mttr"),
    ("/links", "problem"),
    ("/links", "previous"),
    ("/links", "runbook"),
    ("/counters", "peak"),
    ("/sla/respond", "met_at"),
    ("/intervals/0", "to"),
    ("/labels", "env"),
    ("/labels", "mount"),
];

/// Jobs of every kind and operation.
///
/// # Errors
/// Never, unless the sample itself is broken.
pub fn jobs() -> Result<Vec<Job>, String> {
    let all: Json = serde_json::from_str(include_str!("sample.json")).map_err(|e| format!("sample: {e}"))?;
    let mut jobs = Vec::new();
    for (kind, name) in [(RecordKind::Incident, "incident"), (RecordKind::Problem, "problem")] {
        for operation in [Operation::Create, Operation::Update, Operation::Resolve, Operation::Reopen] {
            let mut full = job(kind, operation, &all[name]);
            if operation != Operation::Create {
                full.remote_id = Some("4711".to_owned());
            }
            let mut bare = full.clone();
            bare.body = bared(bare.body);
            jobs.extend([full, bare]);
        }
    }
    let mut link = job(RecordKind::Link, Operation::Link, &all["link"]);
    (link.remote_id, link.remote_problem) = (Some("4711".to_owned()), Some("4712".to_owned()));
    jobs.push(link);
    Ok(jobs)
}

fn job(kind: RecordKind, operation: Operation, body: &Json) -> Job {
    let record = body["id"].as_str().unwrap_or_default().to_owned();
    let acked_rev = u64::from(operation != Operation::Create);
    Job {
        kind,
        rev: 2,
        acked_rev,
        operation,
        operation_key: format!("sx-{record}-2-{}", operation.letter()),
        record_key: format!("sx-{record}"),
        remote_id: None,
        remote_problem: None,
        unknown: false,
        doubt_at: None,
        claimed_at: Stamp(0),
        attempts: 0,
        body: body.clone(),
        record,
    }
}

fn bared(mut body: Json) -> Json {
    for (parent, name) in OPTIONAL {
        if let Some(map) = body.pointer_mut(parent).and_then(Json::as_object_mut) {
            map.remove(*name);
        }
    }
    body
}
