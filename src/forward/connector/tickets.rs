//! The conversation that all ticket desks share; a product gives it the verbs ([`Product`]).
//!
//! ```text
//! create   [find by key, when repeated; not found, the search lags: later] → [adopt an orphan by alert key]
//!          → create → read, compare the key → [find again, adopt the oldest] → when over already: as amend
//! amend    read → [gone: find by key, or make anew] → [comment said?] → tell (comment, weight, stage)
//! link     the product's own
//! ```
//! No desk here makes a create idempotent, so what may have been carried out is looked for before it is
//! repeated. A person's decision is kept: only what changed on the host changes the ticket's state, and a
//! ticket that is over is reopened only when the record came back. A ticket that is closed for good gets a
//! successor with a key of its own and a reference back.

use std::time::Duration;

use super::classify::{Class, class};
use super::talk::{Talk, end};
use super::wanted::Wanted;
use super::{Done, Next, Reply, Target};
use crate::engine::effect::{Job, Operation, Outcome, RecordKind, Remote, Stage};
use crate::engine::moment::{DAY, Stamp};

/// How long after a store began tickets of the lost store before it are looked for.
const ADOPTION: i64 = 90 * DAY;

/// A ticket as it stands at the far end.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its id, as later requests name it.
    pub id: String,
    /// The key it carries; empty when it carries none.
    pub key: String,
    /// Where it stands; `None` when the product's word is not known.
    pub stage: Option<Stage>,
    /// Who it is assigned to.
    pub assignee: Option<String>,
    /// Who changed it last.
    pub by: Option<String>,
    /// Resolution text or reason of a hold.
    pub note: Option<String>,
    /// When anything about it last changed, by the far end's clock.
    pub updated: Option<Stamp>,
    /// For a problem: it stands there as a known error.
    pub known_error: bool,
    /// Everything the far end told.
    pub raw: serde_json::Value,
}

impl Found {
    /// It is to be worked on, or nobody knows.
    pub fn is_open(&self) -> bool {
        self.stage.is_none_or(Stage::is_open)
    }

    /// As read back for that record.
    pub fn remote(self, record: &str, rev: u64) -> Option<Remote> {
        let Self { stage, assignee, by, note, updated, known_error, .. } = self;
        let record = record.to_owned();
        Some(Remote { record, rev, stage: stage?, assignee, by, note, updated, known_error })
    }
}

/// What is to be told in an update.
#[derive(Clone, Copy, Debug)]
pub struct Say<'a> {
    /// The comment, unless it was said already.
    pub text: Option<&'a str>,
    /// The state to bring about; `None`: leave it.
    pub stage: Option<Stage>,
    /// Subject, priority and fields may be written: the ticket is this record's own.
    pub fields: bool,
}

/// The verbs of one product. Each may ask several questions, and ends the conversation with `Err` when it
/// cannot go on.
pub trait Product {
    /// How long a search may not show what was just written.
    fn lag(&self) -> Duration {
        Duration::from_secs(3)
    }

