//! What holds of every HyperLogLog, whatever its bytes.

use super::*;
use proptest::prelude::*;

#[test]
fn an_empty_value_counts_nothing() {
    let bytes = empty();
    assert_eq!(encoding(&bytes), Some(Encoding::Sparse));
    assert_eq!((cardinality(&bytes), noted_cardinality(&bytes)), (Ok(0), Some(0)));
    assert!(encoding(&bytes[..15]).is_none() && encoding(b"HYLL").is_none());
}

#[test]
fn cardinalities_are_near() {
    let mut bytes = empty().to_vec();
    for n in 1u64..=50_000 {
        raise(&mut bytes, place(&n.to_le_bytes()), 3000).unwrap();
        if [10, 100, 1000, 10_000, 50_000].contains(&n) {
            let error = cardinality(&bytes).unwrap().abs_diff(n) as f64 / n as f64;
            assert!(error < 0.025, "{n}: {error}");
        }
    }
    assert_eq!(encoding(&bytes), Some(Encoding::Dense));
    assert_eq!(noted_cardinality(&bytes), None);
    note_cardinality(&mut bytes, 5);
    assert_eq!(noted_cardinality(&bytes), Some(5));
}

#[test]
fn runs_that_do_not_add_up_are_corrupt() {
    let with = |runs: &[u8]| [&empty()[..HEADER], runs].concat();
    for runs in [&[][..], &[0x7f], &[0x7f, 0xfe], &[0x7f, 0xff, 0], &[0x7f, 0xff, 0x7f, 0xff]] {
        let bytes = with(runs);
        assert!(!is_whole(&bytes), "{runs:x?}");
        assert_eq!(cardinality(&bytes), Err(Corrupt));
        assert_eq!(make_dense(&mut bytes.clone()), Err(Corrupt));
        assert_eq!(merge(&mut Registers::default(), &bytes), Err(Corrupt));
    }
    assert!(is_whole(&with(&[0x7f, 0xfe, 0])));
}

proptest! {
    #[test]
    fn both_encodings_hold_the_registers_given(
        places in prop::collection::vec(
            (prop_oneof![0..REGISTERS, 0usize..20, 16370..REGISTERS], prop_oneof![1u8..6, 1u8..52]),
            0..200,
        ),
        limit in prop_oneof![0usize..100, Just(3000)],
    ) {
        let mut want = vec![0u8; REGISTERS];
        let mut bytes = empty().to_vec();
        let mut dense = empty().to_vec();
        make_dense(&mut dense).unwrap();
        for (index, value) in places {
            let raised = want[index] < value;
            want[index] = want[index].max(value);
            prop_assert_eq!(raise(&mut bytes, (index, value), limit), Ok(raised));
            prop_assert_eq!(raise(&mut dense, (index, value), limit), Ok(raised));
            prop_assert!(is_whole(&bytes));
        }
        let mut got = Registers::default();
        merge(&mut got, &bytes).unwrap();
        prop_assert!(got.all()[..] == want[..]);
        prop_assert_eq!(got.cardinality(), cardinality(&bytes).unwrap());
        prop_assert_eq!(got.cardinality(), cardinality(&dense).unwrap());
        make_dense(&mut bytes).unwrap();
        prop_assert_eq!(&bytes[HEADER..], &dense[HEADER..]);
    }

    #[test]
    fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..200)) {
        hostile(&data);
    }
}
