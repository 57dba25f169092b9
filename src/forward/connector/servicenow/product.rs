//! The verbs of the shared conversation, in rows and fields.

use super::super::classify::{Class, class};
use super::super::request::loose;
use super::super::talk::{Talk, end};
use super::super::tickets::{Found, Product, Say, pause, refused};
use super::super::wanted::{Subject, Wanted, cut};
use super::super::{Done, Method, Next, Reply};
use super::options::Map;
use super::table::{self, Refusal, told, value};
use crate::engine::effect::{Job, Outcome, RecordKind, Stage};
use serde_json::Value as Json;

/// Close codes of stock instances, the newest wording first.
const CLOSE_CODES: &[&str] = &["Solution provided", "Solved (Permanently)", "Solved Remotely (Permanently)"];

/// Fields to be written, in their order.
type Fields = Vec<(String, String)>;

/// ServiceNow as a ticket product, for one job.
pub struct Table<'a> {
    /// Names of the instance.
    pub map: Map<'a>,
    /// The revision that the ticket shows.
    pub acked_rev: u64,
}

/// The fields that are read of a ticket.
pub fn fields(map: Map, kind: RecordKind) -> String {
    let mut fields = vec!["sys_id", "number", "state", "impact", "urgency", "assigned_to", "close_notes"];
    fields.extend(["sys_updated_by", map.get("field.key"), map.get("field.alert")]);
    fields.extend(match kind {
        RecordKind::Problem => ["problem_state", "resolution_code"],
        _ => ["hold_reason", map.get("field.problem")],
    });
    fields.retain(|f| !f.is_empty());
    fields.join(",")
}

/// A row as a ticket.
pub fn found(map: Map, kind: RecordKind, row: Json) -> Found {
    let assignee = table::display(&row, "assigned_to");
    let stage = map.stage(kind, &state(kind, &row), assignee.is_some());
    let cancelled = kind == RecordKind::Problem
        && stage == Some(Stage::Closed)
        && value(&row, "resolution_code") == "canceled";
    let note = match stage {
        Some(Stage::OnHold) => table::display(&row, "hold_reason"),
        Some(Stage::Resolved | Stage::Closed | Stage::Cancelled) => table::display(&row, "close_notes"),
        _ => None,
    };
    Found {
        id: value(&row, "sys_id"),
        key: value(&row, map.get("field.key")),
        stage: if cancelled { Some(Stage::Cancelled) } else { stage },
        assignee,
        by: table::display(&row, "sys_updated_by"),
        note,
        raw: row,
    }
}

/// Problems have two fields for their state; the older one decides where both exist.
fn state(kind: RecordKind, row: &Json) -> String {
    let of_problem = if kind == RecordKind::Problem { value(row, "problem_state") } else { String::new() };
    if of_problem.is_empty() { value(row, "state") } else { of_problem }
}

