//! TLS between the bytes of a socket and the connection state machine: ciphertext in, plaintext out,
//! and the other way round. No I/O happens here, and no request is known.
//!
//! ```text
//! socket -> Data -> [open] -> plaintext -> Conn::feed      Conn::out -> [push, seal] -> wire -> send
//! ```
//!
//! Invariants:
//! * What comes out does not depend on how the ciphertext was split into reads.
//! * Ciphertext kept is at most [`INCOMING_MAX`]; of plaintext only so much is sealed at a time that a
//!   turn stays short, and the rest waits as it is.
//! * An idle connection keeps no buffers.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, ServerConfig};

/// Most ciphertext of unfinished records that is kept: the longest handshake message (64 KiB) in
/// records, and what one read may add.
const INCOMING_MAX: usize = 256 << 10;
/// Plaintext sealed for one send.
const SEAL_BYTES: usize = 256 << 10;
/// A buffer larger than this is given back when it runs empty.
const KEEP_BYTES: usize = 32 << 10;
/// Bytes that a record adds at most: header, explicit nonce, content type, tag.
const RECORD_OVERHEAD: usize = 32;
/// Longest plaintext of a record (RFC 8446 §5.1).
const RECORD_MAX: usize = 16 << 10;
/// First byte of every TLS connection: a handshake record.
const HANDSHAKE: u8 = 22;
/// First byte of a record that says why there will be none; from servers only.
const ALERT: u8 = 21;

