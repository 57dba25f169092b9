//! What `--provoke` breaks: a TCP listener and a background job, both the demo's own.
//!
//! The listener is watched by a `tcp` check (asked once a second), the job by the process collector (told by
//! the kernel at its exit). Each round breaks both for a while and repairs them, so that within two minutes
//! incidents open, get evidence, resolve, return, and become problem candidates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::cli::say;

/// Name of the background job, as its process is called.
const JOB: &str = "sexton-demo-job";
/// Everything runs this long before the first round and between rounds.
const WELL: Duration = Duration::from_secs(14);
/// The listener is away this long.
const BROKEN: Duration = Duration::from_secs(12);

/// The things to break.
pub struct Provoker {
    address: SocketAddr,
    listener: Option<TcpListener>,
    job_path: PathBuf,
    job: Option<Child>,
}

impl Provoker {
    /// Starts listener and job.
    ///
    /// # Errors
    /// No port can be had, or no program can be started from `dir`.
    pub async fn start(dir: &Path) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| format!("cannot listen: {e}"))?;
        let address = listener.local_addr().map_err(|e| format!("cannot learn the port: {e}"))?;
        let job_path = dir.join(JOB);
        std::fs::copy("/bin/sleep", &job_path).map_err(|e| format!("cannot copy /bin/sleep: {e}"))?;
        let mut provoker = Self { address, listener: Some(listener), job_path, job: None };
        provoker.start_job()?;
        Ok(provoker)
    }

    /// Check, process watch and short times for just these two, as configuration.
    pub fn toml(&self) -> String {
        format!(
            "[collect.proc]\nwatch = [\"{JOB}\"]\n\
             [[check]]\nid = \"demo-listener\"\nkind = \"tcp\"\naddress = \"{}\"\ninterval = \"1s\"\ntimeout = \"1s\"\n\
             [[override]]\nrule = \"*\"\nmatch = {{ check = [\"demo-*\"] }}\nset = {{ for = \"2s\", keep = \"3s\" }}\n\
             [[override]]\nrule = \"*\"\nmatch = {{ name = [\"{JOB}\"] }}\nset = {{ for = \"0s\", keep = \"3s\" }}\n",
            self.address
        )
    }

    /// Breaks and repairs until dropped.
    pub async fn run(&mut self) {
        loop {
            // The time-out is the way out: the listener serves for ever.
            let _ = tokio::time::timeout(WELL, self.serve()).await;
            say("          the demo stops its listener and kills its job\n");
            self.listener = None;
            self.stop_job().await;
            tokio::time::sleep(BROKEN).await;
            say("          the demo repairs both\n");
            self.listener = TcpListener::bind(self.address).await.ok();
            if let Err(why) = self.start_job() {
                eprintln!("sexton: {why}");
            }
        }
    }

    async fn serve(&self) {
        match &self.listener {
            Some(listener) => loop {
                drop(listener.accept().await);
            },
            None => std::future::pending().await,
        }
    }

    fn start_job(&mut self) -> Result<(), String> {
        let child = Command::new(&self.job_path)
            .arg("infinity")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", self.job_path.display()))?;
        self.job = Some(child);
        Ok(())
    }

    async fn stop_job(&mut self) {
        if let Some(mut job) = self.job.take() {
            let _ = job.kill().await;
        }
    }
}
