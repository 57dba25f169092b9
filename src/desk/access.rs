//! Who may send and who may look: bearer tokens, and a signed cookie for people.
//!
//! Sending always takes a token. Looking takes none only when the desk listens on loopback and was also asked
//! by a loopback name (a web page elsewhere that rebinds its name to 127.0.0.1, or a proxy, is thereby kept
//! out); otherwise a token or the cookie of the login form. The cookie holds no token: an expiry and an HMAC
//! under the token, so that it ends with the token. Tokens are read again when a second has passed, so a
//! changed file counts at once; an unreadable one lets nobody in.

use std::sync::Mutex;

use axum::http::{HeaderMap, header};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::engine::moment::{DAY, Moment, SECOND};
use crate::engine::option::SecretRef;

/// Name of the cookie.
pub(super) const COOKIE: &str = "sexton_desk";
/// How long a login lasts, in nanoseconds.
pub(super) const LOGIN_LASTS: i64 = 7 * DAY;
/// Tokens are read again after this time, in nanoseconds.
const REREAD: i64 = SECOND;
/// Tokens in the file at most; further lines are refused with the file.
const MAX_TOKENS: usize = 1_000;
/// Shortest token that is taken, in bytes: a guessable one is a mistake.
const MIN_TOKEN: usize = 16;

/// The answer to "may this request in?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Yes.
    Open,
    /// No: no token, or a wrong one.
    Denied,
    /// The tokens cannot be read; nobody knows.
    Unknown,
}

/// The door-keeper.
pub(super) struct Access {
    source: SecretRef,
    loopback: bool,
    known: Mutex<Known>,
}

struct Known {
    tokens: Option<Vec<SecretString>>,
    read_at: i64,
}

impl Access {
    /// Reads the tokens for the first time.
    ///
    /// # Errors
    /// A sentence when they cannot be read, or one of them is too short.
    pub(super) fn new(source: SecretRef, loopback: bool, now: Moment) -> Result<Access, String> {
        let known = Known { tokens: Some(read(&source)?), read_at: now.mono };
        Ok(Access { source, loopback, known: Mutex::new(known) })
    }

    /// May this request send records? By bearer token only.
    pub(super) fn may_send(&self, headers: &HeaderMap, now: Moment) -> Entry {
        let presented = bearer(headers);
        self.decide(now, |token| presented.is_some_and(|p| same(token, p.as_bytes())))
    }

    /// May this request look? By loopback, bearer token or cookie.
    pub(super) fn may_look(&self, headers: &HeaderMap, now: Moment) -> Entry {
        if self.loopback && asked_locally(headers) {
            return Entry::Open;
        }
        let presented = bearer(headers);
        let cookie = cookie(headers).filter(|(expires, _)| *expires > now.wall / SECOND);
        self.decide(now, |token| {
            let by_token = presented.is_some_and(|p| same(token, p.as_bytes()));
            let by_cookie = cookie.as_ref().is_some_and(|(expires, proof)| {
                signature(token, *expires).is_some_and(|mac| mac.verify_slice(proof).is_ok())
            });
            by_token | by_cookie
        })
    }

    /// The value of the login cookie for a presented token; `None` when the token is wrong.
    pub(super) fn log_in(&self, presented: &str, now: Moment) -> Option<String> {
        if self.decide(now, |token| same(token, presented.as_bytes())) != Entry::Open {
            return None;
        }
        let expires = (now.wall + LOGIN_LASTS) / SECOND;
        let proof = signature(presented.as_bytes(), expires)?.finalize().into_bytes();
        Some(format!("{expires}.{}", hex(&proof)))
    }

    /// Tries every token, so that the time taken does not tell which one came near.
    fn decide(&self, now: Moment, fits: impl Fn(&[u8]) -> bool) -> Entry {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if now.mono - known.read_at >= REREAD {
            known.read_at = now.mono;
            match read(&self.source) {
                Ok(tokens) => known.tokens = Some(tokens),
                Err(reason) => {
                    tracing::warn!(reason, "the desk's tokens cannot be read; nobody is let in");
                    known.tokens = None;
                }
            }
        }
        let Some(tokens) = &known.tokens else { return Entry::Unknown };
        let fitting = tokens.iter().fold(false, |any, token| any | fits(token.expose_secret().as_bytes()));
        if fitting { Entry::Open } else { Entry::Denied }
    }
}

