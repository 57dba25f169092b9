//! Titles: every placeholder that stands for nothing, in one run.

use crate::config::diagnose::Finding;
use crate::config::walk::Text;
use crate::engine::cond::{self, Lets};
use crate::engine::signal::Class;

/// Most mistakes told of one title.
const MOST: usize = 8;

/// What is wrong with a title, for a rule of `class` with these `let` expressions. `failed` are names of
/// wrong expressions: that they are unknown here follows from that.
pub fn check(title: &Text, class: Class, lets: &Lets, failed: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    if title.value.contains("{{")
        && let Some(at) = ["{{ $", "{{$", "{{ .", "{{."].iter().find_map(|sign| title.value.find(sign))
    {
        let message = "`title`: `{{` is a brace here, not a template";
        let finding = Finding::warning(title.part(at..at + 2), message);
        found.push(finding.help("placeholders have one brace: {mount} is {fs.used} full"));
    }
    // The language tells the first mistake; blanks in its place let it tell the next.
    let mut rest = title.value.clone();
    for _ in 0..MOST {
        let Err(error) = cond::check_title(&rest, class, lets) else { break };
        let Some(written) = rest.get(error.span.clone()) else { break };
        let follows = failed.iter().any(|name| *name == written.trim_matches(['{', '}']));
        let blanks = " ".repeat(error.span.len());
        rest.replace_range(error.span.clone(), &blanks);
        if !follows {
            let finding = Finding::error(title.part(error.span), format!("`title`: {}", error.message));
            found.push(error.help.into_iter().fold(finding, Finding::help));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnose::At;

    #[test]
    fn every_unknown_placeholder_is_found() {
        let at = At { file: 0, start: 0, end: 1 };
        let lets =
            [("left".to_owned(), cond::compile_any("eta(fs.used, 100%, 6h)", Class::Fs, &[]).unwrap())];
        for (title, wrong) in [
            ("{mount} is {fs.used} full, {left} left, load {load.avg1}", 0),
            ("no placeholder, {{ a brace }}", 0),
            ("{mout} {net.rx}", 2),
            ("{mount", 1),
            ("{}", 1),
            ("é{é} {mount} }", 2),
            ("{broken}", 0),
        ] {
            let text = Text { value: title.to_owned(), at, inner: Some(1) };
            let found = check(&text, Class::Fs, &lets, &["broken".to_owned()]);
            assert_eq!(found.len(), wrong, "{title}");
        }
    }
}
