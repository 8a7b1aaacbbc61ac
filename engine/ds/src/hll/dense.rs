//! Registers of 6 bits one behind the other, the lowest bit of a byte first: 4 registers in 3 bytes.

use super::REGISTERS;

/// The four registers in three bytes.
#[inline]
fn unpack(bytes: &[u8; 3]) -> [u8; 4] {
    let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    [0, 6, 12, 18].map(|shift| (word >> shift) as u8 & 0x3f)
}

#[inline]
fn pack(values: &[u8; 4]) -> [u8; 3] {
    let word = values.iter().rev().fold(0u32, |word, value| word << 6 | u32::from(value & 0x3f));
    let [a, b, c, _] = word.to_le_bytes();
    [a, b, c]
}

/// Hands out every register.
#[inline]
pub(super) fn each(registers: &[u8], mut f: impl FnMut(u8)) {
    for group in registers.as_chunks::<3>().0 {
        unpack(group).into_iter().for_each(&mut f);
    }
}

/// Raises `into` to the registers.
pub(super) fn merge(into: &mut [u8; REGISTERS], registers: &[u8]) {
    let groups = registers.as_chunks::<3>().0;
    for (into, group) in into.as_chunks_mut::<4>().0.iter_mut().zip(groups) {
        for (into, value) in into.iter_mut().zip(unpack(group)) {
            *into = (*into).max(value);
        }
    }
}

/// Writes all registers.
pub(super) fn fill(registers: &mut [u8], values: &[u8; REGISTERS]) {
    let groups = registers.as_chunks_mut::<3>().0;
    for (group, values) in groups.iter_mut().zip(values.as_chunks::<4>().0) {
        *group = pack(values);
    }
}

/// Raises one register; false if it is that high already.
#[inline]
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    let Some(group) = registers.as_chunks_mut::<3>().0.get_mut(index / 4) else { return false };
    let mut values = unpack(group);
    let register = &mut values[index % 4];
    if *register >= value {
        return false;
    }
    *register = value;
    *group = pack(&values);
    true
}
