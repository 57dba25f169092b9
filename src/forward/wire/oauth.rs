//! OAuth 2.0 (RFC 6749): gets an access token, keeps it, gets another before it ends. By client credentials
//! (4.4), or by a user's password (4.3), where a product knows nothing else for machines.
//!
//! ```text
//! POST oauth_url   grant_type=client_credentials[&scope=…], the client in Basic or in the body
//! POST oauth_url   grant_type=password&username=…&password=…[&scope=…], the client in the body
//! 200 {"access_token":…, "token_type":"Bearer", "expires_in":3600}
//! ```
//! One request at a time asks; the others wait for its token. A token endpoint that does not answer is
//! trouble of the destination (503: later), one that refuses the client is a refusal (401: a person must mend
//! it). Token and secret never reach a reason.

use std::cell::Cell;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::http::{basic, read};
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::option::Options;
use crate::forward::connector::classify::{Class, class, clip};
use crate::forward::connector::request::{encode, loose};
use crate::forward::connector::{Failure, Login, Reply};
use crate::forward::secrets::Secrets;

/// How long before its end a token is not used any more; a quarter of its life when that is less.
const MARGIN: i64 = 60;
/// Life of a token whose answer names none, in seconds; a refused one is replaced in any case.
const UNTOLD: i64 = 3600;
/// The longest life that is believed, in seconds.
const LONGEST: i64 = 24 * 3600;

/// The tokens of one destination.
pub struct OAuth {
    url: String,
    client: String,
    scope: String,
    style: Style,
    /// Whose password is shown; `None` for client credentials.
    user: Option<String>,
    /// What has worked.
    worked: Cell<Option<Style>>,
    held: Mutex<Option<Held>>,
}

/// Where the client's name and secret stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Basic as the RFC recommends, then the body.
    Auto,
    Basic,
    Body,
}

struct Held {
    access: SecretString,
    /// Client secret and password it was got with.
    shown: Shown,
    until: Stamp,
}

/// What is shown to the token endpoint.
struct Shown {
    secret: SecretString,
    /// Empty for client credentials.
    password: SecretString,
}

impl Shown {
    fn same(&self, other: &Self) -> bool {
        let same = |a: &SecretString, b: &SecretString| a.expose_secret() == b.expose_secret();
        same(&self.secret, &other.secret) && same(&self.password, &other.password)
    }
}

/// A token to be shown.
pub struct Token {
    /// Itself.
    pub access: SecretString,
    /// It was got for this very request.
    pub fresh: bool,
}

impl OAuth {
    /// By the options `oauth_url`, `oauth_client`, `oauth_scope`, `oauth_style`, `user`; what is left out is
    /// the login's.
    ///
    /// # Errors
    /// A sentence when the address is none.
    pub fn new(options: &Options, login: Login) -> Result<Self, String> {
        let text = |key: &str, default: String| match options.text(key) {
            "" => default,
            text => text.to_owned(),
        };
        let (path, scope, user) = match login {
            Login::OAuthPassword { path, scope } => (path, scope, Some(options.text("user").to_owned())),
            _ => ("", "", None),
        };
        let default = match path {
            "" => String::new(),
            path => format!("{}{path}", options.text("url").trim_end_matches('/')),
        };
        let url = text("oauth_url", default);
        reqwest::Url::parse(&url).map_err(|e| format!("oauth_url '{url}': {e}"))?;
        let style = match options.text("oauth_style") {
            "basic" => Style::Basic,
            "body" => Style::Body,
            _ if user.is_some() => Style::Body,
            _ => Style::Auto,
        };
        let (client, scope) =
            (options.text("oauth_client").to_owned(), text("oauth_scope", scope.to_owned()));
        Ok(Self { url, client, scope, style, user, worked: Cell::new(None), held: Mutex::new(None) })
    }

