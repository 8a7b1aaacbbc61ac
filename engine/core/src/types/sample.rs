//! Picking at random, with random words from the caller.

/// A number below `n`, from one random word.
#[inline]
pub(super) fn below(word: u64, n: usize) -> usize {
    ((u128::from(word) * n as u128) >> 64) as usize
}

/// Passes exactly `n` of the `len` items on, each subset with equal chance, in the order of the items
/// (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
pub(super) fn select<T>(
    items: impl Iterator<Item = T>,
    len: usize,
    n: usize,
    rng: &mut impl FnMut() -> u64,
    mut f: impl FnMut(T),
) {
    let mut want = n.min(len);
    for (i, item) in items.enumerate() {
        if want == 0 {
            return;
        }
        if below(rng(), len - i) < want {
            want -= 1;
            f(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_exactly_n_and_reaches_every_item() {
        let mut state = 1u64;
        let mut rng = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state ^ state >> 31
        };
        let mut hits = [0; 10];
        for _ in 0..2000 {
            let mut n = 0;
            select(0..10, 10, 3, &mut rng, |i: usize| {
                hits[i] += 1;
                n += 1;
            });
            assert_eq!(n, 3);
        }
        assert!(hits.iter().all(|h| (450..750).contains(h)), "{hits:?}");
        let mut all = Vec::new();
        select(0..4, 4, 9, &mut rng, |i: i32| all.push(i));
        assert_eq!(all, [0, 1, 2, 3]);
    }
}
