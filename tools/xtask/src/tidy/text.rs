//! Rules about files as text: unfinished work, paths of somebody's machine, module docs, length,
//! links between documents, executable scripts.

use super::Finding;
use super::lexer::{Kind, lex};
use super::tree::{SourceFile, Tree};
use std::path::Path;

/// Words that mean "not finished". Spelled in halves, so that this file passes its own rule.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
];

/// Attributes that switch a check or a test off; a lint may go with a `reason` on the same line.
const SWITCHED_OFF: [&str; 3] =
    [concat!("#[ig", "nore"), concat!("allow(dead", "_code"), concat!("allow(unu", "sed")];

/// What an ignored test may be: a figure to print by hand, with no verdict.
const MEASUREMENT: &str = "= \"a measurement\"]";

/// Places on one person's machine.
const MACHINE_PATHS: [&str; 6] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Use", "rs/"),
    concat!("/t", "mp/"),
    concat!("/fa", "rm/"),
];

/// A file longer than this fails.
const LONGEST: usize = 1000;
/// A file longer than this is listed.
const LONG: usize = 600;

/// Checks every file; returns the list of long ones, which is no failure.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Finding>) -> Vec<String> {
    let mut long = Vec::new();
    for file in &tree.files {
        words(file, out);
        if file.is_rust() {
            module_docs(file, out);
            let lines = file.text.lines().count();
            if lines > LONGEST {
                let text = format!("{lines} lines, at most {LONGEST}: split by subject");
                out.push(Finding::new("length", &file.path, lines, text));
            } else if lines > LONG {
                long.push(format!("{}: {lines} lines", file.path));
            }
        }
        if file.path.ends_with(".md") {
            links(tree, file, out);
        }
    }
    long
}

/// Files that are not ours to word: the lock file and recorded third-party text.
fn is_generated(file: &SourceFile) -> bool {
    file.path.ends_with("Cargo.lock") || file.path == "LICENSE"
}

fn words(file: &SourceFile, out: &mut Vec<Finding>) {
    if is_generated(file) {
        return;
    }
    for (n, line) in file.text.lines().enumerate() {
        for word in UNFINISHED {
            if whole_word(line, word) {
                out.push(Finding::new(
                    "unfinished",
                    &file.path,
                    n + 1,
                    format!("{word} in the tree"),
                ));
            }
        }
        for attribute in SWITCHED_OFF.iter().filter(|a| file.is_rust() && line.contains(**a)) {
            if line.ends_with(MEASUREMENT) || line.contains("reason = ") {
                continue;
            }
            let text = format!("{attribute}) switches a check off");
            out.push(Finding::new("switched-off", &file.path, n + 1, text));
        }
        for path in MACHINE_PATHS.iter().filter(|p| machine_path(line, p)) {
            let text = format!("{path} is a place on one machine");
            out.push(Finding::new("machine-path", &file.path, n + 1, text));
        }
    }
}

fn whole_word(line: &str, word: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !is_word(line[..at].chars().next_back()) && !is_word(line[at + word.len()..].chars().next())
    })
}

/// The path begins here: `x/tmp/` and `https://host/home/` are something else.
fn machine_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || ".-_*}$/~".contains(c))
    })
}

fn module_docs(file: &SourceFile, out: &mut Vec<Finding>) {
    let tokens = lex(&file.text);
    let mut attribute = 0i32;
    for token in &tokens {
        match token.kind {
            Kind::Comment if token.text.starts_with("//!") || token.text.starts_with("/*!") => {
                return;
            }
            Kind::Comment => continue,
            _ => {}
        }
        // Inner attributes (`#![...]`) may stand above the docs.
        match token.text {
            "#" | "!" if attribute == 0 => {}
            "[" => attribute += 1,
            "]" => attribute -= 1,
            _ if attribute > 0 => {}
            _ => break,
        }
    }
    out.push(Finding::new(
        "module-docs",
        &file.path,
        1,
        "no //! module docs at the top".to_string(),
    ));
}

