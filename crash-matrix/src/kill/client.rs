//! The binary as a process, and a client of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use moon_formats::resp::encode_command;

/// Longest time a start may take.
pub(crate) const START: Duration = Duration::from_secs(20);

/// How the binary is started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The binary.
    pub moon: PathBuf,
    /// `--io-driver`.
    pub net: &'static str,
    /// `--disk-driver`.
    pub disk: &'static str,
    /// `--appendfsync`.
    pub policy: &'static str,
    /// More options.
    pub more: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Where standard error goes, if it is kept.
    pub stderr: Option<PathBuf>,
}

impl Setup {
    /// `epoll`, `posix`, and nothing beside.
    pub fn new(moon: &Path, policy: &'static str) -> Setup {
        let (moon, net, disk) = (moon.to_owned(), "epoll", "posix");
        Setup { moon, net, disk, policy, more: Vec::new(), env: Vec::new(), stderr: None }
    }
}

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// Starts the binary without waiting until it serves.
    pub(crate) fn spawn(setup: &Setup, dir: &Path) -> Result<Server, String> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = free.map_err(|e| e.to_string())?.port();
        let stderr = match &setup.stderr {
            Some(path) => std::fs::File::create(path).map_err(|e| e.to_string())?.into(),
            None => Stdio::null(),
        };
        let child = Command::new(&setup.moon)
            .args(["--dir".as_ref(), dir.as_os_str()])
            .args(["--port", &port.to_string(), "--io-driver", setup.net])
            .args(["--disk-driver", setup.disk])
            .args(["--appendfsync", setup.policy, "--loglevel", "warning"])
            // How full the machine is otherwise, is nothing the promises depend on.
            .args(["--disk-free-min-pct", "0"])
            .args(&setup.more)
            .envs(setup.env.iter().cloned())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|e| format!("{}: {e}", setup.moon.display()))?;
        Ok(Server { child, port })
    }

    /// Starts it and waits for its first answer.
    pub(crate) fn start(setup: &Setup, dir: &Path) -> Result<Server, String> {
        let mut server = Server::spawn(setup, dir)?;
        let began = Instant::now();
        while began.elapsed() < START {
            if let Some(status) = server.ended() {
                return Err(format!("O1: does not start: {status}"));
            }
            if let Ok(mut c) = Client::connect(server.port)
                && c.ask(&[b"PING"]).is_ok_and(|r| r == Reply::Text(b"PONG".to_vec()))
            {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("O1: does not answer within 20 s".into())
    }

    /// SIGKILL; the process is gone when this returns.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, most: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < most {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Whether the process is stopped, as by SIGSTOP.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        stat.is_ok_and(|s| s.rsplit(')').next().is_some_and(|s| s.trim_start().starts_with('T')))
    }
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(Vec<u8>),
    Number(i64),
    Null,
    Error(String),
    Array(Vec<Reply>),
}

impl Reply {
    /// The text; nothing for null.
    pub(crate) fn text(self) -> Result<Vec<u8>, String> {
        match self {
            Reply::Text(b) => Ok(b),
            Reply::Null => Ok(Vec::new()),
            other => Err(format!("reading back: {other:?}")),
        }
    }

    /// A number, also one written as text; 0 for null.
    pub(crate) fn number(self) -> Result<u64, String> {
        match self {
            Reply::Number(n) => Ok(n as u64),
            Reply::Null => Ok(0),
            Reply::Text(b) => String::from_utf8_lossy(&b).parse().map_err(|_| format!("{b:?}")),
            other => Err(format!("reading back: {other:?}")),
        }
    }

    /// The elements.
    pub(crate) fn array(self) -> Result<Vec<Reply>, String> {
        match self {
            Reply::Array(all) => Ok(all),
            Reply::Null => Ok(Vec::new()),
            other => Err(format!("reading back: {other:?}")),
        }
    }

    /// The first error in it, however deep.
    pub(crate) fn error(&self) -> Option<&str> {
        match self {
            Reply::Error(e) => Some(e),
            Reply::Array(all) => all.iter().find_map(Reply::error),
            _ => None,
        }
    }
}

/// A connection.
pub(crate) struct Client {
    out: TcpStream,
    input: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> io::Result<Client> {
        let out = TcpStream::connect(("127.0.0.1", port))?;
        out.set_nodelay(true)?;
        out.set_read_timeout(Some(START))?;
        let input = BufReader::with_capacity(1 << 16, out.try_clone()?);
        Ok(Client { out, input })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
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

    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words.iter().copied());
        self.send(&bytes)?;
        self.reply()
    }

    /// Asks what must be answered: a line of words, blanks between them.
    pub(crate) fn line(&mut self, line: &str) -> Result<Reply, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        match self.ask(&words).map_err(|e| format!("O1: {line}: {e}"))? {
            Reply::Error(e) => Err(format!("{line} answers {e}")),
            reply => Ok(reply),
        }
    }

    /// A number in INFO.
    pub(crate) fn info(&mut self, field: &str) -> Result<u64, String> {
        let all = String::from_utf8_lossy(&self.line("INFO persistence")?.text()?).into_owned();
        let value = all.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
        let value = value.ok_or(format!("INFO has no {field}"))?;
        value.trim().parse().map_err(|_| format!("{field} is {value}"))
    }
}
