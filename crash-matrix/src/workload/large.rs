//! Values over 256 KiB, which a snapshot writes in chunks over many turns while commands change,
//! move and remove them.

use super::{Words, Workload, words};

/// The keys, and how each grows beyond the limit at once.
const KINDS: [&str; 6] = ["list", "hash", "set", "zset", "stream", "text"];
/// Elements added at once, and bytes of each.
const ELEMENTS: usize = 40;
const ELEMENT_BYTES: usize = 8 << 10;

impl Workload {
    /// A command about a large value, now and then, if the run has such.
    pub(super) fn about_large(&mut self, client: usize) -> Option<Words> {
        if self.large == 0 || !self.rng.chance(120) {
            return None;
        }
        let kind = KINDS[self.rng.below(6) as usize];
        let key = format!("large:{kind}");
        let other = format!("large:{}", KINDS[self.rng.below(6) as usize]);
        Some(match self.rng.below(16) {
            0..=4 if self.large > 1 => {
                self.large -= 1;
                self.grow(kind, &key, client)
            }
            0..=4 => words(&["STRLEN", "large:text"]),
            5 => words(&["DEL", &key]),
            6 => words(&["UNLINK", &key, &other]),
            7 => words(&["RENAME", &key, &other]),
            8 => words(&["COPY", &key, &other, "REPLACE"]),
            9 => words(&["SET", &key, "small"]),
            10 => words(&["PEXPIRE", &key, &(1 + self.rng.below(2000)).to_string()]),
            11 => words(&["MOVE", &key, &self.rng.below(4).to_string()]),
            _ => self.touch(kind, &key, client),
        })
    }

    fn grow(&mut self, kind: &str, key: &str, client: usize) -> Words {
        let mut element = |n: usize| {
            let mut bytes = self.token(client);
            bytes.resize(n, b'.');
            bytes
        };
        if kind == "text" {
            let whole = element(ELEMENTS * ELEMENT_BYTES);
            return [words(&["SET", key]), vec![whole]].concat();
        }
        let mut all = match kind {
            "list" => words(&["RPUSH", key]),
            "hash" => words(&["HSET", key]),
            "set" => words(&["SADD", key]),
            "zset" => words(&["ZADD", key]),
            _ => words(&["XADD", key, "*"]),
        };
        for i in 0..ELEMENTS {
            match kind {
                "hash" | "stream" => all.push(format!("e{i}").into_bytes()),
                "zset" => all.push(i.to_string().into_bytes()),
                _ => {}
            }
            all.push(element(ELEMENT_BYTES));
        }
        all
    }

    /// Changes a little of a value.
    fn touch(&mut self, kind: &str, key: &str, client: usize) -> Words {
        let n = self.rng.below(ELEMENTS as u64);
        let (at, field) = (n.to_string(), format!("e{n}"));
        let first = self.rng.chance(500);
        let end = |words: Words, last: Vec<u8>| [words, vec![last]].concat();
        match (kind, first) {
            ("list", true) => end(words(&["LSET", key, &at]), self.token(client)),
            ("list", false) => words(&["LTRIM", key, "1", "-2"]),
            ("hash", true) => end(words(&["HSET", key, &field]), self.token(client)),
            ("hash", false) => words(&["HPEXPIRE", key, "300", "FIELDS", "1", &field]),
            ("set", true) => words(&["SPOP", key, "2"]),
            ("set", false) => end(words(&["SADD", key]), self.token(client)),
            ("zset", true) => words(&["ZREMRANGEBYRANK", key, &at, &at]),
            ("zset", false) => end(words(&["ZADD", key, &at]), self.token(client)),
            ("stream", true) => end(words(&["XADD", key, "*", "f"]), self.token(client)),
            ("stream", false) => words(&["XTRIM", key, "MAXLEN", "2"]),
            (_, true) => end(words(&["APPEND", key]), self.token(client)),
            (_, false) => end(words(&["SETRANGE", key, &at]), self.token(client)),
        }
    }
}
