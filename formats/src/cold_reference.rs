//! Pages of the reference server's cold files (storage-formats §9.1 and §9.2). Read only.
//!
//! The one idea: a leaf holds keys with their values, or says on which page of the same file a value begins that is
//! too long for a leaf. What a page says is believed only after its checksum; everything in it is then still
//! held against the page's bounds.
//!
//! ```text
//! leaf      page header 64 bytes | free_start u16 | free_end u16 | kv_flags u16 | slot_count u16 |
//!           base_ts u32 | generation u32 | (offset u16 | len u16)*slot_count | free | entries
//! entry     key_len u16 | type u8 | flags u8 {1 TTL, 2 LZ4, 4 overflow, 8 tombstone} | [ttl_ms u64] |
//!           key =key_len | value_len u32 | value =value_len
//! value     LZ4: raw_len u32, block;  overflow: first page u32;  else the body
//! overflow  page header, whose next_page is 0 at the end | bytes of the value
//! ```
//!
//! Offsets of slots count from the start of the page. A string stands as bare bytes, other bodies as in
//! [`crate::value`]. Page version 2, in which key lengths may exceed 65534 and values may be zstd frames, is
//! native and refused here by number.

#![warn(clippy::indexing_slicing)]

use crate::bytes::Reader;
use crate::compress::unpack_lz4;
use crate::error::{Cause, DecodeError};
use crate::page::{HEADER_LEN, PAGE_LEN, Page, PageType, Versions};
use crate::value::{TtlTrailer, Value, ValueType};
use std::borrow::Cow;

/// Longest value.
pub const VALUE_LEN_MAX: usize = 512 << 20;
/// Versions of the pages.
const PAGES: Versions = Versions { newest: 1, sealed: 2 };
/// Bytes of a leaf before its slots.
const SLOTS_AT: usize = 80;
/// Bytes of a slot.
const SLOT_LEN: usize = 4;

/// Bits of an entry's flags.
mod entry_flags {
    pub(super) const TTL: u8 = 1;
    pub(super) const LZ4: u8 = 2;
    pub(super) const OVERFLOW: u8 = 4;
    pub(super) const TOMBSTONE: u8 = 8;
    pub(super) const KNOWN: u8 = 15;
}

/// A page of a cold file.
#[derive(Debug, Clone, PartialEq)]
pub enum ColdPage<'a> {
    /// Never written.
    Empty,
    /// Keys.
    Leaf(Leaf<'a>),
    /// A piece of a long value.
    Overflow {
        /// The piece.
        bytes: &'a [u8],
        /// Page of the next piece; 0 for none.
        next: u32,
    },
    /// Nothing that holds a key or a value.
    Other(PageType),
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf<'a> {
    /// Of two pages with the same key the one with the higher number holds.
    pub page_lsn: u64,
    /// Its keys, by slots.
    pub entries: Vec<ColdEntry<'a>>,
}

/// A key of a leaf.
#[derive(Debug, Clone, PartialEq)]
pub struct ColdEntry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Type of its value.
    pub kind: ValueType,
    /// When it expires, in milliseconds since 1970.
    pub expire_ms: Option<u64>,
    /// Where its value is.
    pub held: Held<'a>,
    /// Offset of the entry in the file.
    pub offset: u64,
}

/// Where the value of a key is.
#[derive(Debug, Clone, PartialEq)]
pub enum Held<'a> {
    /// There is none: the key was deleted.
    Deleted,
    /// Here.
    Body(Cow<'a, [u8]>),
    /// On overflow pages of the same file.
    Overflow {
        /// The first of them.
        page: u32,
    },
}

