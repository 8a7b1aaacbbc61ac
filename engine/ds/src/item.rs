//! One element of a packed collection: an integer kept as an integer, or bytes.
//!
//! Clients store byte strings; those that are the canonical decimal form of an `i64` are kept
//! as integers. Canonical means that printing the integer gives back the same bytes, so
//! `"7"` becomes an integer while `"007"`, `"+7"` and `"-0"` stay bytes: an element always reads
//! back byte-identical.

/// An element as stored. `Item::from(bytes)` picks the integer form where it is canonical; two
/// items made that way are equal exactly when their bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Item<'a> {
    /// A canonical decimal `i64`.
    Int(i64),
    /// Any other byte string.
    Bytes(&'a [u8]),
}

/// Room to print an integer item: 20 bytes hold any `i64`.
#[derive(Clone, Copy, Default, Debug)]
pub struct ItemBuf([u8; 20]);

impl ItemBuf {
    /// An empty buffer.
    #[inline]
    pub const fn new() -> ItemBuf {
        ItemBuf([0; 20])
    }

    /// The decimal form of `n`.
    #[inline]
    pub fn format(&mut self, n: i64) -> &[u8] {
        let mut at = 20;
        let mut rest = n.unsigned_abs();
        while rest >= 100 {
            let pair = (rest % 100) as usize * 2;
            rest /= 100;
            at -= 2;
            self.0[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        }
        if rest >= 10 {
            let pair = rest as usize * 2;
            at -= 2;
            self.0[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        } else {
            at -= 1;
            self.0[at] = b'0' + rest as u8;
        }
        if n < 0 {
            at -= 1;
            self.0[at] = b'-';
        }
        &self.0[at..]
    }
}

const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut n = 0;
    while n < 100 {
        pairs[n * 2] = b'0' + (n / 10) as u8;
        pairs[n * 2 + 1] = b'0' + (n % 10) as u8;
        n += 1;
    }
    pairs
};

/// The integer of which `bytes` is the canonical decimal form, if there is one
/// (Redis: `string2ll` in util.c).
#[inline]
pub fn parse_int(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    if digits[0] == b'0' {
        return (digits.len() == 1 && !negative).then_some(0);
    }
    let mut n = 0u64;
    for &d in digits {
        let d = d.wrapping_sub(b'0');
        if d > 9 {
            return None;
        }
        // 19 digits stay below 10^19 < 2^64.
        n = n * 10 + u64::from(d);
    }
    if negative { (n <= 1 << 63).then(|| (n as i64).wrapping_neg()) } else { i64::try_from(n).ok() }
}

impl<'a> Item<'a> {
    /// The element's bytes; an integer is printed into `buf`.
    #[inline]
    pub fn as_bytes<'b>(&self, buf: &'b mut ItemBuf) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Item::Int(n) => buf.format(n),
            Item::Bytes(b) => b,
        }
    }

    /// Length of the element's bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "an element is a string, not a container")]
    pub fn len(&self) -> usize {
        match *self {
            Item::Int(n) => {
                (n < 0) as usize + n.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1
            }
            Item::Bytes(b) => b.len(),
        }
    }

    /// The element's bytes, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes(&mut ItemBuf::new()).to_vec()
    }

    /// Appends the element's bytes.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes(&mut ItemBuf::new()));
    }
}

impl<'a> From<&'a [u8]> for Item<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Item<'a> {
        match parse_int(bytes) {
            Some(n) => Item::Int(n),
            None => Item::Bytes(bytes),
        }
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Item<'a> {
    fn from(bytes: &'a [u8; N]) -> Item<'a> {
        Item::from(bytes.as_slice())
    }
}

impl From<i64> for Item<'_> {
    fn from(n: i64) -> Self {
        Item::Int(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_integers() {
        for n in [0, 7, -1, 99, 100, 4095, -4096, i64::MAX, i64::MIN, 1_000_000_007] {
            let text = n.to_string();
            assert_eq!(Item::from(text.as_bytes()), Item::Int(n));
            assert_eq!(ItemBuf::new().format(n), text.as_bytes());
            assert_eq!(Item::Int(n).len(), text.len());
        }
        for text in [
            "",
            "-",
            "007",
            "+7",
            "-0",
            "00",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "1e3",
            "-9223372036854775809",
            "99999999999999999999",
            "0x10",
        ] {
            assert_eq!(Item::from(text.as_bytes()), Item::Bytes(text.as_bytes()), "{text}");
        }
    }
}
