//! `[template.NAME]` and `extends`: pieces of rules that others lie over.
//!
//! A template holds any keys of a rule but its id; a rule that extends it has those keys as if they stood in
//! it, and may write each of them again. Tables (`match`, `let`, `labels`, `action`) are put together key by
//! key, everything else is replaced. Of several templates, later names win. A name is looked for in the file
//! itself, then in the other files, the last of the layers first. Templates may extend templates, but not in
//! a circle. Each template is read once on its own, so that a mistake in it is told once, used or not.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::rule;
use crate::config::diagnose::{At, Finding, Report};
use crate::config::suggest::{nearest, one_of};
use crate::config::value;
use crate::config::walk::{Text, Walk, shorten};

/// Most templates that a rule can lie over, those of its templates included.
const MOST: usize = 32;
/// Most templates of all files; those beyond are not read.
const MOST_TEMPLATES: usize = 1_000;

/// The templates of all files.
#[derive(Default)]
pub struct Templates<'t> {
    all: Vec<Template<'t>>,
    /// Numbers of the templates of a name, in the order of the layers.
    by_name: BTreeMap<String, Vec<usize>>,
}

struct Template<'t> {
    file: u32,
    name: Text,
    walk: Walk<'t>,
    extends: Vec<Text>,
}

impl<'t> Templates<'t> {
    /// Gathers the templates of the files in the order of the layers and checks them.
    pub fn gather(files: impl Iterator<Item = &'t DeTable<'t>>, report: &mut Report) -> Self {
        let mut templates = Templates::default();
        for (file, items) in files.enumerate() {
            templates.take(file as u32, items, report);
        }
        templates.check_names(report);
        templates.circles(report);
        for template in &templates.all {
            let named = template.walk.named(&format!("template `{}`", template.name.value));
            rule::template(&templates.under(named, &template.extends).0, report);
        }
        templates
    }

    fn take(&mut self, file: u32, items: &'t DeTable<'t>, report: &mut Report) {
        let top = Walk::new(At::new(file, 0..0), "the top level", items);
        let Some(value) = top.get("template") else { return };
        let DeValue::Table(_) = value.get_ref() else {
            let message = "`template` must be tables with names";
            report
                .add(Finding::error(value.at(), message).help("begin each one with a line [template.NAME]"));
            return;
        };
        let Some(tables) = top.table("template", "[template]", report) else { return };
        for (name, value) in tables.entries() {
            let DeValue::Table(_) = value.get_ref() else {
                let message = format!("`{}` stands in [template], which has no name", shorten(&name.value));
                report.add(Finding::error(name.at, message).help("a template begins with [template.NAME]"));
                continue;
            };
            if let Err(why) = value::id(&name.value) {
                report.add(Finding::error(name.at, format!("template {:?} {why}", shorten(&name.value))));
                continue;
            }
            if self.all.len() >= MOST_TEMPLATES {
                let message = format!("there are more than {MOST_TEMPLATES} templates");
                report.add(Finding::error(name.at, message).help("templates are for what rules share"));
                return;
            }
            let what = format!("template `{}`", name.value);
            let Some(walk) = tables.table(&name.value, &what, report) else { continue };
            let extends = extends(&walk, report);
            self.by_name.entry(name.value.clone()).or_default().push(self.all.len());
            self.all.push(Template { file, name, walk, extends });
        }
    }

    /// A rule over the templates that it extends; false when one of them is missing, and with it perhaps keys
    /// of the rule.
    pub fn lay(&self, rule: &Walk<'t>, report: &mut Report) -> (Walk<'t>, bool) {
        let names = extends(rule, report);
        for name in &names {
            self.check_name(name, report);
        }
        let all_known = names.iter().all(|name| self.find(name).is_some());
        let is_whole = all_known && names.is_empty() != rule.has("extends");
        let (table, is_cut) = self.under(rule.clone(), &names);
        if is_cut {
            let message = format!("{} lies over more than {MOST} templates", rule.what);
            report.add(Finding::error(rule.key_at("extends"), message).help("put some of them together"));
        }
        (table, is_whole && !is_cut)
    }

