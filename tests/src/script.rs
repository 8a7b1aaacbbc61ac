//! Scripts: files of commands with the replies to expect (`tests/scripts/<group>/<name>.moon`).
//!
//! | line | meaning |
//! |---|---|
//! | `# text` | comment |
//! | `@redis` | (first lines) the script also runs against a real Redis |
//! | `@needs NAME` | (first lines) a command that the server may lack; the script is left out then |
//! | `@resp3` | (first lines) connections speak RESP3 |
//! | `> SET k "a b"` | connection `a` sends a command; arguments as in redis-cli |
//! | `b> BLPOP k 0` | connection `b` does; connections are made when first named |
//! | `B> GET k` | so does `B`, which speaks RESP3, as all connections with a capital do |
//! | `> CLIENT KILL ID $b` | `$b` is the id of connection `b` |
//! | `b<` | the line that follows is the next reply on connection `b` |
//! | `b~` | nothing arrives on connection `b` |
//! | `b!` | the server closes connection `b` |
//! | `pause 20` | waits 20 ms |
//! | `== title` | begins anew: an empty server, new connections |
//! | any other line | the reply to expect for the command above |
//!
//! A command without an expected line leaves its reply waiting (a blocked client, for instance). A
//! reply is written as [`Value`] prints it: `+OK`, `-ERR ...`, `:1`, `"bulk"`, `nil`, `nil-array`,
//! `null`, `[..]`, `{k: v}`, `~[..]`, `,1.5`, `#t`. `...` in an expected line stands for any text;
//! `sorted ` in front sorts the reply's top-level elements by their text first.

use crate::client::Client;
use crate::value::Value;
use crate::{Command, cmd};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A command whose reply is not awaited gets this long to reach the server, so that the order in
/// which clients block is the order of the lines.
const ARRIVAL: Duration = Duration::from_millis(20);

/// What has not arrived by then is not on its way.
const SILENCE: Duration = Duration::from_millis(40);

/// A parsed script.
#[derive(Debug)]
pub struct Script {
    /// Whether it holds for a real Redis too.
    pub on_redis: bool,
    /// Commands without which the script makes no sense, upper case.
    pub needs: Vec<String>,
    resp3: bool,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Send { line: usize, client: String, command: Command },
    Expect { line: usize, client: String, reply: String },
    Silent { line: usize, client: String },
    Closed { line: usize, client: String },
    Pause(Duration),
    Anew,
}

