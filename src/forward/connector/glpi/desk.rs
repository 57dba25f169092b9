//! The verbs of the older API.

use serde_json::{Value as Json, json};

use super::super::request::loose;
use super::super::talk::Talk;
use super::super::tickets::{Found, pause, refused};
use super::super::wanted::Wanted;
use super::super::{Method, Next, Request, markup};
use super::api::{self, Term, ask, search, write};
use super::options::{Map, typed};
use super::verbs::{HITS, Refusal, Verbs, itemtype, made, not_made, shown};
use crate::engine::effect::{Job, RecordKind};

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

impl Verbs for Glpi<'_> {
    const EXTERNAL_ID: &'static str = "externalid";
    const ENTITY: &'static str = "entities_id";

    fn map(&self) -> Map<'_> {
        self.map
    }

    fn holding(&self, talk: &mut Talk, kind: RecordKind, text: &str, open: bool) -> Result<Vec<Found>, Next> {
        let mut terms = vec![Term { field: CONTENT, by: "contains", value: text }];
        if open {
            terms.insert(0, Term { field: STATUS, by: "equals", value: "notold" });
        }
        let json = api::get(talk, search(itemtype(kind), &terms, "0-9"))?;
        self.look(talk, kind, &api::ids(&json))
    }

    fn external(&self, talk: &mut Talk, key: &str) -> Result<Vec<Found>, Next> {
        let exactly = format!("^{key}$");
        let terms = [Term { field: EXTERNAL_ID, by: "contains", value: &exactly }];
        let said = ask(talk, Request::get(search("Ticket", &terms, "0-9")))?;
        let ids = if said.done { api::ids(&said.json) } else { Vec::new() };
        self.look(talk, RecordKind::Incident, &ids)
    }

    fn make(&self, talk: &mut Talk, wanted: &Wanted, _: &str, mut input: Json) -> Result<String, Next> {
        let (ci, kind) = (self.ci(talk, &wanted.ci)?, wanted.kind);
        for text in ["name", "content"] {
            input[text] = json!(bmp(&loose(&input[text])));
        }
        // What the map sets stays.
        let tied = ci.filter(|_| kind != RecordKind::Problem && input["items_id"].is_null());
        if let Some((itemtype, id)) = tied {
            input["items_id"] = json!({ itemtype: [id] });
        }
        let said = write(talk, Method::Post, format!("/{}", itemtype(kind)), input)?;
        match said.code.as_str() {
            _ if said.done => {}
            "ERROR_GLPI_ADD" => return Err(not_made(kind, &said.words)),
            _ => return Err(said.end(talk)),
        }
        let id = made(talk, kind, &said.json)?;
        if let (Some((itemtype, ci)), RecordKind::Problem) = (ci, kind) {
            // A problem takes no items when it is made. One that is not tied to its CI is still a problem.
            let input = json!({"problems_id": typed(&id), "itemtype": itemtype, "items_id": ci});
            write(talk, Method::Post, "/Item_Problem".to_owned(), input)?;
        }
        Ok(id)
    }

    fn fetch(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
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

    fn change(&self, talk: &mut Talk, kind: RecordKind, id: &str, input: Json) -> Result<Refusal, Next> {
        let said = write(talk, Method::Put, format!("/{}/{id}", itemtype(kind)), input)?;
        match said.code.as_str() {
            _ if said.done => Ok(None),
            "ERROR_GLPI_UPDATE" => Ok(Some(said.words)),
            _ => Err(said.end(talk)),
        }
    }

    fn set(&self, talk: &mut Talk, kind: RecordKind, id: &str, status: u8) -> Result<Refusal, Next> {
        // Whether it was taken shows when it is read back.
        self.change(talk, kind, id, json!({ "status": status })).map(|_| None)
    }

    fn holds(&self, talk: &mut Talk, kind: RecordKind, id: &str, marker: &str) -> Result<bool, Next> {
        let kind = itemtype(kind);
        for (child, most) in [("ITILFollowup", FOLLOWUPS), ("ITILSolution", HITS)] {
            let newest = format!("get_hateoas=false&sort=id&order=DESC&range=0-{}", most - 1);
            let path = format!("/{kind}/{id}/{child}?{newest}");
            let json = api::get(talk, path)?;
            let said = |entry: &Json| loose(&entry["content"]).contains(marker);
            if json.as_array().is_some_and(|entries| entries.iter().any(said)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

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

    /// The account is the ticket's requester, whose followups reopen it otherwise.
    fn comment(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found, text: &str) -> Result<Refusal, Next> {
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

    fn tie(&self, talk: &mut Talk, _: &Job, incident: &str, problem: &str) -> Result<(), Next> {
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

    /// The tickets of these ids.
    fn look(&self, talk: &mut Talk, kind: RecordKind, ids: &[u64]) -> Result<Vec<Found>, Next> {
        let found = ids.iter().take(HITS).map(|id| self.fetch(talk, kind, &id.to_string()));
        found.filter_map(Result::transpose).collect()
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

/// GLPI before 10 stores no character beyond the basic plane: it would refuse the whole text.
fn bmp(text: &str) -> String {
    text.chars().map(|c| if c > '\u{ffff}' { '\u{fffd}' } else { c }).collect()
}

/// A ticket or problem as the API shows it.
pub fn found(json: &Json) -> Found {
    Found {
        creator: loose(&json["users_id_recipient"]),
        // Of the zone that is set there.
        wall: true,
        ..shown(json, &json["status"], &json["externalid"])
    }
}
