//! Union, intersection and difference of sets and sorted sets, with scores.
//!
//! Nothing is copied: results borrow their members from the inputs. A member of a set has the
//! score 1. Scores are combined in the order of Redis (inputs by ascending size, equal sizes
//! as given), since floating point sums depend on it.

use crate::db::Live;
use crate::error::{CmdError, CmdResult};
use crate::types::{Collection, Item, ItemBuf, Set, ZSet};
use moon_ds::{HashSeed, ValueRef};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A member of a result.
#[derive(Clone, Copy)]
pub(super) struct Scored<'a> {
    pub(super) score: f64,
    pub(super) member: Item<'a>,
}

/// How the scores of a member become one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
    /// The sum of the weights of the inputs that have the member (Redis 8.8).
    Count,
}

impl Aggregate {
    /// Reads the word after AGGREGATE.
    pub(super) fn parse(word: &[u8]) -> Option<Aggregate> {
        [("SUM", Self::Sum), ("MIN", Self::Min), ("MAX", Self::Max), ("COUNT", Self::Count)]
            .into_iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, how)| how)
    }

    /// What one input adds; NaN for infinity times zero.
    #[inline]
    fn weighted(self, score: f64, weight: f64) -> f64 {
        if self == Aggregate::Count { weight } else { weight * score }
    }

    /// Combines. A sum that is not a number counts as zero.
    #[inline]
    fn join(self, target: &mut f64, value: f64) {
        match self {
            Aggregate::Sum | Aggregate::Count => *target = number(*target + value),
            Aggregate::Min if value < *target => *target = value,
            Aggregate::Max if value > *target => *target = value,
            Aggregate::Min | Aggregate::Max => {}
        }
    }
}

#[inline]
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Nothing,
    Set(&'a Set),
    ZSet(&'a ZSet),
}

/// One input.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    content: Content<'a>,
    /// Its scores are multiplied by this.
    pub(super) weight: f64,
}

impl<'a> Input<'a> {
    /// What a key holds; a key that is not there is an empty set.
    pub(super) fn of(entry: Option<&'a Live>) -> CmdResult<Self> {
        let content = match entry.map(|e| e.value()) {
            None => Content::Nothing,
            Some(ValueRef::Object(o)) => match (ZSet::of(o), Set::of(o)) {
                (Some(zset), _) => Content::ZSet(zset),
                (_, Some(set)) => Content::Set(set),
                _ => return Err(CmdError::WRONG_TYPE),
            },
            Some(_) => return Err(CmdError::WRONG_TYPE),
        };
        Ok(Input { content, weight: 1.0 })
    }

    fn len(&self) -> usize {
        match self.content {
            Content::Nothing => 0,
            Content::Set(set) => set.len(),
            Content::ZSet(zset) => zset.len(),
        }
    }

    /// Hands out members and scores until `f` answers false.
    fn each(&self, mut f: impl FnMut(Item<'a>, f64) -> bool) {
        match self.content {
            Content::Nothing => {}
            Content::Set(set) => {
                let _ = set.iter().all(|m| f(m, 1.0));
            }
            Content::ZSet(zset) => {
                let _ = zset.iter().all(|(m, s)| f(m, s));
            }
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self.content {
            Content::Nothing => None,
            Content::Set(set) => set.contains(member).then_some(1.0),
            Content::ZSet(zset) => zset.score(member),
        }
    }
}

/// A member with its hash. The form of the item is the canonical one, whatever encoding it
/// comes from, so that equal members are equal items.
#[derive(PartialEq, Eq)]
struct Key<'a>(Item<'a>, u64);

impl<'a> Key<'a> {
    #[inline]
    fn new(member: Item<'a>, seed: HashSeed) -> Self {
        let item = match member {
            Item::Bytes(b) => Item::from(b),
            int => int,
        };
        let hash = match item {
            Item::Bytes(b) => moon_ds::hash(seed, b),
            Item::Int(n) => moon_ds::hash(seed, &n.to_le_bytes()),
        };
        Key(item, hash)
    }
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.1);
    }
}

