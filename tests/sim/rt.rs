//! A Request Tracker at the far end of a network, as far as the connector speaks to it: finds at once, makes
//! as many tickets as it is asked to, and tells refusals in a 200.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sexton::engine::effect::RecordKind;
use sexton::forward::connector::{Method, Reply, Request};

use crate::net::Product;
use crate::random::Random;
use crate::truth::Row;
use crate::world::World;

const KEY: &str = "CorrelationKey";
const FIELDS: [&str; 12] = [
    KEY,
    "IdempotencyKey",
    "CI",
    "Impact",
    "Urgency",
    "OccurrenceCount",
    "FirstSeen",
    "LastSeen",
    "EventSource",
    "KnownError",
    "Owner",
    "Notes",
];

#[derive(Default)]
pub struct Rt {
    tickets: Vec<Ticket>,
}

#[derive(Clone, Default)]
struct Ticket {
    queue: &'static str,
    status: String,
    priority: i64,
    fields: BTreeMap<String, String>,
    /// Subjects of its comments, oldest first.
    comments: Vec<String>,
    parents: Vec<usize>,
    changes: u64,
    merged_into: Option<usize>,
    /// A person has changed its status, moved or merged it.
    touched: bool,
}

impl Ticket {
    fn is_active(&self) -> bool {
        !["resolved", "rejected", "deleted"].contains(&self.status.as_str())
    }

    fn json(&self, id: usize) -> Json {
        let fields = self.fields.iter().map(|(name, value)| json!({"name": name, "values": [value]}));
        let parents = self.parents.iter().map(|p| json!({"ref": "parent", "id": p.to_string()}));
        json!({
            "id": id, "Status": self.status, "Priority": self.priority.to_string(),
            "Creator": {"id": "sexton"}, "Queue": {"id": self.queue},
            "CustomFields": fields.collect::<Vec<_>>(), "_hyperlinks": parents.collect::<Vec<_>>(),
        })
    }
}

fn answer(status: u16, body: &Json) -> Reply {
    Reply { status, body: body.to_string().into_bytes(), ..Reply::default() }
}

fn queue_of(name: &str) -> &'static str {
    if name == "Problems" { "2" } else { "1" }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
        let hex = std::str::from_utf8(&digits).unwrap_or("00");
        bytes.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Rt {
    /// Index of the ticket that a number leads to, merges followed.
    fn at(&self, number: &str) -> Option<usize> {
        let mut id = number.parse::<usize>().ok()?.checked_sub(1)?;
        while let Some(into) = self.tickets.get(id)?.merged_into {
            id = into;
        }
        Some(id)
    }

    fn find(&self, query: &str) -> Json {
        let text = decode(query);
        let wanted = text.split('\'').nth(3).unwrap_or_default().to_lowercase();
        let hits = self.tickets.iter().enumerate().filter(|(_, t)| {
            t.merged_into.is_none()
                && t.status != "deleted"
                && t.fields.get(KEY).is_some_and(|key| key.to_lowercase() == wanted)
        });
        json!({"items": hits.map(|(i, t)| t.json(i + 1)).collect::<Vec<_>>()})
    }

    fn create(&mut self, body: &Json) -> Reply {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let mut ticket = Ticket {
            queue: queue_of(&text("Queue")),
            status: text("Status"),
            priority: body["Priority"].as_i64().unwrap_or(0),
            ..Ticket::default()
        };
        set_fields(&mut ticket, body);
        self.tickets.push(ticket);
        let id = self.tickets.len();
        let mut reply = answer(201, &json!({"id": id.to_string(), "type": "ticket"}));
        reply.headers.insert("location".to_owned(), format!("http://rt.invalid/REST/2.0/ticket/{id}"));
        reply
    }

    fn change(&mut self, at: usize, request: &Request) -> Reply {
        let count = self.tickets.len();
        let ticket = &mut self.tickets[at];
        let etag = format!("\"{}\"", ticket.changes);
        if request.header("if-match").is_some_and(|wanted| wanted != etag) {
            return answer(412, &json!({"message": "Precondition Failed"}));
        }
        let body = request.json_body();
        let mut told = Vec::new();
        for parent in body["AddMemberOf"].as_array().into_iter().flatten().filter_map(Json::as_u64) {
            let parent = parent as usize;
            if parent == 0 || parent > count {
                told.push(format!("Couldn't resolve '{parent}' into a Link."));
            } else if ticket.parents.contains(&parent) {
                told.push("Link already exists".to_owned());
            } else {
                ticket.parents.push(parent);
                told.push(format!("Ticket {}: member of Ticket {parent}", at + 1));
            }
        }
        if let Some(priority) = body["Priority"].as_i64() {
            told.push(format!("Priority changed from '{}' to '{priority}'", ticket.priority));
            ticket.priority = priority;
        }
        told.extend(set_fields(ticket, body));
        told.extend(set_status(ticket, body));
        ticket.changes += 1;
        answer(200, &json!(told))
    }

    fn comment(&mut self, at: usize, request: &Request, half: bool) -> Reply {
        let ticket = &mut self.tickets[at];
        let body = request.json_body();
        ticket.comments.push(body["Subject"].as_str().unwrap_or_default().to_owned());
        ticket.changes += 1;
        let mut told = vec!["Comments added".to_owned()];
        if !half {
            told.extend(set_fields(ticket, body));
            told.extend(set_status(ticket, body));
        }
        answer(201, &json!(told))
    }

    fn history(&self, at: usize) -> Reply {
        let items = self.tickets[at].comments.iter().rev();
        answer(
            200,
            &json!({"items": items.map(|s| json!({"Type": "Comment", "Data": s})).collect::<Vec<_>>()}),
        )
    }
}

