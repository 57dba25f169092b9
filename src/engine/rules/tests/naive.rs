//! Random conditions over random series, judged by the engine and by a reference that scans the whole history
//! each time.

use proptest::collection::vec;
use proptest::prelude::*;

use super::conditions::*;
use super::*;

const START: i64 = 1_000_000;
const STALE: i64 = 30;

/// All that was ever seen: (second, per signal: absent, "no value", value).
struct Reference<'a> {
    history: &'a [(i64, [Option<Option<f64>>; 3])],
    interval: i64,
}

/// A verdict too near to call in binary fractions ends the comparison of one moment.
#[derive(Debug)]
struct TooNear;

impl Reference<'_> {
    fn words(&self, i: usize) -> impl DoubleEndedIterator<Item = (i64, Option<f64>)> {
        self.history.iter().filter_map(move |(t, row)| row[i].map(|word| (*t, word)))
    }

    fn fresh(&self, i: usize, t: i64) -> Option<f64> {
        let (at, value) = self.words(i).rfind(|(at, _)| *at <= t)?;
        if self.interval > 0 && t - at > STALE { None } else { value }
    }

    /// The samples of an expression, "no value" included, up to `t`.
    fn samples(&self, of: Of, t: i64) -> Vec<(i64, Option<f64>)> {
        let up_to = |all: Vec<(i64, Option<f64>)>| all.into_iter().filter(|(at, _)| *at <= t).collect();
        match of {
            Of::One(i) => up_to(self.words(i).collect()),
            Of::Both => {
                let driven = |row: &[Option<Option<f64>>; 3]| {
                    row[0].is_some() || (self.interval == 0 && row[1].is_some())
                };
                let both = |at: i64| Some(self.fresh(0, at)? + self.fresh(1, at)?);
                let rows = self.history.iter().filter(|(_, row)| driven(row));
                up_to(rows.map(|(at, _)| (*at, both(*at))).collect())
            }
        }
    }

    fn is_inside(&self, at: i64, t: i64, w: i64, exact: i64) -> bool {
        if self.interval > 0 && w > exact * self.interval {
            let bucket = w * SECOND / 60;
            (at * SECOND).div_euclid(bucket) > (t * SECOND).div_euclid(bucket) - 60
        } else {
            at > t - w
        }
    }

    /// Stretches (from, to, value) of a told expression that reach into the window.
    fn stretches(&self, all: &[(i64, Option<f64>)], t: i64, w: i64) -> Vec<(i64, i64, f64)> {
        let ends = all.iter().skip(1).map(|(at, _)| *at).chain([i64::MAX]);
        let held = all.iter().zip(ends).filter_map(|((at, v), end)| v.map(|v| (*at, end, v)));
        held.filter(|(_, end, _)| *end > t - w).map(|(at, end, v)| (at, end.min(t), v)).collect()
    }

    fn num(&self, num: Num, t: i64) -> Option<f64> {
        match num {
            Num::Ref(i) => self.fresh(i, t),
            Num::Age(i) => {
                let (at, _) = self.words(i).rfind(|(at, v)| *at <= t && v.is_some())?;
                Some((t - at) as f64)
            }
            Num::Held(limit) => {
                let all = self.samples(Of::One(0), t);
                all.last()?.1?;
                let run = all.iter().rev().take_while(|(_, v)| v.is_some_and(|v| v > limit));
                Some(run.last().map_or(0.0, |(at, _)| (t - at) as f64))
            }
            Num::Over(over, w) => self.over(over, SPANS[w], t),
            Num::Quantile(q, w) => {
                let mut inside = self.inside(Of::One(0), SPANS[w], t, 360)?;
                inside.sort_by(|a, b| a.1.total_cmp(&b.1));
                let rank = ((q * inside.len() as f64 - 1e-9).ceil() as usize).clamp(1, inside.len().max(1));
                inside.get(rank - 1).map(|(_, v)| *v)
            }
            Num::Eta(limit, w) => {
                let inside = self.inside(Of::One(0), SPANS[w], t, 60)?;
                let (slope, first) = (slope(&inside)?, inside.first()?.1);
                let gap = limit - self.last(Of::One(0), t)?;
                Some(match gap / slope {
                    _ if gap == 0.0 => 0.0,
                    ahead if slope != 0.0 && ahead > 0.0 => ahead,
                    _ if (limit - first) * gap < 0.0 => 0.0,
                    _ => f64::INFINITY,
                })
            }
            Num::Forecast(w) => {
                let inside = self.inside(Of::One(0), SPANS[w], t, 60)?;
                Some(self.last(Of::One(0), t)? + 60.0 * slope(&inside)?)
            }
        }
    }

    fn last(&self, of: Of, t: i64) -> Option<f64> {
        self.samples(of, t).into_iter().rev().find_map(|(_, v)| v)
    }

    /// The samples in the window; `None` when too few are, or nothing is held.
    fn inside(&self, of: Of, w: i64, t: i64, exact: i64) -> Option<Vec<(i64, f64)>> {
        let all = self.samples(of, t);
        let known: Vec<_> = all.iter().filter_map(|(at, v)| v.map(|v| (*at, v))).collect();
        let inside: Vec<_> = known.into_iter().filter(|(at, _)| self.is_inside(*at, t, w, exact)).collect();
        if self.interval == 0 {
            all.last()?.1?;
            return Some(inside);
        }
        let enough = 0.5 * (w as f64 / self.interval as f64).max(1.0);
        (!inside.is_empty() && inside.len() as f64 + 1e-9 >= enough).then_some(inside)
    }

    fn over(&self, over: Over, w: i64, t: i64) -> Option<f64> {
        let of = match over {
            Over::Avg(of)
            | Over::Sum(of)
            | Over::Min(of)
            | Over::Max(of)
            | Over::Delta(of)
            | Over::Deriv(of) => of,
            Over::Count(_) | Over::Frac(_) => Of::One(0),
            Over::Increase | Over::Rate => Of::One(2),
            Over::Changes(i) => Of::One(i),
        };
        let inside = self.inside(of, w, t, 60)?;
        match over {
            Over::Deriv(_) => return slope(&inside),
            Over::Increase | Over::Rate | Over::Changes(_) => {
                let known: Vec<_> =
                    self.samples(of, t).into_iter().filter_map(|(at, v)| Some((at, v?))).collect();
                let steps = known.windows(2).filter(|p| self.is_inside(p[1].0, t, w, 60));
                let growth = |a: f64, b: f64| if b >= a { b - a } else { b };
                return Some(match over {
                    Over::Changes(_) => steps.filter(|p| p[0].1 != p[1].1).count() as f64,
                    Over::Rate => steps.map(|p| growth(p[0].1, p[1].1)).sum::<f64>() / w as f64,
                    _ => steps.map(|p| growth(p[0].1, p[1].1)).sum(),
                });
            }
            _ => {}
        }
        let mapped = |v: f64| match over {
            Over::Count(limit) | Over::Frac(limit) => f64::from(u8::from(v > limit)),
            _ => v,
        };
        let stretches = self.stretches(&self.samples(of, t), t, w);
        let values: Vec<f64> = if self.interval == 0 {
            stretches.iter().map(|s| mapped(s.2)).collect()
        } else {
            inside.iter().map(|s| mapped(s.1)).collect()
        };
        let total: f64 = values.iter().sum();
        Some(match over {
            Over::Sum(_) | Over::Count(_) => total,
            Over::Min(_) => values.iter().copied().fold(f64::INFINITY, f64::min),
            Over::Max(_) => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Over::Delta(_) => self.last(of, t)? - values[0],
            _ if self.interval > 0 => total / values.len() as f64,
            _ => {
                let time = |s: &(i64, i64, f64)| (s.1 - s.0.max(t - w)).max(0) as f64;
                let held: f64 = stretches.iter().map(time).sum();
                let area: f64 = stretches.iter().map(|s| time(s) * mapped(s.2)).sum();
                if held > 0.0 { area / held } else { mapped(self.last(of, t)?) }
            }
        })
    }

    fn cond(&self, cond: &Cond, t: i64) -> Result<Option<bool>, TooNear> {
        Ok(match cond {
            Cond::Compare(num, op, limit) => {
                let limit = match num {
                    Num::Over(Over::Frac(_), _) => (limit / 6.0 * 100.0).round() / 100.0,
                    _ => *limit,
                };
                let Some(value) = self.num(*num, t) else { return Ok(None) };
                let (gap, size) = ((value - limit).abs(), value.abs().max(limit.abs()));
                let cancels = matches!(num, Num::Forecast(_) | Num::Over(Over::Deriv(_), _));
                if cancels && limit == 0.0 && gap < 1e-9 {
                    return Err(TooNear);
                }
                if gap > 1e-12 * size && gap < 1e-6 * size {
                    return Err(TooNear);
                }
                let same = gap <= 1e-9 * size && value.is_finite();
                Some(match *op {
                    ">" => value > limit && !same,
                    ">=" => value > limit || same,
                    "<" => value < limit && !same,
                    "<=" => value < limit || same,
                    "==" => same,
                    _ => !same,
                })
            }
            Cond::Silent(i, d) => match self.words(*i).rfind(|(at, v)| *at <= t && v.is_some()) {
                Some((at, _)) => Some(t - at >= *d),
                None => (t - self.history[0].0 >= *d).then_some(true),
            },
            Cond::Not(a) => self.cond(a, t)?.map(|v| !v),
            Cond::And(a, b) => match (self.cond(a, t)?, self.cond(b, t)?) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Cond::Or(a, b) => match (self.cond(a, t)?, self.cond(b, t)?) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        })
    }
}

