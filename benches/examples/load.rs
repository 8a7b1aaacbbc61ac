#![allow(clippy::print_stdout, clippy::print_stderr, reason = "figures are its output")]
//! A load generator that costs less than a server: SET and GET over TCP or a Unix socket, closed loop.
//!
//! The one idea: with one core for the server and one for its clients, redis-benchmark is full before a server
//! that costs less per request is, and what is measured is redis-benchmark. This one writes requests that were
//! made before the run, and of replies looks at their number and at nothing else; it never sleeps, it goes
//! round its connections. Options and output are those of redis-benchmark that `compare.py` uses:
//!
//! `compare.py --benchmark target/release/examples/load ...`
//!
//! Latencies are from the write of a pipeline to its last reply, as redis-benchmark's, to 1/16 of their size.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Pipelines made in advance; each connection takes them in turn.
const PREPARED: usize = 4096;
/// Nothing comes back for so long: the server hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Options {
    port: u16,
    socket: Option<String>,
    requests: u64,
    pipeline: usize,
    clients: usize,
    keyspace: u64,
    size: usize,
    is_set: bool,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn connect(options: &Options) -> io::Result<Socket> {
        Ok(match &options.socket {
            Some(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_nonblocking(true)?;
                Socket::Unix(socket)
            }
            None => {
                let socket = TcpStream::connect(("127.0.0.1", options.port))?;
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                Socket::Tcp(socket)
            }
        })
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.read(buf),
            Socket::Unix(s) => s.read(buf),
        }
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.write(buf),
            Socket::Unix(s) => s.write(buf),
        }
    }
}

/// Counts whole replies in a stream of them, cut anywhere: simple strings, and bulk strings of any length.
#[derive(Default)]
struct Replies {
    /// First byte of the line that is being read, and its number.
    kind: u8,
    number: usize,
    /// Bytes of a bulk string, its line end included, that are still to come.
    skip: usize,
}

impl Replies {
    fn count(&mut self, mut bytes: &[u8]) -> Result<usize, String> {
        let mut whole = 0;
        while let [first, rest @ ..] = bytes {
            if self.skip > 0 {
                let n = self.skip.min(bytes.len());
                self.skip -= n;
                bytes = &bytes[n..];
                whole += usize::from(self.skip == 0);
                continue;
            }
            match (self.kind, *first) {
                (0, b'-') => return Err(String::from_utf8_lossy(bytes).trim_end().to_string()),
                (0, kind) => (self.kind, self.number) = (kind, 0),
                (b'$', b'\n') if self.number < usize::MAX => {
                    (self.skip, self.kind) = (self.number + 2, 0);
                }
                (_, b'\n') => {
                    self.kind = 0;
                    whole += 1;
                }
                (b'$', b'-') => self.number = usize::MAX,
                (b'$', digit @ b'0'..=b'9') if self.number < usize::MAX => {
                    self.number = self.number * 10 + usize::from(digit - b'0');
                }
                _ => {}
            }
            bytes = rest;
        }
        Ok(whole)
    }
}

/// Counts of durations: 16 steps between a power of two of nanoseconds and the next.
struct Histogram(Vec<u64>);

impl Histogram {
    fn add(&mut self, time: Duration) {
        let ns = time.as_nanos().clamp(16, u128::from(u64::MAX)) as u64;
        let power = ns.ilog2();
        self.0[(power * 16 + (ns >> (power - 4) & 15) as u32) as usize] += 1;
    }

    /// Upper end of the step that the share `of` of all durations reaches, in milliseconds.
    fn at(&self, of: f64) -> f64 {
        let all: u64 = self.0.iter().sum();
        let (mut seen, wanted) = (0, (all as f64 * of).ceil() as u64);
        for (step, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                let (power, part) = (step as u32 / 16, step as u64 % 16);
                return ((17 + part) << (power.max(4) - 4)) as f64 / 1e6;
            }
        }
        0.0
    }
}

struct Connection {
    socket: Socket,
    replies: Replies,
    /// Replies to come of the pipeline in flight; none is.
    awaited: usize,
    /// What of the pipeline has not been written.
    unsent: std::ops::Range<usize>,
    prepared: usize,
    since: Instant,
}

