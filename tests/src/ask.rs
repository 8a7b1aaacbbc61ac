//! What most tests do with a server: ask it in one line, read a field of INFO, wait until something holds.

use crate::client::Client;
use crate::value::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long [`until`] waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A value as text: strings bare, everything else as it is shown.
pub fn text(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) | Value::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.to_string(),
    }
}

/// The answer to a command of words without spaces. Panics if there is none.
pub fn line(client: &mut Client, words: &str) -> String {
    text(&client.line(words).expect("a reply"))
}

/// A field of INFO; empty if there is none.
pub fn info(client: &mut Client, field: &str) -> String {
    let all = line(client, "INFO everything");
    let found = all.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    found.unwrap_or_default().to_string()
}

/// A field of INFO that is a number. Panics if it is none.
pub fn number(client: &mut Client, field: &str) -> i64 {
    let found = info(client, field);
    found.parse().unwrap_or_else(|_| panic!("{field} is {found:?}"))
}

/// Waits until something holds. Panics, naming `what`, if it does not in time.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not in time");
        sleep(Duration::from_millis(5));
    }
}
