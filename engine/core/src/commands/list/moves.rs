//! Moving elements from list to list.

use super::{end, popped, pushed};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::{Limits, List};
use moon_ds::chunklist::End;
use moon_formats::number::parse_i64;

/// LMOVE source destination LEFT|RIGHT LEFT|RIGHT
pub(super) fn lmove(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (from, to) = (end(a, 3)?, end(a, 4)?);
    if !move_one(cx, a.get(1), a.get(2), from, to)? {
        cx.out.null();
    }
    Ok(())
}

/// RPOPLPUSH source destination
pub(super) fn rpoplpush(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    if !move_one(cx, a.get(1), a.get(2), End::Back, End::Front)? {
        cx.out.null();
    }
    Ok(())
}

/// Moves one element and writes it; false if the source is not there.
pub(super) fn move_one(
    cx: &mut WriteCx<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
) -> CmdResult<bool> {
    let mut moved = Vec::new();
    if take(cx, source, destination, from, 1, &mut moved)? == 0 {
        return Ok(false);
    }
    transfer(cx, source, destination, from, to, &moved)?;
    cx.out.bulk(&moved[0]);
    Ok(true)
}

/// LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT|EXACTLY n OBO|BULK]
pub(super) fn lmovem(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let how = Several::parse(a, 5)?;
    if !how.run(cx, a.get(1), a.get(2))? {
        cx.out.null_array();
    }
    Ok(())
}

/// What LMOVEM and BLMOVEM are asked for.
pub(super) struct Several {
    from: End,
    to: End,
    n: usize,
    /// Nothing is moved unless there are `n`.
    exactly: bool,
    /// The elements keep their order; otherwise they are moved one by one.
    bulk: bool,
}

impl Several {
    /// Reads the arguments; `at` is the place of the options, which end the command.
    pub(super) fn parse(a: Args<'_>, at: usize) -> CmdResult<Self> {
        let (from, to) = (end(a, 3)?, end(a, 4)?);
        let mut how = Several { from, to, n: 1, exactly: false, bulk: false };
        if a.len() > at {
            how.exactly = a.is(at, "EXACTLY");
            how.bulk = a.is(at + 2, "BULK");
            let known = (how.exactly || a.is(at, "COUNT")) && (how.bulk || a.is(at + 2, "OBO"));
            if a.len() != at + 3 || !known {
                return Err(CmdError::SYNTAX);
            }
            how.n = parse_i64(a.get(at + 1))
                .filter(|n| *n > 0)
                .and_then(|n| usize::try_from(n).ok())
                .ok_or(CmdError::fixed("ERR count should be greater than 0"))?;
        }
        Ok(how)
    }

    /// Moves what there is and writes it in the order of the destination; false if the source
    /// does not have enough.
    pub(super) fn run(
        &self,
        cx: &mut WriteCx<'_>,
        source: &[u8],
        destination: &[u8],
    ) -> CmdResult<bool> {
        let Several { from, to, n, exactly, bulk } = *self;
        let mut moved = Vec::new();
        let there = take(cx, source, destination, from, n, &mut moved)?;
        if there == 0 || (exactly && there < n) {
            return Ok(false);
        }
        if bulk {
            // The block as it stood in the source, whichever end it left from.
            if from == End::Back {
                moved.reverse();
            }
            if to == End::Front {
                moved.reverse();
            }
        }
        transfer(cx, source, destination, from, to, &moved)?;
        if to == End::Front {
            moved.reverse();
        }
        cx.out.array(moved.len());
        moved.iter().for_each(|m| cx.out.bulk(m));
        Ok(true)
    }
}

/// Copies up to `n` elements from one end of a list, in the order in which they would be
/// popped. Changes nothing; both keys' types have been checked when it succeeds.
fn take(
    cx: &mut WriteCx<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    n: usize,
    moved: &mut Vec<Vec<u8>>,
) -> CmdResult<usize> {
    let Some(list) = cx.ks.collection::<List>(source)? else { return Ok(0) };
    let n = n.min(list.len());
    match from {
        End::Front => moved.extend(list.range(0, n).map(|i| i.to_vec())),
        End::Back => moved.extend(list.range_back(list.len() - 1, n).map(|i| i.to_vec())),
    }
    cx.ks.collection::<List>(destination)?;
    Ok(n)
}

/// Pushes what was taken, one after another, and removes it from its source. Within one list
/// that is one edit, so the key with its time to live stays.
fn transfer(
    cx: &mut WriteCx<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
    moved: &[Vec<u8>],
) -> CmdResult {
    let items = moved.iter().map(Vec::as_slice);
    let drop_taken = |list: &mut List, limits: &Limits| {
        let start = if from == End::Front { 0 } else { list.len() - moved.len() };
        list.remove_range(start, moved.len(), limits);
    };
    if source == destination {
        cx.ks.edit(source, |list: &mut List, edit| {
            drop_taken(list, edit.limits);
            list.push(to, items, edit.limits);
            edit.changed(pushed(to));
            edit.changed(popped(from));
            Ok(())
        })?;
        return Ok(());
    }
    cx.ks.edit_or_create(destination, |list: &mut List, edit| {
        list.push(to, items, edit.limits);
        edit.changed(pushed(to));
        Ok(())
    })?;
    cx.ks.edit(source, |list: &mut List, edit| {
        drop_taken(list, edit.limits);
        edit.changed(popped(from));
        Ok(())
    })?;
    cx.ks.count_as_one_change();
    Ok(())
}
