//! Windows: polled and told, coverage, buckets, order.

use super::*;

fn polled(keeps: Keeps, span: i64, values: &[f64]) -> Window {
    let mut window = Window::new(keeps, span * SECOND);
    for (i, value) in values.iter().enumerate() {
        window.push(i as i64 * 10 * SECOND, *value, 10 * SECOND);
    }
    window
}

fn read<T>(window: &mut Window, second: i64, f: impl Fn(&Reading<'_>) -> T) -> Option<T> {
    window.advance(second * SECOND);
    window.read(second * SECOND, 0.5).as_ref().map(f)
}

#[test]
fn coverage_decides_whether_a_window_is_known() {
    let mut window = polled(Keeps::Total, 100, &[1.0; 4]);
    assert_eq!(read(&mut window, 30, |r| r.mean()), None);
    window.push(40 * SECOND, 6.0, 10 * SECOND);
    assert_eq!(read(&mut window, 40, |r| r.mean()), Some(2.0));
    assert_eq!(read(&mut window, 99, |r| r.count()), Some(5.0));
    assert_eq!(read(&mut window, 100, |r| r.count()), None);
}

#[test]
fn a_window_is_open_below_and_closed_above() {
    let mut window = polled(Keeps::Extremes, 30, &[9.0, 1.0, 2.0, 3.0]);
    assert_eq!(read(&mut window, 30, |r| (r.min(), r.max(), r.count())), Some((1.0, 3.0, 3.0)));
}

#[test]
fn resets_of_a_counter_are_growth_from_zero() {
    let mut window = polled(Keeps::Growth, 100, &[10.0, 12.0, 3.0, 4.0, 4.0]);
    assert_eq!(read(&mut window, 40, |r| r.sum()), Some(6.0));
    assert_eq!(read(&mut window, 40, |r| r.sum() / r.span()), Some(0.06));
}

#[test]
fn a_large_value_leaves_no_trace() {
    let values: Vec<f64> = (0..200).map(|i| if i == 50 { 1e17 } else { 0.1 }).collect();
    let mut window = polled(Keeps::Total, 100, &values);
    assert!(super::super::cond::program::equal(read(&mut window, 1990, |r| r.mean()).unwrap(), 0.1));
}

#[test]
fn a_line_stays_exact_far_from_its_origin() {
    let mut window = Window::new(Keeps::Line, 600 * SECOND);
    let month = 30 * DAY;
    window.push(0, 0.5, 10 * SECOND);
    for i in 0..60_i64 {
        window.push(month + i * 10 * SECOND, 0.5 + 1e-6 * i as f64, 10 * SECOND);
    }
    let slope = read(&mut window, (month + 590 * SECOND) / SECOND, |r| r.slope()).unwrap();
    assert!((slope - 1e-7).abs() < 1e-13, "{slope}");
}

#[test]
fn rings_are_bounded_whatever_a_door_does() {
    // Says it samples every 10 s, samples every 10 ms.
    let mut window = Window::new(Keeps::Total, 600 * SECOND);
    for i in 0..200_000_i64 {
        window.push(i * SECOND / 100, 1.0, 10 * SECOND);
    }
    let Body::Total(ring) = &window.body else { panic!("no totals") };
    assert!(ring.cells() <= CELLS + SLOTS as usize, "{}", ring.cells());
    assert_eq!(window.read(2000 * SECOND - 1, 0.5).map(|r| r.mean()), Some(1.0));
    // Told a thousand times a second.
    let mut told = Window::new(Keeps::Total, 600 * SECOND);
    for i in 0..2_000_000_i64 {
        told.push(i * SECOND / 1000, (i % 2) as f64, 0);
    }
    let Body::Told(ring) = &told.body else { panic!("not told") };
    assert!(ring.cells() <= CELLS + SLOTS as usize, "{}", ring.cells());
    let mean = told.read(2000 * SECOND, 0.5).unwrap().mean();
    assert!((mean - 0.5).abs() < 1e-3, "{mean}");
}

#[test]
fn no_window_grows_beyond_its_bound() {
    for interval in [0, 10 * SECOND] {
        for keeps in [Keeps::Medians, Keeps::Spread, Keeps::Slots(31), Keeps::Quantiles, Keeps::Events] {
            let mut window = Window::new(keeps, 600 * SECOND);
            for i in 0..400_000_i64 {
                window.push(i * SECOND / 20, (i * 7919 % 1009) as f64, interval);
                window.tally(i * SECOND / 20);
            }
            let most = match &window.body {
                Body::Medians(medians) => medians.cells().into_iter().max() <= Some(128),
                Body::Slots(slots) => slots.cells() <= 60 * 32,
                Body::Quantiles(quantiles) => quantiles.count() <= quantile::EXACT as f64,
                Body::Total(ring) => ring.cells() <= CELLS + SLOTS as usize,
                _ => false,
            };
            assert!(most, "{keeps:?} {interval}");
        }
    }
}

#[test]
fn a_word_with_an_equal_stamp_takes_the_last_one_back() {
    let mut window = polled(Keeps::Growth, 100, &[1.0, 2.0, 4.0, 5.0, 6.0, 7.0]);
    window.stop(50 * SECOND);
    assert_eq!(read(&mut window, 50, |r| (r.count(), r.sum(), r.last())), Some((5.0, 5.0, 6.0)));
    window.push(50 * SECOND, 9.0, 10 * SECOND);
    assert_eq!(read(&mut window, 50, |r| (r.count(), r.sum())), Some((6.0, 8.0)));
    // An unbroken truth is not broken by "no value" that was taken back.
    let mut held = polled(Keeps::Held, 0, &[0.0, 1.0, 1.0]);
    held.stop(30 * SECOND);
    assert_eq!((held.since(), read(&mut held, 30, |r| r.held())), (None, None));
    held.push(30 * SECOND, 1.0, 10 * SECOND);
    assert_eq!(read(&mut held, 40, |r| r.held()), Some(30.0));
    // Nor by a falsehood that was.
    held.push(50 * SECOND, 0.0, 10 * SECOND);
    held.stop(50 * SECOND);
    held.push(50 * SECOND, 1.0, 10 * SECOND);
    assert_eq!(read(&mut held, 50, |r| r.held()), Some(40.0));
    // A told value that was taken back was never held.
    let mut told = Window::new(Keeps::Extremes, 100 * SECOND);
    told.push(0, 1.0, 0);
    told.push(10 * SECOND, 9.0, 0);
    told.stop(10 * SECOND);
    told.push(20 * SECOND, 2.0, 0);
    assert_eq!(read(&mut told, 30, |r| (r.count(), r.max())), Some((2.0, 2.0)));
}

#[test]
fn a_series_that_is_told_from_now_on_starts_anew() {
    let mut window = polled(Keeps::Total, 100, &[5.0; 10]);
    window.push(100 * SECOND, 1.0, 0);
    assert_eq!(read(&mut window, 150, |r| r.mean()), Some(1.0));
    window.push(160 * SECOND, 3.0, 10 * SECOND);
    assert_eq!(window.read(160 * SECOND, 0.1).map(|r| r.mean()), Some(3.0));
}

#[test]
fn a_slot_is_compared_with_the_same_slot_of_each_period() {
    // Slots of 10 s, a sample in each; period k has the value k throughout, but 100 in the second.
    let mut window = Window::new(Keeps::Slots(3), 600 * SECOND);
    for i in 0..240_i64 {
        let value = if i / 60 == 1 { 100.0 } else { (i / 60) as f64 };
        window.push(i * 10 * SECOND, value, 10 * SECOND);
    }
    assert_eq!(read(&mut window, 2390, |r| r.baseline()), Some(2.0));
    // Two of three periods are enough, one is not.
    let young = |seconds: i64| {
        let mut window = Window::new(Keeps::Slots(3), 600 * SECOND);
        (0..=seconds / 10).for_each(|i| window.push(i * 10 * SECOND, 7.0, 10 * SECOND));
        read(&mut window, seconds, |r| r.baseline()).filter(|v| !v.is_nan())
    };
    assert_eq!((young(1190), young(1200)), (None, Some(7.0)));
}

#[test]
fn a_told_mean_weighs_by_time() {
    let mut window = Window::new(Keeps::Total, 100 * SECOND);
    window.push(0, 1.0, 0);
    window.push(30 * SECOND, 0.0, 0);
    assert_eq!(read(&mut window, 100, |r| r.mean()), Some(0.3));
    assert_eq!(read(&mut window, 115, |r| r.mean()), Some(0.15));
    assert_eq!(window.next_change(115 * SECOND), Some(116_666_666_620));
    assert_eq!(read(&mut window, 130, |r| r.mean()), Some(0.0));
    assert_eq!(window.next_change(130 * SECOND), None);
    window.stop(140 * SECOND);
    assert_eq!(read(&mut window, 140, |r| r.mean()), None);
}
