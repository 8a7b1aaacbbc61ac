//! Stream commands.
//!
//! | file | commands |
//! |---|---|
//! | [`add`] | XADD |
//! | [`range`] | XLEN, XRANGE, XREVRANGE |
//! | [`read`] | XREAD, XREADGROUP |
//! | [`delete`] | XDEL, XDELEX, XACK, XACKDEL, XSETID |
//! | [`trim`] | XTRIM, and trimming by XADD |
//! | [`groups`] | XGROUP |
//! | [`pending`] | XPENDING |
//! | [`claim`] | XCLAIM, XAUTOCLAIM, XNACK |
//! | [`info`] | XINFO |
//!
//! What a group did depends on time, so it is logged as its outcome (`effects`): who holds which entry
//! since when, and how far the group has read.

mod add;
mod claim;
mod delete;
mod effects;
mod groups;
mod idempotent;
mod ids;
mod info;
mod pending;
mod range;
mod read;
mod reply;
mod trim;

use crate::command::spec::{Begin, Find};
use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::error::CmdError;
use crate::event::{Class, Event};

const XADD: Event = Event::new(Class::STREAM, "xadd");
const XDEL: Event = Event::new(Class::STREAM, "xdel");
const XTRIM: Event = Event::new(Class::STREAM, "xtrim");
const XSETID: Event = Event::beside_content(Class::STREAM, "xsetid");

const NOT_ABOVE_TOP: CmdError = CmdError::fixed(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);
const TOO_LARGE: CmdError = CmdError::fixed("ERR Elements are too large to be stored");
const BOTH_TRIMS: CmdError = CmdError::fixed(
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
);

const FAST: Flags = Flags::FAST;
const OOM: Flags = Flags::DENYOOM;
const OOM_FAST: Flags = OOM.and(FAST);
const SHRINK_FAST: Flags = FAST.and(Flags::SHRINKS);
const LOOKS: Flags = Flags::LOADING.and(Flags::STALE);
const WAITS: Flags = Flags::BLOCKING.and(Flags::MOVABLEKEYS);

const POPS: KeyUse = KeyUse::ACCESS.and(KeyUse::DELETE);
const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];
const LOOK: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly).using(KeyUse::NONE)];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::UPDATE)];
const DELETE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::DELETE)];
const POP: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(POPS)];
const SUB_READ: &[KeySpec] = &[KeySpec::one(2, Access::ReadOnly)];
const SUB_INSERT: &[KeySpec] = &[KeySpec::one(2, Access::ReadWrite).using(KeyUse::INSERT)];
const SUB_UPDATE: &[KeySpec] = &[KeySpec::one(2, Access::ReadWrite).using(KeyUse::UPDATE)];
const SUB_DELETE: &[KeySpec] = &[KeySpec::one(2, Access::ReadWrite).using(KeyUse::DELETE)];
/// The first half of what follows STREAMS.
const HALF: Find = Find::Range { last: -1, step: 1, limit: 2 };
const STREAMS: &[KeySpec] = &[KeySpec::new(Begin::Keyword("STREAMS", 1), HALF, Access::ReadOnly)];
const GROUP_STREAMS: &[KeySpec] =
    &[KeySpec::new(Begin::Keyword("STREAMS", 4), HALF, Access::ReadOnly)];

const CHANGES_BY_ITSELF: &[&str] = &["nondeterministic_output"];
const BY_IDS: &str = "O(1) for each entry.";
const RANGE: &str = "O(N) where N is the number of entries returned.";

