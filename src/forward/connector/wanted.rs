//! What a record wants of its ticket, in words that no product changes.
//!
//! A connector translates this into its product's fields; texts are plain and unbounded here, limits are the
//! product's.

use crate::engine::effect::{Job, Operation, RecordKind, Stage};
use crate::engine::record::{Incident, Priority, Problem, ProblemState, Severity, State, TimelineEntry};

use super::text;

/// Kinds of timeline entries with which a priority may rise; the first revision has nothing to rise from.
const WEIGHS: &[&str] = &["step", "priority", "raised", "reopened"];

/// The most characters of the CI's name in a subject.
const CI_CHARS: usize = 64;

/// The record behind a job, typed.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An incident.
    Incident(Box<Incident>),
    /// A problem candidate.
    Problem(Box<Problem>),
}

/// What a job wants of its ticket.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The record.
    pub record: Subject,
    /// Incident or problem.
    pub kind: RecordKind,
    /// `sx-<id>`: the key by which the ticket is found again.
    pub key: String,
    /// `sx-a-<host>-<fingerprint>`: the same for every episode; empty for a problem.
    pub alert_key: String,
    /// `[<operation key>]`: stands in what is said, and proves that it was.
    pub marker: String,
    /// `INC000042`.
    pub number: String,
    /// One line that names the CI; as long as it comes.
    pub subject: String,
    /// The ticket's text.
    pub content: String,
    /// Subject of a comment, without the marker.
    pub headline: String,
    /// What is new since the revision that the far end holds; `None` when it is not worth a word.
    pub comment: Option<String>,
    /// The sentence that tells how it ended; empty while it has not.
    pub closure: String,
    /// Name of the configuration item.
    pub ci: String,
    /// Business service, when known.
    pub service: Option<String>,
    /// `area/topic`.
    pub category: String,
    /// 1 high … 3 low.
    pub impact: u8,
    /// 1 high … 3 low.
    pub urgency: u8,
    /// P1 … P5.
    pub priority: Priority,
    /// Severity.
    pub severity: Severity,
    /// Where the record stands.
    pub stage: Stage,
    /// Where this operation brings the ticket; `None` when it leaves the state alone.
    pub change: Option<Stage>,
    /// The record came back since the revision that the far end holds.
    pub reopens: bool,
    /// Its priority may have risen since then; else a person's priority is left alone.
    pub weighs: bool,
}

impl Wanted {
    /// What this job wants.
    ///
    /// # Errors
    /// A sentence when the body is no such record.
    pub fn of(job: &Job) -> Result<Self, String> {
        let unreadable = |e: serde_json::Error| format!("cannot read record {}: {e}", job.record);
        match job.kind {
            RecordKind::Problem => {
                let problem = serde_json::from_value(job.body.clone()).map_err(unreadable)?;
                Ok(Self::problem(job, problem))
            }
            RecordKind::Incident | RecordKind::Link => {
                let incident = serde_json::from_value(job.body.clone()).map_err(unreadable)?;
                Ok(Self::incident(job, incident))
            }
        }
    }

    /// The ticket is to be over.
    pub fn is_over(&self) -> bool {
        !self.stage.is_open()
    }

    fn incident(job: &Job, incident: Incident) -> Self {
        let stage = stage_of(incident.state);
        let weighs = fresh(&incident.timeline, job).any(|e| e.rev > 1 && WEIGHS.contains(&e.kind.as_str()));
        Self {
            kind: RecordKind::Incident,
            key: job.record_key.clone(),
            alert_key: incident.alert_key.clone(),
            marker: format!("[{}]", job.operation_key),
            number: incident.number.clone(),
            subject: subject(&incident.ci.name, &incident.title),
            content: text::incident(&incident, &job.record_key),
            headline: text::headline(&incident.number, job),
            comment: text::incident_comment(&incident, job),
            closure: incident.closure.as_ref().map(|c| c.note.clone()).unwrap_or_default(),
            ci: incident.ci.name.clone(),
            service: incident.service.clone(),
            category: incident.category.clone(),
            impact: incident.impact,
            urgency: incident.urgency,
            priority: incident.priority,
            severity: incident.severity,
            stage,
            change: incident_change(job, &incident),
            reopens: reopens(job, &incident),
            weighs,
            record: Subject::Incident(Box::new(incident)),
        }
    }

