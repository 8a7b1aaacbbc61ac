//! LCS: the longest common subsequence of two strings, by the textbook table.

use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::ReadCx;
use moon_formats::number::Digits;

struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: u64,
}

fn options(a: Args<'_>) -> CmdResult<Options> {
    let mut o = Options { len: false, idx: false, with_match_len: false, min_match_len: 0 };
    let mut i = 3;
    while i < a.len() {
        if a.is(i, "IDX") {
            o.idx = true;
        } else if a.is(i, "LEN") {
            o.len = true;
        } else if a.is(i, "WITHMATCHLEN") {
            o.with_match_len = true;
        } else if a.is(i, "MINMATCHLEN") && i + 1 < a.len() {
            o.min_match_len = a.int(i + 1)?.max(0) as u64;
            i += 1;
        } else {
            return Err(CmdError::SYNTAX);
        }
        i += 1;
    }
    if o.len && o.idx {
        return Err(CmdError::fixed(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    Ok(o)
}

/// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]
pub(super) fn lcs(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let (first, second) = (cx.ks.string(a.get(1)), cx.ks.string(a.get(2)));
    let (Ok(first), Ok(second)) = (first, second) else {
        return Err(CmdError::fixed("ERR The specified keys must contain string values"));
    };
    let o = options(a)?;
    let mut bufs = (Digits::new(), Digits::new());
    let s = first.map_or(&b""[..], |v| v.bytes(&mut bufs.0));
    let t = second.map_or(&b""[..], |v| v.bytes(&mut bufs.1));
    let table = Table::build(s, t, cx.ks.limits.proto_max_bulk_len)?;
    let total = i64::from(table.at(s.len(), t.len()));
    if o.len {
        cx.out.int(total);
    } else if o.idx {
        cx.out.map(2);
        cx.out.bulk(b"matches");
        let at = cx.out.defer();
        let mut n = 0;
        table.walk(s, t, |m| {
            if u64::from(m.len()) < o.min_match_len {
                return;
            }
            cx.out.array(if o.with_match_len { 3 } else { 2 });
            for (start, end) in [m.first, m.second] {
                cx.out.array(2);
                cx.out.int(i64::from(start));
                cx.out.int(i64::from(end));
            }
            if o.with_match_len {
                cx.out.int(i64::from(m.len()));
            }
            n += 1;
        });
        cx.out.array_at(at, n);
        cx.out.bulk(b"len");
        cx.out.int(total);
    } else {
        // Ranges come from the end to the start, each is copied to its place in the result.
        let mut common = vec![0u8; total as usize];
        let mut end = common.len();
        table.walk(s, t, |m| {
            let range = &s[m.first.0 as usize..=m.first.1 as usize];
            common[end - range.len()..end].copy_from_slice(range);
            end -= range.len();
        });
        cx.out.bulk(&common);
    }
    Ok(())
}

/// A run of bytes that both strings have, first and last index in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    first: (u32, u32),
    second: (u32, u32),
}

impl Match {
    fn len(&self) -> u32 {
        self.first.1 - self.first.0 + 1
    }
}

/// Lengths of the common subsequences of all prefixes, row by row.
struct Table {
    width: usize,
    cells: Vec<u32>,
}

impl Table {
    fn build(s: &[u8], t: &[u8], bytes_max: usize) -> CmdResult<Table> {
        if s.len().max(t.len()) >= u32::MAX as usize - 1 {
            return Err(CmdError::fixed("ERR String too long for LCS"));
        }
        let width = t.len() + 1;
        let cells = (s.len() + 1)
            .checked_mul(width)
            .filter(|n| n.checked_mul(4).is_some_and(|bytes| bytes <= bytes_max))
            .ok_or(CmdError::fixed(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ))?;
        let mut table = Table { width, cells: vec![0; cells] };
        for (i, a) in s.iter().enumerate() {
            let (above, row) = table.cells[i * width..(i + 2) * width].split_at_mut(width);
            for (j, b) in t.iter().enumerate() {
                row[j + 1] = if a == b { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
        Ok(table)
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// Calls `f` for the runs of the subsequence from the last to the first. Among subsequences
    /// of equal length the one is taken that Redis takes: back in the first string only where
    /// that keeps strictly more.
    fn walk(&self, s: &[u8], t: &[u8], mut f: impl FnMut(Match)) {
        let (mut i, mut j) = (s.len(), t.len());
        let mut run: Option<Match> = None;
        while i > 0 && j > 0 {
            if s[i - 1] == t[j - 1] {
                i -= 1;
                j -= 1;
                let (x, y) = (i as u32, j as u32);
                match &mut run {
                    Some(m) => (m.first.0, m.second.0) = (x, y),
                    None => run = Some(Match { first: (x, x), second: (y, y) }),
                }
                continue;
            }
            if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
            run.take().into_iter().for_each(&mut f);
        }
        run.into_iter().for_each(f);
    }
}
