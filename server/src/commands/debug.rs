//! DEBUG: what test suites need to reach (redis-surface §21). Only with `enable-debug-command`.
//!
//! A subcommand does what it says or is refused with the reason; none answers OK and does nothing.

use std::fmt::Write;
use std::time::Duration;

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::db::{self, Live, Ttl};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::event::Event;
use moon_engine::exec::SessionCx;
use moon_engine::glob::glob_match;
use moon_engine::redis_digest;
use moon_engine::reload::Through;
use moon_engine::types::{Item, Object};
use moon_formats::redis_rdb::Encoder;
use moon_formats::resp::Proto;
use moon_formats::value::Value;

use super::{ANYTIME, host, row};
use crate::service::shared::hex;

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "A container for debugging commands.",
    complexity: "Depends on subcommand.",
    syntax: "subcommand [arg [arg ...]]",
    ..row(
        "debug",
        Group::Server,
        "1.0.0",
        -2,
        ANYTIME.and(Flags::ADMIN).and(Flags::PROTECTED),
        Run::Session(debug),
    )
}];

/// Names of Redis without a meaning here, and why.
const REFUSED: &[(&str, &str)] = &[
    ("CRASH-AND-RECOVER", "kill the process and start it again; recovery is the ordinary start"),
    ("DICT-RESIZING", "tables grow a segment at a time and cannot be held back"),
    ("JMAP", "use MEMORY MALLOC-STATS"),
    ("MALLCTL", "use MEMORY MALLOC-STATS"),
    ("MALLCTL-STR", "use MEMORY MALLOC-STATS"),
    ("OOM", "set a limit on the address space of the process instead"),
    ("REPLYBUFFER", "reply buffers are not resized by a timer; see conn-park-secs"),
    ("RESTART", "the process does not replace itself; use a supervisor"),
    ("SDSLEN", "strings are not kept as Redis keeps them; see MEMORY USAGE"),
    ("SEGFAULT", "use PANIC, which ends the process as surely"),
    ("STRUCTSIZE", "values are not kept as Redis keeps them; see MEMORY USAGE"),
];

fn debug(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let n = a.len();
    match () {
        () if n == 2 && a.is(1, "ASSERT") => panic!("DEBUG ASSERT"),
        () if n == 2 && a.is(1, "PANIC") => panic!("DEBUG PANIC"),
        () if n == 2 && a.is(1, "DIGEST") => {
            let digest = redis_digest::of_all(cx.shard.dbs());
            cx.out.simple(&hex(&digest));
        }
        () if n == 2 && a.is(1, "CHANGE-REPL-ID") => {
            host(cx)?.replicas.change_id();
            cx.out.ok();
        }
        () if n == 2 && a.is(1, "CONFIG-REWRITE-FORCE-ALL") => {
            return super::config::rewrite_file(cx, true);
        }
        () if a.is(1, "DIGEST-VALUE") => digest_value(cx, a),
        () if n == 3 && a.is(1, "ERROR") => {
            let text = String::from_utf8_lossy(a.get(2)).replace(['\r', '\n'], " ");
            return Err(CmdError::text(text));
        }
        () if n >= 3 && a.is(1, "HTSTATS") => return htstats(cx, a),
        () if n >= 3 && a.is(1, "HTSTATS-KEY") => return htstats_key(cx, a),
        () if n == 3 && a.is(1, "LEAK") => {
            Box::leak(Box::<[u8]>::from(a.get(2)));
            cx.out.ok();
        }
        () if n == 3 && a.is(1, "LISTPACK") => return listpack(cx, a),
        () if n == 2 && a.is(1, "LOADAOF") => return reload(cx, Through::Effects),
        () if n == 3 && a.is(1, "LOG") => {
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(a.get(2)));
            cx.out.ok();
        }
        () if n == 3 && a.is(1, "OBJECT") => return object(cx, a),
        () if n == 3 && a.is(1, "PAUSE-CRON") => {
            host(cx)?.cron_paused = a.int(2)? != 0;
            cx.out.ok();
        }
        () if (3..=5).contains(&n) && a.is(1, "POPULATE") => return populate(cx, a),
        () if n == 3 && a.is(1, "PROTOCOL") => return protocol(cx, a),
        () if n == 3 && a.is(1, "QUICKLIST-PACKED-THRESHOLD") => {
            cx.shard.limits.list_lone_bytes = lone_bytes(a.get(2)).ok_or(CmdError::fixed(
                "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
            ))?;
            cx.out.ok();
        }
        () if a.is(1, "RELOAD") => return reload_file(cx, a),
        () if n == 2 && a.is(1, "SCRUB") => {
            let host = host(cx)?;
            let log = host.saver.ground().is_some_and(|ground| ground.parts.is_some());
            if !host.scrub.ask(log) {
                return Err(CmdError::fixed("ERR there is no log, or scrub-mb-per-sec is 0"));
            }
            cx.out.ok();
        }
        () if n == 3 && a.is(1, "SET-ACTIVE-EXPIRE") => {
            cx.shard.active_expire = a.int(2)? != 0;
            cx.out.ok();
        }
        () if n == 3 && a.is(1, "SET-SKIP-CHECKSUM-VALIDATION") => {
            cx.shard.limits.unchecked_payloads = a.int(2)? != 0;
            cx.out.ok();
        }
        () if n == 3 && a.is(1, "SLEEP") => return sleep(cx, a),
        () if n == 4 && a.is(1, "STRINGMATCH-LEN") => {
            cx.out.int(i64::from(glob_match(a.get(2), a.get(3), false)));
        }
        () if n == 2 && a.is(1, "HELP") => help(cx),
        () => return Err(refused(a)),
    }
    Ok(())
}

