//! What names of commands say in change events, generated for `moon_formats::cdc`, which knows no command
//! table: `cargo xtask gen` writes the file, and the test here fails while it is stale.

use std::path::Path;

use moon_engine::command::{Command, Group};
use moon_formats::cdc::{Role, put_row};

/// Set by `cargo xtask gen`: write the file instead of comparing.
const WRITE: &str = "MOON_WRITE_PAGES";

/// The type of value that commands of a group work on.
fn kind(command: &Command) -> Option<&'static str> {
    match command.spec.group {
        Group::String | Group::Bitmap | Group::HyperLogLog => Some("string"),
        Group::List => Some("list"),
        Group::Set => Some("set"),
        Group::Hash => Some("hash"),
        Group::SortedSet | Group::Geo => Some("zset"),
        Group::Stream => Some("stream"),
        _ => None,
    }
}

fn role(command: &Command) -> Role {
    match command.spec.name {
        "set" => Role::Value,
        "mset" | "msetnx" => Role::Pairs,
        "msetex" => Role::CountedPairs,
        "pexpireat" => Role::Expire,
        "del" | "unlink" => Role::Remove,
        "flushdb" => Role::Flush,
        "flushall" => Role::FlushAll,
        "select" => Role::Select,
        "swapdb" | "function" => Role::Server,
        "cdc.slot" => Role::Hidden,
        _ => Role::Plain,
    }
}

fn rows() -> String {
    let mut out = String::new();
    let mut rows: Vec<&Command> = super::table().iter().collect();
    rows.sort_by_key(|c| c.spec.name);
    for command in rows {
        let writes =
            command.spec.is_write() || command.subs().iter().any(|sub| sub.spec.is_write());
        let role = role(command);
        if writes || role != Role::Plain {
            put_row(&mut out, command.spec.name, kind(command), role);
        }
    }
    out
}

#[test]
fn the_table_of_change_events_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/src/cdc/commands.txt");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, rows()).expect("the table can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == rows(), "formats/src/cdc/commands.txt is stale: run `cargo xtask gen`");
}