impl Script {
    /// Parses a script; the error names the line.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut script =
            Script { on_redis: false, needs: Vec::new(), resp3: false, steps: Vec::new() };
        let mut current = "a".to_string();
        for (n, raw) in text.lines().enumerate() {
            let (line, trimmed) = (n + 1, raw.trim());
            if trimmed.is_empty() || trimmed.starts_with('#') && !matches!(trimmed, "#t" | "#f") {
                continue;
            }
            match trimmed {
                "@redis" => script.on_redis = true,
                "@resp3" => script.resp3 = true,
                _ if trimmed.starts_with("== ") => script.steps.push(Step::Anew),
                _ if trimmed.starts_with("pause ") => {
                    let ms = trimmed[6..].parse().map_err(|e| format!("line {line}: {e}"))?;
                    script.steps.push(Step::Pause(Duration::from_millis(ms)));
                }
                _ if trimmed.starts_with("@needs ") => script.needs.push(trimmed[7..].to_string()),
                _ if trimmed.starts_with('@') => {
                    return Err(format!("line {line}: unknown tag {trimmed}"));
                }
                _ => {
                    if let Some((client, rest)) = directive(trimmed, '>') {
                        current = client;
                        let command =
                            words(rest).ok_or(format!("line {line}: unbalanced quotes"))?;
                        script.steps.push(Step::Send { line, client: current.clone(), command });
                    } else if let Some((client, "")) = directive(trimmed, '<') {
                        current = client;
                    } else if let Some((client, "")) = directive(trimmed, '~') {
                        script.steps.push(Step::Silent { line, client });
                    } else if let Some((client, "")) = directive(trimmed, '!') {
                        script.steps.push(Step::Closed { line, client });
                    } else {
                        let reply = trimmed.to_string();
                        script.steps.push(Step::Expect { line, client: current.clone(), reply });
                    }
                }
            }
        }
        if script.steps.is_empty() { Err("an empty script".to_string()) } else { Ok(script) }
    }

    /// Runs the script on an empty server; the error names the line and both replies.
    pub fn run(&self, port: u16) -> Result<(), String> {
        let names_id = |step: &Step| matches!(step, Step::Send { command, .. } if command.iter().any(|w| name_of_id(w).is_some()));
        let ids = self.steps.iter().any(names_id);
        let mut clients = Clients { port, resp3: self.resp3, ids, open: BTreeMap::new() };
        for (n, step) in self.steps.iter().enumerate() {
            let at = |line: &usize, e: io::Error| format!("line {line}: {e}");
            match step {
                Step::Send { line, client, command } => {
                    let command = clients.with_ids(command);
                    let client = clients.named(client).map_err(|e| at(line, e))?;
                    client.queue(&command);
                    client.flush().map_err(|e| at(line, e))?;
                    let answered = matches!(self.steps.get(n + 1), Some(Step::Expect { .. }));
                    if !answered {
                        std::thread::sleep(ARRIVAL);
                    }
                }
                Step::Expect { line, client, reply } => {
                    let client = clients.named(client).map_err(|e| at(line, e))?;
                    let got = client.receive().map_err(|e| at(line, e))?;
                    if !matches(reply, &got) {
                        return Err(format!("line {line}: expected {reply}\n         got {got}"));
                    }
                }
                Step::Silent { line, client } => {
                    let client = clients.named(client).map_err(|e| at(line, e))?;
                    if let Some(got) = client.receive_within(SILENCE).map_err(|e| at(line, e))? {
                        return Err(format!("line {line}: expected nothing\n         got {got}"));
                    }
                }
                Step::Closed { line, client } => {
                    let client = clients.named(client).map_err(|e| at(line, e))?;
                    if let Ok(got) = client.receive() {
                        return Err(format!("line {line}: expected the end\n         got {got}"));
                    }
                }
                Step::Pause(time) => std::thread::sleep(*time),
                Step::Anew => {
                    clients.open.clear();
                    let empty = || {
                        let mut client = Client::connect(port)?;
                        client.line("FLUSHALL")?;
                        client.line("FUNCTION FLUSH")
                    };
                    empty().map_err(|e| format!("emptying the server: {e}"))?;
                }
            }
        }
        Ok(())
    }
}

/// The connections of a script, made when they are first named.
struct Clients {
    port: u16,
    resp3: bool,
    /// Whether some command names a connection's id.
    ids: bool,
    open: BTreeMap<String, Named>,
}

struct Named {
    client: Client,
    id: Option<Value>,
}

impl Clients {
    fn named(&mut self, name: &str) -> io::Result<&mut Client> {
        if !self.open.contains_key(name) {
            let mut client = Client::connect(self.port)?;
            if self.resp3 || name.starts_with(|c: char| c.is_ascii_uppercase()) {
                client.call(&cmd!["HELLO", 3])?;
            }
            let id = self.ids.then(|| client.call(&cmd!["CLIENT", "ID"])).transpose()?;
            self.open.insert(name.to_string(), Named { client, id });
        }
        let named = self.open.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut named.client)
    }

    /// The command with `$name` replaced by that connection's id.
    fn with_ids(&self, command: &Command) -> Command {
        let id = |word: &Vec<u8>| match &self.open.get(name_of_id(word)?)?.id {
            Some(Value::Int(id)) => Some(id.to_string().into_bytes()),
            _ => None,
        };
        command.iter().map(|word| id(word).unwrap_or_else(|| word.clone())).collect()
    }
}

/// The connection that `$name` is about.
fn name_of_id(word: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(word.strip_prefix(b"$")?).ok()?;
    name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(name)
}

/// `name>` or `>` at the start of a line: the connection and the rest.
fn directive(line: &str, mark: char) -> Option<(String, &str)> {
    let (name, rest) = line.split_once(mark)?;
    let named =
        name.is_empty() || (name.len() <= 8 && name.chars().all(|c| c.is_ascii_alphabetic()));
    // `>[..]` is a push reply, not a command.
    let push = mark == '>' && name.is_empty() && rest.starts_with('[');
    (named && !push)
        .then(|| (if name.is_empty() { "a".to_string() } else { name.to_string() }, rest.trim()))
}