/// Why a connection cannot go on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The peer does not speak TLS.
    Plain,
    /// The peer sends more than a handshake takes.
    TooMuch,
    /// The handshake took too long.
    Slow,
    /// A rule of TLS was broken, or the peer's certificate is not trusted.
    Tls(rustls::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("the peer does not speak TLS"),
            Self::TooMuch => f.write_str("too many bytes before the end of the handshake"),
            Self::Slow => f.write_str("the handshake took too long"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl From<rustls::Error> for Fault {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

/// Which end of the connection this is.
enum End {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Evaluates `$then` with `$tls` as the connection of either end: what is done with them is the same, their
/// types are not.
macro_rules! at_either_end {
    ($end:expr, $tls:ident => $then:expr) => {
        match $end {
            End::Server($tls) => $then,
            End::Client($tls) => $then,
        }
    };
}

/// What is to be written.
#[derive(Clone, Copy)]
enum Say<'a> {
    /// Plaintext.
    Data(&'a [u8]),
    /// Nothing follows.
    Goodbye,
}

/// The TLS side of one connection.
pub(crate) struct Secure {
    tls: End,
    /// Ciphertext of unfinished records, or of a handshake that waits for its turn.
    incoming: Vec<u8>,
    /// Ciphertext made and not handed to the driver.
    pub(crate) wire: Vec<u8>,
    /// Plaintext that may leave; what is before `sealed` is in `wire` already.
    outgoing: Vec<u8>,
    sealed: usize,
    /// Some bytes have come.
    begun: bool,
    /// The handshake was reported as done.
    established: bool,
    /// The last thing has been said.
    finished: bool,
    /// The handshake waits for its turn.
    pub(crate) deferred: bool,
    /// When the connection was accepted.
    pub(crate) since_ms: u64,
}

impl Secure {
    /// The server's side of a connection that has just been accepted.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn accept(config: Arc<ServerConfig>) -> Result<Box<Self>, rustls::Error> {
        Ok(Self::new(End::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// The client's side of a connection to the server of this name. [`Self::open`] with no bytes makes the
    /// first ones.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Box<Self>, rustls::Error> {
        Ok(Self::new(End::Client(UnbufferedClientConnection::new(config, name)?)))
    }

    fn new(tls: End) -> Box<Self> {
        Box::new(Self {
            tls,
            incoming: Vec::new(),
            wire: Vec::new(),
            outgoing: Vec::new(),
            sealed: 0,
            begun: false,
            established: false,
            finished: false,
            deferred: false,
            since_ms: 0,
        })
    }

    /// Whether the handshake goes on, which makes the next bytes expensive.
    #[inline]
    pub(crate) fn is_handshaking(&self) -> bool {
        !self.established
    }

    /// True once, when the handshake has ended well.
    pub(crate) fn take_established(&mut self) -> bool {
        let now = !self.established && !at_either_end!(&self.tls, tls => tls.is_handshaking());
        self.established |= now;
        now
    }

    /// The peer's certificate in DER, if it has shown one.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        let shown: Option<&[CertificateDer<'_>]> =
            at_either_end!(&self.tls, tls => tls.peer_certificates());
        shown?.first().map(|c| &**c)
    }

    /// Bytes kept of what has come.
    pub(crate) fn incoming_len(&self) -> usize {
        self.incoming.len()
    }

    /// Bytes that have not been handed to the driver.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        self.wire.len() + self.outgoing.len() - self.sealed
    }

    /// Keeps bytes for later.
    ///
    /// # Errors
    /// They are more than a handshake takes.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.incoming.len() + bytes.len() > INCOMING_MAX {
            return Err(Fault::TooMuch);
        }
        self.incoming.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes bytes that arrived behind those kept, and appends what they say to `clear`. True if the
    /// peer says that it will send no more.
    ///
    /// # Errors
    /// The connection cannot go on; what the peer has to be told is in `wire`.
    pub(crate) fn open(&mut self, bytes: &mut [u8], clear: &mut Vec<u8>) -> Result<bool, Fault> {
        if !self.begun
            && let Some(first) = self.incoming.first().or(bytes.first())
        {
            self.begun = true;
            let speaks =
                *first == HANDSHAKE || (*first == ALERT && matches!(self.tls, End::Client(_)));
            if !speaks {
                return Err(Fault::Plain);
            }
        }
        if self.incoming.is_empty() {
            let (taken, closed) = self.read(bytes, clear)?;
            self.keep(&bytes[taken..])?;
            return Ok(closed);
        }
        self.keep(bytes)?;
        let mut incoming = std::mem::take(&mut self.incoming);
        let (taken, closed) = self.read(&mut incoming, clear)?;
        incoming.drain(..taken);
        if incoming.is_empty() && incoming.capacity() > KEEP_BYTES {
            incoming = Vec::new();
        }
        self.incoming = incoming;
        Ok(closed)
    }

    /// Runs the records at the start of `buf`; returns the bytes they took, and whether the peer is
    /// done.
    fn read(&mut self, buf: &mut [u8], clear: &mut Vec<u8>) -> Result<(usize, bool), Fault> {
        let mut taken = 0;
        let mut closed = false;
        loop {
            let (wire, rest) = (&mut self.wire, &mut buf[taken..]);
            let (discard, stepped) = at_either_end!(&mut self.tls, tls => {
                step(tls.process_tls_records(rest), wire, clear)
            });
            taken += discard;
            match stepped {
                Ok(Step::More) => {}
                Ok(Step::PeerClosed) => closed = true,
                Ok(Step::Done) => return Ok((taken, closed)),
                Err(error) => {
                    self.say_why(&mut buf[taken..]);
                    return Err(error.into());
                }
            }
        }
    }

    /// Puts the alert that belongs to an error into `wire`.
    #[cold]
    fn say_why(&mut self, rest: &mut [u8]) {
        let wire = &mut self.wire;
        at_either_end!(&mut self.tls, tls => {
            let UnbufferedStatus { state, .. } = tls.process_tls_records(rest);
            if let Ok(ConnectionState::EncodeTlsData(mut alert)) = state {
                encode(&mut alert, wire);
            }
        });
        self.finished = true;
    }

    /// Forgets what has not been sealed: the connection ends.
    pub(crate) fn abandon(&mut self) {
        self.finished = true;
        self.outgoing = Vec::new();
        self.sealed = 0;
        self.incoming = Vec::new();
    }

    /// Takes the first `n` bytes of `out`: they may leave. Behind the end nothing does.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, n: usize) {
        if self.finished {
            out.clear();
            return;
        }
        if self.sealed == self.outgoing.len() {
            self.outgoing.clear();
            self.sealed = 0;
            if n == out.len() {
                std::mem::swap(&mut self.outgoing, out);
                return;
            }
        }
        self.outgoing.extend_from_slice(&out[..n]);
        out.drain(..n);
    }

    /// Seals some of what may leave into `wire`.
    ///
    /// # Errors
    /// The keys are used up; the connection has to close.
    pub(crate) fn seal(&mut self) -> Result<(), Fault> {
        let Self { tls, incoming, wire, outgoing, sealed, .. } = self;
        let end = outgoing.len().min(*sealed + SEAL_BYTES);
        if *sealed == end {
            return Ok(());
        }
        let part = &outgoing[*sealed..end];
        write(tls, incoming, wire, Say::Data(part))?;
        *sealed = end;
        if end == outgoing.len() {
            *sealed = 0;
            outgoing.clear();
            if outgoing.capacity() > KEEP_BYTES {
                *outgoing = Vec::new();
            }
        }
        Ok(())
    }

    /// Says that nothing follows; what that takes is in `wire`.
    pub(crate) fn finish(&mut self) {
        if !self.finished && self.established {
            self.finished = true;
            let Self { tls, incoming, wire, .. } = self;
            // A peer that is not told sees the end of the stream.
            let _ = write(tls, incoming, wire, Say::Goodbye);
        }
    }

    /// Gives back the memory of buffers that hold nothing.
    pub(crate) fn park(&mut self) {
        for buffer in [&mut self.incoming, &mut self.wire, &mut self.outgoing] {
            if buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
    }
}

/// Bytes that sealing so many makes at most, without what else waits to be said.
fn sealed_len(len: usize) -> usize {
    len + (len / RECORD_MAX + 1) * RECORD_OVERHEAD
}

/// What a step of the state machine has come to.
enum Step {
    More,
    /// The peer says that it will send no more.
    PeerClosed,
    Done,
}

/// Does what the state of a connection asks for; returns how many bytes it has used up.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    wire: &mut Vec<u8>,
    clear: &mut Vec<u8>,
) -> (usize, Result<Step, rustls::Error>) {
    let UnbufferedStatus { discard, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => clear.extend_from_slice(record.payload),
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::More),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            encode(&mut data, wire);
            Ok(Step::More)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::More)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(_) => Ok(Step::Done),
        Err(error) => Err(error),
    };
    (discard, step)
}

