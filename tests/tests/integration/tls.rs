//! Goal: TLS carries the same conversation as a plain socket, lets in whom it should and nobody else,
//! and takes over new certificates without a pause. Method: certificates made by the openssl program,
//! a tunnel that speaks OpenSSL's TLS for the client of these tests, and redis-cli.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, TempDir, free_port};
use moon_tests::value::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn openssl(args: &[&str]) -> Output {
    let output = Command::new("openssl").args(args).stdin(Stdio::null()).output();
    output.expect("openssl is installed by scripts/setup.sh")
}

/// An authority and what it has signed.
pub(crate) struct Certs(TempDir);

impl Certs {
    pub(crate) fn new() -> Certs {
        let certs = Certs(TempDir::new().unwrap());
        certs.authority("ca");
        certs.sign("server", "ca", "/CN=localhost", "subjectAltName=DNS:localhost");
        certs
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn key(&self, name: &str) -> String {
        let key = self.path(&format!("{name}.key"));
        let curve = "ec_paramgen_curve:P-256";
        let args = ["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", &key];
        assert!(openssl(&args).status.success());
        key
    }

    pub(crate) fn authority(&self, name: &str) {
        let (key, pem) = (self.key(name), self.path(&format!("{name}.pem")));
        let subject = format!("/O={name}/CN=authority");
        let args = ["req", "-x509", "-new", "-key", &key, "-subj", &subject, "-out", &pem];
        assert!(openssl(&args).status.success());
    }

    /// A certificate of version 3, good for ten days.
    pub(crate) fn sign(&self, name: &str, authority: &str, subject: &str, extensions: &str) {
        let (key, csr) = (self.key(name), self.path("csr"));
        let request = openssl(&["req", "-new", "-key", &key, "-subj", subject, "-out", &csr]);
        assert!(request.status.success(), "{}", String::from_utf8_lossy(&request.stderr));
        let ext = self.path("ext");
        std::fs::write(&ext, format!("basicConstraints=CA:FALSE\n{extensions}\n")).unwrap();
        let (ca, ca_key) =
            (self.path(&format!("{authority}.pem")), self.path(&format!("{authority}.key")));
        let out = self.path(&format!("{name}.pem"));
        let args = [
            "x509",
            "-req",
            "-in",
            &csr,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-days",
            "10",
            "-extfile",
            &ext,
            "-out",
            &out,
        ];
        let signed = openssl(&args);
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    }
}

/// A server with a plain port for the test and one for TLS.
struct Secured {
    server: Server,
    certs: Certs,
    port: u16,
}

impl Secured {
    fn start(more: &[&str]) -> Secured {
        let (certs, port) = (Certs::new(), free_port().unwrap());
        let server = Server::start(Self::program(&certs, port).with(more)).unwrap();
        Secured { server, certs, port }
    }

    fn program(certs: &Certs, port: u16) -> Program {
        Program::moon().with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certs.path("server.pem"),
            "--tls-key-file",
            &certs.path("server.key"),
        ])
    }

    fn plain(&self) -> Client {
        self.server.client().unwrap()
    }

    fn tunnel(&self, more: &[&str]) -> Tunnel {
        Tunnel::start(self.port, &[&["--ca", &self.certs.path("ca.pem")], more].concat())
    }

    fn with_certificate(&self, name: &str) -> Tunnel {
        let (pem, key) =
            (self.certs.path(&format!("{name}.pem")), self.certs.path(&format!("{name}.key")));
        self.tunnel(&["--cert", &pem, "--key", &key])
    }

    /// A figure of INFO.
    fn info(&self, name: &str) -> i64 {
        let text = self.plain().line("INFO everything").unwrap();
        let text = String::from_utf8_lossy(text.text().expect("INFO is text")).into_owned();
        let start = format!("{name}:");
        let line = text.lines().find_map(|l| l.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {name} in INFO")).parse().unwrap()
    }

    /// The serial number of the certificate that new connections see.
    fn serial(&self) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        let shown = openssl(&["s_client", "-connect", &address]);
        let pem = self.certs.path("shown");
        std::fs::write(&pem, &shown.stdout).unwrap();
        let output = openssl(&["x509", "-in", &pem, "-noout", "-serial"]);
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }
}