    fn find(&self, name: &Text) -> Option<(usize, &Template<'t>)> {
        let called = self.by_name.get(&name.value)?;
        let own = called.iter().find(|i| self.all[**i].file == name.at.file);
        let index = *own.or(called.last())?;
        Some((index, &self.all[index]))
    }

    fn check_names(&self, report: &mut Report) {
        for template in &self.all {
            for name in &template.extends {
                self.check_name(name, report);
            }
        }
    }

    fn check_name(&self, name: &Text, report: &mut Report) {
        // Beyond the limit, which has been told, nothing was read.
        if self.find(name).is_some() || self.all.len() >= MOST_TEMPLATES {
            return;
        }
        let names = || self.by_name.keys().map(String::as_str);
        let message = format!("there is no template `{}`", shorten(&name.value));
        let finding = Finding::error(name.at, message).absence();
        report.add(match nearest(&name.value, names()) {
            Some(near) => finding.label(format!("did you mean `{near}`?")),
            None if self.all.is_empty() => finding.help("a template begins with a line [template.NAME]"),
            None => finding.help(format!("templates: {}", one_of(names()))),
        });
    }

    /// Reports every circle once, at the first template of it.
    fn circles(&self, report: &mut Report) {
        for start in 0..self.all.len() {
            let Some(circle) = self.circle(start, start, &mut Vec::new()) else { continue };
            if circle.iter().any(|(i, _)| *i < start) {
                continue;
            }
            let names: Vec<_> =
                circle.iter().map(|(i, _)| format!("`{}`", self.all[*i].name.value)).collect();
            let first = &self.all[start].name.value;
            let message =
                format!("templates extend one another in a circle: {} → `{first}`", names.join(" → "));
            let mut places = circle.iter().map(|(_, at)| *at);
            let Some(at) = places.next() else { continue };
            let finding = Finding::error(at, message).help("take one of the links out");
            report.add(places.fold(finding, |finding, at| finding.also(at, "and here")));
        }
    }

    /// The way from a template back to `start`: each template and where it names the next one.
    fn circle(&self, from: usize, start: usize, passed: &mut Vec<usize>) -> Option<Vec<(usize, At)>> {
        passed.push(from);
        for name in &self.all.get(from)?.extends {
            let Some((next, _)) = self.find(name) else { continue };
            if next == start {
                return Some(vec![(from, name.at)]);
            }
            if !passed.contains(&next)
                && let Some(mut rest) = self.circle(next, start, passed)
            {
                rest.insert(0, (from, name.at));
                return Some(rest);
            }
        }
        None
    }

    /// A table over the templates of these names and those that they extend in turn; true when there are more
    /// than there can be.
    fn under(&self, table: Walk<'t>, names: &[Text]) -> (Walk<'t>, bool) {
        let mut chain = Vec::new();
        self.chain(names, &mut chain);
        let is_cut = chain.len() > MOST;
        let over = |below: Option<Walk<'t>>, index: usize| Some(self.all[index].walk.clone().over(below));
        let below = chain.into_iter().take(MOST).rev().fold(None, over);
        (table.over(below), is_cut)
    }

    /// Uppermost first, at most one too many; a template that is met twice stands where it is met first.
    fn chain(&self, names: &[Text], chain: &mut Vec<usize>) {
        for name in names.iter().rev() {
            let Some((index, template)) = self.find(name) else { continue };
            if chain.len() <= MOST && !chain.contains(&index) {
                chain.push(index);
                self.chain(&template.extends, chain);
            }
        }
    }
}

/// What a table itself extends.
fn extends(walk: &Walk<'_>, report: &mut Report) -> Vec<Text> {
    let names = walk.list("extends", report).unwrap_or_default();
    if names.len() > MOST {
        let message = format!("`extends` names {} templates; at most {MOST}", names.len());
        report.add(Finding::error(walk.key_at("extends"), message));
    }
    names
}