    /// A token that is good for a while; `refused` is not handed out again.
    ///
    /// # Errors
    /// What the request that needed the token comes to: it was never sent.
    pub async fn token(
        &self,
        client: &reqwest::Client,
        secrets: &Secrets,
        refused: Option<&Token>,
        now: Stamp,
    ) -> Result<Token, Result<Reply, Failure>> {
        let expose = |key: &str| secrets.expose(key).map_err(|reason| Err(Failure { sent: false, reason }));
        let password = if self.user.is_some() { expose("password")? } else { "" };
        let shown =
            Shown { secret: expose("oauth_secret")?.to_owned().into(), password: password.to_owned().into() };
        let mut held = self.held.lock().await;
        let good = held.as_ref().filter(|h| {
            let same = |token: &Token| token.access.expose_secret() == h.access.expose_secret();
            now < h.until && h.shown.same(&shown) && !refused.is_some_and(same)
        });
        if let Some(good) = good {
            return Ok(Token { access: good.access.clone(), fresh: false });
        }
        *held = None;
        let (access, life) = self.fetch(client, &shown, now).await?;
        let life = life.clamp(0, LONGEST);
        let until = now.plus((life - MARGIN.min(life / 4)).saturating_mul(SECOND));
        *held = Some(Held { access: access.clone(), shown, until });
        Ok(Token { access, fresh: true })
    }

    /// A new token and its life in seconds.
    async fn fetch(
        &self,
        client: &reqwest::Client,
        shown: &Shown,
        now: Stamp,
    ) -> Result<(SecretString, i64), Result<Reply, Failure>> {
        let style = self.worked.get().unwrap_or(self.style);
        let first = if style == Style::Body { Style::Body } else { Style::Basic };
        let mut reply = self.ask(client, first, shown, now).await.map_err(Err)?;
        let mut used = first;
        if style == Style::Auto && is_other_style(&reply) {
            let second = self.ask(client, Style::Body, shown, now).await.map_err(Err)?;
            if class(second.status) == Class::Success {
                (reply, used) = (second, Style::Body);
            }
        }
        let token = judge(&reply)?;
        self.worked.set(Some(used));
        Ok(token)
    }

    async fn ask(
        &self,
        client: &reqwest::Client,
        style: Style,
        shown: &Shown,
        now: Stamp,
    ) -> Result<Reply, Failure> {
        let (secret, password) = (shown.secret.expose_secret(), shown.password.expose_secret());
        let mut form = match &self.user {
            None => "grant_type=client_credentials".to_owned(),
            Some(user) => {
                format!("grant_type=password&username={}&password={}", encode(user), encode(password))
            }
        };
        if !self.scope.is_empty() {
            form.push_str(&format!("&scope={}", encode(&self.scope)));
        }
        let mut outgoing = client.post(&self.url).header("accept", "application/json");
        match style {
            Style::Body => {
                let pair = format!("&client_id={}&client_secret={}", encode(&self.client), encode(secret));
                form.push_str(&pair);
            }
            // Both are encoded as in a form before they are joined (RFC 6749, 2.3.1).
            Style::Auto | Style::Basic => {
                let value = basic(&encode(&self.client), &encode(secret));
                let mut value = reqwest::header::HeaderValue::from_str(&value)
                    .map_err(|_| Failure { sent: false, reason: "oauth_client cannot be sent".to_owned() })?;
                value.set_sensitive(true);
                outgoing = outgoing.header("authorization", value);
            }
        }
        let outgoing = outgoing.header("content-type", "application/x-www-form-urlencoded").body(form);
        // Whatever became of it: the request that needs the token was not sent.
        let unsent = |f: Failure| Failure { sent: false, reason: format!("no access token: {}", f.reason) };
        read(outgoing, now).await.map_err(unsent)
    }
}

/// The access token was refused. GLPI says so with 400 where RFC 6750 (3.1) wants 401.
pub(super) fn is_refused_token(reply: &Reply) -> bool {
    reply.status == 400 && reply.json()["title"] == "Invalid OAuth token"
}

/// The client may be expected in the other place.
fn is_other_style(reply: &Reply) -> bool {
    let error = reply.json()["error"].as_str().map(str::to_owned).unwrap_or_default();
    let told = ["", "invalid_client", "invalid_request", "unauthorized_client"].contains(&error.as_str());
    matches!(reply.status, 400 | 401) && told
}

/// The token in an answer, or what the lack of one comes to.
fn judge(reply: &Reply) -> Result<(SecretString, i64), Result<Reply, Failure>> {
    let json = reply.json();
    let later = |why: String| Err(Ok(stand_in(503, reply.retry_after, why)));
    let refused = |why: String| Err(Ok(stand_in(401, None, why)));
    match class(reply.status) {
        Class::Success if json["error"].is_string() => refused(words(reply, &json)),
        Class::Success => {
            let kind = json["token_type"].as_str().unwrap_or("Bearer");
            match json["access_token"].as_str().filter(|t| !t.is_empty()) {
                Some(_) if !kind.eq_ignore_ascii_case("bearer") => {
                    refused(format!("token_type is {}, not Bearer", clip(kind, 60)))
                }
                Some(token) => Ok((token.to_owned().into(), life(&json))),
                None => later("the answer holds no access_token".to_owned()),
            }
        }
        Class::NotNow | Class::Ambiguous => later(format!("HTTP {}", reply.status)),
        _ => refused(words(reply, &json)),
    }
}

