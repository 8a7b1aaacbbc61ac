//! Scripts and functions that call other commands.
//!
//! A script gets the words of a command as its arguments, so few texts reach every command. What it answers
//! is the command's reply, or an array that begins with it; the comparison goes by the rule of that command.

use super::generate::Generator;
use crate::value::Value;
use crate::{Command, cmd};

/// Where a script's answer has the reply of its command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// It is the reply.
    Itself,
    /// It is an array, and the reply its first element.
    First,
}

struct Template {
    text: &'static str,
    sha: &'static str,
    shape: Shape,
}

const TEMPLATES: [Template; 6] = [
    Template {
        text: "return redis.call(unpack(ARGV))",
        sha: "3c44b7a40779a5c68a6e3920550ff76660a813aa",
        shape: Shape::Itself,
    },
    Template {
        text: "return redis.pcall(unpack(ARGV))",
        sha: "b72d50ecdcafd5e07f3fca2060a111de46c547f9",
        shape: Shape::Itself,
    },
    Template {
        text: "redis.setresp(3) return redis.pcall(unpack(ARGV))",
        sha: "c1e11cc84372907249c1178ac029e0ded1dbb317",
        shape: Shape::Itself,
    },
    Template {
        text: "return {redis.pcall(unpack(ARGV)), 1.5, {true, #KEYS}, KEYS, {double = 0.25}, {ok = 'x'}}",
        sha: "032f1babfaee2ee6d02fb0b18dce9ef18fb18306",
        shape: Shape::First,
    },
    Template {
        text: "local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' and r.err then return r end return {r, type(r), #cmsgpack.pack(type(r)), cjson.encode(KEYS)}",
        sha: "eb6515d51edeebbeb3e84b1034763fbd3ad7facd",
        shape: Shape::First,
    },
    Template {
        text: "local ok, r = pcall(redis.call, unpack(ARGV)) return {ok and r, tostring(ok), type(r) == 'nil'}",
        sha: "cc01d7df9bedf5661686b88e176a6fdd4b9fbfd4",
        shape: Shape::First,
    },
];

/// The library of the templates: `t0`, `t1` and so on.
fn library() -> Vec<u8> {
    let mut code = String::from("#!lua name=templates\n");
    for (i, template) in TEMPLATES.iter().enumerate() {
        let text = template.text;
        code += &format!("redis.register_function('t{i}', function(KEYS, ARGV) {text} end)\n");
    }
    code.into_bytes()
}

/// What makes the templates known: each as a script, and all as functions.
pub(super) fn loading() -> Vec<Command> {
    let mut commands: Vec<Command> =
        TEMPLATES.iter().map(|t| cmd!["SCRIPT", "LOAD", t.text]).collect();
    commands.push(cmd!["FUNCTION", "LOAD", "REPLACE", library()]);
    commands
}

/// Names and texts of the scripts, for a test that they belong together.
pub fn texts() -> Vec<(&'static str, &'static str)> {
    TEMPLATES.iter().map(|t| (t.sha, t.text)).collect()
}

/// A script or function that calls `inner`.
pub(super) fn around(g: &mut Generator, inner: Command) -> Command {
    let at = g.rng.below(TEMPLATES.len());
    let template = &TEMPLATES[at];
    let mut command = match g.rng.below(4) {
        0 => cmd!["EVALSHA", template.sha],
        1 => cmd!["FCALL", format!("t{at}")],
        _ => cmd!["EVAL", template.text],
    };
    let keys: Vec<Vec<u8>> = (0..g.rng.below(3)).map(|_| g.any_key()).collect();
    command.extend(cmd![keys.len()]);
    command.extend(keys);
    command.extend(inner);
    command
}

/// Whether a command's reply is worth comparing inside a script: it must not depend on chance beyond its
/// rule, on what the connection is, nor on what an earlier command left behind.
pub(super) fn fits(inner: &Command) -> bool {
    let name = inner[0].to_ascii_uppercase();
    // The fields of XINFO would come in the order of a table of Lua.
    !name.starts_with(b"SORT") && name != b"XINFO"
}

/// The command inside a script of ours, and where the script's answer has its reply.
fn inside(command: &Command) -> Option<(Command, Shape)> {
    let which = command.get(1)?;
    let template = match command.first()?.as_slice() {
        b"EVAL" => TEMPLATES.iter().find(|t| t.text.as_bytes() == which),
        b"EVALSHA" => TEMPLATES.iter().find(|t| t.sha.as_bytes() == which),
        b"FCALL" => {
            let at = std::str::from_utf8(which.strip_prefix(b"t")?).ok()?.parse().ok()?;
            TEMPLATES.get::<usize>(at)
        }
        _ => None,
    }?;
    let keys: usize = std::str::from_utf8(command.get(2)?).ok()?.parse().ok()?;
    let inner = command.get(3 + keys..)?.to_vec();
    (!inner.is_empty()).then_some((inner, template.shape))
}

/// The pairs of replies to compare for a script of ours, each with the command whose rule it has; the script's
/// own is exact. `None` if it is no such script, or the answers have not the script's shape.
pub(super) fn parts<'a>(
    command: &Command,
    oracle: &'a Value,
    subject: &'a Value,
) -> Option<Vec<(Command, &'a Value, &'a Value)>> {
    let (inner, shape) = inside(command)?;
    // An error is answered without an array around it.
    let reply = |answer: &'a Value| match answer {
        Value::Array(all) if shape == Shape::First => all.first(),
        whole => Some(whole),
    };
    let first = (inner, reply(oracle)?, reply(subject)?);
    match (oracle, subject) {
        (Value::Array(o), Value::Array(s)) if shape == Shape::First => {
            let own = o.iter().zip(s).skip(1).map(|(o, s)| (cmd!["EVAL"], o, s));
            (o.len() == s.len()).then(|| std::iter::once(first).chain(own).collect())
        }
        _ => Some(vec![first]),
    }
}
