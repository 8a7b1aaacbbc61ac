//! Large values that change, move and go while they are being written.

use super::property::Pair;
use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Line(String),
    /// Adds elements `from..from + n` to a value.
    Add {
        key: &'static str,
        from: usize,
        n: usize,
        front: bool,
    },
    /// Removes them.
    Cut {
        key: &'static str,
        from: usize,
        n: usize,
    },
    /// Gives fields of the hash a time to live; 0 takes it off.
    Times {
        from: usize,
        n: usize,
        ms: u64,
    },
    Begin,
    Fill(usize),
    Abort,
    Advance(u64),
}

const KEYS: [&str; 6] = ["hash", "set", "zset", "list", "stream", "text"];

fn line() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "DEL K",
        "UNLINK K",
        "RENAME K other",
        "RENAME other K",
        "RENAME K J",
        "MOVE K 1",
        "MOVE K 0",
        "COPY K J REPLACE",
        "COPY K other",
        "SET K small",
        "EXPIRE K 0",
        "PEXPIRE K 30",
        "GETDEL text",
        "HPEXPIRE hash 20 FIELDS 3 e1 e2 e300",
        "HPERSIST hash FIELDS 2 e1 e2",
        "HINCRBY hash n 1",
        "HGETDEL hash FIELDS 2 e5 e7",
        "HSETEX hash PX 40 FIELDS 2 e9 1 e10 2",
        "SPOP set",
        "SPOP set 30",
        "SPOP set 100000",
        "SUNIONSTORE set set other",
        "SMOVE set other e3",
        "SINTERSTORE other set set",
        "ZREMRANGEBYRANK zset 0 10",
        "ZPOPMAX zset 5",
        "ZUNIONSTORE zset 1 zset WEIGHTS 2",
        "ZINCRBY zset 3 e17",
        "ZREMRANGEBYSCORE zset 100 300",
        "ZRANGESTORE zset zset 0 50",
        "LTRIM list 3 -3",
        "LTRIM list 40 80",
        "LTRIM list 1 0",
        "LREM list 2 e7",
        "LSET list 5 zz",
        "LSET list -1 yy",
        "LINSERT list BEFORE e9 new",
        "LPOP list 20",
        "RPOP list 20",
        "LMOVE list list LEFT RIGHT",
        "SORT list ALPHA STORE list",
        "XGROUP CREATE stream g 0",
        "XGROUP CREATE stream h 50-0",
        "XGROUP DESTROY stream g",
        "XGROUP CREATECONSUMER stream g eve",
        "XGROUP SETID stream g 5-0",
        "XREADGROUP GROUP g bob COUNT 150 STREAMS stream >",
        "XREADGROUP GROUP g amy COUNT 90 STREAMS stream >",
        "XREADGROUP GROUP h bob COUNT 70 STREAMS stream >",
        "XACK stream g 3-0 5-0 99-0 140-0",
        "XCLAIM stream g amy 0 7-0 8-0 101-0",
        "XAUTOCLAIM stream g amy 0 0 COUNT 30",
        "XGROUP DELCONSUMER stream g bob",
        "XDEL stream 1-0 9-0 120-0 200-0",
        "XTRIM stream MAXLEN 60",
        "XTRIM stream MINID 90-0",
        "XSETID stream 100000-0",
        "XDELEX stream DELREF IDS 2 11-0 130-0",
        "SETRANGE text 100 abc",
        "APPEND text xyz",
        "SETBIT text 5000 1",
        "BITOP NOT text text",
        "SWAPDB 0 1",
        "SWAPDB 1 2",
        "FLUSHDB",
        "FLUSHALL",
        "SELECT 0",
        "SELECT 0",
        "SELECT 1",
        "MULTI",
        "EXEC",
        "EXEC",
    ])
    .prop_flat_map(|line| {
        let keys = || prop::sample::select(KEYS.to_vec());
        (Just(line), keys(), keys())
    })
    .prop_map(|(line, k, j)| {
        let word = |w| match w {
            "K" => k,
            "J" => j,
            w => w,
        };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    })
}

fn op() -> impl Strategy<Value = Op> {
    let key = || prop::sample::select(KEYS.to_vec());
    prop_oneof![
        20 => line().prop_map(Op::Line),
        8 => (key(), 0usize..600, 1usize..300, any::<bool>())
            .prop_map(|(key, from, n, front)| Op::Add { key, from, n, front }),
        6 => (key(), 0usize..600, 1usize..200).prop_map(|(key, from, n)| Op::Cut { key, from, n }),
        4 => (0usize..600, 1usize..100, prop_oneof![Just(0), 10u64..60, Just(90_000)])
            .prop_map(|(from, n, ms)| Op::Times { from, n, ms }),
        4 => Just(Op::Begin),
        16 => prop_oneof![1usize..300, 1000usize..20_000].prop_map(Op::Fill),
        1 => Just(Op::Abort),
        2 => (1u64..40).prop_map(Op::Advance),
    ]
}