/// Passes the hash of a [`Key`] on.
#[derive(Default)]
struct Kept(u64);

impl Hasher for Kept {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.is_empty(), "keys are hashed by their kept hash");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type KeptHash = BuildHasherDefault<Kept>;

/// The members that are in any input.
pub(super) fn union<'a>(
    inputs: &mut [Input<'a>],
    aggregate: Aggregate,
    seed: HashSeed,
) -> Vec<Scored<'a>> {
    inputs.sort_by_key(Input::len);
    let filled = inputs.partition_point(|input| input.len() == 0);
    let inputs = &inputs[filled..];
    let mut result: Vec<Scored<'a>> = Vec::with_capacity(inputs.last().map_or(0, Input::len));
    if let [only] = inputs {
        only.each(|member, score| {
            let score = number(aggregate.weighted(score, only.weight));
            result.push(Scored { score, member });
            true
        });
        return result;
    }
    let mut places: HashMap<Key<'a>, usize, KeptHash> =
        HashMap::with_capacity_and_hasher(result.capacity(), KeptHash::default());
    for input in inputs {
        input.each(|member, score| {
            let score = number(aggregate.weighted(score, input.weight));
            let at = *places.entry(Key::new(member, seed)).or_insert(result.len());
            match result.get_mut(at) {
                Some(known) => aggregate.join(&mut known.score, score),
                None => result.push(Scored { score, member }),
            }
            true
        });
    }
    result
}

/// Hands the members that are in all inputs to `f` until that answers false.
pub(super) fn intersection<'a>(
    inputs: &mut [Input<'a>],
    aggregate: Aggregate,
    mut f: impl FnMut(Scored<'a>) -> bool,
) {
    inputs.sort_by_key(Input::len);
    let Some((smallest, others)) = inputs.split_first() else { return };
    let mut buf = ItemBuf::new();
    smallest.each(|member, score| {
        let mut total = number(aggregate.weighted(score, smallest.weight));
        let name = member.as_bytes(&mut buf);
        for other in others {
            let Some(score) = other.score(name) else { return true };
            aggregate.join(&mut total, aggregate.weighted(score, other.weight));
        }
        f(Scored { score: total, member })
    });
}

/// The members of the first input that are in none of the others.
pub(super) fn difference<'a>(inputs: &mut [Input<'a>], seed: HashSeed) -> Vec<Scored<'a>> {
    let mut result = Vec::new();
    let Some((first, others)) = inputs.split_first_mut() else { return result };
    let mut keep = |member, score| result.push(Scored { score, member });
    if others.iter().map(Input::len).sum::<usize>() < first.len() {
        // The smaller side is put into a table once, the larger is only walked.
        let mut excluded: HashSet<Key<'a>, KeptHash> = HashSet::default();
        for other in others.iter() {
            other.each(|member, _| {
                excluded.insert(Key::new(member, seed));
                true
            });
        }
        first.each(|member, score| {
            if !excluded.contains(&Key::new(member, seed)) {
                keep(member, score);
            }
            true
        });
        return result;
    }
    // The larger an input the more likely it rules a member out.
    others.sort_by_key(|other| std::cmp::Reverse(other.len()));
    let mut buf = ItemBuf::new();
    first.each(|member, score| {
        let name = member.as_bytes(&mut buf);
        if others.iter().all(|other| other.score(name).is_none()) {
            keep(member, score);
        }
        true
    });
    result
}

/// Puts a result into the order of a sorted set.
pub(super) fn sort(result: &mut [Scored<'_>]) {
    for scored in result.iter_mut() {
        // A negative zero is zero, as it is in a sorted set.
        scored.score += 0.0;
    }
    let (mut left, mut right) = (ItemBuf::new(), ItemBuf::new());
    result.sort_unstable_by(|a, b| {
        a.score
            .total_cmp(&b.score)
            .then_with(|| a.member.as_bytes(&mut left).cmp(b.member.as_bytes(&mut right)))
    });
}
