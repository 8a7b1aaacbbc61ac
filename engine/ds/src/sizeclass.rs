//! The allocator's size classes, so that blocks are asked for in the sizes they will get.
//!
//! jemalloc (quantum 16) serves 8, 16, 32, 48, .. 128 and then four classes per doubling
//! (160, 192, 224, 256, 320, ..), large sizes included. A block whose capacity is a class
//! wastes nothing, can say its capacity in one byte (the class index), and grows by 12-25 %
//! per step, which keeps appends amortised O(1). Accounting that adds up class sizes agrees
//! with what the allocator reports.

/// The largest class index in use: 4 GiB.
pub const CLASS_MAX: u8 = 109;

/// The smallest class that holds `bytes`; class 0 is the empty block.
///
/// # Panics
/// If `bytes` is over 4 GiB: callers bound their sizes well below.
#[inline]
pub const fn class_of(bytes: usize) -> u8 {
    if bytes <= 128 {
        if bytes <= 8 {
            return (bytes > 0) as u8;
        }
        return (bytes.div_ceil(16) + 1) as u8;
    }
    assert!(bytes <= 1 << 32);
    // 2^(log) < bytes <= 2^(log+1), cut in four steps.
    let log = (bytes - 1).ilog2();
    let step = 1usize << (log - 2);
    let quarter = (bytes - (1 << log)).div_ceil(step);
    (9 + (log as usize - 7) * 4 + quarter) as u8
}

/// Bytes of a class.
#[inline]
pub const fn class_size(class: u8) -> usize {
    let class = class as usize;
    if class <= 9 {
        if class <= 1 {
            return class * 8;
        }
        return (class - 1) * 16;
    }
    let above = class - 10;
    let log = 7 + above / 4;
    (1 << log) + (above % 4 + 1) * (1 << (log - 2))
}

/// What the allocator hands out for a request of `bytes`: `class_size(class_of(bytes))`, without the way round
/// over the index and without its bound, for this runs on each change of an entry.
#[inline]
#[must_use]
pub const fn round_up(bytes: usize) -> usize {
    if bytes <= 128 {
        return if bytes <= 8 { if bytes == 0 { 0 } else { 8 } } else { (bytes + 15) & !15 };
    }
    let step = 1usize << ((bytes - 1).ilog2() - 2);
    (bytes + step - 1) & !(step - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_jemalloc() {
        let sizes: Vec<usize> = (0..=25).map(class_size).collect();
        assert_eq!(
            sizes,
            [
                0, 8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512,
                640, 768, 896, 1024, 1280, 1536, 1792, 2048
            ]
        );
        assert_eq!(class_size(CLASS_MAX), 1 << 32);
    }

    #[test]
    fn class_of_is_the_smallest_that_fits() {
        for bytes in 1..70_000usize {
            let class = class_of(bytes);
            assert!(class_size(class) >= bytes, "{bytes}");
            assert!(class_size(class - 1) < bytes, "{bytes}");
            assert_eq!(round_up(bytes), class_size(class), "{bytes}");
        }
        for class in 0..=CLASS_MAX {
            assert_eq!(class_of(class_size(class)), class);
        }
    }
}
