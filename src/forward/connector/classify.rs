//! What an answer means when a connector has nothing special to say about it.
//!
//! The table follows HTTP semantics (RFC 9110, RFC 6585) with one house rule: whatever may have been carried
//! out is ambiguous, and the caller must look before it repeats. Redirects are a mistake in the
//! configuration, never followed.

use super::{Reply, markup};
use crate::engine::effect::Outcome;

/// The longest piece of a foreign body that is quoted in a reason, in bytes.
const QUOTE: usize = 300;

/// The class of an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 2xx.
    Success,
    /// 408, 425, 429, 503: not carried out, try again when told.
    NotNow,
    /// Other 5xx: may have been carried out.
    Ambiguous,
    /// 401, 403, 407: credentials or rights, here or at the proxy.
    Denied,
    /// 1xx and 3xx: the address is wrong or a proxy interferes.
    Elsewhere,
    /// 404, 410.
    Gone,
    /// 412: it was changed in between.
    Changed,
    /// Other 4xx: will never be taken.
    Permanent,
}

/// The class of a status.
pub fn class(status: u16) -> Class {
    match status {
        200..=299 => Class::Success,
        408 | 425 | 429 | 503 => Class::NotNow,
        401 | 403 | 407 => Class::Denied,
        404 | 410 => Class::Gone,
        412 => Class::Changed,
        400..=499 => Class::Permanent,
        500..=599 => Class::Ambiguous,
        _ => Class::Elsewhere,
    }
}

/// True when this status speaks of the destination as a whole and not of the one request.
pub fn is_destination_trouble(status: u16) -> bool {
    matches!(class(status), Class::NotNow | Class::Ambiguous)
}

/// The common outcome of an answer; `None` for a success. `write` says that the request changes something.
pub fn outcome(reply: &Reply, write: bool) -> Option<Outcome> {
    let reason = sentence(reply);
    Some(match class(reply.status) {
        Class::Success => return None,
        Class::NotNow => Outcome::Retry { after: reply.retry_after, unknown: false, reason },
        Class::Ambiguous => Outcome::Retry { after: reply.retry_after, unknown: write, reason },
        Class::Changed => Outcome::Retry { after: None, unknown: false, reason },
        Class::Denied => Outcome::Pause { reason },
        Class::Elsewhere => {
            let place = reply.header("location").unwrap_or("nowhere");
            let place = clip(place, QUOTE);
            Outcome::Pause {
                reason: format!("{reason}: redirects to {place}, which is not followed; check url"),
            }
        }
        Class::Gone | Class::Permanent => Outcome::Refused { reason },
    })
}

/// A whole web page where none belongs: a proxy or a login page has answered in the place of the far end.
pub fn is_page(reply: &Reply) -> bool {
    let head: Vec<u8> = reply.body.trim_ascii_start().iter().take(14).map(u8::to_ascii_lowercase).collect();
    head.starts_with(b"<!doctype html") || head.starts_with(b"<html")
}

/// The answer in a sentence: status, and what the body says, on one line and bounded.
pub fn sentence(reply: &Reply) -> String {
    let json = reply.json();
    let told = ["detail", "message", "title", "error", "reason"].iter().find_map(|k| json[*k].as_str());
    let text = match told {
        Some(text) => text.to_owned(),
        None => String::from_utf8_lossy(&reply.body[..reply.body.len().min(4 * QUOTE)]).into_owned(),
    };
    let text = if is_page(reply) { format!("a web page: {}", text_of_page(&text)) } else { text };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if line.is_empty() {
        return format!("HTTP {}", reply.status);
    }
    format!("HTTP {}: {}", reply.status, clip(&line, QUOTE))
}

/// The words of a page, without its scripts and styles.
fn text_of_page(html: &str) -> String {
    let mut text = html.to_owned();
    for tag in ["script", "style"] {
        let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
        while let Some(at) = text.find(&open) {
            let end = text[at..].find(&close).map_or(text.len(), |n| at + n + close.len());
            text.replace_range(at..end, " ");
        }
    }
    markup::text(&text.replace('<', " <"))
}

/// The text cut to at most `most` bytes on a character boundary, with a mark when cut.
pub fn clip(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: body.into(), ..Reply::default() }
    }

    #[test]
    fn each_status_has_its_outcome() {
        let after = Some(Duration::from_secs(7));
        for (status, write, kind) in [
            (429, true, "retry"),
            (503, true, "retry"),
            (408, true, "retry"),
            (500, true, "unknown"),
            (502, true, "unknown"),
            (504, true, "unknown"),
            (500, false, "retry"),
            (412, true, "retry"),
            (401, true, "pause"),
            (403, true, "pause"),
            (407, true, "pause"),
            (302, true, "pause"),
            (307, false, "pause"),
            (100, false, "pause"),
            (404, true, "refused"),
            (410, true, "refused"),
            (400, true, "refused"),
            (413, true, "refused"),
            (422, true, "refused"),
            (499, true, "refused"),
        ] {
            let reply = Reply { retry_after: after, ..reply(status, "no") };
            let got = match outcome(&reply, write) {
                Some(Outcome::Retry { unknown: true, .. }) => "unknown",
                Some(Outcome::Retry { .. }) => "retry",
                Some(Outcome::Pause { .. }) => "pause",
                Some(Outcome::Refused { .. }) => "refused",
                Some(Outcome::Stored { .. }) => "stored",
                None => "success",
            };
            assert_eq!(got, kind, "{status} write={write}");
        }
        assert_eq!(outcome(&reply(201, ""), true), None);
        let Some(Outcome::Retry { after: told, .. }) =
            outcome(&Reply { retry_after: after, ..reply(429, "") }, true)
        else {
            panic!("429 must be a retry")
        };
        assert_eq!(told, after);
    }

    #[test]
    fn a_reason_is_one_bounded_line() {
        assert_eq!(sentence(&reply(400, "")), "HTTP 400");
        assert_eq!(sentence(&reply(400, r#"{"message":"bad\nqueue"}"#)), "HTTP 400: bad queue");
        assert_eq!(sentence(&reply(400, r#"{"type":"x","detail":"no such rev"}"#)), "HTTP 400: no such rev");
        let page = "<!DOCTYPE html><html><head><title>Sign in</title><script>let a = 1;</script></head><body>\n<h1>Hello";
        assert_eq!(sentence(&reply(200, page)), "HTTP 200: a web page: Sign in Hello");
        let long = sentence(&reply(500, &"é".repeat(5000)));
        assert!(long.len() <= QUOTE + 12 && long.ends_with('…'), "{long}");
        let garbage = sentence(&Reply { status: 500, body: vec![0xff, 0, 7, b'x'], ..Reply::default() });
        assert!(garbage.chars().all(|c| !c.is_control()), "{garbage:?}");
    }

    #[test]
    fn a_cut_falls_on_a_character() {
        assert_eq!(clip("größe", 4), "g…");
        assert_eq!(clip("größe", 6), "gr…");
        assert_eq!(clip("größe", 7), "größe");
        assert_eq!(clip("größer", 7), "grö…");
    }
}
