//! What TLS needs of a destination's options: a private authority, a client certificate and its key.
//!
//! The files may be replaced while the daemon runs. [`Seen`] tells cheaply, before each request, whether one
//! of them is another than before; what is read is bounded by [`PEM_BYTES`]. The key is a secret by reference
//! and is never a plain file name, so that a credential of systemd can hold it.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Once};

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};

use crate::engine::option::Options;
use crate::forward::secrets::Secrets;

/// The most bytes of a file of certificates.
pub const PEM_BYTES: u64 = 4 * 1024 * 1024;

/// Certificates and key as they were read.
#[derive(Clone, Debug, Default)]
pub struct Pem {
    /// Authorities trusted beside the system's; empty: none.
    pub ca: Vec<u8>,
    /// The client certificate, its own first; empty: none.
    pub certificate: Vec<u8>,
    /// Its key; there whenever the certificate is.
    pub key: Option<SecretString>,
}

impl Pem {
    /// Reads what the options `ca`, `client_certificate` and `client_key` name.
    ///
    /// # Errors
    /// A sentence naming option and file.
    pub fn read(options: &Options, secrets: &Secrets) -> Result<Self, String> {
        let ca = read("ca", options.text("ca"))?;
        let certificate = read("client_certificate", options.text("client_certificate"))?;
        let key = match certificate.is_empty() {
            true => None,
            false => Some(secrets.expose("client_key")?.to_owned().into()),
        };
        Ok(Self { ca, certificate, key })
    }

    /// Certificate and key in one text, as TLS libraries like them; `None` without a certificate.
    pub fn identity(&self) -> Option<SecretString> {
        let key = self.key.as_ref()?.expose_secret();
        let certificate = String::from_utf8_lossy(&self.certificate);
        Some(format!("{certificate}\n{key}\n").into())
    }
}

fn read(option: &str, path: &str) -> Result<Vec<u8>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let cannot = |e: std::io::Error| format!("cannot read {option} {path}: {e}");
    let bytes = std::fs::metadata(path).map_err(cannot)?.len();
    if bytes > PEM_BYTES {
        return Err(format!("{option} {path}: larger than {PEM_BYTES} bytes"));
    }
    let pem = std::fs::read(path).map_err(cannot)?;
    if !pem.windows(11).any(|w| w == b"-----BEGIN ") {
        return Err(format!("{option} {path}: holds no certificate"));
    }
    Ok(pem)
}

/// TLS for wires that are not HTTP, trusting and showing the same as the HTTP client does.
///
/// # Errors
/// A sentence naming the option that cannot be used.
pub fn config(pem: &Pem) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = |option: &str, bytes: &[u8]| {
        let read: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(bytes).collect();
        read.map_err(|e| format!("{option}: {e}"))
    };
    let extra = certificates("ca", &pem.ca)?;
    if extra.is_empty() && !pem.ca.is_empty() {
        return Err("ca: holds no certificate".to_owned());
    }
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .map_err(|e| format!("cannot use ca or the system's authorities: {e}"))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("cannot set up TLS: {e}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some(key) = &pem.key else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let chain = certificates("client_certificate", &pem.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
        .map_err(|_| "client_key holds no key in PEM".to_owned())?;
    let config = builder.with_client_auth_cert(chain, key);
    Ok(Arc::new(config.map_err(|e| format!("client_certificate with client_key: {e}"))?))
}

/// What the files looked like; equal as long as none was replaced or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    ca: Option<File>,
    certificate: Option<File>,
    /// SHA-256 of the key.
    key: Option<[u8; 32]>,
}

/// Device, inode, size, and the times of the last write and change.
type File = (u64, u64, u64, (i64, i64), (i64, i64));

impl Seen {
    /// How they look now.
    pub fn now(options: &Options, secrets: &Secrets) -> Self {
        use sha2::Digest;
        let file = |option: &str| {
            let path = options.text(option);
            if path.is_empty() {
                return None;
            }
            let m = std::fs::metadata(path).ok()?;
            Some((m.dev(), m.ino(), m.len(), (m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec())))
        };
        let key = secrets.get("client_key").map(|key| sha2::Sha256::digest(key.as_bytes()).into());
        Self { ca: file("ca"), certificate: file("client_certificate"), key }
    }
}

/// The TLS of one destination, made anew when a file of it was replaced.
pub struct Configs {
    options: Options,
    held: RefCell<Option<(Seen, Arc<ClientConfig>)>>,
}

impl Configs {
    /// By the options `ca`, `client_certificate` and `client_key`, read when they are needed.
    pub fn new(options: &Options) -> Self {
        Self { options: options.clone(), held: RefCell::new(None) }
    }

    /// TLS for the files as they are now; that from before when they cannot be used.
    ///
    /// # Errors
    /// A sentence naming the option that cannot be used.
    pub fn get(&self, secrets: &Secrets) -> Result<Arc<ClientConfig>, String> {
        let seen = Seen::now(&self.options, secrets);
        let held = self.held.borrow().clone();
        if let Some((_, config)) = held.as_ref().filter(|(before, _)| *before == seen) {
            return Ok(Arc::clone(config));
        }
        let made = Pem::read(&self.options, secrets).and_then(|pem| config(&pem));
        let config = match (made, held) {
            (Ok(config), _) => config,
            (Err(reason), None) => return Err(reason),
            (Err(reason), Some((_, config))) => {
                let url = self.options.text("url");
                tracing::warn!(
                    url,
                    reason,
                    "certificates were replaced and cannot be used: the old ones stay"
                );
                config
            }
        };
        *self.held.borrow_mut() = Some((seen, Arc::clone(&config)));
        Ok(config)
    }
}

/// Installs ring as the process's TLS provider, unless one is installed already.
pub fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that another part of the process was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
