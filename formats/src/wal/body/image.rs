//! Page images of the reference, and padding.
//!
//! ```text
//! FullPageImage  file_id u64 | page_index u64 | [codec u8 {0 raw, 1 LZ4 with u32 size}] |
//!                page rest
//! Pad            zeros rest
//! ```
//!
//! The oldest images have no codec byte: byte 16 is then neither 0 nor 1. Moon writes no page
//! images, because its data pages are never rewritten.

use super::Payload;
use crate::bytes::{Put, Reader};
use crate::error::DecodeError;
use crate::wal::record::RecordType;
use std::fmt;

/// A page before it was rewritten. Read only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullPageImage<'a> {
    /// The file.
    pub file_id: u64,
    /// The page in it.
    pub page_index: u64,
    /// 0 raw, 1 LZ4; `None` in the oldest form, which is raw.
    pub codec: Option<u8>,
    /// The page as stored.
    pub page: &'a [u8],
}

impl<'a> Payload<'a> for FullPageImage<'a> {
    const TYPE: RecordType = RecordType::FullPageImage;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.file_id);
        out.put_u64(self.page_index);
        if let Some(codec) = self.codec {
            out.put_u8(codec);
        }
        out.put(self.page);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        let file_id = r.u64("file_id")?;
        let page_index = r.u64("page_index")?;
        let rest = r.rest();
        let (codec, page) = match rest {
            [codec @ (0 | 1), page @ ..] => (Some(*codec), page),
            page => (None, page),
        };
        Ok(FullPageImage { file_id, page_index, codec, page })
    }
}

impl fmt::Display for FullPageImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FullPageImage { file_id, page_index, codec, page } = self;
        write!(f, "file={file_id} page={page_index} bytes={}", page.len())?;
        match codec {
            Some(codec) => write!(f, " codec={codec}"),
            None => Ok(()),
        }
    }
}

/// Zeros to the end of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pad {
    /// How many.
    pub zeros: usize,
}

impl<'a> Payload<'a> for Pad {
    const TYPE: RecordType = RecordType::Pad;

    fn put(&self, out: &mut Vec<u8>) {
        out.resize(out.len() + self.zeros, 0);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        let zeros = r.remaining();
        r.zeros(zeros, "Pad")?;
        Ok(Pad { zeros })
    }
}

impl fmt::Display for Pad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zeros={}", self.zeros)
    }
}
