//! The command table is the only list of commands.
//!
//! Rows are `CommandSpec` constants beside their functions; a row's name is the string literal of its
//! `name` field, or the first argument of a `CommandSpec` constructor. A file elsewhere that
//! holds literals for three or more different commands is a second list in the making. Words that
//! mean other things too (`set`, `info`, `time`) count only next to a name that means nothing else.

use super::Finding;
use super::lexer::{Kind, Token, lex, test_code};
use super::tree::{SourceFile, Tree};
use std::collections::BTreeSet;

/// Where rows live.
const ROWS: [&str; 2] = ["engine/core/src/commands/", "server/src/commands/"];

/// Where names of commands are the subject itself, besides tests: this tool, and the words of a server that
/// is another one's client.
const FREE: [&str; 3] =
    ["tools/xtask/", "server/src/service/replication/", "server/src/service/migrate/"];

/// Command names that are everyday words of a server's source as well.
const WORDS: [&str; 64] = [
    "acl",
    "append",
    "asking",
    "auth",
    "backup",
    "client",
    "cluster",
    "command",
    "config",
    "copy",
    "debug",
    "del",
    "digest",
    "discard",
    "dump",
    "echo",
    "exec",
    "exists",
    "expire",
    "failover",
    "function",
    "get",
    "hello",
    "info",
    "keys",
    "latency",
    "memory",
    "migrate",
    "module",
    "monitor",
    "move",
    "multi",
    "object",
    "persist",
    "ping",
    "publish",
    "pubsub",
    "quit",
    "readonly",
    "readwrite",
    "rename",
    "replicaof",
    "reset",
    "restore",
    "role",
    "save",
    "scan",
    "script",
    "select",
    "set",
    "shutdown",
    "slaveof",
    "slowlog",
    "sort",
    "subscribe",
    "swapdb",
    "sync",
    "time",
    "touch",
    "ttl",
    "type",
    "unlink",
    "wait",
    "watch",
];

/// How many different names make a list.
const LIST: usize = 3;

/// Checks every Rust file outside the command folders.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Finding>) {
    let mut names = BTreeSet::new();
    for file in tree.rust().filter(|f| ROWS.iter().any(|r| f.under(r))) {
        row_names(&lex(&file.text), &mut names);
    }
    if let Some(file) = tree.rust().find(|f| f.under(ROWS[0]))
        && names.is_empty()
    {
        let text = "no command rows found: this rule has lost its table".to_string();
        out.push(Finding::new("commands", &file.path, 1, text));
    }
    for file in tree.rust().filter(|f| !exempt(f)) {
        let tokens = lex(&file.text);
        let tests = test_code(&tokens);
        let mut seen = BTreeSet::new();
        let mut line = 0;
        for (token, _) in tokens.iter().zip(tests).filter(|(t, test)| t.kind == Kind::Str && !test)
        {
            let name = token.text.to_ascii_lowercase();
            if names.contains(&name) && seen.insert(name) && seen.len() <= LIST {
                line = token.line;
            }
        }
        if seen.len() >= LIST && seen.iter().any(|n| !WORDS.contains(&n.as_str())) {
            let listed: Vec<_> = seen.iter().map(String::as_str).collect();
            let text = format!("a second list of commands: {}", listed.join(", "));
            out.push(Finding::new("commands", &file.path, line, text));
        }
    }
}

fn exempt(file: &SourceFile) -> bool {
    file.is_test()
        || FREE.iter().any(|place| file.under(place))
        || ROWS.iter().any(|place| file.under(place))
}

/// Collects the names of the rows in one file.
fn row_names(tokens: &[Token<'_>], names: &mut BTreeSet<String>) {
    let code: Vec<&Token<'_>> = tokens.iter().filter(|t| t.kind != Kind::Comment).collect();
    for (i, token) in code.iter().enumerate().filter(|(_, t)| t.kind == Kind::Str) {
        let before = |n: usize| i.checked_sub(n).map(|at| code[at]);
        let field = before(1).is_some_and(|t| t.is_punct(':'))
            && before(2).is_some_and(|t| t.is_ident("name"));
        let argument = before(1).is_some_and(|t| t.is_punct('('))
            && (before(5).is_some_and(|t| t.is_ident("CommandSpec"))
                || before(2).is_some_and(|t| t.is_punct('!'))
                || before(2)
                    .is_some_and(|t| matches!(t.text, "spec" | "row" | "read" | "write" | "host")));
        if field || argument {
            names.insert(token.text.to_ascii_lowercase());
        }
    }
}

/// The number of rows found, so that the gate notices when the rule has lost its table.
pub(crate) fn rows(tree: &Tree) -> usize {
    let mut names = BTreeSet::new();
    for file in tree.rust().filter(|f| ROWS.iter().any(|r| f.under(r))) {
        row_names(&lex(&file.text), &mut names);
    }
    names.len()
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::{Plant, findings};

    const ROWS: &str = "//! Rows.\n\
        pub const GET: CommandSpec = CommandSpec { name: \"get\", arity: 2 };\n\
        pub const SET: CommandSpec = CommandSpec { name: \"SET\", arity: -3 };\n\
        pub const TTL: CommandSpec = CommandSpec { name: \"ttl\" };\n\
        pub const LPUSH: CommandSpec = CommandSpec::new(\"lpush\", 3);\n\
        pub const ZADD: CommandSpec = CommandSpec { name: \"zadd\" };\n";

    fn count(path: &str, body: &str) -> usize {
        let plant = Plant::new(&[
            ("engine/core/src/commands/all.rs", ROWS),
            (path, &format!("//! A module.\n{body}")),
        ]);
        findings(&plant, "commands").len()
    }

    #[test]
    fn a_second_list_fails() {
        let list = "const WRITES: [&str; 3] = [\"SET\", \"LPUSH\", \"ZADD\"];\n";
        assert_eq!(count("engine/core/src/exec.rs", list), 1);
        let choice = "fn f(n: &[u8]) -> u8 {\n    match n { b\"set\" => 1, b\"lpush\" => 2, b\"zadd\" => 3, _ => 0 }\n}\n";
        assert_eq!(count("server/src/net/conn.rs", choice), 1);
        assert_eq!(count("storage/src/log.rs", choice), 1);
    }

    #[test]
    fn rows_that_are_not_recognised_fail() {
        let plant =
            Plant::new(&[("engine/core/src/commands/all.rs", "//! Rows.\nconst A: u8 = 1;\n")]);
        assert_eq!(findings(&plant, "commands").len(), 1);
    }

    #[test]
    fn a_few_names_everyday_words_and_tests_pass() {
        assert_eq!(
            count("engine/core/src/journal.rs", "const A: [&str; 2] = [\"set\", \"lpush\"];\n"),
            0
        );
        assert_eq!(
            count("server/src/info.rs", "const A: [&str; 3] = [\"set\", \"get\", \"ttl\"];\n"),
            0
        );
        assert_eq!(
            count("tests/src/gen.rs", "const A: [&str; 3] = [\"set\", \"lpush\", \"zadd\"];\n"),
            0
        );
        let test =
            "#[cfg(test)]\nmod tests { const A: [&str; 3] = [\"set\", \"lpush\", \"zadd\"]; }\n";
        assert_eq!(count("engine/core/src/exec.rs", test), 0);
    }
}
