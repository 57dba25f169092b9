//! `sexton doctor`: tries every destination from end to end and says what is wrong and where to mend it.
//!
//! Reads the configuration like the daemon and needs none running. Without `--write` nothing is changed
//! anywhere; with it one test incident per destination is made, amended, read back and ended.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::table::lay_out;
use super::{COULD_NOT_RUN, ConfigArgs, FINDING, FINE, fail, run::load, runtime, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::effect::{Held, Job, Operation, RecordKind};
use crate::engine::id::{Generator, Uuid};
use crate::engine::moment::{HOUR, SECOND, Stamp};
use crate::engine::option::{DestinationPlan, OptionValue};
use crate::engine::record::HostRef;
use crate::forward::Setting;
use crate::forward::probe::Probe;

/// What `sexton doctor` takes.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Only these destinations, by id
    pub destinations: Vec<String>,
    /// Make a test record at each destination, amend it, read it back and end it
    #[arg(long)]
    pub write: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

#[derive(Clone, Debug, Serialize)]
struct Finding {
    step: &'static str,
    verdict: Verdict,
    text: String,
    seconds: f64,
}

/// Tries the destinations and prints what it finds.
pub fn run(args: &DoctorArgs) -> u8 {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(failure) => return failure.report(),
    };
    let unknown = args.destinations.iter().find(|id| config.destinations.iter().all(|d| d.id != **id));
    if let Some(id) = unknown {
        let known: Vec<&str> = config.destinations.iter().map(|d| d.id.as_str()).collect();
        return fail(
            COULD_NOT_RUN,
            &format!("no destination {id} is configured; there are: {}", known.join(", ")),
        );
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(why) => return fail(COULD_NOT_RUN, &why),
    };
    let wanted = |d: &&DestinationPlan| args.destinations.is_empty() || args.destinations.contains(&d.id);
    let mut all = Vec::new();
    for plan in config.destinations.iter().filter(wanted) {
        let findings = runtime.block_on(examine(plan, &config, args.write));
        if !args.json {
            say(&text(plan, &findings));
        }
        all.push((plan, findings));
    }
    runtime.shutdown_background();
    if args.json {
        let rows = all
            .iter()
            .map(|(plan, findings)| json!({"id": plan.id, "kind": plan.kind, "findings": findings}));
        say(&format!("{:#}\n", json!({"schema": "doctor/1", "destinations": rows.collect::<Vec<_>>()})));
    } else if all.is_empty() {
        say("no destination is configured: records stay on this host\n");
    }
    let failed = all.iter().flat_map(|(_, findings)| findings).any(|f| f.verdict == Verdict::Failed);
    if failed { FINDING } else { FINE }
}

fn text(plan: &DestinationPlan, findings: &[Finding]) -> String {
    let place = match plan.options.text("url") {
        "" => plan.kind.to_owned(),
        url => format!("{}, {url}", plan.kind),
    };
    let line = |f: &Finding| {
        let verdict = match f.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        let took = format!("{:.0} ms", f.seconds * 1000.0);
        vec![verdict.to_owned(), f.step.to_owned(), took, f.text.clone()]
    };
    format!("{} ({place})\n{}\n", plan.id, lay_out(&findings.iter().map(line).collect::<Vec<_>>()))
}

/// The steps in order; the first that fails ends them.
async fn examine(plan: &DestinationPlan, config: &Config, write: bool) -> Vec<Finding> {
    let clock = Clock::start();
    let mut steps = Steps { findings: Vec::new(), clock, last: clock.now().mono };
    let host = config.plan.host.host.clone();
    let (remotes, _) = tokio::sync::mpsc::channel(1);
    // Far in the past: no ticket there is older than this store, so that nothing is adopted.
    let setting = Setting::new(host.clone(), Stamp(0), clock, remotes);
    let Some(probe) = steps.take("credentials", credentials(plan, setting)) else { return steps.findings };
    let reach = probe.reach().await;
    if steps.note("name and connection", reach).is_none() {
        return steps.findings;
    }
    let knock = probe.knock().await;
    if steps.note("protocol", knock).is_none() {
        return steps.findings;
    }
    let greet = probe.greet().await;
    if steps.note("rights and fields", greet).is_none() || !write {
        return steps.findings;
    }
    deliver(&probe, &mut steps, &host, clock, plan).await;
    steps.findings
}

