//! `math.random`: the 48-bit generator of POSIX, so that a seed gives the same numbers on every
//! machine and as in Redis (`rand.c` there).

/// State of the generator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drand(u64);

impl Default for Drand {
    fn default() -> Self {
        Drand::seed(0)
    }
}

impl Drand {
    /// Starts anew.
    pub(super) fn seed(seed: i32) -> Self {
        Drand(u64::from(seed as u32) << 16 | 0x330e)
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & 0xffff_ffff_ffff;
        (self.0 >> 17) as u32
    }

    /// A number in `0..1`.
    pub(super) fn unit(&mut self) -> f64 {
        let max = i32::MAX as u32;
        f64::from(self.next() % max) / f64::from(max)
    }
}

#[cfg(test)]
mod tests {
    use super::Drand;

    #[test]
    fn posix_numbers() {
        // lrand48() after srand48(0).
        let mut r = Drand::seed(0);
        assert_eq!([r.next(), r.next(), r.next()], [366_850_414, 1_610_402_240, 206_956_554]);
    }
}
