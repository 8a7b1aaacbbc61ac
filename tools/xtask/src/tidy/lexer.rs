//! A lexer for Rust source, exact enough to tell code from comments and strings.
//!
//! Every rule that looks for a word in code works on these tokens, so that a word in a comment, a
//! string or a longer identifier is never taken for the real thing. The lexer is total: any input
//! gives a token list, an unterminated literal simply reaches to the end of the file.

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Identifier or keyword; raw identifiers come without `r#`.
    Ident,
    /// String literal of any sort; the token's text is the content between the quotes.
    Str,
    /// Character or byte literal.
    Char,
    /// `'a`.
    Lifetime,
    /// Number.
    Num,
    /// One punctuation character.
    Punct,
    /// Comment, `//` or `/* */`, with its markers.
    Comment,
}

/// One token with the line it starts on (from 1).
#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    /// Whether this is the identifier or keyword `word`.
    pub(crate) fn is_ident(&self, word: &str) -> bool {
        self.kind == Kind::Ident && self.text == word
    }

    /// Whether this is the punctuation character `c`.
    pub(crate) fn is_punct(&self, c: char) -> bool {
        self.kind == Kind::Punct && self.text.chars().eq([c])
    }
}

/// Splits `source` into tokens; blanks are dropped, comments are kept.
pub(crate) fn lex(source: &str) -> Vec<Token<'_>> {
    Lexer { source, bytes: source.as_bytes(), at: 0, line: 1, tokens: Vec::new() }.run()
}

struct Lexer<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Emits `text = source[from..to]` and moves behind `end`, counting lines.
    fn emit(&mut self, kind: Kind, from: usize, to: usize, end: usize) {
        let line = self.line;
        self.tokens.push(Token { kind, text: &self.source[from..to], line });
        self.line += self.bytes[self.at..end].iter().filter(|b| **b == b'\n').count();
        self.at = end;
    }

    fn run(mut self) -> Vec<Token<'a>> {
        while self.at < self.bytes.len() {
            let c = self.bytes[self.at];
            match c {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'/' if self.peek(1) == b'/' => self.line_comment(),
                b'/' if self.peek(1) == b'*' => self.block_comment(),
                b'"' => self.quoted(self.at),
                b'\'' => self.char_or_lifetime(),
                b'0'..=b'9' => self.number(),
                _ if is_word(c) => self.word(),
                _ => self.emit(Kind::Punct, self.at, self.at + 1, self.at + 1),
            }
        }
        self.tokens
    }

    fn line_comment(&mut self) {
        let end = self.find(self.at, |b| b == b'\n');
        self.emit(Kind::Comment, self.at, end, end);
    }

    fn block_comment(&mut self) {
        let (mut depth, mut i) = (0usize, self.at);
        while i < self.bytes.len() {
            match &self.bytes[i..(i + 2).min(self.bytes.len())] {
                b"/*" => (depth, i) = (depth + 1, i + 2),
                b"*/" => (depth, i) = (depth - 1, i + 2),
                _ => i += 1,
            }
            if depth == 0 {
                break;
            }
        }
        self.emit(Kind::Comment, self.at, i, i);
    }

    /// A string whose opening quote stands at `quote`; a prefix may lie before it.
    fn quoted(&mut self, quote: usize) {
        let mut i = quote + 1;
        while i < self.bytes.len() && self.bytes[i] != b'"' {
            i += if self.bytes[i] == b'\\' { 2 } else { 1 };
        }
        let close = self.boundary(i);
        self.emit(Kind::Str, quote + 1, close, (close + 1).min(self.bytes.len()));
    }

    /// A raw string whose first `#` or quote stands at `from`.
    fn raw_quoted(&mut self, from: usize) {
        let open = self.find(from, |b| b != b'#') + 1;
        let close: Vec<u8> = std::iter::once(b'"').chain((from + 1..open).map(|_| b'#')).collect();
        let len = self.bytes[open..].windows(close.len()).position(|w| w == close);
        let (to, end) = match len {
            Some(len) => (open + len, open + len + close.len()),
            None => (self.bytes.len(), self.bytes.len()),
        };
        self.emit(Kind::Str, open, to, end);
    }

    fn char_or_lifetime(&mut self) {
        let rest = &self.source[self.at + 1..];
        let mut chars = rest.chars();
        let first = chars.next().unwrap_or(' ');
        if first == '\\' {
            let mut i = self.at + 3;
            while i < self.bytes.len() && self.bytes[i] != b'\'' && self.bytes[i] != b'\n' {
                i += 1;
            }
            let end = self.boundary(i + 1);
            return self.emit(Kind::Char, self.at, end, end);
        }
        if chars.next() == Some('\'') {
            let end = self.at + 2 + first.len_utf8();
            return self.emit(Kind::Char, self.at, end, end);
        }
        let end = self.find(self.at + 1, |b| !is_word(b));
        self.emit(Kind::Lifetime, self.at, end, end);
    }

    fn number(&mut self) {
        let mut end = self.find(self.at, |b| !is_word(b));
        if self.bytes.get(end) == Some(&b'.')
            && self.bytes.get(end + 1).is_some_and(u8::is_ascii_digit)
        {
            end = self.find(end + 1, |b| !is_word(b));
        }
        self.emit(Kind::Num, self.at, end, end);
    }

    fn word(&mut self) {
        let end = self.find(self.at, |b| !is_word(b));
        let next = self.bytes.get(end).copied().unwrap_or(0);
        let after = self.bytes.get(end + 1).copied().unwrap_or(0);
        match (&self.source[self.at..end], next) {
            ("b" | "c", b'"') => self.quoted(end),
            ("r" | "br" | "cr", b'"') => self.raw_quoted(end),
            ("r" | "br" | "cr", b'#') if after == b'"' || after == b'#' => self.raw_quoted(end),
            ("b", b'\'') => {
                self.at = end;
                self.char_or_lifetime();
            }
            ("r", b'#') => {
                self.at = end + 1;
                self.word();
            }
            _ => self.emit(Kind::Ident, self.at, end, end),
        }
    }

    fn find(&self, from: usize, stop: impl Fn(u8) -> bool) -> usize {
        let from = from.min(self.bytes.len());
        self.bytes[from..].iter().position(|b| stop(*b)).map_or(self.bytes.len(), |n| from + n)
    }

    /// The nearest character boundary at or after `at`, at most the end.
    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.bytes.len());
        while !self.source.is_char_boundary(at) {
            at += 1;
        }
        at
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

