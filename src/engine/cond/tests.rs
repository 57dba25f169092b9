//! The condition language by message, by value and by fuzzing.

use super::*;

mod fuzz;

fn message(source: &str) -> String {
    let lets = [("left".to_owned(), compile_any("eta(fs.used, 100%, 6h)", Class::Fs, &[]).unwrap())];
    let error = compile(source, Class::Fs, &lets).unwrap_err();
    let marked = &source[error.span.clone()];
    let help = error.help.map(|h| format!(" ({h})")).unwrap_or_default();
    format!("[{marked}] {}{help}", error.message)
}

#[test]
fn every_mistake_has_its_message() {
    for (source, text) in [
        ("", "[] the condition is empty (write a comparison such as fs.used > 90%)"),
        ("fs.used > 90", "[90] cannot compare ratio and number: `fs.used` is ratio (write 90%)"),
        ("fs.used > 0.9", "[0.9] cannot compare ratio and number: `fs.used` is ratio (write 90%)"),
        (
            "mem.available < 200",
            "[200] cannot compare bytes and number: `mem.available` is bytes (write 200B, 200MiB or 200GiB)",
        ),
        ("swap.in > 4MiB", "[4MiB] cannot compare bytes/s and bytes: `swap.in` is bytes/s (write 4MiB/s)"),
        (
            "left < 3",
            "[3] cannot compare seconds and number: `eta(fs.used, 100%, 6h)` is seconds (write 3ms, 3s or 3m)",
        ),
        ("fs.usde > 90%", "[fs.usde] no signal or `let` is called `fs.usde` (did you mean `fs.used`?)"),
        ("lefft < 3d", "[lefft] no signal or `let` is called `lefft` (did you mean `left`?)"),
        (
            "fs.used-5 > 90%",
            "[fs.used-5] no signal or `let` is called `fs.used-5` (`-` binds to a name: write `fs.used - 5` with blanks to subtract)",
        ),
        (
            "unit.active",
            "[unit.active] `unit.active` is a signal of unit, this is about fs (write on = \"unit\" in the rule)",
        ),
        (
            "mount == '/'",
            "[mount] `mount` is a label, not a signal (choose instances by match = { mount = [\"…\"] })",
        ),
        ("avg > 3", "[avg] `avg` is a function and needs its arguments"),
        (
            "fs.used",
            "[fs.used] a condition is true or false, `fs.used` is a ratio (compare it: fs.used > 90%)",
        ),
        (
            "fs.readonly and fs.used",
            "[fs.used] a condition is true or false, `fs.used` is a ratio (compare it: fs.used > 90%)",
        ),
        (
            "avg(fs.used, 10) > 90%",
            "[10] the window of `avg` is a duration, `10` is a number (write 10s or 10m)",
        ),
        ("avg(fs.used, host.uptime) > 90%", "[host.uptime] the window of `avg` must be constant (write 10m)"),
        ("avg(fs.used, 500d) > 90%", "[500d] the window of `avg` must be from 1s to 400d"),
        ("avg(fs.used) > 90%", "[avg(fs.used)] `avg` takes 2 arguments, here are 1 (write avg(x, w))"),
        ("avrg(fs.used, 5m) > 90%", "[avrg] no function is called `avrg` (did you mean `avg`?)"),
        (
            "avg(fs.readonly, 5m) > 90%",
            "[fs.readonly] `avg` takes a number, `fs.readonly` is a bool (for the share of time write frac(fs.readonly, 5m))",
        ),
        (
            "rate(cpu.busy, 5m) > 1",
            "[cpu.busy] `rate` needs a counter, `cpu.busy` is a gauge (write deriv(cpu.busy, …))",
        ),
        ("increase(1 + 1, 5m) > 1", "[1 + 1] `increase` takes the name of a counter, not an expression"),
        ("max(avg(fs.used, 1m), 5m) > 1%", "[fs.used] a window cannot stand inside another: `avg` in `max`"),
        ("avg(5%, 5m) > 1%", "[5%] `avg` needs a signal to follow, `5%` is constant"),
        ("p(fs.used, 95, 5m) > 1%", "[95] the quantile of `p` must be a constant ratio (write 95%)"),
        (
            "forecast(fs.used, 6h, 3) > 1%",
            "[3] `ahead` of `forecast` is a duration, here is a number (write 4h)",
        ),
        (
            "eta(fs.used, 100, 6h) < 3d",
            "[100] cannot mix in `eta` ratio and number: `fs.used` is ratio (write 100%)",
        ),
        (
            "eta(fs.used, 100%, 6h, 'theilsen') < 3d",
            "['theilsen'] no method is called 'theilsen' (did you mean `theil-sen`?)",
        ),
        (
            "deriv(fs.used, 6h, 80%) > 1%/h",
            "[80%] the method of `deriv` stands in quotes (write 'theil-sen', or leave it out)",
        ),
        (
            "fit(fs.used) > 90%",
            "[fit(fs.used)] `fit` takes 2 or 3 arguments, here are 1 (write fit(x, w[, method]))",
        ),
        (
            "min(fs.used, 90%) > 1%",
            "[90%] the window of `min` is a duration, `90%` is a ratio (of two values least(a, b) is the smaller, greatest(a, b) the larger)",
        ),
        (
            "least(fs.used) > 1%",
            "[least(fs.used)] `least` takes 2 arguments or more, here are 1 (write least(a, b, …))",
        ),
        (
            "ewma(fs.used, 5) > 1%",
            "[5] the time constant of `ewma` is a duration, `5` is a number (write 5s or 5m)",
        ),
        ("baseline(fs.used, 10s, 7) > 1%", "[10s] the period of `baseline` must be from 1m to 400d"),
        (
            "baseline(fs.used, 1d, 100) > 1%",
            "[100] `baseline` looks back a whole number of periods, 1 to 31 (write 7)",
        ),
        (
            "baseline(fs.used, 1d, 7d) > 1%",
            "[7d] `baseline` looks back a whole number of periods, 1 to 31 (write 7)",
        ),
        ("baseline(fs.used, 30d, 20) > 1%", "[20] `baseline` would look back 600d, at most 400d"),
        (
            "events(fs.used, 1h) > 3",
            "[fs.used] `events` takes a glob in quotes: kind, `/`, id of the rule (write 'raise/disk-*')",
        ),
        (
            "events('disk-*', 1h) > 3",
            "['disk-*'] an event is named by its kind and the id of its rule (write 'raise/disk-*')",
        ),
        (
            "events('rase/disk-*', 1h) > 3",
            "['rase/disk-*'] no kind of event is called `rase` (did you mean `raise`?)",
        ),
        (
            "avg(events('raise/x', 1h), 5m) > 3",
            "['raise/x'] a window cannot stand inside another: `events` in `avg`",
        ),
        (
            "burn(slo, 1h) > 6",
            "[burn(slo, 1h)] `burn` is about slo, this rule is about fs (write on = \"slo\" in the rule)",
        ),
        ("fs.used = 90%", "[=] `=` has no meaning here (write `==` to compare)"),
        ("fs.readonly && true", "[&&] `&&` has no meaning here (write `and`)"),
        ("fs.readonly AND true", "[AND] expected an operator or the end, found `AND` (write `and`)"),
        ("left < 5min", "[min] `min` is not a unit (write 5m)"),
        ("left < 5 %", "[%] `%` has no meaning here (`%` belongs directly behind a number: 90%)"),
        (
            "1% < fs.used < 5%",
            "[<] comparisons cannot be chained (join two comparisons with `and`: 1 < x and x < 5)",
        ),
        ("fs.used > ", "[] a value is missing at the end"),
        ("(fs.used > 1%", "[] `)` is missing at the end"),
        ("fs.used in []", "[fs.used in []] the list behind `in` is empty"),
        (
            "fs.readonly < true",
            "[fs.readonly < true] `<` cannot order bools (only `==`, `!=` and `in` compare these)",
        ),
        ("'a", "['a] this string is not closed (end it with ')"),
        ("fs.avail * fs.size > 1B", "[fs.avail * fs.size] cannot multiply bytes by bytes"),
        ("fs.avail + fs.used > 1B", "[fs.avail + fs.used] cannot add bytes and ratio"),
        ("-fs.readonly > 1", "[fs.readonly] `-` needs a number, `fs.readonly` is a bool"),
        ("1e999 > 1", "[1e999] this number is too large"),
        ("fs.used > 1% ü", "[ü] `ü` has no meaning here"),
    ] {
        assert_eq!(message(source), text, "in {source}");
    }
}

