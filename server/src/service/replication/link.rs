//! The way to a master: a thread that connects, agrees on where to begin, and brings the file.
//!
//! One thread makes one attempt. It waits for the network in plain calls, so the shard does not; when the
//! stream begins, the socket becomes a connection of the shard like any other, and the thread ends. What
//! it has to say are [`Event`]s in a channel of bounded length.
//!
//! Invariant: a file is complete and sound before the first byte of it is handed over, so a master that dies
//! half way, or sends what does not decode, leaves the data set as it was.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use moon_formats::redis_rdb::{FileReader, Item, Limits, Step};

use super::MARK_LEN;
use crate::config::OptionId;
use crate::net::outward::Outward;
use crate::net::secure::Secure;
use crate::net::sys;
use crate::service::shared::Shared;

/// Bytes of a piece of the file.
const PIECE: usize = 1 << 20;
/// The version of Valkey whose files are read: to a replica that names none it sends RDB 11, in which hash fields that
/// expire have no form, and ends the copy at the first of them.
const READS_VALKEY: &str = "9.1.0";
/// Longest line of a master's answer.
const LINE_MAX: usize = 64 << 10;

/// Whom to follow and how.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// Address of this machine that the connection is to come from.
    pub(super) from: Option<IpAddr>,
    /// `masteruser`, `masterauth`.
    pub(super) user: String,
    pub(super) password: String,
    /// Where clients of this server connect.
    pub(super) own_port: u16,
    /// Silence after which the attempt is given up.
    pub(super) timeout: Duration,
    /// Where the file is kept until it is complete.
    pub(super) dir: PathBuf,
    /// Number of databases of this server.
    pub(super) databases: u64,
    /// The history known, and the position of its next byte.
    pub(super) have: Option<(String, u64)>,
}

/// Where the stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// Where it ended, perhaps under a new name of the history.
    Continued(Option<String>),
    /// Behind the file: name and position, which masters before Redis 2.8 do not tell.
    Full(Option<(String, u64)>),
}

/// What an attempt has come to.
pub(super) enum Event {
    /// The master is there and is being spoken to.
    Connected,
    /// A file of so many bytes is complete; its pieces follow.
    File(u64),
    /// A piece of it.
    Piece(Vec<u8>),
    /// The stream begins; its first bytes may have come already.
    Stream {
        /// The connection.
        socket: OwnedFd,
        /// TLS, if it speaks it.
        secure: Option<Box<Secure>>,
        /// Bytes read beyond what was agreed.
        first: Vec<u8>,
        /// Where it begins.
        start: Start,
    },
    /// The attempt has failed.
    Failed(String),
}

/// Starts an attempt. It ends when its events are no longer wanted.
pub(super) fn begin(target: Target, shared: Arc<Shared>) -> io::Result<Receiver<Event>> {
    let (sender, events) = sync_channel(4);
    thread::Builder::new().name("replica-link".into()).spawn(move || {
        let out = Out { sender, shared };
        if let Err(error) = attempt(&target, &out) {
            let _ = out.say(Event::Failed(error.to_string()));
        }
    })?;
    Ok(events)
}

struct Out {
    sender: SyncSender<Event>,
    shared: Arc<Shared>,
}

impl Out {
    /// Fails when nobody listens any more.
    fn say(&self, event: Event) -> io::Result<()> {
        let gone = |_| io::Error::other("not wanted any more");
        self.sender.send(event).map_err(gone)?;
        sys::eventfd_wake(&self.shared.wake);
        Ok(())
    }
}

fn attempt(target: &Target, out: &Out) -> io::Result<()> {
    let tls = out.shared.tls_client(OptionId::TlsReplication);
    let stream =
        Outward::connect(&target.host, target.port, target.timeout, tls.as_ref(), target.from)?;
    let mut wire = Wire { stream, ahead: Vec::new() };
    out.say(Event::Connected)?;
    wire.greet(target)?;
    let start = match wire.ask(target)? {
        Answer::Continued(id) => Start::Continued(id),
        Answer::Full(start) => {
            let mut file = wire.receive(target)?;
            check(&mut file, target.databases)?;
            hand_over(&mut wire, &mut file, out)?;
            Start::Full(start)
        }
    };
    let (socket, secure, more) = wire.stream.into_parts()?;
    let mut first = wire.ahead;
    first.extend(more);
    out.say(Event::Stream { socket, secure, first, start })
}

/// Reads the whole file, to know that it decodes and that this server has its databases.
fn check(file: &mut File, databases: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = FileReader::new(Limits::default());
    let mut buffer = Vec::new();
    let mut ended = false;
    while !ended {
        let before = buffer.len();
        file.take(PIECE as u64).read_to_end(&mut buffer)?;
        let last = buffer.len() == before;
        let mut at = 0;
        while !ended {
            let rest = buffer.get(at..).unwrap_or_default();
            match reader.next(rest, last).map_err(|e| bad(format!("the master's file: {e}")))? {
                Step::More(_) => break,
                Step::Item(taken, item) => {
                    at += taken;
                    match item {
                        Item::Key(key) if key.db >= databases => {
                            return Err(bad(format!(
                                "the master has a database {}, see --databases",
                                key.db
                            )));
                        }
                        Item::Key(key) => {
                            key.value().map_err(|e| bad(format!("the master's file: {e}")))?;
                        }
                        Item::End { .. } => ended = true,
                        _ => {}
                    }
                }
            }
        }
        buffer.drain(..at);
        if last && !ended {
            return Err(bad("the master's file ends too early"));
        }
    }
    Ok(())
}

