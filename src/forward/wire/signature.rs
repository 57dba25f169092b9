//! Standard Webhooks signatures (standardwebhooks.com, version 1): proof for a receiver that a body came from
//! who shares its secret, and when.
//!
//! ```text
//! webhook-id: OP                      set by the connector, the same for every repetition
//! webhook-timestamp: 1614265330       of this attempt
//! webhook-signature: v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")> [v1,…]
//! ```
//! The secret is `whsec_` and 24 to 64 bytes in base64. While it is exchanged two may stand in its file,
//! separated by white space: the body is signed with each of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderValue};
use sha2::Sha256;

use crate::engine::moment::{SECOND, Stamp};
use crate::forward::connector::{Place, Request};
use crate::forward::secrets::Secrets;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Lengths of a secret in bytes.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The most secrets at the same time.
const MOST: usize = 4;

/// The headers that sign these bytes; none when the request wants no signature or the secret is not set.
///
/// # Errors
/// A sentence about the secret, which it does not show.
pub fn headers(request: &Request, secrets: &Secrets, body: &[u8], now: Stamp) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    let slot = request.secrets.iter().find(|slot| slot.place == Place::Signature);
    let Some((option, text)) = slot.and_then(|slot| Some((slot.option, secrets.get(slot.option)?))) else {
        return Ok(map);
    };
    let id = request.header("webhook-id").ok_or("a signed request needs a webhook-id")?;
    let seconds = now.0.div_euclid(SECOND);
    let signed = signatures(text, id, seconds, body).map_err(|e| format!("option {option}: {e}"))?;
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "a signature is no header".to_owned());
    map.insert("webhook-timestamp", value(&seconds.to_string())?);
    map.insert("webhook-signature", value(&signed)?);
    Ok(map)
}

/// One signature for each secret in the text.
fn signatures(secrets: &str, id: &str, seconds: i64, body: &[u8]) -> Result<String, String> {
    let mut all = Vec::new();
    for secret in secrets.split_whitespace().take(MOST) {
        let key = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let key = key.filter(|key| BYTES.contains(&key.len()));
        let key = key.ok_or("a secret must be whsec_ and 24 to 64 bytes in base64")?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|e| e.to_string())?;
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        all.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    }
    if all.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(all.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    /// The vector of the specification's libraries.
    #[test]
    fn equals_the_published_vector() {
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        assert_eq!(signatures(SECRET, id, 1_614_265_330, body).as_deref(), Ok(SIGNED));
        let both = signatures(&format!("{SECRET}\n{SECRET}\n"), id, 1_614_265_330, body);
        assert_eq!(both, Ok(format!("{SIGNED} {SIGNED}")), "while a secret is exchanged");
        for other in [signatures(SECRET, "x", 1_614_265_330, body), signatures(SECRET, id, 1, body)] {
            assert_ne!(other.as_deref(), Ok(SIGNED));
        }
    }

    #[test]
    fn a_secret_of_another_shape_is_refused_without_being_shown() {
        for secret in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_%%%"] {
            let error = signatures(secret, "a", 1, b"").unwrap_err();
            assert!(!error.contains("c2hvcnQ") && !error.contains("MfKQ"), "{error}");
        }
    }
}
