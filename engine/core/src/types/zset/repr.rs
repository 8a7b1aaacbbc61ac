//! The sorted set type.

use std::collections::BTreeSet;
use std::ops::Range;

use moon_ds::listpack::{self, Pos};
use moon_ds::sizeclass::round_up;
use moon_ds::thin::{Form, FormMut, Never, Thin};
use moon_ds::{
    Item, ItemBuf, Listpack, Meter, Pass, PutEntry, ScoredSet, Upsert, ValueRef, scoredset,
};
use moon_formats::bytes::Put;

use super::range::{LexRange, ScoreRange};
use crate::types::{Limits, digest, sample};

/// A set of members ordered by (score, member).
pub struct ZSet {
    /// A listpack holds member and score in order: the score as an integer where it is one, else as the
    /// eight bytes of the double.
    form: Thin<Listpack, Never, ScoredSet>,
}

const EXACT: f64 = 9_007_199_254_740_992.0;

/// Bytes of a packed score.
struct PackedScore([u8; 8], Option<i64>);

impl PackedScore {
    #[inline]
    fn new(score: f64) -> PackedScore {
        let whole = score as i64;
        let exact = score.abs() <= EXACT && whole as f64 == score;
        PackedScore(score.to_le_bytes(), exact.then_some(whole))
    }

    #[inline]
    fn item(&self) -> Item<'_> {
        // Eight bytes that happen to be digits stay bytes, since nothing parses them here.
        self.1.map_or(Item::Bytes(&self.0), Item::Int)
    }
}

#[inline]
fn score_of(item: Item<'_>) -> f64 {
    match item {
        Item::Int(n) => n as f64,
        Item::Bytes(b) => b.try_into().map_or(0.0, f64::from_le_bytes),
    }
}

fn find(pack: &Listpack, member: &[u8]) -> Option<Pos> {
    pack.find(pack.first(), Item::from(member), 1)
}

fn score_at(pack: &Listpack, member: Pos) -> f64 {
    score_of(pack.get(pack.next(member).expect("a member is followed by its score")))
}

/// Members and scores of a whole packed set.
fn pairs(pack: &Listpack) -> impl Iterator<Item = (Item<'_>, f64)> {
    let mut items = pack.iter();
    std::iter::from_fn(move || Some((items.next()?, score_of(items.next()?))))
}

/// Puts a pair that is not there in its place.
fn insert(pack: &mut Listpack, member: &[u8], score: f64) {
    let packed = PackedScore::new(score);
    let at = place(pack, member, score);
    pack.insert(at, packed.item());
    pack.insert(at, member);
}

/// Where a pair belongs.
fn place(pack: &Listpack, member: &[u8], score: f64) -> Pos {
    let mut buf = ItemBuf::new();
    let mut above =
        |m: Item<'_>, s: f64| s > score || (s == score && m.as_bytes(&mut buf) > member);
    // Ascending inserts are common.
    let mut from_end = pack.iter();
    match (from_end.next_back(), from_end.next_back()) {
        (Some(s), Some(m)) if above(m, score_of(s)) => {}
        _ => return pack.end(),
    }
    let mut items = pack.iter();
    loop {
        let pos = items.pos();
        let (Some(m), Some(s)) = (items.next(), items.next()) else { return pack.end() };
        if above(m, score_of(s)) {
            return pos;
        }
    }
}

impl ZSet {
    /// An empty sorted set.
    pub fn new() -> ZSet {
        ZSet { form: Thin::first(Listpack::new()) }
    }