/// Writes behind `wire`.
fn write(
    end: &mut End,
    incoming: &mut Vec<u8>,
    wire: &mut Vec<u8>,
    say: Say<'_>,
) -> Result<(), Fault> {
    loop {
        // Not an empty slice: what is known of a message in pieces points into these bytes.
        let (discard, written) = at_either_end!(end, tls => {
            write_step(tls.process_tls_records(incoming), wire, say)
        });
        match written {
            Ok(done) => {
                incoming.drain(..discard);
                if done {
                    return Ok(());
                }
            }
            Err(error) => return Err(Fault::Tls(error)),
        }
    }
}

/// One step on the way there; true when it is written.
fn write_step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    wire: &mut Vec<u8>,
    what: Say<'_>,
) -> (usize, Result<bool, rustls::Error>) {
    let UnbufferedStatus { discard, state } = status;
    let done = match state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => say(&mut traffic, wire, what),
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            encode(&mut data, wire);
            Ok(false)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(false)
        }
        Ok(_) => Err(rustls::Error::HandshakeNotComplete),
        Err(error) => Err(error),
    };
    (discard, done)
}

fn say<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    wire: &mut Vec<u8>,
    what: Say<'_>,
) -> Result<bool, rustls::Error> {
    // Probably enough.
    let mut room = match what {
        Say::Data(data) => sealed_len(data.len()),
        Say::Goodbye => 2 * RECORD_OVERHEAD,
    };
    let at = wire.len();
    let written = loop {
        wire.resize(at + room, 0);
        let written = match what {
            Say::Data(data) => traffic.encrypt(data, &mut wire[at..]),
            Say::Goodbye => traffic.queue_close_notify(&mut wire[at..]),
        };
        match written {
            Ok(written) => break Ok(written),
            // More than what is said now was waiting to be said.
            Err(EncryptError::InsufficientSize(need)) => room = need.required_size,
            Err(EncryptError::EncryptExhausted) => break Err(rustls::Error::EncryptError),
        }
    };
    wire.truncate(at + *written.as_ref().unwrap_or(&0));
    written.map(|_| true)
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, wire: &mut Vec<u8>) {
    let at = wire.len();
    if let Err(EncodeError::InsufficientSize(need)) = data.encode(&mut []) {
        wire.resize(at + need.required_size, 0);
        // Cannot fail: the room is what was asked for.
        let _ = data.encode(&mut wire[at..]);
    }
}

/// What the fuzz target does: bytes of the network never panic and never become plaintext without a
/// handshake.
pub fn hostile(data: &[u8]) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::sync::OnceLock;
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let chain = CertificateDer::from_pem_slice(include_bytes!("../../testdata/tls/server.pem"));
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../testdata/tls/server.key"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("both versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain.expect("a certificate")], key.expect("a key"));
        Arc::new(config.expect("they go together"))
    });
    let Some((first, rest)) = data.split_first() else { return };
    let mut secure = Secure::accept(config.clone()).expect("randomness");
    // A byte that says how the rest is split, and whether it begins as TLS does.
    let mut input = if first & 1 == 0 { vec![HANDSHAKE, 3, 1] } else { Vec::new() };
    input.extend_from_slice(rest);
    let mut clear = Vec::new();
    for piece in input.chunks_mut(usize::from(*first) + 1) {
        if secure.open(piece, &mut clear).is_err() {
            secure.abandon();
            break;
        }
        assert!(secure.seal().is_ok() && secure.incoming_len() <= INCOMING_MAX);
    }
    assert!(clear.is_empty(), "plaintext without a handshake");
    secure.finish();
    secure.park();
}

#[cfg(test)]
#[path = "secure_tests.rs"]
pub(crate) mod tests;
