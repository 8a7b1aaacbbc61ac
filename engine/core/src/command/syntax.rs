//! Grammar of a command's arguments, read from the row's one line of syntax.
//!
//! The line is what a person reads in the documentation; `COMMAND DOCS` needs it as a tree.
//! Notation: `word` a value, `WORD` a token, `[x]` optional, `a | b` alternatives, `<a | b>`
//! alternatives of which one must be given, `x [x ...]` one or more.

use super::spec::{Begin, CommandSpec, Group};

/// One argument of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Name, lower case.
    pub name: String,
    /// Keyword in front of the value, or the keyword alone.
    pub token: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// May be left out.
    pub optional: bool,
    /// May be given several times.
    pub multiple: bool,
    /// The keyword is repeated as well.
    pub multiple_token: bool,
}

/// Kinds of `COMMAND DOCS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A value of a named type: `string`, `integer`, `double`, `key`, `pattern`, `unix-time`.
    Value(&'static str),
    /// A keyword alone.
    PureToken,
    /// One of these.
    OneOf(Vec<Arg>),
    /// All of these.
    Block(Vec<Arg>),
}

impl Kind {
    /// Name as `COMMAND DOCS` prints it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Value(t) => t,
            Kind::PureToken => "pure-token",
            Kind::OneOf(_) => "oneof",
            Kind::Block(_) => "block",
        }
    }
}

/// The argument tree of a row. Panics on a malformed line, which a test over all rows excludes.
pub fn parse(spec: &CommandSpec) -> Vec<Arg> {
    let spaced: String = spec
        .syntax
        .chars()
        .flat_map(|c| match c {
            '[' | ']' | '<' | '>' | '|' => vec![' ', c, ' '],
            _ => vec![c],
        })
        .collect();
    let mut p = Parser { words: spaced.split_whitespace().collect(), at: 0, spec };
    let args = p.sequence(false);
    assert!(p.at == p.words.len(), "syntax of {}: unexpected {:?}", spec.name, p.words.get(p.at));
    args
}

struct Parser<'a> {
    words: Vec<&'a str>,
    at: usize,
    spec: &'a CommandSpec,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).copied()
    }

    /// Items up to a closing bracket, a bar or the end. Inside brackets a leading token owns
    /// all that follows it.
    fn sequence(&mut self, nested: bool) -> Vec<Arg> {
        let mut items: Vec<Arg> = Vec::new();
        while let Some(word) = self.peek() {
            match word {
                "]" | ">" | "|" | "..." => break,
                "[" => {
                    self.at += 1;
                    let alternatives = self.alternatives("]");
                    if let Some(repeated) = alternatives.1 {
                        let with_token = alternatives
                            .0
                            .first()
                            .and_then(|a| a.first())
                            .is_some_and(|a| a.token.is_some());
                        repeat(&mut items, repeated, with_token);
                    } else {
                        let mut arg = join(alternatives.0);
                        arg.optional = true;
                        items.push(arg);
                    }
                }
                "<" => {
                    self.at += 1;
                    items.push(join(self.alternatives(">").0));
                }
                _ => {
                    let word = word.to_string();
                    self.at += 1;
                    if is_token(&word) {
                        items.push(self.token(word, nested && items.is_empty()));
                    } else {
                        items.push(self.value(word));
                    }
                }
            }
        }
        items
    }

    fn token(&mut self, word: String, owns_all: bool) -> Arg {
        let name = word.to_ascii_lowercase();
        if owns_all {
            let mut rest = self.sequence(false);
            return match rest.len() {
                0 => pure(name, word),
                1 if rest[0].token.is_none() && !rest[0].optional => {
                    let mut only = rest.remove(0);
                    only.token = Some(word);
                    only
                }
                _ => Arg { token: Some(word), ..plain(name, Kind::Block(rest)) },
            };
        }
        match self.peek().map(str::to_string) {
            Some(next) if !is_token(&next) && !"[]<>|...".contains(next.as_str()) => {
                self.at += 1;
                let mut arg = self.value(next);
                arg.token = Some(word);
                arg
            }
            _ => pure(name, word),
        }
    }

    /// Alternatives up to `close`; the number of items if they end in `...`.
    fn alternatives(&mut self, close: &str) -> (Vec<Vec<Arg>>, Option<usize>) {
        let mut all = Vec::new();
        let mut repeated = None;
        loop {
            let items = self.sequence(true);
            if self.peek() == Some("...") {
                self.at += 1;
                repeated = Some(items.len());
            }
            all.push(items);
            let word = self.peek().map(str::to_string);
            self.at += 1;
            match word.as_deref() {
                Some("|") => {}
                Some(w) if w == close => return (all, repeated),
                other => panic!("syntax of {}: {other:?} for {close}", self.spec.name),
            }
        }
    }

    fn value(&self, word: String) -> Arg {
        let kind = match word.as_str() {
            "pattern" => "pattern",
            w if w.starts_with("unix-time") => "unix-time",
            "seconds" | "milliseconds" | "count" | "numkeys" | "index" | "offset" | "cursor"
            | "limit" | "decrement" | "numfields" | "rank" | "num-matches" | "len" | "bit"
            | "protover" | "client-id" | "index1" | "index2" | "numreplicas" | "numlocal"
            | "db" | "destination-db" | "min-match-len" | "integer" | "numids" | "ms"
            | "entries-read" | "entries-added" => "integer",
            // Elsewhere these are stream ids, scores or names.
            "start" | "end" if matches!(self.spec.group, Group::String | Group::Bitmap) => {
                "integer"
            }
            "float" => "double",
            // Of the ranges that may go by rank, score or member, the bounds are strings.
            "start" | "stop" if self.spec.name != "zrange" => "integer",
            "min" | "max" if self.spec.name != "zrangestore" && !self.spec.name.contains("lex") => {
                "double"
            }
            "weight" => "integer",
            "increment" if self.spec.name.contains("float") => "double",
            "increment" => "integer",
            "score" | "timeout" | "longitude" | "latitude" | "radius" => "double",
            "key" | "source" | "destination" | "newkey" | "key1" | "key2" | "destkey"
                if !self.spec.keys.is_empty() =>
            {
                "key"
            }
            _ => "string",
        };
        plain(word, Kind::Value(kind))
    }
}

