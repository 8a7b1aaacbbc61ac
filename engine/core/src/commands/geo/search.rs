//! Searches: the cells that cover a region are walked in the sorted set, and what lies outside is left out.

use super::args::{Form, Options, Order};
use super::hash::Position;
use super::point::{put_distance, put_position};
use super::shape::Region;
use crate::args::Args;
use crate::commands::put_item;
use crate::error::CmdResult;
use crate::event::{Class, Event};
use crate::exec::{ReadCx, WriteCx};
use crate::types::{Item, ItemBuf, Limits, ScoreRange, ZSet};
use moon_formats::number::write_score;
use moon_formats::resp::Reply;

const GEORADIUSSTORE: Event = Event::new(Class::ZSET, "georadiusstore");
const GEOSEARCHSTORE: Event = Event::new(Class::ZSET, "geosearchstore");

/// Members named in one logged ZADD.
const ZADD_BATCH: usize = 1024;

/// A member inside the region.
struct Found<'a> {
    member: Item<'a>,
    score: f64,
    position: Position,
    /// In metres, from the centre.
    distance: f64,
}

/// The members that the options ask for, in their order.
fn find<'a>(set: &'a ZSet, region: &Region, o: &Options<'_>) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    let enough = if o.any { o.count } else { usize::MAX };
    'cells: for cell in region.cells() {
        let (min, max) = cell.scores();
        let range = ScoreRange { min, max, min_exclusive: false, max_exclusive: true };
        for (member, score) in set.range(set.by_score(&range)) {
            let position = Position::of_score(score);
            if let Some(distance) = region.distance(position) {
                found.push(Found { member, score, position, distance });
                if found.len() >= enough {
                    break 'cells;
                }
            }
        }
    }
    let wanted = if o.count == 0 { found.len() } else { o.count.min(found.len()) };
    let by_distance = |a: &Found<'_>, b: &Found<'_>| match o.order {
        Order::Farthest => b.distance.total_cmp(&a.distance),
        _ => a.distance.total_cmp(&b.distance),
    };
    if o.order != Order::Any {
        if wanted < found.len() && wanted > 0 {
            found.select_nth_unstable_by(wanted - 1, by_distance);
            found.truncate(wanted);
        }
        found.sort_by(by_distance);
    }
    found.truncate(wanted);
    found
}

/// Writes the result to the client.
fn reply(out: &mut Reply<'_>, found: &[Found<'_>], o: &Options<'_>, unit: f64) {
    let extras = usize::from(o.with_dist) + usize::from(o.with_hash) + usize::from(o.with_coord);
    out.array(found.len());
    for f in found {
        if extras > 0 {
            out.array(1 + extras);
        }
        put_item(out, f.member);
        if o.with_dist {
            put_distance(out, f.distance / unit);
        }
        if o.with_hash {
            out.int(f.score as i64);
        }
        if o.with_coord {
            put_position(out, f.position);
        }
    }
}

fn read(cx: &mut ReadCx<'_>, a: Args<'_>, form: Form) -> CmdResult {
    let set = cx.ks.collection::<ZSet>(a.get(form.source()))?;
    let o = Options::parse(form, a, set)?;
    match (set, &o.region) {
        (Some(set), Some(region)) => {
            reply(&mut cx.out, &find(set, region, &o), &o, region.unit);
        }
        _ => cx.out.array(0),
    }
    Ok(())
}

/// What is to be stored: members with the scores they get.
struct Stored {
    set: ZSet,
    /// The same as words of ZADD.
    words: Vec<Vec<u8>>,
}

fn stored(found: &[Found<'_>], o: &Options<'_>, unit: f64, limits: &Limits) -> Stored {
    let longest = found.iter().map(|f| f.member.len()).max().unwrap_or(0);
    let mut set = ZSet::new();
    set.will_add(found.len(), longest, limits);
    let mut buf = ItemBuf::new();
    let mut words = Vec::with_capacity(found.len() * 2);
    for f in found {
        let score = if o.store_dist { f.distance / unit } else { f.score };
        let member = f.member.as_bytes(&mut buf);
        set.add(member, score, limits);
        let mut text = Vec::new();
        write_score(&mut text, score);
        words.extend([text, member.to_vec()]);
    }
    Stored { set, words }
}

fn write(cx: &mut WriteCx<'_>, a: Args<'_>, form: Form, event: Event) -> CmdResult {
    let limits = cx.ks.limits;
    let source = a.get(form.source());
    let found = cx.ks.exists(source);
    cx.ks.count_look(source, found);
    let set = cx.ks.collection::<ZSet>(source)?;
    let o = Options::parse(form, a, set)?;
    let found = match (set, &o.region) {
        (Some(set), Some(region)) => find(set, region, &o),
        _ => Vec::new(),
    };
    let unit = o.region.as_ref().map_or(1.0, |r| r.unit);
    let Some(key) = o.store else {
        reply(&mut cx.out, &found, &o, unit);
        return Ok(());
    };
    let n = found.len();
    let Stored { set, words } = stored(&found, &o, unit, limits);
    let replaced = cx.ks.put_collection(key, set, event);
    if n > 0 {
        // What the sine of this machine decided is logged as members and scores.
        if replaced {
            cx.ks.removal_effect(key);
        }
        for batch in words.chunks(ZADD_BATCH * 2) {
            let mut form: Vec<&[u8]> = vec![b"ZADD", key];
            form.extend(batch.iter().map(Vec::as_slice));
            cx.ks.effect(&form);
        }
    } else if replaced {
        cx.ks.removal_effect(key);
    }
    cx.out.int(n as i64);
    Ok(())
}

/// GEORADIUS key longitude latitude radius unit [option ...]
pub(super) fn georadius(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    write(cx, a, Form::Radius { store: true }, GEORADIUSSTORE)
}

/// GEORADIUS_RO key longitude latitude radius unit [option ...]
pub(super) fn georadius_ro(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Form::Radius { store: false })
}

/// GEORADIUSBYMEMBER key member radius unit [option ...]
pub(super) fn georadiusbymember(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    write(cx, a, Form::RadiusByMember { store: true }, GEORADIUSSTORE)
}

/// GEORADIUSBYMEMBER_RO key member radius unit [option ...]
pub(super) fn georadiusbymember_ro(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Form::RadiusByMember { store: false })
}

/// GEOSEARCH key <centre> <shape> [option ...]
pub(super) fn geosearch(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    read(cx, a, Form::Search)
}

/// GEOSEARCHSTORE destination source <centre> <shape> [option ...]
pub(super) fn geosearchstore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    write(cx, a, Form::SearchStore, GEOSEARCHSTORE)
}
