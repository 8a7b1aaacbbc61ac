//! The page of all options, docs/configuration.md: `cargo xtask gen` writes it, and the test here fails
//! while it is stale.

use std::fmt::Write;

use super::cli::placeholder;
use super::table::{Change, Effect, Group, Opt, TABLE};

const HEAD: &str = "# Configuration

Generated from the option table by `cargo xtask gen`; change the rows, not this page.

```text
moon [FILE | -] [--option value ...]
```

**Where values come from.** The command line wins over the file, the file over the built-in default.
Environment variables set nothing. An option has one name everywhere: `--name value` or `--name=value` on
the command line, `name value` in a file, `CONFIG GET name` and `CONFIG SET name value` for clients. Case
does not matter, and `_` is `-`.

**Files.** One option a line. `#` begins a comment at the start of a line or behind a blank; `\"` and `'`
quote. An option that is unknown or stands there twice is an error with file and line (`save`, `user` and
`client-output-buffer-limit` may stand there more than once); `strict-config no` makes unknown options
warnings. `include PATH` reads another file in place, 8 levels deep at most; the last part of the path may
hold `*`, `?` and `[...]`, and a relative path begins at the file that includes. `user NAME RULE...`
defines a user as ACL SETUSER does. `redis.conf` of Redis 6, 7 and 8 can be used as it is: options that have
no meaning here are accepted, and the log counts them.

**Values.** Bytes take `k` (1000), `kb` (1024) and so on to `tb`. Times are plain numbers in the unit that the
name or the text says, or have `us`, `ms`, `s`, `m`, `h` or `d` behind them.

| argument | what it does |
|---|---|
| `--check-config` | checks everything without opening or writing anything, prints what is not a default; exit 0 or 1, with all errors |
| `--print-config` | prints every option with its value and where it comes from |
| `--sample-config` | prints a file with all options at their defaults |
| `--version`, `-v` | prints the versions of the server, its build and its formats |
| `--help`, `-h` | prints all options |

**While it runs.** *live* options can be changed with CONFIG SET, and CONFIG REWRITE puts what is in force into
the file, whose comments and order stay. The others are fixed at the start. What is for *command line only* is
about one start ([pitr.md](pitr.md)); a file that says it is refused.
";

fn section(out: &mut String, title: &str, options: &[&Opt]) {
    let _ = write!(
        out,
        "\n## {title}\n\n| option | value | default | | what it does |\n|---|---|---|---|---|\n"
    );
    for opt in options {
        let live = match opt.change {
            Change::Live => "live",
            Change::CommandLine => "command line only",
            Change::Immutable | Change::Protected => "",
        };
        let default = match opt.default {
            "" => "none".to_string(),
            default => format!("`{default}`"),
        };
        let mut name = format!("`{}`", opt.name);
        for alias in opt.aliases {
            let _ = write!(name, ", `{alias}`");
        }
        let value = placeholder(opt.kind).replace('|', "\\|");
        let doc = opt.doc.replace('|', "\\|");
        let _ = writeln!(out, "| {name} | {value} | {default} | {live} | {doc} |");
    }
}

fn page() -> String {
    let mut out = HEAD.to_string();
    let rows = |group, effect| -> Vec<&Opt> {
        TABLE.iter().filter(|o| o.group == group && o.effect == effect).collect()
    };
    for group in Group::ALL {
        let effect = match group {
            Group::Compatibility => Effect::Compat,
            _ => Effect::Real,
        };
        section(&mut out, group.title(), &rows(group, effect));
    }
    out
}

#[test]
fn the_page_of_options_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("MOON_WRITE_PAGES").is_some() {
        std::fs::write(&path, page()).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page(), "docs/configuration.md is stale: run `cargo xtask gen`");
}

#[test]
fn every_option_stands_on_the_page_once() {
    let page = page();
    for opt in TABLE.iter().filter(|o| o.effect != Effect::Hidden) {
        assert_eq!(page.matches(&format!("\n| `{}`", opt.name)).count(), 1, "{}", opt.name);
    }
}
