//! Records of valid time: versions of keys, ends of graph entities, wall-clock anchors.
//!
//! ```text
//! TemporalUpsert  key bytes32 | valid_from i64 | system_from i64 | value bytes32
//! GraphTemporal   entity_id u64 | is_node u8 | valid_to i64 | system_from i64 |
//!                 [graph bytes16]
//! TemporalAnchor  wall_ms i64 | lsn u64
//! ```
//!
//! Times are Unix milliseconds. Replay uses the stored time, never the clock.

use super::{Payload, Quoted};
use crate::bytes::{Put, Reader};
use crate::error::DecodeError;
use crate::wal::record::RecordType;
use std::fmt;

/// A version of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemporalUpsert<'a> {
    /// The key.
    pub key: &'a [u8],
    /// From when the value holds.
    pub valid_from: i64,
    /// When it was recorded.
    pub system_from: i64,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Payload<'a> for TemporalUpsert<'a> {
    const TYPE: RecordType = RecordType::TemporalUpsert;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_bytes32(self.key);
        out.put_i64(self.valid_from);
        out.put_i64(self.system_from);
        out.put_bytes32(self.value);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(TemporalUpsert {
            key: r.bytes32("key")?,
            valid_from: r.i64("valid_from")?,
            system_from: r.i64("system_from")?,
            value: r.bytes32("value")?,
        })
    }
}

impl fmt::Display for TemporalUpsert<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key={} valid_from={}", Quoted(self.key), self.valid_from)?;
        write!(f, " system_from={} value={}", self.system_from, Quoted(self.value))
    }
}

/// End of validity of a graph entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphTemporal<'a> {
    /// Node or edge.
    pub entity_id: u64,
    /// True for a node.
    pub is_node: bool,
    /// Until when it holds.
    pub valid_to: i64,
    /// When that was recorded.
    pub system_from: i64,
    /// The graph; `None` in records of the reference, where the id is ambiguous.
    pub graph: Option<&'a [u8]>,
}

impl<'a> Payload<'a> for GraphTemporal<'a> {
    const TYPE: RecordType = RecordType::GraphTemporal;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.entity_id);
        out.put_u8(u8::from(self.is_node));
        out.put_i64(self.valid_to);
        out.put_i64(self.system_from);
        if let Some(graph) = self.graph {
            out.put_bytes16(graph);
        }
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(GraphTemporal {
            entity_id: r.u64("entity_id")?,
            is_node: r.bool("is_node")?,
            valid_to: r.i64("valid_to")?,
            system_from: r.i64("system_from")?,
            graph: match r.is_empty() {
                true => None,
                false => Some(r.bytes16("graph")?),
            },
        })
    }
}

impl fmt::Display for GraphTemporal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_node { "node" } else { "edge" };
        write!(f, "{kind}={} valid_to={}", self.entity_id, self.valid_to)?;
        write!(f, " system_from={}", self.system_from)?;
        match self.graph {
            Some(graph) => write!(f, " graph={}", Quoted(graph)),
            None => Ok(()),
        }
    }
}

/// Ties a wall-clock time to an LSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemporalAnchor {
    /// Unix milliseconds.
    pub wall_ms: i64,
    /// Last LSN at that time.
    pub lsn: u64,
}

impl<'a> Payload<'a> for TemporalAnchor {
    const TYPE: RecordType = RecordType::TemporalAnchor;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_i64(self.wall_ms);
        out.put_u64(self.lsn);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(TemporalAnchor { wall_ms: r.i64("wall_ms")?, lsn: r.u64("lsn")? })
    }
}

impl fmt::Display for TemporalAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wall_ms={} lsn={}", self.wall_ms, self.lsn)
    }
}