struct Tunnel {
    child: Child,
    port: u16,
}

impl Tunnel {
    fn start(port: u16, args: &[&str]) -> Tunnel {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/compat/tls_tunnel.py");
        let mut child = Command::new("python3")
            .args([script, &port.to_string()])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Tunnel { child, port: line.trim().parse().unwrap() }
    }

    fn client(&self) -> Client {
        Client::connect(self.port).unwrap()
    }

    fn says(&self, line: &str) -> Value {
        self.client().line(line).unwrap()
    }

    /// Whether the server lets such a client in.
    fn is_let_in(&self) -> bool {
        self.client().line("PING").is_ok_and(|v| v == Value::Simple(b"PONG".to_vec()))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

/// Whether a text is somewhere in a reply.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::Array(parts) => parts.iter().any(|part| holds(part, text)),
        other => *other == bulk(text),
    }
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

/// Both versions, both drivers, ciphertext in pieces of every kind of size: pipelines, values over
/// many records, requests that end in the middle of one.
#[test]
fn the_conversation_is_that_of_a_plain_socket() {
    for driver in ["uring", "epoll"] {
        let server = Secured::start(&["--io-driver", driver]);
        for (version, piece) in [("1.2", "0"), ("1.3", "0"), ("1.2", "1000"), ("1.3", "17")] {
            let tunnel = server.tunnel(&["--version", version, "--piece", piece]);
            let mut client = tunnel.client();
            let rounds = if piece == "17" { 100 } else { 2000 };
            for i in 0..rounds {
                client.queue(&cmd!["SET", format!("{version}:{i}"), format!("value {i}")]);
                client.queue(&cmd!["GET", format!("{version}:{i}")]);
            }
            client.flush().unwrap();
            for i in 0..rounds {
                assert_eq!(client.receive().unwrap(), ok());
                assert_eq!(client.receive().unwrap(), bulk(&format!("value {i}")));
            }
            let len = if piece == "17" { 100_000 } else { 5_000_000 };
            let value: String = (0..len).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
            assert_eq!(client.call(&cmd!["SET", "big", value.clone()]).unwrap(), ok());
            assert_eq!(client.line("GET big").unwrap(), bulk(&value));
            assert_eq!(server.plain().line("GET big").unwrap(), bulk(&value));
            assert_eq!(client.line("QUIT").unwrap(), ok());
            assert!(client.read_to_end().unwrap().is_empty());
        }
        assert_eq!(server.info("tls_handshakes"), 4);
        assert_eq!(server.info("tls_handshake_failures"), 0);
        let listener = server.plain().line("INFO server").unwrap();
        let text = String::from_utf8_lossy(listener.text().unwrap()).into_owned();
        assert!(text.contains(&format!("name=tls,bind=127.0.0.1,port={}", server.port)), "{text}");
    }
}

/// What does not leave waits, and nobody waits for it; messages of others arrive in between.
#[test]
fn slow_readers_get_everything_and_hold_up_nobody() {
    for driver in ["uring", "epoll"] {
        let server = Secured::start(&["--io-driver", driver]);
        let tunnel = server.tunnel(&[]);
        let mut slow = tunnel.client();
        let value = "x".repeat(1 << 20);
        assert_eq!(slow.call(&cmd!["SET", "big", value.clone()]).unwrap(), ok());
        for _ in 0..64 {
            slow.queue(&cmd!["GET", "big"]);
        }
        slow.flush().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let mut other = tunnel.client();
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(other.line("PING").unwrap(), Value::Simple(b"PONG".to_vec()));
        }
        assert!(start.elapsed() < Duration::from_secs(5));
        for _ in 0..64 {
            assert!(slow.receive().unwrap() == bulk(&value));
        }
        let mut listener = tunnel.client();
        listener.line("SUBSCRIBE news").unwrap();
        assert_eq!(other.line("PUBLISH news hello").unwrap(), Value::Int(1));
        let message = ["message", "news", "hello"].map(bulk).to_vec();
        assert_eq!(listener.receive().unwrap(), Value::Array(message));
    }
}

