//! The secrets of one destination, read when they are needed and forgotten with the request.

use std::collections::BTreeMap;

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;

use super::connector::Reply;
use super::connector::request::encode;
use crate::engine::option::{OptionValue, Options};

/// Secrets from this many bytes on are hidden in answers.
const SHAPE_LEAST: usize = 8;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Secrets by the option that refers to them.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<String, SecretString>);

impl Secrets {
    /// Reads every secret that the options refer to.
    ///
    /// # Errors
    /// A sentence naming option and source, never the secret.
    pub fn read(options: &Options) -> Result<Self, String> {
        let mut secrets = BTreeMap::new();
        for (key, value) in &options.0 {
            if let OptionValue::Secret(reference) = value {
                let secret = crate::secret::read(reference).map_err(|e| format!("option {key}: {e}"))?;
                secrets.insert(key.clone(), secret);
            }
        }
        Ok(Self(secrets))
    }

    /// The secret of that option.
    ///
    /// # Errors
    /// A sentence when the option is not set.
    pub fn expose(&self, option: &str) -> Result<&str, String> {
        self.0
            .get(option)
            .map(ExposeSecret::expose_secret)
            .ok_or_else(|| format!("option {option} is not set"))
    }

    /// The secret of that option, when it is set.
    pub fn get(&self, option: &str) -> Option<&str> {
        self.0.get(option).map(ExposeSecret::expose_secret)
    }

    /// How the secrets may stand in what the far end answers: as they are, in an address, in JSON, and as
    /// Basic of that user. Short ones are left out: they stand in any text.
    pub fn shapes(&self, user: &str) -> Vec<String> {
        let mut shapes = Vec::new();
        for secret in self.0.values().map(ExposeSecret::expose_secret).filter(|s| s.len() >= SHAPE_LEAST) {
            let json = Json::from(secret).to_string();
            shapes.extend([secret.to_owned(), encode(secret), json[1..json.len() - 1].to_owned()]);
            shapes.extend(reqwest::Url::parse("http://h").ok().map(|mut url| {
                url.set_path(secret.trim_start_matches('/'));
                url.path().trim_start_matches('/').to_owned()
            }));
            if !user.is_empty() {
                shapes.push(base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}")));
            }
        }
        // The longest first: one may be a part of another.
        shapes.sort_by_key(|shape| std::cmp::Reverse(shape.len()));
        shapes.dedup();
        shapes
    }

    /// The same secrets under the same options.
    pub fn same(&self, other: &Self) -> bool {
        let same = |(key, secret): (&String, &SecretString)| other.get(key) == Some(secret.expose_secret());
        self.0.len() == other.0.len() && self.0.iter().all(same)
    }
}

/// Puts `***` wherever one of these stands in an answer: what it says goes into logs, states and records.
pub fn hide(reply: &mut Reply, shapes: &[String]) {
    for shape in shapes.iter().filter(|shape| shape.len() >= SHAPE_LEAST) {
        for value in reply.headers.values_mut().filter(|value| value.contains(shape)) {
            *value = value.replace(shape, HIDDEN);
        }
        let (body, shape) = (&reply.body, shape.as_bytes());
        let found =
            |from: usize| body[from..].windows(shape.len()).position(|w| w == shape).map(|n| from + n);
        let Some(first) = found(0) else { continue };
        let (mut clean, mut rest, mut next) = (Vec::with_capacity(body.len()), 0, Some(first));
        while let Some(at) = next {
            clean.extend_from_slice(&body[rest..at]);
            clean.extend_from_slice(HIDDEN.as_bytes());
            rest = at + shape.len();
            next = found(rest);
        }
        clean.extend_from_slice(&body[rest..]);
        reply.body = clean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_echoes_a_secret_does_not_tell_it() {
        let secret = |text: &str| SecretString::from(text.to_owned());
        let secrets = [("url_secret", "B0/x y+\"z"), ("password", "hunter22"), ("pin", "1234")];
        let secrets = Secrets(secrets.map(|(option, text)| (option.to_owned(), secret(text))).into());
        let shapes = secrets.shapes("ada");
        for (told, hidden) in [
            ("no hook B0/x y+\"z!", "no hook ***!"),
            ("/hooks/B0%2Fx%20y%2B%22z", "/hooks/***"),
            ("/hooks/B0/x%20y+%22z?a=1", "/hooks/***?a=1"),
            (r#"{"path":"B0/x y+\"z"}"#, r#"{"path":"***"}"#),
            ("hunter22hunter22 and hunter2", "****** and hunter2"),
            ("Basic YWRhOmh1bnRlcjIy", "Basic ***"),
            ("INC1234", "INC1234"),
            ("", ""),
        ] {
            let headers = [("location".to_owned(), told.to_owned())].into();
            let mut reply = Reply { body: told.into(), headers, ..Reply::default() };
            hide(&mut reply, &shapes);
            assert_eq!(reply.header("location"), Some(hidden));
            assert_eq!(String::from_utf8(reply.body).unwrap(), hidden);
        }
    }
}
