//! Random commands between random steps of a snapshot.

use super::*;
use crate::exec::MemoryRules;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Line(String),
    /// Sets keys, so that segments grow and split.
    Grow {
        from: u32,
        n: u32,
        len: usize,
    },
    /// Removes keys, so that they shrink and merge.
    Shrink {
        from: u32,
        n: u32,
    },
    Begin {
        zstd: bool,
    },
    Fill(usize),
    Abort,
    Advance(u64),
    Reap,
    /// Room for so many per cent of what there is.
    Evict(usize),
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u32..12).prop_map(|n| format!("k{n}")),
        (0u32..1500).prop_map(|n| format!("key:{n}")),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let one = prop::sample::select(vec![
        "SET A v",
        "SET A 12 PX 40",
        "SET A w EX 100",
        "APPEND A xyz",
        "SETRANGE A 300 z",
        "INCR A",
        "GETDEL A",
        "DEL A",
        "UNLINK A",
        "EXPIRE A 1",
        "PERSIST A",
        "GETEX A PX 30",
        "HSET A f 1 g x",
        "HSET A h 3",
        "HDEL A f g",
        "HPEXPIRE A 20 FIELDS 2 f g",
        "HPERSIST A FIELDS 1 f",
        "HGETALL A",
        "RPUSH A a b c",
        "LPUSH A 1",
        "LPOP A",
        "RPOP A 2",
        "LSET A 0 q",
        "LTRIM A 1 -1",
        "SADD A 1 2 3",
        "SADD A x",
        "SPOP A",
        "SREM A 1 x",
        "SRANDMEMBER A",
        "ZADD A 1 m 2.5 n",
        "ZINCRBY A 3 m",
        "ZPOPMIN A",
        "ZREM A n",
        "XADD A * f v",
        "XADD A * g w h 3",
        "XGROUP CREATE A grp 0 MKSTREAM",
        "XREADGROUP GROUP grp bob COUNT 2 STREAMS A >",
        "XACK A grp 1-0",
        "XTRIM A MAXLEN 3",
        "XGROUP DESTROY A grp",
        "PFADD A 1 2 3",
        "SETBIT A 77 1",
        "SELECT 0",
        "SELECT 1",
        "SELECT 2",
        "MOVE A 1",
        "MOVE A 0",
        "RANDOMKEY",
    ]);
    let two = prop::sample::select(vec![
        "RENAME A B",
        "RENAME A B",
        "COPY A B REPLACE",
        "COPY A B DB 1 REPLACE",
        "MSET A 1 B 2",
        "DEL A B",
        "SMOVE A B 2",
        "LMOVE A B LEFT RIGHT",
        "SUNIONSTORE A A B",
        "BITOP OR A A B",
        "EVAL redis.call('set',KEYS[1],'s');redis.call('append',KEYS[2],'t') 2 A B",
        "EVAL redis.call('del',KEYS[1],KEYS[2]);redis.call('rpush',KEYS[1],'t') 2 A B",
    ]);
    let whole = prop::sample::select(vec![
        "SWAPDB 0 1",
        "SWAPDB 1 2",
        "SWAPDB 0 2",
        "FLUSHDB",
        "FLUSHDB ASYNC",
        "FLUSHALL",
        "MULTI",
        "EXEC",
        "EXEC",
        "DISCARD",
        "FUNCTION FLUSH",
        "FUNCTION DELETE lib",
    ]);
    prop_oneof![
        12 => (one, key()).prop_map(|(line, a)| named(line, &a, "")),
        4 => (two, key(), key()).prop_map(|(line, a, b)| named(line, &a, &b)),
        1 => whole.prop_map(str::to_string),
    ]
}

