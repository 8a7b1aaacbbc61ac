//! Sorted set commands.
//!
//! | file | commands |
//! |---|---|
//! | [`add`] | ZADD, ZINCRBY |
//! | [`look`] | ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT |
//! | [`range`] | ZRANGE and its older forms, ZRANGESTORE |
//! | [`remove`] | ZREM, ZREMRANGEBY* |
//! | [`pop`] | ZPOPMIN, ZPOPMAX, ZMPOP and their forms that wait |
//! | [`walk`] | ZRANDMEMBER, ZSCAN |
//! | [`algebra`] | ZUNION, ZINTER, ZDIFF and their storing forms, ZINTERCARD |

mod add;
mod algebra;
mod combine;
mod look;
mod pop;
mod range;
mod remove;
mod reply;
mod walk;

pub(in crate::commands) use add::{Options as AddOptions, add_scored};

use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};
use crate::error::CmdError;
use crate::event::{Class, Event};

const ZADD: Event = Event::new(Class::ZSET, "zadd");
const ZINCR: Event = Event::new(Class::ZSET, "zincr");
const ZREM: Event = Event::new(Class::ZSET, "zrem");
const ZREMRANGEBYRANK: Event = Event::new(Class::ZSET, "zremrangebyrank");
const ZREMRANGEBYSCORE: Event = Event::new(Class::ZSET, "zremrangebyscore");
const ZREMRANGEBYLEX: Event = Event::new(Class::ZSET, "zremrangebylex");
const ZPOPMIN: Event = Event::new(Class::ZSET, "zpopmin");
const ZPOPMAX: Event = Event::new(Class::ZSET, "zpopmax");
const ZRANGESTORE: Event = Event::new(Class::ZSET, "zrangestore");
const ZUNIONSTORE: Event = Event::new(Class::ZSET, "zunionstore");
const ZINTERSTORE: Event = Event::new(Class::ZSET, "zinterstore");
const ZDIFFSTORE: Event = Event::new(Class::ZSET, "zdiffstore");

const BAD_SCORES: CmdError = CmdError::fixed("ERR min or max is not a float");
const BAD_LEX: CmdError = CmdError::fixed("ERR min or max not valid string range item");

const FAST: Flags = Flags::FAST;
const OOM: Flags = Flags::DENYOOM;
const OOM_FAST: Flags = OOM.and(FAST);
const MOVABLE: Flags = Flags::MOVABLEKEYS;
const STORE: Flags = OOM.and(MOVABLE);
const MPOP: Flags = MOVABLE.and(Flags::SHRINKS);
const SHRINK_FAST: Flags = FAST.and(Flags::SHRINKS);

const POPS: KeyUse = KeyUse::ACCESS.and(KeyUse::DELETE);
const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];
const DELETE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::DELETE)];
const POP_ONE: &[KeySpec] = &[KeySpec::one(1, Access::ReadWrite).using(POPS)];
const POP_MANY: &[KeySpec] = &[KeySpec::range(1, -2, 1, Access::ReadWrite).using(POPS)];
const INPUTS: &[KeySpec] = &[KeySpec::counted(1, Access::ReadOnly)];
const TO_KEY: &[KeySpec] =
    &[KeySpec::one(1, Access::Overwrite), KeySpec::counted(2, Access::ReadOnly)];

const BY_LOG: &str = "O(log(N)) where N is the size of the sorted set.";
const POP: &str = "O(M*log(N)) where M is the number of members removed and N the size of the \
                   sorted set.";
const RANGE: &str = "O(log(N) + M) where N is the size of the sorted set and M the number of \
                     members returned.";
const REMOVE: &str = "O(log(N) + M) where N is the size of the sorted set and M the number of \
                      members removed.";
const UNION: &str = "O(N + M*log(M)) where N is the size of all inputs together and M that of \
                     the result.";
