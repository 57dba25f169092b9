//! One mail about many records whose priority can wait: the important first, a line or two each.

use super::super::markup::escape;
use super::letter::{Draft, Envelope, message_id, title, written};
use crate::engine::effect::{Job, Stage};
use crate::engine::record::Severity;
use crate::forward::connector::wanted::{Wanted, cut};
use crate::forward::connector::{Request, Target};

/// The most characters of a line.
const LINE: usize = 200;

/// The mail with its Message-ID; `None` when there is nothing to tell. Its id is that of all its operations,
/// so that the same records make the same mail.
pub fn letter(
    envelope: &Envelope,
    target: &Target,
    listed: &[(&Job, &Wanted)],
) -> Option<Result<(Request, String), String>> {
    let mut rows: Vec<&(&Job, &Wanted)> = listed.iter().collect();
    rows.sort_by_key(|(_, w)| {
        (!w.stage.is_open(), w.priority, std::cmp::Reverse(w.severity), w.number.clone())
    });
    let most = rows.iter().map(|(_, w)| w.priority).min()?;
    let open = rows.iter().filter(|(_, w)| w.stage.is_open()).count();
    let count = match rows.len() {
        1 => "1 record".to_owned(),
        n => format!("{n} records"),
    };
    let id = message_id(target, &format!("sx-digest-{}", fingerprint(&rows)));
    let summary = format!("{}: {count}, {open} open", target.host.name);
    let draft = Draft {
        id: id.clone(),
        answers: None,
        subject: cut(&format!("[sexton] {summary}"), LINE),
        at: rows.iter().map(|(_, w)| written(w)).max()?,
        priority: most,
        more: vec![("X-Sexton-Priority", format!("{most:?}"))],
        plain: &plain(&summary, &rows),
        html: html(&summary, &rows),
    };
    Some(envelope.write(target, draft).map(|request| (request, id)))
}

fn fingerprint(rows: &[&(&Job, &Wanted)]) -> String {
    use sha2::Digest;
    let keys: Vec<&str> = rows.iter().map(|(job, _)| job.operation_key.as_str()).collect();
    let hash = sha2::Sha256::digest(keys.join("\n").as_bytes());
    hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn plain(summary: &str, rows: &[&(&Job, &Wanted)]) -> String {
    let mut out = format!("{summary}\n");
    let mut last = None;
    for (job, wanted) in rows {
        if last.replace(wanted.stage.is_open()) != Some(wanted.stage.is_open()) {
            out.push_str(if wanted.stage.is_open() { "\nOpen\n" } else { "\nOver\n" });
        }
        let [what, how] = words(wanted);
        out.push_str(&format!("\n{}\n  {how}\n  {}\n", cut(&what, LINE), job.record_key));
    }
    out
}

fn html(summary: &str, rows: &[&(&Job, &Wanted)]) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html><body style=\"font-family:sans-serif\">\n<h3>{}</h3>\n<table>\n",
        escape(summary)
    );
    for (job, wanted) in rows {
        let [what, how] = words(wanted);
        let weight = if wanted.stage.is_open() { "bold" } else { "normal" };
        out.push_str(&format!(
            "<tr><td style=\"font-weight:{weight}\">{}<br><small>{}<br>{}</small></td></tr>\n",
            escape(&cut(&what, LINE)),
            escape(&how),
            escape(&job.record_key)
        ));
    }
    out.push_str("</table>\n</body></html>\n");
    out
}

/// What it is, and how it stands.
fn words(wanted: &Wanted) -> [String; 2] {
    let severity = match wanted.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let stage = match wanted.stage {
        Stage::New => "new",
        Stage::Acknowledged => "acknowledged",
        Stage::InProgress => "in progress",
        Stage::OnHold => "on hold",
        Stage::Resolved => "resolved",
        Stage::Closed => "closed",
        Stage::Cancelled => "cancelled",
    };
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = format!("{:?} {} {}: {}", wanted.priority, wanted.number, wanted.ci, one_line(&title(wanted)));
    let end =
        if wanted.closure.is_empty() { String::new() } else { format!(": {}", one_line(&wanted.closure)) };
    [what, cut(&format!("{severity}, {stage}{end}, as of {}", written(wanted)), LINE)]
}
