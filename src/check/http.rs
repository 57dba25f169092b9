//! An HTTP check: the expected status, if asked for the expected text, and the certificate's expiry on https.
//!
//! Each check has a client of its own: no pool (every probe connects), no cookies, no proxy, no credentials
//! of anybody else. The certificate is seen only when the handshake succeeds; an expired one is a failed
//! check that says so. With `insecure` any certificate is taken, and its expiry is still reported.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, Response, Url};

use super::certificate::not_after;
use super::{Check, Probe, Spec, chain};
use crate::engine::option::{CheckPlan, DoorSpec, OptionKind, OptionSpec, OptionValue, Options};

/// The check.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "http",
        about: "a page answers with the expected status and text",
        options: &[
            OptionSpec { key: "url", kind: OptionKind::RequiredText, about: "http:// or https:// address" },
            OptionSpec {
                key: "method",
                kind: OptionKind::Choice(&["GET", "HEAD", "POST", "PUT", "OPTIONS"]),
                about: "request method",
            },
            OptionSpec {
                key: "status",
                kind: OptionKind::List(&["2xx", "3xx"]),
                about: "accepted status codes, such as \"200\" or \"2xx\"",
            },
            OptionSpec {
                key: "body_contains",
                kind: OptionKind::Text(None),
                about: "text that must occur in the first 256 KiB of the body",
            },
            OptionSpec { key: "headers", kind: OptionKind::Map, about: "request headers" },
            OptionSpec {
                key: "redirects",
                kind: OptionKind::Bool(false),
                about: "follow up to 5 redirects; else the redirect is the answer",
            },
            OptionSpec {
                key: "ca",
                kind: OptionKind::Text(None),
                about: "PEM file of the authorities to trust instead of the system's",
            },
            OptionSpec {
                key: "insecure",
                kind: OptionKind::Bool(false),
                about: "take any certificate; the check then says nothing about it but its expiry",
            },
        ],
        signals: &["check.up", "check.latency", "check.cert_left"],
        check: |options| Asked::of(options).map(|_| ()),
    },
    build: |plan| Ok(Box::new(Http::new(plan)?)),
};

/// Bytes of a body that are looked through.
const BODY_MAX: usize = 256 << 10;
const REDIRECTS_MAX: usize = 5;

/// What is asked and expected, as the options say.
struct Asked {
    method: Method,
    url: Url,
    headers: HeaderMap,
    status: Vec<String>,
}

impl Asked {
    fn of(options: &Options) -> Result<Self, String> {
        let written = options.text("url");
        let url = written.parse::<Url>().map_err(|e| format!("url {written:?}: {e}"));
        let has_scheme = ["http://", "https://"].iter().any(|scheme| {
            written.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if !has_scheme {
            return Err(format!("url {written:?} does not begin with http:// or https://"));
        }
        let status = options.list("status").to_vec();
        if let Some(bad) = status.iter().find(|s| !is_status_pattern(s)) {
            return Err(format!("status {bad:?} is not a code such as \"200\" or \"2xx\""));
        }
        let method = options.text("method");
        let method = method.parse().map_err(|_| format!("method {method:?} is none"))?;
        Ok(Self { method, url: url?, headers: headers(options)?, status })
    }
}

struct Http {
    client: Client,
    asked: Asked,
    body_contains: String,
}

impl Http {
    fn new(plan: &CheckPlan) -> Result<Self, String> {
        let asked = Asked::of(&plan.options)?;
        let client = client(&plan.options, &asked)?;
        Ok(Self { client, asked, body_contains: plan.options.text("body_contains").to_owned() })
    }

    async fn talk(&self) -> Probe {
        let request = self.client.request(self.asked.method.clone(), self.asked.url.clone());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(e) => return Probe::plain(Err(said(e))),
        };
        let certificate = answer.extensions().get::<reqwest::tls::TlsInfo>();
        let not_after = certificate.and_then(|c| c.peer_certificate()).and_then(not_after);
        Probe { up: self.judge(answer).await, not_after }
    }

    async fn judge(&self, answer: Response) -> Result<(), String> {
        let status = answer.status();
        if !self.asked.status.iter().any(|s| status_matches(s, status.as_u16())) {
            return Err(format!("status {status}, expected {}", self.asked.status.join(" or ")));
        }
        if self.body_contains.is_empty() { Ok(()) } else { self.read(answer).await }
    }

    async fn read(&self, mut answer: Response) -> Result<(), String> {
        let wanted = self.body_contains.as_bytes();
        let mut body: Vec<u8> = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(said)? {
            // The text may stand across two parts.
            let from = body.len().saturating_sub(wanted.len());
            body.extend_from_slice(&part[..part.len().min(BODY_MAX - body.len())]);
            if body[from..].windows(wanted.len()).any(|w| w == wanted) {
                return Ok(());
            }
            if body.len() >= BODY_MAX {
                return Err(format!("the first 256 KiB of the body do not hold {:?}", self.body_contains));
            }
        }
        Err(format!("the body does not hold {:?}", self.body_contains))
    }
}

impl Check for Http {
    fn probe(&mut self) -> Pin<Box<dyn Future<Output = Probe> + Send + '_>> {
        Box::pin(self.talk())
    }
}

fn client(options: &Options, asked: &Asked) -> Result<Client, String> {
    let redirects = options.bool("redirects");
    let mut builder = Client::builder()
        .user_agent(concat!("sexton/", env!("CARGO_PKG_VERSION")))
        .default_headers(asked.headers.clone())
        .redirect(if redirects { Policy::limited(REDIRECTS_MAX) } else { Policy::none() })
        .referer(false)
        .no_gzip()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .tls_info(true)
        .tls_danger_accept_invalid_certs(options.bool("insecure"));
    let ca = options.text("ca");
    if !ca.is_empty() {
        let pem = std::fs::read(ca).map_err(|e| format!("cannot read {ca}: {e}"))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| format!("{ca}: {}", chain(&e)))?;
        if certificates.is_empty() {
            return Err(format!("{ca} holds no certificate"));
        }
        builder = builder.tls_certs_only(certificates);
    } else if asked.url.scheme() == "http" && !redirects {
        // It will never speak TLS: spare the memory of the system's authorities.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|e| format!("cannot make the client: {}", chain(&e)))
}

fn headers(options: &Options) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let Some(OptionValue::Map(map)) = options.0.get("headers") else { return Ok(headers) };
    for (name, value) in map {
        let key: HeaderName =
            name.parse().map_err(|_| format!("headers: {name:?} is no name of a header"))?;
        let value: HeaderValue =
            value.parse().map_err(|_| format!("headers: the value of {name} is not valid"))?;
        headers.insert(key, value);
    }
    Ok(headers)
}

/// The error without the address, which the reader knows, and with its causes, which say what happened.
fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    // The outermost text ("error sending request") says less than what is beneath.
    error.source().map_or_else(|| error.to_string(), chain)
}

fn is_status_pattern(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    bytes.len() == 3
        && (b'1'..=b'5').contains(&bytes[0])
        && bytes[1..].iter().all(|b| b.is_ascii_digit() || *b == b'x')
}

fn status_matches(pattern: &str, status: u16) -> bool {
    let digits = status.to_string();
    pattern.len() == digits.len() && pattern.bytes().zip(digits.bytes()).all(|(p, d)| p == b'x' || p == d)
}
