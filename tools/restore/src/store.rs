//! Bytes on their way into a set, out of it, and through a checksum.
//!
//! Invariants: memory is a few pieces of [`PIECE`], whatever a file's size; what is written is synced before it
//! counts as written.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use moon_formats::backup::Codec;
use moon_storage::io::{Access, Caching, Disk, File, LocalFuture};
use moon_storage::whole;
use xxhash_rust::xxh64::Xxh64;
use zstd::stream::raw::{DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

/// Bytes read or written at once.
pub(crate) const PIECE: usize = 1 << 20;
/// Level of compression: zstd's own default.
const LEVEL: i32 = 3;
/// Largest window that a frame may ask for: 2^27 bytes, zstd's own default limit.
const WINDOW_LOG_MAX: u32 = 27;

/// Reads a file from its beginning, piece by piece, up to `bytes` of it. Returns how many there were.
///
/// # Errors
/// The file cannot be read, or `each` fails.
pub(crate) async fn read_all(
    file: &dyn File,
    bytes: u64,
    each: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
) -> io::Result<u64> {
    let mut pos = 0;
    while pos < bytes {
        let mut piece = file.read_at(pos, PIECE).await?;
        piece.truncate(usize::try_from(bytes - pos).unwrap_or(usize::MAX));
        if piece.is_empty() {
            break;
        }
        pos += piece.len() as u64;
        each(piece)?;
    }
    Ok(pos)
}

/// What has gone through a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Bytes of the content.
    pub(crate) bytes: u64,
    /// Their checksum.
    pub(crate) xxh64: u64,
    /// Bytes as stored.
    pub(crate) stored_bytes: u64,
    /// Their checksum.
    pub(crate) stored_xxh64: u64,
}

