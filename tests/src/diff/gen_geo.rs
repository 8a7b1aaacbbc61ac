//! Geospatial commands. A member always has the same position, and no two have positions equally far from
//! anything, so that results in the order of distance are the same everywhere.

use super::generate::{Generator, Type};
use crate::{Command, cmd};

/// One geospatial command.
pub(super) fn command(g: &mut Generator) -> Command {
    let key = g.key(Type::Geo);
    match g.rng.below(40) {
        0..=9 => add(g, key),
        10..=12 => {
            let mut command = cmd!["GEODIST", key, member(g), member(g)];
            if g.rng.chance(60) {
                command.push(unit(g));
            }
            command
        }
        13..=14 => cmd!["GEOHASH", key, member(g), member(g)],
        15..=16 => cmd!["GEOPOS", key, member(g), member(g)],
        17..=19 => {
            let name = g.rng.pick(&["GEORADIUS", "GEORADIUS_RO", "georadius"]).to_string();
            let (lon, lat) = position(g);
            let mut command = cmd![name, key, lon, lat, radius(g), unit(g)];
            options(g, &mut command, true);
            command
        }
        20..=22 => {
            let name = g.rng.pick(&["GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"]).to_string();
            let mut command = cmd![name, key, member(g), radius(g), unit(g)];
            options(g, &mut command, true);
            command
        }
        23..=30 => {
            let mut command = cmd!["GEOSEARCH", key];
            region(g, &mut command);
            options(g, &mut command, false);
            command
        }
        31..=35 => {
            let mut command = cmd!["GEOSEARCHSTORE", g.key(Type::Geo), key];
            region(g, &mut command);
            if g.rng.chance(30) {
                command.extend(cmd!["STOREDIST"]);
            }
            if g.rng.chance(30) {
                command.extend(cmd!["COUNT", g.rng.range(1, 9)]);
            }
            command
        }
        36..=37 => cmd!["ZREM", key, member(g)],
        38 => cmd!["DEL", key],
        _ => cmd!["ZRANGE", key, 0, -1],
    }
}

fn add(g: &mut Generator, key: Vec<u8>) -> Command {
    let mut command = cmd!["GEOADD", key];
    for word in ["NX", "XX", "CH"] {
        if g.rng.chance(10) {
            command.extend(cmd![word]);
        }
    }
    for _ in 0..=g.rng.below(6) {
        let n = g.rng.below(60);
        let (lon, lat) = place(n);
        command.extend(cmd![lon, lat, format!("p{n}")]);
    }
    if g.rng.chance(3) {
        command.extend(cmd![g.rng.pick(&["181", "x", "-180"]), g.rng.pick(&["86", "10"]), "odd"]);
    }
    command
}

fn member(g: &mut Generator) -> String {
    format!("p{}", g.rng.below(62))
}

/// Where a member is: a spiral that meets no symmetry, some of it near the pole and the date line.
fn place(n: usize) -> (String, String) {
    let n = n as f64;
    let lon = (n * 61.803_398_9 + 3.7).rem_euclid(360.0) - 180.0;
    let lat = (n * 23.606_797_7 + 1.3).rem_euclid(169.0) - 84.5;
    (format!("{lon:.7}"), format!("{lat:.7}"))
}

fn position(g: &mut Generator) -> (String, String) {
    match g.rng.below(20) {
        0 => ("180".into(), "0".into()),
        1 => ("200".into(), "10".into()),
        2 => ("abc".into(), "10".into()),
        3 => ("0".into(), "85.05112878".into()),
        _ => {
            let (lon, lat) = (g.rng.range(-17_999, 17_999), g.rng.range(-8_500, 8_500));
            (format!("{}.{}1", lon / 100, (lon % 100).abs()), (lat as f64 / 100.0).to_string())
        }
    }
}

fn radius(g: &mut Generator) -> String {
    match g.rng.below(20) {
        // Redis misses places in greater circles around a pole.
        0 => g.rng.pick(&["0", "-1", "x", "1e-3", "4000"]).to_string(),
        _ => g.rng.range(1, 6_000).to_string(),
    }
}

fn unit(g: &mut Generator) -> Vec<u8> {
    g.rng.pick(&["km", "KM", "mi", "m", "ft", "cm", "km", "km", "mi"]).as_bytes().to_vec()
}

fn region(g: &mut Generator, command: &mut Command) {
    if g.rng.chance(50) {
        command.extend(cmd!["FROMMEMBER", member(g)]);
    } else {
        let (lon, lat) = position(g);
        command.extend(cmd!["FROMLONLAT", lon, lat]);
    }
    if g.rng.chance(50) {
        command.extend(cmd!["BYRADIUS", radius(g), unit(g)]);
    } else {
        command.extend(cmd!["BYBOX", radius(g), radius(g), unit(g)]);
    }
}

fn options(g: &mut Generator, command: &mut Command, stores: bool) {
    for (words, percent) in
        [("WITHDIST", 25), ("WITHHASH", 25), ("WITHCOORD", 25), ("ASC", 30), ("desc", 15)]
    {
        if g.rng.chance(percent) {
            command.extend(cmd![words]);
        }
    }
    // Plain scores read as places are often the same one, and which of those COUNT keeps is free.
    let ties = command.iter().any(|key| key.starts_with(b"zset:"));
    if !ties && g.rng.chance(30) {
        command.extend(cmd!["COUNT", g.rng.range(0, 9)]);
        if g.rng.chance(20) {
            command.extend(cmd!["ANY"]);
        }
    }
    if stores && g.rng.chance(15) {
        let word = g.rng.pick(&["STORE", "STOREDIST"]).to_string();
        command.extend(cmd![word, g.key(Type::Geo)]);
    }
}