fn life(json: &Json) -> i64 {
    // Some write the number as text.
    loose(&json["expires_in"]).parse::<f64>().map_or(UNTOLD, |seconds| seconds as i64)
}

/// What the endpoint says (RFC 6749, 5.2), bounded; nothing that was sent to it.
fn words(reply: &Reply, json: &Json) -> String {
    let told = [json["error"].as_str(), json["error_description"].as_str()];
    let told: Vec<&str> = told.into_iter().flatten().collect();
    let line = told.join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    match (line.as_str(), reply.header("location")) {
        ("", Some(place)) => format!("HTTP {} to {}; check oauth_url", reply.status, clip(place, 200)),
        ("", None) => format!("HTTP {}; check oauth_url", reply.status),
        (line, _) => clip(line, 250),
    }
}

/// Stands for the answer of the destination, which was not asked.
fn stand_in(status: u16, retry_after: Option<Duration>, why: String) -> Reply {
    let body = json!({"detail": format!("no access token: {why}")}).to_string().into_bytes();
    Reply { status, body, retry_after, ..Reply::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: Json) -> Reply {
        Reply { status, body: body.to_string().into_bytes(), ..Reply::default() }
    }

    #[test]
    fn each_answer_of_a_token_endpoint_has_its_meaning() {
        let token = json!({"access_token": "t", "token_type": "bearer", "expires_in": 300});
        let with = |key: &str, value: Json| {
            let mut json = token.clone();
            json[key] = value;
            json
        };
        for (status, body, wanted) in [
            (200, token.clone(), "token 300"),
            (201, with("expires_in", json!("299")), "token 299"),
            (200, with("expires_in", Json::Null), "token 3600"),
            (200, with("token_type", json!("mac")), "401 no access token: token_type is mac, not Bearer"),
            (200, json!({}), "503 no access token: the answer holds no access_token"),
            (200, with("access_token", json!("")), "503 no access token: the answer holds no access_token"),
            (200, json!({"error": "bad_client"}), "401 no access token: bad_client"),
            (
                401,
                json!({"error": "invalid_client", "error_description": "who\nis it"}),
                "401 no access token: invalid_client: who is it",
            ),
            (400, json!({"error": "invalid_scope"}), "401 no access token: invalid_scope"),
            (404, json!("x"), "401 no access token: HTTP 404; check oauth_url"),
            (429, json!({"error": "slow_down"}), "503 no access token: HTTP 429"),
            (500, json!(null), "503 no access token: HTTP 500"),
        ] {
            let got = match judge(&reply(status, body.clone())) {
                Ok((_, life)) => format!("token {life}"),
                Err(Ok(reply)) => format!("{} {}", reply.status, reply.json()["detail"].as_str().unwrap()),
                Err(Err(failure)) => failure.reason,
            };
            assert_eq!(got, wanted, "{status} {body}");
        }
    }

    #[test]
    fn only_the_words_of_glpi_make_a_400_a_refused_token() {
        for (status, body, refused) in [
            (400, json!({"status": "ERROR_INVALID_PARAMETER", "title": "Invalid OAuth token"}), true),
            (400, json!({"status": "ERROR_INVALID_PARAMETER", "title": "Invalid input parameters"}), false),
            (403, json!({"title": "Invalid OAuth token"}), false),
            (400, json!("x"), false),
        ] {
            assert_eq!(is_refused_token(&reply(status, body.clone())), refused, "{status} {body}");
        }
    }

    #[test]
    fn the_other_place_is_only_tried_when_the_client_was_not_understood() {
        for (status, error, other) in [
            (401, json!({"error": "invalid_client"}), true),
            (400, json!({"error": "invalid_request"}), true),
            (401, json!("plain"), true),
            (400, json!({"error": "invalid_scope"}), false),
            (503, json!({}), false),
            (200, json!({}), false),
        ] {
            assert_eq!(is_other_style(&reply(status, error.clone())), other, "{status} {error}");
        }
    }
}
