//! Goal: what sorted set commands log recreates the state. Method: random commands on few keys
//! and members, so that conditions hold and fail, keys empty and results overwrite; the state
//! after them is compared with that of a second shard that applied the log.

use crate::common::Harness;
use proptest::prelude::*;

fn pick(words: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    prop::sample::select(words.to_vec())
}

fn key() -> impl Strategy<Value = &'static str> {
    pick(&["a", "b", "c", "big", "str"])
}

fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0u8..8).prop_map(|n| format!("m{n}")),
        2 => (0u8..5).prop_map(|n| n.to_string()),
        1 => Just("\"\"".to_string()),
        1 => Just("x".repeat(65)),
    ]
}

fn score() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-4i8..5).prop_map(|n| n.to_string()),
        2 => (-40i8..50).prop_map(|n| (f64::from(n) / 7.0).to_string()),
        1 => pick(&["inf", "-inf", "1e300", "0.1", "-0"]).prop_map(str::to_string),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let options =
        pick(&["", "", "NX", "XX", "GT", "LT", "CH", "XX GT", "INCR", "XX INCR", "LT INCR"]);
    let grow = (0u32..40, 90u32..200).prop_map(|(from, n)| {
        let pairs: Vec<String> = (from..from + n).map(|i| format!("{} m{i}", i % 13)).collect();
        format!("ZADD big {}", pairs.join(" "))
    });
    let remove = pick(&[
        "ZPOPMIN k",
        "ZPOPMAX k",
        "ZPOPMIN k 3",
        "ZPOPMAX k 0",
        "ZPOPMAX k 100",
        "ZMPOP 2 k j MIN",
        "ZMPOP 2 k j MAX COUNT 4",
        "ZREMRANGEBYRANK k 0 1",
        "ZREMRANGEBYRANK k -2 -1",
        "ZREMRANGEBYRANK k 5 -1",
        "ZREMRANGEBYSCORE k -inf (0",
        "ZREMRANGEBYSCORE k 1 3",
        "ZREMRANGEBYLEX k [m2 +",
        "DEL k",
        "SET str v",
        "PEXPIRE k 9",
        "RENAME k j",
        "COPY k j REPLACE",
    ]);
    let store = pick(&[
        "ZRANGESTORE j k 0 2",
        "ZRANGESTORE j k 1 -1 REV",
        "ZRANGESTORE k k (0 +inf BYSCORE LIMIT 1 3",
        "ZRANGESTORE j k - + BYLEX",
        "ZUNIONSTORE j 2 j k",
        "ZUNIONSTORE j 3 big k k WEIGHTS 0.1 -2 3",
        "ZUNIONSTORE j 2 k j AGGREGATE COUNT",
        "ZINTERSTORE j 2 k big AGGREGATE MIN",
        "ZINTERSTORE c 2 k j WEIGHTS 0 1 AGGREGATE MAX",
        "ZDIFFSTORE j 2 k j",
        "ZDIFFSTORE c 2 big k",
    ]);
    let fill = |l: &str, k: &str, j: &str| {
        let words = l.split(' ').map(|w| match w {
            "k" => k,
            "j" => j,
            other => other,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    prop_oneof![
        6 => (key(), options, score(), member())
            .prop_map(|(k, o, s, m)| format!("ZADD {k} {o} {s} {m}")),
        4 => (key(), score(), member(), score(), member())
            .prop_map(|(k, s, m, t, n)| format!("ZADD {k} {s} {m} {t} {n}")),
        3 => (key(), score(), member()).prop_map(|(k, s, m)| format!("ZINCRBY {k} {s} {m}")),
        2 => (key(), member(), member()).prop_map(|(k, m, n)| format!("ZREM {k} {m} {n}")),
        4 => (key(), key(), remove).prop_map(move |(k, j, l)| fill(l, k, j)),
        4 => (key(), key(), store).prop_map(move |(k, j, l)| fill(l, k, j)),
        1 => grow,
        1 => (1..8u32).prop_map(|ms| format!("@{ms}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..Default::default() })]

    #[test]
    fn the_log_recreates_sorted_sets(
        lines in prop::collection::vec(line(), 1..80),
        images in any::<bool>(),
    ) {
        let mut h = Harness::new();
        h.shard.journal.images = images;
        for line in &lines {
            match line.strip_prefix('@') {
                Some(ms) => h.advance(ms.parse().unwrap()),
                None => {
                    let before = h.state();
                    h.effects();
                    let reply = h.run(line);
                    let failed = reply.starts_with("-ERR") || reply.starts_with("-WRONG");
                    let changed = h.state() != before;
                    let logged = h.effects();
                    prop_assert!(!changed || !logged.is_empty(), "{} changed unlogged", line);
                    prop_assert!(!failed || !changed, "{} failed half done", line);
                }
            }
        }
        if images {
            h.check_images();
        }
        let mut other = h.replayed();
        prop_assert_eq!(h.state(), other.state());
        for key in ["a", "b", "c", "big"] {
            let line = format!("OBJECT ENCODING {key}");
            prop_assert_eq!(h.run(&line), other.run(&line));
        }
        h.effects();
        for line in ["ZRANGE a 0 -1", "ZUNION 2 a b", "ZRANDMEMBER a 3", "ZSCAN big 0", "ZRANK a m1"] {
            h.run(line);
        }
        prop_assert_eq!(h.effects(), Vec::<String>::new());
    }
}
