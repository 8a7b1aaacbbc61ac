//! Connections to other servers, in plain calls that wait: for threads of their own, never for a shard's.
//!
//! With TLS or without, what is read and written is what the two servers say. A connection that is to
//! become one of the shard's is taken apart again ([`Outward::into_parts`]).

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::secure::Secure;
use super::sys;

/// Bytes of ciphertext read at once.
const CHUNK: usize = 64 << 10;

/// A connection.
pub(crate) struct Outward {
    stream: TcpStream,
    secure: Option<Box<Secure>>,
    /// Plaintext that has come and was not read; what is before `read` was.
    clear: Vec<u8>,
    read: usize,
}

impl Outward {
    /// Connects to the first address of a name that answers, from `from` if that is given. `timeout` is for
    /// each step, this one included.
    ///
    /// # Errors
    /// None does, or it does not speak TLS as wanted.
    pub(crate) fn connect(
        host: &str,
        port: u16,
        timeout: Duration,
        tls: Option<&Arc<ClientConfig>>,
        from: Option<IpAddr>,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()? {
            let connected = match from {
                None => TcpStream::connect_timeout(&address, timeout),
                Some(from) => sys::connect_from(from, address, timeout),
            };
            match connected {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let mut this = Self { stream, secure: None, clear: Vec::new(), read: 0 };
                    this.set_timeout(Some(timeout))?;
                    if let Some(config) = tls {
                        this.shake_hands(host, config)?;
                    }
                    return Ok(this);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// How long a read or a write may take; `None` for ever.
    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)?;
        self.stream.set_write_timeout(timeout)
    }

    fn shake_hands(&mut self, host: &str, config: &Arc<ClientConfig>) -> io::Result<()> {
        let name = ServerName::try_from(host.to_string())
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))?;
        let fault = |e: rustls::Error| io::Error::other(format!("TLS: {e}"));
        self.secure = Some(Secure::connect(config.clone(), name).map_err(fault)?);
        self.open(&mut [])?;
        while let Some(secure) = &mut self.secure
            && !secure.take_established()
        {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Takes ciphertext, and says what TLS itself has to say then.
    fn open(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let Some(secure) = &mut self.secure else { return Ok(()) };
        let opened = secure.open(bytes, &mut self.clear);
        let wire = std::mem::take(&mut secure.wire);
        self.stream.write_all(&wire)?;
        opened.map(drop).map_err(|fault| io::Error::other(format!("TLS: {fault}")))
    }

    /// Reads some ciphertext; 0 at its end.
    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; CHUNK];
        let n = self.stream.read(&mut chunk)?;
        self.open(&mut chunk[..n])?;
        Ok(n)
    }

    /// The socket, what stands between its bytes and what is said, and what was said and not read yet. It
    /// does not wait any more.
    pub(crate) fn into_parts(self) -> io::Result<(OwnedFd, Option<Box<Secure>>, Vec<u8>)> {
        self.set_timeout(None)?;
        self.stream.set_nonblocking(true)?;
        let mut clear = self.clear;
        clear.drain(..self.read);
        Ok((self.stream.into(), self.secure, clear))
    }
}

impl Read for Outward {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.secure.is_none() {
            return self.stream.read(buf);
        }
        while self.read == self.clear.len() {
            self.clear.clear();
            self.read = 0;
            // A peer that says goodbye hangs up then.
            if self.fill()? == 0 {
                return Ok(0);
            }
        }
        let n = buf.len().min(self.clear.len() - self.read);
        buf[..n].copy_from_slice(&self.clear[self.read..self.read + n]);
        self.read += n;
        Ok(n)
    }
}

impl Write for Outward {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(secure) = &mut self.secure else { return self.stream.write(buf) };
        let mut out = buf.to_vec();
        secure.push(&mut out, buf.len());
        while secure.pending() > 0 {
            secure.seal().map_err(|fault| io::Error::other(format!("TLS: {fault}")))?;
            let wire = std::mem::take(&mut secure.wire);
            self.stream.write_all(&wire)?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
