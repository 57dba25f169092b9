//! The conversation that all ticket desks share; a product gives it the verbs ([`Product`]).
//!
//! ```text
//! create   [find by key, when repeated; not found: later, until a lost attempt must show; search still fit?]
//!          → [adopt an orphan by alert key] → create → read, compare the key
//!          → [find again: the oldest counts, younger ones of ours are retired] → when over already: as amend
//! amend    read → [gone: find by key, or make anew] → [said? not yet: later, while a lost attempt may
//!          still be running] → tell (comment, weight, stage)
//! anew     [find by the successor's key] → create → read, compare the key
//! link     the product's own
//! ```
//! No desk here makes a create idempotent, so what may have been carried out is looked for before it is
//! repeated. A person's decision is kept: only what changed on the host changes the ticket's state, a ticket
//! that is over is reopened only when the record came back, and one that is worked on is not set back. A
//! ticket that is closed for good gets a successor with a key of its own and a reference back.

use std::time::Duration;

use super::classify::{Class, class};
use super::talk::{LAG, Talk, end};
use super::wanted::Wanted;
use super::{Done, Next, Reply, Target};
use crate::engine::effect::{Held, Job, Operation, Outcome, RecordKind, Remote, Stage};
use crate::engine::moment::{DAY, SECOND, Stamp};

/// How long after a store began tickets of the lost store before it are looked for.
const ADOPTION: i64 = 90 * DAY;
/// The most tickets of one record that are retired in one conversation; more wait for the next.
const TWINS: usize = 5;
const MILLISECOND: i64 = SECOND / 1000;

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
    /// Who made it; empty when the far end does not say, and then it counts as ours.
    pub creator: String,
    /// Resolution text or reason of a hold.
    pub note: Option<String>,
    /// When anything about it last changed, by the far end's clock.
    pub updated: Option<Stamp>,
    /// That clock is one on a wall, whose zone nothing tells.
    pub wall: bool,
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
        let Self { stage, assignee, by, note, updated, wall, known_error, .. } = self;
        let record = record.to_owned();
        Some(Remote { record, rev, stage: stage?, assignee, by, note, updated, wall, known_error })
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
    /// How long a search may not show what was just written, and how long a request that was given up may
    /// still be carried out.
    fn lag(&self) -> Duration {
        LAG
    }

    /// Tickets that carry this key (compared here, whatever the filter returned), the oldest first.
    fn find(&self, talk: &mut Talk, wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next>;

    /// Proves that [`Product::find`] would see a ticket: asked before a create is repeated because nothing
    /// was found. Needed where a search by a field that has gone finds nothing, without a word.
    fn fit(&self, _talk: &mut Talk, _wanted: &Wanted) -> Result<(), Next> {
        Ok(())
    }

    /// Open tickets that carry this alert key, the oldest first; none where it is not kept.
    fn orphans(&self, _talk: &mut Talk, _wanted: &Wanted) -> Result<Vec<Found>, Next> {
        Ok(Vec::new())
    }

    /// Makes an orphan the ticket of this record: writes the record's key over the one it carries. Must be
    /// there where [`Product::orphans`] is, or a crash after it makes a second ticket.
    fn adopt(&self, _talk: &mut Talk, _wanted: &Wanted, _ticket: &Found) -> Result<(), Next> {
        Ok(())
    }

    /// Makes the ticket with this key and returns its id. `before`: the ticket it succeeds.
    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next>;

    /// The ticket; `None` when it is gone. A ticket merged into another is told by the other one's id.
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

    /// Ends a ticket of our own making that stands beside the record's.
    fn retire(&self, talk: &mut Talk, wanted: &Wanted, twin: &Found, of: &Found) -> Result<(), Next> {
        let text = format!("Duplicate of ticket {}: both were made for {}.", of.id, wanted.number);
        let say = Say { text: Some(&text), stage: Some(Stage::Cancelled), fields: false };
        self.tell(talk, wanted, twin, &say).map(|_| ())
    }

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
        (RecordKind::Link, _) => link(product, &talk, job).and_then(|(incident, problem)| {
            product.link(&mut talk, job, incident, problem)?;
            Ok(Outcome::stored(None).into())
        }),
        (_, Err(reason)) => Err(end(Outcome::Refused { reason })),
        (_, Ok(wanted)) => {
            let mut at = Conversation { product, talk: &mut talk, target, job, wanted: &wanted };
            match &job.remote_id {
                None => at.create(),
                Some(id) => at.amend(id, is_repeated(job)),
            }
        }
    };
    talk.conclude(result.map_or_else(|next| next, Next::Done))
}

