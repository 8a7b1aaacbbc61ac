//! Goal: passwords are tried slowly, and nothing else is slowed down. Method: wrong passwords from one
//! address beside clients that are in already.

use moon_tests::ask::number;
use moon_tests::client::Client;
use moon_tests::server::{Program, Server};
use std::thread::sleep;
use std::time::{Duration, Instant};

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
const REFUSED: &str =
    "-ERR too many failed logins from this address, try again in some seconds (auth-rate-limit)";

fn ask(client: &mut Client, line: &str) -> String {
    client.line(line).expect("a reply").to_string()
}

fn send(client: &mut Client, lines: &[&str]) {
    for line in lines {
        let command: Vec<Vec<u8>> = line.split(' ').map(|w| w.as_bytes().to_vec()).collect();
        client.queue(&command);
    }
    client.flush().expect("sent");
}

#[test]
fn after_five_failures_logins_wait_for_their_turn() {
    let server = Server::start(Program::moon()).expect("moon starts");
    let mut admin = server.client().expect("a connection");
    assert_eq!(ask(&mut admin, "CONFIG SET requirepass secret"), "+OK");
    assert_eq!(ask(&mut admin, "AUTH secret"), "+OK");
    let mut client = server.client().expect("a connection");
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(ask(&mut client, "AUTH wrong"), WRONG);
    }
    assert!(start.elapsed() < Duration::from_millis(400), "five are free");
    assert_eq!(number(&mut admin, "auth_delayed"), 0);
    // Ten a second: the first at once, each of the others 100 ms behind the one before.
    let start = Instant::now();
    for _ in 0..4 {
        assert_eq!(ask(&mut client, "AUTH wrong"), WRONG);
        assert_eq!(ask(&mut client, "HELLO 3 AUTH default wrong"), WRONG);
    }
    assert!(start.elapsed() >= Duration::from_millis(690), "{:?}", start.elapsed());
    assert_eq!(number(&mut admin, "auth_delayed"), 7);
    assert_eq!(number(&mut admin, "acl_access_denied_auth"), 13);
    // Order stays order, also behind a login that waits; the right password works.
    send(&mut client, &["AUTH wrong", "PING", "AUTH secret", "PING"]);
    let mut replies = [(); 4].map(|()| client.receive().expect("a reply").to_string());
    replies[1].truncate(7);
    assert_eq!(replies, [WRONG, "-NOAUTH", "+OK", "+PONG"]);
    // One that waits, and is gone, is forgotten.
    let mut gone = server.client().expect("a connection");
    send(&mut gone, &["AUTH wrong"]);
    drop(gone);
    // Those who are in notice nothing.
    let start = Instant::now();
    for _ in 0..200 {
        assert_eq!(ask(&mut admin, "PING"), "+PONG");
    }
    assert!(start.elapsed() < Duration::from_secs(2));
    let log = admin.line("ACL LOG").expect("a log").to_string();
    assert!(log.contains("\"auth\"") && log.contains("\"AUTH\""), "{log}");
}

#[test]
fn who_would_wait_too_long_is_refused_unseen() {
    let server = Server::start(Program::moon().with(&["--auth-rate-limit", "2"])).expect("starts");
    let mut admin = server.client().expect("a connection");
    assert_eq!(ask(&mut admin, "CONFIG SET requirepass secret"), "+OK");
    assert_eq!(ask(&mut admin, "AUTH secret"), "+OK");
    for _ in 0..6 {
        assert_eq!(ask(&mut admin, "AUTH wrong"), WRONG);
    }
    // Ten have turns in the next five seconds.
    let mut waiting: Vec<Client> =
        (0..11).map(|_| server.client().expect("a connection")).collect();
    for client in &mut waiting {
        send(client, &["AUTH wrong"]);
    }
    let start = Instant::now();
    while number(&mut admin, "auth_refused") == 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "nobody is refused");
        sleep(Duration::from_millis(5));
    }
    // Even the right password; and inside EXEC nobody waits.
    assert_eq!(ask(&mut admin, "AUTH secret"), REFUSED);
    send(&mut admin, &["MULTI", "AUTH secret", "EXEC"]);
    let replies = [(); 3].map(|()| admin.receive().expect("a reply").to_string());
    assert_eq!(replies, ["+OK".into(), "+QUEUED".into(), format!("[{REFUSED}]")]);
    let log = admin.line("ACL LOG").expect("a log").to_string();
    assert!(log.contains("\"auth-rate-limit\""), "{log}");
    // Without a limit everybody is looked at again.
    assert_eq!(ask(&mut admin, "CONFIG SET auth-rate-limit 0"), "+OK");
    for _ in 0..20 {
        assert_eq!(ask(&mut admin, "AUTH wrong"), WRONG);
    }
    assert_eq!(ask(&mut admin, "AUTH secret"), "+OK");
}