fn set_fields(ticket: &mut Ticket, body: &Json) -> Vec<String> {
    let mut told = Vec::new();
    for (name, value) in body["CustomFields"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if FIELDS.contains(&name.as_str()) {
            ticket.fields.insert(name.clone(), value.to_owned());
            told.push(format!("{name} changed to {value}"));
        }
    }
    told
}

fn set_status(ticket: &mut Ticket, body: &Json) -> Option<String> {
    let status = body["Status"].as_str()?;
    if ticket.status == status {
        return Some(format!("Ticket is already {status}"));
    }
    let before = std::mem::replace(&mut ticket.status, status.to_owned());
    Some(format!("Status changed from '{before}' to '{status}'"))
}

impl Product for Rt {
    fn execute(&mut self, request: &Request, half: bool) -> Reply {
        let missing = || answer(404, &json!({"message": "Not Found"}));
        let path = request.path.clone();
        if let Some(name) = path.strip_prefix("/queue/") {
            let fields: Vec<Json> = FIELDS.iter().map(|name| json!({"name": name})).collect();
            return answer(200, &json!({"id": queue_of(name), "TicketCustomFields": fields}));
        }
        if let Some(query) = path.strip_prefix("/tickets?query=") {
            return answer(200, &self.find(query.split('&').next().unwrap_or_default()));
        }
        if (request.method, path.as_str()) == (Method::Post, "/ticket") {
            return self.create(request.json_body());
        }
        let Some(rest) = path.strip_prefix("/ticket/") else { return missing() };
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let Some(at) = self.at(&number) else { return missing() };
        match (request.method, &rest[number.len()..]) {
            (Method::Get, "") => {
                let mut reply = answer(200, &self.tickets[at].json(at + 1));
                reply.headers.insert("etag".to_owned(), format!("\"{}\"", self.tickets[at].changes));
                reply
            }
            (Method::Put, "") => self.change(at, request),
            (Method::Post, "/comment") => self.comment(at, request, half),
            (Method::Get, tail) if tail.starts_with("/history") => self.history(at),
            _ => missing(),
        }
    }

    fn meddle(&mut self, random: &mut Random) -> Option<String> {
        let count = self.tickets.len();
        let at = (count > 0).then(|| random.below(count as u64) as usize)?;
        if self.tickets[at].merged_into.is_some() || self.tickets[at].queue == "2" {
            return None;
        }
        let what = *random.pick(&["resolve", "open", "delete", "merge", "comment", "stall"]);
        let other = random.below(count as u64) as usize;
        let may_merge = other != at && self.tickets[other].merged_into.is_none();
        let ticket = &mut self.tickets[at];
        ticket.changes += 1;
        match what {
            "comment" => ticket.comments.push("looking at it".to_owned()),
            "merge" if may_merge => {
                (ticket.merged_into, ticket.touched) = (Some(other), true);
                self.tickets[other].touched = true;
            }
            "merge" => {}
            _ => {
                let status = match what {
                    "resolve" => "resolved",
                    "open" => "open",
                    "delete" => "deleted",
                    _ => "stalled",
                };
                (ticket.status, ticket.touched) = (status.to_owned(), true);
            }
        }
        Some(format!("{what} ticket {}", at + 1))
    }