/// Reads these records back one by one. One that is refused (a ticket moved out of our sight) is left out, so
/// that it keeps none of the others from being told.
pub fn read_back(
    held: &[Held],
    exchanges: &[super::Exchange],
    one: impl FnMut(&mut Talk, &Held) -> Result<Option<Remote>, Next>,
) -> Next {
    let mut all = Done::default();
    let read = read_each(&mut Talk::new(exchanges, false), held, &mut all, one);
    read.map_or_else(|next| next, |()| Next::Done(all))
}

/// The same within a conversation, for those that an answer about many does not show.
pub fn read_each<'h>(
    talk: &mut Talk,
    held: impl IntoIterator<Item = &'h Held>,
    all: &mut Done,
    mut one: impl FnMut(&mut Talk, &Held) -> Result<Option<Remote>, Next>,
) -> Result<(), Next> {
    for held in held {
        match one(talk, held) {
            Ok(remote) => all.remotes.extend(remote),
            Err(Next::Done(Done { gone, .. })) if !gone.is_empty() => all.gone.extend(gone),
            Err(Next::Done(Done { outcomes, .. })) if matches!(outcomes[..], [Outcome::Refused { .. }]) => {}
            Err(next) => return Err(next),
        }
    }
    Ok(())
}

/// A record whose ticket a person has thrown away.
pub fn deleted(held: &Held, why: &str) -> Remote {
    Remote {
        record: held.record.clone(),
        rev: held.rev,
        stage: Stage::Cancelled,
        assignee: None,
        by: None,
        note: Some(why.to_owned()),
        updated: None,
        wall: false,
        known_error: false,
    }
}

/// A record whose ticket is not there any more, by whatever cause: the end of one reading of [`read_back`].
pub fn gone(held: &Held) -> Next {
    Next::Done(Done { gone: vec![held.record.clone()], ..Done::default() })
}

/// What the steps of one conversation share.
struct Conversation<'c, 't> {
    product: &'c dyn Product,
    talk: &'c mut Talk<'t>,
    target: &'c Target,
    job: &'c Job,
    wanted: &'c Wanted,
}

impl Conversation<'_, '_> {
    fn create(&mut self) -> Result<Done, Next> {
        let repeated = is_repeated(self.job) || self.job.operation != Operation::Create;
        if repeated {
            let found = self.find(&self.wanted.key)?;
            if let Some((ticket, twins)) = found.split_first() {
                self.retire(twins, ticket)?;
                return self.amend(&ticket.id, true);
            }
            self.wait_for_lost()?;
            self.product.fit(self.talk, self.wanted)?;
        }
        if let Some(orphan) = self.orphan()? {
            return self.amend(&orphan.id, true);
        }
        let mut ticket = match self.make(&self.wanted.key, None)? {
            Ok(ticket) => ticket,
            Err(keyless) => return self.end_keyless(keyless),
        };
        let made = ticket.id.clone();
        if repeated {
            // The first attempt may have been carried out after we had searched: then there are two, and the
            // older one counts.
            let found = self.find(&self.wanted.key)?;
            if let Some((oldest, twins)) = found.split_first() {
                self.retire(twins, oldest)?;
                ticket = oldest.clone();
            }
        }
        if self.wanted.is_over() || ticket.id != made {
            return self.amend(&ticket.id, true);
        }
        Ok(Outcome::stored(Some(ticket.id)).into())
    }

    /// A ticket that was made without its key, for a record that is over already: it is known by its id, and
    /// is ended now, because nothing else would before the record is closed. Whatever comes of that, a
    /// repeated create would not find it.
    fn end_keyless(&mut self, keyless: Done) -> Result<Done, Next> {
        let [Outcome::Stored { remote_id: Some(id), .. }] = &keyless.outcomes[..] else { return Ok(keyless) };
        if !self.wanted.is_over() {
            return Ok(keyless);
        }
        match self.amend(id, true) {
            Ok(done) => Ok(Done { pause: keyless.pause, ..done }),
            Err(Next::Send(request)) => Err(Next::Send(request)),
            Err(Next::Done(_)) => Ok(keyless),
        }
    }

