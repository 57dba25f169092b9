//! Label matchers to `match`: names of labels, and regular expressions to globs.
//!
//! Most regular expressions of alerting rules are lists of words and `.*`; these come over exactly. What a
//! glob cannot say is taken as wide as it must be, and said.

use std::collections::BTreeMap;

use super::super::draft::{Check, Loss, Place, kebab};
use super::super::write::quoted;
use super::promql::Matcher;
use crate::engine::plan::glob_matches;
use crate::engine::signal::Class;

/// Most globs that one expression becomes.
const MOST: usize = 64;

/// What matchers come to.
#[derive(Default)]
pub struct Picked {
    /// `match`.
    pub matches: BTreeMap<String, Vec<String>>,
    /// Checks that are named by their targets.
    pub checks: Vec<Check>,
    /// What is not carried over.
    pub losses: Vec<Loss>,
    /// What is good to know.
    pub remarks: Vec<String>,
}

/// The name of a label here.
pub fn ours(class: Class, label: &str) -> Option<&'static str> {
    Some(match (class, label) {
        (Class::Fs, "mountpoint") => "mount",
        (Class::Fs, "fstype") => "fstype",
        (Class::Fs, "device") => "device",
        (Class::Disk, "device") => "disk",
        (Class::Net, "device" | "interface") => "iface",
        (Class::Unit, "name") => "unit",
        (Class::Proc, "groupname") => "name",
        _ => return None,
    })
}

/// Labels that say which host it is, there.
pub fn is_host(label: &str) -> bool {
    matches!(label, "instance" | "node" | "nodename" | "host" | "hostname" | "fqdn")
}

/// Whether a matcher takes a value.
pub fn takes(m: &Matcher, value: &str) -> bool {
    let is_in = match m.is_regex {
        true => globs(&m.value).0.iter().any(|g| glob_matches(g, value)),
        false => m.value == value,
    };
    is_in != m.is_negative
}

/// All matchers of an alert; `place` and `piece` are its expression.
pub fn pick(class: Class, picks: &[(Matcher, Place, String)], place: &Place, piece: &str) -> Picked {
    let mut picked = Picked::default();
    let mut excluded: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (m, place, piece) in picks {
        let lose = |why: &str, instead: &str, widens| Loss {
            place: place.clone(),
            piece: piece.clone(),
            why: why.to_owned(),
            instead: instead.to_owned(),
            widens,
        };
        let (mut globs, is_exact) =
            if m.is_regex { globs(&m.value) } else { (vec![literal(&m.value)], true) };
        let says_all = m.is_negative && m.value.is_empty()
            || !m.is_negative && globs.iter().any(|g| g == "*" || g == "?*");
        if says_all {
            continue;
        }
        if class == Class::Check && (is_host(&m.label) || m.label == "target") && !m.is_negative {
            targets(&mut picked, m, &lose);
            continue;
        }
        let Some(label) = ours(class, &m.label) else {
            elsewhere(&mut picked, m, &lose);
            continue;
        };
        globs.retain(|g| !g.is_empty());
        if globs.is_empty() || globs.iter().any(|g| g.starts_with('!')) {
            picked.losses.push(lose(
                "this regular expression has no form as globs",
                "list what is meant in `match`",
                !m.is_negative,
            ));
            continue;
        }
        if !is_exact {
            let all = globs.join(" ");
            picked.losses.push(lose(&format!("globs say it only roughly: {all}"), "look at `match`", false));
        }
        if m.is_negative {
            let out = excluded.entry(label.to_owned()).or_default();
            out.extend(globs.iter().map(|g| format!("!{g}")));
        } else if let Some(known) = picked.matches.get_mut(label) {
            // What both take: globs of the one that the other takes as they are.
            globs.retain(|g| !known.contains(g) && known.iter().any(|k| glob_matches(k, g)));
            known.retain(|g| takes(m, g));
            known.append(&mut globs);
            if known.is_empty() {
                picked.matches.remove(label);
                let why = "selects other objects than what stands before it";
                picked.losses.push(lose(why, "a rule for each, one of which names the other", true));
            }
        } else {
            picked.matches.insert(label.to_owned(), globs);
        }
    }
    for (label, globs) in excluded {
        let all = picked.matches.entry(label).or_default();
        globs.into_iter().for_each(|g| {
            if !all.contains(&g) {
                all.push(g);
            }
        });
    }
    if class == Class::Check && picked.checks.is_empty() && !picked.losses.iter().any(|l| l.widens) {
        let (place, piece) = (place.clone(), piece.to_owned());
        let why = "the targets of probes stand in Prometheus' scrape configuration".to_owned();
        let instead = "write a [[check]] for each target; until then the rule binds nothing".to_owned();
        picked.losses.push(Loss { place, piece, why, instead, widens: false });
    }
    picked
}

