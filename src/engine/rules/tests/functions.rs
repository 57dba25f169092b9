//! Functions that look back: what they say, and when the rules of the reference turn by them.

use super::*;

/// The transitions of one rule over one instance, seen every `step` seconds.
fn play(rule: Arc<Rule>, instance: Arc<Instance>, step: i64, samples: &[&[(&str, Option<f64>)]]) -> Stage {
    let mut stage = Stage::new(instance, step * SECOND, &[rule]);
    for (i, row) in samples.iter().enumerate() {
        let row: Vec<_> = row.iter().map(|(name, v)| (*name, v.map(Value::Num))).collect();
        stage.see(i as i64 * step, &row);
    }
    stage
}

#[test]
fn a_burnt_budget_is_raised_and_over_when_the_reference_says() {
    let lets = [("enough", "increase(slo.total, 1h) >= 50")];
    let steps = [
        (
            "burn(slo, 6h) > 6 and burn(slo, 30m) > 6 and enough",
            "burn(slo, 30m) < 3",
            0,
            10 * MINUTE,
            WARNING,
        ),
        (
            "burn(slo, 1h) > 14.4 and burn(slo, 5m) > 14.4 and enough",
            "burn(slo, 5m) < 7",
            0,
            5 * MINUTE,
            CRITICAL,
        ),
    ];
    let bad = |i: i64| match i {
        0..240 => 0.0,
        240..360 => 3.0 * (i - 240) as f64,
        _ => 360.0,
    };
    let rows: Vec<_> = (0..600_i64)
        .map(|i| {
            [("slo.total", Some(100.0 * i as f64)), ("slo.bad", Some(bad(i))), ("slo.target", Some(0.999))]
        })
        .collect();
    let rows: Vec<&[_]> = rows.iter().map(|row| &row[..]).collect();
    let shop = Instance::of(Class::Slo, &[("slo", "shop")]);
    let mut stage = play(rule("slo-burn", Class::Slo, &lets, &steps), shop, 60, &rows);
    let why = "burn(slo, 1h) 14.5 > 14.4 and burn(slo, 5m) 30 > 14.4 and increase(slo.total, 1h) 6000 >= 50";
    assert_eq!(stage.events[0].why, why);
    // 4h29m, 6h09m, 6h38m.
    assert_eq!(
        stage.told(),
        ["raise critical 16140<16140", "step warning 22140<21840", "clear warning 23880<23280"]
    );
}

#[test]
fn a_heartbeat_is_missed_after_its_own_period() {
    let steps =
        [("nodata(beat.seen, beat.period + beat.grace)", "age(beat.seen) < beat.period", 0, 0, CRITICAL)];
    let rows: Vec<_> = (0..30)
        .map(|i| {
            let seen = (i < 6 || (20..23).contains(&i)).then_some(1.0);
            [("beat.seen", seen), ("beat.period", Some(1800.0)), ("beat.grace", Some(600.0))]
        })
        .collect();
    let rows: Vec<&[_]> = rows.iter().map(|row| &row[..]).collect();
    let job = Instance::of(Class::Beat, &[("job", "backup-db")]);
    let mut stage = play(rule("missing", Class::Beat, &[], &steps), job, 300, &rows[..23]);
    // 1h05m and 1h40m.
    assert_eq!(stage.told(), ["raise critical 3900<3900", "clear critical 6000<6000"]);
    // By time alone, and with what the job is said to do by then.
    stage.see(6700, &[("beat.period", Some(Value::Num(60.0)))]);
    assert_eq!(stage.rules.poll_timeout(), Some((6600 + 660) * SECOND));
    stage.wait(7260);
    assert_eq!(stage.told(), ["raise critical 7260<7260"]);
}

#[test]
fn a_window_is_as_long_as_an_attribute_says() {
    let steps = [("count(beat.seen, 2 * beat.period) >= 3", "", 0, 0, WARNING)];
    let job = Instance::of(Class::Beat, &[("job", "x")]);
    let mut stage = Stage::new(job, 10 * SECOND, &[rule("r", Class::Beat, &[], &steps)]);
    let period = |s: f64| ("beat.period", Some(Value::Num(s)));
    let seen = ("beat.seen", Some(Value::Num(1.0)));
    // Not known yet: no window, no verdict.
    (0..6).for_each(|i| stage.see(i * 10, std::slice::from_ref(&seen)));
    assert_eq!((stage.told(), stage.state()), (vec![], Health::Unknown));
    stage.see(60, &[period(15.0), seen.clone()]);
    (7..9).for_each(|i| stage.see(i * 10, std::slice::from_ref(&seen)));
    assert_eq!(stage.told(), ["raise warning 80<80"]);
    // Another length starts it anew.
    stage.see(90, &[period(10.0), seen.clone()]);
    stage.see(100, &[seen]);
    assert_eq!(stage.told(), ["clear warning 90<90"]);
}

#[test]
fn what_is_usual_at_this_hour_is_the_median_of_the_days_before() {
    // A nightly job at 02:00 for an hour; on the sixth day it runs at noon as well.
    let raise = "load.avg1 > 2 * baseline(load.avg1, 1d, 4) + 1";
    let rule = rule("odd", Class::Host, &[], &[(raise, "", 0, 0, WARNING)]);
    let mut stage = Stage::new(host(), 300 * SECOND, &[rule]);
    for i in 0..7 * 288_i64 {
        let (day, minute) = (i / 288, i % 288 * 5);
        let busy = (120..180).contains(&minute) || (day == 5 && (720..780).contains(&minute));
        stage.num(i * 300, "load.avg1", if busy { 9.0 } else { 1.0 });
    }
    let noon = 5 * 86400 + 12 * 3600;
    assert_eq!(
        stage.told(),
        [format!("raise warning {noon}<{noon}"), format!("clear warning {0}<{0}", noon + 3600)]
    );
}