    fn differences(&self, world: &World) -> Vec<String> {
        let mut wrong = self.doubles();
        let truth = world.truth.borrow();
        for ((destination, id), row) in &truth.rows {
            if destination == "rt" && !world.is_excused(destination, id) {
                let found = match row.kind {
                    RecordKind::Link => self.linked(row),
                    _ => self.record(id, row, world.dropped()),
                };
                wrong.extend(found);
            }
        }
        for ticket in &self.tickets {
            let key = ticket.fields.get(KEY).map_or("", |key| key.trim_start_matches("sx-"));
            let ours = truth.rows.contains_key(&("rt".to_owned(), key.to_owned()));
            if !ours && !world.lost_records.borrow().contains(key) {
                wrong.push(format!("rt: a ticket of {key} was made, which was never committed"));
            }
        }
        wrong
    }

    fn summary(&self) -> String {
        let tickets = self.tickets.iter().enumerate().map(|(i, t)| format!("{}:{}", i + 1, t.status));
        tickets.collect::<Vec<_>>().join(" ")
    }
}

impl Rt {
    fn tickets_of(&self, id: &str) -> Vec<usize> {
        let key = format!("sx-{id}");
        (0..self.tickets.len()).filter(|at| self.tickets[*at].fields.get(KEY) == Some(&key)).collect()
    }

    /// Tickets of one key, and things said twice.
    fn doubles(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut keys: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, ticket) in self.tickets.iter().enumerate() {
            if !ticket.touched {
                keys.entry(ticket.fields.get(KEY).map_or("", String::as_str)).or_default().push(at + 1);
            }
            let mut said: Vec<&String> = ticket.comments.iter().filter(|s| s.ends_with(']')).collect();
            said.sort_unstable();
            if let Some(twice) = said.windows(2).find(|pair| pair[0] == pair[1]) {
                wrong.push(format!("rt: ticket {} says twice: {}", at + 1, twice[0]));
            }
        }
        for (key, tickets) in keys.iter().filter(|(_, tickets)| tickets.len() > 1) {
            wrong.push(format!("rt: {key} has the tickets {tickets:?}"));
        }
        wrong
    }

    /// `dropped`: an update that says no more than a count may have been withdrawn.
    fn record(&self, id: &str, row: &Row, dropped: bool) -> Option<String> {
        let tickets = self.tickets_of(id);
        let Some(at) = tickets.first() else { return Some(format!("rt: {id} was lost")) };
        let ticket = &self.tickets[*at];
        if tickets.iter().any(|at| self.tickets[*at].touched) {
            return None;
        }
        if ticket.is_active() == row.over {
            let should = if row.over { "over" } else { "open" };
            return Some(format!(
                "rt: ticket {} of {id} is {}, the record is {should}",
                at + 1,
                ticket.status
            ));
        }
        let body: Json = serde_json::from_str(&row.body).unwrap_or_default();
        let count = match row.kind {
            RecordKind::Problem => body["openings"].as_u64().unwrap_or(0),
            _ => body["intervals"].as_array().map_or(0, |all| all.len() as u64).max(1),
        };
        let told = ticket.fields.get("OccurrenceCount").cloned().unwrap_or_default();
        (told != count.to_string() && !dropped)
            .then(|| format!("rt: ticket {} of {id} counts {told} openings, not {count}", at + 1))
    }

    fn linked(&self, row: &Row) -> Option<String> {
        let (incident, problem) = row.link.as_ref()?;
        let (incidents, problems) = (self.tickets_of(incident), self.tickets_of(problem));
        let (Some(child), Some(parent)) = (incidents.first(), problems.first()) else { return None };
        if self.tickets[*child].touched || self.tickets[*parent].touched {
            return None;
        }
        let links = self.tickets[*child].parents.iter().filter(|p| **p == parent + 1).count();
        (links != 1).then(|| format!("rt: ticket {} is linked {links} times to {}", child + 1, parent + 1))
    }
}
