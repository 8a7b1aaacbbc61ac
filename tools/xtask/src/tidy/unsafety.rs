//! `unsafe` stands in three places only, and each use says why it is sound.
//!
//! A block or impl carries a `SAFETY` comment between itself and the end of the statement before
//! it; an `unsafe fn` or `unsafe trait` may carry a `# Safety` doc section instead. Clippy checks
//! blocks too, but not where they stand and not functions that are private.

use super::Finding;
use super::lexer::{Kind, Token, lex};
use super::tree::Tree;

/// Folders and files in which the word may occur in code.
const ALLOWED: [&str; 4] =
    ["engine/ds/", "engine/index/src/simd", "storage/src/io/", "server/src/net"];

/// Checks every Rust file of the tree.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Finding>) {
    for file in tree.rust() {
        let tokens = lex(&file.text);
        let allowed = ALLOWED.iter().any(|place| file.under(place));
        for (i, token) in tokens.iter().enumerate() {
            if !allowed && token.is_ident("unsafe_code") && is_switched_off(&tokens[..i]) {
                let text = "the unsafe lint is switched off outside its three places".to_string();
                out.push(Finding::new("unsafe", &file.path, token.line, text));
            }
            if !token.is_ident("unsafe") || is_function_pointer(&tokens[i + 1..]) {
                continue;
            }
            if !allowed {
                let text = "unsafe code outside its three places".to_string();
                out.push(Finding::new("unsafe", &file.path, token.line, text));
            } else if !is_explained(&tokens, i) && !is_explained_above(&file.text, token.line) {
                let text = "unsafe without a SAFETY comment or a # Safety section".to_string();
                out.push(Finding::new("unsafe", &file.path, token.line, text));
            }
        }
    }
}

/// `unsafe fn(..)` and `unsafe extern "C" fn(..)` are types: nothing unsafe happens there.
fn is_function_pointer(rest: &[Token<'_>]) -> bool {
    let mut code = rest.iter().filter(|t| t.kind != Kind::Comment).peekable();
    if code.next_if(|t| t.is_ident("extern")).is_some() {
        code.next_if(|t| t.kind == Kind::Str);
    }
    code.next_if(|t| t.is_ident("fn")).is_some() && code.next().is_some_and(|t| t.is_punct('('))
}

/// Whether the attribute that `before` ends in allows what it names (and does not forbid it).
fn is_switched_off(before: &[Token<'_>]) -> bool {
    before
        .iter()
        .rev()
        .take_while(|t| !t.is_punct('['))
        .any(|t| t.is_ident("allow") || t.is_ident("expect"))
}

/// Whether the comment lines right above line `line` (from 1) state the reason; for uses in the
/// middle of an expression.
fn is_explained_above(text: &str, line: usize) -> bool {
    let above: Vec<&str> = text.lines().take(line - 1).collect();
    above
        .iter()
        .rev()
        .map(|l| l.trim_start())
        .take_while(|l| l.starts_with("//"))
        .any(|l| l.contains("SAFETY"))
}

/// Whether a comment between the previous statement's end and token `at` states the reason.
fn is_explained(tokens: &[Token<'_>], at: usize) -> bool {
    tokens[..at]
        .iter()
        .rev()
        .take_while(|t| !(t.is_punct(';') || t.is_punct('{') || t.is_punct('}')))
        .any(|t| {
            t.kind == Kind::Comment && (t.text.contains("SAFETY") || t.text.contains("# Safety"))
        })
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::{Plant, findings};

    const HEAD: &str = "//! A module.\n";

    fn count(path: &str, body: &str) -> usize {
        findings(&Plant::new(&[(path, &format!("{HEAD}{body}"))]), "unsafe").len()
    }

    #[test]
    fn unsafe_code_in_the_wrong_place_fails() {
        let body = "fn f() {\n    // SAFETY: none\n    unsafe { g() }\n}\n";
        for path in
            ["formats/src/a.rs", "engine/core/src/a.rs", "server/src/a.rs", "storage/src/log.rs"]
        {
            assert_eq!(count(path, body), 1, "{path}");
        }
        assert_eq!(count("server/src/a.rs", "#![allow(unsafe_code)]\n"), 1);
        assert_eq!(count("server/src/net/uring.rs", body), 0);
    }

    #[test]
    fn an_unexplained_use_fails_in_the_right_place() {
        let place = "engine/ds/src/a.rs";
        assert_eq!(count(place, "fn f() { unsafe { g() } }\n"), 1);
        assert_eq!(count(place, "unsafe impl Send for A {}\n"), 1);
        assert_eq!(count(place, "/// Does.\nunsafe fn f() {}\n"), 1);
        let second = "fn f() {\n    // SAFETY: a\n    unsafe { g() };\n    unsafe { h() }\n}\n";
        assert_eq!(count(place, second), 1);
    }

    #[test]
    fn explained_uses_types_and_mere_words_pass() {
        let place = "engine/ds/src/a.rs";
        assert_eq!(
            count(
                place,
                "/// Does.\n///\n/// # Safety\n/// Never.\n#[inline]\npub unsafe fn f() {}\n"
            ),
            0
        );
        assert_eq!(count(place, "// SAFETY: a\nunsafe impl Send for A {}\n"), 0);
        assert_eq!(count(place, "fn f() {\n    // SAFETY: a\n    let x = unsafe { g() };\n}\n"), 0);
        let inside = "fn f() {\n    // SAFETY: a\n    S { x: unsafe { g() } }\n}\n";
        assert_eq!(count(place, inside), 0);
        assert_eq!(count("server/src/a.rs", "#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(count("server/src/a.rs", "type F = unsafe extern \"C\" fn(u8);\n"), 0);
        assert_eq!(count("server/src/a.rs", "// unsafe\nconst A: &str = \"unsafe { }\";\n"), 0);
    }
}
