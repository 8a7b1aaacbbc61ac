//! Intersection, difference and union of several sets.
//!
//! Nothing is copied while few sets are concerned: members of one set are tried against the others
//! and handed on. Where many sets would have to be asked about each member, those are merged first, so
//! that the work stays in proportion to the number of members. A missing key is an empty set: leave
//! it out of `others`, or, for an intersection, do not call at all.

use std::cmp::Reverse;

use super::Set;
use crate::types::{Item, ItemBuf, Limits};

/// Up to this many sets are asked one after another about a member.
const ASKED_MAX: usize = 3;

/// Hands each member that is in all sets to `f` until that answers false (SINTER, SINTERCARD LIMIT).
pub fn intersection(sets: &[&Set], mut f: impl FnMut(Item<'_>) -> bool) {
    // The smallest set is walked; the smaller a set the sooner it rules a member out.
    let mut sets = sets.to_vec();
    sets.sort_by_key(|s| s.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    for member in smallest.iter() {
        if others.iter().all(|s| s.contains_item(member)) && !f(member) {
            return;
        }
    }
}

/// Hands each member of `first` that is in none of the others to `f` until that answers false
/// (SDIFF, SDIFFCARD LIMIT).
pub fn difference(
    first: &Set,
    others: &[&Set],
    limits: &Limits,
    mut f: impl FnMut(Item<'_>) -> bool,
) {
    let mut others = others.to_vec();
    let merged;
    let asking = first.len().saturating_mul(others.len());
    if others.len() > ASKED_MAX && asking > others.iter().map(|s| s.len()).sum() {
        merged = union(&others, limits);
        others = vec![&merged];
    }
    // The larger a set the more likely it rules a member out.
    others.sort_by_key(|s| Reverse(s.len()));
    for member in first.iter() {
        if !others.iter().any(|s| s.contains_item(member)) && !f(member) {
            return;
        }
    }
}

/// Hands each member that is in any set to `f`, once, until that answers false (SUNION, SUNIONCARD LIMIT).
pub fn union_each(sets: &[&Set], limits: &Limits, mut f: impl FnMut(Item<'_>) -> bool) {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|s| Reverse(s.len()));
    if sets.len() <= ASKED_MAX {
        for (i, set) in sets.iter().enumerate() {
            for member in set.iter() {
                if !sets[..i].iter().any(|s| s.contains_item(member)) && !f(member) {
                    return;
                }
            }
        }
        return;
    }
    let (mut seen, mut buf) = (Set::new(), ItemBuf::new());
    for member in sets.iter().flat_map(|s| s.iter()) {
        if seen.add(member.as_bytes(&mut buf), limits) && !f(member) {
            return;
        }
    }
}

/// The members that are in any set (SUNIONSTORE).
pub fn union(sets: &[&Set], limits: &Limits) -> Set {
    let mut out = Set::new();
    let mut buf = ItemBuf::new();
    for set in sets {
        for member in set.iter() {
            out.add(member.as_bytes(&mut buf), limits);
        }
    }
    out
}
