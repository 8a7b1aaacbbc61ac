//! Registers as runs of equal values, one or two bytes a run:
//!
//! | bits | run |
//! |---|---|
//! | `00nnnnnn` | n + 1 registers of 0 |
//! | `01nnnnnn nnnnnnnn` | n + 1 registers of 0 |
//! | `1vvvvvnn` | n + 1 registers of v + 1 |
//!
//! Registers are changed in place: a run is split, the bytes behind it move, and neighbours that became
//! equal are joined, within the same few bytes that Redis looks at.

use super::{Buffer, Corrupt, HEADER, REGISTERS, dense, make_dense};

/// All registers zero, in one run.
pub(super) const ALL_ZERO: [u8; 2] = [0x7f, 0xff];

/// Highest value of a run.
const VALUE_MAX: u8 = 32;
/// Longest run of a value.
const VALUES_MAX: usize = 4;
/// Longest run of zeros in one byte.
const ZEROS_MAX: usize = 64;
/// Runs looked at for joining, from the one before the change on.
const JOIN_WINDOW: usize = 5;

/// A run of equal registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// What they hold.
    pub kind: RunKind,
    /// Their number.
    pub len: usize,
}

/// Kinds of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// Zero, in one byte.
    Zero,
    /// Zero, in two bytes.
    LongZero,
    /// This value, which is not zero.
    Value(u8),
}

impl Run {
    /// What the registers hold.
    pub fn value(&self) -> u8 {
        match self.kind {
            RunKind::Zero | RunKind::LongZero => 0,
            RunKind::Value(v) => v,
        }
    }

    fn width(self) -> usize {
        if self.kind == RunKind::LongZero { 2 } else { 1 }
    }

    /// The run that begins at a position.
    #[inline]
    fn at(bytes: &[u8], at: usize) -> Option<Run> {
        let first = *bytes.get(at)?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Run { kind: RunKind::Zero, len: low + 1 },
            1 => {
                let second = usize::from(*bytes.get(at + 1)?);
                Run { kind: RunKind::LongZero, len: (low << 8 | second) + 1 }
            }
            _ => {
                let value = (first >> 2 & 0x1f) + 1;
                Run { kind: RunKind::Value(value), len: usize::from(first & 3) + 1 }
            }
        })
    }
}

/// The runs behind the header, in order. Ends after an error, which comes as well if the runs do not
/// cover the registers exactly.
pub fn runs(registers: &[u8]) -> impl Iterator<Item = Result<Run, Corrupt>> {
    let (mut at, mut covered, mut failed) = (0, 0, false);
    std::iter::from_fn(move || {
        if failed || (at == registers.len() && covered == REGISTERS) {
            return None;
        }
        let run = Run::at(registers, at).filter(|run| covered + run.len <= REGISTERS);
        failed = run.is_none();
        if let Some(run) = run {
            at += run.width();
            covered += run.len;
        }
        Some(run.ok_or(Corrupt))
    })
}

/// The runs of a value, whether or not they add up (PFDEBUG DECODE).
pub fn runs_as_they_are(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let run = Run::at(bytes, at)?;
        at += run.width();
        Some(run)
    })
}

/// Raises `into` to the registers.
pub(super) fn merge(into: &mut [u8; REGISTERS], registers: &[u8]) -> Result<(), Corrupt> {
    // Nothing is merged of what does not add up.
    if runs(registers).any(|run| run.is_err()) {
        return Err(Corrupt);
    }
    let mut at = 0;
    for run in runs(registers).flatten() {
        if let RunKind::Value(value) = run.kind {
            for register in into.iter_mut().skip(at).take(run.len) {
                *register = (*register).max(value);
            }
        }
        at += run.len;
    }
    Ok(())
}

/// At most five bytes that replace a run.
#[derive(Default)]
struct Split {
    bytes: [u8; 5],
    len: usize,
}

impl Split {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn zeros(&mut self, n: usize) {
        if n > ZEROS_MAX {
            self.push(0x40 | ((n - 1) >> 8) as u8);
            self.push((n - 1) as u8);
        } else if n > 0 {
            self.push((n - 1) as u8);
        }
    }

    fn values(&mut self, value: u8, n: usize) {
        if n > 0 {
            self.push(value_run(value, n));
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn value_run(value: u8, n: usize) -> u8 {
    0x80 | (value - 1) << 2 | (n - 1) as u8
}

/// Raises one register; false if it is that high already.
pub(super) fn raise<B: Buffer>(
    bytes: &mut B,
    index: usize,
    value: u8,
    max_len: usize,
) -> Result<bool, Corrupt> {
    if value > VALUE_MAX {
        return densely(bytes, index, value);
    }
    let (mut at, mut first, mut before) = (HEADER, 0, HEADER);
    let run = loop {
        let run = Run::at(bytes, at).ok_or(Corrupt)?;
        if index < first + run.len {
            break run;
        }
        before = at;
        at += run.width();
        first += run.len;
    };
    let (left, right) = (index - first, first + run.len - 1 - index);
    let mut split = Split::default();
    match run.kind {
        RunKind::Value(old) if old >= value => return Ok(false),
        RunKind::Value(old) => {
            split.values(old, left);
            split.values(value, 1);
            split.values(old, right);
        }
        RunKind::Zero | RunKind::LongZero => {
            split.zeros(left);
            split.values(value, 1);
            split.zeros(right);
        }
    }
    let (old_len, new_len) = (bytes.len(), bytes.len() + split.len - run.width());
    if new_len > old_len && new_len > max_len {
        return densely(bytes, index, value);
    }
    bytes.resize(old_len.max(new_len));
    bytes.copy_within(at + run.width()..old_len, at + split.len);
    bytes.resize(new_len);
    bytes[at..at + split.len].copy_from_slice(split.as_bytes());
    join(bytes, before);
    Ok(true)
}

/// Joins runs of one value that lie side by side.
fn join<B: Buffer>(bytes: &mut B, mut at: usize) {
    for _ in 0..JOIN_WINDOW {
        let Some(run) = Run::at(bytes, at) else { return };
        let next = at + run.width();
        if let (RunKind::Value(value), Some(other)) = (run.kind, Run::at(bytes, next))
            && other.kind == run.kind
            && run.len + other.len <= VALUES_MAX
        {
            bytes[at] = value_run(value, run.len + other.len);
            bytes.copy_within(next + 1.., next);
            let len = bytes.len() - 1;
            bytes.resize(len);
            continue;
        }
        at = next;
    }
}

/// Makes the value dense, then raises the register.
fn densely<B: Buffer>(bytes: &mut B, index: usize, value: u8) -> Result<bool, Corrupt> {
    make_dense(bytes)?;
    Ok(dense::raise(&mut bytes[HEADER..], index, value))
}
