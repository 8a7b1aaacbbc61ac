//! Numbers as text, in Redis' exact forms.
//!
//! * Integers: canonical only, as `string2ll` of Redis `util.c`.
//! * Scores: the shortest digits that read back as the same double, laid out by the rules of
//!   `fpconv_dtoa`; whole numbers up to 2^62 print all their digits. `-0` prints `0`
//!   (redis-surface §4).

/// Longest text of an `i64`.
pub const I64_LEN_MAX: usize = 20;
/// Longest text of a score.
pub const SCORE_LEN_MAX: usize = 32;

static PAIRS: [u8; 200] = {
    let mut t = [0; 200];
    let mut i = 0;
    while i < 100 {
        t[i * 2] = b'0' + (i / 10) as u8;
        t[i * 2 + 1] = b'0' + (i % 10) as u8;
        i += 1;
    }
    t
};

/// Decimal digits of a number in a stack buffer, right-aligned so that a caller can put
/// more bytes in front without a copy.
pub struct Digits {
    buf: [u8; I64_LEN_MAX],
    start: usize,
}

impl Digits {
    /// No digits yet.
    pub const fn new() -> Digits {
        Digits { buf: [0; I64_LEN_MAX], start: I64_LEN_MAX }
    }

    /// Digits of an unsigned number.
    #[inline]
    pub fn of_u64(mut n: u64) -> Digits {
        let mut buf = [0u8; I64_LEN_MAX];
        let mut at = I64_LEN_MAX;
        while n >= 100 {
            let pair = (n % 100) as usize * 2;
            n /= 100;
            at -= 2;
            buf[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        }
        if n >= 10 {
            let pair = n as usize * 2;
            at -= 2;
            buf[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        } else {
            at -= 1;
            buf[at] = b'0' + n as u8;
        }
        Digits { buf, start: at }
    }

    /// Digits of a signed number.
    #[inline]
    pub fn of_i64(n: i64) -> Digits {
        let mut digits = Digits::of_u64(n.unsigned_abs());
        if n < 0 {
            digits.start -= 1;
            digits.buf[digits.start] = b'-';
        }
        digits
    }

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf[self.start..]
    }
}

impl Default for Digits {
    fn default() -> Self {
        Digits::new()
    }
}

/// Appends the decimal form of `n`.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(Digits::of_i64(n).as_bytes());
}

/// Appends the decimal form of `n`.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(Digits::of_u64(n).as_bytes());
}

/// Number of decimal digits of `n`.
#[inline]
pub fn decimal_len(n: u64) -> usize {
    n.checked_ilog10().map_or(1, |d| d as usize + 1)
}

/// Reads a canonical decimal `i64`: no blanks, no `+`, no leading zeros, no `-0`.
/// Exactly what `write_i64` can produce.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (&first, rest) = digits.split_first()?;
    if digits.len() > 19 {
        return None;
    }
    if first == b'0' {
        return (text.len() == 1).then_some(0);
    }
    let d = first.wrapping_sub(b'0');
    if d > 9 {
        return None;
    }
    // 19 digits stay below 10^19, which fits a u64.
    let mut v = u64::from(d);
    for &b in rest {
        let d = b.wrapping_sub(b'0');
        if d > 9 {
            return None;
        }
        v = v * 10 + u64::from(d);
    }
    if negative { (v <= 1 << 63).then(|| (v as i64).wrapping_neg()) } else { i64::try_from(v).ok() }
}

/// Reads a canonical decimal `u64`.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => text.iter().try_fold(0u64, |v, &b| {
            let d = b.wrapping_sub(b'0');
            if d > 9 { None } else { v.checked_mul(10)?.checked_add(u64::from(d)) }
        }),
        _ => None,
    }
}