#[test]
fn an_outlier_stands_out_and_does_not_bend_the_line() {
    let odd = rule("odd", Class::Host, &[], &[("zscore(load.avg1, 10m) > 8", "", 0, 0, WARNING)]);
    let grows = "deriv(load.avg5, 30m, 'theil-sen') > 1/h and fit(load.avg5, 30m, 'theil-sen') > 90%";
    let bent = "deriv(load.avg5, 30m) > 1/h";
    let (grows, bent) =
        [grows, bent].map(|raise| rule("line", Class::Host, &[], &[(raise, "", 0, 0, WARNING)])).into();
    let mut stages = [odd, grows, bent].map(|rule| Stage::new(host(), 10 * SECOND, &[rule]));
    for i in 0..180_i64 {
        let (noise, out) = (i * 7 % 5, if i % 60 == 50 { 90.0 } else { 0.0 });
        for stage in &mut stages {
            let five = 2.0 + i as f64 / 1000.0 + if i > 170 { 50.0 } else { 0.0 };
            let (one, five) = (Value::Num(noise as f64 + out), Value::Num(five));
            stage.see(i * 10, &[("load.avg1", Some(one)), ("load.avg5", Some(five))]);
        }
    }
    let [mut odd, mut grows, mut bent] = stages;
    assert_eq!(odd.told().len(), 6, "three outliers");
    // 0.36 per hour all along; nine samples at the end bend the line of least squares only.
    assert_eq!(grows.told(), [""; 0]);
    assert_eq!(bent.told().len(), 1);
}

#[test]
fn an_average_that_forgets_follows_and_holds() {
    let raise = "load.avg1 > ewma(load.avg1, 10m) + 2";
    let clear = "load.avg1 <= ewma(load.avg1, 10m) + 2";
    let jump = rule("jump", Class::Host, &[], &[(raise, clear, 0, 0, WARNING)]);
    let mut stage = Stage::new(host(), 10 * SECOND, &[jump]);
    for i in 0..120_i64 {
        stage.num(i * 10, "load.avg1", if i < 60 { 1.0 } else { 5.0 });
    }
    // 4·e^(−t/600 s) falls below 2 after 416 s.
    assert_eq!(stage.told(), ["raise warning 600<600", "clear warning 1010<1010"]);
    // A counter of its own time: told values move it while they are held.
    let raise = "ewma(load.avg1, 10m) >= 4";
    let mut told = Stage::new(host(), 0, &[rule("high", Class::Host, &[], &[(raise, "", 0, 0, WARNING)])]);
    told.num(0, "load.avg1", 0.0);
    told.num(600, "load.avg1", 5.0);
    told.wait(1569);
    assert_eq!(told.told(), [""; 0]);
    // 5·(1 − e^(−t/600 s)) reaches 4 after 966 s; it is looked at every ten.
    told.wait(1570);
    assert_eq!(told.told(), ["raise warning 1570<1570"]);
}

#[test]
fn events_are_counted_for_their_instance_and_on_the_host() {
    let down = rule("down", Class::Check, &[], &[("not check.up", "check.up", 0, 0, CRITICAL)]);
    let flaps = rule("flaps", Class::Check, &[], &[("events('raise/do*', 10m) >= 2", "", 0, 0, WARNING)]);
    let storm = rule("storm", Class::Host, &[], &[("events('raise/down', 10m) >= 3", "", 0, 0, WARNING)]);
    let [a, b] = ["a", "b"].map(|name| Instance::of(Class::Check, &[("check", name)]));
    let mut stage = Stage::new(Arc::clone(&a), 10 * SECOND, &[down, flaps, storm]);
    stage.see(0, &[("check.up", Some(true.into()))]);
    stage.instance = host();
    stage.num(0, "load.avg1", 1.0);
    for (second, check, up) in
        [(10, &a, false), (20, &b, false), (30, &a, true), (40, &a, false), (50, &a, true), (60, &b, true)]
    {
        stage.instance = Arc::clone(check);
        stage.see(second, &[("check.up", Some(up.into()))]);
    }
    stage.wait(1000);
    let story: Vec<_> =
        stage.events.iter().map(|e| (e.rule.id.as_str(), e.instance.name(), e.since.mono / SECOND)).collect();
    let of = |id: &str| story.iter().filter(|e| e.0 == id).map(|e| (e.1, e.2)).collect::<Vec<_>>();
    assert_eq!(of("down").len(), 6);
    // A second after the event; until ten minutes after the one before the last.
    assert_eq!(of("flaps"), [("a", 41), ("a", 610)]);
    assert_eq!(of("storm"), [("host", 41), ("host", 610)]);
}

#[test]
fn rules_that_listen_to_themselves_turn_once_a_second_at_most() {
    let raise = "events('raise/r', 1h) <= events('clear/r', 1h)";
    let clear = "events('raise/r', 1h) > events('clear/r', 1h)";
    let mut stage =
        Stage::new(host(), 10 * SECOND, &[rule("r", Class::Host, &[], &[(raise, clear, 0, 0, WARNING)])]);
    stage.num(0, "load.avg1", 1.0);
    stage.wait(60);
    let turns = stage.told().len();
    assert!((2..=61).contains(&turns), "{turns}");
}
