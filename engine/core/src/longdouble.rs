//! The 80-bit floating point numbers of INCRBYFLOAT and HINCRBYFLOAT, in software.
//!
//! Redis computes these commands in C `long double`, which on x86-64 is the x87 extended
//! format: 64 bits of mantissa, exponents of 15 bits. Results must not depend on the machine,
//! so reading, adding and printing are done here in integers, each rounded once, to nearest
//! and ties to even, as the x87 and glibc do.
//!
//! A finite number is `mant * 2^exp`. Invariant: `mant` has its top bit set, or `exp` is
//! [`EXP_MIN`] (subnormal), or the number is zero.

use std::cmp::Ordering;

/// Longest text that is read, in bytes, less one (Redis `MAX_LONG_DOUBLE_CHARS`).
const TEXT_MAX: usize = 5 * 1024;
/// Decimals printed before trailing zeros are cut.
const DECIMALS: u32 = 17;
/// Exponent of the last bit of subnormal numbers.
const EXP_MIN: i32 = -16445;
/// Exponent of the last bit of the largest numbers.
const EXP_MAX: i32 = 16383 - 63;
/// Decimal exponents beyond which a text surely overflows or vanishes.
const DECIMAL_EXP_LIMIT: i64 = 20_000;

/// A number of the x87 extended format; never NaN.
#[derive(Debug, Clone, Copy)]
pub struct LongDouble {
    negative: bool,
    infinite: bool,
    mant: u64,
    exp: i32,
}

impl LongDouble {
    /// Zero.
    pub const ZERO: LongDouble =
        LongDouble { negative: false, infinite: false, mant: 0, exp: EXP_MIN };
    /// The largest finite number.
    pub const MAX: LongDouble =
        LongDouble { negative: false, infinite: false, mant: u64::MAX, exp: EXP_MAX };

    /// Reads a number as C `strtold` does, the whole text being used: decimal or hexadecimal,
    /// with exponent, or infinity. `None` for anything else, for NaN, for blanks in front and
    /// for numbers too large or too small to be told from infinity or zero
    /// (Redis `string2ld`).
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_MAX {
            return None;
        }
        let (negative, body) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
            return Some(LongDouble { negative, infinite: true, mant: 0, exp: EXP_MIN });
        }
        let unsigned = match body {
            [b'0', b'x' | b'X', digits @ ..] => parse_hex(digits)?,
            _ => parse_decimal(body)?,
        };
        unsigned.is_finite().then_some(LongDouble { negative, ..unsigned })
    }

    /// Whether it is not infinite.
    pub fn is_finite(self) -> bool {
        !self.infinite
    }

    /// Whether it is zero of either sign.
    pub fn is_zero(self) -> bool {
        self.mant == 0 && !self.infinite
    }

    /// The nearest double; infinity beyond its range.
    pub fn to_f64(self) -> f64 {
        // Two steps: the power alone may leave the range of a double where the product does not.
        let half = self.exp / 2;
        let size = match self.infinite {
            true => f64::INFINITY,
            false => self.mant as f64 * 2f64.powi(half) * 2f64.powi(self.exp - half),
        };
        if self.negative { -size } else { size }
    }

    /// The number with the other sign.
    pub fn negated(self) -> Self {
        LongDouble { negative: !self.negative, ..self }
    }

    /// Sum of both, rounded once; `None` where the result is not a number.
    pub fn plus(self, other: Self) -> Option<Self> {
        match (self.infinite, other.infinite) {
            (true, true) if self.negative != other.negative => return None,
            (true, _) => return Some(self),
            (_, true) => return Some(other),
            _ => {}
        }
        if self.is_zero() && other.is_zero() {
            return Some(LongDouble { negative: self.negative && other.negative, ..Self::ZERO });
        }
        let (a, b) = if (self.exp, self.mant) >= (other.exp, other.mant) || other.is_zero() {
            (self, other)
        } else {
            (other, self)
        };
        // 62 bits below the last bit of `a` leave room for the carry on top; what falls off
        // the end of `b` lives on as one sticky bit.
        let wide_a = u128::from(a.mant) << 62;
        let wide_b = shift_right_sticky(u128::from(b.mant) << 62, a.exp.abs_diff(b.exp));
        let (negative, sum) = if a.negative == b.negative {
            (a.negative, wide_a + wide_b)
        } else if wide_a >= wide_b {
            (a.negative, wide_a - wide_b)
        } else {
            (b.negative, wide_b - wide_a)
        };
        if sum == 0 {
            return Some(Self::ZERO);
        }
        Some(LongDouble { negative, ..round(sum, a.exp - 62, false) })
    }

    /// Difference of both, rounded once; `None` where the result is not a number.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated())
    }

    /// The text of C `%.17Lf` without trailing zeros, as Redis stores and sends it.
    pub fn to_text(self) -> String {
        if self.infinite {
            return if self.negative { "-inf" } else { "inf" }.into();
        }
        let mut text = if self.exp >= 0 {
            let mut big = Big::from_u64(self.mant);
            big.shl(self.exp as u32);
            big.to_decimal()
        } else {
            self.fraction_text()
        };
        if self.negative && text != "0" {
            text.insert(0, '-');
        }
        text
    }

    fn fraction_text(self) -> String {
        const SCALE: u128 = 10u128.pow(DECIMALS);
        // Below 2^121, so a shift of 128 or more leaves less than half a unit.
        let scaled = u128::from(self.mant) * SCALE;
        let shift = self.exp.unsigned_abs();
        let units = if shift >= 128 { 0 } else { round_shift(scaled, shift) };
        let (whole, part) = (units / SCALE, units % SCALE);
        if part == 0 {
            return whole.to_string();
        }
        let text = format!("{whole}.{part:017}");
        text.trim_end_matches('0').to_string()
    }
}