/// Writes the first `bytes` of `from` to a new file, encoded. Durable when this returns, but for its name.
///
/// # Errors
/// Either file fails; a short `from` is an error of the kind `UnexpectedEof`.
pub(crate) async fn copy(
    from: &dyn File,
    bytes: u64,
    disk: &dyn Disk,
    to: &Path,
    codec: Codec,
    progress: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<Copied> {
    let out = disk.open(to, Access::CreateNew, Caching::Cached).await?;
    let mut hash = Xxh64::new(0);
    let mut encoder = match codec {
        Codec::None => None,
        Codec::Zstd => Some(Encoder::new(LEVEL)?),
    };
    let (mut pos, mut stored, mut stored_hash) = (0, 0, Xxh64::new(0));
    while pos < bytes {
        let mut piece = from.read_at(pos, PIECE).await?;
        piece.truncate(usize::try_from(bytes - pos).unwrap_or(usize::MAX));
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        pos += piece.len() as u64;
        hash.update(&piece);
        progress(piece.len() as u64)?;
        let packed = match &mut encoder {
            None => piece,
            Some(encoder) => pack(encoder, &piece)?,
        };
        whole::write_at(&*out, stored, &packed).await?;
        stored_hash.update(&packed);
        stored += packed.len() as u64;
    }
    if let Some(encoder) = &mut encoder {
        let mut end = Vec::with_capacity(PIECE);
        loop {
            let mut buffer = vec![0; PIECE];
            let mut output = OutBuffer::around(&mut buffer);
            let left = encoder.finish(&mut output, true)?;
            end.extend_from_slice(output.as_slice());
            if left == 0 {
                break;
            }
        }
        whole::write_at(&*out, stored, &end).await?;
        stored_hash.update(&end);
        stored += end.len() as u64;
    }
    out.sync().await?;
    Ok(Copied {
        bytes: pos,
        xxh64: hash.digest(),
        stored_bytes: stored,
        stored_xxh64: stored_hash.digest(),
    })
}

fn pack(encoder: &mut Encoder<'_>, piece: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    let mut input = InBuffer::around(piece);
    while input.pos() < piece.len() {
        let mut buffer = vec![0; PIECE];
        let mut output = OutBuffer::around(&mut buffer);
        encoder.run(&mut input, &mut output)?;
        packed.extend_from_slice(output.as_slice());
    }
    Ok(packed)
}

/// A compressed file, read as if it were not. Reads that go forward decode once; one that goes back begins
/// again.
pub(crate) struct Unpacked {
    packed: Rc<dyn File>,
    bytes: u64,
    /// Kept between reads that go forward.
    state: RefCell<Option<Decoding>>,
}

struct Decoding {
    decoder: Decoder<'static>,
    /// Where the next piece is read, and what of the last one is left.
    at: u64,
    input: Vec<u8>,
    used: usize,
    /// Checksum of all that was read.
    stored: Xxh64,
    /// Decoded bytes that have not been taken, and the offset of the first.
    out: Vec<u8>,
    offset: u64,
    ended: bool,
}

fn damaged(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Unpacked {
    /// `bytes` is the size of the content.
    pub(crate) fn new(packed: Rc<dyn File>, bytes: u64) -> Unpacked {
        Unpacked { packed, bytes, state: RefCell::default() }
    }

    async fn decode(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let len = len.min(usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(Vec::new());
        }
        let kept = self.state.borrow_mut().take();
        let mut state = match kept.filter(|s| s.offset <= offset) {
            Some(state) => state,
            None => Decoding::new()?,
        };
        let end = offset + len as u64;
        while state.offset + (state.out.len() as u64) < end && !state.ended {
            state.step(&*self.packed).await?;
            // What lies before is not asked for again, or is decoded again.
            let before = offset.saturating_sub(state.offset).min(state.out.len() as u64);
            state.out.drain(..before as usize);
            state.offset += before;
        }
        let from = (offset - state.offset) as usize;
        let content = state.out.get(from..from + len);
        let content = content.ok_or(damaged("the compressed file ends early"))?.to_vec();
        // A first look at a file's head is not followed by another soon: nothing is kept for it.
        if offset > 0 || len >= PIECE {
            *self.state.borrow_mut() = Some(state);
        }
        Ok(content)
    }

    /// Reads everything and checks that the frame ends where the file does. Returns what went through.
    ///
    /// # Errors
    /// The file cannot be read, or is not one frame of so many bytes.
    pub(crate) async fn check(
        &self,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Copied> {
        let mut state = Decoding::new()?;
        let (mut bytes, mut hash) = (0, Xxh64::new(0));
        while !state.ended {
            state.step(&*self.packed).await?;
            bytes += state.out.len() as u64;
            if bytes > self.bytes {
                return Err(damaged("it unpacks to more than it should"));
            }
            hash.update(&state.out);
            each(&state.out)?;
            state.out.clear();
        }
        if state.used < state.input.len() || state.at < self.packed.size() {
            return Err(damaged("bytes follow the end of the compressed file"));
        }
        let (stored_bytes, stored_xxh64) = (state.at, state.stored.digest());
        Ok(Copied { bytes, xxh64: hash.digest(), stored_bytes, stored_xxh64 })
    }
}

impl Decoding {
    fn new() -> io::Result<Decoding> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Decoding {
            decoder,
            at: 0,
            input: Vec::new(),
            used: 0,
            stored: Xxh64::new(0),
            out: Vec::new(),
            offset: 0,
            ended: false,
        })
    }

    /// Decodes a piece more.
    async fn step(&mut self, packed: &dyn File) -> io::Result<()> {
        if self.used == self.input.len() {
            self.input = packed.read_at(self.at, PIECE).await?;
            self.stored.update(&self.input);
            self.at += self.input.len() as u64;
            self.used = 0;
            if self.input.is_empty() {
                return Err(damaged("the compressed file ends early"));
            }
        }
        let mut buffer = vec![0; PIECE];
        let mut output = OutBuffer::around(&mut buffer);
        let mut input = InBuffer::around(&self.input);
        input.set_pos(self.used);
        let left = self.decoder.run(&mut input, &mut output);
        let left = left.map_err(|e| damaged(&format!("the compressed file is damaged: {e}")))?;
        self.used = input.pos();
        self.ended = left == 0;
        self.out.extend_from_slice(output.as_slice());
        Ok(())
    }
}

/// What a file is read from that cannot be written.
pub(crate) trait Content {
    /// Bytes of it.
    fn size(&self) -> u64;

    /// Up to `len` bytes from `offset` on; fewer at the end.
    fn read(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>>;
}

impl Content for Unpacked {
    fn size(&self) -> u64 {
        self.bytes
    }

    fn read(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(self.decode(offset, len))
    }
}

/// Bytes in memory.
impl Content for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let to = from.saturating_add(len).min(self.len());
        let piece = self.get(from..to).unwrap_or_default().to_vec();
        Box::pin(async move { Ok(piece) })
    }
}

/// A content as a file.
pub(crate) struct ReadOnly<T>(pub(crate) T);

/// What writing comes to where nothing can be written.
pub(crate) fn read_only<T>() -> LocalFuture<'static, io::Result<T>> {
    Box::pin(async { Err(io::ErrorKind::ReadOnlyFilesystem.into()) })
}

