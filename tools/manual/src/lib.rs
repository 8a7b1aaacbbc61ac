//! Man pages and shell completions of the programs, made from their command lines.
//!
//! The one idea: what `--help` says is the manual. A program joins with a test that calls [`hold`] with its
//! `clap` command; `cargo xtask gen` has these tests write the files, every other run compares.
//!
//! | file below `packaging/` | holds | in the repository |
//! |---|---|---|
//! | `man/<program>.1` | the program: its commands, what all of them have in common | yes, and compared |
//! | `man/<program>-<verb>.1` | one verb | yes, and compared |
//! | `completions/<program>.bash`, `.fish`, `_<program>` (zsh) | completions | no: long, and nobody reads them; made before packaging |
//!
//! Invariants:
//! * Every verb has a description, examples and exit codes, or the test fails.
//! * The same command line gives the same bytes: no date, no order of chance.
//!
//! The text behind the options (`after_help`) is cut into sections at lines without indent that end with a
//! colon. `EXAMPLES:` belongs to a verb, or to a program without verbs; `EXIT CODES:` to the program.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use roff::{Roff, bold, roman};

/// Says that pages are written and not compared; set by `cargo xtask gen`.
const WRITE: &str = "MOON_WRITE_PAGES";
/// Folder of the completions, which git ignores.
const COMPLETIONS: &str = "completions";
/// Section of examples.
const EXAMPLES: &str = "EXAMPLES";
/// Section of exit codes, and its name in a man page.
const EXIT_CODES: [&str; 2] = ["EXIT CODES", "EXIT STATUS"];

