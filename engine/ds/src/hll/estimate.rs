//! From registers to a number: O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
//! arXiv:1702.01284, as Redis applies it. Only how often each register value occurs matters.

use super::{REGISTERS, RUN_BITS};

/// 1 / (2 ln 2).
const ALPHA_INF: f64 = 0.721_347_520_444_481_7;
/// Most that a register can hold, if its value comes from an element.
const MAX: usize = RUN_BITS as usize + 1;

/// How often each register value occurs. Values come from 6 bits, some of which no element makes.
pub(super) struct Histogram([u32; 64]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram([0; 64])
    }
}

impl Histogram {
    #[inline]
    pub(super) fn add(&mut self, value: u8, times: usize) {
        self.0[usize::from(value & 0x3f)] += times as u32;
    }

    pub(super) fn cardinality(&self) -> u64 {
        let m = REGISTERS as f64;
        let times = |value: usize| f64::from(self.0[value]);
        let mut z = m * tau((m - times(MAX)) / m);
        for value in (1..MAX).rev() {
            z = (z + times(value)) * 0.5;
        }
        z += m * sigma(times(0) / m);
        (ALPHA_INF * m * m / z).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