/// Marks the tokens that stand inside an item under `#[cfg(test)]`.
pub(crate) fn test_code(tokens: &[Token<'_>]) -> Vec<bool> {
    let mut marks = vec![false; tokens.len()];
    let code: Vec<usize> = (0..tokens.len()).filter(|i| tokens[*i].kind != Kind::Comment).collect();
    let mut n = 0;
    while n < code.len() {
        if !starts_cfg_test(tokens, &code[n..]) {
            n += 1;
            continue;
        }
        let start = code[n];
        let (mut depth, mut end) = (0i32, code.len());
        for (k, i) in code.iter().enumerate().skip(n + 7) {
            match tokens[*i].text.as_bytes() {
                b"{" => depth += 1,
                b"}" => depth -= 1,
                b";" if depth == 0 => depth = 0,
                _ => continue,
            }
            if depth == 0 {
                end = k;
                break;
            }
        }
        let last = code.get(end).copied().unwrap_or(tokens.len() - 1);
        marks[start..=last].fill(true);
        n = end + 1;
    }
    marks
}

/// Whether the code tokens at `at` read `# [ cfg ( test ) ]`.
fn starts_cfg_test(tokens: &[Token<'_>], at: &[usize]) -> bool {
    let words = ["#", "[", "cfg", "(", "test", ")", "]"];
    at.len() >= words.len() && words.iter().zip(at).all(|(w, i)| tokens[*i].text == *w)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(source: &str) -> Vec<(Kind, &str)> {
        lex(source).iter().map(|t| (t.kind, t.text)).collect()
    }

    #[test]
    fn words_in_comments_and_strings_are_not_code() {
        let source =
            "// unsafe\n/* unsafe /* nested */ */ \"unsafe\" r#\"un\"safe\"# b\"unsafe\" br\"x\"";
        assert!(lex(source).iter().all(|t| t.kind != Kind::Ident));
        let strings: Vec<_> =
            shape(source).into_iter().filter(|(k, _)| *k == Kind::Str).map(|(_, t)| t).collect();
        assert_eq!(strings, ["unsafe", "un\"safe", "unsafe", "x"]);
    }

    #[test]
    fn characters_lifetimes_and_numbers() {
        use Kind::*;
        assert_eq!(
            shape("'a' '\\'' b'\\n' 'life '\"' 1.5 0..3"),
            [
                (Char, "'a'"),
                (Char, "'\\''"),
                (Char, "'\\n'"),
                (Lifetime, "'life"),
                (Char, "'\"'"),
                (Num, "1.5"),
                (Num, "0"),
                (Punct, "."),
                (Punct, "."),
                (Num, "3"),
            ]
        );
    }

    #[test]
    fn escaped_quotes_do_not_end_a_string_and_lines_are_counted() {
        let tokens = lex("\"a\\\"b\nc\" x\n\ny");
        assert_eq!(tokens[0].text, "a\\\"b\nc");
        assert_eq!((tokens[1].text, tokens[1].line), ("x", 2));
        assert_eq!((tokens[2].text, tokens[2].line), ("y", 4));
    }

    #[test]
    fn any_input_is_accepted() {
        for source in ["\"", "r#\"", "'", "/*", "b'", "'\\", "é'é'", "\"\\é", "r#", "0."] {
            let _ = lex(source);
        }
    }

    #[test]
    fn test_modules_are_marked() {
        let tokens =
            lex("fn a() {} #[cfg(test)] mod t { fn b() {} } fn c() {} #[cfg(test)] mod u; d");
        let marks = test_code(&tokens);
        let code: Vec<&str> = tokens
            .iter()
            .zip(&marks)
            .filter(|(t, m)| t.kind == Kind::Ident && !**m)
            .map(|(t, _)| t.text)
            .collect();
        assert_eq!(code, ["fn", "a", "fn", "c", "d"]);
    }
}
