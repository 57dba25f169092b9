//! HTTP: requests of one destination with login and secrets in place, everything bounded.
//!
//! A request that surely never left (name, connect, TLS) is told apart from one that may have been carried
//! out. A body is read in pieces up to [`BODY_BYTES`], under the total deadline, so that neither a flood nor
//! a trickle holds the pump. An answer 401 was not carried out: secrets are read anew, and when they are
//! others (or the access token was an old one) the request is repeated once.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::Value as Json;

use super::client::{Clients, chain};
use super::oauth::{self, OAuth, Token};
use super::{Sending, Wire, failure, signature};
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::option::Options;
use crate::forward::connector::request::{READING, encode};
use crate::forward::connector::{Body, Failure, Login, Method, Place, Reply, Request};
use crate::forward::secrets::{Secrets, hide};

/// The most bytes of an answer's body, after decompression.
pub const BODY_BYTES: usize = 1024 * 1024;
/// The longest `Retry-After` that is obeyed.
pub const RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A client for one destination.
pub struct Http {
    clients: Clients,
    options: Options,
    base: String,
    login: Login,
    oauth: Option<OAuth>,
}

impl Wire for Http {
    fn send<'a>(&'a self, request: &'a Request, secrets: &'a Secrets, now: Stamp) -> Sending<'a> {
        Box::pin(self.deliver(request, secrets, now))
    }

    fn login(&self) -> String {
        self.login.told(&self.options)
    }
}

impl Http {
    /// A client by the options `url`, those of the login and those of [`Clients`]; no request takes longer
    /// than `timeout`, getting an access token apart.
    ///
    /// # Errors
    /// A sentence naming the option that cannot be used.
    pub fn new(options: &Options, logins: &[Login], timeout: Duration) -> Result<Self, String> {
        let base = options.text("url").trim_end_matches('/').to_owned();
        reqwest::Url::parse(&base).map_err(|e| format!("url '{base}': {e}"))?;
        let login = Login::choose(logins, options)?;
        let clients = Clients::new(options, timeout)?;
        let oauth = if login.is_oauth() { Some(OAuth::new(options, login)?) } else { None };
        Ok(Self { clients, options: options.clone(), base, login, oauth })
    }

    /// Sends the request, with what is valid now when it was refused with what is not any more.
    async fn deliver(&self, request: &Request, secrets: &Secrets, now: Stamp) -> Result<Reply, Failure> {
        let token = match self.token(request, secrets, None, now).await {
            Ok(token) => token,
            Err(instead) => return instead,
        };
        let reply = self.exchange(request, secrets, token.as_ref(), now).await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        let fresh = Secrets::read(&self.options).unwrap_or_else(|_| secrets.clone());
        let rotated = !fresh.same(secrets);
        match token {
            Some(token) if rotated || !token.fresh => {
                match self.token(request, &fresh, Some(&token), now).await {
                    Ok(token) => self.exchange(request, &fresh, token.as_ref(), now).await,
                    Err(instead) => instead,
                }
            }
            None if rotated => self.exchange(request, &fresh, None, now).await,
            _ => Ok(reply),
        }
    }

    /// The access token of this request, when it needs one.
    async fn token(
        &self,
        request: &Request,
        secrets: &Secrets,
        refused: Option<&Token>,
        now: Stamp,
    ) -> Result<Option<Token>, Result<Reply, Failure>> {
        let Some(oauth) = self.oauth.as_ref().filter(|_| request.login) else { return Ok(None) };
        oauth.token(&self.clients.get(secrets), secrets, refused, now).await.map(Some)
    }

    async fn exchange(
        &self,
        request: &Request,
        secrets: &Secrets,
        token: Option<&Token>,
        now: Stamp,
    ) -> Result<Reply, Failure> {
        let unsent = |reason: String| Failure { sent: false, reason };
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let base = request.base.as_deref().unwrap_or(&self.base).trim_end_matches('/');
        let mut headers = self.headers(request, secrets).map_err(unsent)?;
        if let Some(token) = token {
            let bearer = format!("Bearer {}", token.access.expose_secret());
            headers.insert("authorization", hidden(&bearer).map_err(unsent)?);
        }
        let client = self.clients.get(secrets);
        let mut outgoing =
            client.request(method, format!("{base}{}", path(request, secrets))).headers(headers);
        if let Some(bytes) = body(request, secrets).map_err(unsent)? {
            let signed = signature::headers(request, secrets, &bytes, now).map_err(unsent)?;
            outgoing = outgoing.headers(signed).body(bytes);
        }
        let mut reply = read(outgoing, now).await?;
        let mut shapes = secrets.shapes(self.options.text("user"));
        shapes.extend(token.map(|token| token.access.expose_secret().to_owned()));
        hide(&mut reply, &shapes);
        if token.is_some() && oauth::is_refused_token(&reply) {
            reply.status = 401;
        }
        Ok(reply)
    }

