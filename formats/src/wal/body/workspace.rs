//! Workspaces.
//!
//! ```text
//! WorkspaceCreate  ws_id 16 | name bytes32 | [created_at_ms i64]
//! WorkspaceDrop    ws_id 16
//! ```

use super::{Payload, Quoted};
use crate::bytes::{Put, Reader};
use crate::error::DecodeError;
use crate::wal::record::RecordType;
use std::fmt;

/// A workspace was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceCreate<'a> {
    /// UUIDv7.
    pub ws_id: [u8; 16],
    /// Its name.
    pub name: &'a [u8],
    /// Unix milliseconds; `None` in the oldest records.
    pub created_at_ms: Option<i64>,
}

impl<'a> Payload<'a> for WorkspaceCreate<'a> {
    const TYPE: RecordType = RecordType::WorkspaceCreate;

    fn put(&self, out: &mut Vec<u8>) {
        out.put(&self.ws_id);
        out.put_bytes32(self.name);
        if let Some(ms) = self.created_at_ms {
            out.put_i64(ms);
        }
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(WorkspaceCreate {
            ws_id: r.array("ws_id")?,
            name: r.bytes32("name")?,
            created_at_ms: match r.is_empty() {
                true => None,
                false => Some(r.i64("created_at_ms")?),
            },
        })
    }
}

impl fmt::Display for WorkspaceCreate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws={} name={}", Uuid(self.ws_id), Quoted(self.name))?;
        match self.created_at_ms {
            Some(ms) => write!(f, " created_at_ms={ms}"),
            None => Ok(()),
        }
    }
}

/// A workspace was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceDrop {
    /// UUIDv7.
    pub ws_id: [u8; 16],
}

impl<'a> Payload<'a> for WorkspaceDrop {
    const TYPE: RecordType = RecordType::WorkspaceDrop;

    fn put(&self, out: &mut Vec<u8>) {
        out.put(&self.ws_id);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(WorkspaceDrop { ws_id: r.array("ws_id")? })
    }
}

impl fmt::Display for WorkspaceDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws={}", Uuid(self.ws_id))
    }
}

/// Prints the usual groups of hexadecimal digits.
struct Uuid([u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{b:02x}")?;
        }
        Ok(())
    }
}
