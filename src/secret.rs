//! Reads secrets by reference, each time they are needed, so that a rotated one is taken up without a
//! restart.

use secrecy::SecretString;

use crate::engine::option::SecretRef;

/// Reads the secret. Trailing line ends are not part of it.
///
/// # Errors
/// A sentence that names the source, never the secret.
pub fn read(secret: &SecretRef) -> Result<SecretString, String> {
    let text = match secret {
        SecretRef::Env(name) => {
            std::env::var(name).map_err(|_| format!("environment variable {name} is not set"))?
        }
        SecretRef::File(path) => read_file(path)?,
        SecretRef::Credential(name) => {
            let dir = std::env::var("CREDENTIALS_DIRECTORY")
                .map_err(|_| format!("credential {name}: not started by systemd with LoadCredential="))?;
            read_file(&format!("{dir}/{name}"))?
        }
    };
    let trimmed = text.trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() {
        return Err("the secret is empty".to_owned());
    }
    Ok(trimmed.to_owned().into())
}

fn read_file(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read secret file {path}: {e}"))
}