impl Product for Table<'_> {
    fn find(&self, talk: &mut Talk, wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        let field = self.map.get("field.key");
        let query = format!("{field}={key}^ORDERBYsys_created_on^ORDERBYnumber");
        self.search(talk, wanted.kind, field, key, &query)
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        let field = self.map.get("field.alert");
        if field.is_empty() || wanted.kind == RecordKind::Problem {
            return Ok(Vec::new());
        }
        let query = format!("{field}={}^active=true^ORDERBYsys_created_on^ORDERBYnumber", wanted.alert_key);
        self.search(talk, wanted.kind, field, &wanted.alert_key, &query)
    }

    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next> {
        let table = self.table(wanted.kind)?;
        let body = self.new_ticket(talk, wanted, key, before)?;
        let reply = talk.ask(table::write(Method::Post, table, None, "sys_id,number", &body))?;
        if class(reply.status) != Class::Success {
            return Err(create_refused(talk, table, reply));
        }
        match loose(&reply.json()["result"]["sys_id"]) {
            id if id.is_empty() => {
                let reason = format!("a row of {table} was made and cannot be read: grant read access to it");
                let outcome = Outcome::Retry { after: None, unknown: true, reason: reason.clone() };
                Err(Next::Done(Done { pause: Some(reason), ..outcome.into() }))
            }
            id => Ok(id),
        }
    }

    fn read(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        let row = table::row(talk, self.table(kind)?, id, &fields(self.map, kind))?;
        Ok(row.map(|row| found(self.map, kind, row)))
    }

    /// The journal itself (`sys_journal_field`) is closed to all but administrators; the ticket shows it as
    /// the display value of `work_notes`.
    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        let row = table::row(talk, self.table(wanted.kind)?, &ticket.id, "sys_id,work_notes")?;
        let journal = row.and_then(|row| table::display(&row, "work_notes")).unwrap_or_default();
        Ok(journal.contains(&wanted.marker))
    }

    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        if ticket.stage == Some(Stage::Closed) {
            // Read-only for everybody but administrators, and nothing is left to be done there.
            return Ok(None);
        }
        let mut body = Fields::new();
        if let Some(text) = say.text {
            body.push(("work_notes".into(), self.note(&wanted.headline, text)));
        }
        if say.fields && !wanted.is_over() {
            body.extend(self.risen(wanted, ticket));
        }
        let told_only = body.clone();
        let moved = say.stage.map(|stage| self.stage_fields(talk, wanted, ticket, stage)).transpose()?;
        body.extend(moved.into_iter().flatten());
        if body.is_empty() {
            return Ok(None);
        }
        if wanted.kind == RecordKind::Problem && body.len() > told_only.len() {
            return self.tell_problem(talk, wanted, ticket, (body, told_only));
        }
        let row = self.patch(talk, wanted.kind, &ticket.id, &body)?.map_err(|reply| self.not_told(&reply))?;
        let now = found(self.map, wanted.kind, row);
        match say.stage {
            Some(stage) if now.stage.is_some_and(|s| s.is_open() != stage.is_open()) => {
                let state = value(&now.raw, "state");
                Err(refused(format!(
                    "the state of {} was left at {state} without a word: an access control on the field or \
                     a business rule",
                    value(&now.raw, "number")
                )))
            }
            _ => Ok(None),
        }
    }

    fn link(&self, talk: &mut Talk, _job: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        let (table, field) = (self.table(RecordKind::Incident)?, self.map.get("field.problem"));
        let stored =
            |warning: String| Next::Done(Done { warning: Some(warning), ..Outcome::stored(None).into() });
        if field.is_empty() {
            return Ok(());
        }
        let Some(ticket) = self.read(talk, RecordKind::Incident, incident)? else {
            return Err(stored(format!("ticket {incident} is gone: nothing to link")));
        };
        let number = value(&ticket.raw, "number");
        match value(&ticket.raw, field) {
            there if there == problem => return Ok(()),
            there if !there.is_empty() => {
                return Err(stored(format!(
                    "{number} belongs to another problem already, and is left there"
                )));
            }
            _ if ticket.stage == Some(Stage::Closed) => {
                return Err(stored(format!("{number} is closed and cannot be linked any more")));
            }
            _ => {}
        }
        let body = [(field.to_owned(), problem.to_owned())];
        let row = self.patch(talk, RecordKind::Incident, incident, &body)?.map_err(|r| self.not_told(&r))?;
        if value(&row, field) == problem {
            return Ok(());
        }
        Err(refused(format!("field {field} of {table} {number} was left empty: this user may not write it")))
    }
}