/// Compares the man pages of `command` with those in `packaging/`, or writes them, and the completions too.
///
/// # Panics
/// They are stale, cannot be written, or a verb lacks something.
pub fn hold(command: Command) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let mut stale = Vec::new();
    let name = command.get_name().to_owned();
    let all = pages(command);
    for (path, want) in &all {
        let path = root.join(path);
        if std::env::var_os(WRITE).is_some() {
            let dir = path.parent().unwrap_or(&root);
            std::fs::create_dir_all(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
            std::fs::write(&path, want).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        let is_held = !path.starts_with(root.join(COMPLETIONS));
        if is_held && std::fs::read(&path).ok().as_ref() != Some(want) {
            stale.push(path);
        }
    }
    // A verb that is gone leaves no page behind. A program without verbs has none, and its name may begin others.
    let prefix = format!("{name}-");
    let is_page = |path: &Path, prefix: &str| {
        path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(prefix))
    };
    let has_verbs = all.keys().any(|path| path.starts_with("man") && is_page(path, &prefix));
    let man = std::fs::read_dir(root.join("man")).into_iter().flatten().filter_map(Result::ok);
    for path in man.map(|entry| entry.path()).filter(|path| has_verbs && is_page(path, &prefix)) {
        let known = all.keys().any(|page| page.file_name() == path.file_name());
        if !known && std::env::var_os(WRITE).is_some() {
            std::fs::remove_file(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        } else if !known {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "stale, run `cargo xtask gen`: {stale:?}");
}

/// Every page of a program by its path below `packaging/`.
///
/// # Panics
/// A verb lacks a description, examples or exit codes.
pub fn pages(mut command: Command) -> BTreeMap<PathBuf, Vec<u8>> {
    let program = command.get_name().to_owned();
    let mut all = BTreeMap::new();
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let mut out = Vec::new();
        // Without `help <verb>`, which doubles them.
        let mut shown = command.clone().disable_help_subcommand(true);
        generate(shell, &mut shown, &program, &mut out);
        let name = match shell {
            Shell::Zsh => format!("_{program}"),
            other => format!("{program}.{other}"),
        };
        all.insert(Path::new(COMPLETIONS).join(name), out);
    }
    command.build();
    let verbs = verbs(&command);
    let page = |name: &str| Path::new("man").join(format!("{name}.1"));
    let root = man(&command, &program, &command, &verbs);
    all.insert(page(&program), root);
    for (name, verb) in &verbs {
        let name = format!("{program}-{name}");
        let own = verb.clone().display_name(name.clone());
        all.insert(page(&name), man(&own, &name, &command, &BTreeMap::new()));
    }
    all
}

/// What a program can be asked to do, by name: its subcommands, or theirs. A verb that several subcommands have
/// is one; one that a single subcommand has is named after both.
fn verbs(program: &Command) -> BTreeMap<String, Command> {
    let mut all = BTreeMap::new();
    let kind = program.get_subcommand_value_name().unwrap_or("COMMAND");
    for sub in subcommands(program) {
        if subcommands(sub).next().is_none() {
            all.insert(sub.get_name().to_owned(), sub.clone());
        }
        for verb in subcommands(sub) {
            let name = verb.get_name();
            let having = |other: &&Command| other.find_subcommand(name).is_some();
            match subcommands(program).filter(having).count() {
                0 | 1 => {
                    all.insert(format!("{}-{name}", sub.get_name()), verb.clone());
                }
                _ => {
                    let bin = format!("{} <{kind}> {name}", program.get_name());
                    all.entry(name.to_owned()).or_insert_with(|| verb.clone().bin_name(bin));
                }
            }
        }
    }
    all
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
}

/// The sections of the text behind the options: heading and lines.
fn sections(command: &Command) -> Vec<(String, Vec<String>)> {
    let text = command.get_after_long_help().or_else(|| command.get_after_help());
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.map(ToString::to_string).unwrap_or_default().lines() {
        let heading = line.strip_suffix(':').filter(|h| !h.is_empty() && !h.starts_with(' '));
        match (heading, all.last_mut()) {
            (Some(heading), _) => all.push((heading.to_owned(), Vec::new())),
            (None, Some((_, lines))) => lines.push(line.to_owned()),
            (None, None) if line.is_empty() => {}
            (None, None) => all.push(("NOTES".to_owned(), vec![line.to_owned()])),
        }
    }
    all
}

/// The page `name` of `command`, a program or one of its verbs.
fn man(
    command: &Command,
    name: &str,
    program: &Command,
    verbs: &BTreeMap<String, Command>,
) -> Vec<u8> {
    let is_program = name == program.get_name();
    let mut own = sections(command);
    let find = |all: &[(String, Vec<String>)], heading: &str| all.iter().any(|s| s.0 == heading);
    if !is_program {
        let codes = sections(program).into_iter().filter(|s| s.0 == EXIT_CODES[0]);
        let codes: Vec<_> = codes.filter(|_| !find(&own, EXIT_CODES[0])).collect();
        own.extend(codes);
    }
    assert!(command.get_about().is_some(), "{name} has no description");
    assert!(find(&own, EXIT_CODES[0]), "{name} has no section `{}:`", EXIT_CODES[0]);
    assert!(
        find(&own, EXAMPLES) || !verbs.is_empty(),
        "{name} has no section `{EXAMPLES}:` in its after_help"
    );
    let version = program.get_version().unwrap_or_default();
    let page = Man::new(command.clone())
        .title(name)
        .section("1")
        // An empty word would vanish, and the next one take its place.
        .date(" ")
        .source(format!("Moon {version}"))
        .manual("Moon");
    let mut out = Vec::new();
    let rendered = (|| {
        page.render_title(&mut out)?;
        page.render_name_section(&mut out)?;
        page.render_synopsis_section(&mut out)?;
        page.render_description_section(&mut out)?;
        if is_program && !verbs.is_empty() {
            commands(program, verbs).to_writer(&mut out)?;
        } else {
            page.render_options_section(&mut out)?;
        }
        let mut rest = Roff::new();
        // Examples come before what is said of all verbs.
        own.sort_by_key(|s| s.0 != EXAMPLES);
        for (heading, lines) in &own {
            let heading = if heading == EXIT_CODES[0] { EXIT_CODES[1] } else { heading };
            verbatim(&mut rest, heading, lines);
        }
        let mut see: Vec<String> = match is_program {
            true => verbs.keys().map(|verb| format!("{name}-{verb}(1)")).collect(),
            false => vec![format!("{}(1)", program.get_name())],
        };
        see.retain(|page| *page != "moon(1)");
        if name != "moon" {
            see.push("moon(1)".to_owned());
        }
        if !see.is_empty() {
            rest.control("SH", ["SEE ALSO"]);
            rest.text([roman(see.join(", "))]);
        }
        rest.to_writer(&mut out)
    })();
    let rendered: io::Result<()> = rendered;
    rendered.unwrap_or_else(|e| panic!("{name}: {e}"));
    out
}

/// The commands of a program, and the verbs that they share.
fn commands(program: &Command, verbs: &BTreeMap<String, Command>) -> Roff {
    let mut roff = Roff::new();
    let mut list = |heading: &str, all: &[(&str, &Command)], long: bool| {
        roff.control("SH", [heading]);
        for (name, command) in all {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            let about = command.get_long_about().filter(|_| long).or(command.get_about());
            let about = about.map(ToString::to_string).unwrap_or_default();
            for (i, paragraph) in about.split("\n\n").enumerate() {
                if i > 0 {
                    roff.control("IP", []);
                }
                roff.text([roman(paragraph.replace('\n', " "))]);
            }
        }
    };
    let subs: Vec<(&str, &Command)> =
        subcommands(program).map(|sub| (sub.get_name(), sub)).collect();
    let verbs: Vec<(&str, &Command)> = verbs.iter().map(|(name, v)| (name.as_str(), v)).collect();
    let shared = subs.iter().any(|(_, sub)| subcommands(sub).next().is_some());
    let heading = program.get_subcommand_help_heading().unwrap_or("Commands").to_uppercase();
    list(&heading, &subs, shared);
    if shared {
        list("VERBS", &verbs, false);
    }
    roff
}

fn verbatim(roff: &mut Roff, heading: &str, lines: &[String]) {
    roff.control("SH", [heading]);
    roff.control("nf", []);
    let indent = |line: &&String| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|l| !l.trim().is_empty()).map(|l| indent(&l)).min();
    let last = lines.iter().rposition(|l| !l.trim().is_empty()).map_or(0, |at| at + 1);
    for line in lines.iter().take(last) {
        let text = line.get(common.unwrap_or(0)..).unwrap_or_default();
        match text.is_empty() {
            true => roff.control("sp", []),
            false => roff.text([roman(text)]),
        };
    }
    roff.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn program() -> Command {
        let verb = |name: &'static str| {
            Command::new(name)
                .about("Look at it.")
                .long_about("Look at it.\n\nTwice.")
                .arg(Arg::new("deep").long("deep").help("Further down.").value_name("N"))
                .after_help(
                    "EXAMPLES:\n  prog a look --deep 3\n    in 'quotes'\n\n  .begins with a dot",
                )
        };
        Command::new("prog")
            .version("1.2")
            .about("A program.")
            .after_help("EXIT CODES:\n  0  fine\n  1  not\n\nWith more\nand more.")
            .subcommand_value_name("KIND")
            .subcommand(Command::new("a").about("One kind.").subcommand(verb("look")))
            .subcommand(
                Command::new("b").about("Another.").subcommand(verb("look")).subcommand(verb("go")),
            )
    }

    #[test]
    fn a_page_for_the_program_and_for_each_verb_that_it_has() {
        let pages = pages(program());
        let names: Vec<String> = pages.keys().map(|p| p.display().to_string()).collect();
        assert_eq!(
            names,
            [
                "completions/_prog",
                "completions/prog.bash",
                "completions/prog.fish",
                "man/prog-b-go.1",
                "man/prog-look.1",
                "man/prog.1"
            ]
        );
        let text = |name: &str| String::from_utf8_lossy(&pages[Path::new(name)]).into_owned();
        let look = text("man/prog-look.1");
        for want in [
            ".TH prog-look 1 \" \" \"Moon 1.2\" Moon",
            "prog\\-look \\- Look at it.",
            "\\fBprog <KIND> look\\fR",
            "Twice.",
            "\\-\\-deep",
            ".SH EXAMPLES\n.nf\nprog a look \\-\\-deep 3\n  in \\*(Aqquotes\\*(Aq\n.sp\n\\&.begins with a dot\n.fi",
            ".SH \"EXIT STATUS\"\n.nf\n  0  fine\n  1  not\n.sp\nWith more\n",
            "prog(1), moon(1)",
        ] {
            assert!(look.contains(want), "{want}\nin\n{look}");
        }
        let root = text("man/prog.1");
        for want in [
            ".SH COMMANDS\n.TP\n\\fBa\\fR\nOne kind.",
            ".SH VERBS\n.TP\n\\fBb\\-go\\fR",
            ".TP\n\\fBlook\\fR\nLook at it.",
            "prog\\-look(1)",
        ] {
            assert!(root.contains(want), "{want}\nin\n{root}");
        }
        assert!(text("completions/prog.bash").contains("--deep"));
        assert_eq!(pages, self::pages(program()), "the same bytes again");
    }

    #[test]
    #[should_panic(expected = "prog-look has no section `EXAMPLES:`")]
    fn a_verb_without_examples_is_refused() {
        let bare = Command::new("look").about("Look.");
        let program = Command::new("prog").about("A program.").after_help("EXIT CODES:\n  0  fine");
        pages(program.subcommand(bare));
    }

    #[test]
    #[should_panic(expected = "prog has no section `EXIT CODES:`")]
    fn a_program_without_exit_codes_is_refused() {
        pages(Command::new("prog").about("A program.").after_help("EXAMPLES:\n  prog"));
    }
}