/// Hands the file over in pieces, and shows the master meanwhile that somebody is there.
fn hand_over(wire: &mut Wire, file: &mut File, out: &Out) -> io::Result<()> {
    let bytes = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    out.say(Event::File(bytes))?;
    let mut shown = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        file.read_exact(&mut piece)?;
        left -= piece.len() as u64;
        out.say(Event::Piece(piece))?;
        if shown.elapsed() > Duration::from_secs(1) {
            shown = Instant::now();
            wire.stream.write_all(b"\n")?;
        }
    }
    Ok(())
}

enum Answer {
    Continued(Option<String>),
    Full(Option<(String, u64)>),
}

/// The connection while the two sides agree.
struct Wire {
    stream: Outward,
    /// Bytes read and not used yet.
    ahead: Vec<u8>,
}

fn bad(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

impl Wire {
    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the master has hung up")),
            n => {
                self.ahead.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }

    /// The next line that is not empty: masters send line breaks to show that they are there.
    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line).trim_end().to_string();
                if !text.is_empty() {
                    return Ok(text);
                }
                continue;
            }
            if self.ahead.len() > LINE_MAX {
                return Err(bad("the master's answer is no line"));
            }
            self.fill()?;
        }
    }

    fn call(&mut self, words: &[&str]) -> io::Result<String> {
        let mut request = Vec::new();
        let words = words.iter().map(|w| w.as_bytes());
        moon_formats::resp::encode_command(&mut request, words);
        self.stream.write_all(&request)?;
        self.line()
    }

    /// Says who comes.
    fn greet(&mut self, target: &Target) -> io::Result<()> {
        let pong = self.call(&["PING"])?;
        let wants_login = ["-NOAUTH", "-NOPERM", "-ERR operation not permitted"];
        if !pong.starts_with('+') && !wants_login.iter().any(|w| pong.starts_with(w)) {
            return Err(bad(format!("PING was answered: {pong}")));
        }
        if !target.password.is_empty() {
            let answer = match target.user.is_empty() {
                true => self.call(&["AUTH", &target.password])?,
                false => self.call(&["AUTH", &target.user, &target.password])?,
            };
            if answer.starts_with('-') {
                return Err(bad(format!("Unable to AUTH to MASTER: {answer}")));
            }
        }
        // A master that does not know these can do without.
        self.call(&["REPLCONF", "listening-port", &target.own_port.to_string()])?;
        self.call(&["REPLCONF", "capa", "eof", "capa", "psync2"])?;
        self.call(&["REPLCONF", "version", READS_VALKEY])?;
        Ok(())
    }

    /// Agrees on where to begin.
    fn ask(&mut self, target: &Target) -> io::Result<Answer> {
        let (id, from) = match &target.have {
            Some((id, next)) => (id.as_str(), (next + 1).to_string()),
            None => ("?", "-1".to_string()),
        };
        let answer = self.call(&["PSYNC", id, &from])?;
        let mut words = answer.split(' ');
        match words.next() {
            Some("+CONTINUE") => Ok(Answer::Continued(words.next().map(String::from))),
            Some("+FULLRESYNC") => {
                let position = words.next().zip(words.next().and_then(|n| n.parse().ok()));
                let (id, offset) =
                    position.ok_or_else(|| bad(format!("PSYNC was answered: {answer}")))?;
                Ok(Answer::Full(Some((id.to_string(), offset))))
            }
            Some("-NOMASTERLINK" | "-LOADING") => Err(bad(answer)),
            _ if answer.starts_with("-ERR unknown") => {
                self.stream.write_all(b"SYNC\r\n")?;
                Ok(Answer::Full(None))
            }
            _ => Err(bad(format!("PSYNC was answered: {answer}"))),
        }
    }

    /// Receives the file into one without a name.
    fn receive(&mut self, target: &Target) -> io::Result<File> {
        let head = self.line()?;
        let size = head.strip_prefix('$').ok_or_else(|| bad(format!("no file but: {head}")))?;
        let mut file = nameless(&target.dir)?;
        if let Some(mark) = size.strip_prefix("EOF:") {
            if mark.len() != MARK_LEN {
                return Err(bad("the mark behind the file is malformed"));
            }
            self.until_mark(mark.as_bytes(), &mut file)?;
        } else {
            let size = size.parse().map_err(|_| bad(format!("the size of the file is {size}")))?;
            self.so_many(size, &mut file)?;
        }
        Ok(file)
    }

    fn so_many(&mut self, mut left: u64, file: &mut File) -> io::Result<()> {
        while left > 0 {
            if self.ahead.is_empty() {
                self.fill()?;
            }
            let n = self.ahead.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.write_all(&self.ahead[..n])?;
            self.ahead.drain(..n);
            left -= n as u64;
        }
        Ok(())
    }

    /// The master sends nothing behind the mark before it has heard of us again, so the mark is at the end
    /// of what has come.
    fn until_mark(&mut self, mark: &[u8], file: &mut File) -> io::Result<()> {
        loop {
            if self.ahead.ends_with(mark) {
                file.write_all(&self.ahead[..self.ahead.len() - mark.len()])?;
                self.ahead.clear();
                return Ok(());
            }
            // The end may be the first part of the mark.
            let sure = self.ahead.len().saturating_sub(mark.len());
            file.write_all(&self.ahead[..sure])?;
            self.ahead.drain(..sure);
            self.fill()?;
        }
    }
}

/// A file that goes away by itself, however this ends.
fn nameless(dir: &std::path::Path) -> io::Result<File> {
    let path = dir.join(format!("replica-{}.rdb.tmp", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