fn plain(name: String, kind: Kind) -> Arg {
    Arg { name, token: None, kind, optional: false, multiple: false, multiple_token: false }
}

fn pure(name: String, word: String) -> Arg {
    Arg { token: Some(word), ..plain(name, Kind::PureToken) }
}

fn is_token(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_uppercase()) && !word.bytes().any(|b| b.is_ascii_lowercase())
        || word == "*"
        || word == "="
        || word == "~"
}

fn join(mut alternatives: Vec<Vec<Arg>>) -> Arg {
    let single = |mut items: Vec<Arg>| match items.len() {
        1 => items.remove(0),
        _ => {
            let name = items.first().map_or_else(String::new, |a| a.name.clone());
            plain(name, Kind::Block(items))
        }
    };
    if alternatives.len() == 1 {
        return single(alternatives.remove(0));
    }
    let options: Vec<Arg> = alternatives.into_iter().map(single).collect();
    let name = options.first().map_or_else(String::new, |a| a.name.clone());
    plain(name, Kind::OneOf(options))
}

/// The last `n` items may be repeated together.
fn repeat(items: &mut Vec<Arg>, n: usize, with_token: bool) {
    let n = n.min(items.len());
    if n == 0 {
        return;
    }
    if n == 1 {
        if let Some(last) = items.last_mut() {
            last.multiple = true;
            last.multiple_token = with_token;
        }
        return;
    }
    let tail = items.split_off(items.len() - n);
    let mut block = plain("data".into(), Kind::Block(tail));
    block.multiple = true;
    items.push(block);
}

/// `first key, last key, step` of the old COMMAND reply (Redis `populateCommandLegacyRangeSpec`).
pub fn legacy_range(spec: &CommandSpec) -> (i64, i64, i64) {
    use super::spec::Find;
    let (mut first, mut last, mut previous) = (i64::MAX, 0i64, 0i64);
    for key in spec.keys {
        let (Begin::Index(at), Find::Range { last: to, step, .. }) = (key.begin, key.find) else {
            continue;
        };
        let at = i64::from(at);
        let absolute = if to >= 0 { i64::from(to) + at } else { i64::from(to) };
        if spec.keys.len() == 1 {
            return (at, absolute, i64::from(step));
        }
        if step != 1 {
            continue;
        }
        if previous != 0 && previous != at - 1 {
            break;
        }
        first = first.min(at);
        last = if last < 0 || absolute < 0 { absolute.min(last) } else { last.max(absolute) };
        previous = last;
    }
    if first == i64::MAX { (0, 0, 0) } else { (first, last, 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(syntax: &'static str) -> Vec<Arg> {
        use super::super::spec::{Access, KeySpec};
        const KEYS: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite)];
        parse(&CommandSpec { name: "x", syntax, keys: KEYS, ..CommandSpec::DEFAULT })
    }

    #[test]
    fn values_tokens_and_alternatives() {
        let args = tree("key value [NX | XX] [GET] [EX seconds | KEEPTTL]");
        assert_eq!(args.len(), 5);
        assert_eq!(args[0].kind, Kind::Value("key"));
        assert!(args[2].optional);
        let Kind::OneOf(options) = &args[4].kind else { panic!("{:?}", args[4]) };
        assert_eq!(options[0].token.as_deref(), Some("EX"));
        assert_eq!(options[0].kind, Kind::Value("integer"));
        assert_eq!(options[1].kind, Kind::PureToken);
    }

    #[test]
    fn repetition() {
        let args = tree("key field value [field value ...]");
        assert_eq!(args.len(), 2);
        assert!(args[1].multiple);
        assert!(matches!(&args[1].kind, Kind::Block(b) if b.len() == 2));
        let args = tree("key [GET pattern [GET pattern ...]] [LIMIT offset count]");
        let Kind::Block(limit) = &args[2].kind else { panic!("{:?}", args[2]) };
        assert_eq!((args[2].token.as_deref(), limit.len()), (Some("LIMIT"), 2));
    }

    #[test]
    fn old_key_ranges() {
        use super::super::spec::{Access, KeySpec};
        const TWO: &[KeySpec] =
            &[KeySpec::one(1, Access::ReadWrite), KeySpec::one(2, Access::Overwrite)];
        let spec = CommandSpec { keys: TWO, ..CommandSpec::DEFAULT };
        assert_eq!(legacy_range(&spec), (1, 2, 1));
        const STORE: &[KeySpec] =
            &[KeySpec::one(1, Access::Overwrite), KeySpec::range(2, -1, 1, Access::ReadOnly)];
        let spec = CommandSpec { keys: STORE, ..CommandSpec::DEFAULT };
        assert_eq!(legacy_range(&spec), (1, -1, 1));
        const COUNTED: &[KeySpec] = &[KeySpec::counted(1, Access::ReadWrite)];
        let spec = CommandSpec { keys: COUNTED, ..CommandSpec::DEFAULT };
        assert_eq!(legacy_range(&spec), (0, 0, 0));
    }
}