#[test]
fn certificates_of_clients_are_checked_as_asked() {
    let mut server = Secured::start(&[]);
    let certs = &server.certs;
    certs.sign("alice", "ca", "/CN=alice", "");
    certs.authority("other-ca");
    certs.sign("mallory", "other-ca", "/CN=alice", "");
    let ca = certs.path("ca.pem");
    let (nobody, alice, mallory) =
        (server.tunnel(&[]), server.with_certificate("alice"), server.with_certificate("mallory"));
    // Without an authority nobody is asked.
    assert!(nobody.is_let_in() && alice.is_let_in() && mallory.is_let_in());
    let mut plain = server.plain();
    assert!(plain.line("CONFIG SET tls-auth-clients yes").unwrap().is_error());
    assert_eq!(plain.call(&cmd!["CONFIG", "SET", "tls-ca-cert-file", ca]).unwrap(), ok());
    for (word, expected) in
        [("yes", [false, true, false]), ("optional", [true, true, false]), ("no", [true; 3])]
    {
        assert_eq!(plain.line(&format!("CONFIG SET tls-auth-clients {word}")).unwrap(), ok());
        let let_in = [&nobody, &alice, &mallory].map(Tunnel::is_let_in);
        assert_eq!(let_in, expected, "tls-auth-clients {word}");
    }
    assert_eq!(server.info("tls_handshake_failures"), 3);
    // Both versions refuse.
    assert_eq!(plain.line("CONFIG SET tls-auth-clients yes").unwrap(), ok());
    assert!(!server.tunnel(&["--version", "1.2"]).is_let_in());
    assert!(!server.tunnel(&["--version", "1.3"]).is_let_in());
    assert!(server.server.is_running());
}

#[test]
fn certificates_name_users() {
    let server = Secured::start(&[]);
    let certs = &server.certs;
    let ca = certs.path("ca.pem");
    certs.sign("alice", "ca", "/O=team/CN=alice", "subjectAltName=URI:urn:user:alice,DNS:x");
    certs.sign("carol", "ca", "/CN=carol", "");
    certs.sign("two", "ca", "/CN=alice/CN=alice", "subjectAltName=URI:urn:a,URI:urn:b");
    certs.sign("unnamed", "ca", "/O=alice", "");
    let mut admin = server.plain();
    assert_eq!(admin.line("CONFIG SET requirepass secret").unwrap(), ok());
    for line in ["ACL SETUSER alice on +@all ~*", "ACL SETUSER carol off +@all ~*"] {
        assert_eq!(admin.line(line).unwrap(), ok());
    }
    let uri = cmd!["ACL", "SETUSER", "urn:user:alice", "on", "+@all", "~*"];
    assert_eq!(admin.call(&uri).unwrap(), ok());
    let set = cmd!["CONFIG", "SET", "tls-ca-cert-file", ca, "tls-auth-clients-user", "CN"];
    assert_eq!(admin.call(&set).unwrap(), ok());
    let get = Value::Array(vec![bulk("tls-auth-clients-user"), bulk("CN")]);
    assert_eq!(admin.line("CONFIG GET tls-auth-clients-user").unwrap(), get);
    assert_eq!(server.with_certificate("alice").says("ACL WHOAMI"), bulk("alice"));
    // A user who is off, a name given twice, no name: the client is who it would be without, and
    // that one has a password.
    for name in ["carol", "two", "unnamed"] {
        let said = server.with_certificate(name).says("ACL WHOAMI");
        assert!(said.is_error(), "{name}: {said:?}");
    }
    let mut denied = |field: &str| {
        let text = admin.line("INFO stats").unwrap();
        let text = String::from_utf8_lossy(text.text().unwrap()).into_owned();
        text.lines().any(|l| l == format!("acl_access_denied_tls_cert:{field}"))
    };
    assert!(denied("3"));
    let log = admin.line("ACL LOG").unwrap();
    assert!(holds(&log, "tls-cert") && holds(&log, "carol"), "{log:?}");
    assert_eq!(admin.line("CONFIG SET tls-auth-clients-user uri").unwrap(), ok());
    assert_eq!(server.with_certificate("alice").says("ACL WHOAMI"), bulk("urn:user:alice"));
    assert!(server.with_certificate("two").says("ACL WHOAMI").is_error());
    assert_eq!(admin.line("CONFIG SET tls-auth-clients-user off").unwrap(), ok());
    assert!(server.with_certificate("alice").says("ACL WHOAMI").is_error());
}