struct World {
    pair: Pair,
    next_id: usize,
}

impl World {
    fn words(&mut self, words: Vec<String>) {
        let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        self.pair.both(&words);
    }

    fn add(&mut self, key: &str, from: usize, n: usize, front: bool) {
        let value = |i: usize| format!("{i}-{}", "v".repeat(60));
        let mut words: Vec<String> = Vec::new();
        let command = match key {
            "hash" => "HSET",
            "set" => "SADD",
            "zset" => "ZADD",
            "list" if front => "LPUSH",
            "list" => "RPUSH",
            "text" => "APPEND",
            _ => {
                for i in 0..n {
                    let id = format!("{}-0", self.next_id);
                    self.next_id += 1;
                    let words = ["XADD", key, &id, "field", &value(i), "other", "w"];
                    self.words(words.map(String::from).to_vec());
                }
                return;
            }
        };
        words.extend([command.into(), key.into()]);
        for i in from..from + n {
            match key {
                "hash" => words.extend([format!("e{i}"), value(i)]),
                "set" => words.push(format!("e{i}")),
                "zset" => words.extend([i.to_string(), format!("e{i}")]),
                "list" if i % 50 == 7 => words.push(format!("e{i}")),
                "list" => words.push(value(i)),
                _ => {}
            }
        }
        if key == "text" {
            words.push("t".repeat(n * 60));
        }
        self.words(words);
    }

    fn cut(&mut self, key: &str, from: usize, n: usize) {
        let command = match key {
            "hash" => "HDEL",
            "set" => "SREM",
            "zset" => "ZREM",
            "list" => return self.pair.line(&format!("LTRIM list {n} -1")),
            "stream" => return self.pair.line(&format!("XTRIM stream MAXLEN {from}")),
            _ => return self.pair.line(&format!("SETRANGE text {from} {}", "s".repeat(n))),
        };
        let mut words = vec![command.into(), key.into()];
        words.extend((from..from + n).map(|i| format!("e{i}")));
        self.words(words);
    }

    fn times(&mut self, from: usize, n: usize, ms: u64) {
        let mut words: Vec<String> = match ms {
            0 => vec!["HPERSIST".into(), "hash".into()],
            ms => vec!["HPEXPIRE".into(), "hash".into(), ms.to_string()],
        };
        words.extend(["FIELDS".into(), n.to_string()]);
        words.extend((from..from + n).map(|i| format!("e{i}")));
        self.words(words);
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Line(ref line) => self.pair.line(line),
            Op::Add { key, from, n, front } => self.add(key, from, n, front),
            Op::Cut { key, from, n } => self.cut(key, from, n),
            Op::Times { from, n, ms } => self.times(from, n, ms),
            Op::Begin => self.pair.begin(false),
            Op::Fill(budget) => self.pair.fill(budget),
            Op::Abort => self.pair.abort(),
            Op::Advance(ms) => {
                self.pair.advance(ms);
                let reaped = self.pair.saved.shard.expire_cycle(&mut NoHost, 100);
                assert_eq!(self.pair.plain.shard.expire_cycle(&mut NoHost, 100), reaped);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 1000, ..Default::default() })]

    #[test]
    fn a_file_holds_large_values_of_the_cut(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World { pair: Pair::new(), next_id: 1 };
        for key in KEYS {
            world.add(key, 0, 500, false);
            world.add(key, 500, 400, false);
        }
        world.times(0, 300, 90_000);
        world.pair.line("XGROUP CREATE stream g 0");
        world.pair.line("XREADGROUP GROUP g bob COUNT 200 STREAMS stream >");
        world.pair.line("XREADGROUP GROUP g amy COUNT 100 STREAMS stream >");
        world.pair.begin(false);
        for op in &ops {
            world.apply(op);
        }
        while world.pair.cut.is_some() {
            world.pair.fill(5000);
        }
        let Pair { saved, plain, .. } = &world.pair;
        prop_assert_eq!(saved.shard.digest(), plain.shard.digest());
        check_sums(&saved.shard);
        prop_assert!(saved.shard.trash.is_empty());
    }
}