impl<T: Content> File for ReadOnly<T> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, len: usize) -> LocalFuture<'_, io::Result<Vec<u8>>> {
        self.0.read(offset, len)
    }

    fn write_at<'a>(&'a self, _: u64, _: &'a [u8]) -> LocalFuture<'a, io::Result<usize>> {
        read_only()
    }

    fn write_now(&self, _: u64, _: &[u8]) -> Option<io::Result<usize>> {
        None
    }

    fn sync(&self) -> LocalFuture<'_, io::Result<()>> {
        read_only()
    }

    fn preallocate(&self, _: u64) -> LocalFuture<'_, io::Result<()>> {
        read_only()
    }

    fn truncate(&self, _: u64) -> LocalFuture<'_, io::Result<()>> {
        read_only()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moon_storage::io::sim::{SimConfig, SimDisk};

    /// Bytes that neither repeat nor compress too well.
    fn content(len: usize) -> Vec<u8> {
        let mut state = 7u64;
        let byte = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 60) as u8
        };
        (0..len).map(byte).collect()
    }

    #[test]
    fn what_is_packed_comes_back_in_any_order_of_reads() {
        let disk = SimDisk::new(SimConfig::default(), 1);
        let rt = disk.runtime();
        let bytes = content(3 * PIECE + 12_345);
        rt.block_on(async {
            for codec in [Codec::None, Codec::Zstd] {
                let path = Path::new("/f").with_extension(format!("{codec:?}"));
                let mut seen = 0;
                let mut count = |n: u64| -> io::Result<()> {
                    seen += n;
                    Ok(())
                };
                let from = ReadOnly(bytes.clone());
                let copied =
                    copy(&from, from.size(), &disk, &path, codec, &mut count).await.unwrap();
                assert_eq!((copied.bytes, seen), (bytes.len() as u64, bytes.len() as u64));
                assert_eq!(copied.xxh64, xxhash_rust::xxh64::xxh64(&bytes, 0));
                let file = disk.open(&path, Access::Read, Caching::Cached).await.unwrap();
                assert_eq!(copied.stored_bytes, file.size());
                let stored = file.read_at(0, file.size() as usize).await.unwrap();
                assert_eq!(copied.stored_xxh64, xxhash_rust::xxh64::xxh64(&stored, 0));
                if codec == Codec::None {
                    continue;
                }
                assert!(file.size() < bytes.len() as u64 * 3 / 4, "{} bytes", file.size());
                let unpacked = Unpacked::new(file, bytes.len() as u64);
                for (at, len) in [
                    (0, 4096),
                    (4096, 100_000),
                    (4096, 8),
                    (3 * PIECE, 2 * PIECE),
                    (10, 20),
                    (PIECE - 1, 2),
                    (bytes.len(), 5),
                ] {
                    let end = (at + len).min(bytes.len());
                    let read = unpacked.decode(at as u64, len).await.unwrap();
                    assert_eq!(read, bytes[at..end], "{at} {len}");
                }
                let mut whole = Vec::new();
                let mut keep = |piece: &[u8]| -> io::Result<()> {
                    whole.extend_from_slice(piece);
                    Ok(())
                };
                assert_eq!(unpacked.check(&mut keep).await.unwrap(), copied);
                assert_eq!(whole, bytes);
            }
        });
    }

    #[test]
    fn a_file_that_is_cut_or_longer_than_it_says_is_damaged() {
        let disk = SimDisk::new(SimConfig::default(), 1);
        let bytes = content(200_000);
        disk.runtime().block_on(async {
            let path = Path::new("/f");
            let from = ReadOnly(bytes.clone());
            let mut tell = |_| Ok(());
            let copied = copy(&from, from.size(), &disk, path, Codec::Zstd, &mut tell).await;
            let stored = copied.unwrap().stored_bytes;
            let file = disk.open(path, Access::Read, Caching::Cached).await.unwrap();
            let packed = file.read_at(0, stored as usize).await.unwrap();
            let check = async |packed: Vec<u8>, bytes: u64| {
                let unpacked = Unpacked::new(Rc::new(ReadOnly(packed)), bytes);
                unpacked.check(&mut |_| Ok(())).await
            };
            let all = bytes.len() as u64;
            assert_eq!(check(packed.clone(), all).await.unwrap().bytes, all);
            assert!(check(packed[..packed.len() - 1].to_vec(), all).await.is_err());
            assert!(check([&packed[..], b"x"].concat(), all).await.is_err());
            assert!(check(packed.clone(), all - 1).await.is_err());
            let mut flipped = packed.clone();
            flipped[2] ^= 1;
            assert!(check(flipped, all).await.is_err());
        });
    }
}
