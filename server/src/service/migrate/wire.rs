//! The other server: connections to it, and what is said over them.
//!
//! Everything here waits for the network in plain calls; the caller decides on which thread. Connections are
//! kept for some seconds, for the next keys (redis-surface §24).

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moon_engine::exec::Packed;
use moon_formats::resp::encode_command;

use rustls::ClientConfig;

use crate::net::outward::Outward;
use crate::service::shared::unix_ms;

/// Connections kept at most.
const KEPT_MAX: usize = 64;
/// How long one is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(10);
/// Longest line of an answer.
const LINE_MAX: usize = 64 << 10;

/// What is to be carried where.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) host: String,
    pub(super) port: String,
    /// Number of the database there.
    pub(super) db: i64,
    /// Silence after which it is given up.
    pub(super) timeout: Duration,
    /// What the connection is made with, if it is to speak TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Words of AUTH, or none.
    pub(super) login: Vec<Vec<u8>>,
    pub(super) replace: bool,
    pub(super) keys: Vec<Packed>,
}

/// Why not everything has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    Connect,
    Write,
    Read,
    /// The other server's first refusal.
    Refused(String),
}

impl Failure {
    /// The error that the client hears.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Connect => "IOERR error or timeout connecting to the client".into(),
            Self::Write => "IOERR error or timeout writing to target instance".into(),
            Self::Read => "IOERR error or timeout reading to target instance".into(),
            Self::Refused(line) => format!("ERR Target instance replied with error: {line}"),
        }
    }
}

/// What has become of a load.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Keys that the other server has confirmed.
    pub(super) keys: Vec<Box<[u8]>>,
    pub(super) failure: Option<Failure>,
}

/// Connections that are kept.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<String, Peer>>);

impl Kept {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Peer>> {
        // A panic ends the process, so a poisoned lock is never seen twice.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Their number.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Closes those that have not been used for long.
    pub(super) fn tend(&self) {
        self.lock().retain(|_, peer| peer.used.elapsed() <= KEPT);
    }

    fn put(&self, name: String, peer: Peer) {
        let mut all = self.lock();
        if all.len() >= KEPT_MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, peer)| peer.used)
        {
            let oldest = oldest.0.clone();
            all.remove(&oldest);
        }
        all.insert(name, peer);
    }
}

/// Carries a load. A connection that turns out to be closed is replaced once, as long as nothing has been
/// confirmed over it.
pub(super) fn carry(load: &Load, kept: &Kept) -> Arrived {
    let name = format!("{}:{}", load.host, load.port);
    let mut may_retry = true;
    loop {
        let found = kept.lock().remove(&name);
        let peer = found.map_or_else(|| Peer::connect(load), Ok);
        let Ok(mut peer) = peer else {
            return Arrived { failure: Some(Failure::Connect), ..Arrived::default() };
        };
        let mut arrived = Arrived::default();
        match peer.exchange(load, &mut arrived) {
            Ok(()) => {
                kept.put(name, peer);
                return arrived;
            }
            Err(broken) => {
                let nothing_yet = arrived.keys.is_empty() && arrived.failure.is_none();
                if may_retry && nothing_yet && !broken.timed_out {
                    may_retry = false;
                    continue;
                }
                arrived.failure.get_or_insert(broken.failure);
                return arrived;
            }
        }
    }
}

struct Broken {
    failure: Failure,
    timed_out: bool,
}

impl Broken {
    fn new(failure: Failure, error: &io::Error) -> Self {
        // A socket with a timeout reports it in either way.
        let timed_out = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
        Self { failure, timed_out }
    }
}

/// A connection.
struct Peer {
    stream: Outward,
    /// Bytes read and not used yet.
    ahead: Vec<u8>,
    /// Database that is selected there, if that is known.
    db: Option<i64>,
    used: Instant,
}

impl Peer {
    fn connect(load: &Load) -> io::Result<Self> {
        let port: u16 = load.port.parse().map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let stream = Outward::connect(&load.host, port, load.timeout, load.tls.as_ref(), None)?;
        Ok(Self { stream, ahead: Vec::new(), db: None, used: Instant::now() })
    }

    fn exchange(&mut self, load: &Load, arrived: &mut Arrived) -> Result<(), Broken> {
        let wrote = |e: io::Error| Broken::new(Failure::Write, &e);
        let read = |e: io::Error| Broken::new(Failure::Read, &e);
        self.stream.set_timeout(Some(load.timeout)).map_err(wrote)?;
        let mut requests = Vec::new();
        if !load.login.is_empty() {
            let mut words = vec![b"AUTH".as_slice()];
            words.extend(load.login.iter().map(|w| w.as_slice()));
            encode_command(&mut requests, words.into_iter());
        }
        let selects = self.db != Some(load.db);
        if selects {
            let db = load.db.to_string();
            encode_command(&mut requests, [b"SELECT".as_slice(), db.as_bytes()].into_iter());
        }
        let sent = put_keys(load, &mut requests);
        self.stream.write_all(&requests).map_err(wrote)?;
        let mut first = None;
        for wanted in [!load.login.is_empty(), selects] {
            if wanted {
                let line = self.line().map_err(read)?;
                first = first.or_else(|| refusal(&line));
            }
        }
        for key in sent {
            let line = self.line().map_err(read)?;
            match first.clone().or_else(|| refusal(&line)) {
                None => arrived.keys.push(key.into()),
                Some(refusal) => {
                    arrived.failure.get_or_insert(Failure::Refused(refusal));
                }
            }
        }
        self.db = arrived.failure.is_none().then_some(load.db);
        self.used = Instant::now();
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_string());
            }
            if self.ahead.len() > LINE_MAX {
                return Err(ErrorKind::InvalidData.into());
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => self.ahead.extend_from_slice(&chunk[..n]),
            }
        }
    }
}