/// Puts keys in the places of A and B.
fn named(line: &str, a: &str, b: &str) -> String {
    let words = line.split(' ').map(|word| match word {
        "A" => a,
        "B" => b,
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => line().prop_map(Op::Line),
        3 => (0u32..1500, 1u32..900, prop_oneof![Just(3usize), Just(100), Just(5000)])
            .prop_map(|(from, n, len)| Op::Grow { from, n: if len > 100 { n / 3 } else { n }, len }),
        2 => (0u32..1500, 1u32..1500).prop_map(|(from, n)| Op::Shrink { from, n }),
        4 => any::<bool>().prop_map(|zstd| Op::Begin { zstd }),
        20 => prop_oneof![1usize..200, 1000usize..60_000].prop_map(Op::Fill),
        1 => Just(Op::Abort),
        4 => (1u64..60).prop_map(Op::Advance),
        2 => Just(Op::Reap),
        1 => (80usize..100).prop_map(Op::Evict),
    ]
}

/// A shard that is saved, one that is not, and the file that is being written.
pub(super) struct Pair {
    pub(super) saved: One,
    pub(super) plain: One,
    now_ms: u64,
    file: Vec<u8>,
    /// Digest of the cut, and its functions.
    pub(super) cut: Option<(u128, usize, Vec<usize>)>,
}

impl Pair {
    pub(super) fn new() -> Pair {
        let mut pair = Pair {
            saved: One::new(),
            plain: One::new(),
            now_ms: 1_000_000,
            file: Vec::new(),
            cut: None,
        };
        pair.advance(0);
        let library = "#!lua name=lib\nredis.register_function('fn', function() return 1 end)";
        pair.both(&[b"FUNCTION", b"LOAD", library.as_bytes()]);
        pair
    }

    pub(super) fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        self.saved.shard.set_now(now_at(self.now_ms));
        self.plain.shard.set_now(now_at(self.now_ms));
    }

    pub(super) fn both(&mut self, words: &[&[u8]]) {
        let reply = self.saved.words(words);
        assert_eq!(
            reply.escape_ascii().to_string(),
            self.plain.words(words).escape_ascii().to_string(),
        );
    }

    pub(super) fn line(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.both(&words);
    }

    fn lens(&self) -> Vec<usize> {
        self.saved.shard.dbs().iter().map(Db::len).collect()
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Line(ref line) => self.line(line),
            Op::Grow { from, n, len } => {
                let value = "v".repeat(len);
                for i in from..from + n {
                    self.both(&[b"SET", format!("key:{i}").as_bytes(), value.as_bytes()]);
                }
            }
            Op::Shrink { from, n } => {
                for i in from..from + n {
                    self.both(&[b"DEL", format!("key:{i}").as_bytes()]);
                }
            }
            Op::Begin { zstd } => self.begin(zstd),
            Op::Fill(budget) => self.fill(budget),
            Op::Abort => self.abort(),
            Op::Advance(ms) => self.advance(ms),
            Op::Reap => {
                let reaped = self.saved.shard.expire_cycle(&mut NoHost, 100);
                assert_eq!(self.plain.shard.expire_cycle(&mut NoHost, 100), reaped);
            }
            Op::Evict(percent) => {
                let (evictable, order) = MemoryRules::policy("allkeys-random");
                let rules = |max| MemoryRules {
                    max,
                    evictable,
                    order,
                    samples: 5,
                    lfu_log_factor: 10,
                    lfu_decay_minutes: 1,
                };
                let max = self.plain.shard.mem_bytes() * percent / 100;
                for shard in [&mut self.saved.shard, &mut self.plain.shard] {
                    shard.set_memory_rules(rules(max.max(1)));
                }
                self.line("SET evicting 1");
                for shard in [&mut self.saved.shard, &mut self.plain.shard] {
                    shard.set_memory_rules(rules(0));
                }
            }
        }
    }

    pub(super) fn begin(&mut self, zstd: bool) {
        let begun = self.saved.shard.begin_snapshot(&preamble(), &extension(zstd));
        if self.cut.is_some() {
            assert_eq!(begun, Err(SnapshotRefused::Running));
        } else {
            assert_eq!(begun, Ok(()));
            self.file.clear();
            let libraries = self.saved.shard.scripts.libraries();
            self.cut = Some((self.saved.shard.digest(), libraries, self.lens()));
        }
    }

    pub(super) fn abort(&mut self) {
        self.saved.shard.abort_snapshot();
        self.cut = None;
        assert_eq!(self.saved.shard.fill_snapshot(&mut self.file, 1), Fill::Nothing);
        assert_eq!(self.saved.shard.snapshot_pending(), 0);
    }

    pub(super) fn fill(&mut self, budget: usize) {
        let Some((digest, libraries, lens)) = &self.cut else { return };
        let before = self.file.len();
        let Some(totals) = self.saved.fill(&mut self.file, budget) else {
            assert!(self.file.len() > before, "a step goes on");
            return;
        };
        assert_eq!(totals.bytes, self.file.len() as u64);
        assert_eq!(totals.entries, lens.iter().sum::<usize>() as u64);
        let loaded = load(&self.file).expect("what was written loads");
        assert_eq!(loaded.shard.digest(), *digest, "the file holds the cut");
        assert_eq!(loaded.shard.scripts.libraries(), *libraries);
        assert_eq!(&loaded.shard.dbs().iter().map(Db::len).collect::<Vec<_>>(), lens);
        self.cut = None;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 400, ..Default::default() })]

    #[test]
    fn a_file_holds_the_cut(ops in prop::collection::vec(op(), 1..160)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(op);
        }
        while pair.cut.is_some() {
            pair.fill(5000);
        }
        prop_assert_eq!(pair.saved.shard.digest(), pair.plain.shard.digest());
        prop_assert_eq!(pair.saved.shard.mem_bytes(), pair.plain.shard.mem_bytes());
        check_sums(&pair.saved.shard);
    }
}
