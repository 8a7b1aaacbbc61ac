//! Positions as numbers: the 52-bit geohash that is the score of a member.
//!
//! Longitude and latitude are halved in turn, one bit each, 26 steps for a whole hash; a hash of fewer
//! steps names a cell, and the cells next to it are found by arithmetic on its bits. All of this is
//! addition, multiplication and division, so the hash of a position is the same on every machine.
//! Distances are not: they need the sine. What they decide is logged as scores, not as a question.

/// Limits of EPSG:3857: the projection of web maps does not reach the poles.
pub(super) const LON: Span = Span { min: -180.0, max: 180.0 };
pub(super) const LAT: Span = Span { min: -85.051_128_78, max: 85.051_128_78 };

/// Steps of a whole hash.
pub(super) const STEPS: u32 = 26;

/// Mean radius of the Earth, in metres, as Redis has it.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Half the width of the projected world, in metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// A range of degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Span {
    fn size(self) -> f64 {
        self.max - self.min
    }

    /// Which of the `2^steps` parts a value lies in.
    fn part(self, value: f64, steps: u32) -> u32 {
        ((value - self.min) / self.size() * (1u64 << steps) as f64) as u32
    }

    /// The range of a part.
    fn of_part(self, part: u32, steps: u32) -> Span {
        let parts = (1u64 << steps) as f64;
        let edge = |n: u64| self.min + n as f64 / parts * self.size();
        Span { min: edge(u64::from(part)), max: edge(u64::from(part) + 1) }
    }
}

/// Degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Position {
    pub(super) lon: f64,
    pub(super) lat: f64,
}

impl Position {
    /// The position that a score stands for: the middle of its cell.
    pub(super) fn of_score(score: f64) -> Position {
        Cell { bits: score as u64, steps: STEPS }.area().middle()
    }

    /// The score of the position.
    pub(super) fn score(self) -> f64 {
        Cell::around(self, STEPS, LON, LAT).bits as f64
    }

    /// Metres between two positions, along the surface.
    pub(super) fn distance(self, other: Position) -> f64 {
        let v = ((other.lon.to_radians_exactly() - self.lon.to_radians_exactly()) / 2.0).sin();
        // On one meridian the difference of latitudes is the angle itself.
        if v == 0.0 {
            return self.lat_distance(other);
        }
        let (lat1, lat2) = (self.lat.to_radians_exactly(), other.lat.to_radians_exactly());
        let u = ((lat2 - lat1) / 2.0).sin();
        let a = u * u + lat1.cos() * lat2.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }

    /// Metres between the latitudes of two positions.
    pub(super) fn lat_distance(self, other: Position) -> f64 {
        EARTH_RADIUS * (other.lat.to_radians_exactly() - self.lat.to_radians_exactly()).abs()
    }

    /// The position as the usual geohash of eleven characters, which has the poles in it.
    pub(super) fn text(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::around(self, STEPS, LON, Span { min: -90.0, max: 90.0 }).bits;
        // 52 bits make ten characters and two bits more; the eleventh has always been zero.
        let mut text = [ALPHABET[0]; 11];
        for (i, c) in text.iter_mut().take(10).enumerate() {
            *c = ALPHABET[(bits >> (52 - (i + 1) * 5)) as usize & 0x1f];
        }
        text
    }
}

/// Degrees to radians and back by the same single factor as Redis, so that distances have the same digits.
trait Radians {
    fn to_radians_exactly(self) -> f64;
    fn to_degrees_exactly(self) -> f64;
}

const DEGREE: f64 = std::f64::consts::PI / 180.0;

impl Radians for f64 {
    fn to_radians_exactly(self) -> f64 {
        self * DEGREE
    }

    fn to_degrees_exactly(self) -> f64 {
        self / DEGREE
    }
}

/// Degrees of latitude that a distance in metres covers.
pub(super) fn lat_degrees(metres: f64) -> f64 {
    (metres / EARTH_RADIUS).to_degrees_exactly()
}

/// Degrees of longitude that a distance in metres covers at a latitude.
pub(super) fn lon_degrees(metres: f64, lat: f64) -> f64 {
    (metres / EARTH_RADIUS / lat.to_radians_exactly().cos()).to_degrees_exactly()
}

/// The middle of positions on the sphere.
pub(super) fn centroid(points: &[Position]) -> Position {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for p in points {
        let (lon, lat) = (p.lon.to_radians_exactly(), p.lat.to_radians_exactly());
        x += lat.cos() * lon.cos();
        y += lat.cos() * lon.sin();
        z += lat.sin();
    }
    Position { lon: y.atan2(x).to_degrees_exactly(), lat: z.atan2(x.hypot(y)).to_degrees_exactly() }
}

/// A rectangle in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) lon: Span,
    pub(super) lat: Span,
}

