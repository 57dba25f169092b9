//! Connector `servicenow-import`: ServiceNow's Import Set API.
//!
//! ```text
//! POST {url}/api/now/import/STAGING   {"u_correlation_id":KEY,"u_short_description":…,"u_work_notes":…, …}
//! 201 {"import_set":…,"result":[{"table":"incident","status":"inserted","sys_id":…,"status_message":…}]}
//! ```
//! An administrator has made a staging table and a transform map that coalesces on the key: a repeated row is
//! an update, so that nothing has to be found. A 201 says no more than that the row was staged; the status of
//! each result counts. Columns that are left out leave the ticket's fields alone. What is written
//! a second time after a lost answer is the work note, unless the transform map looks for the operation's
//! marker (docs/forwarding.md has the script).

use serde_json::{Map as JsonMap, Value as Json, json};

use super::classify::{Class, class};
use super::request::loose;
use super::servicenow::options::{self, Defaults, Map};
use super::servicenow::table::{self, told};
use super::servicenow::{LOGINS, OPTIONS, read_by};
use super::talk::{LAG, Talk, end};
use super::tickets::{pause, refused};
use super::wanted::{Subject, Wanted, cut};
use super::{Connector, Done, Exchange, Login, Method, Next, Reply, Request, Target, WireKind};
use crate::engine::effect::{Held, Job, Outcome, RecordKind, Stage};
use crate::engine::option::{DoorSpec, Options};

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "servicenow-import",
        about: "ServiceNow by Import Sets: rows that a transform map turns into incidents and problems",
        options: OPTIONS,
        signals: &[],
        check,
    },
    batch: 1,
    concurrency: 2,
    wire: WireKind::Http,
    logins: LOGINS,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 50,
};

/// Entries of the map that only this connector has, or has other defaults for.
const OWN: Defaults = &[
    ("table.incident", "u_sexton_incident"),
    ("table.problem", "u_sexton_problem"),
    ("target.incident", ""),
    ("target.problem", ""),
    ("close_code", "Solution provided"),
];

/// The columns of the staging tables.
pub const COLUMNS: &[&str] = &[
    "u_correlation_id",
    "u_correlation_display",
    "u_short_description",
    "u_description",
    "u_impact",
    "u_urgency",
    "u_category",
    "u_ci",
    "u_state",
    "u_hold_reason",
    "u_close_code",
    "u_close_notes",
    "u_work_notes",
    "u_marker",
    "u_problem",
];

fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    options::check(options, OWN)
}

/// Proves that both staging tables are there and have their columns.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let (map, mut talk) = (Map::with(target, OWN), Talk::new(exchanges, false));
    let checked = [RecordKind::Incident, RecordKind::Problem].iter().try_for_each(|kind| {
        let name = map.table(*kind);
        if name.is_empty() {
            return Ok(());
        }
        let request = table::search(name, "ORDERBYDESCsys_created_on", &COLUMNS.join(","), 1, false);
        let page = table::rows(&mut talk, name, request)?;
        let Some(row) = page.rows.first() else { return Ok(()) };
        let lacks: Vec<&str> = COLUMNS.iter().copied().filter(|c| row.get(*c).is_none()).collect();
        if lacks.is_empty() {
            return Ok(());
        }
        Err(pause(format!("staging table {name} lacks columns or hides them: {}", lacks.join(", "))))
    });
    checked.err().unwrap_or_else(|| Next::Done(Done::default()))
}

/// The next request for one job, or its outcome.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let [job] = jobs else {
        let reason = "this connector takes one job at a time".to_owned();
        let outcome = Outcome::Retry { after: None, unknown: false, reason };
        return Next::Done(Done { outcomes: vec![outcome; jobs.len()], ..Done::default() });
    };
    let (map, mut talk) = (Map::with(target, OWN), Talk::new(exchanges, job.unknown));
    match import(&mut talk, map, job) {
        Ok(done) => Next::Done(done),
        Err(next) => next,
    }
}

fn import(talk: &mut Talk, map: Map, job: &Job) -> Result<Done, Next> {
    let row = match job.kind {
        RecordKind::Link => ends(job),
        _ => Wanted::of(job).map(|wanted| row(map, job, &wanted)),
    };
    let row = row.map_err(|reason| end(Outcome::Refused { reason }))?;
    let name = map.table(if job.kind == RecordKind::Link { RecordKind::Incident } else { job.kind });
    if name.is_empty() {
        return Err(refused("map entry table.problem is switched off: leave problems out by match".into()));
    }
    let body: JsonMap<String, Json> = row.into_iter().filter(|(_, v)| !v.is_empty()).map(columns).collect();
    // A row that was given up may still be transformed: after its repetition, and after what follows that.
    talk.wait_for_lost(job, LAG)?;
    let reply =
        talk.ask(Request::json(Method::Post, format!("/api/now/import/{name}"), Json::Object(body)))?;
    match class(reply.status) {
        Class::Success => transformed(job, name, reply),
        Class::Denied | Class::Gone => Err(pause(format!(
            "staging table {name} takes no rows ({}): check its name and the roles",
            told(reply)
        ))),
        _ if told(reply).to_lowercase().contains("invalid") => {
            Err(pause(format!("staging table {name} takes no rows ({}): check its name", told(reply))))
        }
        _ => Err(talk.give_up(reply, true)),
    }
}