#[test]
fn mistakes_about_objectives_and_beats_have_theirs() {
    for (class, source, text) in [
        (
            Class::Slo,
            "burn(slo.bad, 1h) > 6",
            "[slo.bad] `burn` takes the word `slo`, for the one the rule is judged for (write burn(slo, 1h))",
        ),
        (
            Class::Slo,
            "burn(slo, 1) > 6",
            "[1] the window of `burn` is a duration, `1` is a number (write 1s or 1m)",
        ),
        (
            Class::Slo,
            "burn(slo, 1h) > 6%",
            "[6%] cannot compare number and ratio: `burn(slo, 1h)` is number (write 6)",
        ),
        (
            Class::Slo,
            "avg(burn(slo, 1h), 5m) > 6",
            "[burn(slo, 1h)] a window cannot stand inside another: `burn` in `avg`",
        ),
        (
            Class::Slo,
            "rate(slo.target, 1h) > 6/m",
            "[slo.target] `rate` needs a counter, `slo.target` is a gauge (write deriv(slo.target, …))",
        ),
        (
            Class::Beat,
            "nodata(beat.seen, beat.seen) and true",
            "[beat.seen] the time of `nodata` is a duration, `beat.seen` is a number (write 10m)",
        ),
        (
            Class::Beat,
            "nodata(beat.seen, host.uptime + beat.grace)",
            "[host.uptime + beat.grace] the time of `nodata` must be constant (write 10m)",
        ),
        (
            Class::Log,
            "rate(log.hits, 5m) > 6",
            "[6] cannot compare number/s and number: `rate(log.hits, 5m)` is number/s (write 6/s)",
        ),
    ] {
        let error = compile(source, class, &[]).unwrap_err();
        let help = error.help.map(|h| format!(" ({h})")).unwrap_or_default();
        assert_eq!(format!("[{}] {}{help}", &source[error.span], error.message), text, "in {source}");
    }
}

