//! Layer K: the shipped binary under load, killed with SIGKILL, started again on what is left.
//!
//! Every client is the only writer of its keys and sends a sequence that is known in advance:
//! INCR, RPUSH, APPEND and SET with an expiry time, in turn. After a start its keys must show
//! exactly the outcome of the first `p` commands, with `p` between those acknowledged and those
//! sent: nothing lost, nothing twice, nothing out of order. The next round goes on from `p`, on
//! the same directory.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use moon_formats::resp::encode_command;
use moon_storage::io::sim::SimRng;

/// Client threads.
const CLIENTS: usize = 6;
/// Longest time a start may take.
const START: Duration = Duration::from_secs(20);
/// An expiry time far from now: 2100-01-01 in milliseconds.
const EXPIRY_MS: u64 = 4_102_444_800_000;

/// One series of kills on one directory.
#[derive(Debug, Clone)]
pub struct Series {
    /// The binary.
    pub moon: PathBuf,
    /// `--io-driver`.
    pub net: &'static str,
    /// `--disk-driver`.
    pub disk: &'static str,
    /// `--appendfsync`.
    pub policy: &'static str,
    /// Kills in a row.
    pub kills: u32,
    /// Seed of the times and pipelines.
    pub seed: u64,
}

/// What a series did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Killed {
    /// Kills.
    pub kills: u32,
    /// Commands acknowledged.
    pub acked: u64,
    /// Commands whose outcome a kill left open, and how many of them were applied.
    pub in_doubt: (u64, u64),
}

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(series: &Series, dir: &Path) -> Result<Server, String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let port = free.map_err(|e| e.to_string())?.port();
    let child = Command::new(&series.moon)
        .args(["--dir".as_ref(), dir.as_os_str()])
        .args(["--port", &port.to_string(), "--io-driver", series.net])
        .args(["--disk-driver", series.disk])
        .args(["--appendfsync", series.policy, "--loglevel", "warning"])
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| format!("{}: {e}", series.moon.display()))?;
    let mut server = Server { child, port };
    let began = Instant::now();
    while began.elapsed() < START {
        if let Ok(Some(status)) = server.child.try_wait() {
            return Err(format!("O1: does not start: {status}"));
        }
        if let Ok(mut c) = Client::connect(port)
            && c.ask(&[b"PING"]).is_ok_and(|r| r == Reply::Text(b"PONG".to_vec()))
        {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("O1: does not answer within 20 s".into())
}

#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Text(Vec<u8>),
    Number(i64),
    Null,
    Error(String),
    Array(Vec<Reply>),
}

struct Client {
    out: TcpStream,
    input: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> io::Result<Client> {
        let out = TcpStream::connect(("127.0.0.1", port))?;
        out.set_nodelay(true)?;
        out.set_read_timeout(Some(START))?;
        let input = BufReader::with_capacity(1 << 16, out.try_clone()?);
        Ok(Client { out, input })
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line)?;
        let bad = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let body = line.strip_suffix(b"\r\n").ok_or_else(bad)?;
        let (kind, rest) = body.split_first().ok_or_else(bad)?;
        let number = || String::from_utf8_lossy(rest).parse::<i64>().map_err(|_| bad());
        Ok(match kind {
            b'+' => Reply::Text(rest.to_vec()),
            b'-' => Reply::Error(String::from_utf8_lossy(rest).into_owned()),
            b':' => Reply::Number(number()?),
            b'$' | b'*' if rest == b"-1" => Reply::Null,
            b'$' => {
                let len = number()? as usize;
                let mut bytes = vec![0; len + 2];
                self.input.read_exact(&mut bytes)?;
                bytes.truncate(len);
                Reply::Text(bytes)
            }
            b'*' => Reply::Array((0..number()?).map(|_| self.reply()).collect::<Result<_, _>>()?),
            _ => return Err(bad()),
        })
    }

    fn ask(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words.iter().copied());
        self.out.write_all(&bytes)?;
        self.reply()
    }
}

/// The `i`-th command of a client.
fn put_command(out: &mut Vec<u8>, client: usize, i: u64) {
    let key = |name: &str| format!("{name}:{client}").into_bytes();
    let (n, at) = (i.to_string(), (EXPIRY_MS + i).to_string());
    let words: [&[u8]; 5] = match i % 4 {
        0 => [b"INCR", &key("n"), b"", b"", b""],
        1 => [b"RPUSH", &key("l"), n.as_bytes(), b"", b""],
        2 => [b"APPEND", &key("s"), &format!("{i},").into_bytes(), b"", b""],
        _ => {
            let words: [&[u8]; 5] = [b"SET", &key("t"), n.as_bytes(), b"PXAT", at.as_bytes()];
            encode_command(out, words.into_iter());
            return;
        }
    };
    let len = words.iter().take_while(|w| !w.is_empty()).count();
    encode_command(out, words.into_iter().take(len));
}