fn columns((column, value): (&'static str, String)) -> (String, Json) {
    (column.to_owned(), json!(value))
}

/// What the transform map made of the row.
fn transformed(job: &Job, name: &str, reply: &Reply) -> Result<Done, Next> {
    let json = reply.json();
    let results = json["result"].as_array().map(Vec::as_slice).unwrap_or_default();
    if results.is_empty() {
        let reason = format!(
            "a row was staged in {name}, and the answer does not say what became of it: grant read access to \
             the staging table, and make a transform map for it"
        );
        let outcome = Outcome::Retry { after: None, unknown: true, reason: reason.clone() };
        return Ok(Done { pause: Some(reason), ..outcome.into() });
    }
    let word = |result: &Json, field: &str| loose(&result[field]).to_lowercase();
    let message = |result: &Json| {
        let parts = ["error_message", "status_message"].map(|f| loose(&result[f]));
        parts.into_iter().find(|p| !p.is_empty()).unwrap_or_else(|| "no reason given".to_owned())
    };
    if let Some(bad) = results.iter().find(|r| word(r, "status") == "error") {
        return Err(refused(format!("the transform map of {name} failed: {}", message(bad))));
    }
    let made = results.iter().find(|r| matches!(word(r, "status").as_str(), "inserted" | "updated"));
    let target = made.or_else(|| results.iter().find(|r| !loose(&r["sys_id"]).is_empty()));
    let id = target.map(|r| loose(&r["sys_id"])).filter(|id| !id.is_empty());
    let is_link = job.kind == RecordKind::Link;
    match (made, id.or_else(|| job.remote_id.clone())) {
        (Some(_), id) => Ok(Outcome::stored(id.filter(|_| !is_link)).into()),
        // Nothing had changed, or the map's own script keeps tickets that people have closed.
        (None, Some(id)) => {
            let warning =
                format!("the transform map of {name} left {id} as it was: {}", message(&results[0]));
            Ok(Done { warning: Some(warning), ..Outcome::stored(Some(id).filter(|_| !is_link)).into() })
        }
        (None, None) => {
            Err(refused(format!("the transform map of {name} ignored the row: {}", message(&results[0]))))
        }
    }
}

/// Columns with their values; empty ones are left out.
type Row = Vec<(&'static str, String)>;

fn row(map: Map, job: &Job, wanted: &Wanted) -> Row {
    let first = job.acked_rev == 0;
    let problem = wanted.kind == RecordKind::Problem;
    let stage = if first { wanted.is_over().then_some(wanted.stage) } else { wanted.change };
    let mut row: Row = vec![
        ("u_correlation_id", job.record_key.clone()),
        // Always, so that a ticket that was deleted comes back with a name.
        ("u_short_description", cut(&wanted.subject, map.length("subject"))),
    ];
    if first {
        row.push(("u_correlation_display", wanted.alert_key.clone()));
        row.push(("u_description", cut(&wanted.content, map.length("text"))));
        row.push(("u_category", map.category(&wanted.category).to_owned()));
        row.push(("u_ci", wanted.ci.clone()));
    }
    if first || has_risen(job, wanted) {
        row.push(("u_impact", map.weight("impact", wanted.impact).to_owned()));
        row.push(("u_urgency", map.weight("urgency", wanted.urgency).to_owned()));
    }
    let note = match &wanted.comment {
        Some(comment) if !first || wanted.is_over() => format!("{}\n\n{comment}", wanted.headline),
        _ if first => wanted.headline.clone(),
        _ => String::new(),
    };
    row.push(("u_work_notes", cut(&note, map.length("note"))));
    row.push(("u_marker", if note.is_empty() { String::new() } else { wanted.marker.clone() }));
    if let Some(stage) = stage {
        row.extend(state(map, wanted, stage, problem));
    }
    row
}

fn state(map: Map, wanted: &Wanted, stage: Stage, problem: bool) -> Row {
    let over = !stage.is_open();
    let value = match (problem, over) {
        (false, _) => map.state(stage),
        (true, true) => map.get("problem_state.closed"),
        (true, false) => map.get("problem_state.analysis"),
    };
    let mut row: Row = vec![("u_state", value.to_owned())];
    if over {
        let code = map.get(if problem { "resolution_code" } else { "close_code" });
        let note = if wanted.closure.is_empty() { "Over." } else { wanted.closure.as_str() };
        row.push(("u_close_code", code.to_owned()));
        row.push(("u_close_notes", cut(note, map.length("text"))));
    } else if stage == Stage::OnHold && !problem {
        row.push(("u_hold_reason", map.get("hold_reason").to_owned()));
    }
    row
}

fn has_risen(job: &Job, wanted: &Wanted) -> bool {
    let Subject::Incident(incident) = &wanted.record else { return false };
    let mut fresh = incident.timeline.iter().filter(|e| e.rev > job.acked_rev);
    fresh.any(|e| matches!(e.kind.as_str(), "step" | "raised" | "reopened"))
}

/// The incident's row names the problem by its key.
fn ends(job: &Job) -> Result<Row, String> {
    let (incident, problem) = (loose(&job.body["incident"]), loose(&job.body["problem"]));
    if incident.is_empty() || problem.is_empty() {
        return Err(format!("link {} does not name its ends", job.record));
    }
    Ok(vec![("u_correlation_id", format!("sx-{incident}")), ("u_problem", format!("sx-{problem}"))])
}

/// Reads back from the tables that the map names; from none by default, since an account for imports need not
/// see them.
pub fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    let map = Map::with(target, OWN).reading();
    match read_by(map, held, exchanges) {
        Next::Done(Done { pause: Some(reason), .. }) => {
            Next::Done(Done { warning: Some(reason), ..Done::default() })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
