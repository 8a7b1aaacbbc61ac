//! Geospatial commands: sorted sets whose scores are positions.
//!
//! | file | what is in it |
//! |---|---|
//! | [`hash`] | positions, cells and distances |
//! | [`shape`] | regions and the cells that cover them |
//! | [`point`] | GEOADD, GEODIST, GEOHASH, GEOPOS |
//! | [`args`] | arguments of the searches |
//! | [`search`] | GEOSEARCH, GEOSEARCHSTORE, GEORADIUS and its relatives |

mod args;
mod hash;
mod point;
mod search;
mod shape;

use crate::command::spec::{Begin, Find};
use crate::command::{Access, CommandSpec, Flags, Group, KeySpec, KeyUse, Run};

const READ: &[KeySpec] = &[KeySpec::one(1, Access::ReadOnly)];

/// Keys of a radius search that may store its result: the options are looked for behind the radius.
const fn radius_keys(options: i16) -> [KeySpec; 3] {
    const BEHIND: Find = Find::Range { last: 0, step: 1, limit: 0 };
    [
        KeySpec::one(1, Access::ReadOnly),
        KeySpec::new(Begin::Keyword("STORE", options), BEHIND, Access::Overwrite),
        KeySpec::new(Begin::Keyword("STOREDIST", options), BEHIND, Access::Overwrite),
    ]
}

const SEARCH: &str = "O(N+log(M)) where N is the number of members in the cells around the region and M \
                      the number of members inside it.";

rows_of!(Group::Geo);

/// Rows of the group.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        flags: Flags::DENYOOM,
        complexity: "O(log(N)) for each member, where N is the size of the sorted set.",
        ..row(
            "geoadd",
            "3.2.0",
            "Adds members with their positions to a sorted set, or moves them.",
            -5,
            "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
            &[KeySpec::one(1, Access::ReadWrite).using(KeyUse::UPDATE)],
            Run::Write(point::geoadd),
        )
    },
    CommandSpec {
        ..row(
            "geodist",
            "3.2.0",
            "Returns the distance between two members.",
            -4,
            "key member1 member2 [M | KM | FT | MI]",
            READ,
            Run::Read(point::geodist),
        )
    },
    CommandSpec {
        complexity: "O(1) for each member.",
        ..row(
            "geohash",
            "3.2.0",
            "Returns the geohashes of members.",
            -2,
            "key [member [member ...]]",
            READ,
            Run::Read(point::geohash),
        )
    },
    CommandSpec {
        complexity: "O(1) for each member.",
        ..row(
            "geopos",
            "3.2.0",
            "Returns the positions of members.",
            -2,
            "key [member [member ...]]",
            READ,
            Run::Read(point::geopos),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM.and(Flags::MOVABLEKEYS),
        complexity: SEARCH,
        ..row(
            "georadius",
            "3.2.0",
            "Returns or stores the members within a distance of a position.",
            -6,
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
            &radius_keys(6),
            Run::Write(search::georadius),
        )
    },
    CommandSpec {
        complexity: SEARCH,
        ..row(
            "georadius_ro",
            "3.2.10",
            "Returns the members within a distance of a position.",
            -6,
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC]",
            READ,
            Run::Read(search::georadius_ro),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM.and(Flags::MOVABLEKEYS),
        complexity: SEARCH,
        ..row(
            "georadiusbymember",
            "3.2.0",
            "Returns or stores the members within a distance of a member.",
            -5,
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
            &radius_keys(5),
            Run::Write(search::georadiusbymember),
        )
    },
    CommandSpec {
        complexity: SEARCH,
        ..row(
            "georadiusbymember_ro",
            "3.2.10",
            "Returns the members within a distance of a member.",
            -5,
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC]",
            READ,
            Run::Read(search::georadiusbymember_ro),
        )
    },
    CommandSpec {
        complexity: SEARCH,
        ..row(
            "geosearch",
            "6.2.0",
            "Returns the members inside a circle, a box or a polygon.",
            -7,
            "key [FROMMEMBER member | FROMLONLAT longitude latitude] <BYRADIUS radius <M | KM | FT | \
             MI> | BYBOX width height <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude \
             [longitude latitude ...]> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] \
             [WITHHASH]",
            READ,
            Run::Read(search::geosearch),
        )
    },
    CommandSpec {
        flags: Flags::DENYOOM,
        complexity: SEARCH,
        ..row(
            "geosearchstore",
            "6.2.0",
            "Stores the members inside a circle, a box or a polygon.",
            -8,
            "destination source [FROMMEMBER member | FROMLONLAT longitude latitude] <BYRADIUS radius \
             <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI> | BYPOLYGON num-vertices \
             longitude latitude [longitude latitude ...]> [ASC | DESC] [COUNT count [ANY]] \
             [STOREDIST]",
            &[KeySpec::one(1, Access::Overwrite), KeySpec::one(2, Access::ReadOnly)],
            Run::Write(search::geosearchstore),
        )
    },
];
