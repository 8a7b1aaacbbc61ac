//! Goal: what stream commands log recreates the state, whatever blocks, limits and time decided. Method:
//! random commands on few keys, groups and consumers while time goes on; the state after them is
//! compared with that of a second shard that applied the log, with other block sizes.

use crate::common::Harness;
use proptest::prelude::*;

fn pick(words: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    prop::sample::select(words.to_vec())
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (1_000_000u64..1_000_400, 0u64..3).prop_map(|(ms, seq)| format!("{ms}-{seq}")),
        1 => pick(&["0", "1000200", "5-5", "99999999-1"]).prop_map(str::to_string),
    ]
}

fn references() -> impl Strategy<Value = &'static str> + use<> {
    pick(&["", "", "", "KEEPREF", "DELREF", "ACKED"])
}

fn trim() -> impl Strategy<Value = String> {
    let sign = || pick(&["", "=", "~", "~"]);
    let len = (sign(), 0u32..12).prop_map(|(s, n)| format!("MAXLEN {s} {n}"));
    let min = (sign(), id()).prop_map(|(s, id)| format!("MINID {s} {id}"));
    (prop_oneof![len, min], references(), pick(&["", "", "LIMIT 4"]))
        .prop_map(|(by, refs, limit)| format!("{by} {limit} {refs}"))
}

fn line() -> impl Strategy<Value = String> {
    let key = || pick(&["a", "b"]);
    let group = || pick(&["g", "h"]);
    let consumer = || pick(&["x", "y", "z"]);
    let three = || (id(), id(), id()).prop_map(|(a, b, c)| format!("{a} {b} {c}"));
    let add = prop_oneof![3 => Just("*".to_string()), 1 => id()];
    let new = prop_oneof![4 => Just(String::new()), 1 => trim()];
    let claim_options = prop_oneof![
        4 => Just(String::new()),
        1 => (0u32..50).prop_map(|n| format!("IDLE {n}")),
        1 => (1_000_000u64..1_000_400).prop_map(|n| format!("TIME {n}")),
        1 => (0u32..9).prop_map(|n| format!("RETRYCOUNT {n}")),
        2 => pick(&["FORCE", "JUSTID", "FORCE JUSTID", "LASTID 1000100-0"]).prop_map(str::to_string),
    ];
    prop_oneof![
        8 => (key(), new, add).prop_map(|(k, t, id)| format!("XADD {k} {t} {id} f v{id}")),
        2 => (key(), trim()).prop_map(|(k, t)| format!("XTRIM {k} {t}")),
        2 => (key(), three()).prop_map(|(k, ids)| format!("XDEL {k} {ids}")),
        2 => (key(), references(), three())
            .prop_map(|(k, r, ids)| format!("XDELEX {k} {r} IDS 3 {ids}")),
        2 => (key(), group(), references(), three())
            .prop_map(|(k, g, r, ids)| format!("XACKDEL {k} {g} {r} IDS 3 {ids}")),
        2 => (key(), group(), three()).prop_map(|(k, g, ids)| format!("XACK {k} {g} {ids}")),
        2 => (key(), group(), pick(&["0", "$", "1000100"]), pick(&["", "MKSTREAM", "ENTRIESREAD 3"]))
            .prop_map(|(k, g, id, o)| format!("XGROUP CREATE {k} {g} {id} {o}")),
        1 => (key(), group(), pick(&["0", "$"])).prop_map(|(k, g, id)| format!("XGROUP SETID {k} {g} {id}")),
        1 => (key(), group()).prop_map(|(k, g)| format!("XGROUP DESTROY {k} {g}")),
        1 => (pick(&["CREATECONSUMER", "DELCONSUMER"]), key(), group(), consumer())
            .prop_map(|(s, k, g, c)| format!("XGROUP {s} {k} {g} {c}")),
        8 => (group(), consumer(), pick(&["", "NOACK", "COUNT 2", "COUNT 1", "CLAIM 5", "COUNT 2 CLAIM 0"]), key(), pick(&[">", ">", "0"]))
            .prop_map(|(g, c, o, k, id)| format!("XREADGROUP GROUP {g} {c} {o} STREAMS {k} {id}")),
        4 => (key(), group(), consumer(), 0u32..20, three(), claim_options)
            .prop_map(|(k, g, c, n, ids, o)| format!("XCLAIM {k} {g} {c} {n} {ids} {o}")),
        3 => (key(), group(), consumer(), 0u32..20, pick(&["", "COUNT 2", "JUSTID"]))
            .prop_map(|(k, g, c, n, o)| format!("XAUTOCLAIM {k} {g} {c} {n} - {o}")),
        1 => (key(), id(), pick(&["", "ENTRIESADDED 50", "MAXDELETEDID 1000100-1"]))
            .prop_map(|(k, id, o)| format!("XSETID {k} {id} {o}")),
        2 => (key(), group(), pick(&["SILENT", "FAIL", "FATAL"]), three(), pick(&["", "FORCE"]))
            .prop_map(|(k, g, m, ids, f)| format!("XNACK {k} {g} {m} IDS 3 {ids} {f}")),
        1 => (key(), key()).prop_map(|(a, b)| format!("COPY {a} {b} REPLACE")),
        1 => (0u32..15).prop_map(|ms| format!("@{ms}")),
        1 => key().prop_map(|k| format!("DEL {k}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn replay_comes_out_the_same(
        lines in prop::collection::vec(line(), 1..120),
        entries in 1u64..6,
        images in any::<bool>(),
    ) {
        let mut h = Harness::new();
        h.shard.journal.images = images;
        h.shard.limits.stream_node_max_entries = entries;
        for line in lines {
            match line.strip_prefix('@') {
                Some(ms) => h.advance(ms.parse().unwrap()),
                None => _ = h.run(&line),
            }
        }
        h.check_replay();
    }
}
