//! Checksums and the key slot.
//!
//! CRC32C guards everything native; CRC32 appears only in formats of the reference; CRC64-Jones
//! closes Redis RDB files and DUMP payloads; CRC16 places keys in cluster slots.

/// CRC32C (Castagnoli) of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

/// CRC32C of more bytes after `crc`.
#[inline]
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    ::crc32c::crc32c_append(crc, bytes)
}

const CRC32C_POLY: u32 = 0x82F6_3B78;

/// Product of two polynomials modulo that of CRC32C, bits reflected: the highest bit is x^0.
const fn times(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while a != 0 {
        if a & 1 << 31 != 0 {
            product ^= b;
        }
        a <<= 1;
        b = if b & 1 == 1 { b >> 1 ^ CRC32C_POLY } else { b >> 1 };
    }
    product
}

/// `POWERS[k]` is x^(8 * 2^k): `2^k` bytes of zeros behind something.
static POWERS: [u32; 64] = {
    let mut table = [0; 64];
    table[0] = 1 << 23;
    let mut k = 1;
    while k < 64 {
        table[k] = times(table[k - 1], table[k - 1]);
        k += 1;
    }
    table
};

/// CRC32C of two pieces in a row, from that of each and the length of the second: a checksum over what was
/// checked piece by piece, without reading it again. Shifts by powers of two, as zlib's `crc32_combine`.
pub fn crc32c_join(first: u32, second: u32, second_len: usize) -> u32 {
    let (mut shifted, mut len) = (first, second_len);
    while len > 0 {
        shifted = times(POWERS[len.trailing_zeros() as usize], shifted);
        len &= len - 1;
    }
    shifted ^ second
}

const fn reflected32(poly: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ poly } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

static CRC32: [u32; 256] = reflected32(0xEDB8_8320);

/// CRC32 (IEEE 802.3) of `bytes`. Formats of the reference only.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32_append(0, bytes)
}

/// CRC32 (IEEE 802.3) of more bytes after `crc`.
pub fn crc32_append(crc: u32, bytes: &[u8]) -> u32 {
    let mut crc = !crc;
    for &b in bytes {
        crc = crc >> 8 ^ CRC32[usize::from(crc as u8 ^ b)];
    }
    !crc
}

/// Slicing-by-8 tables: `CRC64[k][b]` is byte `b` followed by `k` zero bytes.
static CRC64: [[u64; 256]; 8] = {
    const POLY: u64 = 0xad93_d235_94c9_35a9;
    let poly = POLY.reverse_bits();
    let mut tables = [[0u64; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ poly } else { crc >> 1 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut i = 0;
        while i < 256 {
            let prev = tables[k - 1][i];
            tables[k][i] = prev >> 8 ^ tables[0][(prev & 0xff) as usize];
            i += 1;
        }
        k += 1;
    }
    tables
};

/// CRC64 (Jones polynomial, as Redis `crc64.c`) of more bytes after `crc`; start with 0.
pub fn crc64(mut crc: u64, bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let x = (crc ^ u64::from_le_bytes(*word)).to_le_bytes();
        crc = 0;
        for (k, &b) in x.iter().enumerate() {
            crc ^= CRC64[7 - k][usize::from(b)];
        }
    }
    for &b in tail {
        crc = crc >> 8 ^ CRC64[0][usize::from(crc as u8 ^ b)];
    }
    crc
}

static CRC16: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// CRC16 (XMODEM: polynomial 0x1021, start 0), as the Redis cluster specification.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &b| crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ b)])
}

/// Number of key slots.
pub const SLOTS: u16 = 16384;

/// The part of a key that decides its slot: what stands in the first `{...}` if that is not
/// empty, else the whole key.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    if let Some(open) = memchr::memchr(b'{', key) {
        let rest = &key[open + 1..];
        match memchr::memchr(b'}', rest) {
            Some(0) | None => {}
            Some(len) => return &rest[..len],
        }
    }
    key
}

/// Slot of a key: CRC16 of its tag, modulo 16384.
pub fn key_slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) % SLOTS
}

/// Shard that owns a slot: slots are dealt in equal contiguous ranges (storage-formats §2).
/// Panics when `slot >= 16384` (debug builds) or `shards` is 0.
pub fn slot_shard(slot: u16, shards: u16) -> u16 {
    debug_assert!(slot < SLOTS && shards > 0);
    (u32::from(slot) * u32::from(shards) / u32::from(SLOTS)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_check_values() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c_append(crc32c(b"12345"), b"6789"), 0xe306_9283);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32_append(crc32(b"12345"), b"6789"), 0xcbf4_3926);
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn checksums_of_pieces_join() {
        let data: Vec<u8> = (0..70_000u32).map(|n| (n.wrapping_mul(n) >> 3) as u8).collect();
        let whole = crc32c(&data);
        for at in (0..data.len()).step_by(997).chain([1, 4096, 65536, data.len()]) {
            let (first, second) = data.split_at(at);
            assert_eq!(crc32c_join(crc32c(first), crc32c(second), second.len()), whole, "{at}");
        }
    }

    #[test]
    fn crc64_does_not_depend_on_the_split() {
        let data: Vec<u8> = (0..100u8).collect();
        let whole = crc64(0, &data);
        for at in 0..=data.len() {
            assert_eq!(crc64(crc64(0, &data[..at]), &data[at..]), whole);
        }
    }

    #[test]
    fn tags_and_slots() {
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(key_slot(b"bar{foo}baz"), 12182);
        assert_eq!(hash_tag(b"a{}b"), b"a{}b");
        assert_eq!(hash_tag(b"a{b"), b"a{b");
        assert_eq!(hash_tag(b"a{{x}}"), b"{x");
        assert_eq!(slot_shard(0, 3), 0);
        assert_eq!(slot_shard(16383, 3), 2);
        assert_eq!(slot_shard(5462, 3), 1);
    }
}
