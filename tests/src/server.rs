//! Starts and stops servers on free ports of this machine, each in a directory of its own.

use crate::client::Client;
use crate::value::Value;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(30);
/// How long a server may take to stop after SIGTERM.
const STOP: Duration = Duration::from_secs(20);

/// A temporary directory, removed when dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates an empty directory.
    pub fn new() -> io::Result<TempDir> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("moon-tests-{}-{n}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(TempDir(path))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Which server to run.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    /// Arguments in front of those that every server gets.
    first: Vec<String>,
    args: Vec<String>,
    envs: Vec<(String, String)>,
}

impl Program {
    /// The installed `redis-server`, without persistence.
    pub fn redis() -> Program {
        let args = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"];
        Program::at("redis-server").with(&args)
    }

    /// `moon` of this workspace with default durability.
    pub fn moon() -> Program {
        Program::at(moon_binary())
    }

    /// The same where the kernel refuses io_uring.
    pub fn moon_without_io_uring() -> Program {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/compat/without_io_uring.py");
        let first = vec![script.to_string(), moon_binary().display().to_string()];
        Program { first, ..Program::at("python3") }
    }

    /// Any server that understands `--port` and `--dir`.
    pub fn at(path: impl Into<PathBuf>) -> Program {
        Program { path: path.into(), first: Vec::new(), args: Vec::new(), envs: Vec::new() }
    }

    /// The same with arguments in front of all others: a configuration file.
    #[must_use]
    pub fn with_first(mut self, args: &[&str]) -> Program {
        self.first.extend(args.iter().map(|a| (*a).to_string()));
        self
    }

    /// The same with a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Program {
        self.envs.push((name.to_string(), value.to_string()));
        self
    }

    /// The same with further arguments.
    #[must_use]
    pub fn with(mut self, args: &[&str]) -> Program {
        self.args.extend(args.iter().map(|a| (*a).to_string()));
        self
    }
}

/// Path of the `moon` binary: `MOON_BIN`, else the workspace's, built now in the profile of this
/// test, so that a test never runs a stale server.
pub fn moon_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("MOON_BIN") {
            return path.into();
        }
        build("moon-server", "moon")
    })
}

/// Path of the `moon-inspect` binary, as [`moon_binary`]; `MOON_INSPECT_BIN` names another one.
pub fn inspect_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("MOON_INSPECT_BIN") {
        Some(path) => path.into(),
        None => build("moon-inspect", "moon-inspect"),
    })
}

/// Path of the `moon-migrate` binary, as [`moon_binary`]; `MOON_MIGRATE_BIN` names another one.
pub fn migrate_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("MOON_MIGRATE_BIN") {
        Some(path) => path.into(),
        None => build("moon-migrate", "moon-migrate"),
    })
}

/// Path of the `moon-restore` binary, as [`moon_binary`]; `MOON_RESTORE_BIN` names another one.
pub fn restore_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("MOON_RESTORE_BIN") {
        Some(path) => path.into(),
        None => build("moon-restore", "moon-restore"),
    })
}

/// Builds a binary of the workspace and returns its path.
fn build(package: &str, binary: &str) -> PathBuf {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", package, "--bin", binary]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(status.is_ok_and(|s| s.success()), "cannot build {binary}");
    // This executable is <target>/<profile>/x or <target>/<profile>/deps/x.
    let own = std::env::current_exe().unwrap_or_default();
    let found = own.ancestors().map(|a| a.join(binary)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{binary} was built, but not beside {}", own.display()))
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    program: Program,
    child: Child,
    port: u16,
    dir: PathBuf,
    log: PathBuf,
    owned: Option<TempDir>,
}

impl Server {
    /// Starts `program` in a fresh directory and waits until it answers.
    pub fn start(program: Program) -> io::Result<Server> {
        let dir = TempDir::new()?;
        let mut server = Server::start_in(program, dir.path())?;
        server.owned = Some(dir);
        Ok(server)
    }

    /// Starts `program` on an existing directory and waits until it answers.
    pub fn start_in(program: Program, dir: &Path) -> io::Result<Server> {
        let mut server = Server::launch(program, dir)?;
        server.wait_ready()?;
        Ok(server)
    }

    /// Starts `program` without waiting for anything.
    pub fn launch(program: Program, dir: &Path) -> io::Result<Server> {
        let port = free_port()?;
        let log = dir.with_extension(format!("{port}.log"));
        let output = fs::File::create(&log)?;
        let child = Command::new(&program.path)
            .args(&program.first)
            .args(["--port", &port.to_string(), "--dir"])
            .arg(dir)
            .args(&program.args)
            .envs(program.envs.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|e| {
                let path = program.path.display();
                io::Error::new(e.kind(), format!("cannot start {path}: {e}; run scripts/setup.sh"))
            })?;
        Ok(Server { program, child, port, dir: dir.to_path_buf(), log, owned: None })
    }

    /// Waits until PING is answered with PONG.
    pub fn wait_ready(&mut self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            if let Ok(mut client) = Client::connect(self.port)
                && client.line("PING").is_ok_and(|v| v == Value::Simple(b"PONG".to_vec()))
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let text = format!("server ended with {status}:\n{}", self.log_text());
                return Err(io::Error::other(text));
            }
            if start.elapsed() > START {
                return Err(io::Error::other(format!("no PONG in time:\n{}", self.log_text())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A new connection.
    pub fn client(&self) -> io::Result<Client> {
        Client::connect(self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the server wrote to its standard output and error.
    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the process at once (SIGKILL).
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks the process to stop (SIGTERM) and waits for it.
    pub fn terminate(&mut self) -> io::Result<ExitStatus> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        self.wait_exit()
    }

    /// Sends a signal by its name (`-HUP`).
    pub fn signal(&self, name: &str) -> io::Result<()> {
        Command::new("kill").args([name, &self.child.id().to_string()]).status().map(drop)
    }

    /// Waits until the process ends by itself.
    pub fn wait_exit(&mut self) -> io::Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > STOP {
                return Err(io::Error::other(format!("still running:\n{}", self.log_text())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the same program again on the same directory, on a new port.
    pub fn restart(&mut self) -> io::Result<()> {
        let mut next = Server::launch(self.program.clone(), &self.dir)?;
        std::mem::swap(&mut self.child, &mut next.child);
        std::mem::swap(&mut self.port, &mut next.port);
        std::mem::swap(&mut self.log, &mut next.log);
        drop(next);
        self.wait_ready()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// A port that nobody listens on right now.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
