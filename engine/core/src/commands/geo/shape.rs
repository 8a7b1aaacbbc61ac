//! What is searched: a circle, a box or a polygon, and the cells of the grid that cover it.

use super::hash::{Area, Cell, LAT, LON, Position, Span, lat_degrees, lon_degrees, steps_for};

/// Degrees by which the middle stays off the northern edge, where no cell begins.
const EDGE: f64 = 1e-9;

/// A region; lengths in metres.
pub(super) enum Shape {
    /// All within a distance of the centre.
    Circle { radius: f64 },
    /// All within half the width and half the height of the centre.
    Box { width: f64, height: f64 },
    /// All inside the line through these points.
    Polygon(Vec<Position>),
}

/// A region around a centre, in a unit of length.
pub(super) struct Region {
    pub(super) shape: Shape,
    pub(super) centre: Position,
    /// Metres of the unit in which distances are told.
    pub(super) unit: f64,
}

impl Region {
    /// The distance of a position from the centre in metres, if the position is inside.
    pub(super) fn distance(&self, p: Position) -> Option<f64> {
        match &self.shape {
            Shape::Circle { radius } => {
                let d = self.centre.distance(p);
                (!less(*radius, d)).then_some(d)
            }
            Shape::Box { width, height } => {
                if p.lat_distance(self.centre) > height / 2.0 {
                    return None;
                }
                let beside = Position { lon: self.centre.lon, lat: p.lat };
                if p.distance(beside) > width / 2.0 {
                    return None;
                }
                Some(self.centre.distance(p))
            }
            Shape::Polygon(points) => inside(points, p).then(|| self.centre.distance(p)),
        }
    }

    /// The rectangle around the region.
    fn bounds(&self) -> Area {
        let (width, height) = match &self.shape {
            Shape::Circle { radius } => (*radius, *radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
            Shape::Polygon(points) => {
                let span = |of: fn(&Position) -> f64| Span {
                    min: points.iter().map(of).fold(f64::INFINITY, f64::min),
                    max: points.iter().map(of).fold(f64::NEG_INFINITY, f64::max),
                };
                return Area { lon: span(|p| p.lon), lat: span(|p| p.lat) };
            }
        };
        let Position { lon, lat } = self.centre;
        let tall = lat_degrees(height);
        // The side nearer to the pole is the one that takes more degrees.
        let wide = lon_degrees(width, if lat < 0.0 { lat - tall } else { lat + tall });
        Area {
            lon: Span { min: lon - wide, max: lon + wide },
            lat: Span { min: lat - tall, max: lat + tall },
        }
    }

    /// Metres from the centre to the farthest corner.
    fn radius(&self, bounds: Area) -> f64 {
        match &self.shape {
            Shape::Circle { radius } => *radius,
            Shape::Box { width, height } => (width / 2.0).hypot(height / 2.0),
            Shape::Polygon(_) => {
                let Area { lon, lat } = bounds;
                [(lon.min, lat.min), (lon.min, lat.max), (lon.max, lat.min), (lon.max, lat.max)]
                    .map(|(lon, lat)| self.centre.distance(Position { lon, lat }))
                    .into_iter()
                    .fold(0.0, f64::max)
            }
        }
    }

    /// Cells that cover the region, none twice, in the order in which Redis looks at them: the middle
    /// one, then north, south, east, west, then the corners.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let bounds = self.bounds();
        let mut steps = steps_for(self.radius(bounds), self.centre.lat);
        // The middle of a polygon may lie beyond the grid, near a pole.
        let lat = self.centre.lat.clamp(LAT.min, LAT.max - EDGE);
        let centre = Position { lat, ..self.centre };
        // The estimate is at times one step too fine; of a polygon it is only a guess.
        let retries = if matches!(self.shape, Shape::Polygon(_)) { steps } else { 1 };
        for _ in 0..retries {
            if steps == 1 || reaches(Cell::of(centre, steps), bounds) {
                break;
            }
            steps -= 1;
        }
        let middle = Cell::of(centre, steps);
        let area = middle.area();
        // What the middle cell covers by itself needs no neighbour; of cells this large all are needed.
        let all = steps < 2;
        let north = all || !less(bounds.lat.max, area.lat.max);
        let south = all || !less(area.lat.min, bounds.lat.min);
        let east = all || !less(bounds.lon.max, area.lon.max);
        let west = all || !less(area.lon.min, bounds.lon.min);
        let mut cells = vec![middle];
        for (needed, x, y) in [
            (north, 0, 1),
            (south, 0, -1),
            (east, 1, 0),
            (west, -1, 0),
            (north && east, 1, 1),
            (north && west, -1, 1),
            (south && east, 1, -1),
            (south && west, -1, -1),
        ] {
            let cell = middle.moved(x, y);
            // Of large cells, the one to the east is the one to the west.
            if needed && !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }
}

/// Whether a cell and its neighbours cover a rectangle.
fn reaches(middle: Cell, bounds: Area) -> bool {
    let (north, south) = (middle.moved(0, 1).area(), middle.moved(0, -1).area());
    let (east, west) = (middle.moved(1, 0).area(), middle.moved(-1, 0).area());
    !less(north.lat.max, bounds.lat.max)
        && !less(bounds.lat.min, south.lat.min)
        && !less(east.lon.max, bounds.lon.max)
        && !less(bounds.lon.min, west.lon.min)
}

/// Whether one number is surely less than another: of a bound that is no number (an infinite radius makes
/// such) nothing is sure, so nothing is left out because of it.
fn less(a: f64, b: f64) -> bool {
    a < b
}

/// Whether a position lies inside a polygon: a line from it to the east crosses an odd number of edges.
fn inside(points: &[Position], p: Position) -> bool {
    let mut odd = false;
    let Some(mut from) = points.last() else { return false };
    for to in points {
        if (from.lat > p.lat) != (to.lat > p.lat) {
            let t = (p.lat - from.lat) / (to.lat - from.lat);
            odd ^= p.lon < from.lon + t * (to.lon - from.lon);
        }
        from = to;
    }
    odd
}

/// Whether a pair of degrees is on the grid.
pub(super) fn on_grid(p: Position) -> bool {
    (LON.min..=LON.max).contains(&p.lon) && (LAT.min..=LAT.max).contains(&p.lat)
}

#[cfg(test)]
mod tests {
    use super::super::hash::centroid;
    use super::*;
    use proptest::prelude::*;