#[test]
fn what_the_reference_shows_compiles() {
    let left = compile_any("eta(fs.used, 100%, 6h)", Class::Fs, &[]).unwrap();
    assert_eq!(left.ty(), Type::of(Base::Seconds));
    let lets = [("left".to_owned(), left)];
    for (class, source) in [
        (Class::Fs, "fs.used > 85% and left < 3d"),
        (Class::Fs, "fs.used > 95% or (fs.used > 80% and left < 4h)"),
        (Class::Fs, "fs.avail / fs.size < 5% and cpu.busy > 10%"),
        (
            Class::Host,
            "avg(psi.mem.full, 2m) > 10% or (avg(psi.mem.some, 5m) > 30% and mem.available < 5% * mem.total)",
        ),
        (Class::Host, "least(avg(swap.in, 3m), avg(swap.out, 3m)) > 4MiB/s and psi.mem.some > 5%"),
        (Class::Host, "frac(cpu.busy > 90%, 10m) >= 80%"),
        (Class::Host, "load.avg1 / cpu.count > 2"),
        (Class::Host, "load.avg1 > 80% * cpu.count and 2 * cpu.busy > cpu.user * 2"),
        (Class::Host, "swap.in * 1m > 100MiB"),
        (Class::Log, "rate(log.hits, 5m) > 6/m or increase(log.hits, 6h) == 0"),
        (Class::Plugin, "count(plugin.status == 1, 3m) >= 3 or plugin.status in [0, 1]"),
        (Class::Beat, "nodata(beat.seen, beat.period + beat.grace) or age(beat.seen) < beat.period"),
        (Class::Beat, "count(beat.seen, 3 * beat.period) < 2"),
        (Class::Slo, "burn(slo, 6h) > 6 and burn(slo, 30m) > 6 and increase(slo.total, 1h) >= 50"),
        (Class::Net, "net.rx > 3 * baseline(net.rx, 1w, 4) and zscore(net.rx, 1d) > 6"),
        (Class::Fs, "eta(fs.used, 100%, 6h, 'theil-sen') < 3d and fit(fs.used, 6h, 'theil-sen') > 80%"),
        (Class::Fs, "forecast(fs.used, 6h, 1d, 'least-squares') > 100% or deriv(fs.used, 400d) > 1%/h"),
        (
            Class::Host,
            "cpu.busy > 20% + ewma(cpu.busy, 1d) and count(cpu.busy, 5m) > 3 and events('*', 5m) > 1",
        ),
        (Class::Unit, "unit.state == 'failed' or increase(unit.restarts, 10m) >= 3"),
        (Class::Unit, "unit.state not in ['active', 'reloading'] and changes(unit.state, 1h) > 3"),
        (Class::Proc, "proc.count < 1"),
        (Class::Check, "frac(not check.up, 3m) > 60%"),
        (Class::Check, "p(check.latency, 95%, 10m) > 800ms"),
        (Class::Check, "rate(kernel.oom_kills, 5m) > 6/m or nodata(check.up, 2 * 5m)"),
        (
            Class::Check,
            "held(not check.up) > 5m or if(check.up, check.latency, 10s) > coalesce(check.latency, 1s)",
        ),
    ] {
        let cond = compile(source, class, &lets).unwrap_or_else(|e| panic!("{source}: {e:?}"));
        let again = compile(cond.canonical(), class, &[]).unwrap();
        assert_eq!(again.canonical(), cond.canonical(), "the canonical text is a fixed point");
    }
}

