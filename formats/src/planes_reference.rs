//! Names of graphs and of search indexes in the reference server's files beside its keys (storage-formats §10.1 and §11.2).
//! Read only.
//!
//! The one idea: whoever leaves a plane behind wants to know by name what is in it. So the definitions are read to their end, and
//! nothing is kept of them but names and databases.
//!
//! ```text
//! graph_metadata.json   {"graphs":[{"name", ...}], ...}
//! vector-indexes.meta   VMIX | ver u8 1-5 | n u16 | 0 | index*n
//!   index               name bytes16 | dim u32 | metric u8 | m u32 | efc u32 | ef u32 | compact u32 | quant u8 | build u8 | 0*2 |
//!                       field bytes16 | p u16 | prefix bytes16 *p |
//!                       2: f u16 | (field bytes16 | dim u32 | metric u8 | quant u8 | build u8 | 0)*f | 3: weight f32 |
//!                       4: db u8 | 5: rerank u32 | exact_beam u8 | 0*3
//! text-indexes.meta     TMIX | ver u8 1-2 | n u16 | 0 | index*n
//!   index               name bytes16 | k1 f32 | b f32 | p u16 | prefix bytes16 *p |
//!                       f u16 | (field bytes16 | weight f64 | flags u8)*f | 2: db u8
//! ```

#![warn(clippy::indexing_slicing)]

use crate::bytes::Reader;
use crate::error::{Cause, DecodeError};
use crate::json::{Json, Members};

/// Longest of these files, in bytes.
pub const BYTES_MAX: u64 = 16 << 20;
/// Most graphs in a file.
const GRAPHS_MAX: usize = 1 << 20;
/// Fewest bytes of an index of vectors and of one of text.
const INDEX_MIN: [usize; 2] = [31, 14];
/// Fewest bytes of a field of either.
const FIELD_MIN: [usize; 2] = [10, 11];

/// A search index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its database, where the version says it.
    pub db: Option<u8>,
}

/// Names of the graphs in a `graph_metadata.json`.
///
/// # Errors
/// It is no such file.
pub fn graphs(text: &[u8]) -> Result<Vec<String>, DecodeError> {
    let mut root = Members::of(Json::decode(text)?, "graph metadata")?;
    let graphs = root.list("graphs", GRAPHS_MAX)?;
    graphs.into_iter().map(|graph| Members::of(graph, "a graph")?.text("name")).collect()
}

/// The indexes of a `vector-indexes.meta`.
///
/// # Errors
/// It is damaged, or of a version that is not known.
pub fn vector_indexes(bytes: &[u8]) -> Result<Vec<Index<'_>>, DecodeError> {
    let mut r = Reader::new(bytes, 0);
    let (version, count) = head(&mut r, b"VMIX", 5, INDEX_MIN[0])?;
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let name = r.bytes16("name of an index")?;
        r.bytes(4 + 1 + 4 * 4 + 2, "options of an index")?;
        r.zeros(2, "padding of an index")?;
        r.bytes16("field")?;
        prefixes(&mut r)?;
        if version >= 2 {
            for _ in 0..r.count16(FIELD_MIN[0], "fields")? {
                r.bytes16("field")?;
                r.bytes(7, "options of a field")?;
                r.zeros(1, "padding of a field")?;
            }
        }
        if version >= 3 {
            r.f32("weight")?;
        }
        let db = if version >= 4 { Some(r.u8("database")?) } else { None };
        if version >= 5 {
            r.bytes(5, "options of an index")?;
            r.zeros(3, "padding of an index")?;
        }
        found.push(Index { name, db });
    }
    r.finish("indexes of vectors")?;
    Ok(found)
}

/// The indexes of a `text-indexes.meta`.
///
/// # Errors
/// As [`vector_indexes`].
pub fn text_indexes(bytes: &[u8]) -> Result<Vec<Index<'_>>, DecodeError> {
    let mut r = Reader::new(bytes, 0);
    let (version, count) = head(&mut r, b"TMIX", 2, INDEX_MIN[1])?;
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let name = r.bytes16("name of an index")?;
        r.bytes(8, "options of an index")?;
        prefixes(&mut r)?;
        for _ in 0..r.count16(FIELD_MIN[1], "fields")? {
            r.bytes16("field")?;
            r.bytes(9, "options of a field")?;
        }
        let db = if version >= 2 { Some(r.u8("database")?) } else { None };
        found.push(Index { name, db });
    }
    r.finish("indexes of text")?;
    Ok(found)
}

/// Version, and how many indexes follow.
fn head(
    r: &mut Reader<'_>,
    magic: &'static [u8; 4],
    newest: u8,
    index_min: usize,
) -> Result<(u8, usize), DecodeError> {
    let found = r.array::<4>("magic")?;
    if found != *magic {
        let [a, b, c, d] = found;
        let cause = Cause::Magic { expected: magic, found: [a, b, c, d, 0, 0, 0, 0] };
        return Err(DecodeError::new(0, "magic", cause));
    }
    let version = r.version(1, newest, "version of the indexes")?;
    let at = r.offset();
    let count = r.u16("indexes")?;
    r.zeros(1, "padding")?;
    let fits = r.remaining() / index_min;
    match usize::from(count) {
        count if count <= fits => Ok((version, count)),
        count => {
            let cause = Cause::Count { count: count as u64, fits: fits as u64 };
            Err(DecodeError::new(at, "indexes", cause))
        }
    }
}

fn prefixes(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    for _ in 0..r.count16(2, "prefixes")? {
        r.bytes16("prefix")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{sample_text_indexes, sample_vector_indexes};

    #[test]
    fn every_version_gives_its_names() {
        for version in 1..=5 {
            let bytes = sample_vector_indexes(version);
            let found = vector_indexes(&bytes).expect("readable");
            let db = (version >= 4).then_some(3);
            assert_eq!(found, [Index { name: b"one", db }, Index { name: b"", db }], "{version}");
            for len in 0..bytes.len() {
                assert!(vector_indexes(&bytes[..len]).is_err(), "{version}: {len} bytes");
            }
            assert!(vector_indexes(&[&bytes[..], &[0]].concat()).is_err());
        }
        for version in 1..=2 {
            let bytes = sample_text_indexes(version);
            let found = text_indexes(&bytes).expect("readable");
            let db = (version >= 2).then_some(3);
            assert_eq!(found, [Index { name: b"one", db }, Index { name: b"", db }], "{version}");
            for len in 0..bytes.len() {
                assert!(text_indexes(&bytes[..len]).is_err(), "{version}: {len} bytes");
            }
        }
        assert!(vector_indexes(&sample_vector_indexes(6)).expect_err("newer").is_newer());
        assert!(text_indexes(&sample_vector_indexes(1)).is_err());
    }

    #[test]
    fn graphs_have_names() {
        let text = br#"{"graphs":[{"name":"g","edge_threshold":64,"created_lsn":7},{"name":"h"}],"snapshot_lsn":9}"#;
        assert_eq!(graphs(text).expect("readable"), ["g", "h"]);
        for text in ["", "[]", "{}", r#"{"graphs":[{}]}"#, r#"{"graphs":[{"name":1}]}"#] {
            assert!(graphs(text.as_bytes()).is_err(), "{text}");
        }
    }
}