fn slope(points: &[(i64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let (t, x) =
        (points.iter().map(|p| p.0 as f64).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let tt: f64 = points.iter().map(|p| (p.0 as f64 - t).powi(2)).sum();
    let tx: f64 = points.iter().map(|p| (p.0 as f64 - t) * (p.1 - x)).sum();
    let xx: f64 = points.iter().map(|p| (p.1 - x).powi(2)).sum();
    (tt > 0.0).then(|| if tx * tx <= 1e-18 * tt * xx { 0.0 } else { tx / tt })
}

fn verdict(rules: &mut Rules, second: i64) -> Option<bool> {
    let (t, mut out) = (Moment::at(second * SECOND), Vec::new());
    rules.handle_timeout(t, &mut out);
    let id = rules.machines.iter().next().unwrap().0;
    rules.judge(id, 0, t, t, &mut out);
    let machine = rules.machines.get(id).unwrap();
    let raise = machine.bound.raise(0);
    rules.sight(machine, t.mono).at(raise).verdict(&raise.program)
}

fn compare(cond: &Cond, beats: &[Beat], interval: i64) {
    let text = cond.text();
    let rule = rule("r", Class::Host, &[], &[(&text, "false", 0, 0, WARNING)]);
    let mut stage = Stage::new(host(), interval * SECOND, &[rule]);
    let (mut history, mut second, mut total) = (Vec::<(i64, [Option<Option<f64>>; 3])>::new(), START, 0_i32);
    for (gap, words, later) in beats {
        // An equal stamp replaces a value by a value.
        second += gap;
        let again = history.last().is_some_and(|(at, _)| *at == second);
        let mut row = words.map(|word| word.map(|value| value.map(f64::from)));
        if again && let Some((_, before)) = history.pop() {
            for (word, before) in row.iter_mut().zip(before) {
                *word = before.map(|value| value.map(|_| word.flatten().unwrap_or(3.0)));
            }
        }
        if let Some(Some(value)) = &mut row[2] {
            // A counter that starts anew now and then.
            total = if *value >= 6.0 { 0 } else { total + *value as i32 };
            *value = f64::from(total);
        }
        let seen: Vec<_> = row
            .iter()
            .zip(NAMES)
            .filter_map(|(word, name)| word.map(|v| (name, v.map(Value::Num))))
            .collect();
        stage.see(second, &seen);
        history.push((second, row));
        let reference = Reference { history: &history, interval };
        for t in [second, second + later] {
            if let Ok(expected) = reference.cond(cond, t) {
                let recent = &history[history.len().saturating_sub(8)..];
                assert_eq!(verdict(&mut stage.rules, t), expected, "{text} at {t} of …{recent:?}");
            }
        }
        second += later;
    }
}

/// Whether the deadlines an engine asks for are enough (windows over polled signals apart: those wait for the
/// next sample as long as the signal is alive): one that is called only when it wants to be must stand, at
/// every whole second, where one stands that judges every second.
fn deadlines(cond: &Cond, beats: &[Beat], interval: i64) {
    let (raise, clear) = (cond.text(), format!("not ({})", cond.text()));
    let make = || rule("r", Class::Host, &[], &[(&raise, &clear, 5 * SECOND, 7 * SECOND, WARNING)]);
    let [mut lazy, mut eager] = [(); 2].map(|()| Stage::new(host(), interval * SECOND, &[make()]));
    let latch = |stage: &Stage| {
        let machine = stage.rules.machines.iter().next();
        machine.map(|(_, m)| m.steps[0].latched.is_some())
    };
    let mut second = START;
    for (gap, words, later) in beats {
        for _ in 0..gap + later {
            second += 1;
            lazy.wait(second);
            eager.wait(second);
            if eager.rules.machines.get(0).is_some() {
                verdict(&mut eager.rules, second);
            }
            assert_eq!(latch(&lazy), latch(&eager), "{raise} at {}", second - START);
        }
        let seen = words
            .iter()
            .zip(NAMES)
            .filter_map(|(word, name)| word.map(|value| (name, value.map(|v| Value::Num(f64::from(v))))));
        let seen: Vec<_> = seen.collect();
        lazy.see(second, &seen);
        eager.see(second, &seen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn polled_signals_as_the_reference_says(cond in cond(num()), beats in vec(beat(), 1..250)) {
        compare(&cond, &beats, 10);
    }

    #[test]
    fn told_signals_as_the_reference_says(cond in cond(num()), beats in vec(beat(), 1..50)) {
        compare(&cond, &beats, 0);
    }

    #[test]
    fn deadlines_of_polled_signals_suffice(cond in cond(plain()), beats in vec(beat(), 1..60)) {
        deadlines(&cond, &beats, 10);
    }

    #[test]
    fn deadlines_of_told_signals_suffice(cond in cond(turning()), beats in vec(beat(), 1..40)) {
        deadlines(&cond, &beats, 0);
    }
}
