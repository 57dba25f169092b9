//! Keys of NATS users (nkeys): an Ed25519 seed in base32, which signs the server's nonce and never leaves.
//!
//! ```text
//! seed    base32( 8 × 18 | type » 5,  (type « 3) & 255,  32 bytes,  CRC-16/XMODEM little-endian )   SU…
//! public  base32( type,  32 bytes,  CRC )                                                            U…
//! creds   a file with the user's JWT and seed between BEGIN and END lines
//! ```

use base64::Engine as _;
use ring::signature::{Ed25519KeyPair, KeyPair};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The first byte of a seed, without the bits of the type.
const SEED: u8 = 18 << 3;
/// The type of a user.
const USER: u8 = 20 << 3;

/// A user's key.
pub struct Key {
    pair: Ed25519KeyPair,
    kind: u8,
}

impl Key {
    /// Of a seed.
    ///
    /// # Errors
    /// A sentence that does not show the seed.
    pub fn of_seed(seed: &str) -> Result<Self, String> {
        let wrong = || "is no seed of an nkey (SU…)".to_owned();
        let bytes = decode(seed.trim()).ok_or_else(wrong)?;
        let (body, crc) = bytes.split_at_checked(34).ok_or_else(wrong)?;
        let kind = (body[0] & 7) << 5 | body[1] >> 3;
        if crc != crc16(body).to_le_bytes() || body[0] & 0xf8 != SEED || kind != USER {
            return Err(wrong());
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(&body[2..]).map_err(|_| wrong())?;
        Ok(Self { pair, kind })
    }

    /// The public half, by which the server knows the user.
    pub fn public(&self) -> String {
        let mut bytes = vec![self.kind];
        bytes.extend_from_slice(self.pair.public_key().as_ref());
        let crc = crc16(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        encode(&bytes)
    }

    /// The signature of a nonce, as CONNECT wants it.
    pub fn sign(&self, nonce: &str) -> String {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.pair.sign(nonce.as_bytes()))
    }
}

/// JWT and seed of a creds file.
///
/// # Errors
/// A sentence that does not show what it holds.
pub fn creds(text: &str) -> Result<(String, Key), String> {
    let part = |name: &str| {
        let mut lines = text.lines().skip_while(|l| !(l.contains("BEGIN") && l.contains(name))).skip(1);
        lines.find(|l| !l.trim().is_empty()).map(|l| l.trim().to_owned())
    };
    match (part("JWT"), part("SEED")) {
        (Some(jwt), Some(seed)) => Ok((jwt, Key::of_seed(&seed)?)),
        _ => Err("is no creds file: it holds no JWT and seed".to_owned()),
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for c in text.bytes() {
        let value = ALPHABET.iter().position(|a| *a == c)?;
        held = held << 5 | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(held >> bits & 255).ok()?);
        }
    }
    Some(out)
}

fn encode(bytes: &[u8]) -> String {
    let (mut out, mut held, mut bits) = (String::new(), 0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        out.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize]));
    }
    out
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pair from the documentation of NATS (nkeys, "nk -gen user").
    const PAIR: (&str, &str) = (
        "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
        "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
    );

    #[test]
    fn a_seed_yields_its_public_key() {
        let key = Key::of_seed(PAIR.0).unwrap();
        assert_eq!(key.public(), PAIR.1);
        assert_eq!(key.sign("nonce").len(), 86, "64 bytes");
        assert_ne!(key.sign("nonce"), key.sign("other"));
    }

    #[test]
    fn what_is_no_seed_is_refused_without_being_shown() {
        let mut changed = PAIR.0.to_owned();
        changed.replace_range(20..21, "A");
        for seed in ["", "SU", "secret", PAIR.1, &changed, &PAIR.0[..50], "SUACSSL3ß"] {
            let reason = Key::of_seed(seed).err().unwrap_or_else(|| panic!("{seed} was taken"));
            assert!(!reason.contains("SUAC"), "{reason}");
        }
    }

    #[test]
    fn a_creds_file_holds_both() {
        let seed = PAIR.0;
        let text = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.x.y\n------END NATS USER JWT------\n\n*** keep it secret ***\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let (jwt, key) = creds(&text).unwrap();
        assert_eq!((jwt.as_str(), key.public().as_str()), ("eyJ0.x.y", PAIR.1));
        assert!(creds("nothing").is_err());
    }
}
