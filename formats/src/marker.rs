//! `moon.storage`, the umbrella marker of a data directory (storage-formats §14).
//!
//! ```text
//! moon-storage 1            version of the umbrella
//! revision 1                formats in use
//! uuid <32 hex>
//! shards <1..=1024>
//! slots crc16-range         how keys map to shards
//! databases <1..=65534>
//! created <unix ms>
//! min-reader 1              lowest revision a reader must know
//! <word> ...                lines of later Moons, skipped
//! end <crc32c>
//! ```
//!
//! A directory without it has the layout of the reference ("revision 0").

use crate::error::{Cause, DecodeError};
use crate::text::{Cursor, Line, close, is_lower_hex};

/// Version of the umbrella this reader knows.
pub const UMBRELLA: u64 = 1;
/// Revision this Moon reads and writes.
pub const REVISION: u64 = 1;
/// Most shards.
pub const SHARDS_MAX: u64 = 1024;
/// Most databases.
pub const DATABASES_MAX: u64 = 65534;

const WHAT: &str = "moon.storage";

/// Content of `moon.storage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Identity of the data directory.
    pub uuid: [u8; 16],
    /// Number of shards the keys are dealt to.
    pub shards: u16,
    /// Number of databases.
    pub databases: u16,
    /// Unix time of creation in milliseconds.
    pub created_ms: u64,
    /// Lines of later Moons, kept when the marker is written again.
    pub extra: Vec<String>,
}

impl Marker {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let uuid: String = self.uuid.iter().map(|b| format!("{b:02x}")).collect();
        let mut text = format!(
            "moon-storage {UMBRELLA}\nrevision {REVISION}\nuuid {uuid}\nshards {}\n\
             slots crc16-range\ndatabases {}\ncreated {}\nmin-reader {REVISION}\n",
            self.shards, self.databases, self.created_ms
        );
        for line in &self.extra {
            text.push_str(line);
            text.push('\n');
        }
        close(text)
    }

    /// Reads the file. [`Cause::Newer`] if a later Moon wrote it.
    pub fn decode(bytes: &[u8]) -> Result<Marker, DecodeError> {
        let mut lines = Cursor::new(bytes, WHAT)?;
        let mut line = lines.expect("moon-storage")?;
        known(&mut line, UMBRELLA, "moon.storage umbrella version")?;
        line.finish(WHAT)?;
        let mut line = lines.expect("revision")?;
        known(&mut line, REVISION, "moon.storage revision")?;
        line.finish(WHAT)?;
        let mut line = lines.expect("uuid")?;
        let uuid = read_uuid(&mut line)?;
        line.finish(WHAT)?;
        let mut line = lines.expect("shards")?;
        let shards = line.number_in(1, SHARDS_MAX, "1 to 1024", "shards")? as u16;
        line.finish(WHAT)?;
        let mut line = lines.expect("slots")?;
        if line.word("slots")? != "crc16-range" {
            return Err(line.form("slots", "crc16-range"));
        }
        line.finish(WHAT)?;
        let mut line = lines.expect("databases")?;
        let databases = line.number_in(1, DATABASES_MAX, "1 to 65534", "databases")? as u16;
        line.finish(WHAT)?;
        let mut line = lines.expect("created")?;
        let created_ms = line.number("created")?;
        line.finish(WHAT)?;
        let mut line = lines.expect("min-reader")?;
        known(&mut line, REVISION, "moon.storage min-reader")?;
        line.finish(WHAT)?;
        let extra = std::iter::from_fn(|| lines.next()).map(|l| l.text.to_owned()).collect();
        Ok(Marker { uuid, shards, databases, created_ms, extra })
    }
}

/// A version that must be `max`, the only one there is so far.
fn known(line: &mut Line<'_>, max: u64, what: &'static str) -> Result<(), DecodeError> {
    let found = line.number(what)?;
    if found > max {
        return Err(DecodeError::new(line.offset, what, Cause::Newer { found }));
    }
    if found < max {
        return Err(DecodeError::new(line.offset, what, Cause::Value { expected: "1", found }));
    }
    Ok(())
}

/// The next word as the identity of a directory.
pub(crate) fn read_uuid(line: &mut Line<'_>) -> Result<[u8; 16], DecodeError> {
    let word = line.word("uuid")?.as_bytes();
    let (pairs, rest) = word.as_chunks::<2>();
    if pairs.len() != 16 || !rest.is_empty() || !word.iter().copied().all(is_lower_hex) {
        return Err(line.form("uuid", "32 lower-case hexadecimal digits"));
    }
    let nibble = |b: u8| (b as char).to_digit(16).map_or(0, |d| d as u8);
    let mut uuid = [0; 16];
    for (byte, [hi, lo]) in uuid.iter_mut().zip(pairs) {
        *byte = nibble(*hi) << 4 | nibble(*lo);
    }
    Ok(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Marker {
        Marker {
            uuid: *b"\x01\x23\x45\x67\x89\xab\xcd\xef0123456\xff",
            shards: 4,
            databases: 16,
            created_ms: 1_700_000_000_000,
            extra: vec![],
        }
    }

    fn with(from: &str, to: &str) -> Result<Marker, DecodeError> {
        let text = sample().encode();
        assert!(text.contains(from), "{from}");
        let body = text.rsplit_once("end ").unwrap().0.replace(from, to);
        Marker::decode(close(body).as_bytes())
    }

    #[test]
    fn values_out_of_range_are_refused_with_a_good_checksum() {
        for (from, to) in [
            ("shards 4", "shards 0"),
            ("shards 4", "shards 1025"),
            ("shards 4", "shards 04"),
            ("shards 4", "shards 4 5"),
            ("databases 16", "databases 65535"),
            ("crc16-range", "xxh64-mod"),
            ("uuid 01", "uuid 0"),
            ("uuid 01", "uuid 0G"),
            ("revision 1", "revision 0"),
            ("created 17", "created -17"),
            ("shards 4\n", ""),
        ] {
            assert!(with(from, to).is_err(), "{to}");
        }
        assert!(with("revision 1", "revision 2").unwrap_err().is_newer());
        assert!(with("moon-storage 1", "moon-storage 2").unwrap_err().is_newer());
        assert!(with("min-reader 1", "min-reader 2").unwrap_err().is_newer());
    }

    #[test]
    fn lines_of_later_moons_are_kept() {
        let marker = with("min-reader 1\n", "min-reader 1\ntier nvme 2\n").unwrap();
        assert_eq!(marker.extra, ["tier nvme 2"]);
        assert_eq!(Marker::decode(marker.encode().as_bytes()), Ok(marker));
    }

    proptest! {
        #[test]
        fn comes_back(uuid: [u8; 16], shards in 1u16..=1024, databases in 1u16..=65534, created_ms: u64) {
            let marker = Marker { uuid, shards, databases, created_ms, extra: vec![] };
            prop_assert_eq!(Marker::decode(marker.encode().as_bytes()), Ok(marker));
        }

        #[test]
        fn any_text_is_a_marker_or_an_error(text in "[a-z0-9 \n-]{0,80}") {
            let _ = Marker::decode(text.as_bytes());
            let _ = Marker::decode(close(text).as_bytes());
        }
    }
}
