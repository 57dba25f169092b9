//! Annotations: Go templates to our titles and to plain text.
//!
//! A title has `{label}` and `{signal}`; a description has none, so that what varies stands there as
//! `<mount>` or `<value>`. What is neither a label nor the value is a loss.

use std::collections::BTreeMap;

use super::labels;
use crate::engine::signal::Class;

/// What a template may name.
pub struct Facts<'f> {
    /// The rule's class.
    pub class: Class,
    /// Labels that the alert's matchers pin to one value.
    pub fixed: &'f BTreeMap<String, String>,
    /// Labels of its own.
    pub own: &'f BTreeMap<String, String>,
    /// How the value is named in a title.
    pub value: Option<&'f str>,
    /// The value is a share: it brings its percent sign.
    pub is_share: bool,
}

/// A text with what became of its templates.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    /// As a title.
    pub title: String,
    /// As plain text.
    pub plain: String,
    /// It names the value.
    pub has_value: bool,
    /// It names a label of the instance.
    pub has_label: bool,
    /// Templates that are left out.
    pub lost: Vec<String>,
}

/// Puts a text into our words.
pub fn say(text: &str, facts: &Facts<'_>) -> Said {
    let mut said = Said::default();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        plain(&mut said, &rest[..open]);
        let inner = &rest[open + 2..];
        let (template, after) = inner.split_once("}}").unwrap_or((inner, ""));
        rest = after;
        let is_value = put(&mut said, template.trim_matches(['-', ' ', '\n', '\t']), facts);
        if is_value && facts.is_share {
            rest = rest.strip_prefix('%').or_else(|| rest.strip_prefix(" %")).unwrap_or(rest);
        }
    }
    plain(&mut said, rest);
    said.title = said.title.split_whitespace().collect::<Vec<_>>().join(" ");
    said
}

fn plain(said: &mut Said, text: &str) {
    said.title.push_str(&text.replace('{', "{{").replace('}', "}}"));
    said.plain.push_str(text);
}

/// One template; true when it is the value.
fn put(said: &mut Said, template: &str, facts: &Facts<'_>) -> bool {
    let stripped = template.strip_prefix("$labels.").or_else(|| template.strip_prefix(".Labels."));
    if let Some(rest) = stripped {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        label(said, &rest[..end], template, facts);
        return false;
    }
    let is_function = |word: &str| {
        word.starts_with("humanize")
            || ["printf", "title", "toUpper", "toLower", "reReplaceAll", "mul", "|"].contains(&word)
    };
    let names_value = |word: &str| word == "$value" || word == ".Value" || word == "value";
    let words: Vec<&str> = template.split([' ', '(', ')']).filter(|w| !w.is_empty()).collect();
    let known = |w: &&str| {
        names_value(w) || is_function(w) || w.starts_with(['"', '`', '%']) || w.parse::<f64>().is_ok()
    };
    let is_value = words.iter().any(|w| names_value(w)) && words.iter().all(known);
    match facts.value.filter(|_| is_value) {
        Some(value) => {
            said.title.push_str(&format!("{{{value}}}"));
            said.plain.push_str("<value>");
            said.has_value = true;
            true
        }
        None => {
            said.lost.push(format!("{{{{ {template} }}}}"));
            false
        }
    }
}

fn label(said: &mut Said, name: &str, template: &str, facts: &Facts<'_>) {
    if let Some(ours) = labels::ours(facts.class, name) {
        said.title.push_str(&format!("{{{ours}}}"));
        said.plain.push_str(&format!("<{ours}>"));
        said.has_label = true;
    } else if facts.class == Class::Check && (labels::is_host(name) || name == "target") {
        said.title.push_str("{check}");
        said.plain.push_str("<check>");
        said.has_label = true;
    } else if labels::is_host(name) {
        plain(said, "this host");
    } else if let Some(value) = facts.fixed.get(name).or_else(|| facts.own.get(name)) {
        plain(said, value);
    } else if name == "job" {
        plain(said, "sexton");
    } else {
        said.lost.push(format!("{{{{ {template} }}}}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_titles() {
        let fixed = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
        let none = BTreeMap::new();
        let facts =
            Facts { class: Class::Fs, fixed: &fixed, own: &none, value: Some("value"), is_share: true };
        for (text, title, plain, lost) in [
            ("Disk full", "Disk full", "Disk full", 0),
            (
                "{{ $labels.mountpoint }} on {{$labels.instance}}",
                "{mount} on this host",
                "<mount> on this host",
                0,
            ),
            ("has {{ printf \"%.2f\" $value }}% left", "has {value} left", "has <value> left", 0),
            ("at {{ $value | humanizePercentage }}.", "at {value}.", "at <value>.", 0),
            ("{{ humanize (mul 100 $value) }} %", "{value}", "<value>", 0),
            ("a {brace} {{ $labels.env }}", "a {{brace}} prod", "a {brace} prod", 0),
            ("x {{ if gt $value 3 }}y{{ end }}", "x y", "x y", 2),
            ("{{ $labels.nosuch }}", "", "", 1),
            ("{{ query \"up\" }} {{", "", " ", 2),
        ] {
            let said = say(text, &facts);
            assert_eq!(
                (said.title.as_str(), said.plain.as_str(), said.lost.len()),
                (title, plain, lost),
                "{text}"
            );
        }
    }
}