impl Area {
    fn middle(self) -> Position {
        Position {
            lon: ((self.lon.min + self.lon.max) / 2.0).clamp(LON.min, LON.max),
            lat: ((self.lat.min + self.lat.max) / 2.0).clamp(LAT.min, LAT.max),
        }
    }
}

/// A cell of the grid of `2^steps` by `2^steps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    steps: u32,
}

impl Cell {
    fn around(p: Position, steps: u32, lon: Span, lat: Span) -> Cell {
        let bits = interleave(lat.part(p.lat, steps), lon.part(p.lon, steps));
        Cell { bits, steps }
    }

    /// The cell of a position.
    pub(super) fn of(p: Position, steps: u32) -> Cell {
        Cell::around(p, steps, LON, LAT)
    }

    /// The rectangle it covers.
    pub(super) fn area(self) -> Area {
        let (lat, lon) = (squash(self.bits), squash(self.bits >> 1));
        Area { lon: LON.of_part(lon, self.steps), lat: LAT.of_part(lat, self.steps) }
    }

    /// The scores in it: from the first on, up to the second, which is not in it.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 52 - 2 * self.steps;
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }

    /// The cell so many cells to the east and to the north, round the edges of the world.
    pub(super) fn moved(self, east: i32, north: i32) -> Cell {
        let mask = ((1u64 << self.steps) - 1) as u32;
        // A position on the eastern edge of the world has a cell of its own behind the last one, which only
        // a move along its own axis leaves.
        let shifted = |part: u32, by: i32| match by {
            0 => part,
            _ => part.wrapping_add_signed(by) & mask,
        };
        let (lat, lon) = (squash(self.bits), squash(self.bits >> 1));
        Cell { bits: interleave(shifted(lat, north), shifted(lon, east)), steps: self.steps }
    }
}

/// The steps of cells so large that nine of them cover a circle, most of the time.
pub(super) fn steps_for(radius: f64, lat: f64) -> u32 {
    if radius == 0.0 {
        return STEPS;
    }
    let (mut size, mut steps) = (radius, 1i32);
    while size < MERCATOR_MAX {
        size *= 2.0;
        steps += 1;
    }
    steps -= 2;
    // Towards the poles a degree of longitude is shorter.
    steps -= i32::from(lat.abs() > 66.0) + i32::from(lat.abs() > 80.0);
    steps.clamp(1, STEPS as i32) as u32
}

/// Bits of `even` at even places, of `odd` at odd ones.
fn interleave(even: u32, odd: u32) -> u64 {
    spread(even) | spread(odd) << 1
}

const MASKS: [(u32, u64); 5] = [
    (1, 0x5555_5555_5555_5555),
    (2, 0x3333_3333_3333_3333),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (8, 0x00ff_00ff_00ff_00ff),
    (16, 0x0000_ffff_0000_ffff),
];

fn spread(x: u32) -> u64 {
    MASKS.iter().rev().fold(u64::from(x), |x, (shift, mask)| (x | x << shift) & mask)
}

/// The bits at even places.
fn squash(x: u64) -> u32 {
    let x = MASKS.windows(2).fold(x & MASKS[0].1, |x, pair| (x | x >> pair[0].0) & pair[1].1);
    (x | x >> MASKS[4].0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_and_texts_of_known_places() {
        for (lon, lat, score, text) in [
            (13.361389, 38.115556, 3_479_099_956_230_698_u64, "sqc8b49rny0"),
            (15.087269, 37.502669, 3_479_447_370_796_909, "sqdtr74hyu0"),
        ] {
            let p = Position { lon, lat };
            assert_eq!(p.score() as u64, score);
            assert_eq!(Position::of_score(p.score()).text(), text.as_bytes());
        }
    }

    #[test]
    fn cells_wrap_round_the_world() {
        let corner = Cell::of(Position { lon: -180.0, lat: LAT.min }, 3);
        assert_eq!(corner.moved(-1, 0).area().lon.max, 180.0);
        assert_eq!(corner.moved(-1, 0).moved(1, 0), corner);
        assert_eq!(corner.moved(0, -1).area().lat.max, LAT.max);
    }

    proptest! {
        #[test]
        fn a_position_is_within_its_cell(lon in -180.0..180.0, lat in -85.05..85.05, steps in 1u32..=26) {
            let p = Position { lon, lat };
            let cell = Cell::of(p, steps);
            let area = cell.area();
            prop_assert!(area.lon.min <= lon && lon <= area.lon.max);
            prop_assert!(area.lat.min <= lat && lat <= area.lat.max);
            let (from, to) = cell.scores();
            prop_assert!(from <= p.score() && p.score() < to);
            prop_assert!(p.distance(Position::of_score(p.score())) < 1.0);
        }
    }
}
