//! Members and their positions.

use super::args::{metres_of, position};
use super::hash::Position;
use crate::args::Args;
use crate::commands::zset;
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, WriteCx};
use crate::types::ZSet;
use moon_formats::resp::Reply;

/// GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]
///
/// The score follows from the words by exact arithmetic, so they are logged as they are.
pub(super) fn geoadd(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let mut options = zset::AddOptions::default();
    let mut at = 2;
    while at < a.len() {
        match () {
            () if a.is(at, "NX") => options.nx = true,
            () if a.is(at, "XX") => options.xx = true,
            () if a.is(at, "CH") => options.ch = true,
            () => break,
        }
        at += 1;
    }
    let words = a.from(at);
    if words.is_empty() || !words.len().is_multiple_of(3) || (options.nx && options.xx) {
        return Err(CmdError::SYNTAX);
    }
    // All positions are read before anything changes. One, the usual case, needs no list.
    let score = |i: usize| position(a, at + i * 3).map(Position::score);
    let first = score(0)?;
    let others = (1..words.len() / 3).map(score).collect::<CmdResult<Vec<f64>>>()?;
    let scores = std::iter::once(first).chain(others);
    let members = words.iter().skip(2).step_by(3).copied();
    zset::add_scored(cx, a.get(1), options, words.len() / 3, scores.zip(members))
}

/// Writes a distance with four digits behind the point.
pub(super) fn put_distance(out: &mut Reply<'_>, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even() as u64;
    out.bulk(format!("{}.{:04}", scaled / 10_000, scaled % 10_000).as_bytes());
}

pub(super) fn put_position(out: &mut Reply<'_>, p: Position) {
    out.array(2);
    out.double(p.lon);
    out.double(p.lat);
}

/// GEODIST key member1 member2 [M | KM | FT | MI]
pub(super) fn geodist(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let unit = match a.len() {
        4 => 1.0,
        5 => metres_of(a.get(4))?,
        _ => return Err(CmdError::SYNTAX),
    };
    let set = cx.ks.collection::<ZSet>(a.get(1))?;
    let position = |member| set.and_then(|s| s.score(member)).map(Position::of_score);
    match (position(a.get(2)), position(a.get(3))) {
        (Some(from), Some(to)) => put_distance(&mut cx.out, from.distance(to) / unit),
        _ => cx.out.null(),
    }
    Ok(())
}

/// GEOHASH key [member ...]
pub(super) fn geohash(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    each(cx, a, |out, p| match p {
        Some(p) => out.bulk(&p.text()),
        None => out.null(),
    })
}

/// GEOPOS key [member ...]
pub(super) fn geopos(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    each(cx, a, |out, p| match p {
        Some(p) => put_position(out, p),
        None => out.null_array(),
    })
}

fn each(
    cx: &mut ReadCx<'_>,
    a: Args<'_>,
    put: impl Fn(&mut Reply<'_>, Option<Position>),
) -> CmdResult {
    let set = cx.ks.collection::<ZSet>(a.get(1))?;
    let members = a.from(2);
    cx.out.array(members.len());
    for member in members {
        put(&mut cx.out, set.and_then(|s| s.score(member)).map(Position::of_score));
    }
    Ok(())
}