    /// Tickets that carry this key (compared here, whatever the filter returned), the oldest first.
    fn find(&self, talk: &mut Talk, wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next>;

    /// Open tickets that carry this alert key, the oldest first; none where it is not kept.
    fn orphans(&self, _talk: &mut Talk, _wanted: &Wanted) -> Result<Vec<Found>, Next> {
        Ok(Vec::new())
    }

    /// Makes the ticket with this key and returns its id. `before`: the ticket it succeeds.
    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next>;

    /// The ticket; `None` when it is gone.
    fn read(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next>;

    /// Whether a comment with this operation's marker stands there already.
    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next>;

    /// Comments, weighs and moves the ticket; leaves out what it shows as done. Returns a flaw to be logged.
    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next>;

    /// Ties the incident's ticket to the problem's.
    fn link(&self, talk: &mut Talk, job: &Job, incident: &str, problem: &str) -> Result<(), Next>;
}

/// The next request for one job, or its outcome.
pub fn next(product: &dyn Product, target: &Target, jobs: &[Job], exchanges: &[super::Exchange]) -> Next {
    let [job] = jobs else {
        let reason = "this connector takes one job at a time".to_owned();
        let outcome = Outcome::Retry { after: None, unknown: false, reason };
        return Next::Done(Done { outcomes: vec![outcome; jobs.len()], ..Done::default() });
    };
    let mut talk = Talk::new(exchanges, job.unknown);
    let result = match (job.kind, Wanted::of(job)) {
        (RecordKind::Link, _) => link(product, &mut talk, job),
        (_, Err(reason)) => Err(end(Outcome::Refused { reason })),
        (_, Ok(wanted)) => match &job.remote_id {
            None => create(product, &mut talk, target, job, &wanted),
            Some(id) => amend(product, &mut talk, job, &wanted, id, is_repeated(job)),
        },
    };
    match result {
        Ok(done) => Next::Done(done),
        Err(next) => next,
    }
}

fn create(
    product: &dyn Product,
    talk: &mut Talk,
    target: &Target,
    job: &Job,
    wanted: &Wanted,
) -> Result<Done, Next> {
    let repeated = is_repeated(job) || job.operation != Operation::Create;
    let mut known = if repeated { product.find(talk, wanted, &wanted.key)?.into_iter().next() } else { None };
    if known.is_none() {
        wait_for_search(product, talk, job)?;
        known = orphan(product, talk, target, job, wanted)?;
    }
    if let Some(ticket) = known {
        return amend(product, talk, job, wanted, &ticket.id, true);
    }
    let made = product.create(talk, wanted, &wanted.key, None)?;
    let Some(ticket) = product.read(talk, wanted.kind, &made)? else {
        return Err(talk.retry(None, format!("ticket {made} was made and cannot be read")));
    };
    if ticket.key != wanted.key {
        return Ok(keyless(wanted, &ticket));
    }
    let mut id = made;
    if repeated {
        // The first attempt may have been carried out after we had searched: then there are two, and the
        // older one counts.
        let oldest = product.find(talk, wanted, &wanted.key)?.into_iter().next();
        id = oldest.map_or(id, |t| t.id);
    }
    if wanted.is_over() || id != ticket.id {
        return amend(product, talk, job, wanted, &id, true);
    }
    Ok(Outcome::stored(Some(id)).into())
}

/// Until the search must show what a lost attempt may have written, nothing is written again.
fn wait_for_search(product: &dyn Product, talk: &Talk, job: &Job) -> Result<(), Next> {
    let Some(doubt) = job.doubt_at.filter(|_| job.unknown) else { return Ok(()) };
    let lag = i64::try_from(product.lag().as_nanos()).unwrap_or(i64::MAX);
    let left = doubt.plus(lag).0.saturating_sub(job.claimed_at.0).min(lag);
    if left <= 0 {
        return Ok(());
    }
    let after = Duration::from_nanos(left.unsigned_abs()).max(Duration::from_secs(1));
    let reason = "an earlier attempt may have made the ticket; the search may not show it yet".to_owned();
    Err(talk.retry_in_doubt(after, reason))
}

/// An open ticket that this host's lost store has left behind.
fn orphan(
    product: &dyn Product,
    talk: &mut Talk,
    target: &Target,
    job: &Job,
    wanted: &Wanted,
) -> Result<Option<Found>, Next> {
    let young = job.claimed_at.0.saturating_sub(target.born.0) < ADOPTION;
    if wanted.alert_key.is_empty() || wanted.is_over() || !young {
        return Ok(None);
    }
    let lost = |t: &Found| minted(&t.key).is_some_and(|at| at < target.born);
    Ok(product.orphans(talk, wanted)?.into_iter().find(|t| t.is_open() && lost(t)))
}

/// When the record of a key was minted: the first 48 bits of a UUIDv7 are milliseconds since the epoch (RFC
/// 9562, 5.7).
pub fn minted(key: &str) -> Option<Stamp> {
    let hex: String = key.strip_prefix("sx-")?.chars().filter(|c| *c != '-').take(12).collect();
    let millis = i64::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 12)?;
    Some(Stamp(millis.saturating_mul(1_000_000)))
}

/// A new revision of a record whose ticket is known. `look`: its comment may stand there already.
fn amend(
    product: &dyn Product,
    talk: &mut Talk,
    job: &Job,
    wanted: &Wanted,
    id: &str,
    look: bool,
) -> Result<Done, Next> {
    let (ticket, own) = match product.read(talk, wanted.kind, id)? {
        Some(ticket) => {
            let own = ticket.id == id;
            (ticket, own)
        }
        None => match product.find(talk, wanted, &wanted.key)?.into_iter().next() {
            Some(ticket) => (ticket, true),
            None if wanted.is_over() => return Ok(Outcome::stored(Some(id.to_owned())).into()),
            None => return anew(product, talk, job, wanted, None),
        },
    };
    if ticket.stage == Some(Stage::Closed) && wanted.reopens {
        return anew(product, talk, job, wanted, Some(&ticket));
    }
    let mut text = wanted.comment.as_deref();
    if text.is_some() && look && product.is_said(talk, wanted, &ticket)? {
        text = None;
    }
    // On a first telling the record's own state counts, later only what changed on the host.
    let stage = wanted.change.or_else(|| wanted.is_over().then_some(wanted.stage));
    let say = Say { text, stage: stage.filter(|s| own && moves(wanted, &ticket, *s)), fields: own };
    let warning = product.tell(talk, wanted, &ticket, &say)?;
    Ok(Done { warning, ..Outcome::stored(Some(ticket.id)).into() })
}

/// Whether the ticket is to be moved: a person's end of it is only undone by a record that came back.
fn moves(wanted: &Wanted, ticket: &Found, to: Stage) -> bool {
    match ticket.stage {
        Some(stage) if stage.is_open() => to != stage,
        Some(_) => wanted.reopens && to.is_open(),
        None => true,
    }
}

/// A new ticket for a record whose ticket is gone, or closed for good: with a key of its own, so that the
/// search by key never shows two.
fn anew(
    product: &dyn Product,
    talk: &mut Talk,
    job: &Job,
    wanted: &Wanted,
    before: Option<&Found>,
) -> Result<Done, Next> {
    let key = if before.is_some() { format!("{}-{}", wanted.key, job.rev) } else { wanted.key.clone() };
    if is_repeated(job) {
        if let Some(ticket) = product.find(talk, wanted, &key)?.into_iter().next() {
            return Ok(Outcome::stored(Some(ticket.id)).into());
        }
        wait_for_search(product, talk, job)?;
    }
    let id = product.create(talk, wanted, &key, before)?;
    let warning = match before {
        Some(closed) => format!("ticket {} is closed for good: {id} succeeds it", closed.id),
        None => format!("the ticket of {} was gone: {id} was made in its place", wanted.number),
    };
    Ok(Done { warning: Some(warning), ..Outcome::stored(Some(id)).into() })
}

fn link(product: &dyn Product, talk: &mut Talk, job: &Job) -> Result<Done, Next> {
    let (Some(incident), Some(problem)) = (&job.remote_id, &job.remote_problem) else {
        let reason = "both tickets must be stored before they are linked".to_owned();
        return Err(talk.retry(Some(Duration::from_secs(60)), reason));
    };
    product.link(talk, job, incident, problem)?;
    Ok(Outcome::stored(None).into())
}

/// The ticket is there and known by its id, but the next one would not be found after a crash.
fn keyless(wanted: &Wanted, ticket: &Found) -> Done {
    let pause = format!(
        "ticket {} was made without its key {}: the field for the key is missing or may not be written",
        ticket.id, wanted.key
    );
    Done { pause: Some(pause), ..Outcome::stored(Some(ticket.id.clone())).into() }
}

fn is_repeated(job: &Job) -> bool {
    job.unknown || job.attempts > 0
}

/// Goes on after a success; anything else ends the conversation.
pub fn success(talk: &Talk, reply: &Reply) -> Result<(), Next> {
    if class(reply.status) == Class::Success { Ok(()) } else { Err(talk.give_up(reply, true)) }
}

/// The destination as a whole must stop: a person has to mend something.
pub fn pause(reason: String) -> Next {
    Next::Done(Done { pause: Some(reason.clone()), ..Outcome::Pause { reason }.into() })
}

/// This operation will never be taken.
pub fn refused(reason: String) -> Next {
    end(Outcome::Refused { reason })
}
