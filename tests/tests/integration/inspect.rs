//! Goal: what moon-inspect says of a data directory is what the server says of itself. Method: a server
//! writes, tells its digest, ends or is killed; the tool reads what is left, while it runs and after.

use moon_tests::client::Client;
use moon_tests::cmd;
use moon_tests::server::{Program, Server, inspect_binary};
use moon_tests::value::Value;
use std::path::Path;
use std::process::{Command, Output};

fn inspect(args: &[&str], path: &Path) -> Output {
    Command::new(inspect_binary()).args(args).arg(path).output().expect("moon-inspect runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn digest(client: &mut Client) -> String {
    match client.line("DEBUG DIGEST").unwrap() {
        Value::Simple(digest) => String::from_utf8(digest).unwrap(),
        other => panic!("DEBUG DIGEST: {other}"),
    }
}

fn fill(client: &mut Client) {
    for line in [
        "SET text hello",
        "SET number 41 PX 100000000",
        "INCR number",
        "RPUSH list a b c 1 2 3",
        "SADD set 1 2 3 member",
        "ZADD zset 1.5 one -2 two",
        "HSET hash field value other 7",
        "HPEXPIRE hash 100000000 FIELDS 1 field",
        "XADD stream 5-1 f v",
        "XGROUP CREATE stream group 0",
        "SELECT 3",
        "SET text elsewhere",
        "DEL nothing",
        "SET gone x",
        "DEL gone",
    ] {
        let reply = client.line(line).unwrap();
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply}");
    }
    let script = "redis.call('set', KEYS[1], 'by a script') return 1";
    client.call(&cmd!["EVAL", script, "1", "scripted"]).unwrap();
    for i in 0..2000 {
        client.line(&format!("SET many:{i} {i}")).unwrap();
    }
}

#[test]
fn the_digest_of_a_directory_is_that_of_its_server() {
    let mut server = Server::start(Program::moon().with(&[
        "--enable-debug-command",
        "yes",
        "--appendfsync",
        "always",
    ]))
    .unwrap();
    let mut client = server.client().unwrap();
    fill(&mut client);
    let want = digest(&mut client);
    // Under a running server, after a kill, and after a clean end.
    let shown = text(&inspect(&["storage", "digest"], server.dir()));
    assert!(shown.contains(&want), "{want}: {shown}");
    server.kill().unwrap();
    let shown = text(&inspect(&["auto", "digest"], server.dir()));
    assert!(shown.contains(&want), "{want}: {shown}");
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(digest(&mut client), want);
    client.line("SET text changed").unwrap();
    let after = digest(&mut client);
    assert_ne!(after, want);
    let shown = text(&inspect(&["storage", "digest"], server.dir()));
    assert!(shown.contains(&after), "{after}: {shown}");
    let sound = inspect(&["storage", "verify"], server.dir());
    assert!(sound.status.success(), "{}", text(&sound));
}
