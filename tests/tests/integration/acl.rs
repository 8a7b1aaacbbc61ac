//! Goal: no row of the command table can be reached by a user who has no right to it, on any way in.
//! Method: every row that `COMMAND` lists, with as many arguments as it needs, sent by users that
//! lack the command, every key, writing, or every channel; the data set must not change.

use moon_tests::client::Client;
use moon_tests::server::{Program, Server};
use moon_tests::value::Value;
use moon_tests::{Command, cmd};

/// One row of the table.
struct Row {
    /// Words that call it: one, or two for a subcommand.
    name: Vec<String>,
    words: Command,
}

impl Row {
    fn full_name(&self) -> String {
        self.name.join("|")
    }
}

/// Rows that anybody may call: they are how one becomes somebody.
const OPEN: [&str; 4] = ["auth", "hello", "quit", "reset"];

/// A number, a key and a count at once: fills every place.
const FILLER: &str = "1";

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.text().unwrap_or_default()).into_owned()
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        other => panic!("no list: {other}"),
    }
}

/// All rows: containers are called with something that is no subcommand only by mistake, so they
/// are represented by their subcommands.
fn rows(client: &mut Client) -> Vec<Row> {
    let mut rows = Vec::new();
    let reply = client.line("COMMAND").unwrap();
    for info in items(&reply) {
        let info = items(info);
        let subs = items(&info[9]);
        let here = match subs {
            [] => vec![info],
            subs => subs.iter().map(items).collect(),
        };
        for row in here {
            let name: Vec<String> = text(&row[0]).split('|').map(str::to_string).collect();
            let Value::Int(arity) = row[1] else { panic!("arity of {name:?}") };
            let mut words: Command = name.iter().map(|w| w.as_bytes().to_vec()).collect();
            words.resize(arity.unsigned_abs() as usize, FILLER.as_bytes().to_vec());
            rows.push(Row { name, words });
        }
    }
    rows.retain(|row| !OPEN.contains(&row.name[0].as_str()));
    assert!(rows.len() > 300, "{} rows", rows.len());
    rows
}

/// A server with data under the key that all rows use, and a connection of the default user.
fn server() -> (Server, Client) {
    let server = Server::start(Program::moon().with(&["--enable-debug-command", "yes"])).unwrap();
    let mut admin = server.client().unwrap();
    admin.line("SET 1 1").unwrap();
    (server, admin)
}

/// A connection that acts as a user with these rights.
fn user(admin: &mut Client, name: &str, rules: &str) -> Client {
    let made = admin.line(&format!("ACL SETUSER {name} reset on nopass {rules}")).unwrap();
    assert_eq!(text(&made), "OK", "{rules}");
    let mut client = admin.another().unwrap();
    assert_eq!(text(&client.call(&cmd!["AUTH", name, "x"]).unwrap()), "OK");
    client
}

/// Whether the server has closed a connection on which nothing is outstanding.
fn is_closed(client: &mut Client) -> bool {
    client.receive().is_err_and(|e| e.kind() == std::io::ErrorKind::UnexpectedEof)
}

fn digest(admin: &mut Client) -> Value {
    admin.line("DEBUG DIGEST").unwrap()
}

fn inline(words: &Command) -> Vec<u8> {
    [words.join(&b' '), b"\r\n".to_vec()].concat()
}

#[test]
fn without_the_right_to_a_command_no_way_leads_to_it() {
    let (_server, mut admin) = server();
    let rows = rows(&mut admin);
    let before = digest(&mut admin);
    let mut plain = user(&mut admin, "none", "~* &* -@all");
    let mut resp3 = admin.another().unwrap();
    assert!(!resp3.line("HELLO 3 AUTH none x").unwrap().is_error());
    let mut queue = user(&mut admin, "queue", "~* &* -@all +multi +exec +discard");
    let mut script = user(&mut admin, "script", "~* &* -@all +eval");
    for row in &rows {
        let name = row.full_name();
        // EXEC that is not let in says so in its own way.
        let prefix = match name.as_str() {
            "exec" => "EXECABORT Transaction discarded because of: ",
            _ => "",
        };
        let denied = |user: &str| {
            format!("{prefix}NOPERM User {user} has no permissions to run the '{name}' command")
        };
        assert_eq!(text(&plain.call(&row.words).unwrap()), denied("none"), "plain");
        assert_eq!(text(&resp3.call(&row.words).unwrap()), denied("none"), "RESP3");
        plain.send_raw(&inline(&row.words)).unwrap();
        assert_eq!(text(&plain.receive().unwrap()), denied("none"), "inline");
        if !["multi", "exec", "discard"].contains(&name.as_str()) {
            assert_eq!(text(&queue.line("MULTI").unwrap()), "OK");
            let reply = text(&queue.call(&row.words).unwrap());
            let inside = "ERR Command not allowed inside a transaction";
            assert!(reply == denied("queue") || reply == inside, "{name} in MULTI: {reply}");
            let end = text(&queue.line("EXEC").unwrap());
            assert!(end.starts_with("EXECABORT "), "{name}: {end}");
        }
        if name != "eval" {
            let body = "return redis.call(unpack(ARGV))";
            let call = [cmd!["EVAL", body, 0], row.words.clone()].concat();
            let reply = text(&script.call(&call).unwrap());
            assert!(
                reply.contains("ACL failure in script: User script has no permissions to run")
                    || reply.contains("This Redis command is not allowed from script"),
                "{name} in a script: {reply}"
            );
        }
    }
    assert_eq!(digest(&mut admin), before);
}