rows_of!(Group::Stream);

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        flags: SHRINK_FAST,
        complexity: BY_IDS,
        ..row(
            "xack",
            "5.0.0",
            "Acknowledges entries that a group has pending.",
            -4,
            "key group id [id ...]",
            UPDATE,
            Run::Write(delete::xack),
        )
    },
    CommandSpec {
        flags: SHRINK_FAST,
        complexity: BY_IDS,
        ..row(
            "xackdel",
            "8.2.0",
            "Acknowledges entries that a group has pending, and deletes them.",
            -6,
            "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
            DELETE,
            Run::Write(delete::xackdel),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        complexity: "O(1), and O(N) with N the number of entries trimmed.",
        tips: CHANGES_BY_ITSELF,
        ..row(
            "xadd",
            "5.0.0",
            "Appends an entry to a stream.",
            -5,
            "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer-id | IDMP producer-id idempotent-id] [<MAXLEN | MINID> [= | ~] threshold [LIMIT limit]] <* | id> field value [field value ...]",
            UPDATE,
            Run::Write(add::xadd),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: "O(1) if COUNT is small.",
        tips: CHANGES_BY_ITSELF,
        ..row(
            "xautoclaim",
            "6.2.0",
            "Gives a consumer the entries that others have had pending for long.",
            -6,
            "key group consumer min-idle-time start [COUNT count] [JUSTID]",
            POP,
            Run::Write(claim::xautoclaim),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "xcfgset",
            "8.6.0",
            "Sets how long and how many idempotent ids a stream remembers.",
            -2,
            "key [IDMP-DURATION idmp-duration] [IDMP-MAXSIZE idmp-maxsize]",
            UPDATE,
            Run::Write(idempotent::xcfgset),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: "O(log(N)) with N the number of pending entries.",
        tips: CHANGES_BY_ITSELF,
        ..row(
            "xclaim",
            "5.0.0",
            "Gives a consumer entries that others have pending.",
            -6,
            "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
            UPDATE,
            Run::Write(claim::xclaim),
        )
    },
    CommandSpec {
        flags: SHRINK_FAST,
        complexity: BY_IDS,
        ..row(
            "xdel",
            "5.0.0",
            "Deletes entries.",
            -3,
            "key id [id ...]",
            DELETE,
            Run::Write(delete::xdel),
        )
    },
    CommandSpec {
        flags: SHRINK_FAST,
        complexity: BY_IDS,
        ..row(
            "xdelex",
            "8.2.0",
            "Deletes entries, minding the groups that have them pending.",
            -5,
            "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
            DELETE,
            Run::Write(delete::xdelex),
        )
    },
    CommandSpec {
        subs: &[
            CommandSpec {
                flags: OOM,
                ..row(
                    "xgroup|create",
                    "5.0.0",
                    "Makes a consumer group.",
                    -5,
                    "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
                    SUB_INSERT,
                    Run::Write(groups::create),
                )
            },
            CommandSpec {
                flags: OOM,
                ..row(
                    "xgroup|createconsumer",
                    "6.2.0",
                    "Makes a consumer of a group.",
                    5,
                    "key group consumer",
                    SUB_INSERT,
                    Run::Write(groups::create_consumer),
                )
            },
            CommandSpec {
                flags: Flags::SHRINKS,
                ..row(
                    "xgroup|delconsumer",
                    "5.0.0",
                    "Removes a consumer with all it has pending.",
                    5,
                    "key group consumer",
                    SUB_DELETE,
                    Run::Write(groups::remove_consumer),
                )
            },
            CommandSpec {
                flags: Flags::SHRINKS,
                complexity: "O(N) where N is the number of entries it has pending.",
                ..row(
                    "xgroup|destroy",
                    "5.0.0",
                    "Removes a consumer group.",
                    4,
                    "key group",
                    SUB_DELETE,
                    Run::Write(groups::destroy),
                )
            },
            CommandSpec {
                flags: LOOKS,
                ..row(
                    "xgroup|help",
                    "5.0.0",
                    "Lists the subcommands.",
                    2,
                    "",
                    &[],
                    Run::Session(groups::help),
                )
            },
            CommandSpec {
                ..row(
                    "xgroup|setid",
                    "5.0.0",
                    "Lets a group read on from an id.",
                    -5,
                    "key group <id | $> [ENTRIESREAD entries-read]",
                    SUB_UPDATE,
                    Run::Write(groups::set_id),
                )
            },
        ],
        ..row(
            "xgroup",
            "5.0.0",
            "Makes, moves and removes consumer groups.",
            -2,
            "",
            &[],
            Run::Container,
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "xidmprecord",
            "8.6.2",
            "Notes the idempotent id of an entry that is there.",
            5,
            "key producer-id idempotent-id id",
            UPDATE,
            Run::Write(idempotent::xidmprecord),
        )
    },
    CommandSpec {
        subs: &[
            CommandSpec {
                tips: CHANGES_BY_ITSELF,
                ..row(
                    "xinfo|consumers",
                    "5.0.0",
                    "Shows the consumers of a group.",
                    4,
                    "key group",
                    SUB_READ,
                    Run::Read(info::consumers),
                )
            },
            CommandSpec {
                ..row(
                    "xinfo|groups",
                    "5.0.0",
                    "Shows the groups of a stream.",
                    3,
                    "key",
                    SUB_READ,
                    Run::Read(info::groups),
                )
            },
            CommandSpec {
                flags: LOOKS,
                ..row(
                    "xinfo|help",
                    "5.0.0",
                    "Lists the subcommands.",
                    2,
                    "",
                    &[],
                    Run::Session(info::help),
                )
            },
            CommandSpec {
                ..row(
                    "xinfo|stream",
                    "5.0.0",
                    "Tells about a stream.",
                    -3,
                    "key [FULL [COUNT count]]",
                    SUB_READ,
                    Run::Read(info::stream_info),
                )
            },
        ],
        ..row(
            "xinfo",
            "5.0.0",
            "Tells about streams and their groups.",
            -2,
            "",
            &[],
            Run::Container,
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "xlen",
            "5.0.0",
            "Returns the number of entries.",
            2,
            "key",
            LOOK,
            Run::Read(range::xlen),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: BY_IDS,
        ..row(
            "xnack",
            "8.8.0",
            "Gives pending entries back, for another consumer to take at once.",
            -7,
            "key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]",
            UPDATE,
            Run::Write(claim::xnack),
        )
    },
    CommandSpec {
        complexity: "O(N) where N is the number of entries returned, O(1) for the summary if there are few consumers.",
        tips: CHANGES_BY_ITSELF,
        ..row(
            "xpending",
            "5.0.0",
            "Lists what a group has pending.",
            -3,
            "key group [[IDLE min-idle-time] start end count [consumer]]",
            READ,
            Run::Read(pending::xpending),
        )
    },
    CommandSpec {
        complexity: RANGE,
        ..row(
            "xrange",
            "5.0.0",
            "Returns the entries in a range of ids.",
            -4,
            "key start end [COUNT count]",
            READ,
            Run::Read(range::xrange),
        )
    },
    CommandSpec {
        flags: WAITS,
        complexity: RANGE,
        ..row(
            "xread",
            "5.0.0",
            "Returns the entries of streams after given ids.",
            -4,
            "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
            STREAMS,
            Run::Read(read::xread),
        )
    },
    CommandSpec {
        flags: WAITS,
        complexity: RANGE,
        ..row(
            "xreadgroup",
            "5.0.0",
            "Returns entries that a group has not read, or a consumer's own pending ones.",
            -7,
            "GROUP group consumer [COUNT count] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]",
            GROUP_STREAMS,
            Run::Write(read::xreadgroup),
        )
    },
    CommandSpec {
        complexity: RANGE,
        ..row(
            "xrevrange",
            "5.0.0",
            "Returns the entries in a range of ids, backwards.",
            -4,
            "key end start [COUNT count]",
            READ,
            Run::Read(range::xrevrange),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        ..row(
            "xsetid",
            "5.0.0",
            "Sets the last id of a stream.",
            -3,
            "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
            UPDATE,
            Run::Write(delete::xsetid),
        )
    },
    CommandSpec {
        flags: Flags::SHRINKS,
        complexity: "O(N) where N is the number of entries removed.",
        tips: CHANGES_BY_ITSELF,
        ..row(
            "xtrim",
            "5.0.0",
            "Removes the oldest entries.",
            -4,
            "key <MAXLEN | MINID> [= | ~] threshold [LIMIT limit] [KEEPREF | DELREF | ACKED]",
            DELETE,
            Run::Write(trim::xtrim),
        )
    },
];
