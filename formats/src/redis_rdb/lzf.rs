//! LZF, the compression of strings in RDB.
//!
//! A control byte below 32 is followed by that many literals plus one. Any other starts a copy of earlier
//! output: its upper three bits are the length minus two (7: a byte more of length follows), its lower five
//! and the next byte the distance minus one.

/// Longest literal run.
const RUN_MAX: usize = 32;
/// Largest distance.
const DISTANCE_MAX: usize = 1 << 13;
/// Longest copy.
const COPY_MAX: usize = 264;
/// A copy of three bytes makes at most [`COPY_MAX`].
const RATIO_MAX: usize = COPY_MAX / 3;

/// Decompresses to exactly `raw_len` bytes; `None` if the input is damaged or says otherwise. Nothing is
/// allocated beyond what the input can make.
pub(super) fn decompress(packed: &[u8], raw_len: usize) -> Option<Vec<u8>> {
    if packed.len().saturating_mul(RATIO_MAX) < raw_len {
        return None;
    }
    let mut out: Vec<u8> = Vec::with_capacity(raw_len);
    let mut rest = packed;
    while let Some((&control, tail)) = rest.split_first() {
        rest = tail;
        let room = raw_len - out.len();
        let control = usize::from(control);
        if control < 32 {
            let (run, tail) = rest.split_at_checked(control + 1)?;
            if run.len() > room {
                return None;
            }
            out.extend_from_slice(run);
            rest = tail;
            continue;
        }
        let mut len = control >> 5;
        if len == 7 {
            let (&more, tail) = rest.split_first()?;
            len += usize::from(more);
            rest = tail;
        }
        len += 2;
        let (&low, tail) = rest.split_first()?;
        rest = tail;
        let distance = ((control & 31) << 8 | usize::from(low)) + 1;
        let from = out.len().checked_sub(distance)?;
        if len > room {
            return None;
        }
        if distance >= len {
            out.extend_from_within(from..from + len);
        } else {
            // The copy repeats what it has just made.
            for i in from..from + len {
                let byte = *out.get(i)?;
                out.push(byte);
            }
        }
    }
    (out.len() == raw_len).then_some(out)
}

const TABLE_BITS: u32 = 13;

/// Compresses; keeps its table from call to call.
#[derive(Default)]
pub(super) struct Compressor {
    /// Where a group of three bytes was seen last, counted from `base` on: what is below is of an earlier
    /// call, so the table is never cleared.
    table: Vec<u32>,
    base: u32,
}

impl Compressor {
    /// Appends the compressed form if it is at most `max` bytes long; else leaves `out` as it was.
    pub(super) fn compress(&mut self, raw: &[u8], max: usize, out: &mut Vec<u8>) -> bool {
        let Ok(len) = u32::try_from(raw.len()) else { return false };
        if self.table.is_empty() || self.base.checked_add(len).is_none() {
            self.table.clear();
            self.table.resize(1 << TABLE_BITS, 0);
            self.base = 1;
        }
        let start = out.len();
        let fits = self.run(raw, max, out);
        // Saturating: at the very end the next call starts afresh.
        self.base = self.base.saturating_add(len);
        if !fits {
            out.truncate(start);
        }
        fits
    }

    fn run(&mut self, raw: &[u8], max: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let (mut at, mut literals) = (0, 0);
        while at < raw.len() {
            if out.len() - start > max {
                return false;
            }
            let Some(earlier) = self.note(raw, at) else {
                at += 1;
                continue;
            };
            let matching = |(a, b): &(&u8, &u8)| a == b;
            let (ahead, behind) = match (raw.get(at..), raw.get(earlier..)) {
                (Some(ahead), Some(behind)) => (ahead, behind),
                _ => return false,
            };
            let len = ahead.iter().zip(behind).take(COPY_MAX).take_while(matching).count();
            if len < 3 {
                at += 1;
                continue;
            }
            put_literals(out, raw.get(literals..at).unwrap_or_default());
            let distance = at - earlier - 1;
            let coded = len - 2;
            if coded < 7 {
                out.push((coded << 5 | distance >> 8) as u8);
            } else {
                out.push((7 << 5 | distance >> 8) as u8);
                out.push((coded - 7) as u8);
            }
            out.push(distance as u8);
            for inside in at + 1..at + len {
                self.note(raw, inside);
            }
            at += len;
            literals = at;
        }
        put_literals(out, raw.get(literals..).unwrap_or_default());
        out.len() - start <= max
    }

    /// Where the three bytes at `at` stood before, within reach; they are noted to stand here now.
    fn note(&mut self, raw: &[u8], at: usize) -> Option<usize> {
        let group = raw.get(at..)?.first_chunk::<3>()?;
        let [a, b, c] = group.map(u32::from);
        let hash = (a << 16 | b << 8 | c).wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS);
        let slot = self.table.get_mut(hash as usize)?;
        let seen = std::mem::replace(slot, self.base + at as u32);
        let earlier = seen.checked_sub(self.base)? as usize;
        (at - earlier <= DISTANCE_MAX).then_some(earlier)
    }
}

fn put_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(RUN_MAX) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_bytes() {
        // One literal, then a copy of 21 at distance 1, which repeats what it makes.
        assert_eq!(decompress(&[0, b'a', 0xe0, 12, 0], 22).unwrap(), [b'a'; 22]);
        assert!(decompress(&[0, b'a', 0xe0, 12, 1], 22).is_none(), "before the start");
        assert!(decompress(&[0, b'a', 0xe0, 12, 0], 21).is_none());
        assert!(decompress(&[0, b'a', 0xe0, 12, 0], 23).is_none());
        assert!(decompress(&[0, b'a', 0xe0, 12], 22).is_none());
        assert!(decompress(&[5, b'a'], 6).is_none());
        assert!(decompress(&[0, b'a'], usize::MAX).is_none());
    }

    #[test]
    fn what_does_not_shrink_is_left() {
        let raw: Vec<u8> = (0..=255).collect();
        let mut out = vec![9];
        assert!(!Compressor::default().compress(&raw, raw.len() - 4, &mut out));
        assert_eq!(out, [9]);
    }

    proptest! {
        #[test]
        fn comes_back(parts in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..600), 1..4)) {
            let mut compressor = Compressor::default();
            for raw in parts {
                let mut out = Vec::new();
                prop_assert!(compressor.compress(&raw, usize::MAX, &mut out));
                prop_assert_eq!(decompress(&out, raw.len()), Some(raw));
            }
        }

        #[test]
        fn any_bytes_decompress_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..80), len in 0usize..5000) {
            let _ = decompress(&bytes, len);
        }
    }
}
