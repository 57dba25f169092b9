//! The verbs of GLPI: tickets for incidents, problems for problem candidates.

use serde_json::{Value as Json, json};

use super::super::request::loose;
use super::super::talk::Talk;
use super::super::tickets::{Found, Product, Say, pause, refused};
use super::super::wanted::{Wanted, cut};
use super::super::{Method, Next, Request, footer, markup, times};
use super::api::{self, Term, ask, itemtype, search, write};
use super::options::{Map, typed};
use crate::engine::effect::{Job, RecordKind, Stage};

/// The most characters of a title; the column holds 255.
pub const TITLE: usize = 250;
/// The most tickets of a search that are looked at.
const HITS: usize = 10;
/// The newest followups among which a marker is looked for.
const FOLLOWUPS: usize = 100;
/// Search options of tickets and problems, the same since 9.1.
const STATUS: u32 = 12;
const CONTENT: u32 = 21;
/// Tickets only, since 11; a search for an option that is not there is refused.
const EXTERNAL_ID: u32 = 87;
/// Search option of computers and other assets.
const NAME: u32 = 1;

/// One GLPI.
pub struct Glpi<'a> {
    /// Its names.
    pub map: Map<'a>,
}

impl Product for Glpi<'_> {
    fn find(&self, talk: &mut Talk, wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        let needle = footer::needle(key);
        let terms = [Term { field: CONTENT, by: "contains", value: &needle }];
        let said = ask(talk, Request::get(search(itemtype(wanted.kind), &terms, "0-9")))?;
        if !said.done {
            return Err(said.end(talk));
        }
        let found = self.look(talk, wanted.kind, &api::ids(&said.json), |t| t.key == key)?;
        if !found.is_empty() || wanted.kind == RecordKind::Problem {
            return Ok(found);
        }
        // Somebody may have rewritten the description.
        let exactly = format!("^{key}$");
        let terms = [Term { field: EXTERNAL_ID, by: "contains", value: &exactly }];
        let said = ask(talk, Request::get(search("Ticket", &terms, "0-9")))?;
        let ids = if said.done { api::ids(&said.json) } else { Vec::new() };
        self.look(talk, wanted.kind, &ids, |t| t.key == key)
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        let needle = footer::needle(&wanted.alert_key);
        let terms = [
            Term { field: STATUS, by: "equals", value: "notold" },
            Term { field: CONTENT, by: "contains", value: &needle },
        ];
        let json = api::get(talk, search(itemtype(wanted.kind), &terms, "0-9"))?;
        let ours = |t: &Found| footer::alert_key(&loose(&t.raw["content"])) == wanted.alert_key;
        self.look(talk, wanted.kind, &api::ids(&json), ours)
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        let content = loose(&ticket.raw["content"]);
        let content = content.replace(&footer::needle(&ticket.key), &footer::needle(&wanted.key));
        let input = json!({"content": content, "externalid": wanted.key});
        let said = write(talk, Method::Put, format!("/{}/{}", itemtype(wanted.kind), ticket.id), input)?;
        match said.code.as_str() {
            _ if said.done => Ok(()),
            "ERROR_GLPI_UPDATE" => Err(pause(format!("GLPI does not change {}: {}", ticket.id, said.words))),
            _ => Err(said.end(talk)),
        }
    }

    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next> {
        let ci = self.ci(talk, &wanted.ci)?;
        let input = self.input(wanted, key, before, ci);
        let kind = itemtype(wanted.kind);
        let said = write(talk, Method::Post, format!("/{kind}"), input)?;
        if !said.done && said.code == "ERROR_GLPI_ADD" {
            let of = if kind == "Ticket" { "incident" } else { "problem" };
            let reason = format!(
                "GLPI takes no new {kind}: {}; check the profile's rights and entity, and give fields that a \
                 template demands as map {of}.<field>",
                said.words
            );
            // Without rights on problems incidents still arrive.
            return Err(if kind == "Ticket" { pause(reason) } else { refused(reason) });
        }
        let id = loose(&said.json["id"]);
        if !said.done {
            return Err(said.end(talk));
        }
        if id.parse::<u64>().is_err() {
            return Err(talk.retry(None, format!("GLPI made a {kind} without an id")));
        }
        if let (Some((itemtype, ci)), RecordKind::Problem) = (ci, wanted.kind) {
            // A problem takes no items when it is made. One that is not tied to its CI is still a problem.
            let input = json!({"problems_id": typed(&id), "itemtype": itemtype, "items_id": ci});
            write(talk, Method::Post, "/Item_Problem".to_owned(), input)?;
        }
        Ok(id)
    }

    fn read(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        let said = ask(talk, Request::get(format!("/{}/{id}?get_hateoas=false", itemtype(kind))))?;
        if said.is_denied() {
            let words = &said.words;
            let reason =
                format!("GLPI does not show {} {id} to this account any more: {words}", itemtype(kind));
            return Err(refused(reason));
        }
        if said.is_gone() || loose(&said.json["is_deleted"]) == "1" {
            return Ok(None);
        }
        if said.done { Ok(Some(found(&said.json))) } else { Err(said.end(talk)) }
    }

    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        let kind = itemtype(wanted.kind);
        for (child, most) in [("ITILFollowup", FOLLOWUPS), ("ITILSolution", HITS)] {
            let path = format!(
                "/{kind}/{}/{child}?get_hateoas=false&sort=id&order=DESC&range=0-{}",
                ticket.id,
                most - 1
            );
            let json = api::get(talk, path)?;
            let said = |entry: &Json| loose(&entry["content"]).contains(&wanted.marker);
            if json.as_array().is_some_and(|entries| entries.iter().any(said)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let mut flaw = self.weigh(talk, wanted, ticket, say)?;
        let text = say.text.map(|text| message(wanted, text));
        let over = say.stage.is_some_and(|s| !s.is_open());
        let mut solved = false;
        if let (true, Some(text)) = (over, &text) {
            solved = self.solve(talk, wanted, ticket, text)?;
        }
        if let (false, Some(text)) = (solved, &text) {
            flaw = self.comment(talk, wanted, ticket, text)?.or(flaw);
        }
        if let Some(stage) = say.stage {
            flaw = self.move_to(talk, wanted, ticket, stage, solved)?.or(flaw);
        }
        Ok(flaw)
    }

    fn link(&self, talk: &mut Talk, _: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        let path = format!("/Problem/{problem}/Problem_Ticket?get_hateoas=false&range=0-999");
        let said = ask(talk, Request::get(path))?;
        if said.is_gone() {
            return Err(refused(format!("GLPI has no problem {problem} any more")));
        }
        if !said.done {
            return Err(said.end(talk));
        }
        let tied = |l: &Json| loose(&l["tickets_id"]) == incident;
        if said.json.as_array().is_some_and(|links| links.iter().any(tied)) {
            return Ok(());
        }
        let input = json!({"problems_id": typed(problem), "tickets_id": typed(incident)});
        let said = write(talk, Method::Post, "/Problem_Ticket".to_owned(), input)?;
        match said.code.as_str() {
            _ if said.done => Ok(()),
            "ERROR_GLPI_ADD" => Err(refused(format!(
                "GLPI does not tie ticket {incident} to problem {problem}: {}",
                said.words
            ))),
            _ => Err(said.end(talk)),
        }
    }
}