/// Sends from command `from` on until the server is gone: `(acknowledged, sent)` as positions.
fn load(port: u16, client: usize, from: u64, seed: u64) -> Result<(u64, u64), String> {
    let mut rng = SimRng::new(seed);
    let (mut acked, mut sent) = (from, from);
    let Ok(mut c) = Client::connect(port) else { return Ok((acked, sent)) };
    loop {
        let up_to = 1 << rng.below(7);
        let depth = 1 + rng.below(up_to);
        let mut bytes = Vec::new();
        for i in sent..sent + depth {
            put_command(&mut bytes, client, i);
        }
        sent += depth;
        if c.out.write_all(&bytes).is_err() {
            return Ok((acked, sent));
        }
        while acked < sent {
            match c.reply() {
                Ok(Reply::Error(e)) => return Err(format!("command {acked} answered: {e}")),
                Ok(_) => acked += 1,
                Err(_) => return Ok((acked, sent)),
            }
        }
    }
}

/// How many commands of a client were applied; an error if its keys do not show a prefix.
fn applied(c: &mut Client, client: usize) -> Result<u64, String> {
    let io = |e: io::Error| format!("O1: reading back: {e}");
    let key = |name: &str| format!("{name}:{client}").into_bytes();
    let text = |r: Reply| match r {
        Reply::Text(b) => Ok(b),
        Reply::Null => Ok(Vec::new()),
        other => Err(format!("reading back: {other:?}")),
    };
    let number = |b: Vec<u8>| String::from_utf8_lossy(&b).parse::<u64>().unwrap_or(0);
    let counted = number(text(c.ask(&[b"GET", &key("n")]).map_err(io)?)?);
    let Reply::Array(list) = c.ask(&[b"LRANGE", &key("l"), b"0", b"-1"]).map_err(io)? else {
        return Err("LRANGE did not answer a list".into());
    };
    for (n, token) in list.iter().enumerate() {
        let want = (4 * n as u64 + 1).to_string().into_bytes();
        if *token != Reply::Text(want) {
            return Err(format!("O4: client {client}: list element {n} is {token:?}"));
        }
    }
    let appended = text(c.ask(&[b"GET", &key("s")]).map_err(io)?)?;
    let mut expected = Vec::new();
    let mut appends = 0u64;
    while expected.len() < appended.len() {
        expected.extend(format!("{},", 4 * appends + 2).into_bytes());
        appends += 1;
    }
    if expected != appended {
        return Err(format!("O4: client {client}: appended string differs"));
    }
    let set = text(c.ask(&[b"GET", &key("t")]).map_err(io)?)?;
    let sets = if set.is_empty() { 0 } else { number(set.clone()) / 4 + 1 };
    if sets > 0 {
        let want = Reply::Number((EXPIRY_MS + number(set)) as i64);
        let at = c.ask(&[b"PEXPIRETIME", &key("t")]).map_err(io)?;
        if at != want {
            return Err(format!("O6: client {client}: expires at {at:?}, not {want:?}"));
        }
    }
    let counts = [counted, list.len() as u64, appends, sets];
    let p: u64 = counts.iter().sum();
    let prefix = [0, 1, 2, 3].map(|k| (p + 3 - k) / 4);
    if counts != prefix {
        return Err(format!("O2: client {client}: {counts:?} is no prefix of its commands"));
    }
    Ok(p)
}

/// Runs a series in a fresh directory, which is removed if nothing was found.
///
/// # Errors
/// The broken promise, with the directory.
pub fn run(series: &Series) -> Result<Killed, String> {
    let Series { net, disk, policy, .. } = series;
    let name = format!("moon-crash-{}-{net}-{disk}-{policy}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let result = rounds(series, &dir);
    match result {
        Ok(killed) => {
            let _ = std::fs::remove_dir_all(&dir);
            Ok(killed)
        }
        Err(e) => Err(format!("{e} ({})", dir.display())),
    }
}

fn rounds(series: &Series, dir: &Path) -> Result<Killed, String> {
    let mut rng = SimRng::new(series.seed);
    let mut killed = Killed::default();
    let mut at = [(0u64, 0u64); CLIENTS];
    for round in 0..=series.kills {
        let mut server = start(series, dir).map_err(|e| format!("after {round} kills: {e}"))?;
        let mut reader = Client::connect(server.port).map_err(|e| e.to_string())?;
        for (client, (acked, sent)) in at.iter_mut().enumerate() {
            let p = applied(&mut reader, client).map_err(|e| format!("kill {round}: {e}"))?;
            if p < *acked || p > *sent {
                return Err(format!(
                    "kill {round}: O2: client {client}: {p} commands are there, {acked} were \
                     acknowledged, {sent} sent"
                ));
            }
            killed.in_doubt.0 += *sent - *acked;
            killed.in_doubt.1 += p - *acked;
            (*acked, *sent) = (p, p);
        }
        if round == series.kills {
            break;
        }
        // Uniform over two syncs of everysec; every third time soon after the start.
        let ms = if rng.chance(333) { rng.below(60) } else { rng.below(1500) };
        let port = server.port;
        let seed = rng.next_u64();
        let outcome: Vec<Result<(u64, u64), String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..CLIENTS)
                .map(|c| scope.spawn(move || load(port, c, at[c].0, seed ^ c as u64)))
                .collect();
            std::thread::sleep(Duration::from_millis(ms));
            let _ = server.child.kill();
            let _ = server.child.wait();
            threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|_| Err("a client panicked".into())))
                .collect()
        });
        killed.kills += 1;
        for (client, ended) in outcome.into_iter().enumerate() {
            let ended = ended.map_err(|e| format!("kill {round}: client {client}: {e}"))?;
            killed.acked += ended.0 - at[client].0;
            at[client] = ended;
        }
    }
    Ok(killed)
}
