//! CLUSTER, ASKING, READONLY, READWRITE on a server that is no node of a cluster.
//!
//! Redis knows these commands without a cluster too, with their permissions and refusals, and answers each
//! of them, HELP included, that it has none. So the rows are here, and one function is behind them all.

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::row;

const GROUP: Group = Group::Cluster;
const STALE: Flags = Flags::STALE;
const OPEN: Flags = Flags::LOADING.and(STALE);
const ADMIN: Flags = Flags::ADMIN.and(STALE);
const CHANGES: Flags = ADMIN.and(Flags::NO_ASYNC_LOADING);

const BY_SLOTS: &str = "O(N) where N is the number of slots";
const BY_NODES: &str = "O(N) where N is the number of nodes";
const VARIES: &[&str] = &["nondeterministic_output"];

const fn sub(
    name: &'static str,
    since: &'static str,
    arity: i16,
    flags: Flags,
    syntax: &'static str,
    summary: &'static str,
) -> CommandSpec {
    CommandSpec {
        syntax,
        summary,
        ..row(name, GROUP, since, arity, flags, Run::Session(no_cluster))
    }
}

const fn varies(spec: CommandSpec) -> CommandSpec {
    CommandSpec { tips: VARIES, ..spec }
}

const fn takes(complexity: &'static str, spec: CommandSpec) -> CommandSpec {
    CommandSpec { complexity, ..spec }
}

const fn of_connection(name: &'static str, summary: &'static str, flags: Flags) -> CommandSpec {
    CommandSpec {
        acl: &["@connection"],
        ..sub(name, "3.0.0", 1, flags.and(Flags::FAST), "", summary)
    }
}

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    of_connection(
        "asking",
        "Signals that a cluster client is following an -ASK redirect.",
        Flags::NONE,
    ),
    of_connection(
        "readonly",
        "Enables read-only queries for a connection to a cluster replica node.",
        OPEN,
    ),
    of_connection(
        "readwrite",
        "Enables read-write queries for a connection to a cluster replica node.",
        OPEN,
    ),
    CommandSpec {
        summary: "A container for cluster commands.",
        complexity: "Depends on subcommand.",
        subs: SUBS,
        ..row("cluster", GROUP, "3.0.0", -2, Flags::NONE, Run::Container)
    },
];

const SUBS: &[CommandSpec] = &[
    takes(
        BY_SLOTS,
        sub(
            "cluster|addslots",
            "3.0.0",
            -3,
            CHANGES,
            "slot [slot ...]",
            "Assigns slots to a node.",
        ),
    ),
    takes(
        BY_SLOTS,
        sub(
            "cluster|addslotsrange",
            "7.0.0",
            -4,
            CHANGES,
            "start-slot end-slot [start-slot end-slot ...]",
            "Assigns ranges of slots to a node.",
        ),
    ),
    varies(sub("cluster|bumpepoch", "3.0.0", 2, CHANGES, "", "Advances the epoch of the cluster.")),
    varies(takes(
        "O(N) where N is the number of reports",
        sub(
            "cluster|count-failure-reports",
            "3.0.0",
            3,
            ADMIN,
            "node-id",
            "Returns how many nodes report that a node fails.",
        ),
    )),
    sub(
        "cluster|countkeysinslot",
        "3.0.0",
        3,
        STALE,
        "slot",
        "Returns the number of keys in a slot.",
    ),
    takes(
        BY_SLOTS,
        sub(
            "cluster|delslots",
            "3.0.0",
            -3,
            CHANGES,
            "slot [slot ...]",
            "Takes slots from a node.",
        ),
    ),
    takes(
        BY_SLOTS,
        sub(
            "cluster|delslotsrange",
            "7.0.0",
            -4,
            CHANGES,
            "start-slot end-slot [start-slot end-slot ...]",
            "Takes ranges of slots from a node.",
        ),
    ),
    sub(
        "cluster|failover",
        "3.0.0",
        -2,
        CHANGES,
        "[FORCE | TAKEOVER]",
        "Has a replica take the place of its master.",
    ),
    sub("cluster|flushslots", "3.0.0", 2, CHANGES, "", "Takes all slots from a node."),
    sub("cluster|forget", "3.0.0", 3, CHANGES, "node-id", "Removes a node from the cluster."),
    varies(takes(
        "O(N) where N is the number of keys wanted",
        sub(
            "cluster|getkeysinslot",
            "3.0.0",
            4,
            STALE,
            "slot count",
            "Returns names of keys in a slot.",
        ),
    )),
    sub("cluster|help", "5.0.0", 2, OPEN, "", "Returns a text about the subcommands."),
    varies(sub("cluster|info", "3.0.0", 2, STALE, "", "Returns the state of a node.")),
    takes(
        "O(N) where N is the number of bytes of the key",
        sub("cluster|keyslot", "3.0.0", 3, STALE, "key", "Returns the slot of a key."),
    ),
    varies(takes(
        BY_NODES,
        sub("cluster|links", "7.0.0", 2, STALE, "", "Returns the links to and from other nodes."),
    )),
    sub(
        "cluster|meet",
        "3.0.0",
        -4,
        CHANGES,
        "ip port [cluster-bus-port]",
        "Joins a node to another one.",
    ),
    sub("cluster|myid", "3.0.0", 2, STALE, "", "Returns the id of a node."),
    varies(sub("cluster|myshardid", "7.2.0", 2, STALE, "", "Returns the id of a node's shard.")),
    varies(takes(
        BY_NODES,
        sub("cluster|nodes", "3.0.0", 2, STALE, "", "Returns the nodes as a node knows them."),
    )),
    varies(takes(
        "O(N) where N is the number of replicas",
        sub("cluster|replicas", "5.0.0", 3, ADMIN, "node-id", "Lists the replicas of a node."),
    )),
    sub(
        "cluster|replicate",
        "3.0.0",
        3,
        CHANGES,
        "node-id",
        "Makes a node the replica of another.",
    ),
    takes(
        BY_NODES,
        sub(
            "cluster|reset",
            "3.0.0",
            -2,
            ADMIN.and(Flags::NOSCRIPT),
            "[HARD | SOFT]",
            "Takes a node out of its cluster.",
        ),
    ),
    sub("cluster|saveconfig", "3.0.0", 2, CHANGES, "", "Saves the configuration of a node."),
    sub(
        "cluster|set-config-epoch",
        "3.0.0",
        3,
        CHANGES,
        "config-epoch",
        "Sets the epoch of a new node.",
    ),
    sub(
        "cluster|setslot",
        "3.0.0",
        -4,
        CHANGES,
        "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>",
        "Binds a slot to a node.",
    ),
    varies(takes(
        BY_NODES,
        sub("cluster|shards", "7.0.0", 2, OPEN, "", "Returns which shard has which slots."),
    )),
    varies(takes(
        "O(N) where N is the number of replicas",
        sub("cluster|slaves", "3.0.0", 3, ADMIN, "node-id", "Lists the replicas of a node."),
    )),
    varies(takes(
        BY_NODES,
        sub("cluster|slots", "3.0.0", 2, OPEN, "", "Returns which node has which slots."),
    )),
];

fn no_cluster(_: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    Err(CmdError::fixed("ERR This instance has cluster support disabled"))
}
