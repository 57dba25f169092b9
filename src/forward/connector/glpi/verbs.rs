//! What is done alike by both APIs of GLPI: what a new ticket says, how one is found again, adopted, weighed,
//! told of and moved, and GLPI's numbers.
//!
//! An API knows its paths, its fields and what an answer means ([`Verbs`]); whatever has these verbs is a
//! [`Product`].

use serde_json::{Value as Json, json};

use super::super::request::loose;
use super::super::talk::Talk;
use super::super::tickets::{Found, Product, Say, pause, refused};
use super::super::wanted::{Wanted, cut};
use super::super::{Next, footer, markup, times};
use super::options::{Map, typed};
use crate::engine::effect::{Job, RecordKind, Stage};

/// The most tickets of a search that are looked at.
pub const HITS: usize = 10;
/// The most characters of a title; the column holds 255.
const TITLE: usize = 250;

/// What GLPI would not do: its words, or a sentence about it.
pub type Refusal = Option<String>;

/// The requests of one API.
pub trait Verbs {
    /// The field of a ticket that holds the record key; problems have none.
    const EXTERNAL_ID: &'static str;
    /// The field of the entity.
    const ENTITY: &'static str;

    /// The names used there.
    fn map(&self) -> Map<'_>;

    /// Tickets whose description holds this, the oldest first; `open`: only those that are neither solved nor
    /// closed.
    fn holding(&self, talk: &mut Talk, kind: RecordKind, text: &str, open: bool) -> Result<Vec<Found>, Next>;

    /// Tickets with this external id, the oldest first.
    fn external(&self, talk: &mut Talk, key: &str) -> Result<Vec<Found>, Next>;

    /// Makes the ticket and returns its id.
    fn make(&self, talk: &mut Talk, wanted: &Wanted, key: &str, fields: Json) -> Result<String, Next>;

    /// The ticket; `None` when it is gone.
    fn fetch(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next>;

    /// Changes fields.
    fn change(&self, talk: &mut Talk, kind: RecordKind, id: &str, fields: Json) -> Result<Refusal, Next>;

    /// Sets the status.
    fn set(&self, talk: &mut Talk, kind: RecordKind, id: &str, status: u8) -> Result<Refusal, Next>;

    /// Whether a followup or solution with this marker stands there.
    fn holds(&self, talk: &mut Talk, kind: RecordKind, id: &str, marker: &str) -> Result<bool, Next>;

    /// Adds a solution, which solves the ticket; false when GLPI takes none.
    fn solve(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found, text: &str) -> Result<bool, Next>;

    /// Adds a followup that leaves the status as it is; a flaw to be logged.
    fn comment(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found, text: &str) -> Result<Refusal, Next>;

    /// Ties the incident's ticket to the problem's.
    fn tie(&self, talk: &mut Talk, job: &Job, incident: &str, problem: &str) -> Result<(), Next>;
}

impl<V: Verbs> Product for V {
    fn find(&self, talk: &mut Talk, wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        let mut found = self.holding(talk, wanted.kind, &footer::needle(key), false)?;
        found.retain(|t| t.key == key);
        if found.is_empty() && wanted.kind != RecordKind::Problem {
            // Somebody may have rewritten the description.
            found = self.external(talk, key)?;
            found.retain(|t| t.key == key);
        }
        Ok(found)
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        let mut found = self.holding(talk, wanted.kind, &footer::needle(&wanted.alert_key), true)?;
        found.retain(|t| footer::alert_key(&loose(&t.raw["content"])) == wanted.alert_key);
        Ok(found)
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        let content = loose(&ticket.raw["content"]);
        let content = content.replace(&footer::needle(&ticket.key), &footer::needle(&wanted.key));
        let mut fields = json!({ "content": content });
        if wanted.kind != RecordKind::Problem {
            fields[V::EXTERNAL_ID] = json!(wanted.key);
        }
        let refusal = self.change(talk, wanted.kind, &ticket.id, fields)?;
        refusal.map_or(Ok(()), |words| Err(pause(unchanged(ticket, &words))))
    }

    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next> {
        let before = before.map_or(String::new(), |t| format!("Follows {}, which is closed.\n\n", t.id));
        let content = format!("{before}{}\n\n{}", wanted.content, footer::line(key, &wanted.alert_key));
        let map = self.map();
        let mut fields = json!({
            "name": cut(&wanted.subject, TITLE),
            "content": markup::html(&content),
            "impact": map.level(wanted.impact),
            "urgency": map.level(wanted.urgency),
        });
        if wanted.kind != RecordKind::Problem {
            fields["type"] = json!(1);
            fields[V::EXTERNAL_ID] = json!(key);
        }
        if !map.get("entity").is_empty() {
            fields[V::ENTITY] = typed(map.get("entity"));
        }
        for (field, value) in map.fields(wanted.kind) {
            fields[field] = value;
        }
        self.make(talk, wanted, key, fields)
    }

