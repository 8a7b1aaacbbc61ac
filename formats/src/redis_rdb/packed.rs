//! Packed blocks: small collections as other servers keep them in one piece of memory.
//!
//! ```text
//! listpack  total u32 | count u16 | (entry | length of the entry, from its end)* | FF
//! ziplist   total u32 | offset of the last entry u32 | count u16 | (length of the entry before | entry)* | FF
//! zipmap    count u8 | (len | field | len | free u8 | value | free bytes)* | FF
//! intset    width u32 | count u32 | integers, ascending
//! ```
//!
//! [`listpack`], [`ziplist`], [`zipmap`] and [`intset`] check a block in full, every redundant field
//! included, and hand out its entries as they go. The count in a header may be unknown (65535, in a zipmap
//! 254 and above).

use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::number::{Digits, parse_i64};

/// An entry of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Int(i64),
    Bytes(&'a [u8]),
}

impl<'a> Entry<'a> {
    /// Calls `f` with the bytes that the entry stands for.
    pub(super) fn with<R>(self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Entry::Int(n) => f(Digits::of_i64(n).as_bytes()),
            Entry::Bytes(b) => f(b),
        }
    }

    /// The integer that it is or spells.
    pub(super) fn int(self) -> Option<i64> {
        match self {
            Entry::Int(n) => Some(n),
            Entry::Bytes(b) => parse_i64(b),
        }
    }
}

type Checked<T = ()> = Result<T, DecodeError>;

/// Damage inside a block is not truncation: more input would not mend it.
fn inside<T>(result: Checked<T>) -> Checked<T> {
    result.map_err(|e| match e.cause {
        Cause::Truncated { .. } => {
            DecodeError { cause: Cause::Form { expected: "inside its packed block" }, ..e }
        }
        _ => e,
    })
}

#[cold]
fn bad<T>(at: u64, what: &'static str, expected: &'static str) -> Checked<T> {
    Err(DecodeError::new(at, what, Cause::Form { expected }))
}

fn same(at: u64, what: &'static str, expected: u64, found: u64) -> Checked {
    if expected == found {
        return Ok(());
    }
    Err(DecodeError::new(at, what, Cause::Mismatch { expected, found }))
}

/// The count of a header against the entries found.
fn counted(at: u64, what: &'static str, stored: u16, unknown: u16, found: u64) -> Checked {
    if stored == unknown { Ok(()) } else { same(at, what, found, u64::from(stored)) }
}

/// Checks that `block` ends with FF and returns a reader of what stands before it.
fn without_end<'a>(block: &'a [u8], at: u64, what: &'static str) -> Checked<Reader<'a>> {
    match block.split_last() {
        Some((0xff, entries)) => Ok(Reader::new(entries, at)),
        _ => bad(at, what, "closed by FF"),
    }
}

/// Reads the entries of a listpack one by one; the end is reached once all of it has been checked.
#[derive(Clone)]
pub(super) struct Listpack<'a> {
    r: Reader<'a>,
    at: u64,
    stored: u16,
    found: u64,
}

impl<'a> Listpack<'a> {
    /// The listpack that is `block`, `at` being its offset.
    pub(super) fn new(block: &'a [u8], at: u64) -> Checked<Listpack<'a>> {
        let read = || {
            let mut r = without_end(block, at, "listpack")?;
            same(at, "listpack size", block.len() as u64, u64::from(r.u32("listpack size")?))?;
            let stored = r.u16("listpack count")?;
            Ok(Listpack { r, at, stored, found: 0 })
        };
        inside(read())
    }

    /// Offset of the next entry.
    pub(super) fn offset(&self) -> u64 {
        self.r.offset()
    }

    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self) -> Checked<Option<Entry<'a>>> {
        if self.r.is_empty() {
            counted(self.at + 4, "listpack count", self.stored, u16::MAX, self.found)?;
            return Ok(None);
        }
        self.found += 1;
        inside(self.entry()).map(Some)
    }

    fn entry(&mut self) -> Checked<Entry<'a>> {
        let r = &mut self.r;
        let start = r.position();
        let entry = listpack_entry(r)?;
        let size = r.position() - start;
        let mut back = [0; 5];
        let back = back_length(size, &mut back);
        let here = r.offset();
        if r.bytes(back.len(), "listpack entry's length")? != back {
            return bad(here, "listpack entry's length", "that of its entry");
        }
        Ok(entry)
    }
}