impl From<i64> for LongDouble {
    fn from(n: i64) -> Self {
        if n == 0 {
            return Self::ZERO;
        }
        let magnitude = n.unsigned_abs();
        let up = magnitude.leading_zeros();
        LongDouble { negative: n < 0, infinite: false, mant: magnitude << up, exp: -(up as i32) }
    }
}

impl PartialEq for LongDouble {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for LongDouble {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let sign = |x: &Self| match (x.is_zero(), x.negative) {
            (true, _) => 0,
            (_, true) => -1,
            _ => 1,
        };
        let size = |x: &Self| (x.infinite, x.exp, x.mant);
        Some(match sign(self).cmp(&sign(other)) {
            Ordering::Equal if sign(self) < 0 => size(other).cmp(&size(self)),
            Ordering::Equal if sign(self) > 0 => size(self).cmp(&size(other)),
            order => order,
        })
    }
}

/// `wide >> by`, ties to even. `by` is below 128.
fn round_shift(wide: u128, by: u32) -> u128 {
    if by == 0 {
        return wide;
    }
    let kept = wide >> by;
    let rest = wide & ((1 << by) - 1);
    let half = 1u128 << (by - 1);
    kept + u128::from(rest > half || (rest == half && kept & 1 == 1))
}

/// `wide >> by`; the last bit is set if a set bit fell off.
fn shift_right_sticky(wide: u128, by: u32) -> u128 {
    if by == 0 {
        return wide;
    }
    if by >= 128 {
        return u128::from(wide != 0);
    }
    let lost = wide & ((1 << by) - 1) != 0;
    (wide >> by) | u128::from(lost)
}