/// A label that no object here has.
fn elsewhere(picked: &mut Picked, m: &Matcher, lose: &dyn Fn(&str, &str, bool) -> Loss) {
    if m.label == "job" {
        let text = "`job` names the scrape job; here every host judges itself".to_owned();
        if !picked.remarks.contains(&text) {
            picked.remarks.push(text);
        }
    } else if m.label == "memtype" {
        // Resident memory is what proc.rss is.
    } else {
        picked.losses.push(lose(
            "selects hosts, or a label that is not known here",
            "put the file on the hosts it is about; [host] labels carry env, site and the like",
            false,
        ));
    }
}

/// Targets of probes that are written out become checks.
fn targets(picked: &mut Picked, m: &Matcher, lose: &dyn Fn(&str, &str, bool) -> Loss) {
    // In the address of a target a dot is a dot, whoever wrote it in a regular expression.
    let bare = m.value.trim_matches(['^', '$', '(', ')']).replace("?:", "").replace("\\.", ".");
    let has_more = [".*", ".+", "[", "(", "\\"].iter().any(|sign| bare.contains(sign));
    let addresses: Vec<&str> = if m.is_regex { bare.split('|').collect() } else { vec![&m.value] };
    let checks: Option<Vec<Check>> = addresses.into_iter().map(check).collect();
    match checks.filter(|c| !(c.is_empty() || m.is_regex && has_more)) {
        Some(checks) => {
            picked.matches.insert("check".to_owned(), checks.iter().map(|c| c.id.clone()).collect());
            picked.checks.extend(checks);
        }
        None => picked.losses.push(lose(
            "no addresses that can be asked",
            "write a [[check]] for each target and name them in `match`",
            true,
        )),
    }
}

/// The check of a target: a URL, or host:port.
pub fn check(target: &str) -> Option<Check> {
    if target.contains(['*', '?']) && !target.contains("://") || target.contains(char::is_whitespace) {
        return None;
    }
    if let Some(rest) = target.strip_prefix("https://").or_else(|| target.strip_prefix("http://")) {
        let is_plain = !rest.is_empty() && !rest.starts_with(['/', ':']) && !rest.contains('*');
        let id = kebab(rest);
        return is_plain.then(|| Check { id, kind: "http", keys: vec![("url", quoted(target))] });
    }
    let (host, port) = target.rsplit_once(':')?;
    let is_port = port.parse::<u16>().is_ok_and(|p| p > 0);
    let is_host = !host.is_empty() && !host.contains('/');
    (is_port && is_host).then(|| Check {
        id: kebab(target),
        kind: "tcp",
        keys: vec![("address", quoted(target))],
    })
}

/// A text as a glob that takes it and little else.
pub fn literal(text: &str) -> String {
    text.replace(['*', '[', '{'], "?")
}