/// Entries of a listpack, `at` being its offset.
pub(super) fn listpack<'a>(
    block: &'a [u8],
    at: u64,
    mut each: impl FnMut(Entry<'a>) -> Checked,
) -> Checked {
    let mut entries = Listpack::new(block, at)?;
    while let Some(entry) = entries.next()? {
        each(entry)?;
    }
    Ok(())
}

fn listpack_entry<'a>(r: &mut Reader<'a>) -> Checked<Entry<'a>> {
    const WHAT: &str = "listpack entry";
    let at = r.offset();
    let first = r.u8(WHAT)?;
    let low = usize::from(first);
    Ok(match first {
        0..=0x7f => Entry::Int(i64::from(first)),
        0x80..=0xbf => Entry::Bytes(r.bytes(low & 0x3f, WHAT)?),
        0xc0..=0xdf => {
            let raw = (i16::from(first) & 0x1f) << 8 | i16::from(r.u8(WHAT)?);
            // 13 bits with sign.
            Entry::Int(i64::from(raw << 3 >> 3))
        }
        0xe0..=0xef => {
            let len = (low & 0xf) << 8 | usize::from(r.u8(WHAT)?);
            Entry::Bytes(r.bytes(len, WHAT)?)
        }
        0xf0 => Entry::Bytes(r.bytes32(WHAT)?),
        0xf1 => Entry::Int(signed(r.bytes(2, WHAT)?)),
        0xf2 => Entry::Int(signed(r.bytes(3, WHAT)?)),
        0xf3 => Entry::Int(signed(r.bytes(4, WHAT)?)),
        0xf4 => Entry::Int(signed(r.bytes(8, WHAT)?)),
        _ => return bad(at, WHAT, "of a known encoding"),
    })
}

/// A little-endian integer of up to 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    let unused = (8 - bytes.len().min(8)) * 8;
    let raw = bytes.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
    // At eight bytes nothing is unused and both shifts are by 0.
    ((raw << unused) as i64) >> unused
}

/// The length that ends an entry of `size` bytes: base 128, read from its end, where all bytes but the first
/// have the upper bit. The limits are those of Redis' `lpEncodeBacklen`.
fn back_length(size: usize, buf: &mut [u8; 5]) -> &[u8] {
    let width = match size {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    };
    let mut rest = size;
    for (i, byte) in buf.iter_mut().take(width).rev().enumerate() {
        *byte = (rest & 127) as u8 | if i + 1 < width { 128 } else { 0 };
        rest >>= 7;
    }
    buf.get(..width).unwrap_or_default()
}

/// Entries of a ziplist, `at` being its offset.
pub(super) fn ziplist<'a>(
    block: &'a [u8],
    at: u64,
    each: impl FnMut(Entry<'a>) -> Checked,
) -> Checked {
    inside(read_ziplist(block, at, each))
}

fn read_ziplist<'a>(
    block: &'a [u8],
    at: u64,
    mut each: impl FnMut(Entry<'a>) -> Checked,
) -> Checked {
    const WHAT: &str = "ziplist entry";
    let mut r = without_end(block, at, "ziplist")?;
    same(at, "ziplist size", block.len() as u64, u64::from(r.u32("ziplist size")?))?;
    let tail = r.u32("ziplist tail")? as usize;
    let stored = r.u16("ziplist count")?;
    let (mut found, mut before, mut last) = (0, 0, r.position());
    while !r.is_empty() {
        last = r.position();
        let here = r.offset();
        let previous = match r.u8(WHAT)? {
            0xfe => r.u32(WHAT)? as usize,
            0xff => return bad(here, WHAT, "no end mark"),
            n => usize::from(n),
        };
        same(here, "ziplist entry's distance", before as u64, previous as u64)?;
        let first = r.u8(WHAT)?;
        let low = usize::from(first & 0x3f);
        let entry = match first {
            0..=0x3f => Entry::Bytes(r.bytes(low, WHAT)?),
            0x40..=0x7f => {
                let len = low << 8 | usize::from(r.u8(WHAT)?);
                Entry::Bytes(r.bytes(len, WHAT)?)
            }
            0x80 => {
                let len = u32::from_be_bytes(r.array(WHAT)?) as usize;
                Entry::Bytes(r.bytes(len, WHAT)?)
            }
            0xc0 => Entry::Int(signed(r.bytes(2, WHAT)?)),
            0xd0 => Entry::Int(signed(r.bytes(4, WHAT)?)),
            0xe0 => Entry::Int(signed(r.bytes(8, WHAT)?)),
            0xf0 => Entry::Int(signed(r.bytes(3, WHAT)?)),
            0xfe => Entry::Int(signed(r.bytes(1, WHAT)?)),
            0xf1..=0xfd => Entry::Int(i64::from(first & 0xf) - 1),
            _ => return bad(here, WHAT, "of a known encoding"),
        };
        before = r.position() - last;
        found += 1;
        each(entry)?;
    }
    same(at + 4, "ziplist tail", last as u64, tail as u64)?;
    counted(at + 8, "ziplist count", stored, u16::MAX, found)
}