impl<'a> ColdPage<'a> {
    /// Reads the page at the start of `buf`, which lies at `offset` of its file.
    ///
    /// # Errors
    /// With the offset in the file; a page that is not there as a whole is [`DecodeError::is_truncated`].
    pub fn decode(buf: &'a [u8], offset: u64) -> Result<ColdPage<'a>, DecodeError> {
        let mut whole = Reader::new(buf, offset);
        let bytes = whole.bytes(PAGE_LEN, "cold page")?;
        if bytes.iter().all(|b| *b == 0) {
            return Ok(ColdPage::Empty);
        }
        let page = match Page::decode(bytes, offset, PAGES, None) {
            // Its length was checked above: pages of vectors are longer, and have no place in a cold file.
            Err(e) if e.is_truncated() => {
                let cause = Cause::Form { expected: "a page of 4096 bytes" };
                return Err(DecodeError::new(offset, "cold page", cause));
            }
            page => page?,
        };
        if page.header.flags & !crate::page::page_flags::DIRTY != 0
            && matches!(page.header.page_type, PageType::KvLeaf | PageType::KvOverflow)
        {
            let found = page.header.flags.into();
            let cause = Cause::Value { expected: "an uncompressed page", found };
            return Err(DecodeError::new(offset + 6, "page flags", cause));
        }
        Ok(match page.header.page_type {
            PageType::KvLeaf => ColdPage::Leaf(Leaf::read(bytes, &page, offset)?),
            PageType::KvOverflow => {
                ColdPage::Overflow { bytes: page.payload, next: page.header.next_page }
            }
            other => ColdPage::Other(other),
        })
    }
}

impl<'a> Leaf<'a> {
    fn read(bytes: &'a [u8], page: &Page<'a>, offset: u64) -> Result<Leaf<'a>, DecodeError> {
        // A checksum that covers less leaves entries out.
        let full = PAGE_LEN - HEADER_LEN;
        if page.payload.len() != full {
            let (expected, found) = (full as u64, page.payload.len() as u64);
            let cause = Cause::Mismatch { expected, found };
            return Err(DecodeError::new(offset + 20, "payload_bytes", cause));
        }
        let mut r = Reader::new(page.payload, page.offset);
        r.u16("free_start")?;
        r.u16("free_end")?;
        r.u16("kv_flags")?;
        let count_at = r.offset();
        let count = usize::from(r.u16("slot_count")?);
        let fits = (PAGE_LEN - SLOTS_AT) / SLOT_LEN;
        if count > fits {
            let cause = Cause::Count { count: count as u64, fits: fits as u64 };
            return Err(DecodeError::new(count_at, "slot_count", cause));
        }
        r.u32("base_ts")?;
        r.u32("generation")?;
        let first = SLOTS_AT + count * SLOT_LEN;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let slot_at = r.offset();
            let (at, len) =
                (usize::from(r.u16("slot offset")?), usize::from(r.u16("slot length")?));
            // A slot that was given up.
            if len == 0 {
                continue;
            }
            let entry = if at < first { None } else { bytes.get(at..at + len) };
            let Some(entry) = entry else {
                let cause =
                    Cause::Value { expected: "behind the slots, in the page", found: at as u64 };
                return Err(DecodeError::new(slot_at, "slot offset", cause));
            };
            entries.push(ColdEntry::read(entry, offset + at as u64)?);
        }
        Ok(Leaf { page_lsn: page.header.page_lsn, entries })
    }
}