fn refused(a: Args<'_>) -> CmdError {
    let name = String::from_utf8_lossy(a.get(1));
    match REFUSED.iter().find(|(n, _)| n.eq_ignore_ascii_case(&name)) {
        Some((name, why)) => CmdError::text(format!("ERR DEBUG {name} is not provided: {why}")),
        None => CmdError::wrong_sub(a.get(1), "DEBUG"),
    }
}

/// DEBUG SLEEP seconds: the whole shard stands still.
fn sleep(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    // hiredis' tests send a line break with it.
    let secs: f64 = std::str::from_utf8(a.get(2).trim_ascii())
        .ok()
        .and_then(|s| s.parse().ok())
        .filter(|s: &f64| (0.0..1e9).contains(s))
        .ok_or(CmdError::NOT_FLOAT)?;
    std::thread::sleep(Duration::from_secs_f64(secs));
    cx.out.ok();
    Ok(())
}

/// DEBUG RELOAD [NOSAVE] [MERGE] [NOFLUSH]: what is loaded is always what has just been encoded.
fn reload_file(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let (mut merge, mut no_flush) = (false, false);
    for i in 2..a.len() {
        match () {
            () if a.is(i, "MERGE") => merge = true,
            () if a.is(i, "NOFLUSH") => no_flush = true,
            () if a.is(i, "NOSAVE") => {
                return Err(CmdError::fixed(
                    "ERR there is no saved file to load, DEBUG RELOAD loads what it saves",
                ));
            }
            () => {
                return Err(CmdError::fixed(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    if no_flush && !merge && cx.shard.dbs().iter().any(|db| !db.is_empty()) {
        // Every key would be there already.
        return Err(CmdError::fixed("ERR Error trying to load the RDB dump, check server logs."));
    }
    reload(cx, Through::RdbFile)
}

fn reload(cx: &mut SessionCx<'_>, through: Through) -> CmdResult {
    cx.expire_all();
    cx.shard.reload(through)?;
    cx.out.ok();
    Ok(())
}

/// The entry of a key of the current database, expired or not.
fn entry<'a>(cx: &'a SessionCx<'_>, key: &[u8]) -> Option<&'a Live> {
    cx.shard.dbs().get(usize::from(cx.session.db))?.table().get(key)
}

/// DEBUG DIGEST-VALUE key [key ...]
fn digest_value(cx: &mut SessionCx<'_>, a: Args<'_>) {
    cx.out.array(a.from(2).len());
    for key in a.from(2) {
        let digest = entry(cx, key).map_or([0; 20], redis_digest::of_value);
        cx.out.simple(&hex(&digest));
    }
}

/// DEBUG OBJECT key
fn object(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let Some(e) = entry(cx, a.get(2)) else { return Err(CmdError::NO_KEY) };
    let idle = cx.shard.idle_seconds(e);
    let text = format!(
        "Value at:{e:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{idle}",
        db::encoding(e),
        serialized_len(e)?,
        e.access(),
    );
    cx.out.simple(&text);
    Ok(())
}

/// Bytes of an element that DEBUG LISTPACK shows.
const SHOWN_BYTES: usize = 128;

/// DEBUG LISTPACK key: the entries go to the log, as Redis prints them.
fn listpack(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let Some(e) = entry(cx, a.get(2)) else { return Err(CmdError::NO_KEY) };
    let pack = e.object().and_then(Object::packed);
    let pack = pack.ok_or(CmdError::fixed("ERR Not a listpack encoded object."))?;
    let mut text = format!("{{total bytes {}}} {{num entries {}}}", pack.used_bytes(), pack.len());
    for (i, item) in pack.iter().enumerate() {
        let _ = match item {
            Item::Int(n) => write!(text, "\n{{{i}}} [int]{n}"),
            Item::Bytes(b) => {
                let shown = b.get(..SHOWN_BYTES).unwrap_or(b);
                write!(text, "\n{{{i}}} {{{} bytes}} [str]{}", b.len(), shown.escape_ascii())
            }
        };
    }
    tracing::info!("DEBUG LISTPACK: {text}");
    cx.out.simple("Listpack structure written to the log");
    Ok(())
}

/// A size below 4 GiB (Redis `quicklistSetPackedThreshold`).
fn lone_bytes(text: &[u8]) -> Option<usize> {
    let bytes = std::str::from_utf8(text).ok().and_then(crate::config::memory_size)?;
    usize::try_from(bytes).ok().filter(|n| *n <= (1 << 32) - (1 << 20))
}

/// Length of a value in an RDB file, its type byte not counted.
fn serialized_len(e: &Live) -> CmdResult<usize> {
    let unfit = |_| CmdError::fixed("ERR the value does not fit into an RDB file");
    let (mut encoder, mut out, mut body) = (Encoder::default(), Vec::new(), Vec::new());
    let mut digits = moon_formats::number::Digits::new();
    let value = match e.object() {
        None => Value::String(db::StrValue::of(e.value())?.bytes(&mut digits)),
        Some(object) => {
            object.to_body(&mut body);
            Value::decode(&body, object.body_type().code(), 0)
                .map_err(|e| CmdError::text(format!("ERR {e}")))?
        }
    };
    let kind = encoder.type_byte(&value).map_err(unfit)?;
    encoder.put_body(&mut out, kind, &value);
    Ok(out.len())
}

/// Keys made in one logged unit.
const POPULATE_BATCH: u64 = 1000;

/// DEBUG POPULATE count [prefix [size]]: keys that are not there yet.
fn populate(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let positive = |i| u64::try_from(a.int(i)?).map_err(|_| CmdError::NOT_POSITIVE);
    let count = positive(2)?;
    let prefix = a.opt(3).unwrap_or(b"key");
    let size = if a.len() == 5 { positive(4)? as usize } else { 0 };
    if size > cx.shard.limits.proto_max_bulk_len {
        return Err(CmdError::TOO_LONG);
    }
    let database = cx.session.db;
    for from in (0..count).step_by(POPULATE_BATCH as usize) {
        cx.shard.change(cx.host, database, |ks| {
            for n in from..count.min(from + POPULATE_BATCH) {
                let key = [prefix, format!(":{n}").as_bytes()].concat();
                if ks.exists(&key) {
                    continue;
                }
                let mut value = format!("value:{n}").into_bytes();
                if size > 0 {
                    value.resize(size, 0);
                }
                ks.put_string(&key, &value, Ttl::Clear, Event::SET);
                ks.effect(&[b"SET", &key, &value]);
            }
        })?;
    }
    cx.out.ok();
    Ok(())
}

/// DEBUG HTSTATS db [FULL]
fn htstats(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let database = usize::try_from(a.int(2)?).ok().and_then(|n| cx.shard.dbs().get(n));
    let db = database.ok_or(CmdError::fixed("ERR Out of range database"))?;
    let text = format!(
        "[Dictionary HT]\n{}[Expires HT]\n number of elements: {}\n",
        table_figures(db.len(), db.table().overhead_bytes(), db.table().mem_bytes()),
        db.expires(),
    );
    cx.out.verbatim(text.as_bytes());
    Ok(())
}

fn table_figures(elements: usize, overhead: usize, bytes: usize) -> String {
    format!(
        "Hash table 0 stats (main hash table):\n number of elements: {elements}\n bytes of the \
         table: {overhead}\n bytes of the entries: {}\n",
        bytes.saturating_sub(overhead)
    )
}

/// DEBUG HTSTATS-KEY key [FULL]
fn htstats_key(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let Some(e) = entry(cx, a.get(2)) else { return Err(CmdError::NO_KEY) };
    match (e.object(), db::encoding(e)) {
        (Some(object), "hashtable" | "skiplist") => {
            let text = format!(
                "Hash table 0 stats (main hash table):\n number of elements: {}\n bytes: {}\n",
                object.len(),
                object.mem_bytes()
            );
            cx.out.verbatim(text.as_bytes());
            Ok(())
        }
        _ => Err(CmdError::fixed(
            "ERR The value stored at the specified key is not represented using an hash table",
        )),
    }
}

/// Redis' sample value, on purpose not pi.
#[allow(clippy::approx_constant, reason = "the value of Redis' test reply")]
const SAMPLE_DOUBLE: f64 = 3.141;

/// DEBUG PROTOCOL: one value of each kind (Redis `debug.c`).
fn protocol(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let resp3 = cx.session.proto == Proto::Resp3;
    let out = &mut cx.out;
    match () {
        () if a.is(2, "STRING") => out.bulk(b"Hello World"),
        () if a.is(2, "INTEGER") => out.int(12345),
        () if a.is(2, "DOUBLE") => out.double(SAMPLE_DOUBLE),
        () if a.is(2, "NULL") => out.null(),
        () if a.is(2, "ARRAY") => {
            out.array(3);
            (0..3).for_each(|i| out.int(i));
        }
        () if a.is(2, "SET") => {
            out.set(3);
            (0..3).for_each(|i| out.int(i));
        }
        () if a.is(2, "MAP") => {
            out.map(3);
            for i in 0..3 {
                out.int(i);
                out.bool(i == 1);
            }
        }
        () if a.is(2, "ATTRIB") => {
            if resp3 {
                out.attribute(1);
                out.bulk(b"key-popularity");
                out.array(2);
                out.bulk(b"key:123");
                out.int(90);
            }
            out.bulk(b"Some real reply following the attribute");
        }
        () if a.is(2, "PUSH") => {
            if !resp3 {
                return Err(CmdError::fixed("ERR RESP2 is not supported by this command"));
            }
            out.push(2);
            out.bulk(b"server-cpu-usage");
            out.int(42);
            // A client that throws pushes away still waits for a reply.
            out.bulk(b"Some real reply following the push reply");
        }
        () if a.is(2, "BIGNUM") => out.big_number("1234567999999999999999999999999999999"),
        () if a.is(2, "TRUE") => out.bool(true),
        () if a.is(2, "FALSE") => out.bool(false),
        () if a.is(2, "VERBATIM") => out.verbatim(b"This is a verbatim\nstring"),
        () => {
            return Err(CmdError::fixed(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

fn help(cx: &mut SessionCx<'_>) {
    moon_engine::commands::help(
        &mut cx.out,
        "DEBUG",
        &[
            ("ASSERT", "Crash by a failed assertion."),
            ("CONFIG-REWRITE-FORCE-ALL", "Like CONFIG REWRITE, but write all options."),
            ("DIGEST", "Return a digest of all databases, the same as Redis would."),
            ("DIGEST-VALUE <key> [<key> ...]", "Return digests of the values of keys."),
            ("ERROR <string>", "Return an error with <string> as message."),
            ("HTSTATS <dbid>", "Return figures of the table of a database."),
            ("HTSTATS-KEY <key>", "Return figures of the table behind <key>."),
            ("SCRUB", "Begin to read bases and sealed log segments again."),
            ("LEAK <string>", "Lose the memory of a copy of <string>."),
            ("LISTPACK <key>", "Write the entries of a value kept as a listpack to the log."),
            ("LOADAOF", "Rebuild the data set from effects, as recovery does, if it is the same."),
            ("LOG <message>", "Write <message> to the server log."),
            ("OBJECT <key>", "Show how the value of <key> is kept."),
            ("PANIC", "Crash the server simulating a panic."),
            ("PAUSE-CRON <0|1>", "Stop expiry and housekeeping in the background."),
            ("POPULATE <count> [<prefix> [<size>]]", "Create strings named <prefix>:<number>."),
            ("PROTOCOL <type>", "Reply with a test value of the specified type."),
            (
                "QUICKLIST-PACKED-THRESHOLD <size>",
                "Give elements of a list from <size> on a node of their own; 0 as usual.",
            ),
            (
                "RELOAD [MERGE] [NOFLUSH]",
                "Rebuild the data set from its RDB form, if it is the same.",
            ),
            ("SET-ACTIVE-EXPIRE <0|1>", "Setting it to 0 disables expiring keys in background."),
            ("SET-SKIP-CHECKSUM-VALIDATION <0|1>", "Let RESTORE take a wrong checksum."),
            ("SLEEP <seconds>", "Stop the server for <seconds>. Decimals allowed."),
            ("STRINGMATCH-LEN <pattern> <string>", "Return whether a glob matches."),
        ],
    );
}
