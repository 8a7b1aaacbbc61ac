//! SORT and SORT_RO: the elements of a list, set or sorted set in another order.
//!
//! Both read the same way, one through the space that reads, one through the one that writes;
//! [`Keys`] is what they need of it. STORE is logged as its outcome, because what BY and GET met
//! need not be there when the log is read back.

use crate::args::Args;
use crate::db::{Keyspace, Live, ReadSpace, StrValue};
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use crate::exec::{ReadCx, WriteCx};
use crate::types::{End, Hash, Item, List, Object};
use moon_ds::ValueRef;
use moon_formats::number::{Digits, parse_score};
use moon_formats::resp::Reply;
use std::cmp::Ordering;
use std::ops::Range;

const SORTSTORE: Event = Event::new(Class::LIST, "sortstore");
/// Elements one logged RPUSH names at most.
const PUSH_ELEMENTS: usize = 1024;

/// A view of the keys, to look one up.
trait Keys {
    fn find(&mut self, key: &[u8]) -> Option<&Live>;
    fn now_ms(&self) -> u64;
}

impl Keys for ReadSpace<'_> {
    fn find(&mut self, key: &[u8]) -> Option<&Live> {
        self.get(key)
    }

    fn now_ms(&self) -> u64 {
        self.now.unix_ms
    }
}

impl Keys for Keyspace<'_> {
    fn find(&mut self, key: &[u8]) -> Option<&Live> {
        self.get(key)
    }

    fn now_ms(&self) -> u64 {
        self.now.unix_ms
    }
}

/// A BY or GET pattern: the element takes the place of the first `*`.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// No `*`: nothing is looked up.
    Constant,
    /// A key, and a field of it if it is a hash's.
    Key { head: &'a [u8], tail: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    fn parse(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = text.iter().position(|b| *b == b'*') else { return Pattern::Constant };
        let (head, tail) = (&text[..star], &text[star + 1..]);
        match tail.windows(2).position(|w| w == b"->") {
            Some(at) if at + 2 < tail.len() => {
                Pattern::Key { head, tail: &tail[..at], field: Some(&tail[at + 2..]) }
            }
            _ => Pattern::Key { head, tail, field: None },
        }
    }

    /// What the pattern means for an element.
    fn value(self, keys: &mut impl Keys, element: &[u8]) -> Option<Vec<u8>> {
        let (head, tail, field) = match self {
            Pattern::Element => return Some(element.to_vec()),
            Pattern::Constant => return None,
            Pattern::Key { head, tail, field } => (head, tail, field),
        };
        let now_ms = keys.now_ms();
        let entry = keys.find(&[head, element, tail].concat())?;
        match (entry.value(), field) {
            (ValueRef::Object(Object::Hash(hash)), Some(field)) => {
                Hash::get(hash, field, now_ms).map(|i| i.to_vec())
            }
            (ValueRef::Object(_), _) | (_, Some(_)) => None,
            (value, None) => {
                let text = StrValue::of(value).ok()?;
                Some(text.bytes(&mut Digits::new()).to_vec())
            }
        }
    }
}

struct Options<'a> {
    descending: bool,
    alpha: bool,
    /// LIMIT as given.
    offset: i64,
    count: i64,
    by: Option<Pattern<'a>>,
    get: Vec<Pattern<'a>>,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(a: Args<'a>, may_store: bool) -> CmdResult<Self> {
        let mut o = Options {
            descending: false,
            alpha: false,
            offset: 0,
            count: -1,
            by: None,
            get: Vec::new(),
            store: None,
        };
        let mut i = 2;
        while i < a.len() {
            let left = a.len() - i - 1;
            if a.is(i, "ASC") {
                o.descending = false;
            } else if a.is(i, "DESC") {
                o.descending = true;
            } else if a.is(i, "ALPHA") {
                o.alpha = true;
            } else if a.is(i, "LIMIT") && left >= 2 {
                (o.offset, o.count) = (a.int(i + 1)?, a.int(i + 2)?);
                i += 2;
            } else if a.is(i, "STORE") && may_store && left >= 1 {
                o.store = Some(a.get(i + 1));
                i += 1;
            } else if a.is(i, "BY") && left >= 1 {
                o.by = Some(Pattern::parse(a.get(i + 1)));
                i += 1;
            } else if a.is(i, "GET") && left >= 1 {
                o.get.push(Pattern::parse(a.get(i + 1)));
                i += 1;
            } else {
                return Err(CmdError::SYNTAX);
            }
            i += 1;
        }
        Ok(o)
    }

    /// The places that LIMIT leaves of `len` elements.
    fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX).min(len);
        let end = match usize::try_from(self.count) {
            Ok(count) => start.saturating_add(count).min(len),
            Err(_) => len,
        };
        start..end
    }
}

/// What an element is ordered by.
enum Weight {
    Number(f64),
    /// Bytes; a BY that met nothing comes first.
    Text(Option<Vec<u8>>),
    /// The element itself, as bytes.
    Itself,
}

fn compare(a: &(Vec<u8>, Weight), b: &(Vec<u8>, Weight)) -> Ordering {
    let by_weight = match (&a.1, &b.1) {
        (Weight::Number(x), Weight::Number(y)) => x.partial_cmp(y).unwrap_or(Ordering::Equal),
        (Weight::Text(x), Weight::Text(y)) => x.cmp(y),
        _ => Ordering::Equal,
    };
    by_weight.then_with(|| a.0.cmp(&b.0))
}