fn matches(expected: &str, got: &Value) -> bool {
    let (expected, got) = match expected.strip_prefix("sorted ") {
        Some(expected) => (expected, sorted(got).to_string()),
        None => (expected, got.to_string()),
    };
    let mut pieces = expected.split("...");
    let Some(mut rest) = got.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
        last = Some(piece);
    }
    rest.is_empty() || last.is_some_and(|piece| piece.is_empty() || got.ends_with(piece))
}

fn sorted(value: &Value) -> Value {
    let by_text = |v: &[Value]| {
        let mut v = v.to_vec();
        v.sort_by_key(Value::to_string);
        v
    };
    match value {
        Value::Array(v) => Value::Array(by_text(v)),
        Value::Set(v) => Value::Set(by_text(v)),
        Value::Map(pairs) => {
            let mut pairs = pairs.clone();
            pairs.sort_by_key(|(k, _)| k.to_string());
            Value::Map(pairs)
        }
        other => other.clone(),
    }
}

/// Splits a command line as redis-cli does; `None` if a quote does not end.
pub fn words(line: &str) -> Option<Command> {
    let bytes = line.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == b' ' {
            at += 1;
            continue;
        }
        let mut word = Vec::new();
        let quote = bytes[at];
        if quote != b'"' && quote != b'\'' {
            while at < bytes.len() && bytes[at] != b' ' {
                word.push(bytes[at]);
                at += 1;
            }
            out.push(word);
            continue;
        }
        at += 1;
        while *bytes.get(at)? != quote {
            if bytes[at] == b'\\' && quote == b'"' {
                at += 1;
                word.push(match *bytes.get(at)? {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'x' => {
                        let hex = line.get(at + 1..at + 3)?;
                        at += 2;
                        u8::from_str_radix(hex, 16).ok()?
                    }
                    other => other,
                });
            } else {
                word.push(bytes[at]);
            }
            at += 1;
        }
        at += 1;
        out.push(word);
    }
    Some(out)
}

/// All scripts under a folder, sorted by path.
pub fn find(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "moon") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_redis_cli() {
        assert_eq!(
            words("SET k \"a \\x00\\n\\\"\" 'b c'"),
            Some(cmd!["SET", "k", "a \0\n\"", "b c"])
        );
        assert_eq!(words("SET \"\""), Some(cmd!["SET", ""]));
        assert_eq!(words("SET \"a"), None);
    }

    #[test]
    fn lines_are_told_apart() {
        let script =
            Script::parse(
            "@redis\n# c\n> GET k\nnil\nb> PING\nb<\n+PONG\n>[:1]\n== t\nB> PING\npause 5\nB~\nB!\n",
        )
        .unwrap();
        assert!(script.on_redis);
        let kinds: Vec<_> = script
            .steps
            .iter()
            .map(|s| match s {
                Step::Send { client, .. } => format!("{client}>"),
                Step::Expect { client, reply, .. } => format!("{client}<{reply}"),
                Step::Silent { client, .. } => format!("{client}~"),
                Step::Closed { client, .. } => format!("{client}!"),
                Step::Pause(time) => format!("{time:?}"),
                Step::Anew => "==".to_string(),
            })
            .collect();
        assert_eq!(
            kinds,
            ["a>", "a<nil", "b>", "b<+PONG", "b<>[:1]", "==", "B>", "5ms", "B~", "B!"]
        );
        assert!(Script::parse("@nosuch\n").is_err());
    }

    #[test]
    fn prefixes_and_sorting() {
        let list = Value::Array(vec![Value::Int(2), Value::Int(1)]);
        assert!(matches("[:2, :1]", &list) && matches("sorted [:1, :2]", &list));
        assert!(!matches("[:1, :2]", &list) && matches("[:2...", &list));
        assert!(matches("[...2...]", &list) && matches("...:1]", &list));
        assert!(!matches("[...3...]", &list) && !matches("[:2...:1", &list));
    }
}