/// Every relative link of a document leads to a file.
fn links(tree: &Tree, file: &SourceFile, out: &mut Vec<Finding>) {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut fenced = false;
    for (n, line) in file.text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', '#']).next().unwrap_or("");
            let foreign =
                target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !foreign && !tree.root.join(folder).join(target).exists() {
                let text = format!("link to {target}, which does not exist");
                out.push(Finding::new("links", &file.path, n + 1, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONG, LONGEST, MACHINE_PATHS, SWITCHED_OFF, UNFINISHED};
    use crate::tidy::run;
    use crate::tidy::testing::{Plant, findings};

    fn count(rule: &str, path: &str, text: &str) -> usize {
        findings(&Plant::new(&[(path, text)]), rule).len()
    }

    #[test]
    fn unfinished_words_fail_and_longer_words_pass() {
        for word in UNFINISHED {
            assert_eq!(
                count("unfinished", "docs/a.md", &format!("# A\n\n{word}: later\n")),
                1,
                "{word}"
            );
        }
        assert_eq!(
            count("unfinished", "scripts/a.sh", &format!("mktemp -d a.{0}{0}\n", UNFINISHED[2])),
            0
        );
    }

    #[test]
    fn switched_off_checks_fail() {
        for attribute in SWITCHED_OFF {
            let text = format!("//! A.\n#[{}]\nfn f() {{}}\n", attribute.trim_start_matches("#["));
            let expected = usize::from(attribute.starts_with("allow"));
            assert_eq!(
                count("switched-off", "server/src/a.rs", &text),
                expected.max(1),
                "{attribute}"
            );
        }
    }

    #[test]
    fn a_measurement_may_be_left_out_of_the_run() {
        let text = format!("//! A.\n{} = \"a measurement\"]\nfn f() {{}}\n", SWITCHED_OFF[0]);
        assert_eq!(count("switched-off", "server/src/a.rs", &text), 0);
        let text = format!("//! A.\n#[{}, reason = \"x\")]\nfn f() {{}}\n", SWITCHED_OFF[1]);
        assert_eq!(count("switched-off", "server/src/a.rs", &text), 0);
    }

    #[test]
    fn machine_paths_fail() {
        for path in MACHINE_PATHS {
            assert_eq!(count("machine-path", "docs/a.md", &format!("see {path}x\n")), 1, "{path}");
            assert_eq!(
                count("machine-path", "docs/a.md", &format!("https://a.b{path}x $D{path}y\n")),
                0,
                "{path}"
            );
        }
    }

    #[test]
    fn a_file_without_module_docs_fails() {
        assert_eq!(count("module-docs", "server/src/a.rs", "fn f() {}\n//! late\n"), 1);
        assert_eq!(count("module-docs", "server/src/a.rs", "// words\nuse a::b;\n"), 1);
        assert_eq!(
            count("module-docs", "server/src/a.rs", "#![allow(x)]\n//! Docs.\nfn f() {}\n"),
            0
        );
    }

    #[test]
    fn a_file_that_is_too_long_fails_and_a_long_one_is_listed() {
        let body = |lines: usize| format!("//! A.\n{}", "// words\n".repeat(lines - 1));
        assert_eq!(count("length", "server/src/a.rs", &body(LONGEST + 1)), 1);
        let plant = Plant::new(&[("server/src/a.rs", &body(LONG + 1))]);
        let report = run(plant.root()).unwrap();
        assert_eq!(report.long, [format!("server/src/a.rs: {} lines", LONG + 1)]);
        assert!(findings(&plant, "length").is_empty());
    }

    #[test]
    fn a_dead_link_fails() {
        assert_eq!(count("links", "docs/a.md", "[b](b.md)\n"), 1);
        assert_eq!(count("links", "docs/a.md", "[a](a.md#part) [w](https://example.org)\n"), 0);
    }
}