    /// A sorted set of these members (loading, ZUNIONSTORE).
    pub fn from_members<'a>(
        members: impl Iterator<Item = (&'a [u8], f64)>,
        limits: &Limits,
    ) -> ZSet {
        let mut zset = ZSet::new();
        for (member, score) in members {
            zset.add(member, score, limits);
        }
        zset
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self.form.form() {
            Form::First(pack) => pack.len() / 2,
            Form::Second(never) => match *never {},
            Form::Large(set) => set.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes, O(1).
    pub fn mem_bytes(&self) -> usize {
        match self.form.form() {
            Form::First(pack) => pack.mem_bytes(),
            Form::Second(never) => match *never {},
            Form::Large(set) => round_up(size_of::<ScoredSet>()) + set.mem_bytes(),
        }
    }

    /// The listpack, if it is one.
    pub fn packed(&self) -> Option<&Listpack> {
        match self.form.form() {
            Form::First(pack) => Some(pack),
            _ => None,
        }
    }

    /// About how many allocations it consists of.
    pub fn allocations(&self) -> usize {
        match self.form.form() {
            Form::First(_) => 1,
            Form::Second(never) => match *never {},
            Form::Large(_) => self.len(),
        }
    }

    /// Name as OBJECT ENCODING prints it.
    pub fn encoding(&self) -> &'static str {
        match self.form.form() {
            Form::First(_) => "listpack",
            Form::Second(never) => match *never {},
            Form::Large(_) => "skiplist",
        }
    }

    fn make_large(&mut self, limits: &Limits) {
        let mut set = ScoredSet::new(limits.hash_seed);
        let mut buf = ItemBuf::new();
        for (member, score) in self.iter() {
            set.upsert(member.as_bytes(&mut buf), |_| Some(score));
        }
        self.form = Thin::large(Box::new(set));
    }

    /// Says how many members are about to be added at once, the longest having `longest` bytes (ZADD): a new
    /// set is made for that, one that is there becomes large at once if the number alone is over the limit
    /// (Redis: `zsetTypeCreate`, `zsetTypeMaybeConvert`).
    pub fn will_add(&mut self, members: usize, longest: usize, limits: &Limits) {
        let Form::First(pack) = self.form.form() else { return };
        if members > limits.zset_max_listpack_entries
            || (pack.is_empty() && longest > limits.zset_max_listpack_value)
        {
            self.make_large(limits);
        }
    }

    /// Looks a member up once and sets the score that `f` answers, given the one it has; `None` leaves
    /// everything as it is (ZADD with its flags, ZINCRBY).
    ///
    /// # Panics
    /// If `f` answers NaN: the command refuses that first.
    pub fn upsert(
        &mut self,
        member: &[u8],
        limits: &Limits,
        f: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Upsert {
        let pack = match self.form.form_mut() {
            FormMut::First(pack) => pack,
            FormMut::Second(never) => match *never {},
            FormMut::Large(set) => return set.upsert(member, f),
        };
        let found = find(pack, member);
        let old = found.map(|pos| score_at(pack, pos));
        // Adding zero turns a negative zero into zero, as in the large form.
        let Some(new) = f(old).map(|score| score + 0.0) else { return Upsert { old, new: old } };
        assert!(!new.is_nan(), "a score is never NaN");
        if let Some(pos) = found {
            if old != Some(new) {
                pack.remove_n(pos, 2);
                insert(pack, member, new);
            }
        } else if pack.len() / 2 < limits.zset_max_listpack_entries
            && member.len() <= limits.zset_max_listpack_value
            && pack.fits(member.len() + 20)
        {
            insert(pack, member, new);
        } else {
            self.make_large(limits);
            if let FormMut::Large(set) = self.form.form_mut() {
                set.upsert(member, |_| Some(new));
            }
        }
        Upsert { old, new: Some(new) }
    }

    /// Sets the score of a member; true if the member is new.
    pub fn add(&mut self, member: &[u8], score: f64, limits: &Limits) -> bool {
        self.upsert(member, limits, |_| Some(score)).old.is_none()
    }

    /// Removes a member and returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.form.form_mut() {
            FormMut::First(pack) => {
                let pos = find(pack, member)?;
                let score = score_at(pack, pos);
                pack.remove_n(pos, 2);
                Some(score)
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(set) => set.remove(member),
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.form.form() {
            Form::First(pack) => find(pack, member).map(|pos| score_at(pack, pos)),
            Form::Second(never) => match *never {},
            Form::Large(set) => set.score(member),
        }
    }

    /// Number of members in front of this one, and its score (ZRANK; ZREVRANK is `len - 1 - rank`).
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self.form.form() {
            Form::First(pack) => {
                let want = Item::from(member);
                let (rank, (_, score)) = pairs(pack).enumerate().find(|(_, p)| p.0 == want)?;
                Some((rank, score))
            }
            Form::Second(never) => match *never {},
            Form::Large(set) => set.rank(member),
        }
    }

    /// The member number `rank` and its score.
    pub fn get(&self, rank: usize) -> Option<(Item<'_>, f64)> {
        self.range(rank..rank.saturating_add(1)).next()
    }

    /// The ranks of the members whose score lies in the range.
    pub fn by_score(&self, range: &ScoreRange) -> Range<usize> {
        let (from, to) = match self.form.form() {
            Form::First(pack) => (
                pairs(pack).take_while(|p| range.is_above(p.1)).count(),
                pairs(pack).take_while(|p| range.reaches(p.1)).count(),
            ),
            Form::Second(never) => match *never {},
            Form::Large(set) => (
                set.count_while_score(|score| range.is_above(score)),
                set.count_while_score(|score| range.reaches(score)),
            ),
        };
        from..to.max(from)
    }

    /// The ranks of the members that lie in the range; all scores must be equal for that to mean something.
    pub fn by_lex(&self, range: &LexRange<'_>) -> Range<usize> {
        let (from, to) = match self.form.form() {
            Form::First(pack) => {
                let mut buf = ItemBuf::new();
                let from =
                    pairs(pack).take_while(|p| range.is_above(p.0.as_bytes(&mut buf))).count();
                let to = pairs(pack).take_while(|p| range.reaches(p.0.as_bytes(&mut buf))).count();
                (from, to)
            }
            Form::Second(never) => match *never {},
            Form::Large(set) => (
                set.count_while_member(|member| range.is_above(member)),
                set.count_while_member(|member| range.reaches(member)),
            ),
        };
        from..to.max(from)
    }

    /// Members and scores with these ranks, in order or, with `rev`, from the back.
    pub fn range(&self, ranks: Range<usize>) -> ZSetIter<'_> {
        let to = ranks.end.min(self.len());
        let from = ranks.start.min(to);
        match self.form.form() {
            Form::First(pack) => ZSetIter(Walk::Packed(pack.iter_range(from * 2, to * 2))),
            Form::Second(never) => match *never {},
            Form::Large(set) => ZSetIter(Walk::Large(set.range(from, to))),
        }
    }