    fn position() -> impl Strategy<Value = Position> {
        (-180.0..180.0f64, -85.0..85.0f64).prop_map(|(lon, lat)| Position { lon, lat })
    }

    fn found(region: &Region, p: Position) -> bool {
        let score = p.score();
        region.cells().iter().any(|cell| {
            let (from, to) = cell.scores();
            from <= score && score < to
        })
    }

    proptest! {
        /// Polygons are covered whatever their form; circles and boxes as far as Redis covers them.
        #[test]
        fn cells_cover_what_is_inside_a_polygon(
            corner in position(), size in (0.001..200.0f64, 0.001..100.0f64), p in (0.0..1.0, 0.0..1.0),
        ) {
            let (w, h) = (corner.lon + size.0, (corner.lat + size.1).min(85.0));
            let w = w.min(180.0);
            let points = vec![
                corner,
                Position { lon: w, lat: corner.lat },
                Position { lon: w, lat: h },
                Position { lon: corner.lon, lat: h },
            ];
            let p = Position {
                lon: corner.lon + (w - corner.lon) * p.0,
                lat: corner.lat + (h - corner.lat) * p.1,
            };
            let p = Position::of_score(p.score());
            let centre = centroid(&points);
            let region = Region { shape: Shape::Polygon(points), centre, unit: 1.0 };
            if region.distance(p).is_some() {
                prop_assert!(found(&region, p));
            }
        }

        #[test]
        fn cells_cover_circles_away_from_the_poles(
            lon in -170.0..170.0, lat in -60.0..60.0, radius in 1.0..400_000.0f64,
            angle in 0.0..std::f64::consts::TAU, part in 0.0..1.0,
        ) {
            let centre = Position { lon, lat };
            let region = Region { shape: Shape::Circle { radius }, centre, unit: 1.0 };
            let far = radius * part;
            let lat = lat + lat_degrees(far * angle.sin());
            let p = Position { lat, lon: lon + lon_degrees(far * angle.cos(), lat) };
            if on_grid(p) && region.distance(p).is_some() {
                prop_assert!(found(&region, p));
            }
        }
    }

    /// The middle of corners half around the world is the pole, and no cell begins there.
    #[test]
    fn a_polygon_with_the_pole_for_its_middle_is_covered() {
        let at = |lon: f64, lat: f64| Position { lon, lat };
        let points = vec![at(0., -8.4), at(180., -8.4), at(180., 85.), at(0., 85.)];
        let region = Region { centre: centroid(&points), shape: Shape::Polygon(points), unit: 1.0 };
        assert!(found(&region, at(1.0, -8.0)) && found(&region, at(179.0, 84.0)));
    }

    #[test]
    fn a_point_in_a_notch_is_outside() {
        let at = |lon: f64, lat: f64| Position { lon, lat };
        let u = [
            at(0., 0.),
            at(3., 0.),
            at(3., 3.),
            at(2., 3.),
            at(2., 1.),
            at(1., 1.),
            at(1., 3.),
            at(0., 3.),
        ];
        assert!(inside(&u, at(0.5, 2.0)) && inside(&u, at(2.5, 2.0)) && inside(&u, at(1.5, 0.5)));
        assert!(
            !inside(&u, at(1.5, 2.0)) && !inside(&u, at(-1.0, 0.5)) && !inside(&[], at(0., 0.))
        );
    }
}