/// Fields and values of a zipmap, `at` being its offset.
pub(super) fn zipmap<'a>(
    block: &'a [u8],
    at: u64,
    mut each: impl FnMut(&'a [u8], &'a [u8]) -> Checked,
) -> Checked {
    const WHAT: &str = "zipmap entry";
    fn len(r: &mut Reader<'_>) -> Checked<usize> {
        let at = r.offset();
        match r.u8(WHAT)? {
            254 => Ok(r.u32(WHAT)? as usize),
            255 => bad(at, WHAT, "no end mark"),
            n => Ok(usize::from(n)),
        }
    }
    let mut read = || {
        let mut r = without_end(block, at, "zipmap")?;
        let stored = r.u8("zipmap count")?;
        let mut found = 0;
        while !r.is_empty() {
            let n = len(&mut r)?;
            let field = r.bytes(n, WHAT)?;
            let n = len(&mut r)?;
            let free = usize::from(r.u8(WHAT)?);
            let value = r.bytes(n, WHAT)?;
            r.bytes(free, WHAT)?;
            found += 1;
            each(field, value)?;
        }
        if stored >= 254 { Ok(()) } else { same(at, "zipmap count", found, u64::from(stored)) }
    };
    inside(read())
}

/// Integers of an intset, `at` being its offset.
pub(super) fn intset(block: &[u8], at: u64, mut each: impl FnMut(i64) -> Checked) -> Checked {
    let mut read = || {
        let mut r = Reader::new(block, at);
        let width = r.u32("intset width")?;
        if !matches!(width, 2 | 4 | 8) {
            let cause = Cause::Value { expected: "2, 4 or 8", found: u64::from(width) };
            return Err(DecodeError::new(at, "intset width", cause));
        }
        let count = u64::from(r.u32("intset count")?);
        same(at, "intset size", 8 + count * u64::from(width), block.len() as u64)?;
        let mut before = None;
        while !r.is_empty() {
            let here = r.offset();
            let n = signed(r.bytes(width as usize, "intset integer")?);
            if before.is_some_and(|b| b >= n) {
                return bad(here, "intset integer", "above the one before it");
            }
            before = Some(n);
            each(n)?;
        }
        Ok(())
    };
    inside(read())
}

/// Builds a listpack.
pub(super) struct ListpackWriter<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    count: usize,
}

