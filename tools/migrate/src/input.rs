//! A file as it is read: a window that grows as far as one item needs.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::fail::Failure;

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// See the module page.
pub(crate) struct Input {
    path: PathBuf,
    file: File,
    buf: Vec<u8>,
    start: usize,
    ended: bool,
}

impl Input {
    pub(crate) fn open(path: &Path) -> Result<Input, Failure> {
        let file = File::open(path).map_err(|e| Failure::io("read", path, e))?;
        Ok(Input { path: path.into(), file, buf: Vec::new(), start: 0, ended: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is there and not consumed.
    pub(crate) fn rest(&self) -> &[u8] {
        self.buf.get(self.start..).unwrap_or_default()
    }

    /// Whether the file has no more bytes than [`Input::rest`].
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.start += n;
    }

    /// Takes back the last bytes that were consumed since [`Input::ensure`].
    pub(crate) fn give_back(&mut self, n: usize) {
        self.start -= n;
    }

    /// Reads until so many bytes are there, or the file ends.
    pub(crate) fn ensure(&mut self, wanted: usize) -> Result<(), Failure> {
        self.buf.drain(..self.start);
        self.start = 0;
        while self.buf.len() < wanted && !self.ended {
            let len = self.buf.len();
            self.buf.resize(len + PIECE, 0);
            let read = match self.file.read(&mut self.buf[len..]) {
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {
                    self.buf.truncate(len);
                    continue;
                }
                Err(e) => return Err(Failure::io("read", &self.path, e)),
            };
            self.ended = read == 0;
            self.buf.truncate(len + read);
        }
        Ok(())
    }
}