/// Requests whose keys stand behind a keyword, so that the filler does not reach them.
const BEHIND_KEYWORDS: [&str; 8] = [
    "XREAD STREAMS 1 0",
    "XREAD COUNT 1 STREAMS 1 0",
    "XREADGROUP GROUP g c STREAMS 1 >",
    "GEORADIUS other 1 1 1 km STORE 1",
    "GEORADIUSBYMEMBER other m 1 km STOREDIST 1",
    "SORT other STORE 1",
    "ZUNION 2 other 1",
    "EVAL return 2 other 1",
];

#[test]
fn without_the_right_to_a_key_no_row_touches_it() {
    let (_server, mut admin) = server();
    let mut requests: Vec<Command> = rows(&mut admin).into_iter().map(|r| r.words).collect();
    requests.extend(
        BEHIND_KEYWORDS.map(|line| line.split(' ').map(|w| w.as_bytes().to_vec()).collect()),
    );
    let before = digest(&mut admin);
    let mut stranger = user(&mut admin, "stranger", "~other &* +@all");
    let mut reader = user(&mut admin, "reader", "%R~* &* +@all");
    let (mut touching, mut writing) = (0, 0);
    for request in &requests {
        let shown = String::from_utf8_lossy(&request.join(&b' ')).into_owned();
        let call = [cmd!["COMMAND", "GETKEYSANDFLAGS"], request.clone()].concat();
        let keys = admin.call(&call).unwrap();
        if keys.is_error() || items(&keys).is_empty() {
            continue;
        }
        touching += 1;
        let reply = text(&stranger.call(request).unwrap());
        assert_eq!(reply, "NOPERM No permissions to access a key", "{shown}");
        let writes = items(&keys).iter().any(|key| {
            let flags = items(&items(key)[1]).iter().map(text).collect::<Vec<_>>();
            flags.iter().any(|f| ["update", "insert", "delete"].contains(&f.as_str()))
        });
        if writes {
            writing += 1;
            let reply = text(&reader.call(request).unwrap());
            assert_eq!(reply, "NOPERM No permissions to access a key", "{shown}");
        }
    }
    assert!(touching > 180 && writing > 100, "{touching} rows with keys, {writing} write");
    assert_eq!(digest(&mut admin), before);
}

#[test]
fn without_the_right_to_a_channel_nobody_listens_or_speaks() {
    let (_server, mut admin) = server();
    let mut deaf = user(&mut admin, "deaf", "~* &open* +@all");
    for request in [
        "SUBSCRIBE open1 secret",
        "SSUBSCRIBE secret",
        "PSUBSCRIBE *",
        "PSUBSCRIBE open",
        "PUBLISH secret x",
        "SPUBLISH secret x",
    ] {
        let reply = text(&deaf.line(request).unwrap());
        assert_eq!(reply, "NOPERM No permissions to access a channel", "{request}");
    }
    let listening = admin.line("PUBSUB CHANNELS").unwrap();
    assert!(items(&listening).is_empty(), "{listening}");
    assert_eq!(deaf.line("PUBLISH open1 x").unwrap(), Value::Int(0));
}

/// Changes count for connections that are open: commands at once, channels and users by closing.
#[test]
fn a_change_reaches_open_connections() {
    let (_server, mut admin) = server();
    let mut bob = user(&mut admin, "bob", "~* &news +@all");
    assert_eq!(text(&bob.line("GET 1").unwrap()), "1");
    admin.line("ACL SETUSER bob -get").unwrap();
    assert!(text(&bob.line("GET 1").unwrap()).starts_with("NOPERM "));
    // Queued with the right, run without.
    bob.line("MULTI").unwrap();
    assert_eq!(text(&bob.line("SET 1 2").unwrap()), "QUEUED");
    admin.line("ACL SETUSER bob -set").unwrap();
    let replies = bob.line("EXEC").unwrap();
    assert!(text(&items(&replies)[0]).contains("ACLs rules changed between"), "{replies}");
    assert_eq!(text(&admin.line("GET 1").unwrap()), "1");
    // Waiting with the right, served without.
    bob.queue(&cmd!["BLPOP", "list", 0]);
    bob.flush().unwrap();
    while !text(&admin.line("CLIENT LIST").unwrap()).contains("cmd=blpop") {}
    admin.line("ACL SETUSER bob -blpop").unwrap();
    assert_eq!(admin.line("RPUSH list a").unwrap(), Value::Int(1));
    assert!(text(&bob.receive().unwrap()).starts_with("NOPERM "));
    assert_eq!(admin.line("LLEN list").unwrap(), Value::Int(1));
    // A listener loses its channel, a user is deleted.
    assert!(!bob.line("SUBSCRIBE news").unwrap().is_error());
    admin.line("ACL SETUSER bob resetchannels").unwrap();
    assert!(is_closed(&mut bob), "the listener is still connected");
    let mut carl = user(&mut admin, "carl", "~* +@all");
    assert_eq!(admin.line("ACL DELUSER carl nobody").unwrap(), Value::Int(1));
    assert!(is_closed(&mut carl), "a deleted user is still connected");
}
