//! Commands on keys of any type, and on whole databases.
//!
//! | file | commands |
//! |---|---|
//! | [`keys`] | DEL, UNLINK, EXISTS, TOUCH, TYPE, RENAME, RENAMENX, MOVE, COPY |
//! | [`expire`] | the EXPIRE and TTL families, PERSIST |
//! | [`walk`] | KEYS, SCAN, RANDOMKEY, DBSIZE |
//! | [`databases`] | FLUSHDB, FLUSHALL, SWAPDB |
//! | [`object`] | OBJECT |
//! | [`sort`] | SORT, SORT_RO |
//! | [`dump`] | DUMP, RESTORE |

mod databases;
mod dump;
mod expire;
mod keys;
mod object;
mod sort;
mod walk;

pub(super) use expire::expire_at;

use crate::command::spec::{Begin, Find};
use crate::command::{
    Access, CommandSpec, DbSpec, Flags, Group, KeySpec, KeyUse, PatternOption, Run,
};
use crate::error::{CmdError, CmdResult};
use moon_formats::number::parse_i64;

const FAST: Flags = Flags::FAST;

const LOOK: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly).using(KeyUse::NONE)];
const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::UPDATE)];
const REMOVE_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::Remove)];
const LOOK_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::ReadOnly).using(KeyUse::NONE)];
const SOURCE: KeySpec =
    KeySpec::one(1, Access::ReadWrite).using(KeyUse::ACCESS.and(KeyUse::DELETE));
const OBJECT_KEY: &[KeySpec] = &[KeySpec::one(2, Access::ReadOnly).using(KeyUse::NONE)];

const SUM_OF_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const ALL_SHARDS_SUCCEED: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const CHANGES_BY_ITSELF: &[&str] = &["nondeterministic_output"];

const SORT_PATTERNS: &[PatternOption] = &[
    PatternOption { name: "BY", only_with_star: true },
    PatternOption { name: "GET", only_with_star: false },
];
const SORTABLE: &[&str] = &["@dangerous", "@list", "@set", "@sortedset"];
const SORTING: &str = "O(N+M*log(M)) where N is the number of elements to sort and M that of the \
                       elements returned; O(N) where nothing is sorted.";
const BY_KEYS: &str = "O(N) where N is the number of keys.";
const BY_SIZE: &str = "O(N) where N is the size of the value; O(N log N) for sorted sets.";

rows_of!(Group::Generic);

