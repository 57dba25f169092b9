//! Two rule sets over the same series: what would be raised more, less, earlier, later.
//!
//! Stretches of the same rule, instance and host are paired when they overlap, each at most once, in the
//! order of time.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::replay::{Outcome, Report, Row, row, weeks};
use super::span::Span;
use crate::history::Coarse;

/// How the new rule set differs in one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Raised where the old one was not.
    More,
    /// Not raised where the old one was.
    Less,
    /// Raised before the old one.
    Earlier,
    /// Raised after the old one.
    Later,
    /// Raised at the same time and for longer.
    Longer,
    /// Raised at the same time and not as long.
    Shorter,
    /// The same time with a higher severity.
    Worse,
    /// The same time with a lower severity.
    Milder,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What differs.
    pub kind: Kind,
    /// Host; empty when there is only one.
    pub host: String,
    /// By how much, in seconds: the time between the two, or the length of what is more or less.
    pub seconds: f64,
    /// What the new one does; of `less`, what the old one did.
    pub span: Span,
}

/// A rule before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Before.
    pub old: Row,
    /// After.
    pub new: Row,
}

/// All differences.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Rules that differ, by id.
    pub rules: Vec<Pair>,
    /// All rules together.
    pub all: Pair,
    /// Rules that do the same.
    pub same: usize,
    /// Case by case, in the order of time.
    pub changes: Vec<Change>,
    /// Samples left out because they go back in time.
    pub dropped: u64,
    /// Rows of the history that are damaged.
    pub damaged: u64,
    /// For this time there are steps of five minutes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coarse: Option<Coarse>,
    /// Objects that the new rule set declares and of which the history has nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

impl Comparison {
    /// Says what the series were short of, as the reports of both replays tell it. What was left out was so
    /// in each: it counts once.
    pub fn short_of(mut self, old: &Report, new: &Report) -> Self {
        (self.dropped, self.damaged) = (old.dropped, new.damaged);
        (self.coarse, self.unseen) = (new.coarse, new.unseen.clone());
        self
    }
}

/// Compares what two rule sets did on the same hosts.
pub fn compare(old: &[Outcome], new: &[Outcome]) -> Comparison {
    let weeks = weeks(new);
    let mut changes: Vec<Change> = Vec::new();
    for (old, new) in old.iter().zip(new) {
        let (before, after) = (by_subject(&old.spans), by_subject(&new.spans));
        for subject in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let of = |all: &BTreeMap<_, Vec<Span>>| all.get(subject).cloned().unwrap_or_default();
            pairs(&of(&before), &of(&after), |kind, ns, span| {
                let (host, span) = (new.name.clone(), span.clone());
                changes.push(Change { kind, host, seconds: ns as f64 / 1e9, span });
            });
        }
    }
    changes.sort_by(|a, b| (a.span.from, &a.host, &a.span.rule).cmp(&(b.span.from, &b.host, &b.span.rule)));
    let spans = old.iter().chain(new).flat_map(|o| &o.spans);
    let ids: BTreeSet<&str> = spans.map(|s| s.rule.as_str()).collect();
    let changed: BTreeSet<&str> = changes.iter().map(|c| c.span.rule.as_str()).collect();
    let pair =
        |rule: Option<&str>| Pair { old: row(rule, old, None, weeks), new: row(rule, new, None, weeks) };
    let differs = |p: &Pair| p.old != p.new || changed.contains(p.old.rule.as_str());
    let rules: Vec<Pair> = ids.iter().map(|id| pair(Some(id))).filter(differs).collect();
    let (same, all) = (ids.len() - rules.len(), pair(None));
    Comparison { rules, all, same, changes, dropped: 0, damaged: 0, coarse: None, unseen: Vec::new() }
}

fn by_subject(spans: &[Span]) -> BTreeMap<(&str, &str), Vec<Span>> {
    let mut all: BTreeMap<(&str, &str), Vec<Span>> = BTreeMap::new();
    for span in spans {
        all.entry((&span.rule, &span.instance)).or_default().push(span.clone());
    }
    all
}

/// Pairs stretches that overlap and tells what differs.
fn pairs(old: &[Span], new: &[Span], mut tell: impl FnMut(Kind, i64, &Span)) {
    let mut left = old.iter().peekable();
    for span in new {
        while let Some(gone) = left.next_if(|o| o.to <= span.from) {
            tell(Kind::Less, gone.length(), gone);
        }
        match left.next_if(|o| o.from < span.to || o.from == span.from) {
            None => tell(Kind::More, span.length(), span),
            Some(before) => match span.from.0 - before.from.0 {
                by if by < 0 => tell(Kind::Earlier, -by, span),
                by if by > 0 => tell(Kind::Later, by, span),
                _ if span.severity > before.severity => tell(Kind::Worse, 0, span),
                _ if span.severity < before.severity => tell(Kind::Milder, 0, span),
                _ => match span.to.0 - before.to.0 {
                    by if by > 0 => tell(Kind::Longer, by, span),
                    by if by < 0 => tell(Kind::Shorter, -by, span),
                    _ => {}
                },
            },
        }
    }
    left.for_each(|gone| tell(Kind::Less, gone.length(), gone));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::{SECOND, Stamp};
    use crate::engine::record::Severity;

    fn span(from: i64, to: i64) -> Span {
        let at = |s: i64| Stamp(s * SECOND);
        let (rule, instance, severity) = ("r".into(), "host".into(), Severity::Warning);
        Span { rule, instance, from: at(from), to: at(to), ended: true, severity }
    }

    #[test]
    fn each_difference_has_its_name() {
        for (old, new, expected) in [
            (vec![(1, 5)], vec![(1, 5)], vec![]),
            (vec![], vec![(1, 5)], vec![(Kind::More, 4)]),
            (vec![(1, 5)], vec![], vec![(Kind::Less, 4)]),
            (vec![(3, 9)], vec![(1, 9)], vec![(Kind::Earlier, 2)]),
            (vec![(1, 9)], vec![(3, 5)], vec![(Kind::Later, 2)]),
            (vec![(1, 9)], vec![(1, 12)], vec![(Kind::Longer, 3)]),
            (vec![(1, 9)], vec![(1, 8)], vec![(Kind::Shorter, 1)]),
            (vec![(1, 2), (8, 9)], vec![(4, 5), (8, 9)], vec![(Kind::Less, 1), (Kind::More, 1)]),
            (vec![(1, 20)], vec![(1, 5), (10, 20)], vec![(Kind::Shorter, 15), (Kind::More, 10)]),
        ] {
            let spans = |all: Vec<(i64, i64)>| all.into_iter().map(|(a, b)| span(a, b)).collect::<Vec<_>>();
            let mut found = Vec::new();
            pairs(&spans(old), &spans(new), |kind, ns, _| found.push((kind, ns / SECOND)));
            assert_eq!(found, expected);
        }
    }
}
