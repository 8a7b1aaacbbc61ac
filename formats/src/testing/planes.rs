//! Definitions of graphs and indexes of the reference: samples of every version, and the target that reads them.

use crate::planes_reference::{graphs, text_indexes, vector_indexes};

/// Reads definitions of graphs and of indexes; each index stands in at least as many bytes as its name has.
pub fn planes_reference(data: &[u8]) {
    let _ = graphs(data);
    for read in [vector_indexes, text_indexes] {
        let found = read(data).unwrap_or_default();
        assert!(found.iter().map(|index| index.name.len()).sum::<usize>() <= data.len());
    }
}

/// Indexes of vectors: one with prefixes and fields, and one without a name.
pub fn sample_vector_indexes(version: u8) -> Vec<u8> {
    let text = |text: &[u8]| [&(text.len() as u16).to_le_bytes(), text].concat();
    let mut out = [&b"VMIX"[..], &[version, 2, 0, 0]].concat();
    for name in [&b"one"[..], b""] {
        out.extend(text(name));
        out.extend([[1; 23].as_slice(), &[0; 2]].concat());
        out.extend([text(b"v"), vec![1, 0], text(b"doc:")].concat());
        if version >= 2 {
            out.extend([vec![1, 0], text(b"w"), vec![1; 7], vec![0]].concat());
        }
        if version >= 3 {
            out.extend(1f32.to_le_bytes());
        }
        if version >= 4 {
            out.push(3);
        }
        if version >= 5 {
            out.extend([1, 0, 0, 0, 1, 0, 0, 0]);
        }
    }
    out
}

/// Indexes of text: one with prefixes and fields, and one without a name.
pub fn sample_text_indexes(version: u8) -> Vec<u8> {
    let text = |text: &[u8]| [&(text.len() as u16).to_le_bytes(), text].concat();
    let mut out = [&b"TMIX"[..], &[version, 2, 0, 0]].concat();
    for name in [&b"one"[..], b""] {
        out.extend([text(name), vec![1; 8], vec![1, 0], text(b"doc:")].concat());
        out.extend([vec![1, 0], text(b"body"), vec![1; 9]].concat());
        if version >= 2 {
            out.push(3);
        }
    }
    out
}

/// Definitions of each kind.
pub(super) fn samples() -> Vec<Vec<u8>> {
    let metadata = br#"{"graphs":[{"name":"g","edge_threshold":64}],"snapshot_lsn":9}"#;
    vec![
        metadata.to_vec(),
        sample_vector_indexes(5),
        sample_vector_indexes(1),
        sample_text_indexes(2),
    ]
}