#[test]
fn the_canonical_text_ignores_blanks_units_and_names() {
    let lets = [("left".to_owned(), compile_any("eta( fs.used,100% , 360m)", Class::Fs, &[]).unwrap())];
    let named = compile("(fs.used>85%)   and (left<72h)", Class::Fs, &lets).unwrap();
    let plain = compile("fs.used > 85% and eta(fs.used, 100%, 6h) < 3d", Class::Fs, &[]).unwrap();
    assert_eq!(named.canonical(), plain.canonical());
    let brackets =
        compile("(fs.used + 1%) * 2 > 2% - (1% - 3%) and (fs.readonly or fs.hung)", Class::Fs, &[]).unwrap();
    assert_eq!(brackets.canonical(), "(fs.used + 1%) * 2 > 2% - (1% - 3%) and (fs.readonly or fs.hung)");
    assert_eq!(
        brackets.metrics().iter().map(|m| m.name()).collect::<Vec<_>>(),
        ["fs.used", "fs.readonly", "fs.hung"]
    );
}

#[test]
fn a_window_is_shared_within_a_condition() {
    let cond = compile(
        "avg(cpu.busy, 10m) > 90% or frac(cpu.busy > 1%, 10m) > 5% or sum(cpu.busy, 600s) > 3%",
        Class::Host,
        &[],
    );
    assert_eq!(cond.unwrap().windows().len(), 2);
    let all = compile("sum(cpu.busy, 10m) > 1% and count(cpu.busy, 10m) > 3", Class::Host, &[]).unwrap();
    assert_eq!(all.windows().len(), 1);
}

