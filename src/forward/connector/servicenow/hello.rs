//! The proof that an instance is fit, by reading only: tables, searches, fields, names, choices.
//!
//! Whether a row may be *written* cannot be read without rights that no such user should have; the first
//! create tells, and pauses the destination with the same kind of sentence.

use super::super::talk::Talk;
use super::super::tickets::{pause, proven};
use super::super::{Exchange, Next, Target};
use super::options::Map;
use super::product::{Table, ignored};
use super::table;
use super::write::choices;
use crate::engine::effect::RecordKind;

/// A key that no record has.
const NOBODY: &str = "sx-00000000-0000-7000-8000-000000000000";

/// Checks both tables, the names in the map, and the close code.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let mut talk = Talk::new(exchanges, false);
    proven(check(&mut talk, Map::of(target)))
}

fn check(talk: &mut Talk, map: Map) -> Result<Vec<String>, Next> {
    let mut flaws = fields(talk, map, RecordKind::Incident)?;
    if !map.table(RecordKind::Problem).is_empty() {
        flaws.extend(fields(talk, map, RecordKind::Problem)?);
    }
    let names = Table { map, acked_rev: 0 };
    names.named(talk, "sys_user_group", "name", map.get("group.incident"))?;
    names.named(talk, "sys_user_group", "name", map.get("group.problem"))?;
    names.named(talk, "sys_user", "user_name", map.get("caller"))?;
    let code = map.get("close_code");
    if !code.is_empty() {
        let choices = choices(talk, map.table(RecordKind::Incident))?;
        if !choices.is_empty() && !choices.iter().any(|c| c == code) {
            let list = choices.join(", ");
            flaws.push(format!(
                "close_code '{code}' is none of this instance's: set map entry close_code to one of {list}"
            ));
        }
    }
    Ok(flaws)
}

/// What a table lacks; ends with a pause when tickets could not be found again.
fn fields(talk: &mut Talk, map: Map, kind: RecordKind) -> Result<Vec<String>, Next> {
    let (table, key) = (map.table(kind), map.get("field.key"));
    let found =
        table::rows(talk, table, table::search(table, &format!("{key}={NOBODY}"), "sys_id", 1, false))?;
    if !found.rows.is_empty() || found.total > 0 {
        return Err(pause(ignored(table, key)));
    }
    let mut wanted =
        vec![key, "state", "short_description", "description", "impact", "urgency", "work_notes"];
    wanted.extend(["assigned_to", "close_notes", map.get("field.alert"), map.get("field.ci")]);
    wanted.extend(match kind {
        RecordKind::Problem => ["problem_state", "resolution_code"],
        _ => ["close_code", map.get("field.problem")],
    });
    wanted.retain(|f| !f.is_empty());
    let request = table::search(table, "ORDERBYDESCnumber", &wanted.join(","), table::ROWS, false);
    let page = table::rows(talk, table, request)?;
    let Some(row) = page.rows.first() else {
        let hidden = format!("this user sees none of the {} rows of {table}", page.total);
        return Ok(if page.total > 0 { vec![hidden] } else { Vec::new() });
    };
    let lacks: Vec<&str> = wanted.into_iter().filter(|f| row.get(*f).is_none()).collect();
    let vital = [key, "state", "short_description", "work_notes"];
    if let Some(field) = lacks.iter().find(|f| vital.contains(f)) {
        return Err(pause(format!(
            "field {field} of {table} is not there or hidden from this user: grant role itil, or name another \
             field in the map"
        )));
    }
    Ok(lacks
        .iter()
        .map(|f| format!("field {f} of {table} is not there or hidden, and stays empty"))
        .collect())
}

/// The newest rows show the key's field, as far as there are any.
///
/// # Errors
/// A pause when they do not: searches by it would find nothing, without a word.
pub fn key_is_there(talk: &mut Talk, map: Map, kind: RecordKind) -> Result<(), Next> {
    let (table, key) = (map.table(kind), map.get("field.key"));
    let page = table::rows(talk, table, table::search(table, "ORDERBYDESCnumber", key, table::ROWS, false))?;
    match page.rows.first() {
        Some(row) if row.get(key).is_none() => Err(pause(ignored(table, key))),
        _ => Ok(()),
    }
}
