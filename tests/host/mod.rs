//! A host in a temporary directory: the real agent, the real desk, and one process that the agent watches.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

const SEXTON: &str = env!("CARGO_BIN_EXE_sexton");
/// Longest time a condition may take; far above what is usual, so that a loaded machine passes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `ask` gives something.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "no {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub struct Host {
    dir: tempfile::TempDir,
    address: String,
    job_name: String,
    job: Option<Child>,
    agent: Option<Child>,
    desk: Option<Child>,
}

impl Host {
    /// Everything up: desk answering, job running, agent seeing it.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let address = free_address();
        // Process names hold 15 bytes; this one is ours alone.
        let job_name =
            format!("sx{:x}", std::process::id() ^ address.len() as u32 ^ u32::from(port_of(&address)) << 8);
        let mut host = Self { dir, address, job_name, job: None, agent: None, desk: None };
        host.write_configuration();
        host.write_rule("raise = \"proc.count < 1\"");
        std::fs::copy("/bin/sleep", host.path(&host.job_name)).expect("a copy of sleep");
        host.start_job();
        host.start_desk().await;
        host.start_agent();
        until("a rule instance for the job", || async {
            let rules = host.sexton(&["status", "--json"])?;
            rules["rules"]["instances"].as_u64().filter(|n| *n > 0)
        })
        .await;
        until("the job seen running", || async { host.job_is_ok() }).await;
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_configuration(&self) {
        let dir = self.dir.path().display();
        let text = format!(
            "schema = 1\n[host]\nname = \"test-host\"\n[collect]\ninterval = \"1s\"\n\
             proc = {{ watch = [\"{job}\"] }}\n[correlate]\nfailure_gap = \"100ms\"\nflap_half_life = \"1s\"\n\
             [store]\ndir = \"{dir}/agent\"\n[desk]\nlisten = \"{address}\"\ndir = \"{dir}/desk\"\ntokens = {{ file = \"{dir}/token\" }}\n\
             [[destination]]\nid = \"desk\"\nkind = \"desk\"\nurl = \"http://{address}\"\ntoken = {{ file = \"{dir}/token\" }}\n\
             # only what these tests are about\n[[override]]\nrule = [\"*\", \"!job-missing\", \"!sexton-config\", \"!dead-letters\", \"!why-*\"]\nset = {{ enabled = false }}\n",
            job = self.job_name,
            address = self.address,
        );
        std::fs::write(self.path("token"), "a token for this test\n").expect("token");
        std::fs::create_dir_all(self.path("etc/rules.d")).expect("rules.d");
        std::fs::write(self.path("etc/sexton.toml"), text).expect("sexton.toml");
    }

    /// The rule of these tests, written as an editor writes: a new file renamed over the old one.
    pub fn write_rule(&self, conditions: &str) {
        let text = format!(
            "[[rule]]\nid = \"job-missing\"\non = \"proc\"\nmatch = {{ name = [\"{}\"] }}\nseverity = \"critical\"\n\
             impact = 1\nurgency = 2\nfor = \"0s\"\nkeep = \"200ms\"\n{conditions}\n",
            self.job_name
        );
        let new = self.path("etc/rules.d/.rule.toml.swp");
        std::fs::write(&new, text).expect("rule file");
        std::fs::rename(new, self.path("etc/rules.d/rule.toml")).expect("rename");
    }

    pub fn start_job(&mut self) {
        let path = self.path(&self.job_name);
        // Another test that forks at this moment may hold the fresh copy open for writing ("text file busy").
        let spawn = || Command::new(&path).arg("300").spawn();
        let job = (0..100).find_map(|_| spawn().inspect_err(|_| std::thread::yield_now()).ok());
        self.job = Some(job.expect("the job"));
    }

    pub fn kill_job(&mut self) {
        end(&mut self.job);
    }

    pub fn start_agent(&mut self) {
        let (etc, socket) = (self.path("etc"), self.path("control.sock"));
        let log =
            std::fs::File::options().create(true).append(true).open(self.path("agent.log")).expect("log");
        let agent = Command::new(SEXTON)
            .args(["run", "--config"])
            .arg(etc)
            .arg("--socket")
            .arg(socket)
            .stderr(log)
            .spawn();
        self.agent = Some(agent.expect("the agent"));
    }

    /// SIGHUP, so many times.
    pub fn hang_up(&self, times: usize) {
        let pid = self.agent.as_ref().expect("the agent").id().to_string();
        let signals = format!("for i in $(seq {times}); do kill -HUP {pid} || exit 1; done");
        assert!(Command::new("sh").args(["-c", &signals]).status().expect("sh").success());
    }

    /// SIGKILL.
    pub fn kill_agent(&mut self) {
        end(&mut self.agent);
    }

