//! One mail: envelope, headers that thread it, plain text and HTML. The same job gives the same bytes.

use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

use super::super::classify::clip;
use super::super::markup::escape;
use super::super::request::Body;
use super::super::{Method, Request, Target};
use crate::engine::effect::{Job, Operation};
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::option::Options;
use crate::engine::record::Priority;
use crate::forward::connector::wanted::{Subject, Wanted};
use crate::forward::wire::smtp::RECIPIENTS;

/// The most characters of a subject.
const SUBJECT: usize = 200;
/// The last second that a mail's date can name.
const LAST_DATE: i64 = 253_402_300_799;

/// Who writes to whom.
pub struct Envelope {
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Headers and text of a mail.
pub struct Draft<'a> {
    /// Message-ID, with its brackets.
    pub id: String,
    /// The mail that it answers.
    pub answers: Option<&'a str>,
    /// Subject.
    pub subject: String,
    /// When it was written.
    pub at: Stamp,
    /// The most pressing priority in it.
    pub priority: Priority,
    /// More headers, ASCII.
    pub more: Vec<(&'static str, String)>,
    /// The text.
    pub plain: &'a str,
    /// The text as HTML.
    pub html: String,
}

impl Envelope {
    /// By the options `from` and `to`.
    ///
    /// # Errors
    /// A sentence naming the address that is none.
    pub fn of(options: &Options) -> Result<Self, String> {
        let mailbox = |key: &str, text: &str| {
            let parsed = text.parse::<Mailbox>().map_err(|e| format!("{key}: '{}': {e}", clip(text, 80)))?;
            match parsed.email.to_string().is_ascii() {
                true => Ok(parsed),
                false => Err(format!("{key}: '{}': write the domain in its ASCII form", clip(text, 80))),
            }
        };
        let to = options.list("to");
        if to.is_empty() || to.len() > RECIPIENTS {
            return Err(format!("to names {} recipients: write 1 to {RECIPIENTS}", to.len()));
        }
        let to = to.iter().map(|t| mailbox("to", t)).collect::<Result<_, _>>()?;
        Ok(Self { from: mailbox("from", options.text("from"))?, to })
    }

    /// A request that proves the envelope.
    pub fn probe(&self, target: &Target) -> Request {
        let to: Vec<&str> = self.to.iter().map(|m| m.email.as_ref()).collect();
        let mut request = Request::get("/");
        request.headers.clear();
        request
            .with("mail-from", self.from.email.to_string())
            .with("mail-to", to.join(","))
            .with("mail-helo", target.host.name.clone())
    }

    /// The mail of one job, with its Message-ID.
    ///
    /// # Errors
    /// A sentence when it cannot be written as a mail.
    pub fn letter(
        &self,
        target: &Target,
        job: &Job,
        wanted: &Wanted,
        text: &str,
    ) -> Result<(Request, String), String> {
        let subject = subject(wanted);
        let first = job.remote_id.is_none();
        let draft = Draft {
            id: message_id(target, &job.operation_key),
            answers: job.remote_id.as_deref(),
            subject: if first { subject } else { format!("Re: {subject}") },
            at: written(wanted),
            priority: wanted.priority,
            more: vec![
                ("X-Sexton-Record", wanted.key.clone()),
                ("X-Sexton-Operation", job.operation_key.clone()),
                ("X-Sexton-Alert", wanted.alert_key.clone()),
                ("X-Sexton-Priority", format!("{:?}", wanted.priority)),
            ],
            plain: text,
            html: html(&title(wanted), text),
        };
        let id = draft.id.clone();
        Ok((self.write(target, draft)?, id))
    }