impl<'a> ColdEntry<'a> {
    fn read(bytes: &'a [u8], offset: u64) -> Result<ColdEntry<'a>, DecodeError> {
        let mut r = Reader::new(bytes, offset);
        let key_len = usize::from(r.u16("key_len")?);
        let kind = kind(&mut r)?;
        let flags_at = r.offset();
        let flags = r.u8("entry flags")?;
        let has = |bit| flags & bit != 0;
        let unknown = flags & !entry_flags::KNOWN;
        if unknown != 0 {
            let cause = Cause::Newer { found: unknown.into() };
            return Err(DecodeError::new(flags_at, "entry flags", cause));
        }
        let ttl = if has(entry_flags::TTL) { r.u64("ttl_ms")? } else { 0 };
        let key = r.bytes(key_len, "key")?;
        let value = r.bytes32("value")?;
        let value_at = r.offset() - value.len() as u64;
        r.finish("entry")?;
        let held = if has(entry_flags::TOMBSTONE) {
            Held::Deleted
        } else if has(entry_flags::OVERFLOW) {
            if has(entry_flags::LZ4) {
                let cause = Cause::Value {
                    expected: "an overflow that is not compressed",
                    found: flags.into(),
                };
                return Err(DecodeError::new(flags_at, "entry flags", cause));
            }
            let mut r = Reader::new(value, value_at);
            let page = r.u32("first overflow page")?;
            r.finish("place of an overflow")?;
            Held::Overflow { page }
        } else if has(entry_flags::LZ4) {
            Held::Body(Cow::Owned(unpack_lz4(value, VALUE_LEN_MAX, value_at)?))
        } else {
            Held::Body(Cow::Borrowed(value))
        };
        Ok(ColdEntry { key, kind, expire_ms: (ttl != 0).then_some(ttl), held, offset })
    }
}

/// The type of an entry: what came after 5 is native.
fn kind(r: &mut Reader<'_>) -> Result<ValueType, DecodeError> {
    let at = r.offset();
    let code = r.u8("value type")?;
    ValueType::from_code(code)
        .filter(|kind| kind.code() <= ValueType::Stream.code())
        .ok_or_else(|| DecodeError::new(at, "value type", Cause::Newer { found: code.into() }))
}

/// Reads the body of a value. Offsets of errors are those in the body.
///
/// # Errors
/// The body is not one of this type, or more than one.
pub fn value(kind: ValueType, body: &[u8]) -> Result<Value<'_>, DecodeError> {
    if kind == ValueType::String {
        return Ok(Value::String(body));
    }
    let mut r = Reader::new(body, 0);
    let value = Value::read(&mut r, kind.code(), TtlTrailer::IfAny)?;
    r.finish("value body")?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cold_leaf;
    use proptest::prelude::*;

    /// An entry by the table of §9.1.
    fn entry(key: &[u8], kind: u8, flags: u8, ttl: Option<u64>, value: &[u8]) -> Vec<u8> {
        let mut bytes = (key.len() as u16).to_le_bytes().to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(ttl.into_iter().flat_map(u64::to_le_bytes));
        bytes.extend(key);
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(value);
        bytes
    }