    fn headers(&self, request: &Request, secrets: &Secrets) -> Result<HeaderMap, String> {
        let mut map = HeaderMap::new();
        let plain = request.headers.iter().filter(|(name, _)| name != READING);
        for (name, value) in plain {
            let bad = |_| format!("header {name} cannot carry its value");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name} is no header"))?;
            map.insert(name, HeaderValue::from_str(value).map_err(bad)?);
        }
        let login = match self.login {
            Login::Secret { option, header, prefix } if request.login => Some((header, prefix, option)),
            Login::Basic if request.login => {
                let password = secrets.expose("password")?;
                map.insert("authorization", hidden(&basic(self.options.text("user"), password))?);
                None
            }
            _ => None,
        };
        let slots = request.secrets.iter().filter_map(|slot| match slot.place {
            Place::Header { name, prefix } => Some((name, prefix, slot.option)),
            _ => None,
        });
        for (name, prefix, option) in login.into_iter().chain(slots) {
            if let Some(secret) = secrets.get(option) {
                let (name, prefix) = self.place(option, name, prefix)?;
                map.insert(name, hidden(&format!("{prefix}{secret}"))?);
            }
        }
        Ok(map)
    }
}

impl Http {
    /// The header of a secret and what stands before it there: as the connector has it, unless the options
    /// `<secret>_header` and `<secret>_prefix` say otherwise. A scheme is told from its secret by a space.
    fn place(&self, option: &str, name: &str, prefix: &str) -> Result<(HeaderName, String), String> {
        let named = self.options.text(&format!("{option}_header"));
        let name = if named.is_empty() { name } else { named };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name} is no header"))?;
        let told = self.options.text(&format!("{option}_prefix"));
        let prefix = if told.is_empty() { prefix.to_owned() } else { told.to_owned() };
        let scheme = prefix.ends_with(|c: char| c.is_ascii_alphanumeric());
        Ok((header, if scheme { format!("{prefix} ") } else { prefix }))
    }
}

/// Sends and reads the answer. `now` dates a `Retry-After` when the answer has no date of its own.
pub(super) async fn read(outgoing: reqwest::RequestBuilder, now: Stamp) -> Result<Reply, Failure> {
    let mut answer = outgoing.send().await.map_err(|e| {
        let sent = !(e.is_connect() || e.is_builder() || failure::is_turned_away(&e));
        Failure { sent, reason: failure::told(&e.without_url()) }
    })?;
    let mut reply =
        Reply { status: answer.status().as_u16(), headers: plain(answer.headers()), ..Reply::default() };
    reply.retry_after = retry_after(&reply.headers, now);
    let success = answer.status().is_success();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                let room = BODY_BYTES - reply.body.len();
                reply.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room && success {
                    let reason = format!("the answer is larger than {BODY_BYTES} bytes");
                    return Err(Failure { sent: true, reason });
                }
                if chunk.len() > room {
                    return Ok(reply);
                }
            }
            Ok(None) => return Ok(reply),
            // An error's status is enough; of a success we need the words.
            Err(_) if !success => return Ok(reply),
            Err(e) => {
                let reason = format!("the answer broke off: {}", chain(&e.without_url()));
                return Err(Failure { sent: true, reason });
            }
        }
    }
}

fn hidden(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "the secret holds characters that a header cannot carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The value of `Authorization` (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// The path with its secret in place.
fn path(request: &Request, secrets: &Secrets) -> String {
    let slot = request.secrets.iter().find(|slot| slot.place == Place::Path);
    match slot.and_then(|slot| secrets.get(slot.option)) {
        Some(secret) => format!("{}/{}", request.path.trim_end_matches('/'), secret.trim_start_matches('/')),
        None => request.path.clone(),
    }
}

/// The bytes of the body with its secrets in place.
fn body(request: &Request, secrets: &Secrets) -> Result<Option<Vec<u8>>, String> {
    let secret = |option: &str| secrets.get(option).map(str::to_owned);
    match &request.body {
        Body::None => Ok(None),
        Body::Text(text) => Ok(Some(text.clone().into_bytes())),
        Body::Json(json) => {
            let mut json = json.clone();
            for slot in &request.secrets {
                if let (Place::Json(pointer), Some(secret)) = (slot.place, secret(slot.option)) {
                    place(&mut json, pointer, secret)?;
                }
            }
            serde_json::to_vec(&json).map(Some).map_err(|e| format!("cannot write body: {e}"))
        }
        Body::Form(fields) => {
            let slots = request.secrets.iter().filter_map(|slot| match slot.place {
                Place::Form(field) => Some((field.into(), secret(slot.option)?)),
                _ => None,
            });
            let fields: Vec<_> = fields.iter().cloned().chain(slots).collect();
            let pairs = fields.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v)));
            Ok(Some(pairs.collect::<Vec<_>>().join("&").into_bytes()))
        }
    }
}

