//! What is written: the fields of a new ticket, of more weight, of a change of state.

use serde_json::Value as Json;

use super::super::Next;
use super::super::classify::{Class, class};
use super::super::talk::Talk;
use super::super::tickets::{Found, pause};
use super::super::wanted::{Subject, Wanted, cut};
use super::product::Table;
use super::table::{self, value};
use crate::engine::effect::{RecordKind, Stage};

/// Close codes of stock instances, the newest wording first.
const CLOSE_CODES: &[&str] = &["Solution provided", "Solved (Permanently)", "Solved Remotely (Permanently)"];

/// Fields to be written, in their order.
pub type Fields = Vec<(String, String)>;

impl Table<'_> {
    pub(super) fn new_ticket(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<Fields, Next> {
        let (map, problem) = (self.map, wanted.kind == RecordKind::Problem);
        let (group, fixed) =
            if problem { ("group.problem", "set.problem.") } else { ("group.incident", "set.incident.") };
        let mut note = wanted.headline.clone();
        if let Some(before) = before {
            note.push_str(&format!("\nSucceeds {}, which is closed.", value(&before.raw, "number")));
        }
        let ci = self.ci(talk, &wanted.ci, &mut note)?;
        let group = self.named(talk, "sys_user_group", "name", map.get(group))?;
        let caller = if problem { "" } else { map.get("caller") };
        let caller = self.named(talk, "sys_user", "user_name", caller)?;
        let mut body: Fields = vec![
            ("short_description".into(), cut(&wanted.subject, map.length("subject"))),
            ("description".into(), cut(&wanted.content, map.length("text"))),
            ("impact".into(), map.weight("impact", wanted.impact).into()),
            ("urgency".into(), map.weight("urgency", wanted.urgency).into()),
            (map.get("field.key").into(), key.into()),
            (map.get("field.alert").into(), wanted.alert_key.clone()),
            ("category".into(), map.category(&wanted.category).into()),
            (map.get("field.ci").into(), ci),
            ("assignment_group".into(), group),
            ("caller_id".into(), caller),
            ("contact_type".into(), if problem { "" } else { map.get("contact_type") }.into()),
            ("work_notes".into(), cut(&defused(&note), map.length("note"))),
        ];
        if let Some(before) = before.filter(|_| !problem) {
            body.push(("parent_incident".into(), before.id.clone()));
        }
        body.extend(map.fixed(fixed));
        body.retain(|(field, value)| !field.is_empty() && !value.is_empty());
        Ok(body)
    }

    /// The sys_id of the one configuration item of that name, or of the host part of it. None or several:
    /// empty, and the note says so.
    fn ci(&self, talk: &mut Talk, name: &str, note: &mut String) -> Result<String, Next> {
        let table = self.map.get("table.ci");
        if table.is_empty() || self.map.get("field.ci").is_empty() || !table::is_plain(name) {
            return Ok(String::new());
        }
        let short = name.split('.').next().unwrap_or_default();
        let query = if short.is_empty() || short == name {
            format!("name={name}")
        } else {
            format!("name={name}^ORname={short}")
        };
        let reply = talk.ask(table::search(table, &query, "sys_id,name", table::ROWS, false))?;
        if class(reply.status) != Class::Success {
            return Ok(String::new());
        }
        let rows = reply.json()["result"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| {
            let same = |row: &&Json| value(row, "name").eq_ignore_ascii_case(name);
            rows.iter().filter(same).map(|row| value(row, "sys_id")).collect::<Vec<_>>()
        };
        let exact = of(name);
        let hits = if exact.is_empty() { of(short) } else { exact };
        match hits.as_slice() {
            [one] => return Ok(one.clone()),
            [] => note.push_str(&format!("\nNo configuration item is called {name}.")),
            many => note.push_str(&format!(
                "\n{} configuration items are called {name}: none is linked.",
                many.len()
            )),
        }
        Ok(String::new())
    }

    /// The sys_id behind a name in the map; empty for none.
    ///
    /// # Errors
    /// A pause unless there is exactly one.
    pub(super) fn named(
        &self,
        talk: &mut Talk,
        table: &str,
        field: &str,
        name: &str,
    ) -> Result<String, Next> {
        let is_id = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if name.is_empty() || is_id {
            return Ok(name.to_owned());
        }
        let query = format!("{field}={name}");
        let page =
            table::rows(talk, table, table::search(table, &query, &format!("sys_id,{field}"), 3, false))?;
        let same = |row: &&Json| value(row, field).eq_ignore_ascii_case(name);
        let hits: Vec<_> = page.rows.iter().filter(same).map(|row| value(row, "sys_id")).collect();
        match hits.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(pause(format!(
                "{} rows of {table} have {field}={name} and can be read: write the sys_id of the right one \
                 into the map instead",
                hits.len()
            ))),
        }
    }

    /// Impact and urgency that have risen on the host since the ticket was last told; what a person lowered
    /// or raised stays otherwise.
    pub(super) fn risen(&self, wanted: &Wanted, ticket: &Found) -> Fields {
        let Subject::Incident(incident) = &wanted.record else { return Fields::new() };
        let mut fresh = incident.timeline.iter().filter(|e| e.rev > self.acked_rev);
        if !fresh.any(|e| matches!(e.kind.as_str(), "step" | "raised" | "reopened")) {
            return Fields::new();
        }
        let rises = |(field, level): (&str, u8)| {
            let (want, has) = (self.map.weight(field, level), value(&ticket.raw, field));
            let lower = matches!((want.parse::<u8>(), has.parse::<u8>()), (Ok(w), Ok(h)) if w >= h);
            (!lower && want != has).then(|| (field.to_owned(), want.to_owned()))
        };
        [("impact", wanted.impact), ("urgency", wanted.urgency)].into_iter().filter_map(rises).collect()
    }

    /// What brings the ticket to that stage.
    pub(super) fn stage_fields(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        to: Stage,
    ) -> Result<Fields, Next> {
        if wanted.kind == RecordKind::Problem {
            return Ok(self.problem_fields(wanted, ticket, to));
        }
        let mut body: Fields = vec![("state".into(), self.map.state(to).into())];
        match to {
            Stage::OnHold => body.push(("hold_reason".into(), self.map.get("hold_reason").into())),
            stage if !stage.is_open() => {
                body.push(("close_code".into(), self.close_code(talk)?));
                body.push(("close_notes".into(), self.close_notes(wanted)));
                body.extend(self.map.fixed("resolve.incident."));
            }
            _ => {}
        }
        body.retain(|(_, value)| !value.is_empty());
        Ok(body)
    }

    /// Only a candidate that nobody has taken up is ended, and one that was resolved is taken up again;
    /// between these the state is the problem manager's.
    fn problem_fields(&self, wanted: &Wanted, ticket: &Found, to: Stage) -> Fields {
        let state = match (ticket.stage, to.is_open()) {
            (Some(Stage::New), false) => "problem_state.closed",
            (Some(Stage::Resolved), true) => "problem_state.analysis",
            _ => return Fields::new(),
        };
        let state = self.map.get(state);
        let mut body: Fields = vec![("state".into(), state.into()), ("problem_state".into(), state.into())];
        if !to.is_open() {
            body.push(("resolution_code".into(), self.map.get("resolution_code").into()));
            body.push(("close_notes".into(), self.close_notes(wanted)));
            body.extend(self.map.fixed("resolve.problem."));
        }
        body.retain(|(_, value)| !value.is_empty());
        body
    }

    /// The close code of the map, or the one of the stock codes that this instance has.
    fn close_code(&self, talk: &mut Talk) -> Result<String, Next> {
        match self.map.get("close_code") {
            "" => {
                let choices = choices(talk, self.map.table(RecordKind::Incident))?;
                let code = CLOSE_CODES.iter().find(|code| choices.iter().any(|c| c == *code));
                Ok((*code.unwrap_or(&CLOSE_CODES[0])).to_owned())
            }
            code => Ok(code.to_owned()),
        }
    }

    fn close_notes(&self, wanted: &Wanted) -> String {
        let text = match wanted.closure.as_str() {
            "" => format!("{} is over.", wanted.number),
            closure => closure.to_owned(),
        };
        cut(&text, self.map.length("text"))
    }

    /// A work note: its first line carries the marker that proves it was written.
    pub(super) fn note(&self, headline: &str, text: &str) -> String {
        cut(&defused(&format!("{headline}\n\n{text}")), self.map.length("note"))
    }
}

/// The close codes that the instance offers; none where the list cannot be read.
pub fn choices(talk: &mut Talk, table: &str) -> Result<Vec<String>, Next> {
    let query = format!("nameIN{table},task^element=close_code^inactive=false");
    let reply = talk.ask(table::search("sys_choice", &query, "name,element,value", 100, false))?;
    let rows = reply.json()["result"].as_array().cloned().unwrap_or_default();
    // A condition on a field that is not there is left out: other lists may be among them.
    let ours = |row: &&Json| value(row, "element") == "close_code";
    Ok(rows.iter().filter(ours).map(|row| value(row, "value")).collect())
}

/// `[code]` in a journal is shown as HTML: what a host has said must not be.
fn defused(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        let tag = after.trim_start_matches('/').get(..4);
        if tag.is_some_and(|t| t.eq_ignore_ascii_case("code")) {
            out.push(' ');
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
