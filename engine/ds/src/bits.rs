//! Bits of byte strings: counting, searching, fields and set operations.
//!
//! Bit 0 is the most significant bit of byte 0, as in Redis. A byte string is followed by zeros without
//! end; nothing here can fail, whatever the offsets. Loops work on words of 64 bits.

/// Number of bits that are set.
pub fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // Four sums side by side, so that no addition waits for the one before.
    let (blocks, tail) = words.as_chunks::<4>();
    let ones = |word: &[u8; 8]| u64::from(u64::from_ne_bytes(*word).count_ones());
    let mut sums = [0u64; 4];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum += ones(word);
        }
    }
    sums.iter().sum::<u64>()
        + tail.iter().map(ones).sum::<u64>()
        + rest.iter().map(|b| u64::from(b.count_ones())).sum::<u64>()
}

/// Number of bits set among those from `first` to `last`, both included.
pub fn count_range(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (from, to) = (index(first), index(last));
    let Some(part) = bytes.get(from..bytes.len().min(to.saturating_add(1))) else { return 0 };
    let outside =
        |byte: Option<&u8>, mask: u8| byte.map_or(0, |b| u64::from((b & mask).count_ones()));
    let before = outside(bytes.get(from), !(0xff >> (first % 8)));
    let behind = outside(bytes.get(to), (0x7fu16 >> (last % 8)) as u8);
    count(part) - before - behind
}

/// Position of the first bit equal to `bit` among those from `first` to `last`, both included and
/// inside the string.
pub fn find(bytes: &[u8], bit: bool, first: u64, last: u64) -> Option<u64> {
    // Looking for a zero is looking for a one in the inverted bits.
    let flip = if bit { 0 } else { 0xff };
    let (from, to) = (index(first), index(last));
    let part = bytes.get(from..bytes.len().min(to.saturating_add(1)))?;
    let (head, body) = part.split_first()?;
    let head = (head ^ flip) & (0xff >> (first % 8));
    let at = if head != 0 {
        u64::from(head.leading_zeros())
    } else {
        let skip = u64::from_ne_bytes([flip; 8]);
        let words = body.as_chunks::<8>().0;
        let same = words.iter().take_while(|w| u64::from_ne_bytes(**w) == skip).count() * 8;
        let rest = body.get(same..).unwrap_or_default();
        let n = rest.iter().position(|b| *b != flip)?;
        let zeros = rest.get(n).map_or(0, |b| (b ^ flip).leading_zeros());
        ((1 + same + n) * 8) as u64 + u64::from(zeros)
    };
    Some(from as u64 * 8 + at).filter(|found| *found <= last)
}

/// One bit.
#[inline]
pub fn get(bytes: &[u8], offset: u64) -> bool {
    bytes.get(index(offset)).is_some_and(|b| b & mask(offset) != 0)
}

/// Sets one bit, which must lie inside the string, and returns what it was.
#[inline]
pub fn set(bytes: &mut [u8], offset: u64, bit: bool) -> bool {
    let Some(byte) = bytes.get_mut(index(offset)) else { return false };
    let mask = mask(offset);
    let old = *byte & mask != 0;
    *byte = if bit { *byte | mask } else { *byte & !mask };
    old
}

/// The unsigned number in the `width` bits (1 to 64) from `offset` on.
pub fn field(bytes: &[u8], offset: u64, width: u32) -> u64 {
    let (window, shift) = window(bytes, offset, width);
    (window >> shift) as u64 & low(width)
}

/// Writes the lowest `width` bits (1 to 64) of a number from `offset` on. The string must reach that far;
/// bits behind its end are lost.
pub fn set_field(bytes: &mut [u8], offset: u64, width: u32, value: u64) {
    let (window, shift) = window(bytes, offset, width);
    let cleared = window & !(u128::from(low(width)) << shift);
    let window = cleared | u128::from(value & low(width)) << shift;
    let at = index(offset);
    for (byte, new) in bytes.iter_mut().skip(at).zip(window.to_be_bytes()) {
        *byte = new;
    }
}

/// The 16 bytes around a field as a big-endian number, and how far the field lies from its right end.
fn window(bytes: &[u8], offset: u64, width: u32) -> (u128, u32) {
    debug_assert!((1..=64).contains(&width));
    let mut buf = [0u8; 16];
    let from = bytes.get(index(offset)..).unwrap_or_default();
    for (to, byte) in buf.iter_mut().zip(from) {
        *to = *byte;
    }
    (u128::from_be_bytes(buf), 128 - (offset % 8) as u32 - width)
}

fn low(width: u32) -> u64 {
    u64::MAX >> (64 - width)
}

fn index(offset: u64) -> usize {
    usize::try_from(offset / 8).unwrap_or(usize::MAX)
}

fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}

/// What [`combine`] does with its sources: X is the first, Y stands for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Bits set in every source.
    And,
    /// Bits set in any source.
    Or,
    /// Bits set in an odd number of sources.
    Xor,
    /// Bits not set in X.
    Not,
    /// Bits set in X and in no Y.
    Diff,
    /// Bits set in any Y and not in X.
    Diff1,
    /// Bits set in X and in any Y.
    AndOr,
    /// Bits set in exactly one source.
    One,
}