/// Rows of the group, and of the server group's commands on whole databases.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        databases: DbSpec::After("DB"),
        flags: Flags::DENYOOM,
        complexity: "O(N) worst case for collections, where N is the number of elements. O(1) \
                     for strings.",
        ..row(
            "copy",
            "6.2.0",
            "Copies a key with its time to live.",
            -3,
            "source destination [DB destination-db] [REPLACE]",
            &[KeySpec::one(1, Access::ReadOnly), KeySpec::one(2, Access::Overwrite)],
            Run::Write(keys::copy),
        )
    },
    CommandSpec {
        flags: Flags::SHRINKS,
        complexity: "O(N) where N is the number of keys and of the elements of collections \
                     among them.",
        tips: SUM_OF_SHARDS,
        ..row(
            "del",
            "1.0.0",
            "Removes keys.",
            -2,
            "key [key ...]",
            REMOVE_ALL,
            Run::Write(keys::del),
        )
    },
    CommandSpec {
        complexity: BY_SIZE,
        tips: CHANGES_BY_ITSELF,
        ..row(
            "dump",
            "2.6.0",
            "Returns the value of a key in the form that RESTORE takes.",
            2,
            "key",
            READ,
            Run::Read(dump::dump),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: BY_KEYS,
        tips: SUM_OF_SHARDS,
        ..row(
            "exists",
            "1.0.0",
            "Counts which of the keys exist.",
            -2,
            "key [key ...]",
            LOOK_ALL,
            Run::Read(keys::exists),
        )
    },
    CommandSpec {
        flags: FAST.and(Flags::SHRINKS),
        ..row(
            "expire",
            "1.0.0",
            "Sets the time to live of a key in seconds.",
            -3,
            "key seconds [NX | XX | GT | LT]",
            UPDATE,
            Run::Write(expire::expire),
        )
    },
    CommandSpec {
        flags: FAST.and(Flags::SHRINKS),
        ..row(
            "expireat",
            "1.2.0",
            "Sets when a key expires as Unix time in seconds.",
            -3,
            "key unix-time-seconds [NX | XX | GT | LT]",
            UPDATE,
            Run::Write(expire::expireat),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "expiretime",
            "7.0.0",
            "Returns when a key expires as Unix time in seconds.",
            2,
            "key",
            READ,
            Run::Read(expire::expiretime),
        )
    },
    CommandSpec {
        acl: &["@dangerous"],
        complexity: "O(N) where N is the number of keys in the database.",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        ..row(
            "keys",
            "1.0.0",
            "Returns the keys that match a pattern.",
            2,
            "pattern",
            &[],
            Run::Read(walk::keys),
        )
    },
    CommandSpec {
        databases: DbSpec::Named(&[2]),
        flags: FAST,
        ..row(
            "move",
            "1.0.0",
            "Moves a key into another database.",
            3,
            "key db",
            &[KeySpec::one(1, Access::ReadWrite)],
            Run::Write(keys::move_key),
        )
    },
    CommandSpec {
        complexity: "Depends on subcommand.",
        subs: &[
            CommandSpec {
                tips: CHANGES_BY_ITSELF,
                ..row(
                    "object|encoding",
                    "2.2.3",
                    "Returns the internal encoding of a value.",
                    3,
                    "key",
                    OBJECT_KEY,
                    Run::Read(object::encoding),
                )
            },
            CommandSpec {
                tips: CHANGES_BY_ITSELF,
                ..row(
                    "object|freq",
                    "4.0.0",
                    "Returns how often a value is used, on a logarithmic scale.",
                    3,
                    "key",
                    OBJECT_KEY,
                    Run::Read(object::freq),
                )
            },
            CommandSpec {
                flags: Flags::LOADING.and(Flags::STALE),
                ..row(
                    "object|help",
                    "6.2.0",
                    "Explains the subcommands.",
                    2,
                    "",
                    &[],
                    Run::Session(object::help),
                )
            },
            CommandSpec {
                tips: CHANGES_BY_ITSELF,
                ..row(
                    "object|idletime",
                    "2.2.3",
                    "Returns the seconds since a value was last used.",
                    3,
                    "key",
                    OBJECT_KEY,
                    Run::Read(object::idletime),
                )
            },
            CommandSpec {
                tips: CHANGES_BY_ITSELF,
                ..row(
                    "object|refcount",
                    "2.2.3",
                    "Returns the number of references to a value.",
                    3,
                    "key",
                    OBJECT_KEY,
                    Run::Read(object::refcount),
                )
            },
        ],
        ..row("object", "2.2.3", "Tells about the values of keys.", -2, "", &[], Run::Container)
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "persist",
            "2.2.0",
            "Takes off the time to live of a key.",
            2,
            "key",
            UPDATE,
            Run::Write(expire::persist),
        )
    },
    CommandSpec {
        flags: FAST.and(Flags::SHRINKS),
        ..row(
            "pexpire",
            "2.6.0",
            "Sets the time to live of a key in milliseconds.",
            -3,
            "key milliseconds [NX | XX | GT | LT]",
            UPDATE,
            Run::Write(expire::pexpire),
        )
    },
    CommandSpec {
        flags: FAST.and(Flags::SHRINKS),
        ..row(
            "pexpireat",
            "2.6.0",
            "Sets when a key expires as Unix time in milliseconds.",
            -3,
            "key unix-time-milliseconds [NX | XX | GT | LT]",
            UPDATE,
            Run::Write(expire::pexpireat),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "pexpiretime",
            "7.0.0",
            "Returns when a key expires as Unix time in milliseconds.",
            2,
            "key",
            READ,
            Run::Read(expire::pexpiretime),
        )
    },
    CommandSpec {
        flags: FAST,
        tips: CHANGES_BY_ITSELF,
        ..row(
            "pttl",
            "2.6.0",
            "Returns the time to live of a key in milliseconds.",
            2,
            "key",
            READ,
            Run::Read(expire::pttl),
        )
    },
    CommandSpec {
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        ..row(
            "randomkey",
            "1.0.0",
            "Returns a key of the database at random.",
            1,
            "",
            &[],
            Run::Read(walk::randomkey),
        )
    },
    row(
        "rename",
        "1.0.0",
        "Renames a key, over another one if need be.",
        3,
        "key newkey",
        &[SOURCE, KeySpec::one(2, Access::Overwrite)],
        Run::Write(keys::rename),
    ),
    CommandSpec {
        flags: FAST,
        ..row(
            "renamenx",
            "1.0.0",
            "Renames a key if there is none of the new name.",
            3,
            "key newkey",
            &[SOURCE, KeySpec::one(2, Access::Overwrite).using(KeyUse::INSERT)],
            Run::Write(keys::renamenx),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        complexity: BY_SIZE,
        acl: &["@dangerous"],
        ..row(
            "restore",
            "2.6.0",
            "Makes a key from what DUMP returned.",
            -4,
            "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
            &[KeySpec::one(1, Access::Overwrite)],
            Run::Write(dump::restore),
        )
    },
    CommandSpec {
        complexity: "O(1) for every call. O(N) for a complete iteration, where N is the number \
                     of keys in the database.",
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        ..row(
            "scan",
            "2.8.0",
            "Goes through the keys of the database.",
            -2,
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
            &[],
            Run::Read(walk::scan),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: BY_KEYS,
        tips: SUM_OF_SHARDS,
        ..row(
            "touch",
            "3.2.1",
            "Marks keys as used and counts those that exist.",
            -2,
            "key [key ...]",
            LOOK_ALL,
            Run::Read(keys::touch),
        )
    },
    CommandSpec {
        flags: FAST,
        tips: CHANGES_BY_ITSELF,
        ..row(
            "ttl",
            "1.0.0",
            "Returns the time to live of a key in seconds.",
            2,
            "key",
            READ,
            Run::Read(expire::ttl),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "type",
            "1.0.0",
            "Returns the type of the value of a key.",
            2,
            "key",
            LOOK,
            Run::Read(keys::type_of),
        )
    },
    CommandSpec {
        flags: FAST.and(Flags::SHRINKS),
        complexity: "O(1) for each key. Memory of large values is given back afterwards.",
        tips: SUM_OF_SHARDS,
        ..row(
            "unlink",
            "4.0.0",
            "Removes keys.",
            -2,
            "key [key ...]",
            REMOVE_ALL,
            Run::Write(keys::unlink),
        )
    },
    CommandSpec {
        group: Group::Server,
        flags: FAST,
        acl: &["@keyspace"],
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        ..row(
            "dbsize",
            "1.0.0",
            "Returns the number of keys in the database.",
            1,
            "",
            &[],
            Run::Read(walk::dbsize),
        )
    },
    CommandSpec {
        databases: DbSpec::All,
        flags: Flags::SHRINKS,
        group: Group::Server,
        complexity: "O(N) where N is the number of keys in all databases",
        acl: &["@keyspace", "@dangerous"],
        tips: ALL_SHARDS_SUCCEED,
        ..row(
            "flushall",
            "1.0.0",
            "Removes all keys of all databases.",
            -1,
            "[ASYNC | SYNC]",
            &[],
            Run::Write(databases::flushall),
        )
    },
    CommandSpec {
        flags: Flags::SHRINKS,
        group: Group::Server,
        complexity: "O(N) where N is the number of keys in the database",
        acl: &["@keyspace", "@dangerous"],
        tips: ALL_SHARDS_SUCCEED,
        ..row(
            "flushdb",
            "1.0.0",
            "Removes all keys of the database.",
            -1,
            "[ASYNC | SYNC]",
            &[],
            Run::Write(databases::flushdb),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM.and(Flags::MOVABLEKEYS),
        complexity: SORTING,
        acl: SORTABLE,
        key_patterns: SORT_PATTERNS,
        ..row(
            "sort",
            "1.0.0",
            "Sorts the elements of a list, set or sorted set, and may store the outcome.",
            -2,
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] \
             [ALPHA] [STORE destination]",
            &[
                KeySpec::one(1, Access::ReadOnly),
                KeySpec::new(
                    Begin::Keyword("STORE", -2),
                    Find::Range { last: 0, step: 1, limit: 0 },
                    Access::Overwrite,
                ),
            ],
            Run::Write(sort::sort),
        )
    },
    CommandSpec {
        flags: Flags::MOVABLEKEYS,
        complexity: SORTING,
        acl: SORTABLE,
        key_patterns: SORT_PATTERNS,
        ..row(
            "sort_ro",
            "7.0.0",
            "Sorts the elements of a list, set or sorted set.",
            -2,
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] \
             [ALPHA]",
            READ,
            Run::Read(sort::sort_ro),
        )
    },
    CommandSpec {
        databases: DbSpec::Named(&[1, 2]),
        group: Group::Server,
        flags: FAST,
        complexity: "O(N) where N is the number of clients that watch keys or wait for keys of \
                     the two databases.",
        acl: &["@keyspace", "@dangerous"],
        ..row(
            "swapdb",
            "4.0.0",
            "Exchanges the content of two databases.",
            3,
            "index1 index2",
            &[],
            Run::Write(databases::swapdb),
        )
    },
];

/// A database number: an integer of 32 bits, then one that exists.
pub(super) fn db_number(text: &[u8], count: usize) -> CmdResult<u16> {
    let n = parse_i64(text).ok_or(CmdError::NOT_INT)?;
    let n = i32::try_from(n).map_err(|_| {
        CmdError::fixed("ERR value is out of range, value must between -2147483648 and 2147483647")
    })?;
    existing_db(n, count)
}

fn existing_db(n: i32, count: usize) -> CmdResult<u16> {
    u16::try_from(n).ok().filter(|n| usize::from(*n) < count).ok_or(CmdError::DB_INDEX)
}
