//! The verbs of the shared conversation, in rows and fields.

use super::super::classify::{Class, class};
use super::super::request::loose;
use super::super::talk::{Talk, end};
use super::super::tickets::{Found, Product, Say, pause, refused};
use super::super::wanted::Wanted;
use super::super::{Done, Method, Next, Reply, times};
use super::options::Map;
use super::table::{self, Refusal, answer, told, value};
use super::write::Fields;
use crate::engine::effect::{Job, Outcome, RecordKind, Stage};
use serde_json::Value as Json;

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
    fields.extend([
        "sys_created_by",
        "sys_updated_by",
        "sys_updated_on",
        map.get("field.key"),
        map.get("field.alert"),
    ]);
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
        creator: value(&row, "sys_created_by"),
        note,
        updated: times::changed(&value(&row, "sys_updated_on")),
        raw: row,
        ..Found::default()
    }
}

/// The same for a conversation: what is cancelled is as read-only as what is closed.
fn settled(found: Found) -> Found {
    let stage = found.stage.map(|s| if s == Stage::Cancelled { Stage::Closed } else { s });
    Found { stage, ..found }
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

    /// Where the instance answers conditions on unknown fields with no rows at all, only a row tells whether
    /// the key's field is there.
    fn fit(&self, talk: &mut Talk, wanted: &Wanted) -> Result<(), Next> {
        super::hello::key_is_there(talk, self.map, wanted.kind)
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        let body = [(self.map.get("field.key").to_owned(), wanted.key.clone())];
        let row = self.patch(talk, wanted.kind, &ticket.id, &body)?.map_err(|reply| self.not_told(&reply))?;
        if value(&row, self.map.get("field.key")) == wanted.key {
            return Ok(());
        }
        Err(pause(ignored(self.table(wanted.kind)?, self.map.get("field.key"))))
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
        Ok(row.map(|row| settled(found(self.map, kind, row))))
    }

    /// The journal itself (`sys_journal_field`) is closed to all but administrators; the ticket shows it as
    /// the display value of `work_notes`.
    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        match table::row(talk, self.table(wanted.kind)?, &ticket.id, "sys_id,work_notes") {
            Ok(row) => {
                let journal = row.and_then(|row| table::display(&row, "work_notes")).unwrap_or_default();
                Ok(journal.contains(&wanted.marker))
            }
            // A journal beyond what is read of an answer: better a note twice than never.
            Err(Next::Done(done)) if is_too_long(&done) => Ok(false),
            Err(next) => Err(next),
        }
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
            let number = value(&ticket.raw, "number");
            return Ok(say.text.map(|_| format!("{number} is closed: what is new was not written there")));
        }
        let mut body = Fields::new();
        if let Some(text) = say.text {
            body.push(("work_notes".into(), self.note(&wanted.headline, text)));
        }
        if say.fields {
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
        Ok(rows.map(|row| settled(found(self.map, kind, row))).collect())
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
            Class::Success => Ok(answer(talk, reply)?),
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
}

/// What says that searches do not filter.
pub fn ignored(table: &str, field: &str) -> String {
    format!(
        "searches of {table} ignore {field}: there is no such field, or this user may not search it; tickets \
         could not be found again"
    )
}

/// The answer was larger than what is read of one.
fn is_too_long(done: &Done) -> bool {
    let too_long =
        |o: &Outcome| matches!(o, Outcome::Retry { reason, .. } if reason.contains("is larger than"));
    done.outcomes.iter().any(too_long)
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
