//! The two sides that are compared: what a record wants of its ticket, and what a ticket says it is.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value as Json, json};

use super::super::wanted::{self, cut};
use super::super::{Reply, Target};
use super::options::Map;
use super::{loose, text};
use crate::engine::effect::{Job, Operation, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::record::{Incident, Problem, ProblemState, State, TimelineEntry};

/// The most characters of a subject; RT cuts longer ones without a word.
pub const SUBJECT_CHARS: usize = 200;
/// The most characters of a custom field that stays searchable.
pub const FIELD_CHARS: usize = 255;

/// What a record wants of its ticket.
pub struct Wanted {
    /// One line.
    pub subject: String,
    /// Text of the new ticket.
    pub content: String,
    /// Subject of the comment; ends with the marker.
    pub headline: String,
    /// Text of the comment; `None` when this revision has nothing to say.
    pub comment: Option<String>,
    /// RT's priority number.
    pub priority: i64,
    /// Status of a new ticket.
    pub first_status: String,
    /// The record is over: the status that says so.
    pub over: Option<String>,
    /// Status that this operation brings about; `None` leaves it to the people.
    pub status: Option<String>,
    /// The record came back: the ticket may leave an inactive status.
    pub reopens: bool,
    /// Custom fields, the keys apart.
    pub fields: BTreeMap<String, String>,
    /// `sx-a-<host>-<fingerprint>`: the same for every episode; empty for a problem.
    pub alert_key: String,
    /// Names of the fields for impact and urgency: when they differ, the weight has changed.
    pub weight: Vec<String>,
    /// When the record last changed.
    pub at: Stamp,
}

impl Wanted {
    /// What this job wants.
    ///
    /// # Errors
    /// A sentence when the body is no such record.
    pub fn of(target: &Target, map: &Map, job: &Job) -> Result<Self, String> {
        let unreadable = |e: serde_json::Error| format!("cannot read record {}: {e}", job.record);
        match job.kind {
            RecordKind::Problem => {
                let problem = serde_json::from_value(job.body.clone()).map_err(unreadable)?;
                Ok(Self::problem(target, map, job, &problem))
            }
            RecordKind::Incident | RecordKind::Link => {
                let incident = serde_json::from_value(job.body.clone()).map_err(unreadable)?;
                Ok(Self::incident(target, map, job, &incident))
            }
        }
    }

    fn incident(target: &Target, map: &Map, job: &Job, incident: &Incident) -> Self {
        let over = (!incident.state.is_open()).then(|| status_of(map, incident.state));
        let last_seen = incident.resolved_at.filter(|_| over.is_some()).unwrap_or(incident.at);
        let mut wanted = Self {
            subject: subject(&incident.ci.name, &incident.title),
            content: text::incident(incident, &job.record_key),
            headline: text::headline(&incident.number, job),
            comment: text::incident_comment(incident, job),
            priority: map.priority(incident.priority),
            first_status: status_of(map, incident.state),
            status: incident_status(map, job, incident),
            reopens: reopens(job, incident),
            over,
            fields: BTreeMap::new(),
            alert_key: incident.alert_key.clone(),
            weight: Vec::new(),
            at: incident.at,
        };
        if wanted.over.is_some() {
            wanted.first_status = map.get("status.new").to_owned();
        }
        let count = incident.intervals.len().max(1) as u64;
        wanted.common(target, map, &incident.ci.name, (incident.impact, incident.urgency), count);
        wanted.put(map, "field.first", time(incident.breach_at));
        wanted.put(map, "field.last", time(last_seen));
        wanted.put(map, "field.alert", incident.alert_key.clone());
        if !wanted.alert_key.is_empty() {
            // A store that was lost finds its tickets again by this line.
            wanted.content.push_str(&format!("\nAlert: {}\n", wanted.alert_key));
        }
        wanted
    }

    fn problem(target: &Target, map: &Map, job: &Job, problem: &Problem) -> Self {
        use ProblemState as P;
        let over = match problem.state {
            P::Resolved | P::Closed => Some(map.get("status.resolved").to_owned()),
            P::Dismissed | P::Expired => Some(map.get("status.rejected").to_owned()),
            P::Candidate | P::Open | P::KnownError | P::FixPending => None,
        };
        let mut wanted = Self {
            subject: subject(&problem.ci.name, &problem.title),
            content: text::problem(problem, &job.record_key),
            headline: text::headline(&problem.number, job),
            comment: text::problem_comment(problem, job),
            priority: map.priority(problem.priority),
            first_status: map.get("status.new").to_owned(),
            status: match job.operation {
                Operation::Resolve => {
                    Some(over.clone().unwrap_or_else(|| map.get("status.resolved").to_owned()))
                }
                Operation::Reopen => Some(map.get("status.open").to_owned()),
                Operation::Create | Operation::Update | Operation::Link => None,
            },
            reopens: job.operation == Operation::Reopen,
            over,
            fields: BTreeMap::new(),
            alert_key: String::new(),
            weight: Vec::new(),
            at: problem.at,
        };
        wanted.common(target, map, &problem.ci.name, (problem.impact, problem.urgency), problem.openings);
        wanted.put(map, "field.first", time(problem.first_at));
        wanted.put(map, "field.last", time(problem.last_at));
        let known = matches!(problem.state, P::KnownError | P::FixPending);
        // What people put there is theirs: it is only set, and said at the beginning.
        if known || job.operation == Operation::Create {
            wanted.put(map, "field.known_error", if known { "yes" } else { "no" }.to_owned());
        }
        wanted
    }

    fn common(&mut self, target: &Target, map: &Map, ci: &str, weight: (u8, u8), count: u64) {
        self.put(map, "field.ci", ci.to_owned());
        self.put(map, "field.source", format!("sexton/{}", target.host.name));
        self.put(map, "field.count", count.to_string());
        self.put(map, "field.impact", map.choice(weight.0).to_owned());
        self.put(map, "field.urgency", map.choice(weight.1).to_owned());
        let names = ["field.impact", "field.urgency"].map(|f| map.get(f).to_owned());
        self.weight = names.into_iter().filter(|n| !n.is_empty()).collect();
    }

    fn put(&mut self, map: &Map, entry: &str, value: String) {
        let name = map.get(entry);
        if !name.is_empty() {
            let line: String = value.trim().chars().filter(|c| !c.is_control()).take(FIELD_CHARS).collect();
            self.fields.insert(name.to_owned(), line.trim_end().to_owned());
        }
    }

    /// Names of the custom fields that the ticket does not hold as wanted.
    pub fn lacking(&self, ticket: &Ticket) -> Vec<&str> {
        self.fields.iter().filter(|(n, v)| !ticket.holds(n, v)).map(|(n, _)| n.as_str()).collect()
    }

    /// The custom fields as JSON.
    pub fn fields_json(&self) -> Json {
        json!(self.fields)
    }

    /// The body of `POST /ticket`.
    pub fn create_body(&self, map: &Map, job: &Job) -> Json {
        let mut fields: JsonMap<String, Json> = JsonMap::new();
        fields.extend(self.fields.iter().map(|(k, v)| (k.clone(), json!(v))));
        if !map.get("field.idempotency").is_empty() {
            fields.insert(map.get("field.idempotency").to_owned(), json!(job.record_key));
        }
        fields.insert(map.key_field().to_owned(), json!(job.record_key));
        json!({
            "Queue": map.queue(job.kind),
            "Subject": self.subject,
            "Content": self.content,
            "ContentType": "text/plain",
            "Priority": self.priority,
            "Status": self.first_status,
            "CustomFields": fields,
        })
    }
}

/// The status an incident's operation brings about: what the fresh lines of its timeline changed, or the
/// operation itself.
fn incident_status(map: &Map, job: &Job, incident: &Incident) -> Option<String> {
    let fresh = incident.timeline.iter().filter(|e| e.rev > job.acked_rev);
    let changed = fresh.filter_map(|e| e.to).next_back();
    match job.operation {
        Operation::Resolve if incident.state.is_open() => Some(map.get("status.resolved").to_owned()),
        Operation::Resolve => Some(status_of(map, incident.state)),
        Operation::Reopen => Some(map.get("status.open").to_owned()),
        Operation::Update => match changed {
            Some(State::New) => Some(map.get("status.open").to_owned()),
            Some(state) => Some(status_of(map, state)),
            None => None,
        },
        Operation::Create | Operation::Link => None,
    }
}

fn reopens(job: &Job, incident: &Incident) -> bool {
    let mut fresh = incident.timeline.iter().filter(|e| e.rev > job.acked_rev);
    let back = |e: &TimelineEntry| e.from.is_some_and(|s| !s.is_open()) && e.to.is_some_and(State::is_open);
    job.operation == Operation::Reopen || fresh.any(back)
}

fn status_of(map: &Map, state: State) -> String {
    let entry = match state {
        State::New => "status.new",
        State::Acknowledged | State::InProgress => "status.open",
        State::OnHold => "status.hold",
        State::Resolved | State::Closed => "status.resolved",
        State::Cancelled => "status.rejected",
    };
    map.get(entry).to_owned()
}

/// A time as custom fields take it: a `Z` would be read as midnight, an offset is understood.
pub fn time(stamp: Stamp) -> String {
    let seconds = stamp.0.div_euclid(crate::engine::moment::SECOND);
    let whole = Stamp(seconds.saturating_mul(crate::engine::moment::SECOND)).to_string();
    whole.replace('Z', "+00:00")
}

/// One line of at most [`SUBJECT_CHARS`]. It names the CI, because a queue holds the tickets of many.
pub fn subject(ci: &str, title: &str) -> String {
    cut(&wanted::subject(ci, title), SUBJECT_CHARS)
}

/// What a ticket says it is.
#[derive(Debug, Default)]
pub struct Ticket {
    /// Its id; another than asked for when it was merged.
    pub id: String,
    /// Its status.
    pub status: String,
    /// Its priority number.
    pub priority: i64,
    /// It was merged into another: only a search shows it so.
    pub is_merged: bool,
    /// Name of the user that made it.
    pub creator: String,
    /// Id of its queue.
    pub queue: String,
    /// `ETag` of the answer.
    pub etag: Option<String>,
    /// First value of each custom field that has one.
    pub fields: BTreeMap<String, String>,
    /// Ids of the tickets it is a member of.
    pub parents: Vec<String>,
}

impl Ticket {
    /// Reads the answer to `GET /ticket/N`.
    pub fn of(reply: &Reply) -> Self {
        let etag = reply.header("etag").map(str::to_owned);
        Self { etag, ..Self::from_json(&reply.json()) }
    }

    /// Reads a ticket, whole or as an item of a search.
    pub fn from_json(json: &Json) -> Self {
        let list = |name: &str| json[name].as_array().cloned().unwrap_or_default();
        let first = |f: &Json| Some((loose(&f["name"]), loose(f["values"].get(0)?)));
        let parents = list("_hyperlinks").into_iter().filter(|l| l["ref"] == "parent");
        let effective = loose(&json["EffectiveId"]);
        Self {
            id: loose(&json["id"]),
            is_merged: !effective.is_empty() && effective != loose(&json["id"]),
            status: loose(&json["Status"]),
            priority: loose(&json["Priority"]).parse().unwrap_or(0),
            creator: loose(&json["Creator"]["id"]),
            queue: loose(&json["Queue"]["id"]),
            etag: None,
            fields: list("CustomFields").iter().filter_map(first).collect(),
            parents: parents.map(|l| loose(&l["id"])).collect(),
        }
    }

    /// A custom field; empty when it has no value.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// True when the ticket's field holds this value, times compared as times.
    pub fn holds(&self, name: &str, value: &str) -> bool {
        let got = self.field(name);
        got == value || matches!((got.parse::<Stamp>(), value.parse::<Stamp>()), (Ok(a), Ok(b)) if a == b)
    }
}