/// Appends a RESTORE for each key that is not over; returns their names.
fn put_keys<'a>(load: &'a Load, requests: &mut Vec<u8>) -> Vec<&'a [u8]> {
    let now_ms = unix_ms();
    let mut sent: Vec<&[u8]> = Vec::new();
    for Packed { key, payload, expire_ms } in &load.keys {
        let ttl = match expire_ms {
            None => 0,
            Some(at) if *at < now_ms => continue,
            Some(at) => (at - now_ms).max(1),
        }
        .to_string();
        let words = [b"RESTORE".as_slice(), key, ttl.as_bytes(), payload, b"REPLACE"];
        let len = if load.replace { words.len() } else { words.len() - 1 };
        encode_command(requests, words.into_iter().take(len));
        sent.push(key);
    }
    sent
}

/// What an answer says if it is an error.
fn refusal(line: &str) -> Option<String> {
    line.strip_prefix('-').map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;
    use std::net::TcpListener;
    use std::thread;

    fn load(port: u16, keys: &[(&str, Option<u64>)]) -> Load {
        let packed = |(key, expire_ms): &(&str, Option<u64>)| Packed {
            key: key.as_bytes().into(),
            payload: b"p".to_vec(),
            expire_ms: *expire_ms,
        };
        Load {
            host: "127.0.0.1".into(),
            port: port.to_string(),
            db: 3,
            timeout: Duration::from_millis(200),
            tls: None,
            login: Vec::new(),
            replace: false,
            keys: keys.iter().map(packed).collect(),
        }
    }

    /// A server that takes connections one after the other and answers each with what it is told, once it has
    /// seen a word; then it hangs up.
    fn answers(texts: &'static [(&'static str, &'static str)]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            for (word, text) in texts {
                let (mut socket, _) = listener.accept().expect("a connection");
                let mut reader = io::BufReader::new(socket.try_clone().expect("a socket"));
                let mut line = String::new();
                while !word.is_empty() && !line.contains(word) {
                    line.clear();
                    if reader.read_line(&mut line).expect("a line") == 0 {
                        break;
                    }
                }
                socket.write_all(text.as_bytes()).expect("an answer");
            }
        });
        port
    }

    #[test]
    fn what_is_confirmed_has_arrived() {
        let kept = Kept::default();
        let port = answers(&[("c", "+OK\r\n+OK\r\n-BUSYKEY there\r\n+OK\r\n")]);
        let arrived = carry(&load(port, &[("a", None), ("b", None), ("c", None)]), &kept);
        assert_eq!(arrived.keys, [Box::from(&b"a"[..]), Box::from(&b"c"[..])]);
        let failure = arrived.failure.expect("a failure");
        assert_eq!(failure.text(), "ERR Target instance replied with error: BUSYKEY there");
        assert_eq!(kept.len(), 1);
    }

    #[test]
    fn a_refused_login_is_the_answer_to_every_key() {
        let port = answers(&[("a", "-WRONGPASS no\r\n-NOAUTH x\r\n-NOAUTH y\r\n")]);
        let mut load = load(port, &[("a", None)]);
        load.login = vec![b"secret".to_vec()];
        let arrived = carry(&load, &Kept::default());
        assert!(arrived.keys.is_empty());
        assert_eq!(arrived.failure, Some(Failure::Refused("WRONGPASS no".into())));
    }

    #[test]
    fn a_connection_that_was_closed_is_made_again_once() {
        let kept = Kept::default();
        let port = answers(&[("a", ""), ("a", "+OK\r\n+OK\r\n")]);
        let arrived = carry(&load(port, &[("a", None)]), &kept);
        assert_eq!((arrived.keys.len(), arrived.failure), (1, None));
        let port = answers(&[("a", ""), ("a", "")]);
        let arrived = carry(&load(port, &[("a", None)]), &kept);
        assert!(arrived.keys.is_empty() && arrived.failure == Some(Failure::Read));
    }

    #[test]
    fn silence_is_not_waited_for_twice() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let start = Instant::now();
        let mut silent = load(port, &[("a", None)]);
        silent.timeout = Duration::from_secs(2);
        let arrived = carry(&silent, &Kept::default());
        assert_eq!(arrived.failure, Some(Failure::Read));
        assert!(start.elapsed() < Duration::from_millis(3900), "{:?}", start.elapsed());
        drop(listener);
        let arrived = carry(&load(port, &[("a", None)]), &Kept::default());
        assert_eq!(arrived.failure, Some(Failure::Connect));
    }

    #[test]
    fn what_has_expired_is_not_sent() {
        let mut requests = Vec::new();
        let load = load(1, &[("old", Some(1)), ("new", Some(unix_ms() + 5000)), ("ever", None)]);
        assert_eq!(put_keys(&load, &mut requests), [b"new".as_slice(), b"ever"]);
        let text = String::from_utf8_lossy(&requests);
        assert!(text.starts_with("*4\r\n$7\r\nRESTORE\r\n$3\r\nnew\r\n$4\r\n"), "{text}");
        assert!(text.ends_with("$4\r\never\r\n$1\r\n0\r\n$1\r\np\r\n"), "{text}");
    }
}