/// The nearest positive number to `wide * 2^exp`, `sticky` saying that the true value lies a
/// little above; infinity if too large.
fn round(wide: u128, exp: i32, sticky: bool) -> LongDouble {
    // A free bit below keeps the sticky bit apart from the value's own.
    let (wide, exp) = if wide >> 126 == 0 { (wide << 2, exp - 2) } else { (wide, exp) };
    let wide = wide | u128::from(sticky);
    let bits = 128 - wide.leading_zeros() as i32;
    let drop = (bits - 64).max(EXP_MIN - exp);
    let (mut mant, mut exp) = if drop <= 0 {
        let up = (-drop).min(exp - EXP_MIN).max(0);
        (wide << up, exp - up)
    } else if drop >= 128 {
        (0, exp + drop)
    } else {
        (round_shift(wide, drop as u32), exp + drop)
    };
    if mant >> 64 != 0 {
        mant >>= 1;
        exp += 1;
    }
    let infinite = exp > EXP_MAX;
    LongDouble {
        negative: false,
        infinite,
        mant: if infinite { 0 } else { mant as u64 },
        exp: if infinite || mant == 0 { EXP_MIN } else { exp },
    }
}

/// Digits of a number text without its point, the number of them behind the point, the rest.
fn digits(body: &[u8], is_digit: impl Fn(u8) -> bool) -> Option<(Vec<u8>, i64, &[u8])> {
    let mut found = Vec::new();
    let mut point = None;
    let mut at = 0;
    while let Some(&b) = body.get(at) {
        match b {
            b'.' if point.is_none() => point = Some(found.len()),
            _ if is_digit(b) => found.push(b),
            _ => break,
        }
        at += 1;
    }
    if found.is_empty() {
        return None;
    }
    let behind = point.map_or(0, |p| found.len() - p) as i64;
    Some((found, behind, body.get(at..).unwrap_or_default()))
}

/// An exponent after its letter, using all of the text; capped far beyond what matters.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, body) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if body.is_empty() || !body.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = body.iter().fold(0i64, |n, b| (n * 10 + i64::from(b - b'0')).min(1_000_000_000));
    Some(if negative { -size } else { size })
}

fn parse_hex(body: &[u8]) -> Option<LongDouble> {
    let (found, behind, rest) = digits(body, |b| b.is_ascii_hexdigit())?;
    let power = match rest.split_first() {
        None => 0,
        Some((b'p' | b'P', text)) => exponent(text)?,
        Some(_) => return None,
    };
    let mut exp = power - 4 * behind;
    let (mut wide, mut sticky) = (0u128, false);
    for b in found {
        let nibble = (b as char).to_digit(16).map_or(0, u128::from);
        if wide >> 100 == 0 {
            wide = wide << 4 | nibble;
        } else {
            sticky |= nibble != 0;
            exp += 4;
        }
    }
    finish(wide, exp, sticky)
}

/// Rounds what a text spelled; `None` if it is not zero but rounds to zero.
fn finish(wide: u128, exp: i64, sticky: bool) -> Option<LongDouble> {
    if wide == 0 {
        return Some(LongDouble::ZERO);
    }
    let limit = 4 * DECIMAL_EXP_LIMIT;
    let number = round(wide, exp.clamp(-limit, limit) as i32, sticky);
    (number.infinite || !number.is_zero()).then_some(number)
}

fn parse_decimal(body: &[u8]) -> Option<LongDouble> {
    let (found, behind, rest) = digits(body, |b| b.is_ascii_digit())?;
    let power = match rest.split_first() {
        None => 0,
        Some((b'e' | b'E', text)) => exponent(text)?,
        Some(_) => return None,
    };
    let lead = found.iter().take_while(|b| **b == b'0').count();
    let tail = found.iter().rev().take_while(|b| **b == b'0').count();
    let Some(significant) = found.get(lead..found.len() - tail).filter(|s| !s.is_empty()) else {
        return Some(LongDouble::ZERO);
    };
    let exp = power - behind + tail as i64;
    if exp + significant.len() as i64 > DECIMAL_EXP_LIMIT || exp < -DECIMAL_EXP_LIMIT {
        return None;
    }
    let mut top = Big::default();
    for chunk in significant.chunks(9) {
        let value = chunk.iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0'));
        top.mul_add(10u32.pow(chunk.len() as u32), value);
    }
    if exp >= 0 {
        top.mul_pow10(exp as u32);
        let (wide, at, sticky) = top.leading_bits();
        return finish(wide, i64::from(at), sticky);
    }
    let mut bottom = Big::from_u64(1);
    bottom.mul_pow10(exp.unsigned_abs() as u32);
    let (wide, at, sticky) = top.divide(bottom);
    finish(wide, i64::from(at), sticky)
}

