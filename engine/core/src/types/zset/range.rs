//! Ranges of scores and of members, as commands spell them.

use moon_formats::number::parse_score;

/// A range of scores (ZRANGEBYSCORE, ZCOUNT).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRange {
    /// Lower bound.
    pub min: f64,
    /// Upper bound.
    pub max: f64,
    /// Whether the lower bound itself is outside.
    pub min_exclusive: bool,
    /// Whether the upper bound itself is outside.
    pub max_exclusive: bool,
}

impl ScoreRange {
    /// All scores.
    pub const ALL: ScoreRange = ScoreRange {
        min: f64::NEG_INFINITY,
        max: f64::INFINITY,
        min_exclusive: false,
        max_exclusive: false,
    };

    /// Reads two bounds: a number, or one behind `(` to leave it out. No text at all is 0. `None` is what
    /// commands answer with `ERR min or max is not a float` (Redis: `zslParseRange`).
    pub fn parse(min: &[u8], max: &[u8]) -> Option<ScoreRange> {
        let number = |text: &[u8]| if text.is_empty() { Some(0.0) } else { parse_score(text) };
        let bound = |text: &[u8]| match text {
            [b'(', rest @ ..] => number(rest).map(|v| (v, true)),
            _ => number(text).map(|v| (v, false)),
        };
        let ((min, min_exclusive), (max, max_exclusive)) = (bound(min)?, bound(max)?);
        Some(ScoreRange { min, max, min_exclusive, max_exclusive })
    }

    /// Whether a score lies below the range.
    #[inline]
    pub fn is_above(&self, score: f64) -> bool {
        score < self.min || (self.min_exclusive && score == self.min)
    }

    /// Whether a score does not lie above the range.
    #[inline]
    pub fn reaches(&self, score: f64) -> bool {
        score < self.max || (!self.max_exclusive && score == self.max)
    }
}

/// One end of a [`LexRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: below every member.
    Lowest,
    /// `+`: above every member.
    Highest,
    /// `[member`
    Inclusive(&'a [u8]),
    /// `(member`
    Exclusive(&'a [u8]),
}

/// A range of members (ZRANGEBYLEX, ZLEXCOUNT); of meaning where all scores are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// Lower bound.
    pub min: LexBound<'a>,
    /// Upper bound.
    pub max: LexBound<'a>,
}

impl<'a> LexBound<'a> {
    /// Reads a bound: `-`, `+`, `[member` or `(member`.
    pub fn parse(text: &'a [u8]) -> Option<LexBound<'a>> {
        match text {
            b"-" => Some(LexBound::Lowest),
            b"+" => Some(LexBound::Highest),
            [b'[', member @ ..] => Some(LexBound::Inclusive(member)),
            [b'(', member @ ..] => Some(LexBound::Exclusive(member)),
            _ => None,
        }
    }
}

impl<'a> LexRange<'a> {
    /// Reads two bounds. `None` is what commands answer with `ERR min or max not valid string range item`
    /// (Redis: `zslParseLexRange`).
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Option<LexRange<'a>> {
        Some(LexRange { min: LexBound::parse(min)?, max: LexBound::parse(max)? })
    }

    /// Whether a member lies below the range.
    #[inline]
    pub fn is_above(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(min) => member < min,
            LexBound::Exclusive(min) => member <= min,
        }
    }

    /// Whether a member does not lie above the range.
    #[inline]
    pub fn reaches(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(max) => member <= max,
            LexBound::Exclusive(max) => member < max,
        }
    }
}