    fn leaf(bytes: &[u8]) -> Result<Leaf<'_>, DecodeError> {
        match ColdPage::decode(bytes, 8192)? {
            ColdPage::Leaf(leaf) => Ok(leaf),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_leaf_gives_its_keys() {
        let packed = [&9u32.to_le_bytes()[..], b"\x90123456789"].concat();
        let bytes = cold_leaf(
            77,
            &[
                entry(b"plain", 0, 0, None, b"bare bytes"),
                entry(b"soon", 0, 1, Some(4_000_000_000_000), b"1"),
                entry(b"small", 0, 2, None, &packed),
                entry(b"long", 2, 4, None, &3u32.to_le_bytes()),
                entry(b"gone", 0, 8, None, b""),
            ],
        );
        let leaf = leaf(&bytes).expect("whole");
        assert_eq!(leaf.page_lsn, 77);
        let held: Vec<_> = leaf.entries.iter().map(|e| (e.key, e.held.clone())).collect();
        let body = |bytes: &'static [u8]| Held::Body(Cow::Borrowed(bytes));
        let want: [(&[u8], _); 5] = [
            (b"plain", body(b"bare bytes")),
            (b"soon", body(b"1")),
            (b"small", body(b"123456789")),
            (b"long", Held::Overflow { page: 3 }),
            (b"gone", Held::Deleted),
        ];
        assert_eq!(held, want);
        assert_eq!(leaf.entries[1].expire_ms, Some(4_000_000_000_000));
        assert_eq!(leaf.entries[3].kind, ValueType::List);
        // Entries grow down from the end of the page.
        assert_eq!(leaf.entries[0].offset, 8192 + 4096 - 23);
    }

    #[test]
    fn a_page_of_zeros_holds_nothing() {
        assert_eq!(ColdPage::decode(&[0; PAGE_LEN], 0), Ok(ColdPage::Empty));
        assert!(ColdPage::decode(&[0; PAGE_LEN - 1], 0).unwrap_err().is_truncated());
    }

    #[test]
    fn what_a_page_says_is_held_against_its_bounds() {
        let refused = |entries: &[Vec<u8>]| leaf(&cold_leaf(1, entries)).unwrap_err();
        for (bytes, what) in [
            (entry(b"k", 0, 16, None, b""), "entry flags"),
            (entry(b"k", 6, 0, None, b""), "value type"),
            (entry(b"k", 0, 4, None, b"abc"), "first overflow page"),
            (entry(b"k", 0, 4, None, b"abcde"), "place of an overflow"),
            (entry(b"k", 0, 6, None, b"abcd"), "entry flags"),
            (entry(b"k", 0, 2, None, b"\x09\0\0\0\x90"), "compressed payload"),
            (entry(b"k", 0, 2, None, b"\xff\xff\xff\xff\x90"), "raw_len"),
            (entry(b"k", 0, 1, None, b""), "ttl_ms"),
            (b"\xff\xff\0\0key".to_vec(), "key"),
            (b"\x01\0\0\0k\xff\0\0\0abc".to_vec(), "value"),
            ([entry(b"k", 0, 0, None, b"v"), vec![0]].concat(), "entry"),
        ] {
            let e = refused(&[bytes]);
            assert_eq!(e.what, what, "{e}");
            assert!(e.offset >= 8192, "{e}");
        }
    }

    /// Sets bytes of a page and its checksum anew.
    fn patched(mut bytes: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
        bytes[at..at + with.len()].copy_from_slice(with);
        let sum = crate::crc::crc32c(&bytes[HEADER_LEN..]);
        bytes[16..20].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn slots_that_point_elsewhere() {
        let good = cold_leaf(1, &[entry(b"k", 0, 0, None, b"v")]);
        for (at, with, what) in [
            (70, [0xff, 0xff], "slot_count"),
            // Into the slots, and behind the page.
            (80, [70, 0], "slot offset"),
            (80, [0xff, 0x0f], "slot offset"),
            (4, [2, 0x10], "header_crc"),
            (6, [2, 0], "page flags"),
        ] {
            let e = leaf(&patched(good.clone(), at, &with)).unwrap_err();
            assert_eq!(e.what, what, "{e}");
        }
        assert_eq!(leaf(&patched(good.clone(), 82, &[0, 0])).expect("given up").entries, []);
        let mut bad = good;
        bad[4000] ^= 1;
        assert_eq!(leaf(&bad).unwrap_err().what, "payload_crc");
    }

    #[test]
    fn old_hashes_end_without_times_to_live() {
        let old = [&1u32.to_le_bytes()[..], b"\x01\0\0\0f\x01\0\0\0v"].concat();
        for body in [old.clone(), [old.clone(), vec![0; 4]].concat()] {
            let Ok(Value::Hash(hash)) = value(ValueType::Hash, &body) else { panic!("a hash") };
            assert_eq!(hash.pairs.collect::<Vec<_>>(), [(&b"f"[..], &b"v"[..])]);
        }
        assert!(value(ValueType::Hash, &[old, vec![0; 5]].concat()).is_err());
        assert_eq!(value(ValueType::String, b"\xff").expect("any bytes"), Value::String(b"\xff"));
    }

    proptest! {
        #[test]
        fn damage_behind_a_good_checksum_never_panics(
            at in HEADER_LEN..PAGE_LEN,
            with in proptest::collection::vec(any::<u8>(), 1..24),
        ) {
            let entries = [
                entry(b"key", 0, 1, Some(5), b"value"),
                entry(b"packed", 0, 2, None, b"\x04\0\0\0\x40abcd"),
                entry(b"hash", 1, 0, None, b"\x01\0\0\0\x01\0\0\0f\x01\0\0\0v"),
            ];
            let with = &with[..with.len().min(PAGE_LEN - at)];
            crate::testing::cold_page(&patched(cold_leaf(1, &entries), at, with));
        }
    }
}
