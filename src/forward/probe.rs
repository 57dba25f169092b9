//! Tries one destination outside the pump: can its name be found, does it answer, does it let us in, does it
//! take, change and give back a record. `sexton doctor` asks; nothing here touches the outbox.

use std::rc::Rc;
use std::time::Duration;

use super::Setting;
use super::connector::{Connector, Next, Request, Target, WireKind};
use super::pump::flight::{Landing, Rest, converse};
use super::secrets::Secrets;
use super::wire::Wire;
use crate::engine::effect::{Held, Job, Outcome, Remote};
use crate::engine::option::DestinationPlan;

/// Timeout of a request when the plan names none, and of a name or connection.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often an operation is repeated that the far end puts off.
const TRIES: u32 = 4;
/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_secs(5);

/// A destination that can be tried.
pub struct Probe {
    connector: &'static Connector,
    target: Target,
    wire: Rc<dyn Wire>,
    secrets: Secrets,
    setting: Setting,
}

impl Probe {
    /// Reads the secrets and sets up the wire.
    ///
    /// # Errors
    /// A sentence that names the option.
    pub fn new(plan: &DestinationPlan, setting: Setting) -> Result<Self, String> {
        let connector =
            Connector::find(plan.kind).ok_or_else(|| format!("there is no connector {}", plan.kind))?;
        let secrets = Secrets::read(&plan.options)?;
        let timeout =
            if plan.timeout > 0 { Duration::from_nanos(plan.timeout.unsigned_abs()) } else { TIMEOUT };
        let wire = (setting.wires)(connector, &plan.options, timeout)?;
        let (host, born, options) = (setting.host.clone(), setting.born, plan.options.clone());
        let target = Target { id: plan.id.clone(), host, born, options };
        Ok(Self { connector, target, wire, secrets, setting })
    }

    /// Address and port behind the option `url`; `None` where there is none.
    fn address(&self) -> Option<(String, u16)> {
        let url = reqwest::Url::parse(self.target.options.text("url")).ok()?;
        Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
    }

    /// Finds the addresses of the name and connects to one; `None` where there is no name.
    ///
    /// # Errors
    /// Why not.
    pub async fn reach(&self) -> Result<Option<String>, String> {
        let Some((name, port)) = self.address() else { return Ok(None) };
        if !self.target.options.text("proxy").is_empty() {
            return Ok(Some(format!("by proxy {}", self.target.options.text("proxy"))));
        }
        let look = tokio::net::lookup_host((name.trim_matches(['[', ']']), port));
        let found = tokio::time::timeout(TIMEOUT, look).await;
        let found = found.map_err(|_| format!("the name {name} is not answered for within {TIMEOUT:?}"))?;
        let addresses: Vec<_> = found.map_err(|e| format!("the name {name} is not known: {e}"))?.collect();
        let mut why = format!("the name {name} has no address");
        for address in &addresses {
            let connect = tokio::net::TcpStream::connect(address);
            match tokio::time::timeout(TIMEOUT, connect).await {
                Ok(Ok(_)) => return Ok(Some(format!("{name} is {address}"))),
                Ok(Err(e)) => why = format!("cannot connect to {address}: {e}"),
                Err(_) => why = format!("cannot connect to {address} within {TIMEOUT:?}"),
            }
        }
        Err(why)
    }

