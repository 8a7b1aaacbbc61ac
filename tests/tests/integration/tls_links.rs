//! Goal: what servers say to each other goes over TLS where it is to, between Moon and Moon and between Moon
//! and a real Redis either way round, and never to a server that is not of the authority. Method: real
//! servers that take clients with certificates only; data compared after writes and broken links.

use crate::tls::Certs;
use moon_tests::ask::{info, line, until};
use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, free_port};

const MANY: usize = 2000;

/// Options of a server that speaks TLS to servers and takes TLS clients that show a certificate.
fn options(certs: &Certs, port: u16) -> Vec<String> {
    let (cert, key, ca) =
        (certs.path("server.pem"), certs.path("server.key"), certs.path("ca.pem"));
    let port = port.to_string();
    ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key]
        .into_iter()
        .chain(["--tls-ca-cert-file", &ca, "--tls-replication", "yes", "--tls-cluster", "yes"])
        .map(String::from)
        .collect()
}

struct Node {
    server: Server,
    tls_port: u16,
    client: Client,
}

fn node(program: Program, certs: &Certs) -> Node {
    let tls_port = free_port().expect("a port");
    let options = options(certs, tls_port);
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Server::start(program.with(&words)).expect("a server starts");
    let client = server.client().expect("a connection");
    Node { server, tls_port, client }
}

fn fill(client: &mut Client, name: &str) {
    for n in 0..MANY {
        client.queue(&cmd!["RPUSH", name, format!("{n}-{}", "x".repeat(n % 300))]);
    }
    client.flush().expect("sent");
    for _ in 0..MANY {
        client.receive().expect("a reply");
    }
}

fn follows(replica: &mut Node, master: &mut Node) {
    let reply = line(&mut replica.client, &format!("REPLICAOF 127.0.0.1 {}", master.tls_port));
    assert_eq!(reply, "OK");
    same(replica, master);
    assert!(info(&mut master.client, "slave0").contains(&format!("port={}", replica.tls_port)));
}

fn same(replica: &mut Node, master: &mut Node) {
    until("the replica has everything", || {
        info(&mut replica.client, "master_link_status") == "up"
            && info(&mut replica.client, "slave_repl_offset")
                == info(&mut master.client, "master_repl_offset")
    });
    for key in ["before", "after"] {
        let words = format!("LRANGE {key} 0 -1");
        assert_eq!(line(&mut replica.client, &words), line(&mut master.client, &words));
    }
}

fn goes_on(mut replica: Node, mut master: Node) {
    fill(&mut master.client, "before");
    follows(&mut replica, &mut master);
    fill(&mut master.client, "after");
    same(&mut replica, &mut master);
    // Broken, it is taken up where it was.
    line(&mut master.client, "CLIENT KILL TYPE replica");
    fill(&mut master.client, "after");
    same(&mut replica, &mut master);
    assert_eq!(info(&mut master.client, "sync_full"), "1");
    assert_eq!(info(&mut master.client, "sync_partial_ok"), "1");
    assert_eq!(line(&mut replica.client, "LLEN after"), format!(":{}", 2 * MANY));
}

#[test]
fn moon_follows_moon() {
    let certs = Certs::new();
    goes_on(node(Program::moon(), &certs), node(Program::moon(), &certs));
}

#[test]
fn moon_follows_redis() {
    let certs = Certs::new();
    goes_on(node(Program::moon(), &certs), node(Program::redis(), &certs));
}

#[test]
fn redis_follows_moon() {
    let certs = Certs::new();
    goes_on(node(Program::redis(), &certs), node(Program::moon(), &certs));
}

#[test]
fn keys_move_over_tls() {
    let certs = Certs::new();
    let (mut moon, mut redis) = (node(Program::moon(), &certs), node(Program::redis(), &certs));
    fill(&mut moon.client, "before");
    let port = redis.tls_port;
    assert_eq!(line(&mut moon.client, &format!("MIGRATE 127.0.0.1 {port} before 0 5000")), "OK");
    assert_eq!(line(&mut redis.client, "LLEN before"), format!(":{MANY}"));
    let port = moon.tls_port;
    assert_eq!(line(&mut redis.client, &format!("MIGRATE 127.0.0.1 {port} before 0 5000")), "OK");
    assert_eq!(line(&mut moon.client, "LLEN before"), format!(":{MANY}"));
    // To a port that does not speak it.
    let plain = redis.server.port();
    let reply = line(&mut moon.client, &format!("MIGRATE 127.0.0.1 {plain} before 0 500"));
    assert_eq!(reply, "-IOERR error or timeout connecting to the client");
    assert_eq!(line(&mut moon.client, "LLEN before"), format!(":{MANY}"));
}

#[test]
fn a_master_of_another_authority_is_not_followed() {
    let certs = Certs::new();
    let mut master = node(Program::moon(), &certs);
    line(&mut master.client, "SET secret 1");
    let strangers = Certs::new();
    let mut replica = node(Program::moon(), &strangers);
    line(&mut replica.client, "SET own 1");
    line(&mut replica.client, &format!("REPLICAOF 127.0.0.1 {}", master.tls_port));
    until("it is told why", || replica.server.log_text().contains("invalid peer certificate"));
    assert_eq!(info(&mut replica.client, "master_link_status"), "down");
    assert_eq!(line(&mut replica.client, "GET own"), "1");
    // The options are read again, and then it is followed; with a certificate of its own for this end.
    certs.sign("replica", "ca", "/CN=replica", "extendedKeyUsage=clientAuth");
    let [ca, cert, key] = ["ca.pem", "replica.pem", "replica.key"].map(|name| certs.path(name));
    let words = cmd![
        "CONFIG",
        "SET",
        "tls-ca-cert-file",
        ca,
        "tls-client-cert-file",
        cert,
        "tls-client-key-file",
        key
    ];
    assert_eq!(replica.client.call(&words).expect("a reply").to_string(), "+OK");
    until("it is followed", || line(&mut replica.client, "GET secret") == "1");
}

#[test]
fn without_an_authority_there_is_no_link() {
    let program = Program::moon().with(&["--tls-replication", "yes"]);
    let error = Server::start(program).expect_err("refused").to_string();
    assert!(error.contains("set tls-ca-cert-file or tls-ca-cert-dir"), "{error}");
}