fn prepare(options: &Options) -> Vec<Vec<u8>> {
    let value = "x".repeat(options.size);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut key = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("key:{:012}", state % options.keyspace)
    };
    let mut request = || match options.is_set {
        true => format!("*3\r\n$3\r\nSET\r\n$16\r\n{}\r\n${}\r\n{value}\r\n", key(), options.size),
        false => format!("*2\r\n$3\r\nGET\r\n$16\r\n{}\r\n", key()),
    };
    let count = PREPARED.div_ceil(options.pipeline).max(options.clients);
    (0..count)
        .map(|_| (0..options.pipeline).map(|_| request()).collect::<String>().into_bytes())
        .collect()
}

fn run(options: &Options) -> Result<(Histogram, Duration), String> {
    let pipelines = prepare(options);
    let started = Instant::now();
    let mut connections = Vec::new();
    for n in 0..options.clients {
        let socket = Socket::connect(options).map_err(|e| format!("cannot connect: {e}"))?;
        connections.push(Connection {
            socket,
            replies: Replies::default(),
            awaited: 0,
            unsent: 0..0,
            prepared: n * pipelines.len() / options.clients,
            since: started,
        });
    }
    let mut times = Histogram(vec![0; 65 * 16]);
    let mut buf = vec![0; 64 << 10];
    let (mut asked, mut done, mut alive) = (0, 0, Instant::now());
    let begin = Instant::now();
    while done < options.requests {
        for c in &mut connections {
            if c.awaited == 0 && asked < options.requests {
                c.prepared = (c.prepared + 1) % pipelines.len();
                (c.awaited, c.unsent) = (options.pipeline, 0..pipelines[c.prepared].len());
                asked += options.pipeline as u64;
                c.since = Instant::now();
            } else if c.awaited == 0 {
                continue;
            }
            if !c.unsent.is_empty() {
                match c.socket.write(&pipelines[c.prepared][c.unsent.clone()]) {
                    Ok(n) => c.unsent.start += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(e) => return Err(format!("cannot write: {e}")),
                }
                continue;
            }
            match c.socket.read(&mut buf) {
                Ok(0) => return Err("the server closed a connection".to_string()),
                Ok(n) => {
                    let count = c.replies.count(&buf[..n])?;
                    c.awaited = c.awaited.checked_sub(count).ok_or("more replies than requests")?;
                    done += count as u64;
                    alive = Instant::now();
                    if c.awaited == 0 {
                        times.add(alive - c.since);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(format!("cannot read: {e}")),
            }
        }
        if alive.elapsed() > PATIENCE {
            return Err("no reply for a minute".to_string());
        }
    }
    Ok((times, begin.elapsed()))
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        port: 6379,
        socket: None,
        requests: 100_000,
        pipeline: 1,
        clients: 50,
        keyspace: 100_000,
        size: 64,
        is_set: true,
    };
    while let Some(word) = words.next() {
        if word == "--csv" {
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().ok().filter(|n| *n > 0);
        let number = || number().ok_or_else(|| format!("{word} needs a number, not {value}"));
        match word.as_str() {
            "-p" => options.port = number()? as u16,
            "-s" => options.socket = Some(value),
            "-n" => options.requests = number()?,
            "-P" => options.pipeline = number()? as usize,
            "-c" => options.clients = number()? as usize,
            "-r" => options.keyspace = number()?,
            "-d" => options.size = number()? as usize,
            "-t" => {
                options.is_set = match value.as_str() {
                    "set" => true,
                    "get" => false,
                    _ => return Err(format!("-t {value}: set or get")),
                }
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let done = parse(std::env::args().skip(1)).and_then(|options| {
        let (times, took) = run(&options)?;
        let name = if options.is_set { "SET" } else { "GET" };
        println!("\"test\",\"rps\",\"p50_latency_ms\",\"p99_latency_ms\",\"p999_latency_ms\"");
        let rps = options.requests as f64 / took.as_secs_f64();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|of| times.at(of));
        println!("\"{name}\",\"{rps:.2}\",\"{p50:.3}\",\"{p99:.3}\",\"{p999:.3}\"");
        Ok(())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("load: {e}");
            ExitCode::FAILURE
        }
    }
}
