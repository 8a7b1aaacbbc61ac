//! The page of all commands, docs/commands.md: one line a row of the table. `cargo xtask gen` writes it, and
//! the test here fails while it is stale.

use std::fmt::Write;
use std::path::Path;

use moon_engine::command::{Command, Run};

/// Set by `cargo xtask gen`: write the page instead of comparing.
const WRITE: &str = "MOON_WRITE_PAGES";

fn page() -> String {
    let table = super::table();
    let callable = |c: &&Command| !matches!(c.spec.run, Run::Container);
    let mut rows: Vec<&Command> =
        table.iter().flat_map(|c| std::iter::once(c).chain(c.subs())).filter(callable).collect();
    rows.sort_by_key(|c| (c.spec.group.name(), c.spec.name));
    let mut out = format!(
        "# Commands\n\nGenerated from the command table by `cargo xtask gen`; change the rows, not this \
         page. {} commands,\nsubcommands counted one by one. *Since* is the version of Redis (or \
         Valkey) that brought the command, of Moon for\nthose that are its own; *w* marks commands that write.\n",
        rows.len()
    );
    let mut group = "";
    for c in rows {
        let s = c.spec;
        if s.group.name() != group {
            group = s.group.name();
            let _ = write!(
                out,
                "\n## {group}\n\n| command | since | | what it does |\n|---|---|---|---|\n"
            );
        }
        let call = format!("{} {}", s.name.replace('|', " ").to_ascii_uppercase(), s.syntax);
        let write = if s.is_write() && !s.is_read() { "w" } else { "" };
        let call = call.trim_end().replace('|', "\\|");
        let _ = writeln!(out, "| `{call}` | {} | {write} | {} |", s.since, s.summary);
    }
    out
}

#[test]
fn the_page_of_commands_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, page()).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page(), "docs/commands.md is stale: run `cargo xtask gen`");
}
