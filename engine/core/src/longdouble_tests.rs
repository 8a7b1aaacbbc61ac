//! Tests of the software long double against results of the x87.

use super::LongDouble;
use proptest::prelude::*;

fn sum(a: &str, b: &str) -> String {
    match (LongDouble::parse(a.as_bytes()), LongDouble::parse(b.as_bytes())) {
        (Some(a), Some(b)) => match a.plus(b) {
            Some(v) if v.is_finite() => v.to_text(),
            _ => "inf".into(),
        },
        _ => "bad".into(),
    }
}

/// The right column comes from a C program over x87 `long double` and glibc `%.17Lf`.
#[test]
fn sums_equal_the_x87() {
    for (a, b, want) in [
        ("0.1", "0.2", "0.3"),
        ("10.50", "0.1", "10.6"),
        ("5e3", "1", "5001"),
        ("1e17", "1", "100000000000000001"),
        ("0", "3.14159265358979323846", "3.14159265358979324"),
        ("0", "1e-20", "0"),
        ("1e21", "0", "1000000000000000000000"),
        ("0", "-0", "0"),
        ("-0", "-0", "0"),
        ("-1.5", "1.5", "0"),
        ("0.1", "-0.1", "0"),
        ("9007199254740993", "0.5", "9007199254740993.5"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551615", "0.5", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("18446744073709551616", "3", "18446744073709551620"),
        ("9223372036854775807", "0.25", "9223372036854775807"),
        ("0x10", "0x.8", "16.5"),
        ("0x1.8p1", "1", "4"),
        ("0x1p-16445", "0", "0"),
        ("0", "1.8e-4951", "bad"),
        ("0", "1.9e-4951", "0"),
        ("1e-17", "0", "0.00000000000000001"),
        ("0", "5e-18", "0"),
        ("0", "15e-18", "0.00000000000000002"),
        ("0", "25e-18", "0.00000000000000002"),
        ("3.0e3", "0.000000000000000005", "3000"),
        ("-1e-18", "0", "0"),
        ("1.", ".5", "1.5"),
        ("0x1.fffffffffffffffep16383", "0x1p16319", "inf"),
        ("1.18973149535723176502e+4932", "1e4932", "inf"),
        ("inf", "1", "inf"),
        ("inf", "-inf", "inf"),
        ("nan", "1", "bad"),
        (" 1", "1", "bad"),
        ("1 ", "1", "bad"),
        ("1e", "1", "bad"),
        ("0x", "1", "bad"),
        ("1e4933", "1", "bad"),
        ("-1e99999999999", "1", "bad"),
        ("1e-99999999999", "1", "bad"),
        ("0e99999999999", "1", "1"),
        ("1_0", "1", "bad"),
        ("+5", "-.5e1", "0"),
        ("123456789.123456789123", "0.000000000000000009", "123456789.12345678912242875"),
        ("72057594037927936.5", "0.001953125", "72057594037927936.5"),
        ("4503599627370496.00048828125", "0.00000000000000011", "4503599627370496.00048828125"),
    ] {
        assert_eq!(sum(a, b), want, "{a} + {b}");
    }
}

#[test]
fn the_largest_number() {
    let text = LongDouble::MAX.to_text();
    assert_eq!(text.len(), 4933);
    assert!(text.starts_with("11897314953572317650212638530309702051690633222946242"));
    assert!(text.ends_with("44156604419552086811989770240"));
    assert_eq!(LongDouble::parse(text.as_bytes()), Some(LongDouble::MAX));
    let twice = LongDouble::MAX.plus(LongDouble::MAX);
    assert!(twice.is_some_and(|v| !v.is_finite() && v > LongDouble::MAX));
}

#[test]
fn long_texts_have_a_limit() {
    assert!(LongDouble::parse(&[b'1'; 4900]).is_some());
    assert!(LongDouble::parse("0".repeat(5119).as_bytes()).is_some());
    assert!(LongDouble::parse("0".repeat(5120).as_bytes()).is_none());
    assert!(LongDouble::parse(format!("0.{}1", "0".repeat(5000)).as_bytes()).is_none());
    let exact = format!("0.{}1", "3".repeat(5000));
    assert_eq!(LongDouble::parse(exact.as_bytes()).unwrap().to_text(), "0.33333333333333333");
}

#[test]
fn order() {
    let of = |t: &str| LongDouble::parse(t.as_bytes()).unwrap();
    let up = ["-inf", "-1e4000", "-2", "-1.5", "0", "1e-4940", "1.5", "2", "1e4000", "inf"];
    for (i, a) in up.iter().enumerate() {
        for (j, b) in up.iter().enumerate() {
            assert_eq!(of(a).partial_cmp(&of(b)), Some(i.cmp(&j)), "{a} {b}");
        }
    }
    assert_eq!(of("-0"), of("0"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Integers whose sum fits in 64 bits of mantissa add exactly.
    #[test]
    fn integers_are_exact(a in any::<i64>(), b in any::<i64>()) {
        let got = LongDouble::from(a).plus(LongDouble::from(b)).unwrap().to_text();
        prop_assert_eq!(got, (i128::from(a) + i128::from(b)).to_string());
    }

    #[test]
    fn text_of_integers_reads_back(a in any::<i64>()) {
        prop_assert_eq!(LongDouble::parse(a.to_string().as_bytes()), Some(LongDouble::from(a)));
    }

    /// Below 100 an error of the last bit is too small to print.
    #[test]
    fn short_decimals_survive(n in -1_000_000i64..1_000_000, places in 4usize..10) {
        let scale = 10i64.pow(places as u32);
        let sign = if n < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{:0places$}", n.abs() / scale, n.abs() % scale);
        let want = text.trim_end_matches('0').trim_end_matches('.');
        let want = if want == "-0" { "0" } else { want };
        prop_assert_eq!(LongDouble::parse(text.as_bytes()).unwrap().to_text(), want);
    }

    #[test]
    fn any_bytes_are_safe(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = LongDouble::parse(&text);
    }

    #[test]
    fn any_number_like_text_is_safe(text in "[-+]?[0-9]{0,6}[.]?[0-9]{0,6}([eEpP][-+]?[0-9]{1,6})?") {
        if let Some(v) = LongDouble::parse(text.as_bytes()) {
            prop_assert_eq!(v.minus(v).map(LongDouble::is_zero), Some(true));
        }
    }
}
