//! MIGRATE (redis-surface §24).

use std::ops::Range;
use std::time::Duration;

use moon_engine::args::Args;
use moon_engine::command::spec::{Begin, Find};
use moon_engine::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run, Secret};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::row;
use crate::service::migrate::{self, Wish};

/// Where the options begin.
const OPTIONS: usize = 6;
/// Milliseconds, if none or a negative number are given.
const TIMEOUT_MS: u64 = 1000;
const USE: KeyUse = KeyUse::ACCESS.and(KeyUse::DELETE);

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "Moves keys to another server.",
    complexity: "O(N) where N is the size of the values.",
    syntax: "host port <key | \"\"> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key [key ...]]",
    keys: &[
        KeySpec::one(3, Access::ReadWrite).using(USE),
        KeySpec::new(
            Begin::Keyword("KEYS", -2),
            Find::Range { last: -1, step: 1, limit: 0 },
            Access::ReadWrite,
        )
        .using(USE.and(KeyUse::INCOMPLETE)),
    ],
    key_range: Some(keys),
    acl: &["@dangerous"],
    secrets: &[Secret::After("AUTH", 1), Secret::After("AUTH2", 2)],
    tips: &["nondeterministic_output"],
    ..row(
        "migrate",
        Group::Generic,
        "2.6.0",
        -6,
        Flags::WRITES.and(Flags::SHRINKS).and(Flags::MOVABLEKEYS),
        Run::Session(run),
    )
}];

/// The word behind KEYS is a key, and so are all that follow; a password may be spelled so.
fn keys(a: Args<'_>) -> Range<usize> {
    let mut i = OPTIONS;
    while i < a.len() && a.get(3).is_empty() {
        match () {
            () if a.is(i, "KEYS") => return i + 1..a.len(),
            () if a.is(i, "AUTH") => i += 1,
            () if a.is(i, "AUTH2") => i += 2,
            () => {}
        }
        i += 1;
    }
    3..4
}

/// MIGRATE host port key|"" destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password]
/// [KEYS key [key ...]]
fn run(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let (mut copy, mut replace) = (false, false);
    let mut login: &[&[u8]] = &[];
    let mut i = OPTIONS;
    while i < a.len() {
        let more = a.len() - 1 - i;
        match () {
            () if a.is(i, "COPY") => copy = true,
            () if a.is(i, "REPLACE") => replace = true,
            () if a.is(i, "AUTH") && more >= 1 => {
                login = &a.all()[i + 1..i + 2];
                i += 1;
            }
            () if a.is(i, "AUTH2") && more >= 2 => {
                login = &a.all()[i + 1..i + 3];
                i += 2;
            }
            () if a.is(i, "KEYS") => {
                if !a.get(3).is_empty() {
                    return Err(CmdError::fixed(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                break;
            }
            () => return Err(CmdError::SYNTAX),
        }
        i += 1;
    }
    let timeout = a.int(5)?;
    let db = a.int(4)?;
    let timeout = u64::try_from(timeout).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS);
    let packed = cx.pack(&a.all()[keys(a)])?;
    if packed.is_empty() {
        cx.out.simple("NOKEY");
        return Ok(());
    }
    let wish = Wish {
        host: a.get(1),
        port: a.get(2),
        db,
        timeout: Duration::from_millis(timeout),
        login,
        copy,
        replace,
        keys: packed,
    };
    migrate::migrate(cx, wish)
}
