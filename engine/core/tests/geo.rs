//! Geospatial commands: positions, searches by every shape, and what is logged of a stored result.

use crate::common::{Harness, check, continue_with};

const SICILY: &str = r#"
    > GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
    :2
    = GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
"#;

fn sicily() -> Harness {
    check(SICILY)
}

#[test]
fn members_and_positions() {
    continue_with(
        &mut sicily(),
        r#"
        > ZSCORE s Palermo
        3479099956230698
        > GEODIST s Palermo Catania
        166274.1516
        > GEODIST s Palermo Catania km
        166.2742
        > GEODIST s Palermo Catania cm
        -ERR unsupported unit provided. please use M, KM, FT, MI
        > GEODIST s Palermo none
        $-1
        > GEODIST none a b
        $-1
        > GEOPOS s Palermo none
        [[13.361389338970184 38.1155563954963] *-1]
        > GEOHASH s Palermo none Catania
        [sqc8b49rny0 $-1 sqdtr74hyu0]
        > GEOHASH none a
        [$-1]
        > GEOADD s XX CH 13 38 Palermo 1 1 New
        :1
        = GEOADD s XX CH 13 38 Palermo 1 1 New
        > GEOADD s NX 1 1 Palermo
        :0
        = -
        > GEOADD s NX XX 1 1 a
        -ERR syntax error
        > GEOADD s 1 1
        -ERR wrong number of arguments for 'geoadd' command
        > GEOADD s 1 1 a 2
        -ERR syntax error
        > GEOADD s 200 10 a
        -ERR invalid longitude,latitude pair 200.000000,10.000000
        > GEOADD s 10 86 a
        -ERR invalid longitude,latitude pair 10.000000,86.000000
        > GEOADD s a 10 a
        -ERR value is not a valid float
        > SET str x
        +OK
        > GEOADD str 1 1 a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GEOPOS str a
        -WRONGTYPE Operation against a key holding the wrong kind of value
        ! resp3
        > GEOPOS s Catania
        [[,15.087267458438873 ,37.50266842333162]]
        > GEOPOS s none
        [_]
        "#,
    );
}

#[test]
fn searches() {
    continue_with(
        &mut sicily(),
        r#"
        > GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 km ASC
        [Catania Palermo]
        > GEOSEARCH s FROMLONLAT 15 37 BYBOX 400 400 km DESC WITHDIST WITHHASH WITHCOORD
        [[Palermo 190.4424 :3479099956230698 [13.361389338970184 38.1155563954963]] [Catania 56.4413 :3479447370796909 [15.087267458438873 37.50266842333162]]]
        > GEOSEARCH s FROMMEMBER Palermo BYRADIUS 100 km
        [Palermo]
        > GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1
        [Catania]
        > GEOSEARCH s BYPOLYGON 4 13 38 14 38 14 39 13 39
        [Palermo]
        > GEOSEARCH s BYPOLYGON 3 13 38 14 38 14 39 COUNT 1 ANY
        [Palermo]
        > GEOSEARCH s BYPOLYGON 2 13 38 14 38 14 39 x
        -ERR GEOSEARCH BYPOLYGON must have at least 3 vertices
        > GEOSEARCH s BYPOLYGON 5 13 38 14 38 14 39 13 39
        -ERR GEOSEARCH BYPOLYGON must have at least 3 vertices
        > GEOSEARCH s FROMLONLAT 15 37 BYPOLYGON 3 13 38 14 38 14 39
        -ERR syntax error
        > GEOSEARCH s FROMMEMBER none BYRADIUS 1 m
        -ERR could not decode requested zset member
        > GEOSEARCH s FROMMEMBER Palermo ASC ASC ASC
        -ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH
        > geosearch s BYRADIUS 1 m ASC ASC
        -ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch
        > GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1 m ANY
        -ERR the ANY argument requires COUNT argument
        > GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1 m COUNT 0
        -ERR COUNT must be > 0
        > GEOSEARCH s FROMLONLAT 15 37 BYRADIUS x m
        -ERR need numeric radius
        > GEOSEARCH s FROMLONLAT 15 37 BYRADIUS -1 m
        -ERR radius cannot be negative
        > GEOSEARCH s FROMLONLAT 15 37 BYBOX 1 -1 m
        -ERR height or width cannot be negative
        > GEOSEARCH s FROMLONLAT 15 37 BYRADIUS inf m ASC
        [Catania Palermo]
        > GEOSEARCH none FROMMEMBER x BYRADIUS 1 m
        []
        > GEORADIUS s 15 37 200 km ASC
        [Catania Palermo]
        > GEORADIUS_RO s 15 37 200 km STORE d
        -ERR syntax error
        > GEORADIUSBYMEMBER s Catania 0 m
        [Catania]
        > GEORADIUSBYMEMBER_RO none a x y
        []
        > COMMAND GETKEYS GEORADIUS s 15 37 200 km STORE d
        [s d]
        "#,
    );
}

/// The log holds what was found, not where to look: sines differ between machines.
#[test]
fn stored_results() {
    continue_with(
        &mut sicily(),
        r#"
        > GEOSEARCHSTORE d s FROMLONLAT 15 37 BYRADIUS 200 km
        :2
        = ZADD d 3479099956230698 Palermo 3479447370796909 Catania
        > GEOSEARCHSTORE d s FROMLONLAT 15 37 BYRADIUS 100 km STOREDIST
        :1
        = DEL d
        = ZADD d 56.4412578701582 Catania
        > GEORADIUS s 15 37 200 km ASC COUNT 1 STORE s
        :1
        = DEL s
        = ZADD s 3479447370796909 Catania
        > GEORADIUSBYMEMBER s Catania 1 km STOREDIST e
        :1
        = ZADD e 0 Catania
        > GEOSEARCHSTORE d s FROMLONLAT 0 0 BYRADIUS 1 m
        :0
        = DEL d
        > EXISTS d
        :0
        > GEORADIUS none 15 37 200 km STORE e
        :0
        = DEL e
        > GEORADIUS none 15 37 200 km STORE e
        :0
        = -
        > GEORADIUS s 15 37 200 km STORE e WITHDIST
        -ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        > GEOSEARCHSTORE e s FROMLONLAT 1 1 BYRADIUS 1 m WITHCOORD
        -ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        "#,
    );
}
