//! The command line: `moon [FILE|-] [--name value ...]`, and the help made from the table.

use std::path::PathBuf;

use super::file::Reader;
use super::table::{Change, Effect, Group, Kind, TABLE};
use super::{Config, ConfigError, OptionId, Origin, Value, value};

/// What the command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Serve.
    Run,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// `--check-config`.
    CheckConfig,
    /// `--print-config`.
    PrintConfig,
    /// `--sample-config`: print a commented file of all defaults.
    SampleConfig,
}

/// Parses the arguments behind the program name, reads the file they name, and returns the
/// settings in force. All errors are returned, not the first.
pub fn parse_args(args: &[String]) -> Result<(Action, Config), Vec<ConfigError>> {
    let error = |what: String| ConfigError { at: "command line".into(), what };
    let mut config = Config::default();
    let mut errors = Vec::new();
    let mut action = Action::Run;
    let mut file: Option<PathBuf> = None;
    let mut flags: Vec<(OptionId, Vec<String>)> = Vec::new();

    let mut rest = args.iter().peekable();
    while let Some(arg) = rest.next() {
        let Some(flag) = arg.strip_prefix("--").filter(|f| !f.is_empty()) else {
            match arg.as_str() {
                "-h" => action = Action::Help,
                "-v" => action = Action::Version,
                _ if file.is_none()
                    && flags.is_empty()
                    && (arg == "-" || !arg.starts_with('-')) =>
                {
                    file = Some(PathBuf::from(arg));
                }
                _ => errors.push(error(format!("unexpected argument '{arg}'"))),
            }
            continue;
        };
        // As one line of a file, too: `--name value` in one argument.
        let (name, inline, quoted) = match flag.find(['=', ' ']) {
            Some(at) => {
                (&flag[..at], Some(flag[at + 1..].to_string()), flag[at..].starts_with(' '))
            }
            None => (flag, None, false),
        };
        match name {
            "help" => action = Action::Help,
            "version" => action = Action::Version,
            "check-config" => action = Action::CheckConfig,
            "print-config" => action = Action::PrintConfig,
            "sample-config" => action = Action::SampleConfig,
            "user" => {
                let mut words: Vec<&str> = inline.as_deref().into_iter().collect();
                while let Some(word) = rest.next_if(|w| !w.starts_with("--")) {
                    words.push(word);
                }
                config.users.push(format!("user {}", words.join(" ")));
            }
            "config" => {
                let path = inline.or_else(|| rest.next().cloned());
                match path {
                    Some(_) if file.is_some() => {
                        errors.push(error("two configuration files given".into()));
                    }
                    Some(path) => file = Some(PathBuf::from(path)),
                    None => errors.push(error("--config needs a file".into())),
                }
            }
            _ => {
                let Some(id) = OptionId::find(name) else {
                    errors.push(error(format!(
                        "unknown option '--{name}': Bad directive or wrong number of arguments"
                    )));
                    while rest.next_if(|w| !w.starts_with("--")).is_some() {}
                    continue;
                };
                let mut words = Vec::new();
                if let Some(value) = inline {
                    match if quoted { super::file::split_words(&value) } else { Ok(vec![value]) } {
                        Ok(given) => words.extend(given),
                        Err(why) => errors.push(error(format!("--{name}: {why}"))),
                    }
                } else {
                    while let Some(word) = rest.next_if(|w| !w.starts_with("--")) {
                        words.push(word.clone());
                    }
                }
                flags.push((id, words));
            }
        }
    }

    if let Some(path) = &file {
        // The command line wins, and it is about how the file is read.
        let strict = flags.iter().rev().find(|(id, _)| *id == OptionId::StrictConfig);
        let strict = strict.and_then(|(id, words)| value::parse(id.opt().kind, words, None).ok());
        let mut reader = Reader::new(&mut config);
        reader.read(path, 0);
        errors.extend(reader.finish(strict.map(|value| value == Value::Bool(true))));
        if path.as_os_str() != "-" {
            config.file = Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        }
    }
    let mut saved_before = false;
    for (id, mut words) in flags {
        // Several `--save` flags add up, as several lines do.
        if id.opt().kind == Kind::SavePoints {
            if saved_before && words != [""] {
                words.insert(0, config.shown(id));
            }
            saved_before = true;
        }
        if words.is_empty() && id.opt().kind == Kind::Bool && id.opt().change == Change::CommandLine
        {
            words.push("yes".into());
        }
        if words.is_empty() && !matches!(id.opt().kind, Kind::Words | Kind::Master) {
            errors.push(error(format!("--{} needs a value", id.opt().name)));
        } else if let Err(why) = config.put(id, &words, Origin::Flag) {
            errors.push(error(format!("--{}: {why}", id.opt().name)));
        }
    }
    if errors.is_empty() { Ok((action, config)) } else { Err(errors) }
}

/// The text of `--help`.
pub fn help() -> String {
    let mut out = String::from(
        "Usage: moon [FILE | -] [--option value ...]\n\n\
         FILE is a configuration file, - reads it from standard input; options override it.\n\n  \
         --config FILE      the same as FILE\n  \
         --check-config     parse everything, report all errors, start nothing\n  \
         --print-config     print every option with its value and origin\n  \
         --sample-config    print a commented configuration file\n  \
         -v, --version      print versions\n  \
         -h, --help         print this\n",
    );
    for group in Group::ALL {
        out.push_str(&format!("\n{}:\n", group.title()));
        if group == Group::Compatibility {
            let names: Vec<&str> =
                TABLE.iter().filter(|o| o.effect != Effect::Real).map(|o| o.name).collect();
            for line in wrap(&names.join(" "), 94) {
                out.push_str(&format!("  {line}\n"));
            }
            continue;
        }
        for opt in TABLE.iter().filter(|o| o.group == group) {
            let live = if opt.change == Change::Live { "*" } else { " " };
            out.push_str(&format!("  --{} {}\n", opt.name, placeholder(opt.kind)));
            let default = if opt.default.is_empty() { "none" } else { opt.default };
            for line in wrap(&format!("{} [{default}]", opt.doc), 88) {
                out.push_str(&format!("     {live}  {line}\n"));
            }
        }
    }
    out.push_str("\n* can be changed while running with CONFIG SET.\n");
    out
}

pub(super) fn placeholder(kind: Kind) -> String {
    match kind {
        Kind::Bool => "yes|no".into(),
        Kind::Int(..) => "N".into(),
        Kind::Memory(..) => "BYTES".into(),
        Kind::MemoryOrPercent(..) => "BYTES|N%".into(),
        Kind::Secs(..) => "SECONDS".into(),
        Kind::Millis(..) => "MS".into(),
        Kind::Micros(..) => "US".into(),
        Kind::Mode => "MODE".into(),
        Kind::Enum(words) => words.join("|"),
        Kind::EventClasses => "LETTERS".into(),
        Kind::Text | Kind::FileName => "TEXT".into(),
        Kind::Address => "ADDRESS".into(),
        Kind::Percentiles => "NUMBERS...".into(),
        Kind::Words | Kind::Master | Kind::SavePoints | Kind::StopWords | Kind::OutputLimits => {
            "WORDS...".into()
        }
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("starts with one");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_string());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