/// The elements in the order asked for, within LIMIT.
fn sorted(
    keys: &mut impl Keys,
    key: &[u8],
    o: &Options<'_>,
    scripted: bool,
) -> CmdResult<Vec<Vec<u8>>> {
    // A constant BY keeps the order there is. A set has none, so what is stored of it, and what a script
    // gets to see, is sorted.
    let mut keep = matches!(o.by, Some(Pattern::Constant | Pattern::Element));
    let (mut by, mut alpha) = (o.by.filter(|_| !keep), o.alpha);
    let (mut elements, range): (Vec<Vec<u8>>, _) = match keys.find(key).map(Live::value) {
        None => return Ok(Vec::new()),
        Some(ValueRef::Object(Object::List(v))) => {
            let range = o.range(v.len());
            if keep && o.descending {
                let last = v.len().saturating_sub(range.start + 1);
                (v.range_back(last, range.len()).map(|i| i.to_vec()).collect(), None)
            } else if keep {
                (v.range(range.start, range.len()).map(|i| i.to_vec()).collect(), None)
            } else {
                (v.iter().map(|i| i.to_vec()).collect(), Some(range))
            }
        }
        Some(ValueRef::Object(Object::Set(v))) => {
            if keep && (o.store.is_some() || scripted) {
                (keep, by, alpha) = (false, None, true);
            }
            (v.iter().map(|i| i.to_vec()).collect(), Some(o.range(v.len())))
        }
        Some(ValueRef::Object(Object::ZSet(v))) => {
            let range = o.range(v.len());
            let member = |(m, _): (Item<'_>, f64)| m.to_vec();
            if keep && o.descending {
                let ranks = v.len() - range.end..v.len() - range.start;
                (v.range(ranks).rev().map(member).collect(), None)
            } else if keep {
                (v.range(range).map(member).collect(), None)
            } else {
                (v.iter().map(member).collect(), Some(range))
            }
        }
        Some(_) => return Err(CmdError::WRONG_TYPE),
    };
    if !keep {
        let mut weighed = Vec::with_capacity(elements.len());
        for element in elements {
            let weight = weigh(keys, by, alpha, &element)?;
            weighed.push((element, weight));
        }
        weighed.sort_unstable_by(|a, b| {
            let order = compare(a, b);
            if o.descending { order.reverse() } else { order }
        });
        elements = weighed.into_iter().map(|(element, _)| element).collect();
    }
    if let Some(range) = range {
        elements.truncate(range.end);
        elements.drain(..range.start);
    }
    Ok(elements)
}

fn weigh(
    keys: &mut impl Keys,
    by: Option<Pattern<'_>>,
    alpha: bool,
    element: &[u8],
) -> CmdResult<Weight> {
    let found = by.map(|by| by.value(keys, element));
    if alpha {
        return Ok(found.map_or(Weight::Itself, Weight::Text));
    }
    let text = match &found {
        None => element,
        Some(None) => return Ok(Weight::Number(0.0)),
        Some(Some(text)) => text,
    };
    number(text).map(Weight::Number)
}

/// As C `strtod` over a C string, which ends at a zero byte: nothing is zero, and what overflows
/// an error.
fn number(text: &[u8]) -> CmdResult<f64> {
    let text = text.split(|b| *b == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0.0);
    }
    let infinite = text.iter().any(|b| b.eq_ignore_ascii_case(&b'i'));
    parse_score(text)
        .filter(|n| n.is_finite() || infinite)
        .ok_or(CmdError::fixed("ERR One or more scores can't be converted into double"))
}

fn answer(out: &mut Reply<'_>, keys: &mut impl Keys, o: &Options<'_>, elements: &[Vec<u8>]) {
    out.array(elements.len() * o.get.len().max(1));
    for element in elements {
        if o.get.is_empty() {
            out.bulk(element);
        }
        for pattern in &o.get {
            match pattern.value(keys, element) {
                Some(value) => out.bulk(&value),
                None => out.null(),
            }
        }
    }
}

/// SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA]
/// [STORE destination]
pub(super) fn sort(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let o = Options::parse(a, true)?;
    let elements = sorted(&mut cx.ks, a.get(1), &o, cx.scripted)?;
    let Some(destination) = o.store else {
        answer(&mut cx.out, &mut cx.ks, &o, &elements);
        return Ok(());
    };
    let mut stored = elements;
    if !o.get.is_empty() {
        let ks = &mut cx.ks;
        let got = stored.iter().flat_map(|element| o.get.iter().map(move |g| (g, element)));
        stored = got.map(|(get, element)| get.value(ks, element).unwrap_or_default()).collect();
    }
    store(&mut cx.ks, destination, &stored);
    cx.out.int(stored.len() as i64);
    Ok(())
}

fn store(ks: &mut Keyspace<'_>, key: &[u8], elements: &[Vec<u8>]) {
    let existed = ks.exists(key);
    let limits = ks.limits;
    let mut list = List::new();
    list.push(End::Back, elements.iter().map(Vec::as_slice), limits);
    ks.put_collection(key, list, SORTSTORE);
    if existed {
        ks.removal_effect(key);
    }
    for some in elements.chunks(PUSH_ELEMENTS) {
        let mut words: Vec<&[u8]> = vec![b"RPUSH", key];
        words.extend(some.iter().map(Vec::as_slice));
        ks.effect(&words);
    }
}

/// SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA]
pub(super) fn sort_ro(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let o = Options::parse(a, false)?;
    let elements = sorted(&mut cx.ks, a.get(1), &o, cx.scripted)?;
    answer(&mut cx.out, &mut cx.ks, &o, &elements);
    Ok(())
}
