//! HyperLogLog: how many different elements there are, in 12 KiB, within about 0.8 %.
//!
//! The value is a byte string, and its bytes are Redis': clients copy them with GET and SET, so every
//! operation must leave the bytes that Redis would leave. 16 bytes of header, then 16384 registers of 6
//! bits, dense or sparse ([`sparse`]):
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `HYLL` |
//! | 4 | encoding: 0 dense, 1 sparse |
//! | 5..8 | zero |
//! | 8..16 | cardinality, little endian; the top bit says that it is out of date |
//!
//! Bytes come from clients, so nothing about them is believed: every reader is a total function, and
//! registers that do not add up to 16384 are [`Corrupt`]. A value is changed wholly or not at all.

mod dense;
mod estimate;
pub mod sparse;
#[cfg(test)]
mod tests;

use crate::BytesMut;
use std::ops::DerefMut;

/// Registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of the hash that choose a register.
const INDEX_BITS: u32 = 14;
/// Bits of the hash that are left for the run of zeros.
const RUN_BITS: u32 = 64 - INDEX_BITS;
/// Length of the header.
const HEADER: usize = 16;
/// Length of a dense value.
pub const DENSE_LEN: usize = HEADER + REGISTERS * 6 / 8;

const MAGIC: &[u8; 4] = b"HYLL";
/// Of byte 15: the cardinality must be computed anew.
const STALE: u8 = 0x80;

/// How the registers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// 6 bits each.
    Dense,
    /// Runs of equal registers.
    Sparse,
}

/// The registers do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

/// All registers, one byte each: what several values are merged into.
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Registers(Box::new([0; REGISTERS]))
    }
}

/// Bytes that can change their length: where a value is kept.
pub trait Buffer: DerefMut<Target = [u8]> {
    /// Cuts the bytes, or fills them up with zeros.
    fn resize(&mut self, len: usize);
}

impl Buffer for Vec<u8> {
    fn resize(&mut self, len: usize) {
        Vec::resize(self, len, 0);
    }
}

impl<V> Buffer for BytesMut<'_, '_, V> {
    fn resize(&mut self, len: usize) {
        BytesMut::resize(self, len);
    }
}

/// A value without elements.
pub fn empty() -> [u8; HEADER + 2] {
    let mut bytes = [0; HEADER + 2];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4] = 1;
    bytes[HEADER..].copy_from_slice(&sparse::ALL_ZERO);
    bytes
}

/// The encoding of a value, `None` if the bytes are no HyperLogLog at all.
#[inline]
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    let header = bytes.get(..HEADER)?;
    if !header.starts_with(MAGIC) {
        return None;
    }
    match header[4] {
        0 if bytes.len() == DENSE_LEN => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// Whether the registers add up. Always true of a dense value.
pub fn is_whole(bytes: &[u8]) -> bool {
    encoding(bytes) == Some(Encoding::Dense) || sparse::runs(registers(bytes)).all(|r| r.is_ok())
}

/// The register of an element, and the number that it must at least hold.
#[inline]
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element);
    let index = hash as usize & (REGISTERS - 1);
    // The bit behind the last one ends a run of zeros that has no other end.
    let run = (hash >> INDEX_BITS | 1 << RUN_BITS).trailing_zeros() + 1;
    (index, run as u8)
}

/// Raises a register to a value; false if it is that high already. A sparse value becomes dense when it
/// would be longer than `sparse_max` bytes or the number does not fit.
#[inline]
pub fn raise<B: Buffer>(
    bytes: &mut B,
    (index, value): (usize, u8),
    sparse_max: usize,
) -> Result<bool, Corrupt> {
    let raised = match encoding(bytes) {
        Some(Encoding::Dense) => dense::raise(&mut bytes[HEADER..], index, value),
        Some(Encoding::Sparse) => sparse::raise(bytes, index, value, sparse_max)?,
        None => return Err(Corrupt),
    };
    if raised {
        forget_cardinality(bytes);
    }
    Ok(raised)
}

/// The registers of a value: raises `into` to them.
pub fn merge(into: &mut Registers, bytes: &[u8]) -> Result<(), Corrupt> {
    match encoding(bytes).ok_or(Corrupt)? {
        Encoding::Dense => {
            dense::merge(&mut into.0, registers(bytes));
            Ok(())
        }
        Encoding::Sparse => sparse::merge(&mut into.0, registers(bytes)),
    }
}