#[test]
fn new_certificates_are_for_new_connections_and_bad_ones_for_nobody() {
    let server = Secured::start(&[]);
    let certs = &server.certs;
    let tunnel = server.tunnel(&[]);
    let mut old = tunnel.client();
    assert_eq!(old.line("SET k v").unwrap(), ok());
    let first = server.serial();
    assert!(first.starts_with("serial="), "{first}");
    assert!((9..=10).contains(&server.info("tls_server_cert_expires_in_days")));

    // CONFIG SET, both files at once.
    certs.sign("next", "ca", "/CN=localhost", "");
    let mut plain = server.plain();
    let (pem, key) = (certs.path("next.pem"), certs.path("next.key"));
    let set =
        |pem: &str, key: &str| cmd!["CONFIG", "SET", "tls-cert-file", pem, "tls-key-file", key];
    assert_eq!(plain.call(&set(&pem, &key)).unwrap(), ok());
    let second = server.serial();
    assert_ne!(first, second);
    assert_eq!(old.line("GET k").unwrap(), bulk("v"));

    // A certificate without its key, a file that is none: an error, and nothing has changed.
    for (pem, key) in [(certs.path("server.pem"), key.clone()), ("/nowhere".into(), key.clone())] {
        let said = plain.call(&set(&pem, &key)).unwrap();
        let text = String::from_utf8_lossy(said.text().unwrap_or_default()).into_owned();
        assert!(said.is_error() && text.contains("Unable to update TLS configuration"), "{text}");
    }
    let now = plain.line("CONFIG GET tls-cert-file").unwrap();
    assert_eq!(now, Value::Array(vec![bulk("tls-cert-file"), bulk(&pem)]));
    assert_eq!(server.serial(), second);

    // SIGHUP reads the same names again.
    let hang_up = |expected: &str| {
        let before = server.server.log_text().matches(expected).count();
        let pid = server.server.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        let start = Instant::now();
        while server.server.log_text().matches(expected).count() == before {
            assert!(start.elapsed() < Duration::from_secs(10), "{}", server.server.log_text());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    certs.sign("third", "ca", "/CN=localhost", "");
    std::fs::copy(certs.path("third.pem"), &pem).unwrap();
    hang_up("TLS stays as it was");
    assert_eq!(server.serial(), second);
    std::fs::copy(certs.path("third.key"), &key).unwrap();
    hang_up("TLS files read again");
    assert!(![first, second].contains(&server.serial()));
    assert_eq!(old.line("GET k").unwrap(), bulk("v"));
    // Ten days are fewer than thirty.
    assert!(server.server.log_text().contains("the TLS certificate (serial "));
}

#[test]
fn ports_move_and_plain_text_is_not_for_this_one() {
    let mut server = Secured::start(&[]);
    for text in ["PING\r\n", "*1\r\n$4\r\nPING\r\n", "\r\n"] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut heard = Vec::new();
        // A reset is fine too.
        let _ = stream.read_to_end(&mut heard);
        assert!(heard.is_empty(), "{heard:?}");
    }
    assert_eq!(server.info("tls_plain_connections"), 3);
    assert_eq!(server.info("tls_handshake_failures"), 3);

    let tunnel = server.tunnel(&[]);
    let mut client = tunnel.client();
    let next = free_port().unwrap();
    assert_eq!(client.line(&format!("CONFIG SET tls-port {next}")).unwrap(), ok());
    assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
    assert_eq!(client.line("PING").unwrap(), Value::Simple(b"PONG".to_vec()));
    server.port = next;
    let tunnel = server.tunnel(&[]);
    assert_eq!(tunnel.says("CONFIG SET port 0"), ok());
    assert!(TcpStream::connect(("127.0.0.1", server.server.port())).is_err());
    assert!(tunnel.is_let_in());
}

#[test]
fn a_server_that_cannot_speak_tls_does_not_start() {
    let certs = Certs::new();
    let dir = TempDir::new().unwrap();
    let cert = certs.path("server.pem");
    let key = certs.path("ca.key");
    for (args, expected) in [
        (vec!["--tls-port", "1"], "tls-cert-file is not set"),
        (
            vec!["--tls-port", "1", "--tls-cert-file", &cert, "--tls-key-file", &key],
            "the key of another certificate",
        ),
    ] {
        for check in [true, false] {
            let args: Vec<&str> =
                args.iter().copied().chain(check.then_some("--check-config")).collect();
            let mut server =
                Server::launch(Program::moon().with(&args), &dir.path().join("data")).unwrap();
            let status = server.wait_exit().unwrap();
            assert_eq!(status.code(), Some(1));
            assert!(server.log_text().contains(expected), "{}", server.log_text());
        }
    }
}

#[test]
fn clients_of_redis_come_in_and_resume_their_sessions() {
    let server = Secured::start(&[]);
    let ca = server.certs.path("ca.pem");
    let port = server.port.to_string();
    let base = ["-h", "localhost", "-p", &port, "--tls", "--cacert", &ca];
    let output = Command::new("redis-cli").args(base).args(["INCR", "n"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1", "{output:?}");
    let address = format!("127.0.0.1:{port}");
    let session = server.certs.path("session");
    for version in ["-tls1_2", "-tls1_3"] {
        for (caching, expected) in [("yes", "Reused, "), ("no", "New, ")] {
            let mut plain = server.plain();
            assert_eq!(plain.line("CONFIG SET tls-session-caching yes").unwrap(), ok());
            let connect = |file: &str| {
                // The ticket of TLS 1.3 follows the handshake: the end of the input must not come
                // before it.
                let script = format!(
                    "sleep 1 | openssl s_client -connect {address} {version} {file} {session}"
                );
                let output = Command::new("sh").args(["-c", &script]).output().unwrap();
                String::from_utf8_lossy(&output.stdout).into_owned()
            };
            assert!(connect("-sess_out").contains("New, "));
            let set = format!("CONFIG SET tls-session-caching {caching}");
            if caching == "no" {
                assert_eq!(plain.line(&set).unwrap(), ok());
            }
            let said = connect("-sess_in");
            assert!(said.contains(expected), "{version} {caching}: {said}");
        }
    }
}

/// All clients at once: each gets its turn, and commands go on in between.
#[test]
fn a_storm_of_handshakes_holds_up_nobody() {
    for driver in ["uring", "epoll"] {
        let server = Secured::start(&["--io-driver", driver]);
        let tunnel = server.tunnel(&[]);
        let mut plain = server.plain();
        let mut clients: Vec<Client> = (0..200).map(|_| tunnel.client()).collect();
        for client in &mut clients {
            client.queue(&cmd!["INCR", "n"]);
            client.flush().unwrap();
        }
        let mut worst = Duration::ZERO;
        while server.info("tls_handshakes") < 200 {
            let start = Instant::now();
            plain.line("PING").unwrap();
            worst = worst.max(start.elapsed());
        }
        let mut seen: Vec<Value> = clients.iter_mut().map(|c| c.receive().unwrap()).collect();
        seen.sort_by_key(|v| format!("{v:?}").len());
        assert_eq!(plain.line("GET n").unwrap(), bulk("200"));
        assert!(worst < Duration::from_secs(2), "{worst:?}");
    }
}

/// Random bytes behind the header of a record, on a real socket.
#[test]
fn nonsense_on_the_tls_port_harms_nobody() {
    let mut server = Secured::start(&[]);
    let mut state = 7_u32;
    for round in 0..60 {
        let mut bytes = vec![22, 3, 1, 0, 200];
        for _ in 0..round * 7 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push((state >> 24) as u8);
        }
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(&bytes).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert!(heard.len() < 100, "an alert at most");
    }
    assert!(server.server.is_running() && server.tunnel(&[]).is_let_in());
}