    /// A request without login, which shows that TLS and HTTP work; any answer will do.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn knock(&self) -> Result<Option<String>, String> {
        if self.connector.wire != WireKind::Http {
            return Ok(None);
        }
        let request = Request::get("").anonymous();
        let reply = self.wire.send(&request, &self.secrets, self.setting.clock.now().stamp()).await;
        let reply = reply.map_err(|failure| failure.reason)?;
        let tls = if self.target.options.text("url").starts_with("https:") { "TLS and HTTP" } else { "HTTP" };
        Ok(Some(format!("{tls}, answers {}", reply.status)))
    }

    /// The connector's own proof that the destination is fit; `None` when it has none.
    ///
    /// # Errors
    /// What is wrong, and what may be done about it.
    pub async fn greet(&self) -> Result<Option<String>, String> {
        let Some(hello) = self.connector.hello else { return Ok(None) };
        let landing = self.converse(|said| hello(&self.target, said)).await;
        if let Some(reason) = landing.pause() {
            return Err(reason);
        }
        if let Some(trouble) = &landing.trouble {
            return Err(trouble.reason.clone());
        }
        if !landing.is_fit() {
            return Err(landing.unclear().unwrap_or("its answers are not what was expected").to_owned());
        }
        Ok(Some(landing.done.warning.unwrap_or_else(|| "rights, fields and choices are there".to_owned())))
    }

    /// Delivers one operation as the pump would. Returns the far end's id, and a flaw when there is one.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn deliver(&self, job: &Job) -> Result<(Option<String>, Option<String>), String> {
        let mut job = job.clone();
        loop {
            job.claimed_at = self.setting.clock.now().stamp();
            let jobs = [job.clone()];
            let landing = self.converse(|said| (self.connector.next)(&self.target, &jobs, said)).await;
            let flaw = landing.done.pause.clone().or(landing.done.warning.clone());
            match landing.done.outcomes.into_iter().next() {
                Some(Outcome::Stored { remote_id, .. }) => return Ok((remote_id, flaw)),
                Some(Outcome::Pause { reason } | Outcome::Refused { reason }) => return Err(reason),
                Some(Outcome::Retry { after, unknown, reason }) => {
                    job.attempts += 1;
                    if unknown {
                        (job.unknown, job.doubt_at) = (true, Some(self.setting.clock.now().stamp()));
                    }
                    if job.attempts >= TRIES {
                        return Err(reason);
                    }
                    tokio::time::sleep(after.unwrap_or(Duration::from_secs(1)).min(PAUSE)).await;
                }
                None => return Err("the conversation had no end".to_owned()),
            }
        }
    }

    /// Reads a record back; `None` where nothing can be read back.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn read(&self, held: &Held) -> Result<Option<Remote>, String> {
        let Some(read) = self.connector.read else { return Ok(None) };
        let held = [held.clone()];
        let landing = self.converse(|said| read(&self.target, &held, said)).await;
        if let Some(reason) = landing.pause().or(landing.trouble.as_ref().map(|t| t.reason.clone())) {
            return Err(reason);
        }
        landing.done.remotes.into_iter().next().map(Some).ok_or_else(|| "it is not found again".to_owned())
    }

    async fn converse(&self, ask: impl Fn(&[super::connector::Exchange]) -> Next) -> Landing {
        converse(Rc::clone(&self.wire), self.secrets.clone(), self.setting.clock, Rest::default(), ask).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Clock;
    use crate::engine::moment::Stamp;
    use crate::engine::option::{Filter, Gone, OptionValue, Options, SecretRef};
    use crate::engine::record::HostRef;
    use crate::forward::connector::Reply;
    use crate::forward::wire::Sending;

    /// Answers everything with the page on which people log in.
    struct Page;

    impl Wire for Page {
        fn send<'a>(&'a self, _request: &'a Request, _secrets: &'a Secrets, _now: Stamp) -> Sending<'a> {
            let body = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>".to_vec();
            Box::pin(async move { Ok(Reply { status: 200, body, ..Reply::default() }) })
        }
    }

    #[test]
    fn a_page_in_the_place_of_a_desk_is_told_by_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "secret").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for kind in ["glpi", "itop", "jira", "rt", "servicenow", "zammad", "znuny"] {
            let text = |t: &str| OptionValue::Text(t.to_owned());
            let file = OptionValue::Secret(SecretRef::File(secret.display().to_string()));
            let login = if kind == "znuny" || kind == "itop" { "password" } else { "token" };
            let options = BTreeMap::from([
                ("url".to_owned(), text("https://desk.example/apirest.php")),
                ("project".to_owned(), text("OPS")),
                ("user".to_owned(), text("sexton")),
                (login.to_owned(), file),
            ]);
            let plan = DestinationPlan {
                id: "desk".to_owned(),
                kind,
                filter: Filter::default(),
                pace: 0.0,
                timeout: 0,
                read_back: 0,
                gone: Gone::default(),
                fallback: None,
                digest: None,
                options: Options(options),
            };
            let host = HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() };
            let (remotes, _) = tokio::sync::mpsc::channel(1);
            let setting = Setting {
                wires: Rc::new(|_, _, _| Ok(Rc::new(Page) as Rc<dyn Wire>)),
                ..Setting::new(host, Stamp(0), Clock::start(), remotes)
            };
            let probe = Probe::new(&plan, setting).unwrap();
            let why = runtime.block_on(probe.greet()).expect_err(kind);
            assert!(why.contains("Sign in"), "{kind}: {why}");
        }
    }
}