    /// The draft as a request.
    ///
    /// # Errors
    /// A sentence when it cannot be written as a mail.
    pub fn write(&self, target: &Target, draft: Draft<'_>) -> Result<Request, String> {
        let seconds = (draft.at.0 / SECOND).clamp(0, LAST_DATE).unsigned_abs();
        let mut message = Message::builder()
            .message_id(Some(draft.id.clone()))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .from(self.from.clone())
            .subject(draft.subject)
            .user_agent(concat!("sexton/", env!("CARGO_PKG_VERSION")).to_owned());
        for to in &self.to {
            message = message.to(to.clone());
        }
        if let Some(first) = draft.answers {
            message = message.in_reply_to(first.to_owned()).references(first.to_owned());
        }
        let importance = if draft.priority <= Priority::P2 { "high" } else { "normal" };
        let fixed = [
            // Nobody's holiday answers it (RFC 3834).
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Auto-Response-Suppress", "All".to_owned()),
            ("Importance", importance.to_owned()),
            ("X-Sexton-Host", target.host.name.chars().filter(|c| c.is_ascii_graphic()).collect()),
        ];
        for (name, value) in fixed.into_iter().chain(draft.more) {
            let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|e| format!("{name}: {e}"))?;
            if !value.is_empty() {
                message = message.raw_header(HeaderValue::new(name, value));
            }
        }
        // Named after the mail, because a random one would make each attempt another mail.
        let boundary = draft.id.trim_matches(['<', '>']).replace(|c: char| !c.is_ascii_alphanumeric(), "=");
        let boundary: String = boundary.chars().rev().take(60).collect();
        let parts = MultiPart::alternative()
            .boundary(format!("=_{boundary}"))
            .singlepart(SinglePart::plain(draft.plain.to_owned()))
            .singlepart(SinglePart::html(draft.html));
        let message = message.multipart(parts).map_err(|e| format!("cannot write the mail: {e}"))?;
        let text = String::from_utf8(message.formatted()).map_err(|_| "the mail is no text".to_owned())?;
        Ok(Request { method: Method::Post, body: Body::Text(text), ..self.probe(target) })
    }
}

/// What is to be said; `None` when nothing is new.
pub fn text(job: &Job, wanted: &Wanted) -> Option<String> {
    let first = job.remote_id.is_none() || job.operation == Operation::Create;
    if first { Some(wanted.content.clone()) } else { wanted.comment.clone() }
}

/// The Message-ID of an operation: the same each time it is repeated.
pub fn message_id(target: &Target, operation: &str) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '-' }).collect()
    };
    let host = plain(&target.host.name);
    let host = host.trim_matches(['.', '-']);
    format!("<{}@{}>", plain(operation), if host.is_empty() { target.host.id.as_str() } else { host })
}

/// The subject of all mails of a thread: only what never changes of a record stands in it.
fn subject(wanted: &Wanted) -> String {
    let what = match &wanted.record {
        Subject::Incident(i) if i.instance == "host" => i.rule.id.clone(),
        Subject::Incident(i) => format!("{} {}", i.rule.id, i.instance),
        Subject::Problem(p) => format!("repeated {}", p.category),
    };
    let line = format!("[{}] {}: {what}", wanted.number, wanted.ci);
    let line: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    super::super::wanted::cut(&line.replace(char::is_control, ""), SUBJECT)
}

/// When this revision was made.
pub fn written(wanted: &Wanted) -> Stamp {
    match &wanted.record {
        Subject::Incident(i) => i.at,
        Subject::Problem(p) => p.at,
    }
}

/// The record's own title.
pub fn title(wanted: &Wanted) -> String {
    match &wanted.record {
        Subject::Incident(i) => i.title.clone(),
        Subject::Problem(p) => p.title.clone(),
    }
}

/// The text as HTML: a heading, and the text with its columns kept.
fn html(title: &str, plain: &str) -> String {
    let body = plain.strip_prefix(title).unwrap_or(plain).trim_start();
    format!(
        "<!DOCTYPE html>\n<html><body>\n<h3 style=\"font-family:sans-serif\">{}</h3>\n\
         <pre style=\"font-family:monospace;white-space:pre-wrap\">{}</pre>\n</body></html>\n",
        escape(title),
        escape(body)
    )
}