    /// A new revision of a record whose ticket is known. `look`: its comment may stand there already.
    fn amend(&mut self, id: &str, look: bool) -> Result<Done, Next> {
        let wanted = self.wanted;
        let (ticket, own) = match self.product.read(self.talk, wanted.kind, id)? {
            Some(ticket) => {
                let own = ticket.id == id;
                (ticket, own)
            }
            None => match self.relative()? {
                Some(ticket) => (ticket, true),
                None if wanted.is_over() => return Ok(Outcome::stored(Some(id.to_owned())).into()),
                None => return self.anew(None),
            },
        };
        if ticket.stage == Some(Stage::Closed) && wanted.reopens && !wanted.is_over() {
            return self.anew(Some(&ticket));
        }
        let mut text = wanted.comment.as_deref();
        if text.is_some() && look && self.product.is_said(self.talk, wanted, &ticket)? {
            text = None;
        }
        // On a first telling the record's own state counts, later only what changed on the host.
        let stage = wanted.change.or_else(|| wanted.is_over().then_some(wanted.stage));
        let stage = stage.filter(|s| own && moves(wanted, &ticket, *s));
        if text.is_some() || stage.is_some() {
            self.wait_for_lost()?;
        }
        let say = Say { text, stage, fields: own };
        let warning = self.product.tell(self.talk, wanted, &ticket, &say)?;
        Ok(Done { warning, ..Outcome::stored(Some(ticket.id)).into() })
    }

    /// A new ticket for a record whose ticket is gone, or closed for good: the latter with a key of its own,
    /// so that the search by key never shows two.
    fn anew(&mut self, before: Option<&Found>) -> Result<Done, Next> {
        let key = successor_key(self.wanted, self.job, before);
        if is_repeated(self.job) {
            if let Some(ticket) = self.find(&key)?.into_iter().find(Found::is_open) {
                return Ok(Outcome::stored(Some(ticket.id)).into());
            }
            self.wait_for_lost()?;
            self.product.fit(self.talk, self.wanted)?;
        }
        let ticket = match self.make(&key, before)? {
            Ok(ticket) => ticket,
            Err(keyless) => return Ok(keyless),
        };
        let id = ticket.id;
        let warning = match before {
            Some(closed) => format!("ticket {} is closed for good: {id} succeeds it", closed.id),
            None => format!("the ticket of {} was gone: {id} was made in its place", self.wanted.number),
        };
        Ok(Done { warning: Some(warning), ..Outcome::stored(Some(id)).into() })
    }

    /// Makes a ticket and reads it back. `Ok(Err(…))`: it is there, but its key is not.
    fn make(&mut self, key: &str, before: Option<&Found>) -> Result<Result<Found, Done>, Next> {
        let made = self.product.create(self.talk, self.wanted, key, before)?;
        let Some(ticket) = self.product.read(self.talk, self.wanted.kind, &made)? else {
            return Err(self.talk.retry(None, format!("ticket {made} was made and cannot be read")));
        };
        Ok(if ticket.key == key { Ok(ticket) } else { Err(keyless(key, &ticket)) })
    }

    /// Tickets with this key, the oldest first, an open one before any that is over.
    fn find(&mut self, key: &str) -> Result<Vec<Found>, Next> {
        let mut found = self.product.find(self.talk, self.wanted, key)?;
        found.retain(|t| t.key == key);
        found.sort_by_key(|t| !t.is_open());
        Ok(found)
    }

    /// Another ticket of this record whose own one is gone. One that was closed for good is none while the
    /// record is open: it cannot take up its work.
    fn relative(&mut self) -> Result<Option<Found>, Next> {
        let over = self.wanted.is_over();
        let fits = |t: &Found| over || t.stage != Some(Stage::Closed);
        Ok(self.find(&self.wanted.key)?.into_iter().find(fits))
    }

