//! What goes into a row comes out of it, and a spoilt one is found.

use proptest::prelude::*;

use super::*;

fn value() -> impl Strategy<Value = Vec<Option<Value>>> {
    let of = |one: BoxedStrategy<Value>| {
        prop::collection::vec(prop_oneof![9 => one.prop_map(Some), 1 => Just(None)], 1..300)
    };
    prop_oneof![
        of(any::<f64>().prop_map(Value::Num).boxed()),
        of((0_i32..50).prop_map(|i| Value::Num(f64::from(i))).boxed()),
        of(any::<bool>().prop_map(Value::Bool).boxed()),
        of("[a-cü]{0,3}".prop_map(|t| Value::Text(t.into())).boxed()),
    ]
}

fn read_all(stamps: Stamps, mut values: Values) -> Vec<(i64, i64, Option<Value>)> {
    stamps.map_while(|(at, interval, elapsed)| Some((at, interval, values.next(elapsed)?))).collect()
}

fn bits(value: &Option<Value>) -> Option<Result<u64, &Value>> {
    value.as_ref().map(|v| if let Value::Num(n) = v { Ok(n.to_bits()) } else { Err(v) })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        values in value(),
        steps in prop::collection::vec(
            (0_i64..20_000_000_000, prop_oneof![9 => Just(10), 1 => 0_i64..99]),
            300,
        ),
    ) {
        let mut at = 1_790_000_000_000_000_000;
        let stamps: Vec<(i64, i64)> = steps[..values.len()].iter().map(|(step, interval)| {
            at += step;
            (at, *interval)
        }).collect();
        let distances = stamps.windows(2).map(|p| p[1].0 - p[0].0);
        let elapsed: Vec<i64> = std::iter::once(0).chain(distances).collect();
        let (one, two) = (seal(7, &write_stamps(&stamps)), seal(8, &write_values(&values, &elapsed)));
        let read = read_all(
            Stamps::open(unseal(7, one).unwrap()).unwrap(),
            Values::open(unseal(8, two).unwrap()).unwrap(),
        );
        prop_assert_eq!(read.len(), values.len());
        for ((at, interval, value), (stamp, expected)) in read.iter().zip(stamps.iter().zip(&values)) {
            prop_assert_eq!((*at, *interval), *stamp);
            prop_assert_eq!(bits(value), bits(expected));
        }
    }

    #[test]
    fn a_spoilt_row_is_found(values in value(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut row = seal(8, &write_values(&values, &vec![0; values.len()]));
        let at = at.index(row.len());
        row[at] ^= 1_u8 << bit;
        prop_assert!(unseal(8, row.clone()).is_none());
        row[at] ^= 1_u8 << bit;
        prop_assert!(unseal(9, row.clone()).is_none(), "in the wrong place");
        row.truncate(at);
        prop_assert!(unseal(8, row).is_none());
    }

    #[test]
    fn garbage_gives_garbage_and_ends(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let stamps = Stamps::open(Reader::new(bytes.clone(), 0));
        prop_assert!(stamps.map_or(0, Iterator::count) <= SAMPLES);
        if let Some(mut values) = Values::open(Reader::new(bytes, 0)) {
            let read = (0..=SAMPLES).take_while(|_| values.next(3).is_some()).count();
            prop_assert!(read <= SAMPLES);
        }
    }
}

#[test]
fn long_texts_are_cut_and_other_kinds_are_gaps() {
    let long: Value = "ü".repeat(300).as_str().into();
    let values = [Some(long), None, Some(Value::Num(1.0)), Some("b".into())];
    let mut read = Values::open(Reader::new(write_values(&values, &[0; 4]), 0)).unwrap();
    let Some(Some(Value::Text(cut))) = read.next(0) else { panic!("a text") };
    assert_eq!(cut.len(), TEXT);
    assert_eq!([read.next(0), read.next(0), read.next(0)], [Some(None), Some(None), Some(Some("b".into()))]);
    assert_eq!(read.next(0), None);
}