/// Bytes serialised and copied in one command, and given in one step, for values of megabytes.
#[test]
fn no_command_writes_a_large_value() {
    let mut world = World { pair: Pair::new(), next_id: 1 };
    for i in 0..60 {
        for key in KEYS {
            world.add(key, i * 500, 500, false);
        }
    }
    for i in 0..30 {
        world.times(i * 1000, 500, 90_000);
    }
    world.pair.line("XGROUP CREATE stream g 0");
    for _ in 0..20 {
        world.pair.line("XREADGROUP GROUP g bob COUNT 1000 STREAMS stream >");
    }
    // The string would be copied whole by a change.
    world.pair.line("DEL text");
    let mut one = world.pair.saved;
    let want = one.shard.digest();
    let total = one.shard.mem_bytes();
    assert!(total > 8 << 20, "{total}");
    one.cut();
    let (mut file, mut per_command, mut per_fill) = (Vec::new(), 0, 0);
    let mut end = None;
    let mut i = 0;
    while end.is_none() {
        i += 7;
        let lines = [
            format!("HSET hash e{} new", i * 13 % 30_000),
            format!("HPEXPIRE hash 90000 FIELDS 1 e{}", i * 17 % 30_000),
            format!("SREM set e{}", i * 11 % 30_000),
            format!("ZADD zset 5 e{}", i * 5 % 30_000),
            format!("LSET list {} new", i % 20_000),
            "LPOP list".to_string(),
            format!("XDEL stream {}-0", i * 3 % 30_000),
            format!("XACK stream g {}-0", i * 23 % 20_000),
            format!("XADD stream {}-0 f v", 100_000 + i),
        ];
        for line in lines {
            let before = one.shard.snapshot_pending();
            one.run(&line);
            per_command = per_command.max(one.shard.snapshot_pending().saturating_sub(before));
        }
        let before = file.len();
        end = one.fill(&mut file, 1000);
        per_fill = per_fill.max(file.len() - before);
        if i == 7 * 400 {
            // What is left of them is kept, and not written at once.
            for key in KEYS {
                let before = one.shard.snapshot_pending();
                one.must(&format!("DEL {key}"));
                per_command = per_command.max(one.shard.snapshot_pending().saturating_sub(before));
            }
        }
    }
    assert!(per_command < 32 << 10, "{per_command} bytes in one command");
    assert!(per_fill < 64 << 10, "{per_fill} bytes in one step");
    assert_eq!(load(&file).expect("loads").shard.digest(), want);
    assert_eq!(one.shard.snapshot_pending(), 0);
}

#[test]
fn a_string_that_is_replaced_is_moved_and_not_copied() {
    for line in ["SET text small", "DEL text", "GETDEL text", "SET text small KEEPTTL"] {
        let mut one = One::new();
        one.words(&[b"SET", b"text", &vec![b'x'; 1 << 20]]);
        let want = one.shard.digest();
        let mut file = Vec::new();
        one.cut();
        one.fill(&mut file, 5000);
        one.must(line);
        assert!(one.shard.snapshot_pending() < 5000, "{line} {}", one.shard.snapshot_pending());
        assert!(one.shard.snapshot_progress().expect("runs").held_bytes > 1 << 20);
        one.fill_up(&mut file);
        assert_eq!(load(&file).expect("loads").shard.digest(), want, "{line}");
    }
    // A change of a part copies what is not written yet.
    let mut one = One::new();
    one.words(&[b"SET", b"text", &vec![b'x'; 1 << 20]]);
    let want = one.shard.digest();
    one.cut();
    one.must("SETRANGE text 3 abc");
    assert!(one.shard.snapshot_pending() > 1 << 20);
    let mut file = Vec::new();
    one.fill_up(&mut file);
    assert_eq!(load(&file).expect("loads").shard.digest(), want);
}

/// A value that is on its way moves to a database that the snapshot does not know, which is then emptied.
#[test]
fn a_value_that_moved_survives_a_flush() {
    for flush in ["FLUSHDB", "FLUSHALL", "SWAPDB 2 3"] {
        let mut one = One::new();
        for i in 0..3000 {
            one.must(&format!("SADD set member:{i}"));
        }
        let want = one.shard.digest();
        let mut file = Vec::new();
        one.cut();
        while one.shard.snapshot_progress().expect("runs").keys_done == 0 {
            one.fill(&mut file, 1);
        }
        one.must("MOVE set 3");
        one.must("SELECT 3");
        one.must("SREM set member:7");
        one.must(flush);
        one.must("SET other v");
        one.fill_up(&mut file);
        assert_eq!(load(&file).expect("loads").shard.digest(), want, "{flush}");
        check_sums(&one.shard);
    }
}

/// A string that gets another time to live while it is on its way is not copied for that.
#[test]
fn a_time_to_live_is_no_change_of_a_string() {
    let mut one = One::new();
    one.words(&[b"SET", b"text", &vec![b'x'; 1 << 20]]);
    let want = one.shard.digest();
    let mut file = Vec::new();
    one.cut();
    one.fill(&mut file, 5000);
    one.must("EXPIRE text 100");
    one.must("PERSIST text");
    assert!(one.shard.snapshot_pending() < 5000);
    one.fill_up(&mut file);
    assert_eq!(load(&file).expect("loads").shard.digest(), want);
}