impl<'o> ListpackWriter<'o> {
    /// Starts one at the end of `out`.
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        out.put(&[0; 6]);
        ListpackWriter { out, start, count: 0 }
    }

    /// Entries so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Appends an element, as an integer if it is the canonical form of one.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match (bytes.len() <= 20).then(|| parse_i64(bytes)).flatten() {
            Some(n) => self.push_int(n),
            None => self.push_bytes(bytes),
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        let start = self.out.len();
        let len = bytes.len();
        match len {
            0..=0x3f => self.out.put_u8(0x80 | len as u8),
            0x40..=0xfff => self.out.put(&(0xe000 | len as u16).to_be_bytes()),
            _ => {
                self.out.put_u8(0xf0);
                self.out.put_count32(len);
            }
        }
        self.out.put(bytes);
        self.end(start);
    }

    /// Appends an integer.
    pub(super) fn push_int(&mut self, n: i64) {
        let start = self.out.len();
        let bytes = n.to_le_bytes();
        let (mark, width) = match n {
            0..=127 => (n as u8, 0),
            -4096..=4095 => {
                self.out.put(&(0xc000 | n as u16 & 0x1fff).to_be_bytes());
                return self.end(start);
            }
            -0x8000..=0x7fff => (0xf1, 2),
            -0x80_0000..=0x7f_ffff => (0xf2, 3),
            -0x8000_0000..=0x7fff_ffff => (0xf3, 4),
            _ => (0xf4, 8),
        };
        self.out.put_u8(mark);
        self.out.put(bytes.get(..width).unwrap_or_default());
        self.end(start);
    }

    fn end(&mut self, start: usize) {
        let mut buf = [0; 5];
        let back = back_length(self.out.len() - start, &mut buf);
        self.out.put(back);
        self.count += 1;
    }

    /// Closes it.
    pub(super) fn finish(self) {
        self.out.put_u8(0xff);
        let total = (self.out.len() - self.start) as u32;
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        let [t0, t1, t2, t3] = total.to_le_bytes();
        let [c0, c1] = count.to_le_bytes();
        if let Some(head) = self.out.get_mut(self.start..).and_then(|b| b.first_chunk_mut()) {
            *head = [t0, t1, t2, t3, c0, c1];
        }
    }
}

/// Appends an intset of ascending integers.
pub(super) fn put_intset(out: &mut Vec<u8>, ints: &[i64]) {
    let fits = |bits: u32| ints.iter().all(|&n| n >> (bits - 1) == n >> 63);
    let width = if fits(16) {
        2
    } else if fits(32) {
        4
    } else {
        8
    };
    out.put_u32(width);
    out.put_count32(ints.len());
    for n in ints {
        out.put(n.to_le_bytes().get(..width as usize).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(block: &[u8]) -> Checked<Vec<Entry<'_>>> {
        let mut all = Vec::new();
        listpack(block, 0, |e| {
            all.push(e);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn every_width_of_integers_and_strings() {
        let mut out = Vec::new();
        let mut w = ListpackWriter::new(&mut out);
        let mut want = Vec::new();
        for bits in [6, 7, 11, 12, 13, 15, 16, 23, 24, 31, 32, 62] {
            for n in [(1i64 << bits) - 1, 1 << bits, -(1 << bits), -(1 << bits) - 1] {
                w.push_int(n);
                want.push(Entry::Int(n));
            }
        }
        for n in [i64::MIN, i64::MAX, 0] {
            w.push(n.to_string().as_bytes());
            want.push(Entry::Int(n));
        }
        let long = vec![b'x'; 3_000_000];
        for len in [0, 63, 64, 4095, 4096, 16_376, 16_377, 16_378, 2_097_144, 2_097_146, 3_000_000]
        {
            w.push(&long[..len]);
            want.push(Entry::Bytes(&long[..len]));
        }
        w.finish();
        assert!(entries(&out).unwrap() == want);
    }

    #[test]
    fn intset_widths() {
        for ints in [vec![-32768, 0, 32767], vec![-32769, 5], vec![32768], vec![i64::MIN, i64::MAX]]
        {
            let mut out = Vec::new();
            put_intset(&mut out, &ints);
            let mut back = Vec::new();
            intset(&out, 0, |n| {
                back.push(n);
                Ok(())
            })
            .unwrap();
            assert_eq!(back, ints);
        }
    }

    #[test]
    fn redundant_fields_are_checked() {
        let mut good = Vec::new();
        let mut w = ListpackWriter::new(&mut good);
        w.push(b"hello");
        w.push_int(1000);
        w.finish();
        assert!(entries(&good).is_ok());
        for at in 0..good.len() {
            if (7..12).contains(&at) {
                continue; // the letters
            }
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let outcome = entries(&bad).map(|e| e.len());
            // Only the value of the integer may change unnoticed.
            assert!(outcome.is_err() || at == 13 || at == 14, "byte {at}");
        }
    }
}