fn place(json: &mut Json, pointer: &str, secret: String) -> Result<(), String> {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let parent = json.pointer_mut(parent).and_then(Json::as_object_mut);
    let parent = parent.ok_or_else(|| format!("the body has no place {pointer}"))?;
    parent.insert(key.to_owned(), Json::String(secret));
    Ok(())
}

fn plain(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |v: &HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// `Retry-After` (RFC 9110, 10.2.3) as a time from now: seconds, or a date, which is compared with the
/// answer's own date. Without one, `X-RateLimit-Reset` counts where it is a time since the epoch, or
/// `X-RateLimit-Period-In-Sec` of one that says it throttles.
pub fn retry_after(headers: &BTreeMap<String, String>, now: Stamp) -> Option<Duration> {
    let server = headers.get("date").and_then(|d| http_date(d)).unwrap_or(now.0);
    let until = |at: i64| Duration::from_nanos(at.saturating_sub(server).max(0).unsigned_abs());
    let wait = match headers.get("retry-after").map(|text| text.trim()) {
        Some(text) => match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => until(http_date(text)?),
        },
        None => match rate_limit_reset(headers) {
            Some(at) => until(at),
            None => rate_limit_period(headers)?,
        },
    };
    Some(wait.min(RETRY_AFTER))
}

/// `X-RateLimit-Reset` in seconds since the epoch, as ServiceNow and others write it; smaller numbers are
/// spans of seconds with some and counts of other things with others, and say nothing.
fn rate_limit_reset(headers: &BTreeMap<String, String>) -> Option<i64> {
    let seconds: i64 = headers.get("x-ratelimit-reset")?.trim().parse().ok()?;
    seconds.checked_mul(SECOND).filter(|_| seconds >= 1_000_000_000)
}

/// `X-RateLimit-Period-In-Sec`, as Opsgenie writes it beside a state: how long it throttles.
fn rate_limit_period(headers: &BTreeMap<String, String>) -> Option<Duration> {
    let throttled = headers.get("x-ratelimit-state").is_some_and(|state| state.trim() == "THROTTLED");
    let seconds = headers.get("x-ratelimit-period-in-sec").filter(|_| throttled)?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

fn http_date(text: &str) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    zoned.timestamp().as_second().checked_mul(SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        let now = Stamp("2026-11-22T16:00:00Z".parse::<Stamp>().unwrap().0);
        for (value, date, seconds) in [
            ("2", None, Some(2)),
            (" 120 ", None, Some(120)),
            ("Sun, 22 Nov 2026 16:00:07 GMT", None, Some(7)),
            // The server's clock is an hour ahead of ours: its own date counts.
            ("Sun, 22 Nov 2026 17:00:07 GMT", Some("Sun, 22 Nov 2026 17:00:00 GMT"), Some(7)),
            ("Sun, 22 Nov 2026 15:00:00 GMT", None, Some(0)),
            ("999999999", None, Some(3600)),
            ("Fri, 31 Dec 9998 23:59:59 GMT", None, None),
            ("soon", None, None),
            ("-5", None, None),
            ("", None, None),
        ] {
            let mut headers = BTreeMap::from([("retry-after".to_owned(), value.to_owned())]);
            headers.extend(date.map(|d| ("date".to_owned(), d.to_owned())));
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&BTreeMap::new(), now), None);
        let epoch = now.0 / SECOND;
        for (reset, seconds) in [
            ((epoch + 90).to_string(), Some(90)),
            ((epoch - 5).to_string(), Some(0)),
            ("60".to_owned(), None),
            ("soon".to_owned(), None),
            (i64::MAX.to_string(), None),
        ] {
            let headers = BTreeMap::from([("x-ratelimit-reset".to_owned(), reset.clone())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{reset}");
        }
        for (state, period, seconds) in [
            ("THROTTLED", "60", Some(60)),
            ("OK", "60", None),
            ("THROTTLED", "soon", None),
            ("THROTTLED", "9999", Some(3600)),
        ] {
            let headers = [("x-ratelimit-state", state), ("x-ratelimit-period-in-sec", period)];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{state} {period}");
        }
    }
}
