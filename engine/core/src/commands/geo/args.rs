//! Arguments of the searches, in the order in which Redis reads and refuses them.

use super::hash::{Position, centroid};
use super::shape::{Region, Shape, on_grid};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::types::ZSet;
use moon_formats::number::parse_score;

/// Order of a result by distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Any,
    Nearest,
    Farthest,
}

/// What a search is to do with what it finds.
pub(super) struct Options<'a> {
    /// `None` if the key does not exist, when the reply is known without a search.
    pub(super) region: Option<Region>,
    pub(super) with_dist: bool,
    pub(super) with_hash: bool,
    pub(super) with_coord: bool,
    pub(super) order: Order,
    /// Most results; 0 for all.
    pub(super) count: usize,
    /// Any results will do, not only the nearest.
    pub(super) any: bool,
    /// Where the result goes, if not to the client.
    pub(super) store: Option<&'a [u8]>,
    /// Scores of the stored result are distances.
    pub(super) store_dist: bool,
}

/// Which search it is, and with it which words it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS; `store`: it may write.
    Radius { store: bool },
    /// GEORADIUSBYMEMBER.
    RadiusByMember { store: bool },
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

impl Form {
    /// Argument of the key that is searched.
    pub(super) fn source(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }

    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(self, Form::Radius { store: true } | Form::RadiusByMember { store: true })
    }
}

