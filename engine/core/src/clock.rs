//! Time and chance as the engine sees them: values handed in, never read.
//!
//! Invariant: nothing in this crate calls a clock or an operating-system random source, so
//! the same inputs give the same state (I9 of the durability rules).

/// The instant of a turn of the shard. One command, one `EXEC` and one script see one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Wall clock, milliseconds since 1970.
    pub unix_ms: u64,
    /// Wall clock, microseconds since 1970.
    pub unix_us: u64,
    /// Monotonic clock in microseconds; only differences mean something.
    pub mono_us: u64,
}

impl Now {
    /// An instant from the two clocks of a [`moon_storage::io::Runtime`].
    pub fn new(wall_us: i64, mono_us: u64) -> Self {
        let unix_us = u64::try_from(wall_us).unwrap_or(0);
        Now { unix_ms: unix_us / 1000, unix_us, mono_us }
    }
}

/// Seeded generator behind `SPOP`, `RANDOMKEY` and friends (xoshiro256**, Blackman and Vigna 2018).
#[derive(Debug, Clone)]
pub struct Rng([u64; 4]);

impl Rng {
    /// A generator whose whole future follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut z = seed;
        let mut next = || {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = z;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        Rng([next(), next(), next(), next()])
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let out = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A number in `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_sequence_and_range() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        for n in 1..1000 {
            let x = a.below(n);
            assert_eq!(x, b.below(n));
            assert!(x < n);
        }
        assert_ne!(Rng::new(1).next_u64(), Rng::new(2).next_u64());
    }
}
