//! Intersection, difference and union of several sets.
//!
//! Nothing is copied to compute an intersection or a difference: members of one set are tried
//! against the others and handed on. A missing key is an empty set: leave it out of `others`, or, for an
//! intersection, do not call at all.

use super::Set;
use crate::types::{Item, ItemBuf, Limits};

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

/// Hands each member of `first` that is in none of the others to `f` (SDIFF).
pub fn difference(first: &Set, others: &[&Set], mut f: impl FnMut(Item<'_>)) {
    // The larger a set the more likely it rules a member out.
    let mut others = others.to_vec();
    others.sort_by_key(|s| std::cmp::Reverse(s.len()));
    for member in first.iter() {
        if !others.iter().any(|s| s.contains_item(member)) {
            f(member);
        }
    }
}

/// The members that are in any set (SUNION).
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
