//! `maxmemory`: making room before a command, or refusing it.
//!
//! One step of bounded work: a few keys are picked at random, the worst by the policy is kept in a
//! small pool of candidates, and the worst of the pool goes, until memory is within the cap or
//! the step's budget is spent. What the process holds beside keys and values is told from outside
//! ([`Shard::outside_bytes`]), so a step depends on nothing but the shard and its seed.

use super::run::Host;
use super::shard::Shard;
use crate::db::{Db, Lfu, Live};
use crate::journal::Origin;

/// Keys one step removes at most; the next command goes on.
const STEP_KEYS: usize = 128;
/// Candidates kept from pick to pick.
const POOL: usize = 16;

/// Which keys may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Evictable {
    /// None: commands that need memory are refused.
    #[default]
    None,
    /// All.
    All,
    /// Those with a time to live.
    Volatile,
}

/// Which of them goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Least recently used.
    #[default]
    Lru,
    /// Least frequently used.
    Lfu,
    /// Any.
    Random,
    /// Shortest time to live.
    Ttl,
}

/// The cap and what to do at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryRules {
    /// `maxmemory` in bytes; 0 is no cap.
    pub max: usize,
    /// First half of `maxmemory-policy`.
    pub evictable: Evictable,
    /// Second half.
    pub order: Order,
    /// `maxmemory-samples`
    pub samples: usize,
    /// `lfu-log-factor`
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`
    pub lfu_decay_minutes: u32,
}

impl MemoryRules {
    /// Evictable and order of a `maxmemory-policy` by name.
    pub fn policy(name: &str) -> (Evictable, Order) {
        let (which, order) = name.split_once('-').unwrap_or((name, ""));
        let evictable = match which {
            "allkeys" => Evictable::All,
            "volatile" => Evictable::Volatile,
            _ => Evictable::None,
        };
        let order = match order {
            "lfu" => Order::Lfu,
            "random" => Order::Random,
            "ttl" => Order::Ttl,
            _ => Order::Lru,
        };
        (evictable, order)
    }
}

/// A key that may go; the higher the score the sooner.
#[derive(Debug)]
struct Candidate {
    score: u64,
    db: u16,
    key: Box<[u8]>,
}

/// State of eviction between steps.
#[derive(Debug, Default)]
pub(crate) struct Eviction {
    rules: MemoryRules,
    /// Ascending by score.
    pool: Vec<Candidate>,
    next_db: usize,
    /// Over the cap, and nothing can go.
    pub(crate) full: bool,
}

impl Shard {
    /// Sets the cap and the policy; entries are stamped as the policy wants from now on.
    pub fn set_memory_rules(&mut self, rules: MemoryRules) {
        if rules != self.eviction.rules {
            let lfu =
                Lfu { log_factor: rules.lfu_log_factor, decay_minutes: rules.lfu_decay_minutes };
            self.access.set_lfu((rules.order == Order::Lfu).then_some(lfu));
            self.eviction = Eviction { rules, ..Eviction::default() };
        }
    }

    /// Bytes over the cap.
    fn bytes_over(&self) -> usize {
        let max = self.eviction.rules.max;
        if max == 0 { 0 } else { (self.mem_bytes() + self.outside_bytes).saturating_sub(max) }
    }

    /// Makes room if memory is over its cap. True if keys went. Costs a comparison without a cap.
    #[inline]
    pub(super) fn make_room(&mut self, host: &mut dyn Host) -> bool {
        self.eviction.full = false;
        self.eviction.rules.max > 0 && !self.loading && !self.role.is_passive() && self.evict(host)
    }

    /// Makes room while no command runs. True if there is more to do.
    pub fn make_room_idle(&mut self, host: &mut dyn Host) -> bool {
        // A replica leaves that to its master.
        self.make_room(host);
        !self.eviction.full && !self.role.is_passive() && self.bytes_over() > 0
    }

    #[cold]
    fn evict(&mut self, host: &mut dyn Host) -> bool {
        for done in 0..STEP_KEYS {
            if self.bytes_over() == 0 {
                return done > 0;
            }
            let Some((db, key)) = self.pick() else {
                self.eviction.full = true;
                return done > 0;
            };
            self.begin_unit();
            self.keyspace(db).evict(&key);
            self.commit_unit(host, Origin::Expiry);
        }
        true
    }

    /// The key that goes next.
    fn pick(&mut self) -> Option<(u16, Box<[u8]>)> {
        let rules = self.eviction.rules;
        let has = |db: &Db| match rules.evictable {
            Evictable::None => false,
            Evictable::All => !db.is_empty(),
            Evictable::Volatile => db.expires() > 0,
        };
        if rules.order == Order::Random {
            let n = self.dbs.len();
            let start = self.eviction.next_db;
            let db = (0..n).map(|i| (start + i) % n).find(|i| has(&self.dbs[*i]))?;
            self.eviction.next_db = db + 1;
            let e = sample(&self.dbs[db], rules.evictable, self.rng.next_u64())?;
            return Some((db as u16, e.key().into()));
        }
        // A candidate may have gone, or its key been used, since it was put into the pool.
        loop {
            let mut any = false;
            for i in 0..self.dbs.len() {
                if !has(&self.dbs[i]) {
                    continue;
                }
                any = true;
                for _ in 0..rules.samples.max(1) {
                    let draw = self.rng.next_u64();
                    let Some(e) = sample(&self.dbs[i], rules.evictable, draw) else { continue };
                    let score = self.score(e);
                    let (db, key) = (i as u16, e.key());
                    let pool = &mut self.eviction.pool;
                    let full = pool.len() >= POOL;
                    if full && pool[0].score >= score
                        || pool.iter().any(|c| c.db == db && *c.key == *key)
                    {
                        continue;
                    }
                    let candidate = Candidate { score, db, key: key.into() };
                    if full {
                        pool.remove(0);
                    }
                    let at = pool.partition_point(|c| c.score < score);
                    pool.insert(at, candidate);
                }
            }
            if !any {
                return None;
            }
            while let Some(c) = self.eviction.pool.pop() {
                let Some(e) = self.dbs.get(usize::from(c.db)).and_then(|d| d.table().get(&c.key))
                else {
                    continue;
                };
                if rules.evictable == Evictable::All || e.expire_ms().is_some() {
                    return Some((c.db, c.key));
                }
            }
        }
    }

    fn score(&self, e: &Live) -> u64 {
        match self.eviction.rules.order {
            Order::Lru | Order::Random => u64::from(self.access.idle_seconds(e)),
            Order::Lfu => u64::from(255 - self.access.frequency(e)),
            Order::Ttl => u64::MAX - e.expire_ms().unwrap_or(u64::MAX),
        }
    }
}

fn sample(db: &Db, evictable: Evictable, draw: u64) -> Option<&Live> {
    match evictable {
        Evictable::None => None,
        Evictable::All => db.table().random(draw),
        Evictable::Volatile => db.table().random_expiring(draw),
    }
}
