//! The secrets of one destination, read when they are needed and forgotten with the request.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::engine::option::{OptionValue, Options};

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

    /// The same secrets under the same options.
    pub fn same(&self, other: &Self) -> bool {
        let same = |(key, secret): (&String, &SecretString)| other.get(key) == Some(secret.expose_secret());
        self.0.len() == other.0.len() && self.0.iter().all(same)
    }
}