/// Combines byte strings bit by bit; the result is as long as the longest of them.
pub fn combine(op: Op, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|s| s.len()).max().unwrap_or(0);
    let (x, ys) = sources.split_first().map_or((&[] as &[u8], sources), |(x, ys)| (*x, ys));
    let padded = |source: &[u8]| {
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(source);
        bytes.resize(len, 0);
        bytes
    };
    let any_y = || {
        let mut all = padded(&[]);
        ys.iter().for_each(|y| zip(&mut all, y, |a, y| a | y));
        all
    };
    match op {
        Op::And => {
            let mut r = padded(x);
            for y in ys {
                zip(&mut r, y, |r, y| r & y);
                if let Some(behind) = r.get_mut(y.len()..) {
                    behind.fill(0);
                }
            }
            r
        }
        Op::Or => {
            let mut r = padded(x);
            ys.iter().for_each(|y| zip(&mut r, y, |r, y| r | y));
            r
        }
        Op::Xor => {
            let mut r = padded(x);
            ys.iter().for_each(|y| zip(&mut r, y, |r, y| r ^ y));
            r
        }
        Op::Not => x.iter().map(|b| !b).collect(),
        Op::Diff => {
            let mut r = padded(x);
            ys.iter().for_each(|y| zip(&mut r, y, |r, y| r & !y));
            r
        }
        Op::Diff1 => {
            let mut r = any_y();
            zip(&mut r, x, |y, x| y & !x);
            r
        }
        Op::AndOr => {
            let mut r = any_y();
            zip(&mut r, x, |y, x| y & x);
            if let Some(behind) = r.get_mut(x.len()..) {
                behind.fill(0);
            }
            r
        }
        Op::One => {
            let (mut once, mut again) = (padded(x), padded(&[]));
            for y in ys {
                for ((once, again), y) in once.iter_mut().zip(again.iter_mut()).zip(*y) {
                    *again |= *once & y;
                    *once = (*once ^ y) & !*again;
                }
            }
            once
        }
    }
}

/// Changes `target` by `source`, as far as both reach.
fn zip(target: &mut [u8], source: &[u8], f: impl Fn(u8, u8) -> u8) {
    for (t, s) in target.iter_mut().zip(source) {
        *t = f(*t, *s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|b| (0..8).map(move |i| b & (0x80 >> i) != 0)).collect()
    }

    fn mostly(byte: u8) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![6 => Just(byte), 1 => any::<u8>()], 0..60)
    }

    proptest! {
        #[test]
        fn counts_and_finds_like_a_list_of_bits(
            bytes in prop_oneof![mostly(0), mostly(0xff)],
            a in 0u64..500, b in 0u64..500,
        ) {
            let all = bits(&bytes);
            prop_assert_eq!(count(&bytes), all.iter().filter(|b| **b).count() as u64);
            let last = b.min((all.len() as u64).saturating_sub(1));
            if a <= last && !all.is_empty() {
                let part = &all[a as usize..=last as usize];
                let ones = part.iter().filter(|b| **b).count() as u64;
                prop_assert_eq!(count_range(&bytes, a, last), ones);
                for bit in [false, true] {
                    let want = part.iter().position(|b| *b == bit).map(|n| a + n as u64);
                    prop_assert_eq!(find(&bytes, bit, a, last), want);
                }
            }
        }

        #[test]
        fn fields_are_the_bits_they_cover(
            mut bytes in prop::collection::vec(any::<u8>(), 20), at in 0u64..96, width in 1u32..=64,
            value: u64,
        ) {
            let before = bits(&bytes);
            let want = before[at as usize..][..width as usize]
                .iter().fold(0u64, |n, b| n << 1 | u64::from(*b));
            prop_assert_eq!(field(&bytes, at, width), want);
            set_field(&mut bytes, at, width, value);
            prop_assert_eq!(field(&bytes, at, width), value & low(width));
            let (after, end) = (bits(&bytes), at as usize + width as usize);
            prop_assert_eq!(&after[..at as usize], &before[..at as usize]);
            prop_assert_eq!(&after[end..], &before[end..]);
        }

        #[test]
        fn combines_bit_by_bit(
            sources in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5),
        ) {
            let refs: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            for op in [
                Op::And, Op::Or, Op::Xor, Op::Not, Op::Diff, Op::Diff1, Op::AndOr, Op::One,
            ] {
                let sources = if op == Op::Not { &refs[..1] } else { &refs[..] };
                let len = sources.iter().map(|s| s.len()).max().unwrap_or(0);
                let got = combine(op, sources);
                prop_assert_eq!(got.len(), len);
                for at in 0..len as u64 * 8 {
                    let x = get(sources[0], at);
                    let ys = sources[1..].iter().filter(|s| get(s, at)).count();
                    let ones = ys + usize::from(x);
                    let want = match op {
                        Op::And => ones == sources.len(),
                        Op::Or => ones > 0,
                        Op::Xor => ones % 2 == 1,
                        Op::Not => !x,
                        Op::Diff => x && ys == 0,
                        Op::Diff1 => !x && ys > 0,
                        Op::AndOr => x && ys > 0,
                        Op::One => ones == 1,
                    };
                    prop_assert_eq!(get(&got, at), want, "{:?} bit {}", op, at);
                }
            }
        }
    }

    #[test]
    fn single_bits() {
        let mut bytes = vec![0u8; 2];
        assert!(!set(&mut bytes, 9, true));
        assert!(set(&mut bytes, 9, true));
        assert_eq!(bytes, [0, 0x40]);
        assert!(get(&bytes, 9) && !get(&bytes, 8) && !get(&bytes, u64::MAX));
        assert!(!set(&mut bytes, 16, true), "nothing there to set");
    }
}