    /// Ends what stands open beside the record's ticket, when we made it: a copy made by a person is theirs.
    fn retire(&mut self, twins: &[Found], of: &Found) -> Result<(), Next> {
        let ours = |t: &&Found| t.is_open() && t.creator == of.creator && t.id != of.id;
        for twin in twins.iter().filter(ours).take(TWINS) {
            self.product.retire(self.talk, self.wanted, twin, of)?;
        }
        Ok(())
    }

    fn wait_for_lost(&self) -> Result<(), Next> {
        self.talk.wait_for_lost(self.job, self.product.lag())
    }

    /// An open ticket that this host's lost store has left behind, made this record's.
    fn orphan(&mut self) -> Result<Option<Found>, Next> {
        let young = self.job.claimed_at.0.saturating_sub(self.target.born.0) < ADOPTION;
        if self.wanted.alert_key.is_empty() || self.wanted.is_over() || !young {
            return Ok(None);
        }
        let born = self.target.born;
        // A key tells its millisecond: within that of the beginning the record may be one of ours.
        let lost = |t: &Found| minted(&t.key).is_some_and(|at| at.plus(MILLISECOND) <= born);
        let mut orphans = self.product.orphans(self.talk, self.wanted)?;
        orphans.retain(|t| t.is_open() && lost(t));
        let Some((orphan, twins)) = orphans.split_first() else { return Ok(None) };
        self.product.adopt(self.talk, self.wanted, orphan)?;
        self.retire(twins, orphan)?;
        Ok(Some(orphan.clone()))
    }
}

/// When the record of a key was minted: the first 48 bits of a UUIDv7 are milliseconds since the epoch (RFC
/// 9562, 5.7).
pub fn minted(key: &str) -> Option<Stamp> {
    let mut parts = key.strip_prefix("sx-")?.split('-');
    let (high, low) = (parts.next().filter(|p| p.len() == 8)?, parts.next().filter(|p| p.len() == 4)?);
    let millis = i64::from_str_radix(&format!("{high}{low}"), 16).ok()?;
    Some(Stamp(millis.saturating_mul(MILLISECOND)))
}

/// The key of a ticket made in the place of another.
fn successor_key(wanted: &Wanted, job: &Job, before: Option<&Found>) -> String {
    match before {
        Some(_) => format!("{}-{}", wanted.key, job.rev),
        None => wanted.key.clone(),
    }
}

/// Whether the ticket is to be moved: a person's end of it is only undone by a record that came back, and
/// what a person has taken up is not set back to an earlier stage.
fn moves(wanted: &Wanted, ticket: &Found, to: Stage) -> bool {
    match ticket.stage {
        Some(stage) if stage.is_open() && to.is_open() => to > stage && !wanted.reopens || resumes(stage, to),
        Some(stage) if stage.is_open() => true,
        Some(_) => wanted.reopens && to.is_open(),
        None => true,
    }
}

/// Work goes on after a hold.
fn resumes(from: Stage, to: Stage) -> bool {
    from == Stage::OnHold && to == Stage::InProgress
}

/// The two tickets of a link, once nothing of an earlier attempt can be under way.
fn link<'j>(product: &dyn Product, talk: &Talk, job: &'j Job) -> Result<(&'j str, &'j str), Next> {
    let (Some(incident), Some(problem)) = (&job.remote_id, &job.remote_problem) else {
        let reason = "both tickets must be stored before they are linked".to_owned();
        return Err(talk.retry(Some(Duration::from_secs(60)), reason));
    };
    talk.wait_for_lost(job, product.lag())?;
    Ok((incident, problem))
}

/// The ticket is there and known by its id, but the next one would not be found after a crash.
fn keyless(key: &str, ticket: &Found) -> Done {
    let pause = format!(
        "ticket {} was made without its key {key}: the field for the key is missing or may not be written",
        ticket.id
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

/// The end of a proof: with these flaws the destination works all the same.
pub fn proven(flaws: Result<Vec<String>, Next>) -> Next {
    let done = |flaws: Vec<String>| {
        let warning = Some(flaws.join("; ")).filter(|f| !f.is_empty());
        Next::Done(Done { warning, ..Done::default() })
    };
    flaws.map_or_else(|next| next, done)
}

/// This operation will never be taken.
pub fn refused(reason: String) -> Next {
    end(Outcome::Refused { reason })
}

#[cfg(test)]
mod tests;