/// Metres of a unit of length.
pub(super) fn metres_of(unit: &[u8]) -> CmdResult<f64> {
    [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)]
        .into_iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, metres)| metres)
        .ok_or(CmdError::fixed("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Longitude and latitude at arguments `i` and `i + 1`.
pub(super) fn position(a: Args<'_>, i: usize) -> CmdResult<Position> {
    let degrees = |i| parse_score(a.get(i)).ok_or(CmdError::NOT_FLOAT);
    let p = Position { lon: degrees(i)?, lat: degrees(i + 1)? };
    if !on_grid(p) {
        return Err(CmdError::text(format!(
            "ERR invalid longitude,latitude pair {:.6},{:.6}",
            p.lon, p.lat
        )));
    }
    Ok(p)
}

fn position_of(set: &ZSet, member: &[u8]) -> CmdResult<Position> {
    set.score(member)
        .map(Position::of_score)
        .ok_or(CmdError::fixed("ERR could not decode requested zset member"))
}

fn length(a: Args<'_>, i: usize, missing: &'static str) -> CmdResult<f64> {
    parse_score(a.get(i)).ok_or(CmdError::fixed(missing))
}

/// `radius unit` at argument `i`: the circle and the metres of its unit.
fn circle(a: Args<'_>, i: usize) -> CmdResult<(Shape, f64)> {
    let radius = length(a, i, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CmdError::fixed("ERR radius cannot be negative"));
    }
    let unit = metres_of(a.get(i + 1))?;
    Ok((Shape::Circle { radius: radius * unit }, unit))
}

/// `width height unit` at argument `i`.
fn rectangle(a: Args<'_>, i: usize) -> CmdResult<(Shape, f64)> {
    let width = length(a, i, "ERR need numeric width")?;
    let height = length(a, i + 1, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(CmdError::fixed("ERR height or width cannot be negative"));
    }
    let unit = metres_of(a.get(i + 2))?;
    Ok((Shape::Box { width: width * unit, height: height * unit }, unit))
}

/// `num-vertices longitude latitude ...` at argument `i`: the points, and how many words they were.
fn polygon(a: Args<'_>, i: usize) -> CmdResult<(Vec<Position>, usize)> {
    let n = a.int(i).map_err(|_| CmdError::fixed("ERR invalid number of vertices"))?;
    let room = a.from(i + 1).len() / 2;
    let n = usize::try_from(n)
        .ok()
        .filter(|n| (3..=room).contains(n))
        .ok_or(CmdError::fixed("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"))?;
    let points = (0..n).map(|k| position(a, i + 1 + k * 2)).collect::<CmdResult<Vec<_>>>()?;
    Ok((points, 1 + n * 2))
}

impl<'a> Options<'a> {
    /// Reads the arguments of a search of `set`, which is `None` if there is no such key.
    pub(super) fn parse(form: Form, a: Args<'a>, set: Option<&ZSet>) -> CmdResult<Self> {
        let mut o = Options {
            region: None,
            with_dist: false,
            with_hash: false,
            with_coord: false,
            order: Order::Any,
            count: 0,
            any: false,
            store: None,
            store_dist: false,
        };
        // Of a missing key, what stands for the member is not looked at.
        let mut centre = None;
        let (mut shape, mut polygon_given) = (None, false);
        let mut i = match form {
            Form::Radius { .. } => {
                centre = Some(position(a, 2)?);
                shape = Some(circle(a, 4)?);
                6
            }
            Form::RadiusByMember { .. } => {
                if let Some(set) = set {
                    centre = Some(position_of(set, a.get(2))?);
                    shape = Some(circle(a, 3)?);
                }
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                o.store = Some(a.get(1));
                3
            }
        };
        let (mut by_radius, mut by_box) = (false, false);
        let (mut by_member, mut by_position) = (false, false);
        while i < a.len() {
            let left = a.len() - i - 1;
            let search = form.is_search();
            i += 1;
            match () {
                () if a.is(i - 1, "WITHDIST") => o.with_dist = true,
                () if a.is(i - 1, "WITHHASH") => o.with_hash = true,
                () if a.is(i - 1, "WITHCOORD") => o.with_coord = true,
                () if a.is(i - 1, "ANY") => o.any = true,
                () if a.is(i - 1, "ASC") => o.order = Order::Nearest,
                () if a.is(i - 1, "DESC") => o.order = Order::Farthest,
                () if left >= 1 && a.is(i - 1, "COUNT") => {
                    let count = usize::try_from(a.int(i)?).ok().filter(|n| *n > 0);
                    o.count = count.ok_or(CmdError::fixed("ERR COUNT must be > 0"))?;
                    i += 1;
                }
                () if left >= 1 && form.may_store() && a.is(i - 1, "STORE") => {
                    (o.store, o.store_dist) = (Some(a.get(i)), false);
                    i += 1;
                }
                () if left >= 1 && form.may_store() && a.is(i - 1, "STOREDIST") => {
                    (o.store, o.store_dist) = (Some(a.get(i)), true);
                    i += 1;
                }
                () if form == Form::SearchStore && a.is(i - 1, "STOREDIST") => o.store_dist = true,
                () if search
                    && left >= 1
                    && !by_position
                    && !polygon_given
                    && a.is(i - 1, "FROMMEMBER") =>
                {
                    by_member = true;
                    if let Some(set) = set {
                        centre = Some(position_of(set, a.get(i))?);
                    }
                    i += 1;
                }
                () if search
                    && left >= 2
                    && !by_member
                    && !polygon_given
                    && a.is(i - 1, "FROMLONLAT") =>
                {
                    by_position = true;
                    centre = Some(position(a, i)?);
                    i += 2;
                }
                () if search
                    && left >= 2
                    && !by_box
                    && !polygon_given
                    && a.is(i - 1, "BYRADIUS") =>
                {
                    by_radius = true;
                    shape = Some(circle(a, i)?);
                    i += 2;
                }
                () if search
                    && left >= 3
                    && !by_radius
                    && !polygon_given
                    && a.is(i - 1, "BYBOX") =>
                {
                    by_box = true;
                    shape = Some(rectangle(a, i)?);
                    i += 3;
                }
                () if search
                    && left >= 2
                    && !(by_radius || by_box || by_member || by_position)
                    && a.is(i - 1, "BYPOLYGON") =>
                {
                    polygon_given = true;
                    let (points, words) = polygon(a, i)?;
                    centre = Some(centroid(&points));
                    shape = Some((Shape::Polygon(points), 1.0));
                    i += words;
                }
                () => return Err(CmdError::SYNTAX),
            }
        }
        let from = by_member || by_position || polygon_given;
        o.check(form, a, from, by_radius || by_box || polygon_given)?;
        if o.count > 0 && o.order == Order::Any && !o.any {
            // The nearest so many are meant.
            o.order = Order::Nearest;
        }
        if let (Some(_), Some(centre), Some((shape, unit))) = (set, centre, shape) {
            o.region = Some(Region { shape, centre, unit });
        }
        Ok(o)
    }

    fn check(&self, form: Form, a: Args<'_>, from: bool, by: bool) -> CmdResult {
        let name = || String::from_utf8_lossy(a.get(0));
        if self.store.is_some() && (self.with_dist || self.with_hash || self.with_coord) {
            let what = match form {
                Form::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(CmdError::text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        if form.is_search() && !from {
            return Err(CmdError::text(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {}",
                name()
            )));
        }
        if form.is_search() && !by {
            return Err(CmdError::text(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {}",
                name()
            )));
        }
        if self.any && self.count == 0 {
            return Err(CmdError::fixed("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }
}