impl Table<'_> {
    fn table(&self, kind: RecordKind) -> Result<&str, Next> {
        match self.map.table(kind) {
            "" => Err(refused("map entry table.problem is switched off: leave problems out by match".into())),
            table => Ok(table),
        }
    }

    /// Rows whose field has this very value.
    fn search(
        &self,
        talk: &mut Talk,
        kind: RecordKind,
        field: &str,
        wanted: &str,
        query: &str,
    ) -> Result<Vec<Found>, Next> {
        let table = self.table(kind)?;
        let request = table::search(table, query, &fields(self.map, kind), table::ROWS, true);
        let page = table::rows(talk, table, request)?;
        let like = |row: &Json| value(row, field).eq_ignore_ascii_case(wanted);
        if !page.rows.iter().all(like) {
            return Err(pause(ignored(table, field)));
        }
        if page.rows.len() < page.total.min(table::ROWS) {
            return Err(pause(format!(
                "{} rows of {table} with {field}={wanted} are hidden from this user: grant read access, or \
                 tickets would be made twice",
                page.total - page.rows.len()
            )));
        }
        let rows = page.rows.into_iter().filter(|row| value(row, field) == wanted);
        Ok(rows.map(|row| found(self.map, kind, row)).collect())
    }

    /// Sends an update; the row as it is then, or the answer that refuses.
    fn patch(
        &self,
        talk: &mut Talk,
        kind: RecordKind,
        id: &str,
        body: &[(String, String)],
    ) -> Result<Result<Json, Reply>, Next> {
        let table = self.table(kind)?;
        let reply = talk.ask(table::write(Method::Patch, table, Some(id), &fields(self.map, kind), body))?;
        Ok(match class(reply.status) {
            Class::Success => Ok(reply.json()["result"].take()),
            _ => Err(reply.clone()),
        })
    }

    /// A problem's state model and its data policies leave few ways: where the desk does not let it be ended,
    /// the note alone is written, and a person decides.
    fn tell_problem(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        (all, told_only): (Fields, Fields),
    ) -> Result<Option<String>, Next> {
        let number = value(&ticket.raw, "number");
        let why = match self.patch(talk, wanted.kind, &ticket.id, &all)? {
            Ok(row) => {
                let now = found(self.map, wanted.kind, row).stage;
                let kept = now == ticket.stage;
                return Ok(kept.then(|| format!("{number} kept its state: its state model decides")));
            }
            Err(reply) => told(&reply),
        };
        if !told_only.is_empty() {
            self.patch(talk, wanted.kind, &ticket.id, &told_only)?.map_err(|reply| self.not_told(&reply))?;
        }
        Ok(Some(format!("{number} keeps its state, a person has to end it: {why}")))
    }

    fn not_told(&self, reply: &Reply) -> Next {
        refused(match table::refusal(reply) {
            Refusal::Policy => {
                format!("a data policy asks for more ({}): see map entry resolve.incident.*", told(reply))
            }
            _ => told(reply),
        })
    }

    fn new_ticket(
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
    pub fn named(&self, talk: &mut Talk, table: &str, field: &str, name: &str) -> Result<String, Next> {
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
    fn risen(&self, wanted: &Wanted, ticket: &Found) -> Fields {
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
    fn stage_fields(
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
    fn note(&self, headline: &str, text: &str) -> String {
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

/// What says that searches do not filter.
pub fn ignored(table: &str, field: &str) -> String {
    format!(
        "searches of {table} ignore {field}: there is no such field, or this user may not search it; tickets \
         could not be found again"
    )
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

/// All creates are alike: rights and mandatory fields that one lacks, all lack.
fn create_refused(talk: &Talk, table: &str, reply: &Reply) -> Next {
    let words = told(reply);
    match (table::refusal(reply), class(reply.status)) {
        (Refusal::Rights, _) => {
            pause(format!("this user may not make rows of {table}: grant role itil ({words})"))
        }
        (Refusal::Policy, _) => {
            let entry = format!("set.{}.<field>", if table == "problem" { "problem" } else { "incident" });
            pause(format!(
                "{table} asks for fields that are not sent ({words}): set them by map entry {entry}"
            ))
        }
        (_, Class::Denied | Class::Permanent) if words.to_lowercase().contains("invalid table") => {
            pause(format!("there is no table {table} ({words}): check url and map"))
        }
        (_, Class::Gone) => pause(format!("{table} takes no rows ({words}): check url, table and roles")),
        (_, Class::Denied) => end(Outcome::Refused { reason: words }),
        _ => talk.give_up(reply, true),
    }
}
