//! The seeded hash of a key.
//!
//! One idea: two 64-bit words are multiplied to 128 bits and folded; each factor is first mixed with a secret
//! word, so without the seed nobody can choose keys that fold alike. All 64 bits are used: the top
//! ones pick the segment and the bucket (hash order), the lowest byte is the control byte.

/// Secret seed of one table, drawn by the caller. Tables of one shard may share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashSeed(pub u64, pub u64);

const P0: u64 = 0x9e37_79b9_7f4a_7c15;
const P1: u64 = 0xd6e8_feb8_6659_fd93;
const P2: u64 = 0xa076_1d64_78bd_642f;

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let m = u128::from(a) * u128::from(b);
    (m as u64) ^ ((m >> 64) as u64)
}

/// Reads 8 bytes at `at`; the caller's length checks make the bounds check vanish.
#[inline(always)]
fn word(b: &[u8], at: usize) -> u64 {
    match b[at..].first_chunk::<8>() {
        Some(c) => u64::from_le_bytes(*c),
        None => 0,
    }
}

#[inline(always)]
fn half(b: &[u8], at: usize) -> u64 {
    match b[at..].first_chunk::<4>() {
        Some(c) => u64::from(u32::from_le_bytes(*c)),
        None => 0,
    }
}

/// Hash of `key` under `seed`. Folded multiplication as in wyhash and foldhash, with every constant that meets
/// key bytes replaced by a secret one.
#[inline]
#[must_use]
pub fn hash(seed: HashSeed, key: &[u8]) -> u64 {
    let n = key.len();
    let (a, b) = if n <= 16 {
        if n >= 8 {
            (word(key, 0), word(key, n - 8))
        } else if n >= 4 {
            (half(key, 0), half(key, n - 4))
        } else if n > 0 {
            (u64::from(key[0]) | u64::from(key[n / 2]) << 8 | u64::from(key[n - 1]) << 16, 0)
        } else {
            (0, 0)
        }
    } else {
        hash_long(seed, key)
    };
    let mixed = fold(a ^ seed.0, b ^ seed.1 ^ (n as u64).wrapping_mul(P2));
    fold(mixed ^ seed.1.rotate_left(29), P0)
}

/// Folds all but the last 16 bytes and returns two words for the common end.
#[inline]
fn hash_long(seed: HashSeed, key: &[u8]) -> (u64, u64) {
    let n = key.len();
    let (s2, s3) = (seed.0.rotate_left(32) ^ P1, seed.1.rotate_left(17) ^ P0);
    let (mut x, mut y) = (s3, s2);
    let mut rest = key;
    while rest.len() > 32 {
        x = fold(word(rest, 0) ^ x, word(rest, 8) ^ s2);
        y = fold(word(rest, 16) ^ y, word(rest, 24) ^ s3);
        rest = &rest[32..];
    }
    if rest.len() > 16 {
        x = fold(word(rest, 0) ^ x, word(rest, 8) ^ s2);
    }
    (word(key, n - 16) ^ x, word(key, n - 8) ^ y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const SEED: HashSeed = HashSeed(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);

    /// Every length takes another mix of branches: each byte of each length must count, and the length too.
    #[test]
    fn every_byte_and_the_length_count() {
        for n in 0..200usize {
            let key = vec![7u8; n];
            let h = hash(SEED, &key);
            for i in 0..n {
                let mut other = key.clone();
                other[i] ^= 1;
                assert_ne!(h, hash(SEED, &other), "byte {i} of {n}");
            }
            assert_ne!(h, hash(SEED, &vec![7u8; n + 1]));
            assert_ne!(h, hash(HashSeed(SEED.0 ^ 1, SEED.1), &key));
            assert_ne!(h, hash(HashSeed(SEED.0, SEED.1 ^ 1), &key));
        }
    }

    /// Counting keys are what a store sees most. Their top and bottom bits must spread like random ones: for 64
    /// cells and 64000 keys a cell holds 1000 with a standard deviation of 32.
    #[test]
    fn counting_keys_spread_evenly() {
        for (name, shift) in [("top", 58), ("next", 48), ("low", 0)] {
            let mut cells = [0u32; 64];
            for i in 0..64_000 {
                let key = format!("key:{i:012}");
                cells[(hash(SEED, key.as_bytes()) >> shift) as usize & 63] += 1;
            }
            for (i, c) in cells.iter().enumerate() {
                assert!((820..1180).contains(c), "{name} cell {i} holds {c}");
            }
        }
    }

    /// No collision among half a million short keys (expected 7e-9).
    #[test]
    fn no_collisions_among_counting_keys() {
        let mut seen = HashSet::new();
        for i in 0..500_000u32 {
            assert!(seen.insert(hash(SEED, &i.to_be_bytes())));
        }
    }
}