    /// All members and scores in order.
    pub fn iter(&self) -> ZSetIter<'_> {
        self.range(0..usize::MAX)
    }

    /// Removes the members with these ranks, handing each to `f` first, in order (ZREMRANGEBY*, ZPOPMIN).
    pub fn remove_range(&mut self, ranks: Range<usize>, mut f: impl FnMut(Item<'_>, f64)) {
        let to = ranks.end.min(self.len());
        if ranks.start >= to {
            return;
        }
        if let Form::First(_) = self.form.form() {
            self.range(ranks.start..to).for_each(|(member, score)| f(member, score));
        }
        match self.form.form_mut() {
            FormMut::First(pack) => {
                if let Some(pos) = pack.seek(ranks.start * 2) {
                    pack.remove_n(pos, (to - ranks.start) * 2);
                }
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(set) => {
                set.remove_range(ranks.start, to, |member, score| f(Item::Bytes(member), score));
            }
        }
    }

    /// A member picked at random, with its score (ZRANDMEMBER).
    pub fn random(&self, rng: &mut impl FnMut() -> u64) -> Option<(Item<'_>, f64)> {
        self.get(sample::below(rng(), self.len()))
    }

    /// Hands `n` different members, or all if there are not as many, to `f`, each choice with equal chance
    /// (ZRANDMEMBER with a positive count).
    pub fn sample(
        &self,
        n: usize,
        rng: &mut impl FnMut() -> u64,
        mut f: impl FnMut(Item<'_>, f64),
    ) {
        let len = self.len();
        if n.saturating_mul(4) >= len {
            sample::select(self.iter(), len, n, rng, |(member, score)| f(member, score));
            return;
        }
        let mut ranks = BTreeSet::new();
        while ranks.len() < n {
            let rank = sample::below(rng(), len);
            if ranks.insert(rank)
                && let Some((member, score)) = self.get(rank)
            {
                f(member, score);
            }
        }
    }

    /// ZSCAN: visits about `count` members from a cursor on and returns the next, 0 at the end. A packed set is
    /// visited whole.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>, f64)) -> u64 {
        if let Form::Large(set) = self.form.form() {
            return set.scan(cursor, count, |member, score| f(Item::Bytes(member), score));
        }
        self.iter().for_each(|(member, score)| f(member, score));
        0
    }

    /// A fingerprint of the content.
    pub fn digest(&self) -> u128 {
        let mut sum = digest::Elements::of(4);
        for (member, score) in self.iter() {
            sum.part(member).word(score.to_bits()).end();
        }
        sum.sum()
    }

    /// Whether a walk can give its body.
    pub(crate) fn can_walk(&self) -> bool {
        matches!(self.form.form(), Form::Large(_))
    }

    /// Begins a walk that gives the value body.
    pub(crate) fn begin_walk(&mut self, tag: u64, meter: &Meter) {
        let FormMut::Large(set) = self.form.form_mut() else { return };
        let mut head = Vec::new();
        head.put_count32(set.len());
        let put: PutEntry = |member, out| {
            let ValueRef::Int(bits) = member.value() else { unreachable!("members hold a score") };
            out.put_bytes32(member.key());
            out.put_f64(f64::from_bits(bits as u64));
        };
        set.begin_walk(tag, vec![Pass { head, put: Some(put) }], meter);
    }

    /// What a walk goes over.
    pub(crate) fn walked(&mut self) -> Option<&mut ScoredSet> {
        match self.form.form_mut() {
            FormMut::Large(set) => Some(set),
            FormMut::First(_) => None,
            FormMut::Second(never) => match *never {},
        }
    }

    /// The tag of the walk, if there is one.
    pub(crate) fn walk_tag(&self) -> Option<u64> {
        match self.form.form() {
            Form::Large(set) => set.walk_tag(),
            Form::First(_) => None,
            Form::Second(never) => match *never {},
        }
    }

    /// Appends the value body, type 4.
    pub fn to_body(&self, out: &mut Vec<u8>) {
        let mut buf = ItemBuf::new();
        out.put_count32(self.len());
        for (member, score) in self.iter() {
            out.put_bytes32(member.as_bytes(&mut buf));
            out.put_f64(score);
        }
    }
}

impl Clone for ZSet {
    fn clone(&self) -> Self {
        let form = match self.form.form() {
            Form::First(pack) => Thin::first(pack.clone()),
            Form::Second(never) => match *never {},
            Form::Large(set) => Thin::large(Box::new(set.clone())),
        };
        ZSet { form }
    }
}

impl std::fmt::Debug for ZSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

enum Walk<'a> {
    Packed(listpack::Iter<'a>),
    Large(scoredset::Iter<'a>),
}

/// Members and scores of a sorted set, from either end.
pub struct ZSetIter<'a>(Walk<'a>);

impl<'a> Iterator for ZSetIter<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Packed(iter) => {
                let (member, score) = (iter.next()?, iter.next()?);
                Some((member, score_of(score)))
            }
            Walk::Large(iter) => iter.next().map(|(m, s)| (Item::Bytes(m), s)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Walk::Packed(iter) => iter.len() / 2,
            Walk::Large(iter) => iter.len(),
        };
        (left, Some(left))
    }

    /// Skipping is O(log n) in a large set: LIMIT with an offset.
    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Packed(_) => {
                for _ in 0..n {
                    self.next()?;
                }
                self.next()
            }
            Walk::Large(iter) => iter.nth(n).map(|(m, s)| (Item::Bytes(m), s)),
        }
    }
}

impl DoubleEndedIterator for ZSetIter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Packed(iter) => {
                let (score, member) = (iter.next_back()?, iter.next_back()?);
                Some((member, score_of(score)))
            }
            Walk::Large(iter) => iter.next_back().map(|(m, s)| (Item::Bytes(m), s)),
        }
    }

    fn nth_back(&mut self, n: usize) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Packed(_) => {
                for _ in 0..n {
                    self.next_back()?;
                }
                self.next_back()
            }
            Walk::Large(iter) => iter.nth_back(n).map(|(m, s)| (Item::Bytes(m), s)),
        }
    }
}

impl ExactSizeIterator for ZSetIter<'_> {}
