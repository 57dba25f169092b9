//! Command lines: macros put in, and the way through check_nrpe to the plugin.

use std::collections::{BTreeMap, BTreeSet};

use super::objects::Site;
use crate::import::words::arguments;

/// Commands that come with Nagios and are often not among the files that are imported.
const USUAL: &[(&str, &str)] = &[
    ("check_local_disk", "check_disk -w $ARG1$ -c $ARG2$ -p $ARG3$"),
    ("check_local_load", "check_load -w $ARG1$ -c $ARG2$"),
    ("check_local_procs", "check_procs -w $ARG1$ -c $ARG2$ -s $ARG3$"),
    ("check_local_users", "check_users -w $ARG1$ -c $ARG2$"),
    ("check_local_swap", "check_swap -w $ARG1$ -c $ARG2$"),
    ("check_http", "check_http -I $HOSTADDRESS$ $ARG1$"),
    ("check_ssh", "check_ssh $ARG1$ $HOSTADDRESS$"),
    ("check_tcp", "check_tcp -H $HOSTADDRESS$ -p $ARG1$ $ARG2$"),
    ("check_smtp", "check_smtp -H $HOSTADDRESS$ $ARG1$"),
    ("check_ping", "check_ping -H $HOSTADDRESS$ -w $ARG1$ -c $ARG2$ -p 5"),
    ("check_nrpe", "check_nrpe -H $HOSTADDRESS$ -c $ARG1$ $ARG2$"),
    ("check_nrpe_1arg", "check_nrpe -H $HOSTADDRESS$ -c $ARG1$"),
];
/// Most rounds of macros within macros.
const ROUNDS: usize = 4;

/// What macros stand for.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The host as it is called there.
    pub host: String,
    /// Its address.
    pub address: String,
    /// `_HOSTX`, `_SERVICEX`.
    pub custom: BTreeMap<String, String>,
    /// The service.
    pub name: String,
    /// How often it is asked, in nanoseconds; 0: not said.
    pub interval: i64,
    /// The service is on several hosts.
    pub has_many: bool,
}

/// A command line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Program and arguments.
    pub words: Vec<String>,
    /// Macros without a value.
    pub lost: Vec<String>,
}

/// Why there is no plugin: piece, why, instead.
type Nothing = (String, String, String);

impl Line {
    /// A command line with its arguments.
    pub fn of(site: &Site, text: &str, args: &[String], target: &Target) -> Self {
        let mut lost = Vec::new();
        let mut text = text.to_owned();
        for _ in 0..ROUNDS {
            let round = filled(site, &text, args, target, &mut lost);
            if round == text {
                break;
            }
            text = round;
        }
        let words = arguments(&text);
        let words = match words.first().map(|w| w.rsplit('/').next().unwrap_or(w)) {
            Some("sudo" | "nice" | "timeout" | "env") => {
                let at =
                    words.iter().position(|w| w.rsplit('/').next().is_some_and(|n| n.starts_with("check_")));
                words.get(at.unwrap_or(0)..).unwrap_or_default().to_vec()
            }
            _ => words,
        };
        Self { words, lost }
    }

    /// What `check_command` names: `check_disk!20%!10%`.
    pub fn of_service(site: &Site, given: &str, target: &Target) -> Self {
        let mut parts = given.split('!').map(|p| p.trim().to_owned());
        let name = parts.next().unwrap_or_default();
        let args: Vec<String> = parts.collect();
        let own = site.objects.iter().find(|o| o.kind == "command" && o.get("command_name") == name);
        let usual = || USUAL.iter().find(|(known, _)| *known == name).map(|(_, line)| (*line).to_owned());
        let line = own.map(|o| o.get("command_line").to_owned()).filter(|l| !l.is_empty()).or_else(usual);
        match line {
            Some(line) => Self::of(site, &line, &args, target),
            None => Self::of(site, &format!("{name} {}", args.join(" ")), &args, target),
        }
    }

    /// The plugin without its path.
    pub fn plugin(&self) -> &str {
        self.words.first().map_or("", |w| w.rsplit('/').next().unwrap_or(w))
    }

    /// The value behind an option.
    fn behind(&self, names: &[&str]) -> Option<&str> {
        let at = self.words.iter().position(|w| names.contains(&w.as_str()))?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// The plugin that check_nrpe or check_by_ssh runs over there.
    pub fn through_nrpe(
        &self,
        site: &Site,
        target: &Target,
        used: &mut BTreeSet<String>,
    ) -> Result<Line, Nothing> {
        let shown = self.words.join(" ");
        match self.plugin() {
            "check_nrpe" | "check_nrpe_1arg" => {
                let Some(name) = self.behind(&["-c", "--command"]) else {
                    return Err((
                        shown,
                        "asks NRPE for its version only".to_owned(),
                        "leave it out".to_owned(),
                    ));
                };
                used.insert(name.to_owned());
                let Some((line, _)) = site.nrpe.get(name) else {
                    let why = format!("what command[{name}] is stands in the nrpe.cfg of that host");
                    return Err((shown, why, "import it together with that file".to_owned()));
                };
                let at = self.words.iter().position(|w| w == "-a" || w == "--args");
                let args = at.and_then(|at| self.words.get(at + 1..)).unwrap_or_default();
                Ok(Self::of(site, line, args, target))
            }
            "check_by_ssh" => match self.behind(&["-C", "--command"]) {
                Some(command) => Ok(Self::of(site, command, &[], target)),
                None => Err((shown, "runs something over ssh".to_owned(), "a rule on that host".to_owned())),
            },
            _ => Ok(self.clone()),
        }
    }
}

/// Macros put in; what has no value is left out and said.
fn filled(site: &Site, text: &str, args: &[String], target: &Target, lost: &mut Vec<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('$') {
        out.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let Some(close) = after.find('$') else {
            out.push('$');
            rest = after;
            continue;
        };
        let name = &after[..close];
        rest = &after[close + 1..];
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        if !is_name {
            // `$$` is a dollar.
            out.push('$');
            out.push_str(name);
            continue;
        }
        match value(site, name, args, target) {
            Some(value) => out.push_str(&value),
            None if name.starts_with("ARG") => {}
            None => lost.push(format!("${name}$")),
        }
    }
    out + rest
}

fn value(site: &Site, name: &str, args: &[String], target: &Target) -> Option<String> {
    if let Some(n) = name.strip_prefix("ARG").and_then(|n| n.parse::<usize>().ok()) {
        return args.get(n.checked_sub(1)?).cloned();
    }
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match name {
        "HOSTADDRESS" | "HOSTADDRESS6" => known(&target.address),
        "HOSTNAME" | "HOSTALIAS" | "HOSTDISPLAYNAME" => known(&target.host),
        "SERVICEDESC" => known(&target.name),
        _ if name.starts_with("USER") => {
            Some(site.macros.get(name).cloned().unwrap_or_else(|| "plugins".to_owned()))
        }
        _ => target.custom.get(name).or_else(|| site.macros.get(name)).cloned(),
    }
}
