//! A snapshot file as a stream of its items: large direct reads, some ahead of the decoder.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::task::Poll;

use moon_formats::rrdshard::{Decoder, Head, Item, section};

use crate::io::{Access, Caching, Disk, LocalFuture, Piece};

use super::BaseError;
use super::shard::Target;

/// Bytes read at once.
const READ_BYTES: usize = 2 << 20;
/// Reads under way while a piece is decoded. A thread that reads on the decoder's own core comes to ask the
/// device for the next piece when the decoder waits or has used up its time, and one read ahead is then not yet there.
const READS_AHEAD: usize = 2;
/// Room before them for the beginning of a block whose rest they bring.
const FRONT_BYTES: usize = 256 << 10;

/// What a whole snapshot file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSummary {
    /// Its head.
    pub head: Head,
    /// Keys.
    pub entries: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Final checksum.
    pub crc: u32,
}

/// A read that was started.
struct Ahead<'a> {
    read: LocalFuture<'a, io::Result<Piece>>,
    done: Option<io::Result<Piece>>,
}

impl<'a> Ahead<'a> {
    /// Polls the read once: it is under way while the caller works.
    async fn start(read: LocalFuture<'a, io::Result<Piece>>) -> Ahead<'a> {
        let mut ahead = Ahead { read, done: None };
        poll_fn(|cx| {
            if let Poll::Ready(result) = ahead.read.as_mut().poll(cx) {
                ahead.done = Some(result);
            }
            Poll::Ready(())
        })
        .await;
        ahead
    }

    async fn finish(self) -> io::Result<Piece> {
        match self.done {
            Some(result) => result,
            None => self.read.await,
        }
    }
}

/// Streams the file at `path` into `target` and calls `read` with the bytes of every piece.
/// Checksums, counts and the covered ranges have been checked when this succeeds; what was
/// loaded until then is void if it fails.
///
/// # Errors
/// See [`BaseError`].
pub async fn read_file(
    disk: &dyn Disk,
    path: &Path,
    target: &mut dyn Target,
    read: &mut dyn FnMut(u64),
) -> Result<FileSummary, BaseError> {
    let file = disk.open(path, Access::Read, Caching::Direct).await.map_err(BaseError::Io)?;
    let size = file.size();
    target.restart();
    let mut decoder = Decoder::new();
    decoder.planes(target.sections());
    let mut head = None;
    let mut asked = 0;
    let mut pos = 0;
    let most = usize::try_from(size).unwrap_or(usize::MAX);
    let room = |storage| Piece::new(storage, FRONT_BYTES.min(most), READ_BYTES.min(most));
    let mut ahead = VecDeque::with_capacity(READS_AHEAD);
    while ahead.len() < READS_AHEAD && asked < size {
        ahead.push_back(Ahead::start(file.read_into(asked, room(Vec::new()))).await);
        asked += READ_BYTES as u64;
    }
    loop {
        if let Some(read) = ahead.pop_front() {
            let piece = read.finish().await.map_err(BaseError::Io)?;
            let expected = (size - pos).min(READ_BYTES as u64);
            if piece.len() as u64 != expected {
                return Err(BaseError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            pos += expected;
            let (storage, span) = piece.into_parts();
            let spare = decoder.exchange(storage, span);
            if asked < size {
                ahead.push_back(Ahead::start(file.read_into(asked, room(spare))).await);
                asked += READ_BYTES as u64;
            }
        }
        if pos == size {
            decoder.close();
        }
        let end = decode(&mut decoder, target, &mut head)?;
        read(pos);
        if pos == size {
            // A decoder that knows of no more bytes has ended or failed.
            let (Some(end), Some(head)) = (end, head) else {
                return Err(BaseError::Io(io::ErrorKind::UnexpectedEof.into()));
            };
            return Ok(end.with(head));
        }
    }
}

/// The head of the snapshot file at `path`; what follows is not looked at.
///
/// # Errors
/// See [`BaseError`].
pub async fn read_head(disk: &dyn Disk, path: &Path) -> Result<Head, BaseError> {
    let file = disk.open(path, Access::Read, Caching::Direct).await.map_err(BaseError::Io)?;
    let mut decoder = Decoder::new();
    decoder.feed(&file.read_at(0, disk.alignment()).await.map_err(BaseError::Io)?);
    match decoder.next().map_err(BaseError::Bad)? {
        Some(Item::Head(head)) => Ok(head),
        _ => Err(BaseError::Io(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// The end of a file, without its head.
#[derive(Clone, Copy)]
struct End {
    entries: u64,
    bytes: u64,
    crc: u32,
}

impl End {
    fn with(self, head: Head) -> FileSummary {
        let End { entries, bytes, crc } = self;
        FileSummary { head, entries, bytes, crc }
    }
}

/// Takes every item there is.
fn decode(
    decoder: &mut Decoder,
    target: &mut dyn Target,
    head: &mut Option<Head>,
) -> Result<Option<End>, BaseError> {
    let mut end = None;
    while let Some(item) = decoder.next().map_err(BaseError::Bad)? {
        match &item {
            Item::Head(h) => *head = Some(*h),
            Item::End(s) => end = Some(End { entries: s.entries, bytes: s.bytes, crc: s.crc }),
            Item::Section(s) if s.section == section::FILES => {
                let files = section::read_files(s.payload, s.offset).map_err(BaseError::Bad)?;
                if !files.is_empty() {
                    return Err(BaseError::Files(files.len() as u64));
                }
            }
            _ => {}
        }
        target.item(&item).map_err(BaseError::Target)?;
    }
    Ok(end)
}
