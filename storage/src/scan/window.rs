//! A sliding view of a file: large reads, memory bounded by one chunk or one record.

use std::io;

use moon_formats::wal::{RECORD_LEN_MAX, RECORD_LEN_MIN, Record};

use crate::io::File;

/// Bytes read at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// What lies at an offset.
pub(crate) enum Found<'a> {
    /// A record with a good CRC.
    Record(Record<'a>),
    /// The window must be moved to hold this many bytes from the offset.
    More(u64),
    /// No valid record.
    Nothing,
}

/// Bytes of a file in memory, and what they are of it.
#[derive(Default)]
pub(crate) struct View {
    /// Size of the file.
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

/// The part of a file in memory.
pub(crate) struct Window<'a> {
    file: &'a dyn File,
    align: u64,
    chunk: u64,
    view: View,
}

impl<'a> Window<'a> {
    /// An empty window on `file`; reads are aligned to `align`.
    pub(super) fn new(file: &'a dyn File, align: u64) -> Window<'a> {
        Window::reading(file, align, CHUNK_BYTES)
    }

    /// The same, `chunk` bytes at once.
    pub(crate) fn reading(file: &'a dyn File, align: u64, chunk: u64) -> Window<'a> {
        let view = View { size: file.size(), start: 0, bytes: Vec::new() };
        Window { file, align, chunk, view }
    }

    /// Size of the file.
    pub(crate) fn size(&self) -> u64 {
        self.view.size
    }

    /// Whether the file ends at `pos`, or nothing was written there: a length of zero. `None` if
    /// the window must be moved to tell.
    pub(super) fn is_blank(&self, pos: u64) -> Option<bool> {
        self.view.is_blank(pos)
    }

    /// The record at `pos`, if the window reaches far enough. A length is believed only as far
    /// as the file goes.
    #[inline]
    pub(crate) fn record(&self, pos: u64) -> Found<'_> {
        self.view.record(pos)
    }

    /// What it holds, for another thread; to be put back.
    pub(crate) fn view_mut(&mut self) -> &mut View {
        &mut self.view
    }

    /// Moves the window so that it holds `len` bytes from `pos`.
    pub(crate) async fn slide(&mut self, pos: u64, len: u64) -> io::Result<()> {
        let start = pos - pos % self.align;
        let want = (pos - start + len).next_multiple_of(self.align).max(self.chunk);
        let view = &mut self.view;
        view.bytes = self.file.read_at(start, want as usize).await?;
        view.start = start;
        let held = (start + view.bytes.len() as u64).saturating_sub(pos);
        if held < len {
            // The file is shorter than it said; what is missing cannot be a record.
            view.size = start + view.bytes.len() as u64;
        }
        Ok(())
    }
}

impl View {
    fn is_blank(&self, pos: u64) -> Option<bool> {
        let len = self.size.saturating_sub(pos).min(4) as usize;
        if len == 0 {
            return Some(true);
        }
        let skip = pos.checked_sub(self.start)? as usize;
        let held = self.bytes.get(skip..skip + len)?;
        Some(held.iter().all(|b| *b == 0))
    }

    /// The record at `pos`, if the bytes reach far enough.
    #[inline]
    pub(crate) fn record(&self, pos: u64) -> Found<'_> {
        let left = self.size.saturating_sub(pos);
        if left < RECORD_LEN_MIN as u64 {
            return Found::Nothing;
        }
        let held = match pos.checked_sub(self.start) {
            Some(skip) => self.bytes.get(skip as usize..).unwrap_or_default(),
            None => &[],
        };
        let Some(len) = held.first_chunk::<4>() else {
            return Found::More(RECORD_LEN_MIN as u64);
        };
        let len = u64::from(u32::from_le_bytes(*len));
        if len < RECORD_LEN_MIN as u64 || len > left || len > RECORD_LEN_MAX as u64 {
            return Found::Nothing;
        }
        if (held.len() as u64) < len {
            return Found::More(len);
        }
        match Record::decode(held, pos) {
            Ok(record) => Found::Record(record),
            Err(_) => Found::Nothing,
        }
    }
}