/// The globs of an anchored regular expression, and whether they say the same. Empty: it cannot be said.
pub fn globs(regex: &str) -> (Vec<String>, bool) {
    let mut reader = Reader { chars: regex.chars().collect(), at: 0, is_exact: true, depth: 0 };
    let mut all = reader.alternatives();
    if reader.at < reader.chars.len() || all.len() > MOST {
        return (Vec::new(), false);
    }
    for glob in &mut all {
        while glob.contains("**") {
            *glob = glob.replace("**", "*");
        }
    }
    all.dedup();
    (all, reader.is_exact)
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    is_exact: bool,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn alternatives(&mut self) -> Vec<String> {
        let mut all = self.sequence();
        while self.peek() == Some('|') {
            self.at += 1;
            all.extend(self.sequence());
        }
        all
    }

    fn sequence(&mut self) -> Vec<String> {
        let mut all = vec![String::new()];
        while let Some(c) = self.peek().filter(|c| *c != '|' && *c != ')') {
            self.at += 1;
            let atom = self.atom(c);
            let atom = self.repeated(atom);
            let joined = all.iter().flat_map(|head| atom.iter().map(move |tail| format!("{head}{tail}")));
            all = joined.take(MOST + 1).collect();
        }
        all
    }

    fn atom(&mut self, c: char) -> Vec<String> {
        match c {
            '.' => vec!["?".to_owned()],
            '^' | '$' => vec![String::new()],
            '\\' => {
                let escaped = self.peek().unwrap_or('\\');
                self.at += 1;
                if escaped.is_ascii_alphanumeric() {
                    self.is_exact = false;
                    return vec!["?".to_owned()];
                }
                vec![literal(&escaped.to_string())]
            }
            '[' => self.set(),
            '(' if self.depth < 16 => {
                self.depth += 1;
                if self.chars.get(self.at..self.at + 2) == Some(&['?', ':']) {
                    self.at += 2;
                }
                let inner = self.alternatives();
                self.at += usize::from(self.peek() == Some(')'));
                self.depth -= 1;
                inner
            }
            '*' | '+' | '?' | '{' => {
                self.is_exact = false;
                vec!["*".to_owned()]
            }
            c => vec![c.to_string()],
        }
    }

    /// `[a-z]`: one character; a handful of them are written out.
    fn set(&mut self) -> Vec<String> {
        let start = self.at;
        while let Some(c) = self.peek() {
            self.at += 1;
            if c == ']' && self.at > start + 1 {
                break;
            }
        }
        let inner = &self.chars[start..self.at.saturating_sub(1).max(start)];
        let is_list = !inner.is_empty() && inner.len() <= 4 && inner.iter().all(|c| c.is_alphanumeric());
        let is_repeated = matches!(self.peek(), Some('*' | '+' | '{'));
        if is_list && !is_repeated {
            return inner.iter().map(char::to_string).collect();
        }
        self.is_exact = false;
        vec!["?".to_owned()]
    }

    fn repeated(&mut self, atom: Vec<String>) -> Vec<String> {
        let is_any = atom == ["?"];
        let mut all = match self.peek() {
            Some('?') => atom.into_iter().chain([String::new()]).collect(),
            Some('*') if is_any => vec!["*".to_owned()],
            Some('+') if is_any => vec!["?*".to_owned()],
            Some('*') => {
                self.is_exact = false;
                vec!["*".to_owned()]
            }
            Some('+') => {
                self.is_exact = false;
                atom.into_iter().map(|a| a + "*").collect()
            }
            Some('{') => {
                self.is_exact = false;
                while self.peek().is_some_and(|c| c != '}') {
                    self.at += 1;
                }
                vec!["*".to_owned()]
            }
            _ => return atom,
        };
        self.at += 1;
        // A lazy or possessive mark changes nothing about what is taken.
        if matches!(self.peek(), Some('?' | '+')) {
            self.at += 1;
        }
        all.truncate(MOST + 1);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_expressions_become_globs() {
        for (regex, expected, is_exact) in [
            ("tmpfs|overlay", "tmpfs overlay", true),
            ("^(tmpfs|fuse.lxcfs)$", "tmpfs fuse?lxcfs", true),
            ("/var/.+", "/var/?*", true),
            ("/run.*", "/run*", true),
            ("(/dev/)?(sd.+|vd.+)", "/dev/sd?* /dev/vd?* sd?* vd?*", true),
            ("ext[234]|xfs", "ext2 ext3 ext4 xfs", true),
            ("eth[0-9]+", "eth?*", false),
            (r"a\.b", "a.b", true),
            (r"\d+", "?*", false),
            ("ab*", "a*", false),
            (".*", "*", true),
            (".+", "?*", true),
            ("", "", true),
        ] {
            let (all, exact) = globs(regex);
            assert_eq!((all.join(" ").as_str(), exact), (expected, is_exact), "{regex}");
        }
        assert!(globs("a)").0.is_empty());
        assert!(globs(&"(a|b)".repeat(20)).0.is_empty());
        assert!(globs(&"(".repeat(1000)).0.len() <= MOST);
        for odd in ["[", "a{", "\\", "(?i)x", "[]", "[^/]+", "a||b"] {
            globs(odd);
        }
    }

    #[test]
    fn targets_become_checks() {
        let id = |target: &str| check(target).map(|c| format!("{} {}", c.kind, c.id));
        assert_eq!(id("https://shop.example/health?x=1").as_deref(), Some("http shop-example-health-x-1"));
        assert_eq!(id("db.example:5432").as_deref(), Some("tcp db-example-5432"));
        for bad in ["web", "*:80", "a b:80", "host:0", ":80", "https://", "http:///x", "https://*.example/"] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