struct Steps {
    findings: Vec<Finding>,
    clock: Clock,
    /// Steady time at which the last step ended.
    last: i64,
}

impl Steps {
    fn add(&mut self, step: &'static str, verdict: Verdict, text: String) {
        let now = self.clock.now().mono;
        let seconds = (now - std::mem::replace(&mut self.last, now)) as f64 / SECOND as f64;
        self.findings.push(Finding { step, verdict, text, seconds });
    }

    /// A step that yields something beside its sentence.
    fn take<T>(&mut self, step: &'static str, outcome: Result<(T, String), String>) -> Option<T> {
        match outcome {
            Ok((value, text)) => {
                self.add(step, Verdict::Ok, text);
                Some(value)
            }
            Err(why) => {
                self.add(step, Verdict::Failed, why);
                None
            }
        }
    }

    /// A step with nothing but a sentence, which is not shown where it does not apply.
    fn note(&mut self, step: &'static str, outcome: Result<Option<String>, String>) -> Option<()> {
        match outcome {
            Ok(None) => Some(()),
            Ok(Some(text)) => self.take(step, Ok(((), text))),
            Err(why) => self.take(step, Err(why)),
        }
    }
}

fn credentials(plan: &DestinationPlan, setting: Setting) -> Result<(Probe, String), String> {
    let sources: Vec<String> = plan.options.0.iter().filter_map(|(key, value)| source(key, value)).collect();
    let probe = Probe::new(plan, setting).map_err(|why| {
        let by_systemd = sources.iter().any(|s| s.contains("credential "));
        if by_systemd && std::env::var_os("CREDENTIALS_DIRECTORY").is_none() {
            let how = "systemd hands credentials to the service only; run it with them: systemd-run --pipe --wait \
                       -p LoadCredential=NAME:/PATH sexton doctor";
            format!("{why} ({how})")
        } else {
            why
        }
    })?;
    let text = if sources.is_empty() { "none needed".to_owned() } else { sources.join(", ") };
    Ok((probe, text))
}

fn source(key: &str, value: &OptionValue) -> Option<String> {
    let OptionValue::Secret(secret) = value else { return None };
    Some(format!("{key} from {secret}"))
}

/// A test incident's life at the far end.
async fn deliver(probe: &Probe, steps: &mut Steps, host: &HostRef, clock: Clock, plan: &DestinationPlan) {
    let now = clock.now();
    let id = Uuid::v7(now.wall, &mut Generator::new(now.wall.unsigned_abs() ^ u64::from(std::process::id())));
    let test = Test { id: id.to_string(), host: host.clone(), at: now.stamp(), destination: plan.id.clone() };
    let Some(remote_id) = operate(probe, steps, "create", &test.job(1, None)).await else { return };
    let amended = operate(probe, steps, "update", &test.job(2, remote_id.clone())).await;
    if let (Some(_), Some(remote_id)) = (&amended, &remote_id) {
        let held = Held {
            cursor: 1,
            kind: RecordKind::Incident,
            record: test.id.clone(),
            rev: 2,
            remote_id: remote_id.clone(),
            over: false,
        };
        let read = probe.read(&held).await;
        let told = read.map(|r| r.map(|r| format!("it is {:?} there", r.stage).to_lowercase()));
        steps.note("read back", told);
    }
    // Whatever failed in between: the test record must not stay open.
    operate(probe, steps, "resolve", &test.job(3, remote_id)).await;
}

