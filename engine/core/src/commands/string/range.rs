//! Parts of strings.

use super::{APPEND, SETRANGE, check_length};
use crate::args::Args;
use crate::db::Ttl;
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, WriteCx};
use moon_formats::number::Digits;

/// APPEND key value
pub(super) fn append(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, tail) = (a.get(1), a.get(2));
    let old = cx.ks.string(key)?.map(|v| v.len());
    let Some(old) = old else {
        // A new key is stored as SET would.
        cx.ks.put_string(key, tail, Ttl::Clear, APPEND);
        cx.out.int(tail.len() as i64);
        return Ok(());
    };
    check_length(&cx.ks, old as u64 + tail.len() as u64)?;
    let len = cx.ks.edit_bytes(key, APPEND, |bytes| {
        bytes.append(tail);
        Ok((bytes.len(), true))
    })?;
    cx.out.int(len as i64);
    Ok(())
}

/// SETRANGE key offset value
pub(super) fn setrange(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (key, part) = (a.get(1), a.get(3));
    let offset =
        u64::try_from(a.int(2)?).map_err(|_| CmdError::fixed("ERR offset is out of range"))?;
    let old = cx.ks.string(key)?.map_or(0, |v| v.len());
    if part.is_empty() {
        cx.out.int(old as i64);
        return Ok(());
    }
    let end = offset + part.len() as u64;
    check_length(&cx.ks, end)?;
    let (start, end) = match (usize::try_from(offset), usize::try_from(end)) {
        (Ok(start), Ok(end)) => (start, end),
        _ => return Err(CmdError::TOO_LONG),
    };
    let len = cx.ks.edit_bytes(key, SETRANGE, |bytes| {
        if bytes.len() < end {
            bytes.resize(end);
        }
        bytes[start..end].copy_from_slice(part);
        Ok((bytes.len(), true))
    })?;
    cx.out.int(len as i64);
    Ok(())
}

/// GETRANGE key start end; SUBSTR is its old name
pub(super) fn getrange(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let (start, end) = (a.int(2)?, a.int(3)?);
    let mut buf = Digits::new();
    let bytes = match cx.ks.string(a.get(1))? {
        Some(v) => v.bytes(&mut buf),
        None => b"",
    };
    cx.out.bulk(part(bytes, start, end));
    Ok(())
}

/// Bytes `start..=end`, negative numbers counting from the end (-1 is the last byte). A start
/// before the first byte means the first byte, an end before it nothing.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let len = bytes.len() as i64;
    let index = |i: i64| if i < 0 { i + len } else { i };
    let (start, end) = (index(start).max(0), index(end).min(len - 1));
    if end < 0 || start > end { b"" } else { &bytes[start as usize..=end as usize] }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts() {
        for (start, end, want) in [
            (0, -1, "abcde"),
            (0, 3, "abcd"),
            (-4, -1, "bcde"),
            (-1, -3, ""),
            (7, 8, ""),
            (1, 1, "b"),
            (-100, 100, "abcde"),
            (0, -100, ""),
            (0, -5, "a"),
            (1, -100, ""),
            (-1, -100, ""),
            (-100, -6, ""),
            (-100, -5, "a"),
            (-100, -101, ""),
            (i64::MIN, i64::MAX, "abcde"),
            (i64::MAX, i64::MIN, ""),
        ] {
            assert_eq!(part(b"abcde", start, end), want.as_bytes(), "{start} {end}");
        }
        assert_eq!(part(b"", 0, -1), b"");
    }
}
