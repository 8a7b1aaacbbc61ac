//! The man page of the server and its completions: the option table as a command line, for `moon-manual`.
//! `cargo xtask gen` writes them, and the test here fails while they are stale.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};

use super::cli::placeholder;
use super::table::{Change, Effect, Group, Kind, Opt, TABLE};

const ABOUT: &str = "A data store that speaks the protocol of Redis and keeps what it has acknowledged.

Options override what the configuration file says; environment variables set nothing. Options marked (live) can be \
changed while the server runs, with CONFIG SET. Options of Redis that have no meaning here are accepted.

Without --dir the data directory is ~/.local/share/moon, or $XDG_DATA_HOME/moon. All options with their values: \
docs/configuration.md.";

const BEHIND: &str = "EXAMPLES:
  moon
  moon /etc/moon/moon.conf
  moon --port 7000 --dir /srv/moon --appendfsync always
  moon /etc/moon/moon.conf --check-config
  moon /etc/moon/moon.conf --salvage salvage.plan

EXIT CODES:
  0         stopped as asked, everything is on the disk
  1         environment or configuration; --check-config: there is an error
  2         an operator has to decide: foreign data, another layout, a plan that does not fit
  70        damage found; the message names file, offset and what to do
  130, 143  stopped at once by a second signal
  134       a bug: see the crash report

SEE ALSO:
  moon-inspect(1), moon-migrate(1)";

fn text(opt: &Opt) -> String {
    let live = if opt.change == Change::Live { " (live)" } else { "" };
    let default = if opt.default.is_empty() { "none" } else { opt.default };
    format!("{} [{default}]{live}", opt.doc)
}

/// Names live as long as the test.
fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn option(opt: &'static Opt) -> Arg {
    let arg = Arg::new(opt.name)
        .long(opt.name)
        .value_name(kept(placeholder(opt.kind)))
        .help(text(opt))
        .help_heading(opt.group.title());
    let is_file = opt.name.ends_with("-file")
        || ["logfile", "aclfile", "pidfile", "salvage"].contains(&opt.name);
    match opt.kind {
        Kind::Bool => {
            arg.value_parser(PossibleValuesParser::new(["yes", "no"])).hide_possible_values(true)
        }
        Kind::Enum(words) => {
            arg.value_parser(PossibleValuesParser::new(words)).hide_possible_values(true)
        }
        kind if kind.is_list() => arg.num_args(1..),
        _ if opt.name == "dir" || opt.name.ends_with("-dir") => arg.value_hint(ValueHint::DirPath),
        _ if is_file => arg.value_hint(ValueHint::FilePath),
        _ => arg,
    }
}

fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let file = Arg::new("FILE").help("Configuration file; - reads it from standard input");
    let real = TABLE.iter().filter(|opt| opt.effect == Effect::Real);
    Command::new("moon")
        .version(crate::VERSION)
        .about("The server of Moon")
        .long_about(ABOUT)
        .after_help(BEHIND)
        .override_usage("moon [FILE | -] [--option value ...]")
        .disable_version_flag(true)
        .arg(file.value_hint(ValueHint::FilePath))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("The same as FILE")
                .value_hint(ValueHint::FilePath),
        )
        .arg(flag("check-config", "Parse everything, report all errors, start nothing"))
        .arg(flag("print-config", "Print every option with its value and origin"))
        .arg(flag("sample-config", "Print a commented configuration file"))
        .arg(flag("version", "Print versions").short('v'))
        .args(real.map(option))
}

#[test]
fn the_manual_is_current() {
    moon_manual::hold(command());
}

#[test]
fn every_option_that_does_something_is_in_the_manual() {
    let pages = moon_manual::pages(command());
    let man = &pages[std::path::Path::new("man/moon.1")];
    let man = String::from_utf8_lossy(man).replace('\\', "");
    let bash = &pages[std::path::Path::new("completions/moon.bash")];
    let bash = String::from_utf8_lossy(bash);
    for opt in TABLE {
        let is_there = opt.effect == Effect::Real;
        assert_eq!(man.contains(&format!("--{}", opt.name)), is_there, "{}", opt.name);
        assert!(!is_there || bash.contains(&format!("--{}", opt.name)), "{}", opt.name);
    }
    for group in Group::ALL.into_iter().filter(|g| *g != Group::Compatibility) {
        let heading = group.title().to_uppercase();
        assert!(man.to_uppercase().contains(&heading), "{heading}");
    }
}