#[test]
fn the_default_clear_has_a_margin_for_one_comparison_only() {
    for (raise, clear) in [
        ("fs.used > 85%", "fs.used <= 80.75%"),
        ("fs.used >= 100%", "fs.used <= 95%"),
        ("fs.used < 98%", "fs.used >= 100%"),
        ("85% < fs.used", "fs.used <= 80.75%"),
        ("mem.available < 5% * mem.total", "mem.available >= (5% * mem.total) + 5% * abs(5% * mem.total)"),
        ("cpu.count < 4", "cpu.count >= 4"),
        ("count(fs.used > 1%, 5m) > 3", "count(fs.used > 1%, 5m) <= 3"),
        ("increase(kernel.oom_kills, 5m) >= 1", "increase(kernel.oom_kills, 5m) < 1"),
        ("count(fs.used, 5m) > 3", "count(fs.used, 5m) <= 3"),
        ("avg(load.avg1, 5m) > 8", "avg(load.avg1, 5m) <= 7.6"),
        ("load.avg1 > -8", "load.avg1 <= -8.4"),
        ("net.up", ""),
        ("swap.in > 0B/s", "swap.in <= 0B/s"),
        ("load.avg1 == 3", "load.avg1 != 3"),
        ("fs.readonly", "not (fs.readonly)"),
        ("fs.used > 85% and fs.readonly", "not (fs.used > 85% and fs.readonly)"),
    ] {
        let Ok(raise) = compile(raise, Class::Fs, &[]) else { continue };
        let derived = default_clear(&raise);
        assert_eq!(derived.source, clear);
        if let Ok(written) = compile(clear, Class::Fs, &[]) {
            assert_eq!(written.ty(), derived.ty());
        }
    }
}

#[test]
fn titles_name_labels_signals_and_lets() {
    let lets = [("left".to_owned(), compile_any("eta(fs.used, 100%, 6h)", Class::Fs, &[]).unwrap())];
    assert_eq!(check_title("{mount} {fs.used} used, full in {left} {{}}", Class::Fs, &lets), Ok(()));
    let error = check_title("on {mont}", Class::Fs, &lets).unwrap_err();
    assert_eq!((error.span, error.help.as_deref()), (3..9, Some("did you mean `mount`?")));
    assert_eq!(check_title("a } b", Class::Fs, &lets).unwrap_err().message, "`}` without `{`");
    assert_eq!(check_title("ü{", Class::Fs, &lets).unwrap_err().span, 2..3);
}

#[test]
fn nothing_exhausts_the_stack_or_the_memory() {
    let deep = |open: &str, close: &str, n: usize| format!("{}1{} > 1", open.repeat(n), close.repeat(n));
    for source in [
        deep("(", ")", 5000),
        deep("-", "", 5000),
        format!("{}true", "not ".repeat(4000)),
        format!("1{} > 0", " + 1".repeat(4000)),
        format!("{}1", "abs(".repeat(4000)),
        "x".repeat(20_000),
    ] {
        assert!(compile(&source, Class::Host, &[]).is_err());
    }
    assert!(compile(&deep("(", ")", 50), Class::Host, &[]).is_ok());
    assert!(compile(&format!("{}true", "true and ".repeat(1500)), Class::Host, &[]).is_ok());
    // Each `let` doubles the one before.
    let mut lets = vec![("a".to_owned(), compile_any("cpu.busy", Class::Host, &[]).unwrap())];
    let error = (0..80).find_map(|i| {
        let (last, _) = lets.last().unwrap();
        match compile_any(&format!("{last} + {last}"), Class::Host, &lets) {
            Ok(cond) => lets.push((format!("a{i}"), cond)),
            Err(error) => return Some(error.message),
        }
        None
    });
    assert_eq!(error.unwrap(), "this has more than 4096 parts once every `let` is put in");
}
