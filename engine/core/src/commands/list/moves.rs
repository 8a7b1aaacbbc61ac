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
    move_one(cx, a.get(1), a.get(2), from, to)
}

/// RPOPLPUSH source destination
pub(super) fn rpoplpush(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    move_one(cx, a.get(1), a.get(2), End::Back, End::Front)
}

fn move_one(
    cx: &mut WriteCx<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
) -> CmdResult {
    let mut moved = Vec::new();
    if take(cx, source, destination, from, 1, &mut moved)? == 0 {
        cx.out.null();
        return Ok(());
    }
    transfer(cx, source, destination, from, to, &moved)?;
    cx.out.bulk(&moved[0]);
    Ok(())
}

/// LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT|EXACTLY n OBO|BULK]. OBO moves one by
/// one, BULK keeps the order the elements had; the reply is in the order of the destination.
pub(super) fn lmovem(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (from, to) = (end(a, 3)?, end(a, 4)?);
    let (mut n, mut exactly, mut bulk) = (1usize, false, false);
    if a.len() > 5 {
        exactly = a.is(5, "EXACTLY");
        bulk = a.is(7, "BULK");
        if a.len() != 8 || !(exactly || a.is(5, "COUNT")) || !(bulk || a.is(7, "OBO")) {
            return Err(CmdError::SYNTAX);
        }
        n = parse_i64(a.get(6))
            .filter(|n| *n > 0)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(CmdError::fixed("ERR count should be greater than 0"))?;
    }
    let (source, destination) = (a.get(1), a.get(2));
    let mut moved = Vec::new();
    let there = take(cx, source, destination, from, n, &mut moved)?;
    if there == 0 || (exactly && there < n) {
        cx.out.null_array();
        return Ok(());
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
    Ok(())
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
    Ok(())
}