async fn operate(probe: &Probe, steps: &mut Steps, step: &'static str, job: &Job) -> Option<Option<String>> {
    match probe.deliver(job).await {
        Ok((remote_id, flaw)) => {
            let text = match (step, &remote_id) {
                ("create", Some(id)) => format!("test record {}, there {id}", job.record_key),
                ("create", None) => format!("test record {}", job.record_key),
                _ => "done".to_owned(),
            };
            let text = flaw.iter().fold(text, |text, flaw| format!("{text}; {flaw}"));
            let verdict = if flaw.is_some() { Verdict::Warning } else { Verdict::Ok };
            steps.add(step, verdict, text);
            Some(remote_id)
        }
        Err(why) => {
            steps.add(step, Verdict::Failed, why);
            None
        }
    }
}

/// The test incident.
struct Test {
    id: String,
    host: HostRef,
    at: Stamp,
    destination: String,
}

impl Test {
    fn job(&self, rev: u64, remote_id: Option<String>) -> Job {
        let operation = match rev {
            1 => Operation::Create,
            2 => Operation::Update,
            _ => Operation::Resolve,
        };
        let key = format!("sx-{}", self.id);
        Job {
            kind: RecordKind::Incident,
            record: self.id.clone(),
            rev,
            acked_rev: rev - 1,
            operation,
            operation_key: format!("{key}-{rev}-{}", operation.letter()),
            record_key: key,
            remote_id,
            remote_problem: None,
            unknown: false,
            doubt_at: None,
            claimed_at: self.at,
            attempts: 0,
            body: self.body(rev),
        }
    }

    fn body(&self, rev: u64) -> Value {
        let at = self.at.plus(i64::try_from(rev).unwrap_or(0));
        let clock = json!({"target": 86_400, "due": self.at.plus(24 * HOUR)});
        let lines = [
            json!({"at": self.at, "rev": 1, "actor": "operator", "kind": "raised", "to": "new",
                   "note": "made by sexton doctor --write"}),
            json!({"at": at, "rev": 2, "actor": "operator", "kind": "note", "note": "an update arrives"}),
            json!({"at": at, "rev": 3, "actor": "operator", "kind": "resolved", "from": "new", "to": "resolved",
                   "note": "the test is over"}),
        ];
        let lines = &lines[..usize::try_from(rev).unwrap_or(1).clamp(1, 3)];
        let mut body = json!({
            "id": self.id, "schema": "incident/1", "number": "INC000000", "host": self.host, "seq": 0,
            "rev": rev, "at": at, "labels": {}, "fingerprint": "0000000000000000",
            "fleet_key": "0000000000000000", "alert_key": format!("sx-a-{}-doctor", self.host.id),
            "title": format!("test of destination {} by sexton doctor, please ignore", self.destination),
            "description": "This record shows that the destination takes what sexton sends. It ends by itself.",
            "rule": {"id": "sexton-doctor", "hash": "0000000000000000"}, "source": "manual",
            "nature": "monitoring", "category": "monitoring/test", "severity": "info", "outage": false,
            "state": if rev < 3 { "new" } else { "resolved" },
            "ci": {"id": self.host.id, "class": "host", "name": self.host.name}, "instance": "host",
            "tier": 3, "impact": 3, "urgency": 3, "priority": "P5", "priority_max": "P5",
            "priority_reason": "P5: a test", "breach_at": self.at, "detected_at": self.at,
            "raised_at": self.at, "intervals": [{"from": self.at}],
            "sla": {"respond": clock, "resolve": clock, "calendar": "24x7", "paused_total": 0.0},
            "timeline": lines,
        });
        if rev >= 3 {
            body["resolved_at"] = json!(at);
            body["closure"] = json!({"code": "no_fault_found", "note": "the test is over"});
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::Incident;

    #[test]
    fn the_test_record_is_an_incident_that_ends() {
        let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
        let test = Test {
            id: "019ab000-0000-7000-8000-000000000001".into(),
            host,
            at: Stamp(1),
            destination: "rt".into(),
        };
        for rev in 1..=3 {
            let job = test.job(rev, None);
            let incident: Incident = serde_json::from_value(job.body).unwrap();
            assert_eq!((incident.rev, incident.state.is_open()), (rev, rev < 3));
            assert_eq!(incident.timeline.len() as u64, rev);
        }
    }
}
