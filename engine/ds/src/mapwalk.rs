//! An ordered map read as it was at one moment while it goes on changing.
//!
//! One idea: what is about to change is copied first. The walk goes up the keys; a change of a key that it
//! has not reached has the elements from there on (a few: the grain) copied, unless they are already. The
//! walk gives those in place of what the map holds by then. Keys above the last one there was are
//! new, and not looked at.
//!
//! Invariant: outside the copied ranges, the map holds between `after` and `last` exactly what it held when
//! the walk began.

use std::collections::BTreeMap;

use crate::meter::Meter;
use crate::ordmap::OrdMap;

/// Copied elements, from the key they are filed under up to this one.
struct Copied<K, V> {
    end: K,
    items: Vec<(K, V)>,
}

/// A walk over an [`OrdMap`]; see the module page. Whoever changes the map tells it before.
pub struct MapWalk<K, V> {
    /// All keys up to this one have been given.
    after: Option<K>,
    /// Greatest key when the walk began; nothing to give if there was none.
    last: Option<K>,
    copied: BTreeMap<K, Copied<K, V>>,
    grain: usize,
    size: fn(&V) -> usize,
    meter: Meter,
}

impl<K: Copy + Ord, V: Clone> MapWalk<K, V> {
    /// Begins. `grain` elements are copied at once; `size` says what a value owns beyond its own size.
    pub fn new(map: &OrdMap<K, V>, grain: usize, size: fn(&V) -> usize, meter: &Meter) -> Self {
        let last = map.last().map(|(key, _)| key);
        let copied = BTreeMap::new();
        MapWalk { after: None, last, copied, grain, size, meter: meter.clone() }
    }

    /// The element of a key is about to be changed, made or removed.
    pub fn before_change(&mut self, map: &OrdMap<K, V>, key: K) {
        let Some(last) = self.last else { return };
        if key > last || self.after.is_some_and(|after| key <= after) {
            return;
        }
        if self.copied.range(..=key).next_back().is_some_and(|(_, copied)| key <= copied.end) {
            return;
        }
        let next = self.copied.range(key..).next().map(|(start, _)| *start);
        let items: Vec<(K, V)> = map
            .range(Some(key), Some(last))
            .take_while(|(k, _)| next.is_none_or(|next| *k < next))
            .take(self.grain)
            .map(|(k, v)| (k, v.clone()))
            .collect();
        let end = items.last().map_or(key, |(k, _)| *k);
        self.meter.add(self.bytes(&items));
        self.copied.insert(key, Copied { end, items });
    }

    fn bytes(&self, items: &[(K, V)]) -> usize {
        items.iter().map(|(_, v)| size_of::<(K, V)>() + (self.size)(v)).sum()
    }

    /// Gives what comes next to `f`, which answers whether to go on (the elements of one copied range are
    /// given together). False when all has been given.
    pub fn step(&mut self, map: &OrdMap<K, V>, mut f: impl FnMut(K, &V) -> bool) -> bool {
        let Some(last) = self.last else { return false };
        let mut go_on = true;
        while go_on {
            let next = self.copied.first_key_value().map(|(start, _)| *start);
            for (key, value) in map.range(self.after, Some(last)) {
                if self.after.is_some_and(|after| key <= after) {
                    continue;
                }
                if next.is_some_and(|next| key >= next) {
                    break;
                }
                go_on = f(key, value);
                self.after = Some(key);
                if !go_on {
                    return true;
                }
            }
            let Some((_, copied)) = self.copied.pop_first() else {
                self.last = None;
                return false;
            };
            self.meter.sub(self.bytes(&copied.items));
            for (key, value) in &copied.items {
                go_on &= f(*key, value);
            }
            self.after = Some(copied.end);
        }
        true
    }
}

impl<K, V> Drop for MapWalk<K, V> {
    fn drop(&mut self) {
        let items = self.copied.values().flat_map(|copied| &copied.items);
        self.meter.sub(items.map(|(_, v)| size_of::<(K, V)>() + (self.size)(v)).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A map that changes between the steps of a walk; the walk gives what it held at the start.
        #[test]
        fn it_gives_the_moment(
            start in prop::collection::btree_map(0u32..200, 0u32..100, 0..150),
            changes in prop::collection::vec((0u32..300, any::<bool>(), 0usize..8), 0..200),
            grain in 1usize..6,
        ) {
            let mut map = OrdMap::new();
            start.iter().for_each(|(k, v)| _ = map.insert(*k, *v));
            let meter = Meter::default();
            let mut walk = MapWalk::new(&map, grain, |_| 0, &meter);
            let mut seen = Vec::new();
            for (key, insert, steps) in changes {
                walk.before_change(&map, key);
                if insert {
                    map.insert(key, 1000 + key);
                } else {
                    map.remove(&key);
                }
                let mut left = steps;
                if left > 0 {
                    walk.step(&map, |k, v| {
                        seen.push((k, *v));
                        left = left.saturating_sub(1);
                        left > 0
                    });
                }
            }
            while walk.step(&map, |k, v| {
                seen.push((k, *v));
                true
            }) {}
            prop_assert_eq!(seen, start.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(meter.bytes(), 0);
        }
    }
}