/// One token per line; empty lines and lines starting with `#` are none.
fn read(source: &SecretRef) -> Result<Vec<SecretString>, String> {
    let text = crate::secret::read(source)?;
    let lines = text.expose_secret().lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let tokens: Vec<SecretString> = lines.map(|l| l.to_owned().into()).collect();
    if tokens.is_empty() {
        return Err("there is no token in it".to_owned());
    }
    if tokens.len() > MAX_TOKENS {
        return Err(format!("{} tokens; at most {MAX_TOKENS} are taken", tokens.len()));
    }
    if let Some(short) = tokens.iter().position(|t| t.expose_secret().len() < MIN_TOKEN) {
        return Err(format!("token {} is shorter than {MIN_TOKEN} characters", short + 1));
    }
    Ok(tokens)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Both sides are hashed under the same key first, so that neither content nor length shows in the time
/// taken.
fn same(token: &[u8], presented: &[u8]) -> bool {
    let digest = |text: &[u8]| {
        Hmac::<Sha256>::new_from_slice(b"sexton desk: compare").map(|mac| mac.chain_update(text)).ok()
    };
    match (digest(token), digest(presented)) {
        (Some(token), Some(presented)) => token.verify(&presented.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

fn signature(token: &[u8], expires: i64) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(token).ok()?;
    Some(mac.chain_update(format!("sexton desk login until {expires}")))
}

fn cookie(headers: &HeaderMap) -> Option<(i64, Vec<u8>)> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let value =
        all.flat_map(|v| v.split(';')).find_map(|c| c.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
    let (expires, proof) = value.split_once('.')?;
    Some((expires.parse().ok()?, unhex(proof)?))
}

fn asked_locally(headers: &HeaderMap) -> bool {
    if headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded") {
        return false;
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const OLD: &str = "the-first-token-of-all";
    const NEW: &str = "a-second-token-for-rotation";

    fn headers(token: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    fn at(seconds: i64) -> Moment {
        Moment::at(1_790_000_000 * SECOND + seconds * SECOND)
    }

    #[test]
    fn a_changed_file_counts_after_a_second_and_an_unreadable_one_lets_nobody_in() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tokens");
        std::fs::write(&file, format!("{OLD}\n")).expect("written");
        let source = SecretRef::File(file.display().to_string());
        let access = Access::new(source, false, at(0)).expect("tokens");
        assert_eq!(access.may_send(&headers(OLD), at(0)), Entry::Open);
        assert_eq!(access.may_send(&headers(NEW), at(0)), Entry::Denied);

        let cookie = access.log_in(OLD, at(0)).expect("a cookie");
        let cookie = HeaderValue::from_str(&format!("a=b; {COOKIE}={cookie}")).expect("a header");
        let visitor = HeaderMap::from_iter([(header::COOKIE, cookie)]);
        assert_eq!(access.may_look(&visitor, at(0)), Entry::Open);
        assert_eq!(access.may_send(&visitor, at(0)), Entry::Denied, "a cookie is not enough to send");
        assert_eq!(access.may_look(&visitor, at(LOGIN_LASTS / SECOND)), Entry::Denied, "it has expired");

        std::fs::write(&file, format!("# rotated\n\n{NEW}\r\n")).expect("written");
        let later = at(LOGIN_LASTS / SECOND + 2);
        assert_eq!(access.may_send(&headers(NEW), later), Entry::Open);
        assert_eq!(access.may_send(&headers(OLD), later), Entry::Denied);
        assert_eq!(access.may_look(&visitor, at(2)), Entry::Denied, "the cookie ends with its token");

        std::fs::remove_file(&file).expect("removed");
        assert_eq!(access.may_send(&headers(NEW), later.plus(2 * SECOND)), Entry::Unknown);
    }

    #[test]
    fn tokens_that_are_mistakes_are_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tokens");
        let source = || SecretRef::File(file.display().to_string());
        for (text, wanted) in [
            (format!("{OLD}\nshort\n"), "token 2 is shorter than 16"),
            ("# nothing\n".to_owned(), "no token"),
            (format!("{OLD}\n").repeat(1_001), "at most 1000"),
        ] {
            std::fs::write(&file, text).expect("written");
            let error = Access::new(source(), true, at(0)).map(|_| ()).expect_err("a mistake");
            assert!(error.contains(wanted) && !error.contains(OLD), "{error}");
        }
    }
}
