//! Runs the commands of the README, and of the pages that show a tour as it does, as written.
//!
//! A block is marked by a comment line `<!-- run: NAME -->` directly above its fence:
//!
//! | name | how it is run |
//! |---|---|
//! | `test` | by `.ci/run`; this module only checks that it ends in this tool's `ci` (README only) |
//! | `server` | started in the background; ready when the port answers |
//! | `tour` | run to its end while the server is up |
//! | `tour-output` | not run: what the tour must print, exactly |
//!
//! Everything runs in the repository root with a data home of its own, in process groups that are
//! ended afterwards.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A page with a tour, and the port of its server.
struct Page {
    file: &'static str,
    port: u16,
}

const README: Page = Page { file: "README.md", port: 6379 };
const PAGES: [Page; 2] = [README, Page { file: "docs/backup.md", port: 6390 }];
/// Building and starting the server may take this long.
const START: Duration = Duration::from_secs(20 * 60);
/// The tour may take this long.
const TOUR: Duration = Duration::from_secs(120);

/// One marked block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    name: String,
    body: String,
}

/// Runs the pages of the repository at `root`; with a name, only that one.
pub(crate) fn run(root: &Path, only: Option<&str>) -> Result<(), String> {
    if only.is_some_and(|only| PAGES.iter().all(|page| page.file != only)) {
        let known = PAGES.map(|page| page.file).join(", ");
        return Err(format!("no page with a tour; there are {known}"));
    }
    for page in PAGES.iter().filter(|page| only.is_none_or(|only| page.file == only)) {
        run_page(root, page).map_err(|e| format!("{}: {e}", page.file))?;
    }
    Ok(())
}

fn run_page(root: &Path, page: &Page) -> Result<(), String> {
    let text = std::fs::read_to_string(root.join(page.file)).map_err(|e| e.to_string())?;
    let blocks = blocks(&text)?;
    let body = |name: &str| {
        let found = blocks.iter().find(|b| b.name == name).map(|b| b.body.as_str());
        found.ok_or(format!("no block marked `run: {name}`"))
    };
    if page.file == README.file && !body("test")?.trim_end().ends_with("cargo xtask ci") {
        return Err("its test command does not end in `cargo xtask ci`".to_string());
    }
    let (server, tour, expected) = (body("server")?, body("tour")?, body("tour-output")?);
    if ping(page.port) {
        return Err(format!("something already answers on port {}; stop it first", page.port));
    }
    let home = std::env::temp_dir().join(format!("moon-readme-{}", std::process::id()));
    std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
    let result = serve_and_tour(root, &home, page.port, server, tour, expected);
    let _ = std::fs::remove_dir_all(&home);
    result
}

fn serve_and_tour(
    root: &Path,
    home: &Path,
    port: u16,
    server: &str,
    tour: &str,
    expected: &str,
) -> Result<(), String> {
    let mut server = Group::start(root, home, server, Stdio::inherit())?;
    server.wait_for_port(port)?;
    let mut tour = Group::start(root, home, tour, Stdio::piped())?;
    // The tour kills the server and waits until it is gone: somebody has to reap it.
    let printed = tour.output(|| {
        let _ = server.child.try_wait();
    })?;
    print!("{printed}");
    if printed.trim_end() != expected.trim_end() {
        return Err(format!("the tour printed something else than the page says:\n{expected}"));
    }
    Ok(())
}

/// The marked blocks of a document.
fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("<!-- run: ").and_then(|l| l.strip_suffix(" -->"))
        else {
            continue;
        };
        if !lines.next().is_some_and(|l| l.starts_with("```")) {
            return Err(format!("the mark `run: {name}` has no fenced block under it"));
        }
        let body: Vec<&str> = lines.by_ref().take_while(|l| !l.starts_with("```")).collect();
        blocks.push(Block { name: name.to_string(), body: body.join("\n") + "\n" });
    }
    Ok(blocks)
}

/// A shell script in a process group of its own, ended with everything it started.
struct Group {
    child: Child,
}

impl Group {
    fn start(root: &Path, home: &Path, script: &str, stdout: Stdio) -> Result<Group, String> {
        println!("{script}");
        let child = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(root)
            .env("XDG_DATA_HOME", home)
            .stdin(Stdio::null())
            .stdout(stdout)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("cannot start bash: {e}"))?;
        Ok(Group { child })
    }

    fn wait_for_port(&mut self, port: u16) -> Result<(), String> {
        let start = Instant::now();
        while !ping(port) {
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                return Err(format!("the server command ended early: {status}"));
            }
            if start.elapsed() > START {
                return Err("the server did not answer in time".to_string());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits for the script's shell and returns what it printed. Processes that it left in the
    /// background may keep the pipe open, so the end of the shell counts, not the end of the pipe.
    /// `meanwhile` is called again and again until then.
    fn output(&mut self, mut meanwhile: impl FnMut()) -> Result<String, String> {
        let mut pipe = self.child.stdout.take().ok_or("no standard output")?;
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                if send.send(chunk[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let start = Instant::now();
        let status = loop {
            meanwhile();
            match self.child.try_wait().map_err(|e| e.to_string())? {
                Some(status) => break status,
                None if start.elapsed() > TOUR => return Err("the tour did not end in time".into()),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let mut text = Vec::new();
        while let Ok(chunk) = receive.recv_timeout(Duration::from_millis(200)) {
            text.extend(chunk);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        if status.success() { Ok(text) } else { Err(format!("the tour failed: {status}\n{text}")) }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        for signal in ["-TERM", "-KILL"] {
            let _ =
                Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
            std::thread::sleep(Duration::from_millis(300));
        }
        let _ = self.child.wait();
    }
}

/// Whether a server answers PING on a port.
fn ping(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let mut reply = [0; 7];
    stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && &reply == b"+PONG\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_blocks_are_found_and_others_left_alone() {
        let text = "# A\n<!-- run: test -->\n```sh\na\nb\n```\ntext\n```sh\nc\n```\n<!-- run: tour -->\n```\nd\n```\n";
        let found = blocks(text).unwrap();
        let block = |name: &str, body: &str| Block { name: name.into(), body: body.into() };
        assert_eq!(found, [block("test", "a\nb\n"), block("tour", "d\n")]);
        assert!(blocks("<!-- run: test -->\nno fence\n").is_err());
    }

    #[test]
    fn the_repositorys_pages_have_every_block_or_none_is_run() {
        for page in PAGES {
            let text = std::fs::read_to_string(crate::root().join(page.file)).unwrap();
            let names: Vec<_> = blocks(&text).unwrap().into_iter().map(|b| b.name).collect();
            let test = (page.file == README.file).then_some("test");
            let want: Vec<_> =
                ["server"].into_iter().chain(test).chain(["tour", "tour-output"]).collect();
            assert_eq!(names, want, "{}", page.file);
        }
        assert!(run(&crate::root(), Some("docs/none.md")).is_err());
    }

    #[test]
    fn a_script_that_fails_is_an_error_and_one_that_leaves_a_child_ends() {
        let root = std::env::temp_dir();
        let run = |script: &str| {
            Group::start(&root, &root, script, Stdio::piped()).unwrap().output(|| ())
        };
        assert!(run("echo a; false; echo b").is_err());
        assert_eq!(run("sleep 60 & echo a").unwrap(), "a\n");
    }
}