    /// SIGTERM; the exit code, or none when it has not ended within the patience.
    pub fn end_agent(&mut self) -> Option<i32> {
        let agent = self.agent.as_mut()?;
        let pid = agent.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        let end = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < end {
            if let Some(status) = agent.try_wait().expect("the agent's end") {
                self.agent = None;
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// The exit code of a second agent on the same configuration.
    pub fn run_again(&self, socket: &str) -> Option<i32> {
        let mut agent = Command::new(SEXTON);
        agent.args(["run", "--config"]).arg(self.path("etc")).arg("--socket").arg(self.path(socket));
        agent.stderr(Stdio::null()).status().expect("a second agent").code()
    }

    /// The exit code of `sexton status` when nobody reads what it prints.
    pub fn status_unread(&self) -> Option<i32> {
        let mut status = Command::new(SEXTON);
        status.args(["status", "--json", "--socket"]).arg(self.path("control.sock"));
        let mut child = status.stdout(Stdio::piped()).spawn().expect("sexton status");
        drop(child.stdout.take());
        child.wait().expect("its end").code()
    }

    /// The agent's exit code, once it has ended by itself.
    pub fn agent_ended(&mut self) -> Option<i32> {
        self.agent.as_mut()?.try_wait().expect("the agent's end")?.code()
    }

    /// The agent's database, opened beside it.
    pub fn store(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("agent/state.db")).expect("the agent's database")
    }

    /// State of the one destination.
    pub fn destination(&self) -> Option<Value> {
        Some(self.sexton(&["status", "--json"])?["destinations"][0].clone())
    }

    /// Seconds since the agent started.
    pub fn uptime(&self) -> Option<f64> {
        self.sexton(&["status", "--json"])?["uptime"].as_f64()
    }

    /// Puts a dead letter back into the line.
    pub fn requeue(&self, record: &str) -> Option<String> {
        let mut outbox = Command::new(SEXTON);
        outbox.args(["outbox", "--socket"]).arg(self.path("control.sock"));
        let out = outbox.args(["requeue", "desk", record]).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// What `sexton maintenance …` says, as JSON or text; `None` when it is refused.
    pub fn maintenance(&self, args: &[&str]) -> Option<Value> {
        let said = self.output(&[&["maintenance"], args].concat())?;
        Some(serde_json::from_str(&said).unwrap_or(Value::String(said)))
    }

    /// What `sexton explain …` says: exit code, output, messages.
    pub fn explain(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut explain = Command::new(SEXTON);
        explain.arg("explain").args(args).arg("--socket").arg(self.path("control.sock"));
        let said = explain.output().expect("sexton explain");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (said.status.code(), text(&said.stdout), text(&said.stderr))
    }

    /// The same as JSON, when it is not refused.
    pub fn explained(&self, args: &[&str]) -> Option<Value> {
        let (code, out, _) = self.explain(&[args, &["--json"]].concat());
        serde_json::from_str(&out).ok().filter(|_| code == Some(0))
    }

    /// The agent's clock.
    pub fn now(&self) -> Option<String> {
        Some(self.sexton(&["status", "--json"])?["now"].as_str()?.to_owned())
    }

    /// Name of the job as the agent sees it.
    pub fn job_name(&self) -> &str {
        &self.job_name
    }

    /// What the agent says is wrong with its store.
    pub fn store_error(&self) -> Option<String> {
        self.sexton(&["status", "--json"])?["store"]["error"].as_str().map(str::to_owned)
    }

    pub async fn start_desk(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.path("desk.log")).expect("log");
        let desk = Command::new(SEXTON).args(["desk", "--config"]).arg(self.path("etc")).stderr(log).spawn();
        self.desk = Some(desk.expect("the desk"));
        until("an answer of the desk", || self.get("/healthz")).await;
    }

    pub fn stop_desk(&mut self) {
        end(&mut self.desk);
    }

    async fn get(&self, path: &str) -> Option<String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().ok()?;
        let reply = client.get(format!("http://{}{path}", self.address)).send().await.ok()?;
        if reply.status().is_success() { reply.text().await.ok() } else { None }
    }

    /// All records of a list at the desk.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let text = self.get(path).await.unwrap_or_default();
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let name = path.rsplit('/').next().unwrap_or_default();
        answer[name].as_array().cloned().unwrap_or_default()
    }

    /// One record at the desk, whole.
    pub async fn whole(&self, record: &Value) -> Option<Value> {
        let id = record["id"].as_str()?;
        serde_json::from_str(&self.get(&format!("/v1/incidents/{id}")).await?).ok()
    }

    /// The first record of a list at the desk.
    pub async fn first(&self, path: &str) -> Option<Value> {
        self.all(path).await.into_iter().next()
    }

    /// The incident of the job at the desk, when it is in that state.
    pub async fn incident_in(&self, state: &str) -> Option<Value> {
        self.incident_of("job-missing").await.filter(|i| i["state"] == state)
    }

    /// An incident of that rule at the desk.
    pub async fn incident_of(&self, rule: &str) -> Option<Value> {
        self.all("/v1/incidents").await.into_iter().find(|i| i["rule"]["id"] == rule)
    }

    /// Open incidents as the agent itself tells.
    pub fn open_here(&self) -> Option<u64> {
        self.sexton(&["status", "--json"])?["incidents"]["open"].as_u64()
    }

    fn job_is_ok(&self) -> Option<()> {
        let out = self.output(&["status", "--rules"])?;
        (!out.contains("job-missing")).then_some(())
    }

    fn sexton(&self, args: &[&str]) -> Option<Value> {
        serde_json::from_str(&self.output(args)?).ok()
    }

    fn output(&self, args: &[&str]) -> Option<String> {
        let out = Command::new(SEXTON)
            .args(args)
            .arg("--socket")
            .arg(self.path("control.sock"))
            .stderr(Stdio::null())
            .output()
            .ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for child in [&mut self.agent, &mut self.desk, &mut self.job] {
            end(child);
        }
        if std::thread::panicking() {
            for log in ["agent.log", "desk.log"] {
                eprintln!("--- {log}\n{}", std::fs::read_to_string(self.path(log)).unwrap_or_default());
            }
        }
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").to_string()
}

fn port_of(address: &str) -> u16 {
    Path::new(address).to_string_lossy().rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or(0)
}