impl Registers {
    /// The registers that are not zero, with their numbers.
    pub fn set(&self) -> impl Iterator<Item = (usize, u8)> {
        self.0.iter().copied().enumerate().filter(|(_, value)| *value > 0)
    }

    /// All registers.
    pub fn all(&self) -> &[u8; REGISTERS] {
        &self.0
    }

    /// The estimated number of elements.
    pub fn cardinality(&self) -> u64 {
        let mut histogram = estimate::Histogram::default();
        self.0.iter().for_each(|value| histogram.add(*value, 1));
        histogram.cardinality()
    }
}

/// The estimated number of elements, from the registers.
pub fn cardinality(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = estimate::Histogram::default();
    match encoding(bytes).ok_or(Corrupt)? {
        Encoding::Dense => dense::each(registers(bytes), |value| histogram.add(value, 1)),
        Encoding::Sparse => {
            for run in sparse::runs(registers(bytes)) {
                let run = run?;
                histogram.add(run.value(), run.len);
            }
        }
    }
    Ok(histogram.cardinality())
}

/// The cardinality noted in the header, if it is up to date.
pub fn noted_cardinality(bytes: &[u8]) -> Option<u64> {
    let field: [u8; 8] = bytes.get(8..HEADER)?.try_into().ok()?;
    (field[7] & STALE == 0).then(|| u64::from_le_bytes(field))
}

/// Notes the cardinality in the header.
pub fn note_cardinality(bytes: &mut [u8], cardinality: u64) {
    if let Some(field) = bytes.get_mut(8..HEADER) {
        field.copy_from_slice(&cardinality.to_le_bytes());
    }
}

/// Marks the cardinality in the header as out of date.
#[inline]
pub fn forget_cardinality(bytes: &mut [u8]) {
    if let Some(last) = bytes.get_mut(HEADER - 1) {
        *last |= STALE;
    }
}

/// Makes a sparse value dense; false if it is dense already.
pub fn make_dense<B: Buffer>(bytes: &mut B) -> Result<bool, Corrupt> {
    if encoding(bytes).ok_or(Corrupt)? == Encoding::Dense {
        return Ok(false);
    }
    let mut all = Registers::default();
    sparse::merge(&mut all.0, registers(bytes))?;
    bytes.resize(HEADER);
    bytes.resize(DENSE_LEN);
    bytes[4] = 0;
    dense::fill(&mut bytes[HEADER..], &all.0);
    Ok(true)
}

/// What follows the header.
fn registers(bytes: &[u8]) -> &[u8] {
    bytes.get(HEADER..).unwrap_or_default()
}

/// MurmurHash2, 64 bits, with the seed of Redis.
#[inline]
fn murmur64a(key: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut h = SEED ^ (key.len() as u64).wrapping_mul(M);
    let (words, rest) = key.as_chunks::<8>();
    for word in words {
        let k = u64::from_le_bytes(*word).wrapping_mul(M);
        h = (h ^ (k ^ k >> 47).wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        h = (h ^ tail).wrapping_mul(M);
    }
    h = (h ^ h >> 47).wrapping_mul(M);
    h ^ h >> 47
}

/// For fuzzing: any bytes as a value, every operation on it.
pub fn hostile(data: &[u8]) {
    let mut bytes = empty()[..HEADER].to_vec();
    bytes.extend_from_slice(data);
    let whole = is_whole(&bytes);
    assert_eq!(cardinality(&bytes).is_ok(), whole);
    let mut before = Registers::default();
    assert_eq!(merge(&mut before, &bytes).is_ok(), whole);
    let seed = data.iter().fold(7usize, |n, b| n.wrapping_mul(31).wrapping_add(usize::from(*b)));
    let (index, value) = (seed % REGISTERS, (seed / REGISTERS % 51 + 1) as u8);
    let limit = bytes.len() + seed % 3;
    let (old, result) = (bytes.clone(), raise(&mut bytes, (index, value), limit));
    if result != Ok(true) {
        assert_eq!(bytes, old, "changed, though it said it did not");
    }
    if whole {
        assert!(result.is_ok());
        before.0[index] = before.0[index].max(value);
        let mut after = Registers::default();
        assert_eq!(merge(&mut after, &bytes), Ok(()));
        assert!(before.0 == after.0, "another register changed");
    }
    assert_eq!(make_dense(&mut bytes).is_ok(), encoding(&bytes) == Some(Encoding::Dense));
}