/// A natural number of any size, little-endian limbs, no zero limb on top.
#[derive(Debug, Clone, Default)]
struct Big(Vec<u32>);

impl Big {
    fn from_u64(n: u64) -> Self {
        let mut big = Big(vec![n as u32, (n >> 32) as u32]);
        big.trim();
        big
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn bits(&self) -> u32 {
        match self.0.last() {
            None => 0,
            Some(top) => self.0.len() as u32 * 32 - top.leading_zeros(),
        }
    }

    /// `self * by + add`
    fn mul_add(&mut self, by: u32, add: u32) {
        let mut carry = u64::from(add);
        for limb in &mut self.0 {
            let n = u64::from(*limb) * u64::from(by) + carry;
            *limb = n as u32;
            carry = n >> 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    fn mul_pow10(&mut self, mut power: u32) {
        while power >= 9 {
            self.mul_add(1_000_000_000, 0);
            power -= 9;
        }
        self.mul_add(10u32.pow(power), 0);
    }

    fn shl(&mut self, by: u32) {
        if self.0.is_empty() {
            return;
        }
        let (limbs, bits) = ((by / 32) as usize, by % 32);
        if bits != 0 {
            self.mul_add(1 << bits, 0);
        }
        self.0.splice(0..0, std::iter::repeat_n(0, limbs));
    }

    fn cmp(&self, other: &Big) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// `self - other`, which must not be larger.
    fn sub(&mut self, other: &Big) {
        let mut borrow = 0i64;
        for (i, limb) in self.0.iter_mut().enumerate() {
            let n = i64::from(*limb) - i64::from(other.0.get(i).copied().unwrap_or(0)) + borrow;
            *limb = n as u32;
            borrow = n >> 32;
        }
        self.trim();
    }

    /// The top bits (up to 96), the exponent of the last of them, whether there is more below.
    fn leading_bits(&self) -> (u128, i32, bool) {
        let skip = self.0.len().saturating_sub(3);
        let (below, top) = self.0.split_at(skip);
        let wide = top.iter().rev().fold(0u128, |n, limb| n << 32 | u128::from(*limb));
        (wide, skip as i32 * 32, below.iter().any(|limb| *limb != 0))
    }

    /// The top 67 or 68 bits of `self / by`, the exponent of the last of them, whether there is
    /// a remainder.
    fn divide(mut self, mut by: Big) -> (u128, i32, bool) {
        const QUOTIENT_BITS: i32 = 68;
        let lift = QUOTIENT_BITS - 1 + by.bits() as i32 - self.bits() as i32;
        if lift >= 0 {
            self.shl(lift as u32);
        } else {
            by.shl(lift.unsigned_abs());
        }
        // Now self / by is below 2^68. The divisor stands above the dividend at first; instead
        // of moving it down, the remainder moves up.
        by.shl(QUOTIENT_BITS as u32 - 1);
        let mut quotient = 0u128;
        for _ in 0..QUOTIENT_BITS {
            quotient <<= 1;
            if self.cmp(&by) != Ordering::Less {
                self.sub(&by);
                quotient |= 1;
            }
            self.shl(1);
        }
        (quotient, -lift, !self.0.is_empty())
    }

    fn to_decimal(mut self: Big) -> String {
        let mut chunks = Vec::new();
        while !self.0.is_empty() {
            let mut rest = 0u64;
            for limb in self.0.iter_mut().rev() {
                let n = rest << 32 | u64::from(*limb);
                *limb = (n / 1_000_000_000) as u32;
                rest = n % 1_000_000_000;
            }
            self.trim();
            chunks.push(rest);
        }
        let mut text = chunks.pop().map_or_else(|| "0".to_string(), |n| n.to_string());
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:09}"));
        }
        text
    }
}

#[cfg(test)]
#[path = "longdouble_tests.rs"]
mod tests;