const INTER: &str = "O(N*K + M*log(M)) where N is the size of the smallest input, K the number \
                     of inputs and M the size of the result.";
const DIFF: &str = "O(L + M*log(M)) where L is the size of all inputs together and M that of the \
                    result.";

rows_of!(Group::SortedSet);

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        flags: MPOP.and(Flags::BLOCKING),
        complexity: "O(K + M*log(N)) where K is the number of keys, M the number of members \
                     removed and N the size of the sorted set.",
        ..row(
            "bzmpop",
            "7.0.0",
            "Removes and returns members with the lowest or highest scores of the first sorted \
             set that has any; waits until one has.",
            -5,
            "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
            &[KeySpec::counted(2, Access::ReadWrite).using(POPS)],
            Run::Write(pop::bzmpop),
        )
    },
    CommandSpec {
        flags: SHRINK_FAST.and(Flags::BLOCKING),
        complexity: BY_LOG,
        ..row(
            "bzpopmax",
            "5.0.0",
            "Removes and returns the member with the highest score of the first sorted set that \
             has any; waits until one has.",
            -3,
            "key [key ...] timeout",
            POP_MANY,
            Run::Write(pop::bzpopmax),
        )
    },
    CommandSpec {
        flags: SHRINK_FAST.and(Flags::BLOCKING),
        complexity: BY_LOG,
        ..row(
            "bzpopmin",
            "5.0.0",
            "Removes and returns the member with the lowest score of the first sorted set that \
             has any; waits until one has.",
            -3,
            "key [key ...] timeout",
            POP_MANY,
            Run::Write(pop::bzpopmin),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        complexity: "O(log(N)) for each member, where N is the size of the sorted set.",
        ..row(
            "zadd",
            "1.2.0",
            "Adds members to a sorted set or changes their scores.",
            -4,
            "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::UPDATE)],
            Run::Write(add::zadd),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "zcard",
            "1.2.0",
            "Returns the number of members of a sorted set.",
            2,
            "key",
            &[KeySpec::one(1, Access::ReadOnly).using(KeyUse::NONE)],
            Run::Read(look::zcard),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: BY_LOG,
        ..row(
            "zcount",
            "2.0.0",
            "Counts the members whose score lies in a range.",
            4,
            "key min max",
            READ,
            Run::Read(look::zcount),
        )
    },
    CommandSpec {
        flags: MOVABLE,
        complexity: DIFF,
        ..row(
            "zdiff",
            "6.2.0",
            "Returns the members of the first sorted set that no other one has.",
            -3,
            "numkeys key [key ...] [WITHSCORES]",
            INPUTS,
            Run::Read(algebra::zdiff),
        )
    },
    CommandSpec {
        flags: STORE,
        complexity: DIFF,
        ..row(
            "zdiffstore",
            "6.2.0",
            "Stores the members of the first sorted set that no other one has.",
            -4,
            "destination numkeys key [key ...]",
            TO_KEY,
            Run::Write(algebra::zdiffstore),
        )
    },
    CommandSpec {
        flags: OOM_FAST,
        complexity: BY_LOG,
        ..row(
            "zincrby",
            "1.2.0",
            "Adds to the score of a member, 0 if there is none.",
            4,
            "key increment member",
            &[KeySpec::one(1, Access::ReadWrite)],
            Run::Write(add::zincrby),
        )
    },
    CommandSpec {
        flags: MOVABLE,
        complexity: INTER,
        ..row(
            "zinter",
            "6.2.0",
            "Returns the members that all sorted sets have.",
            -3,
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | \
             COUNT>] [WITHSCORES]",
            INPUTS,
            Run::Read(algebra::zinter),
        )
    },
    CommandSpec {
        flags: MOVABLE,
        complexity: "O(N*K) where N is the size of the smallest input and K the number of inputs.",
        ..row(
            "zintercard",
            "7.0.0",
            "Counts the members that all sorted sets have.",
            -3,
            "numkeys key [key ...] [LIMIT limit]",
            INPUTS,
            Run::Read(algebra::zintercard),
        )
    },
    CommandSpec {
        flags: STORE,
        complexity: INTER,
        ..row(
            "zinterstore",
            "2.0.0",
            "Stores the members that all sorted sets have.",
            -4,
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | \
             MIN | MAX | COUNT>]",
            TO_KEY,
            Run::Write(algebra::zinterstore),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: BY_LOG,
        ..row(
            "zlexcount",
            "2.8.9",
            "Counts the members in a lexicographical range.",
            4,
            "key min max",
            READ,
            Run::Read(look::zlexcount),
        )
    },
    CommandSpec {
        flags: MPOP,
        complexity: "O(K + M*log(N)) where K is the number of keys, M the number of members \
                     removed and N the size of the sorted set.",
        ..row(
            "zmpop",
            "7.0.0",
            "Removes and returns members with the lowest or highest scores of the first sorted \
             set that has any.",
            -4,
            "numkeys key [key ...] <MIN | MAX> [COUNT count]",
            &[KeySpec::counted(1, Access::ReadWrite).using(POPS)],
            Run::Write(pop::zmpop),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: "O(N) where N is the number of members asked for.",
        ..row(
            "zmscore",
            "6.2.0",
            "Returns the scores of members.",
            -3,
            "key member [member ...]",
            READ,
            Run::Read(look::zmscore),
        )
    },
    CommandSpec {
        flags: SHRINK_FAST,
        complexity: POP,
        ..row(
            "zpopmax",
            "5.0.0",
            "Removes and returns the members with the highest scores.",
            -2,
            "key [count]",
            POP_ONE,
            Run::Write(pop::zpopmax),
        )
    },
    CommandSpec {
        flags: SHRINK_FAST,
        complexity: POP,
        ..row(
            "zpopmin",
            "5.0.0",
            "Removes and returns the members with the lowest scores.",
            -2,
            "key [count]",
            POP_ONE,
            Run::Write(pop::zpopmin),
        )
    },
    CommandSpec {
        complexity: "O(N*log(M)) where N is the number of members returned and M the size of \
                     the sorted set.",
        tips: &["nondeterministic_output"],
        ..row(
            "zrandmember",
            "6.2.0",
            "Returns members picked at random.",
            -2,
            "key [count [WITHSCORES]]",
            READ,
            Run::Read(walk::zrandmember),
        )
    },
    CommandSpec {
        complexity: RANGE,
        ..row(
            "zrange",
            "1.2.0",
            "Returns the members in a range of ranks, scores or names.",
            -4,
            "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
            READ,
            Run::Read(range::zrange),
        )
    },
    CommandSpec {
        complexity: RANGE,
        ..row(
            "zrangebylex",
            "2.8.9",
            "Returns the members in a lexicographical range.",
            -4,
            "key min max [LIMIT offset count]",
            READ,
            Run::Read(range::zrangebylex),
        )
    },
    CommandSpec {
        complexity: RANGE,
        ..row(
            "zrangebyscore",
            "1.0.5",
            "Returns the members whose score lies in a range.",
            -4,
            "key min max [WITHSCORES] [LIMIT offset count]",
            READ,
            Run::Read(range::zrangebyscore),
        )
    },
    CommandSpec {
        flags: OOM,
        complexity: "O(log(N) + M*log(M)) where N is the size of the source and M the number of \
                     members stored.",
        ..row(
            "zrangestore",
            "6.2.0",
            "Stores the members in a range of ranks, scores or names.",
            -5,
            "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
            &[KeySpec::one(1, Access::Overwrite), KeySpec::one(2, Access::ReadOnly)],
            Run::Write(range::zrangestore),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: BY_LOG,
        ..row(
            "zrank",
            "2.0.0",
            "Returns the rank of a member, counted from the lowest score.",
            -3,
            "key member [WITHSCORE]",
            READ,
            Run::Read(look::zrank),
        )
    },
    CommandSpec {
        flags: SHRINK_FAST,
        complexity: "O(M*log(N)) where M is the number of members to remove and N the size of \
                     the sorted set.",
        ..row(
            "zrem",
            "1.2.0",
            "Removes members.",
            -3,
            "key member [member ...]",
            DELETE,
            Run::Write(remove::zrem),
        )
    },
    CommandSpec {
        flags: Flags::SHRINKS,
        complexity: REMOVE,
        ..row(
            "zremrangebylex",
            "2.8.9",
            "Removes the members in a lexicographical range.",
            4,
            "key min max",
            DELETE,
            Run::Write(remove::zremrangebylex),
        )
    },
    CommandSpec {
        flags: Flags::SHRINKS,
        complexity: REMOVE,
        ..row(
            "zremrangebyrank",
            "2.0.0",
            "Removes the members in a range of ranks.",
            4,
            "key start stop",
            DELETE,
            Run::Write(remove::zremrangebyrank),
        )
    },
    CommandSpec {
        flags: Flags::SHRINKS,
        complexity: REMOVE,
        ..row(
            "zremrangebyscore",
            "1.2.0",
            "Removes the members whose score lies in a range.",
            4,
            "key min max",
            DELETE,
            Run::Write(remove::zremrangebyscore),
        )
    },
    CommandSpec {
        complexity: RANGE,
        ..row(
            "zrevrange",
            "1.2.0",
            "Returns the members in a range of ranks, backwards.",
            -4,
            "key start stop [WITHSCORES]",
            READ,
            Run::Read(range::zrevrange),
        )
    },
    CommandSpec {
        complexity: RANGE,
        ..row(
            "zrevrangebylex",
            "2.8.9",
            "Returns the members in a lexicographical range, backwards.",
            -4,
            "key max min [LIMIT offset count]",
            READ,
            Run::Read(range::zrevrangebylex),
        )
    },
    CommandSpec {
        complexity: RANGE,
        ..row(
            "zrevrangebyscore",
            "2.2.0",
            "Returns the members whose score lies in a range, backwards.",
            -4,
            "key max min [WITHSCORES] [LIMIT offset count]",
            READ,
            Run::Read(range::zrevrangebyscore),
        )
    },
    CommandSpec {
        flags: FAST,
        complexity: BY_LOG,
        ..row(
            "zrevrank",
            "2.0.0",
            "Returns the rank of a member, counted from the highest score.",
            -3,
            "key member [WITHSCORE]",
            READ,
            Run::Read(look::zrevrank),
        )
    },
    CommandSpec {
        complexity: "O(1) for every call. O(N) for a complete iteration, where N is the size of \
                     the sorted set.",
        tips: &["nondeterministic_output"],
        ..row(
            "zscan",
            "2.8.0",
            "Goes through members and scores of a sorted set.",
            -3,
            "key cursor [MATCH pattern] [COUNT count]",
            READ,
            Run::Read(walk::zscan),
        )
    },
    CommandSpec {
        flags: FAST,
        ..row(
            "zscore",
            "1.2.0",
            "Returns the score of a member.",
            3,
            "key member",
            READ,
            Run::Read(look::zscore),
        )
    },
    CommandSpec {
        flags: MOVABLE,
        complexity: UNION,
        ..row(
            "zunion",
            "6.2.0",
            "Returns the members that any sorted set has.",
            -3,
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | \
             COUNT>] [WITHSCORES]",
            INPUTS,
            Run::Read(algebra::zunion),
        )
    },
    CommandSpec {
        flags: STORE,
        complexity: UNION,
        ..row(
            "zunionstore",
            "2.0.0",
            "Stores the members that any sorted set has.",
            -4,
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | \
             MIN | MAX | COUNT>]",
            TO_KEY,
            Run::Write(algebra::zunionstore),
        )
    },
];