impl Glpi<'_> {
    /// The fields of a new ticket.
    fn input(&self, wanted: &Wanted, key: &str, before: Option<&Found>, ci: Option<(&str, u64)>) -> Json {
        let before = before.map_or(String::new(), |t| format!("Follows {}, which is closed.\n\n", t.id));
        let content = format!("{before}{}\n\n{}", wanted.content, footer::line(key, &wanted.alert_key));
        let mut input = json!({
            "name": bmp(&cut(&wanted.subject, TITLE)),
            "content": markup::html(&bmp(&content)),
            "impact": self.map.level(wanted.impact),
            "urgency": self.map.level(wanted.urgency),
        });
        if wanted.kind != RecordKind::Problem {
            input["type"] = json!(1);
            // Where there is no such field it is ignored.
            input["externalid"] = json!(key);
            if let Some((itemtype, id)) = ci {
                input["items_id"] = json!({ itemtype: [id] });
            }
        }
        if !self.map.get("entity").is_empty() {
            input["entities_id"] = typed(self.map.get("entity"));
        }
        if let Some(fields) = input.as_object_mut() {
            fields.extend(self.map.fields(wanted.kind));
        }
        input
    }

    /// The one asset of that name, or of its first label; none when it is not the only one.
    fn ci(&self, talk: &mut Talk, name: &str) -> Result<Option<(&str, u64)>, Next> {
        let itemtype = self.map.get("ci");
        let short = name.split('.').next().unwrap_or(name);
        let names = if short == name { vec![name] } else { vec![name, short] };
        for name in names {
            // `^` and `$` anchor, and cannot be escaped.
            if itemtype.is_empty() || name.is_empty() || name.contains(['^', '$']) {
                continue;
            }
            let exactly = format!("^{name}$");
            let terms = [Term { field: NAME, by: "contains", value: &exactly }];
            let said = ask(talk, Request::get(search(itemtype, &terms, "0-1")))?;
            match (said.done, &api::ids(&said.json)[..]) {
                (true, [id]) => return Ok(Some((itemtype, *id))),
                (true, []) => {}
                // Several, or no right to see them: the ticket names its CI in words all the same.
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The tickets of these ids that really are what was looked for.
    fn look(
        &self,
        talk: &mut Talk,
        kind: RecordKind,
        ids: &[u64],
        fits: impl Fn(&Found) -> bool,
    ) -> Result<Vec<Found>, Next> {
        let mut found = Vec::new();
        for id in ids.iter().take(HITS) {
            found.extend(self.read(talk, kind, &id.to_string())?.filter(&fits));
        }
        Ok(found)
    }

    /// Writes the weight when it has changed on the host. What a rule or a person made of it stays otherwise.
    fn weigh(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let mut input = json!({});
        if say.fields && wanted.weighs && ticket.is_open() {
            for (field, level) in [("impact", wanted.impact), ("urgency", wanted.urgency)] {
                let level = self.map.level(level);
                if loose(&ticket.raw[field]) != level.to_string() {
                    input[field] = json!(level);
                }
            }
        }
        if input == json!({}) {
            return Ok(None);
        }
        let said = write(talk, Method::Put, format!("/{}/{}", itemtype(wanted.kind), ticket.id), input)?;
        match said.code.as_str() {
            _ if said.done => Ok(None),
            "ERROR_GLPI_UPDATE" => Ok(Some(format!("GLPI does not change {}: {}", ticket.id, said.words))),
            _ => Err(said.end(talk)),
        }
    }

    /// Adds a solution, which solves the ticket; false when GLPI takes none.
    fn solve(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found, text: &str) -> Result<bool, Next> {
        let mut input = child(wanted, ticket, text);
        if !self.map.get("solution.type").is_empty() {
            input["solutiontypes_id"] = typed(self.map.get("solution.type"));
        }
        let said = write(talk, Method::Post, "/ITILSolution".to_owned(), input)?;
        match said.code.as_str() {
            _ if said.done => Ok(true),
            // Solved by a person this very moment, or one awaits approval.
            "ERROR_GLPI_ADD" => Ok(false),
            _ => Err(said.end(talk)),
        }
    }

    /// Adds a followup that leaves the status alone, though the account is the ticket's requester.
    fn comment(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        text: &str,
    ) -> Result<Option<String>, Next> {
        let mut input = child(wanted, ticket, text);
        input["is_private"] = typed(self.map.get("followup.private"));
        input["_no_reopen"] = json!(1);
        let said = write(talk, Method::Post, "/ITILFollowup".to_owned(), input)?;
        match said.code.as_str() {
            _ if said.done => Ok(None),
            // A closed ticket takes no word any more.
            "ERROR_GLPI_ADD" if !ticket.is_open() => {
                Ok(Some(format!("GLPI takes no followup on {}: {}", ticket.id, said.words)))
            }
            "ERROR_GLPI_ADD" => Err(pause(format!(
                "GLPI takes no followup: {}; the profile needs the right to add followups to all tickets",
                said.words
            ))),
            _ => Err(said.end(talk)),
        }
    }

    /// Sets the status, and looks whether it is so: a status that the life cycle of the profile forbids is
    /// dropped without a word.
    fn move_to(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        stage: Stage,
        solved: bool,
    ) -> Result<Option<String>, Next> {
        let kind = itemtype(wanted.kind);
        if !solved {
            let input = json!({"status": status(stage)});
            let said = write(talk, Method::Put, format!("/{kind}/{}", ticket.id), input)?;
            if !said.done && said.code != "ERROR_GLPI_UPDATE" {
                return Err(said.end(talk));
            }
        }
        let now = self.read(talk, wanted.kind, &ticket.id)?.and_then(|t| t.stage);
        let stays = format!(
            "{kind} {} does not become {stage:?}: allow it in the profile's life cycle, or see what its template \
             demands",
            ticket.id
        );
        match now {
            Some(now) if now.is_open() && !stage.is_open() => Err(refused(stays)),
            Some(now) if now.is_open() != stage.is_open() => Ok(Some(stays)),
            _ => Ok(None),
        }
    }
}

/// What followups and solutions have in common.
fn child(wanted: &Wanted, ticket: &Found, text: &str) -> Json {
    json!({
        "itemtype": itemtype(wanted.kind),
        "items_id": typed(&ticket.id),
        "content": markup::html(&bmp(text)),
    })
}

/// A comment with its headline and its marker.
pub fn message(wanted: &Wanted, text: &str) -> String {
    let marker = if wanted.headline.contains(&wanted.marker) { "" } else { wanted.marker.as_str() };
    format!("{} {marker}\n\n{text}", wanted.headline)
}

/// GLPI before 10 stores no character beyond the basic plane: it would refuse the whole text.
fn bmp(text: &str) -> String {
    text.chars().map(|c| if c > '\u{ffff}' { '\u{fffd}' } else { c }).collect()
}

/// A ticket or problem as the API shows it.
pub fn found(json: &Json) -> Found {
    let content = loose(&json["content"]);
    let external = loose(&json["externalid"]);
    let key = match footer::key(&content) {
        "" if external.starts_with("sx-") => external,
        key => key.to_owned(),
    };
    Found {
        id: loose(&json["id"]),
        creator: loose(&json["users_id_recipient"]),
        key,
        stage: stage(&loose(&json["status"])),
        updated: times::changed(&loose(&json["date_mod"])),
        // Of the zone that is set there.
        wall: true,
        raw: json.clone(),
        ..Found::default()
    }
}

/// GLPI's number for a stage, for tickets and problems.
pub fn status(stage: Stage) -> u8 {
    match stage {
        Stage::New => 1,
        Stage::Acknowledged | Stage::InProgress => 2,
        Stage::OnHold => 4,
        Stage::Resolved | Stage::Closed | Stage::Cancelled => 5,
    }
}

/// The stage of GLPI's number; `None` for one that a plugin added.
pub fn stage(status: &str) -> Option<Stage> {
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
