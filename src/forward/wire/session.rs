//! HTTP with a session: opened with the destination's login, kept, and opened anew once it has run out.
//!
//! ```text
//! open      GET {url}{path}, login and slots in place → 200 {"session_token": …}
//! request   as it is, without login, the token in a header → 401: not carried out; open anew, repeat once
//! ```
//! Products log every opening and keep every session for a while, so that one per conversation would flood
//! them. The token never leaves this file: connectors, logs and saved rows do not see it.

use std::cell::RefCell;

use super::http::Http;
use super::{Sending, Wire};
use crate::engine::moment::Stamp;
use crate::forward::connector::classify::{Class, class, is_page, sentence};
use crate::forward::connector::{Failure, Reply, Request, Session};
use crate::forward::secrets::Secrets;

/// The session of one destination.
pub struct InSession {
    http: Http,
    spec: &'static Session,
    token: RefCell<Option<String>>,
}

impl Wire for InSession {
    fn send<'a>(&'a self, request: &'a Request, secrets: &'a Secrets, now: Stamp) -> Sending<'a> {
        Box::pin(self.exchange(request, secrets, now))
    }

    fn login(&self) -> String {
        self.http.login()
    }
}

impl InSession {
    /// No session is opened before the first request.
    pub fn new(http: Http, spec: &'static Session) -> Self {
        Self { http, spec, token: RefCell::new(None) }
    }

    async fn exchange(&self, request: &Request, secrets: &Secrets, now: Stamp) -> Result<Reply, Failure> {
        let kept = self.token.borrow().clone();
        if let Some(token) = kept {
            let reply = self.send_with(&token, request, secrets, now).await?;
            if reply.status != 401 {
                return Ok(reply);
            }
            // Another conversation may have opened one meanwhile; that one is left alone.
            self.token.borrow_mut().take_if(|t| *t == token);
        }
        let token = match self.open(secrets, now).await? {
            Ok(token) => token,
            Err(reply) => return Ok(reply),
        };
        self.token.borrow_mut().replace(token.clone());
        self.send_with(&token, request, secrets, now).await
    }

    async fn send_with(
        &self,
        token: &str,
        request: &Request,
        secrets: &Secrets,
        now: Stamp,
    ) -> Result<Reply, Failure> {
        let request = request.clone().anonymous().with(self.spec.header, token);
        self.http.send(&request, secrets, now).await
    }

    /// A new session, or the answer that refuses one. Whatever fails here: the request itself was not sent.
    async fn open(&self, secrets: &Secrets, now: Stamp) -> Result<Result<String, Reply>, Failure> {
        let mut request = Request::get(self.spec.path);
        request.secrets = self.spec.slots.to_vec();
        let unsent =
            |reason: String| Failure { sent: false, reason: format!("cannot open a session: {reason}") };
        let reply = self.http.send(&request, secrets, now).await.map_err(|f| unsent(f.reason))?;
        match class(reply.status) {
            Class::Success => match reply.json().pointer(self.spec.token).and_then(|t| t.as_str()) {
                Some(token) => Ok(Ok(token.to_owned())),
                None if is_page(&reply) => {
                    Err(unsent(format!("the answer holds no token; check url ({})", sentence(&reply))))
                }
                None => Err(unsent("the answer holds no token; check url".to_owned())),
            },
            Class::Ambiguous => Err(unsent(sentence(&reply))),
            _ => Ok(Err(reply)),
        }
    }
}
