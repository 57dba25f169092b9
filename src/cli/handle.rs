//! `sexton ack`, `start`, `hold`, `resolve`, `cancel`, `reopen`, `assign`, `note`: incidents
//! handled from the shell of their host.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::table::tame;
use super::{COULD_NOT_RUN, FINDING, FINE, NOT_REACHABLE, SocketArgs, fail, runtime, say};

/// Longest wait for an answer of the daemon.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `sexton ack` and `sexton start` take.
#[derive(Clone, Debug, Args)]
pub struct AckArgs {
    /// Number or id of the incident
    pub incident: String,
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// What `sexton hold`, `resolve`, `cancel`, `reopen` and `note` take.
#[derive(Clone, Debug, Args)]
pub struct NoteArgs {
    /// Number or id of the incident
    pub incident: String,
    /// What to write on it
    pub text: String,
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// What `sexton assign` takes.
#[derive(Clone, Debug, Args)]
pub struct AssignArgs {
    /// Number or id of the incident
    pub incident: String,
    /// Name of the person or group; "" for nobody
    pub to: String,
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Acknowledges an incident.
pub fn ack(args: &AckArgs) -> u8 {
    post(&args.socket.socket, &path(&["incidents", &args.incident, "ack"]), &Value::Null)
}

/// Says that somebody works on an incident.
pub fn start(args: &AckArgs) -> u8 {
    post(&args.socket.socket, &path(&["incidents", &args.incident, "start"]), &Value::Null)
}

/// Changes an incident and writes a text on it: `hold`, `resolve`, `cancel`, `reopen` or `note`.
pub fn told(args: &NoteArgs, verb: &str) -> u8 {
    post(&args.socket.socket, &path(&["incidents", &args.incident, verb]), &json!({"note": args.text}))
}

/// Says who works on an incident.
pub fn assign(args: &AssignArgs) -> u8 {
    post(&args.socket.socket, &path(&["incidents", &args.incident, "assign"]), &json!({"to": args.to}))
}

/// A path of the API. Whatever a person typed stays one segment: all but RFC 3986's unreserved characters are
/// percent-encoded.
pub fn path(segments: &[&str]) -> String {
    let mut path = "/v1".to_owned();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    path.push(char::from(byte));
                }
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    path
}

/// Asks for a change and prints what the daemon says.
pub fn post(socket: &Path, path: &str, body: &Value) -> u8 {
    match request(socket, "POST", path, body) {
        Ok(answer) => {
            if let Some(text) = answer.get("message").and_then(Value::as_str) {
                say(&format!("{}\n", tame(text)));
            }
            FINE
        }
        Err(error) => error.report(),
    }
}

/// Why a request to the daemon gave no answer.
#[derive(Debug)]
pub enum RequestError {
    /// No daemon answers on the socket.
    NotReachable(String),
    /// It answered no.
    Refused(String),
    /// This side failed.
    Failed(String),
}

impl RequestError {
    /// Prints the error and gives the exit code.
    pub fn report(&self) -> u8 {
        match self {
            RequestError::NotReachable(why) => fail(NOT_REACHABLE, why),
            RequestError::Refused(why) => fail(FINDING, &tame(why)),
            RequestError::Failed(why) => fail(COULD_NOT_RUN, why),
        }
    }
}

/// Sends one request to the daemon on this host and returns its JSON answer.
///
/// # Errors
/// See [`RequestError`].
pub fn request(socket: &Path, method: &str, path: &str, body: &Value) -> Result<Value, RequestError> {
    request_within(PATIENCE, socket, method, path, body)
}

/// As [`request`], for what may take longer.
///
/// # Errors
/// See [`RequestError`].
pub fn request_within(
    patience: Duration,
    socket: &Path,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, RequestError> {
    runtime().map_err(RequestError::Failed)?.block_on(send(patience, socket, method, path, body))
}

async fn send(
    patience: Duration,
    socket: &Path,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, RequestError> {
    // reqwest wants a TLS provider at build time even for a Unix socket.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .unix_socket(socket)
        .no_proxy()
        .timeout(patience)
        .build()
        .map_err(|e| RequestError::Failed(format!("cannot make a client: {e}")))?;
    let method = reqwest::Method::from_bytes(method.as_bytes())
        .map_err(|e| RequestError::Failed(format!("no such method: {e}")))?;
    let mut request = client.request(method, format!("http://sexton{path}"));
    if !body.is_null() {
        request = request.json(body);
    }
    let reply = request
        .send()
        .await
        .map_err(|error| RequestError::NotReachable(unreachable_why(socket, root_cause(&error))))?;
    let status = reply.status();
    let answer: Value =
        reply.json().await.map_err(|e| RequestError::Failed(format!("the answer is not JSON: {e}")))?;
    if status.is_success() {
        return Ok(answer);
    }
    let why = answer.get("detail").and_then(Value::as_str).unwrap_or("refused without a reason");
    Err(RequestError::Refused(why.to_owned()))
}

fn unreachable_why(socket: &Path, cause: &(dyn std::error::Error + 'static)) -> String {
    let socket = socket.display();
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::PermissionDenied) => {
            format!("you may not use {socket}: that is for root and the members of its group (sexton)")
        }
        Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            format!("no daemon answers on {socket} ({cause}); is `sexton run` running?")
        }
        _ => format!("the daemon on {socket} does not answer: {cause}"),
    }
}

fn root_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::effect::Command;

    #[tokio::test]
    async fn what_a_person_types_reaches_the_daemon_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let (tx, mut rx) = tokio::sync::mpsc::channel::<crate::control::Request>(1);
        let _control = crate::control::Control::listen(&socket, tx).await.unwrap();
        let daemon = tokio::spawn(async move {
            while let Some(request) = rx.recv().await {
                let asked = match request.query {
                    crate::control::Query::Command(Command::Acknowledge { incident, .. }) => json!(incident),
                    other => json!(format!("{other:?}")),
                };
                let _ = request.reply.send(Ok(asked));
            }
        });
        for typed in ["INC-1", "a/b?c", "100%", "a b#c", "é", "%2F"] {
            let asked =
                send(PATIENCE, &socket, "POST", &path(&["incidents", typed, "ack"]), &Value::Null).await;
            assert_eq!(asked.unwrap(), typed);
        }
        daemon.abort();
    }

    #[test]
    fn an_unreachable_daemon_is_told_apart_from_a_forbidden_one() {
        let socket = Path::new("/run/sexton/control.sock");
        for (kind, wanted) in [
            (ErrorKind::PermissionDenied, "you may not use /run/sexton/control.sock"),
            (ErrorKind::NotFound, "is `sexton run` running?"),
            (ErrorKind::ConnectionRefused, "is `sexton run` running?"),
            (ErrorKind::TimedOut, "does not answer"),
        ] {
            let why = unreachable_why(socket, &std::io::Error::from(kind));
            assert!(why.contains(wanted), "{why}");
        }
    }
}
