//! Options of plugins, as getopt reads them, and the ranges of the plugin guidelines.

/// Options with their values, in order, and what is left.
#[derive(Debug, Default)]
pub struct Options {
    /// Name without dashes and value; empty for a flag.
    pub all: Vec<(String, String)>,
    /// Arguments that are no options.
    pub rest: Vec<String>,
}

/// Long names of options with their short ones.
const LONG: &[(&str, &str)] = &[
    ("warning", "w"),
    ("critical", "c"),
    ("iwarning", "W"),
    ("icritical", "K"),
    ("path", "p"),
    ("partition", "p"),
    ("ereg-path", "r"),
    ("ereg-partition", "r"),
    ("eregi-path", "R"),
    ("eregi-partition", "R"),
    ("ignore-ereg-path", "i"),
    ("ignore-ereg-partition", "i"),
    ("ignore-eregi-path", "I"),
    ("ignore-eregi-partition", "I"),
    ("group", "g"),
    ("port", "p"),
    ("exclude_device", "x"),
    ("exclude-type", "X"),
    ("include-type", "N"),
    ("units", "u"),
    ("all", "A"),
    ("local", "l"),
    ("percpu", "r"),
    ("command", "C"),
    ("metric", "m"),
    ("hostname", "H"),
    ("IP-address", "I"),
    ("url", "u"),
    ("uri", "u"),
    ("ssl", "S"),
    ("expect", "e"),
    ("string", "s"),
    ("send", "s"),
    ("certificate", "C"),
    ("method", "j"),
    ("onredirect", "f"),
    ("timeout", "t"),
    ("argument-array", "a"),
    ("state", "s"),
    ("statusflags", "s"),
    ("user", "u"),
];

impl Options {
    /// Of words behind the program; `valued` are the letters that take a value.
    pub fn read(words: &[String], valued: &str) -> Self {
        let mut found = Self::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if let Some(long) = word.strip_prefix("--").filter(|l| !l.is_empty()) {
                let (name, given) =
                    long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
                let short = LONG.iter().find(|(known, _)| *known == name).map_or(name, |(_, short)| *short);
                let takes = short.len() == 1 && valued.contains(short) && name != "ssl";
                let value = given.or_else(|| takes.then(|| words.next().cloned()).flatten());
                found.all.push((short.to_owned(), value.unwrap_or_default()));
                continue;
            }
            // `-4` and `-6` choose a family of addresses; `-5` is a number.
            let is_option =
                |l: &&str| l.starts_with(|c: char| c.is_ascii_alphabetic()) || ["4", "6"].contains(l);
            let letters = word.strip_prefix('-').filter(is_option);
            let Some(letters) = letters else {
                found.rest.push(word.clone());
                continue;
            };
            for (at, letter) in letters.char_indices() {
                let after = &letters[at + letter.len_utf8()..];
                if valued.contains(letter) {
                    let value = if after.is_empty() { words.next().cloned() } else { Some(after.to_owned()) };
                    found.all.push((letter.to_string(), value.unwrap_or_default()));
                    break;
                }
                found.all.push((letter.to_string(), String::new()));
            }
        }
        found
    }

    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The values of an option that may be repeated.
    pub fn each(&self, name: &str) -> Vec<&str> {
        self.all.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }
}

/// A range of the plugin guidelines as a condition on `signal`; `unit` turns a number into a literal of ours.
pub fn range(text: &str, signal: &str, unit: impl Fn(f64) -> String) -> Option<String> {
    let (inside, body) = text.strip_prefix('@').map_or((false, text), |b| (true, b));
    let number = |t: &str| t.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let (low, high) = match body.split_once(':') {
        Some((low, high)) => {
            let low = if low == "~" { None } else { Some(number(if low.is_empty() { "0" } else { low })?) };
            (low, if high.is_empty() { None } else { Some(number(high)?) })
        }
        None => (Some(0.0), Some(number(body)?)),
    };
    let below = low.filter(|l| *l != 0.0).map(|l| format!("{signal} < {}", unit(l)));
    let above = high.map(|h| format!("{signal} > {}", unit(h)));
    if inside {
        let from = low.map(|l| format!("{signal} >= {}", unit(l)));
        let to = high.map(|h| format!("{signal} <= {}", unit(h)));
        return Some([from, to].into_iter().flatten().collect::<Vec<_>>().join(" and "))
            .filter(|t| !t.is_empty());
    }
    Some([below, above].into_iter().flatten().collect::<Vec<_>>().join(" or ")).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_getopt_does() {
        let words: Vec<String> =
            "-w 20% -c10% --path=/ -Sl -4 --warning 5 rest -H".split(' ').map(str::to_owned).collect();
        let options = Options::read(&words, "wcpH");
        assert_eq!(options.each("w"), ["20%", "5"]);
        assert_eq!((options.get("c"), options.get("p")), (Some("10%"), Some("/")));
        assert!(options.get("S").is_some() && options.get("l").is_some());
        assert!(options.get("4").is_some());
        assert_eq!(options.rest, ["rest"]);
        assert_eq!(options.get("H"), Some(""));
    }

    #[test]
    fn ranges_are_those_of_the_guidelines() {
        for (text, cond) in [
            ("10", "x > 10"),
            ("1:", "x < 1"),
            ("~:10", "x > 10"),
            ("1:10", "x < 1 or x > 10"),
            (":10", "x > 10"),
            ("@1:10", "x >= 1 and x <= 10"),
        ] {
            assert_eq!(range(text, "x", |n| n.to_string()).as_deref(), Some(cond), "{text}");
        }
        for bad in ["", "a", "1:b", "~:", "@~:", "inf"] {
            assert_eq!(range(bad, "x", |n| n.to_string()), None, "{bad}");
        }
    }
}