    fn read(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        self.fetch(talk, kind, id)
    }

    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        self.holds(talk, wanted.kind, &ticket.id, &wanted.marker)
    }

    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let mut flaw = weigh(self, talk, wanted, ticket, say)?;
        let text = say.text.map(|text| wanted.message(text));
        let over = say.stage.is_some_and(|s| !s.is_open());
        let mut solved = false;
        if let (true, Some(text)) = (over, &text) {
            solved = self.solve(talk, wanted, ticket, text)?;
        }
        if let (false, Some(text)) = (solved, &text) {
            flaw = self.comment(talk, wanted, ticket, text)?.or(flaw);
        }
        if let Some(stage) = say.stage {
            flaw = move_to(self, talk, wanted, ticket, stage, solved)?.or(flaw);
        }
        Ok(flaw)
    }

    fn link(&self, talk: &mut Talk, job: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        self.tie(talk, job, incident, problem)
    }
}

/// Raises the weight when it has changed on the host; the larger, the more pressing. What a rule or a person
/// has raised further stays.
fn weigh(
    api: &impl Verbs,
    talk: &mut Talk,
    wanted: &Wanted,
    ticket: &Found,
    say: &Say,
) -> Result<Refusal, Next> {
    let mut fields = json!({});
    if say.fields && wanted.weighs && ticket.is_open() {
        for (field, level) in [("impact", wanted.impact), ("urgency", wanted.urgency)] {
            let level = api.map().level(level);
            if loose(&ticket.raw[field]).parse().is_ok_and(|now: i64| now < level) {
                fields[field] = json!(level);
            }
        }
    }
    if fields == json!({}) {
        return Ok(None);
    }
    let refusal = api.change(talk, wanted.kind, &ticket.id, fields)?;
    Ok(refusal.map(|words| unchanged(ticket, &words)))
}

/// Sets the status, and looks whether it is so: a status that the life cycle of the profile forbids is
/// dropped without a word.
fn move_to(
    api: &impl Verbs,
    talk: &mut Talk,
    wanted: &Wanted,
    ticket: &Found,
    stage: Stage,
    solved: bool,
) -> Result<Refusal, Next> {
    let (kind, id) = (wanted.kind, &ticket.id);
    let refusal = if solved { None } else { api.set(talk, kind, id, status(stage))? };
    let words = refusal.filter(|w| !w.is_empty()).map_or(String::new(), |w| format!(": {w}"));
    let now = api.fetch(talk, kind, id)?.and_then(|t| t.stage);
    let stays = format!(
        "{} {id} does not become {stage:?}: allow it in the profile's life cycle, or see what its template \
         demands{words}",
        itemtype(kind)
    );
    match now {
        Some(now) if now.is_open() && !stage.is_open() => Err(refused(stays)),
        Some(now) if now.is_open() != stage.is_open() => Ok(Some(stays)),
        _ => Ok(None),
    }
}

fn unchanged(ticket: &Found, words: &str) -> String {
    format!("GLPI does not change {}: {words}", ticket.id)
}

/// GLPI takes no new ticket, in these words. Without rights on problems incidents still arrive.
pub fn not_made(kind: RecordKind, words: &str) -> Next {
    let name = itemtype(kind);
    let (of, end): (_, fn(String) -> Next) =
        if kind == RecordKind::Problem { ("problem", refused) } else { ("incident", pause) };
    end(format!(
        "GLPI takes no new {name}: {words}; check the profile's rights and entity, and give fields that a \
         template demands as map {of}.<field>"
    ))
}

/// The id in the answer to a create.
pub fn made(talk: &Talk, kind: RecordKind, json: &Json) -> Result<String, Next> {
    let id = loose(&json["id"]);
    match id.parse::<u64>() {
        Ok(_) => Ok(id),
        Err(_) => Err(talk.retry(None, format!("GLPI made a {} without an id", itemtype(kind)))),
    }
}

/// GLPI's class for that kind of record.
pub fn itemtype(kind: RecordKind) -> &'static str {
    if kind == RecordKind::Problem { "Problem" } else { "Ticket" }
}

/// A ticket or problem as both APIs show it, but for the places of its status and its external id.
pub fn shown(json: &Json, status: &Json, external: &Json) -> Found {
    let external = loose(external);
    let key = match footer::key(&loose(&json["content"])) {
        "" if external.starts_with("sx-") => external,
        key => key.to_owned(),
    };
    Found {
        id: loose(&json["id"]),
        key,
        stage: stage(&loose(status)),
        updated: times::changed(&loose(&json["date_mod"])),
        raw: json.clone(),
        ..Found::default()
    }
}

/// GLPI's number for a stage, for tickets and problems.
fn status(stage: Stage) -> u8 {
    match stage {
        Stage::New => 1,
        Stage::Acknowledged | Stage::InProgress => 2,
        Stage::OnHold => 4,
        Stage::Resolved | Stage::Closed | Stage::Cancelled => 5,
    }
}

/// The stage of GLPI's number; `None` for one that a plugin added.
fn stage(status: &str) -> Option<Stage> {
    Some(match status {
        "1" => Stage::New,
        // Planned; a problem that was accepted.
        "3" | "7" => Stage::Acknowledged,
        // Assigned; a problem under observation.
        "2" | "8" => Stage::InProgress,
        // Pending; awaiting approval (11).
        "4" | "10" => Stage::OnHold,
        "5" => Stage::Resolved,
        "6" => Stage::Closed,
        _ => return None,
    })
}
