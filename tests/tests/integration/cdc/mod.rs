//! Goal: a reader of changes sees every durable change once, in order, over anything that happens to log and
//! server. Method: the real server and its files; what events say is compared with what was written.

mod consumers;
mod images;
mod input;
mod read;
mod slots;
mod subscribe;

use moon_tests::client::Client;
use moon_tests::server::{Program, Server};
use moon_tests::value::Value;

pub(crate) const SYNCED: &[&str] = &["--appendfsync", "always"];

pub(crate) fn start(args: &[&str]) -> (Server, Client) {
    let server = Server::start(Program::moon().with(args)).expect("moon starts");
    let client = server.client().expect("a connection");
    (server, client)
}

/// A page: the cursor behind it, and its events.
pub(crate) fn read(c: &mut Client, words: &str) -> (i64, Vec<String>) {
    let reply = c.line(&format!("CDC.READ {words}")).expect("a reply");
    let Some([Value::Int(next), events @ ..]) = reply.elements() else {
        panic!("{words}: {reply:?}")
    };
    let text = |e: &Value| String::from_utf8(e.text().expect("an event").to_vec()).expect("text");
    (*next, events.iter().map(text).collect())
}

/// What stands behind `"name":` in an event, up to the next comma or brace outside of a string.
pub(crate) fn field(event: &str, name: &str) -> String {
    let (_, rest) = event.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{event}"));
    match rest.strip_prefix('"') {
        Some(text) => text.split('"').next().unwrap_or_default().to_string(),
        None => rest.split([',', '}']).next().unwrap_or_default().to_string(),
    }
}

/// Letter, key and command of each event.
pub(crate) fn gist(events: &[String]) -> Vec<String> {
    let one = |e: &String| {
        let command = if e.contains("\"command\"") { field(e, "command") } else { String::new() };
        format!("{} {} {command}", field(e, "op"), field(e, "key"))
    };
    events.iter().map(|e| one(e).trim_end().to_string()).collect()
}

/// A cursor as CDC.SNAPSHOT gives it, or CDC.READ within a snapshot.
pub(crate) fn cursor(value: &Value) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        other => String::from_utf8(other.text().expect("a cursor").to_vec()).expect("text"),
    }
}

/// `before` of an event, whole.
pub(crate) fn before(event: &str) -> &str {
    let (before, _) = event.split_once(",\"after\":").expect("an envelope");
    before.strip_prefix("{\"before\":").expect("an envelope")
}

/// The words of a push.
pub(crate) fn pushed(c: &mut Client) -> Vec<String> {
    let push = c.receive().expect("a push");
    push.leaves()
        .iter()
        .map(|v| match v {
            Value::Int(n) => n.to_string(),
            other => String::from_utf8_lossy(other.text().unwrap_or_default()).to_string(),
        })
        .collect()
}

/// The rows of the newest base, and the cursor behind them; without a base there are none.
pub(crate) fn rows(c: &mut Client) -> (Vec<String>, String) {
    let both = c.line("CDC.SNAPSHOT 0").expect("a reply");
    let both = both.elements().expect("two cursors").to_vec();
    let (mut at, behind) = (cursor(&both[0]), cursor(&both[1]));
    let mut rows = Vec::new();
    while at != behind {
        let reply = c.line(&format!("CDC.READ 0 {at}")).expect("a reply");
        let Some([next, events @ ..]) = reply.elements() else { panic!("{reply:?}") };
        let text = |e: &Value| String::from_utf8_lossy(e.text().expect("text")).to_string();
        rows.extend(events.iter().map(text));
        at = cursor(next);
    }
    (rows, behind)
}

/// All events from a cursor on, and the cursor behind them.
pub(crate) fn read_all(c: &mut Client, from: &str) -> (String, Vec<String>) {
    let (mut at, mut all) = (from.to_string(), Vec::new());
    loop {
        let (next, events) = read(c, &format!("0 {at} LIMIT 1000"));
        let is_done = events.is_empty() && next.to_string() == at;
        all.extend(events);
        at = next.to_string();
        if is_done {
            return (at, all);
        }
    }
}
