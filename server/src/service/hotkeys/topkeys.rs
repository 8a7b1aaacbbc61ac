//! The keys with the largest sums, in bounded memory: the Space-Saving sketch (Metwally, Agrawal,
//! El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005), with weights.
//!
//! Invariants: at most `capacity` keys; a key that is not among them has at most the smallest sum that is;
//! a sum is never too small, and too large by at most its `error`.

use std::collections::HashMap;
use std::rc::Rc;

/// Longer keys are not followed: a hundred of them must not take a gigabyte.
const KEY_MAX: usize = 4096;

#[derive(Debug)]
struct Counter {
    key: Rc<[u8]>,
    sum: u64,
    /// What its predecessor in this place had.
    error: u64,
    /// Its place in the heap.
    at: usize,
}

/// The sketch.
#[derive(Debug)]
pub(super) struct TopKeys {
    capacity: usize,
    index: HashMap<Rc<[u8]>, usize>,
    counters: Vec<Counter>,
    /// Counters with the smallest sum on top.
    heap: Vec<usize>,
    /// Weight of all together.
    pub(super) total: u64,
}

impl TopKeys {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, index: HashMap::new(), counters: Vec::new(), heap: Vec::new(), total: 0 }
    }

    /// Adds a weight to a key.
    pub(super) fn add(&mut self, key: &[u8], weight: u64) {
        self.total += weight;
        if key.len() > KEY_MAX {
            return;
        }
        if let Some(&i) = self.index.get(key) {
            self.counters[i].sum += weight;
            self.sink(self.counters[i].at);
            return;
        }
        let key: Rc<[u8]> = Rc::from(key);
        if self.counters.len() < self.capacity {
            let (i, at) = (self.counters.len(), self.heap.len());
            self.index.insert(key.clone(), i);
            self.counters.push(Counter { key, sum: weight, error: 0, at });
            self.heap.push(i);
            self.rise(at);
            return;
        }
        // The newcomer takes the place of the smallest, and may have been there unseen.
        let Some(&i) = self.heap.first() else { return };
        let counter = &mut self.counters[i];
        self.index.remove(&counter.key);
        self.index.insert(key.clone(), i);
        (counter.key, counter.error) = (key, counter.sum);
        counter.sum += weight;
        self.sink(0);
    }

    fn sum(&self, at: usize) -> u64 {
        self.counters[self.heap[at]].sum
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.counters[self.heap[a]].at = a;
        self.counters[self.heap[b]].at = b;
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 && self.sum(at) < self.sum((at - 1) / 2) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let children = (2 * at + 1..=2 * at + 2).filter(|c| *c < self.heap.len());
            let Some(least) = children.min_by_key(|c| self.sum(*c)) else { return };
            if self.sum(least) >= self.sum(at) {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    /// Halves all sums, so that what was long ago counts less than what is now.
    pub(super) fn halve(&mut self) {
        for counter in &mut self.counters {
            counter.sum /= 2;
            counter.error /= 2;
        }
        self.total /= 2;
    }

    /// Up to `n` keys that have certainly been seen, the largest sums first.
    pub(super) fn list(&self, n: usize) -> Vec<(Rc<[u8]>, u64)> {
        let sure = self.counters.iter().filter(|c| c.sum > c.error);
        let mut all: Vec<_> = sure.map(|c| (c.key.clone(), c.sum)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(n);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a generator, so that a failure can be repeated.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *state >> 33
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut top = TopKeys::new(4);
        for (key, weight) in [("a", 1), ("b", 5), ("a", 2), ("c", 4), ("b", 1)] {
            top.add(key.as_bytes(), weight);
        }
        let list: Vec<_> = top.list(2).into_iter().map(|(k, n)| (k.to_vec(), n)).collect();
        assert_eq!(list, [(b"b".to_vec(), 6), (b"c".to_vec(), 4)]);
        assert_eq!(top.total, 13);
        top.add(&[b'x'; KEY_MAX + 1], 100);
        assert_eq!((top.list(9).len(), top.total), (3, 113));
        top.halve();
        assert_eq!(top.list(1)[0].1, 3);
    }

    /// Against exact counts: the bounds of the sketch hold at each step, and hot keys are on top.
    #[test]
    fn sums_are_bounded_and_hot_keys_found() {
        for seed in 1..6 {
            let (mut top, mut exact) = (TopKeys::new(50), HashMap::<u64, u64>::new());
            let mut state = seed;
            for step in 0..20_000u64 {
                let key = match random(&mut state) % 10 {
                    0..4 => random(&mut state) % 10,
                    _ => 10 + random(&mut state) % 3000,
                };
                let weight = 1 + random(&mut state) % 3;
                *exact.entry(key).or_default() += weight;
                top.add(format!("{key}").as_bytes(), weight);
                if step % 997 > 0 {
                    continue;
                }
                let least = top.heap.first().map_or(0, |i| top.counters[*i].sum);
                for counter in &top.counters {
                    let key: u64 = std::str::from_utf8(&counter.key).unwrap().parse().unwrap();
                    let truth = exact[&key];
                    assert!((counter.sum - counter.error..=counter.sum).contains(&truth), "{key}");
                    assert!(counter.sum >= least);
                }
                let sums: u64 = top.counters.iter().map(|c| c.sum).sum();
                assert_eq!(sums, top.total, "no weight is lost");
            }
            let mut found: Vec<String> =
                top.list(10).iter().map(|(k, _)| String::from_utf8(k.to_vec()).unwrap()).collect();
            found.sort();
            assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "seed {seed}");
        }
    }
}
