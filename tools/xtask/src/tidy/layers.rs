//! What a layer must never contain: the I/O library outside its drivers, clocks and ambient
//! randomness below the server, files and sockets in the core.

use super::Finding;
use super::lexer::{Kind, Token, lex, test_code};
use super::tree::{SourceFile, Tree};

/// A path that may not be named in code under some folders.
struct Ban {
    /// The path's last segments, joined by `::`.
    path: &'static str,
    /// Folders it must not appear in.
    layers: &'static [&'static str],
    /// Folders that are exempt again.
    except: &'static [&'static str],
    /// Why.
    why: &'static str,
}

const PURE: &[&str] = &["formats/src/", "engine/"];
const BELOW_SERVER: &[&str] = &["formats/src/", "engine/", "storage/src/"];
const DOOR: &[&str] = &["storage/src/io/"];
const CLOCK: &str = "time comes from the caller";
const CHANCE: &str = "randomness comes from the caller's seed";
const IO: &str = "this layer does no I/O";

const BANS: [Ban; 12] = [
    Ban { path: "Instant::now", layers: BELOW_SERVER, except: DOOR, why: CLOCK },
    Ban { path: "SystemTime::now", layers: BELOW_SERVER, except: DOOR, why: CLOCK },
    Ban { path: "thread::sleep", layers: BELOW_SERVER, except: DOOR, why: CLOCK },
    Ban { path: "thread_rng", layers: BELOW_SERVER, except: &[], why: CHANCE },
    Ban { path: "OsRng", layers: BELOW_SERVER, except: &[], why: CHANCE },
    Ban { path: "getrandom", layers: BELOW_SERVER, except: &[], why: CHANCE },
    Ban { path: "RandomState", layers: PURE, except: &[], why: CHANCE },
    Ban { path: "std::fs", layers: BELOW_SERVER, except: DOOR, why: IO },
    Ban { path: "std::net", layers: BELOW_SERVER, except: &[], why: IO },
    Ban { path: "std::env", layers: BELOW_SERVER, except: DOOR, why: IO },
    Ban { path: "File::open", layers: PURE, except: &[], why: IO },
    Ban { path: "TcpStream", layers: BELOW_SERVER, except: &[], why: IO },
];

/// Files that may name the I/O library.
const DRIVERS: [&str; 2] = ["storage/src/io/glommio", "server/src/runtime"];

/// Checks every Rust file of the tree; test modules may use what they like, except glommio.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Finding>) {
    for file in tree.rust() {
        let tokens = lex(&file.text);
        if !DRIVERS.iter().any(|place| file.under(place)) {
            glommio(file, &tokens, out);
        }
        let tests = test_code(&tokens);
        let code: Vec<&Token<'_>> = tokens
            .iter()
            .zip(tests)
            .filter(|(t, test)| t.kind != Kind::Comment && !test)
            .map(|(t, _)| t)
            .collect();
        if file.is_test() {
            continue;
        }
        for ban in &BANS {
            let inside = ban.layers.iter().any(|l| file.under(l));
            if inside && !ban.except.iter().any(|e| file.under(e)) {
                named(file, &code, ban, out);
            }
        }
    }
}

fn named(file: &SourceFile, code: &[&Token<'_>], ban: &Ban, out: &mut Vec<Finding>) {
    let words: Vec<&str> = ban.path.split("::").collect();
    let len = words.len() * 3 - 2;
    for window in code.windows(len) {
        let hit = words.iter().enumerate().all(|(n, word)| {
            window[n * 3].is_ident(word)
                && (n == 0 || (window[n * 3 - 1].is_punct(':') && window[n * 3 - 2].is_punct(':')))
        });
        if hit {
            let text = format!("{} here: {}", ban.path, ban.why);
            out.push(Finding::new("layers", &file.path, window[0].line, text));
        }
    }
}

/// The crate `glommio` by name: not a module of that name (`io::glommio`, `mod glommio`).
fn glommio(file: &SourceFile, tokens: &[Token<'_>], out: &mut Vec<Finding>) {
    let code: Vec<&Token<'_>> = tokens.iter().filter(|t| t.kind != Kind::Comment).collect();
    for (i, token) in code.iter().enumerate().filter(|(_, t)| t.is_ident("glommio")) {
        let before = |n: usize| i.checked_sub(n).map(|at| code[at]);
        let behind_path = before(1).is_some_and(|t| t.is_punct(':'))
            && before(3).is_some_and(|t| t.kind == Kind::Ident && !t.is_ident("use"));
        let is_path = code.get(i + 1).is_some_and(|t| t.is_punct(':'))
            || before(1)
                .is_some_and(|t| t.is_ident("use") || t.is_ident("crate") || t.is_punct(':'));
        if is_path && !behind_path {
            let text = "glommio outside its two drivers".to_string();
            out.push(Finding::new("layers", &file.path, token.line, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::{Plant, findings};

    fn count(path: &str, body: &str) -> usize {
        findings(&Plant::new(&[(path, &format!("//! A module.\n{body}"))]), "layers").len()
    }

    #[test]
    fn glommio_outside_its_drivers_fails() {
        for body in [
            "use glommio::io::DmaFile;\n",
            "fn f() { glommio::yield_if_needed(); }\n",
            "use ::glommio;\n",
        ] {
            assert_eq!(count("storage/src/log.rs", body), 1, "{body}");
            assert_eq!(count("server/src/net/mod.rs", body), 1, "{body}");
            assert_eq!(count("storage/src/io/glommio.rs", body), 0, "{body}");
            assert_eq!(count("server/src/runtime/mod.rs", body), 0, "{body}");
        }
        let module = "pub mod glommio;\npub use self::glommio::Dma;\nuse moon_storage::io::glommio::Dma as D;\n";
        assert_eq!(count("storage/src/io/mod.rs", module), 0);
    }

    #[test]
    fn a_clock_or_chance_or_io_in_the_core_fails() {
        for body in [
            "fn f() { let t = std::time::Instant::now(); }\n",
            "fn f() { SystemTime::now(); }\n",
            "fn f() { rand::thread_rng(); }\n",
            "use std::fs;\n",
            "use std::net::SocketAddr;\n",
            "type M = HashMap<u8, u8, RandomState>;\n",
        ] {
            assert_eq!(count("engine/core/src/a.rs", body), 1, "{body}");
            assert_eq!(count("server/src/a.rs", body), 0, "{body}");
        }
        assert_eq!(count("storage/src/log.rs", "fn f() { Instant::now(); }\n"), 1);
        assert_eq!(count("storage/src/io/posix.rs", "fn f() { Instant::now(); }\n"), 0);
    }

    #[test]
    fn tests_and_words_in_comments_pass() {
        let body = "// Instant::now\n#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }\n";
        assert_eq!(count("engine/core/src/a.rs", body), 0);
        assert_eq!(count("engine/core/src/x/tests.rs", "fn f() { Instant::now(); }\n"), 0);
    }
}