/// Reads a double as Redis reads scores and float arguments: `strtod` forms without blanks
/// and without hexadecimal, the whole text used, `inf` and `infinity` in any case, overflow
/// to infinity, never NaN.
pub fn parse_score(text: &[u8]) -> Option<f64> {
    // Whole numbers below 2^53 are exact, and most scores are such.
    if text.len() <= 15
        && let Some(n) = parse_i64(text)
    {
        return Some(n as f64);
    }
    let text = std::str::from_utf8(text).ok()?;
    let v: f64 = text.parse().ok()?;
    (!v.is_nan()).then_some(v)
}

/// Appends a double in Redis' score form.
pub fn write_score(out: &mut Vec<u8>, v: f64) {
    out.extend_from_slice(Score::of(v).as_bytes());
}

/// Appends a double as `fpconv_dtoa` of Redis prints it: the shortest digits that read back as the same
/// double. Unlike a score, a large whole number may come with an exponent.
pub fn write_shortest(out: &mut Vec<u8>, v: f64) {
    out.extend_from_slice(Score::shortest(v).as_bytes());
}

/// A formatted score in a stack buffer.
pub(crate) struct Score {
    buf: [u8; SCORE_LEN_MAX],
    len: usize,
}

impl Score {
    fn push(&mut self, bytes: &[u8]) {
        self.buf[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn zeros(&mut self, n: usize) {
        self.buf[self.len..self.len + n].fill(b'0');
        self.len += n;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    pub(crate) fn of(v: f64) -> Score {
        let mut s = Score { buf: [0; SCORE_LEN_MAX], len: 0 };
        // Redis `double2ll`: whole numbers within half the range of i64 print as integers.
        const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;
        if v.abs() <= WHOLE_MAX && v as i64 as f64 == v {
            s.push(Digits::of_i64(v as i64).as_bytes());
            return s;
        }
        Score::shortest(v)
    }

    fn shortest(v: f64) -> Score {
        let mut s = Score { buf: [0; SCORE_LEN_MAX], len: 0 };
        if v.is_nan() {
            s.push(b"nan");
            return s;
        }
        if v.is_sign_negative() {
            s.push(b"-");
        }
        if v == 0.0 {
            s.push(b"0");
            return s;
        }
        if v.is_infinite() {
            s.push(b"inf");
            return s;
        }
        let (digits, n, point) = shortest(v.abs());
        s.lay_out(&digits[..n], point, v < 0.0);
        s
    }

    /// The layout of `emit_digits` in Redis `fpconv_dtoa.c`. The value is
    /// `0.DIGITS * 10^point`.
    fn lay_out(&mut self, digits: &[u8], point: i32, negative: bool) {
        let n = digits.len() as i32;
        let k = point - n; // value = DIGITS * 10^k
        let exp = (point - 1).abs();
        if k >= 0 && exp < n + 7 {
            self.push(digits);
            self.zeros(k as usize);
        } else if k < 0 && (k > -7 || exp < 4) {
            if point <= 0 {
                self.push(b"0.");
                self.zeros(-point as usize);
                self.push(digits);
            } else {
                self.push(&digits[..point as usize]);
                self.push(b".");
                self.push(&digits[point as usize..]);
            }
        } else {
            // Shortest forms have at most 17 digits, so the cap of Redis at 18 (17 with a
            // sign) never bites.
            debug_assert!(digits.len() <= 18 - usize::from(negative));
            self.push(&digits[..1]);
            if n > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if point < 1 { b"e-" } else { b"e+" });
            self.push(Digits::of_u64(u64::from(exp.unsigned_abs())).as_bytes());
        }
    }
}

/// Shortest digits of a finite positive double and the position of the decimal point:
/// `v = 0.D1D2... * 10^point`.
fn shortest(v: f64) -> ([u8; 17], usize, i32) {
    use std::io::Write;
    let mut text = [0u8; 32];
    let mut rest = &mut text[..];
    write!(rest, "{v:e}").expect("a double in scientific form takes at most 24 bytes");
    let len = 32 - rest.len();
    let mut digits = [0u8; 17];
    let mut n = 0;
    let mut at = 0;
    while at < len && text[at] != b'e' {
        if text[at] != b'.' {
            digits[n] = text[at];
            n += 1;
        }
        at += 1;
    }
    let exp = parse_i64(&text[at + 1..len]).expect("the exponent is a canonical integer");
    (digits, n, exp as i32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score(v: f64) -> String {
        let mut out = Vec::new();
        write_score(&mut out, v);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn scores_of_the_surface_page() {
        for (v, text) in [
            (1e17, "100000000000000000"),
            (123456789012345678.0, "123456789012345680"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-7, "1e-7"),
            (0.00001, "0.00001"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (-0.0, "0"),
            (0.0, "0"),
            (3.0, "3"),
            (-3.5, "-3.5"),
            (f64::NAN, "nan"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN, "-1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (4611686018427387904.0, "4611686018427387904"),
            (5e18, "5e+18"),
            (9223372036854775808.0, "9223372036854776000"),
            (0.000001, "0.000001"),
            (0.00012345, "1.2345e-4"),
            (0.001234567, "0.001234567"),
            (0.000012345678, "1.2345678e-5"),
            (1234.5678, "1234.5678"),
        ] {
            assert_eq!(score(v), text, "{v:e}");
        }
    }

    #[test]
    fn integers_are_canonical_only() {
        for bad in [
            "",
            "-",
            "+5",
            " 5",
            "5 ",
            "05",
            "-0",
            "-05",
            "0x1",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "1e3",
            "--1",
            "00",
        ] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad}");
        }
        for good in [0, 1, -1, 10, i64::MAX, i64::MIN, 1_000_000_007] {
            assert_eq!(parse_i64(good.to_string().as_bytes()), Some(good));
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["18446744073709551616", "", "01", "-1", "99999999999999999999999"] {
            assert_eq!(parse_u64(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn float_arguments() {
        for (text, v) in [
            ("5", 5.0),
            ("+5", 5.0),
            ("5.", 5.0),
            (".5", 0.5),
            ("-1.5e3", -1500.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e400", f64::INFINITY),
            ("007", 7.0),
        ] {
            assert_eq!(parse_score(text.as_bytes()), Some(v), "{text}");
        }
        for bad in ["", " 1", "1 ", "0x10", "nan", "NaN", "1e", "e5", ".", "+", "1_0", "\u{661}"] {
            assert_eq!(parse_score(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn every_i64_comes_back(n: i64) {
            let mut out = Vec::new();
            write_i64(&mut out, n);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), n.to_string());
            prop_assert_eq!(parse_i64(&out), Some(n));
        }

        #[test]
        fn every_u64_has_the_announced_length(n: u64, shift in 0u32..64) {
            let n = n >> shift;
            let mut out = Vec::new();
            write_u64(&mut out, n);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), n.to_string());
            prop_assert_eq!(out.len(), decimal_len(n));
            prop_assert_eq!(parse_u64(&out), Some(n));
        }

        #[test]
        fn parse_i64_accepts_only_what_write_i64_makes(text in "[-+0-9 ]{0,21}") {
            let model = text.parse::<i64>().ok().filter(|n| n.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), model);
        }

        #[test]
        fn every_score_reads_back_and_fits(bits: u64) {
            let v = f64::from_bits(bits);
            prop_assume!(!v.is_nan());
            let text = score(v);
            prop_assert!(text.len() <= 25);
            prop_assert_eq!(parse_score(text.as_bytes()), Some(v + 0.0));
        }

        #[test]
        fn short_decimals_print_as_written(whole in 0u32..100_000, frac in 1u32..1000) {
            let text = format!("{whole}.{frac:03}");
            let text = text.trim_end_matches('0');
            prop_assert_eq!(score(text.parse().unwrap()), text);
        }
    }
}
