//! Bytes of one simulated file: copy-on-write 4096-byte pages, absent pages read as zeros.
//!
//! The size is kept beside the pages and not derived from them, because after a power loss the two
//! need not agree. Cloning is one reference count, whatever the size.

use std::rc::Rc;

use moon_formats::crc::crc32c_append;

/// Unit the device keeps or loses as a whole.
pub(super) const SECTOR: u64 = 512;
/// Unit of copy-on-write.
pub(super) const PAGE: usize = 4096;
/// Largest file the simulator takes, so that a wild offset is an error and not an allocation.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 34;

/// Sectors that a byte range touches.
pub(super) fn sectors(offset: u64, len: u64) -> std::ops::Range<u64> {
    if len == 0 { 0..0 } else { offset / SECTOR..(offset + len).div_ceil(SECTOR) }
}

type Page = [u8; PAGE];

/// Pages and size of one version of a file.
#[derive(Clone, Default)]
pub(super) struct Content {
    pages: Rc<Vec<Option<Rc<Page>>>>,
    /// Logical size in bytes.
    pub(super) size: u64,
}

/// Splits `[offset, offset + len)` at page boundaries: (page, start in page, start in range, length).
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let (page, start) = ((at / PAGE as u64) as usize, (at % PAGE as u64) as usize);
        let n = (PAGE - start).min(len - done);
        let piece = (page, start, done, n);
        done += n;
        Some(piece)
    })
}

impl Content {
    /// Reads pages, without regard to the size.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        for (page, start, at, n) in pieces(offset, out.len()) {
            let dst = &mut out[at..at + n];
            match self.pages.get(page) {
                Some(Some(p)) => dst.copy_from_slice(&p[start..start + n]),
                _ => dst.fill(0),
            }
        }
    }

    /// Pages that are there, with their numbers.
    pub(super) fn pages(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.pages.iter().enumerate().filter_map(|(i, p)| Some((i, p.as_ref()?.as_slice())))
    }

    /// Writes pages; the size stays.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let pages = Rc::make_mut(&mut self.pages);
        let need = (offset + bytes.len() as u64).div_ceil(PAGE as u64) as usize;
        if pages.len() < need {
            pages.resize(need, None);
        }
        for (page, start, at, n) in pieces(offset, bytes.len()) {
            let p = pages[page].get_or_insert_with(|| Rc::new([0; PAGE]));
            Rc::make_mut(p)[start..start + n].copy_from_slice(&bytes[at..at + n]);
        }
    }

    /// Writes zeros; pages that are absent stay so.
    pub(super) fn zero(&mut self, offset: u64, len: u64) {
        let len = len.min((self.pages.len() as u64 * PAGE as u64).saturating_sub(offset));
        if len == 0 {
            return;
        }
        let pages = Rc::make_mut(&mut self.pages);
        for (page, start, _, n) in pieces(offset, len as usize) {
            if n == PAGE {
                pages[page] = None;
            } else if let Some(p) = &mut pages[page] {
                Rc::make_mut(p)[start..start + n].fill(0);
            }
        }
    }

    /// Sets the size; bytes beyond a smaller size are gone.
    pub(super) fn truncate(&mut self, len: u64) {
        self.size = len;
        self.trim();
    }

    /// Drops what lies beyond the size, as a file system does for blocks past the end of file.
    pub(super) fn trim(&mut self) {
        let have = self.pages.len() as u64 * PAGE as u64;
        if have <= self.size {
            return;
        }
        let size = self.size;
        self.zero(size, have - size);
        let keep = size.div_ceil(PAGE as u64) as usize;
        if self.pages.len() > keep {
            Rc::make_mut(&mut self.pages).truncate(keep);
        }
    }

    /// Checksum of all bytes with their places; pages of zeros count as absent ones.
    pub(super) fn checksum(&self) -> u32 {
        let mut sum = 0;
        for (place, page) in self.pages().filter(|(_, page)| page.iter().any(|b| *b != 0)) {
            sum = crc32c_append(sum, &(place as u64).to_le_bytes());
            sum = crc32c_append(sum, page);
        }
        sum
    }

    /// Copies one sector-sized range from another version.
    pub(super) fn copy_from(&mut self, other: &Content, offset: u64, len: usize) {
        let page = (offset / PAGE as u64) as usize;
        let absent = |c: &Content| !matches!(c.pages.get(page), Some(Some(_)));
        if absent(self) && absent(other) {
            return;
        }
        let mut buf = [0; SECTOR as usize];
        let buf = &mut buf[..len.min(SECTOR as usize)];
        other.read(offset, buf);
        self.write(offset, buf);
    }
}
