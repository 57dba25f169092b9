//! Connector `mail`: a thread of mails per record, or one overview mail for many.
//!
//! ```text
//! hello    MAIL, RCPT, taken back: name, TLS, login, sender and recipients are good
//! record   one mail: the first opens a thread, each later one answers the first
//! digest   one mail for up to 100 records whose priority can wait, the important first
//! ```
//! SMTP has no search: whether a mail whose reply was lost arrived cannot be known. It is sent again, byte
//! for byte and with the same Message-ID, by which mail servers and readers drop the second one. Nothing is
//! read back. Links are not mailed: the problem's mails list its incidents.

mod letter;
mod overview;

use super::login::{PASSWORD, USER};
use super::{
    CA, CLIENT_CERTIFICATE, CLIENT_KEY, Connector, DIGEST, Done, Exchange, Failure, Login, Next, Request,
    Target, WireKind,
};
use crate::engine::effect::{Job, Outcome, RecordKind};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};
use crate::forward::connector::classify::{outcome, sentence};
use crate::forward::connector::wanted::Wanted;

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "mail",
        about: "mail by SMTP: a thread per record, digests",
        options: &[
            OptionSpec {
                key: "url",
                kind: OptionKind::RequiredText,
                about: "mail server, smtp://host:587 (STARTTLS) or smtps://host:465 (TLS)",
            },
            OptionSpec {
                key: "from",
                kind: OptionKind::RequiredText,
                about: "sender, `name <user@host>` or `user@host`",
            },
            OptionSpec {
                key: "to",
                kind: OptionKind::List(&[]),
                about: "recipients, at least one and at most 100",
            },
            OptionSpec {
                key: "tls",
                kind: OptionKind::Choice(&["auto", "required", "never"]),
                about: "auto: STARTTLS unless the server is this machine; never: in the clear",
            },
            USER,
            PASSWORD,
            CLIENT_CERTIFICATE,
            CLIENT_KEY,
            CA,
        ],
        signals: &[],
        check,
    },
    batch: 100,
    concurrency: 1,
    wire: WireKind::Smtp,
    logins: LOGINS,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: None,
    read_batch: 1,
};

const LOGINS: &[Login] = &[Login::Basic, Login::Anonymous];

fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    letter::Envelope::of(options)?;
    crate::forward::wire::smtp::Server::of(options).map(|_| ())
}

/// One mail, and the jobs that it carries out.
struct Letter {
    /// Places of the jobs.
    jobs: Vec<usize>,
    request: Request,
    /// Its Message-ID.
    id: String,
}

/// Proves that mail may be sent.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let probe = match letter::Envelope::of(&target.options) {
        Ok(envelope) => envelope.probe(target),
        Err(reason) => return Next::Done(Done { pause: Some(reason), ..Done::default() }),
    };
    let Some(exchange) = exchanges.first() else { return Next::send(probe) };
    Next::Done(match &exchange.result {
        Err(_) => Done::default(),
        Ok(reply) => match outcome(reply, false) {
            None => Done { warning: refused(reply), ..Done::default() },
            Some(Outcome::Refused { reason } | Outcome::Pause { reason }) => {
                Done { pause: Some(reason), ..Done::default() }
            }
            Some(_) => Done::default(),
        },
    })
}

/// The next mail, or the outcomes.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
    let letters = letters(target, jobs, &mut outcomes);
    let mut warning = None;
    for (n, letter) in letters.into_iter().enumerate() {
        let Some(exchange) = exchanges.get(n) else { return Next::send(letter.request) };
        let (one, goes_on) = match &exchange.result {
            Ok(reply) => {
                warning = refused(reply).or(warning);
                (outcome(reply, true), !super::classify::is_destination_trouble(reply.status))
            }
            Err(Failure { sent, reason }) => {
                (Some(Outcome::Retry { after: None, unknown: *sent, reason: reason.clone() }), false)
            }
        };
        let goes_on = goes_on && !matches!(one, Some(Outcome::Pause { .. }));
        for at in letter.jobs {
            // The thread is named by its first mail.
            let thread = jobs[at].remote_id.clone().unwrap_or_else(|| letter.id.clone());
            outcomes[at] = Some(one.clone().unwrap_or_else(|| Outcome::stored(Some(thread))));
        }
        if !goes_on {
            break;
        }
    }
    let unsent = || Outcome::Retry {
        after: None,
        unknown: false,
        reason: "a mail before this one could not be sent".to_owned(),
    };
    let outcomes = outcomes.into_iter().map(|o| o.unwrap_or_else(unsent)).collect();
    Next::Done(Done { outcomes, warning, ..Done::default() })
}

/// The mails of these jobs: one each for what cannot wait, then one for all that can. Jobs that need no mail
/// have their outcome at once.
fn letters(target: &Target, jobs: &[Job], outcomes: &mut [Option<Outcome>]) -> Vec<Letter> {
    let envelope = match letter::Envelope::of(&target.options) {
        Ok(envelope) => envelope,
        Err(reason) => {
            outcomes.fill(Some(Outcome::Pause { reason }));
            return Vec::new();
        }
    };
    let waits = target.options.list(DIGEST);
    let (mut letters, mut late) = (Vec::new(), Vec::new());
    for (at, job) in jobs.iter().enumerate() {
        if job.kind == RecordKind::Link {
            outcomes[at] = Some(Outcome::stored(None));
            continue;
        }
        let wanted = match Wanted::of(job) {
            Ok(wanted) => wanted,
            Err(reason) => {
                outcomes[at] = Some(Outcome::Refused { reason });
                continue;
            }
        };
        let Some(text) = letter::text(job, &wanted) else {
            outcomes[at] = Some(Outcome::stored(job.remote_id.clone()));
            continue;
        };
        if waits.contains(&format!("{:?}", wanted.priority)) {
            late.push((at, wanted));
            continue;
        }
        match envelope.letter(target, job, &wanted, &text) {
            Ok((request, id)) => letters.push(Letter { jobs: vec![at], request, id }),
            Err(reason) => outcomes[at] = Some(Outcome::Refused { reason }),
        }
    }
    let places: Vec<usize> = late.iter().map(|(at, _)| *at).collect();
    let listed: Vec<_> = late.iter().map(|(at, wanted)| (&jobs[*at], wanted)).collect();
    match overview::letter(&envelope, target, &listed) {
        Some(Ok((request, id))) => letters.push(Letter { jobs: places, request, id }),
        Some(Err(reason)) => {
            places.iter().for_each(|at| outcomes[*at] = Some(Outcome::Refused { reason: reason.clone() }));
        }
        None => {}
    }
    letters
}

/// Recipients that the server refused while it took others.
fn refused(reply: &super::Reply) -> Option<String> {
    reply.header("refused").map(|told| format!("recipients were refused: {told} ({})", sentence(reply)))
}

#[cfg(test)]
mod tests;