    fn problem(job: &Job, problem: Problem) -> Self {
        use ProblemState as P;
        let stage = match problem.state {
            P::Candidate => Stage::New,
            P::Open | P::KnownError | P::FixPending => Stage::InProgress,
            P::Resolved => Stage::Resolved,
            P::Closed => Stage::Closed,
            P::Dismissed | P::Expired => Stage::Cancelled,
        };
        let change = match job.operation {
            Operation::Resolve if stage.is_open() => Some(Stage::Resolved),
            Operation::Resolve => Some(stage),
            Operation::Reopen => Some(Stage::InProgress),
            Operation::Create | Operation::Update | Operation::Link => None,
        };
        let weighs = fresh(&problem.timeline, job).next().is_some();
        let last = problem.timeline.last().filter(|_| !stage.is_open());
        Self {
            kind: RecordKind::Problem,
            key: job.record_key.clone(),
            alert_key: String::new(),
            marker: format!("[{}]", job.operation_key),
            number: problem.number.clone(),
            subject: subject(&problem.ci.name, &problem.title),
            content: text::problem(&problem, &job.record_key),
            headline: text::headline(&problem.number, job),
            comment: text::problem_comment(&problem, job),
            closure: last.map(|e| e.note.clone()).unwrap_or_default(),
            ci: problem.ci.name.clone(),
            service: problem.service.clone(),
            category: problem.category.clone(),
            impact: problem.impact,
            urgency: problem.urgency,
            priority: problem.priority,
            severity: problem.severity,
            stage,
            change,
            reopens: job.operation == Operation::Reopen,
            weighs,
            record: Subject::Problem(Box::new(problem)),
        }
    }

    /// A comment with its headline and its marker.
    pub fn message(&self, text: &str) -> String {
        let marker = if self.headline.contains(&self.marker) { "" } else { self.marker.as_str() };
        format!("{} {marker}\n\n{text}", self.headline)
    }
}

/// What is new since the revision that the far end holds.
fn fresh<'a>(timeline: &'a [TimelineEntry], job: &Job) -> impl Iterator<Item = &'a TimelineEntry> {
    let acked = job.acked_rev;
    timeline.iter().filter(move |e| e.rev > acked)
}

/// Where an incident's operation brings its ticket: what the fresh lines of its timeline changed, or the
/// operation itself.
fn incident_change(job: &Job, incident: &Incident) -> Option<Stage> {
    let fresh = incident.timeline.iter().filter(|e| e.rev > job.acked_rev);
    let changed = fresh.filter_map(|e| e.to).next_back();
    match job.operation {
        Operation::Resolve if incident.state.is_open() => Some(Stage::Resolved),
        Operation::Resolve => Some(stage_of(incident.state)),
        Operation::Reopen => Some(Stage::InProgress),
        Operation::Update => match changed {
            Some(State::New) => Some(Stage::InProgress),
            Some(state) => Some(stage_of(state)),
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

fn stage_of(state: State) -> Stage {
    match state {
        State::New => Stage::New,
        State::Acknowledged => Stage::Acknowledged,
        State::InProgress => Stage::InProgress,
        State::OnHold => Stage::OnHold,
        State::Resolved => Stage::Resolved,
        State::Closed => Stage::Closed,
        State::Cancelled => Stage::Cancelled,
    }
}

/// One line. It names the CI, because a queue holds the tickets of many.
pub fn subject(ci: &str, title: &str) -> String {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let ci = one_line(ci).chars().take(CI_CHARS).collect::<String>().trim_end().to_owned();
    let line = one_line(title);
    let line = if line.contains(&ci) { line } else { format!("{ci}: {line}") };
    line.chars().filter(|c| !c.is_control()).collect()
}

/// At most that many characters, the last one `…` when cut.
pub fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars.saturating_sub(1)).chain(['…']).collect()
}
