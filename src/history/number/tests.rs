//! Numbers in, the same bits out; and what a column takes.

use proptest::prelude::*;

use super::*;

fn written(values: &[f64], elapsed: &[i64]) -> Vec<u8> {
    let mut out = Writer::default();
    write(values, elapsed, &mut out);
    out.finish()
}

fn read(bytes: Vec<u8>, elapsed: &[i64]) -> Option<Vec<u64>> {
    let mut bits = Reader::new(bytes, 0);
    let mut column = Column::open(&mut bits, elapsed.len())?;
    elapsed.iter().map(|e| column.next(&mut bits, *e).map(f64::to_bits)).collect()
}

/// Numbers as hosts have them, and as nobody has them.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let n = 1_usize..400;
    let of = |one: BoxedStrategy<f64>| prop::collection::vec(one, n.clone());
    prop_oneof![
        of(any::<f64>().boxed()),
        of(any::<u64>().prop_map(f64::from_bits).boxed()),
        of((0_i64..10_000).prop_map(|i| i as f64 / 100.0).boxed()),
        of((0_u32..3000, 1990_u32..2010).prop_map(|(p, q)| f64::from(p) / f64::from(q)).boxed()),
        of((0_i64..1 << 40).prop_map(|i| (i * 4096) as f64).boxed()),
        of(prop_oneof![20 => Just(1.0), 1 => any::<f64>()].boxed()),
        of(prop_oneof![40 => (0_i64..99).prop_map(|i| i as f64), 1 => Just(-0.0)].boxed()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_very_bits_come_back(values in values(), step in 1_i64..20_000_000_000) {
        let distance = |i: usize| if i == 0 { 0 } else { step + i as i64 * 977 };
        let elapsed: Vec<i64> = (0..values.len()).map(distance).collect();
        let expected: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        prop_assert_eq!(read(written(&values, &elapsed), &elapsed), Some(expected));
    }

    #[test]
    fn rates_come_back(growth in prop::collection::vec(0_i64..1_000_000, 2..300), unit in 0..UNITS.len()) {
        let elapsed: Vec<i64> = (0..growth.len() as i64).map(|i| 10_000_000_000 + i * i * 31).collect();
        let rate = |(g, e): (&i64, &i64)| *g as f64 * UNITS[unit] / (*e as f64 / 1e9);
        let values: Vec<f64> = growth.iter().zip(&elapsed).map(rate).collect();
        let expected: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        prop_assert_eq!(read(written(&values, &elapsed), &elapsed), Some(expected));
    }

    #[test]
    fn garbage_ends(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0_usize..500) {
        read(bytes, &vec![7; n]);
    }
}

#[test]
fn what_a_column_takes() {
    let elapsed: Vec<i64> = (0..360).map(|i| 10_000_000_000 + (i * 7919) % 1_000_003).collect();
    let noise = |i: usize| (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    let each = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..360).map(f).collect() };
    for (name, values, most) in [
        ("constant", each(&|_| 0.25), 9),
        ("ticks", each(&|i| (noise(i) % 200) as f64 / (1998 + noise(i + 7) % 5) as f64), 520),
        ("bytes", each(&|i| (4096 * (1_000_000 + noise(i) % 64)) as f64), 330),
        ("decimals", each(&|i| (noise(i) % 100) as f64 / 100.0), 370),
        ("counter", each(&|i| (17 * i) as f64), 20),
        ("rate", each(&|i| (noise(i) % 1000) as f64 / (elapsed[i] as f64 / 1e9)), 500),
        ("noise", each(&|i| 1.0 + (noise(i) as f64).sqrt()), 2600),
    ] {
        let bytes = written(&values, &elapsed);
        assert!(bytes.len() <= most, "{name}: {} bytes", bytes.len());
        let expected: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        assert_eq!(read(bytes, &elapsed), Some(expected), "{name}");
    }
}
