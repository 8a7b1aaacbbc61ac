//! Reads the byte tables that open the body files, and walks bytes by them.

use std::collections::BTreeMap;

/// Layouts by name. Streams of value bodies refer to each other by their type codes.
pub(crate) type Layouts = BTreeMap<String, String>;

const WAL: &[&str] = &[
    include_str!("../../src/wal/body/command.rs"),
    include_str!("../../src/wal/body/control.rs"),
    include_str!("../../src/wal/body/file.rs"),
    include_str!("../../src/wal/body/image.rs"),
    include_str!("../../src/wal/body/mq.rs"),
    include_str!("../../src/wal/body/temporal.rs"),
    include_str!("../../src/wal/body/vector.rs"),
    include_str!("../../src/wal/body/workspace.rs"),
    include_str!("../../src/wal/body/xact.rs"),
];
const VALUE: &[&str] =
    &[include_str!("../../src/value/mod.rs"), include_str!("../../src/value/stream.rs")];

const SNAPSHOT: &[&str] = &[
    include_str!("../../src/rrdshard/mod.rs"),
    include_str!("../../src/rrdshard/section.rs"),
    include_str!("../../src/rrdshard/legacy.rs"),
];

/// Layouts of snapshots: blocks, value bodies, locations of cold values.
pub(crate) fn snapshot() -> Layouts {
    let mut all = layouts(&[SNAPSHOT, VALUE].concat());
    all.insert("ptr".into(), wal()["ptr"].clone());
    all
}

/// Layouts of log payloads.
pub(crate) fn wal() -> Layouts {
    layouts(WAL)
}

/// Layouts of value bodies, by type code.
pub(crate) fn value() -> Layouts {
    layouts(VALUE)
}

/// Name and layout of every entry of the first table of each source.
pub(crate) fn layouts(sources: &[&str]) -> Layouts {
    let mut all = Layouts::new();
    for source in sources {
        let (_, rest) = source.split_once("//! ```text\n").unwrap();
        let (block, _) = rest.split_once("//! ```\n").unwrap();
        let mut last = String::new();
        for line in block.lines() {
            let line = line.strip_prefix("//! ").unwrap();
            if line.starts_with("with EFFECT_META") || line.starts_with("page 0") {
                continue;
            }
            let (name, layout) = line.split_once("  ").unwrap_or(("", line));
            if !name.is_empty() {
                // `5 stream` is known as `5`.
                last = name.split(' ').next().unwrap().to_owned();
                assert!(!all.contains_key(&last), "{last} twice");
            }
            let entry = all.entry(last.clone()).or_default();
            if !entry.is_empty() {
                entry.push(' ');
            }
            entry.push_str(layout.trim());
        }
    }
    all
}

/// Items of a layout: split at top-level bars, notes dropped.
fn items(layout: &str) -> Vec<String> {
    let mut depth = 0;
    let mut note = false;
    let mut items = vec![String::new()];
    for c in layout.chars() {
        match c {
            '{' => note = true,
            '}' => note = false,
            _ if note => {}
            '|' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
                items.last_mut().unwrap().push(c);
            }
        }
    }
    items.into_iter().map(|i| i.trim().to_owned()).collect()
}

/// Walks bytes by a layout, naming each field.
pub(crate) struct Walk<'a> {
    layouts: &'a Layouts,
    pub(crate) bytes: &'a [u8],
    pub(crate) fields: BTreeMap<String, u64>,
    /// Length and meaning of each piece, in order.
    pub(crate) pieces: Vec<(usize, String)>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(layouts: &'a Layouts, bytes: &'a [u8]) -> Walk<'a> {
        Walk { layouts, bytes, fields: BTreeMap::new(), pieces: Vec::new() }
    }

    fn take(&mut self, n: usize) -> &'a [u8] {
        assert!(n <= self.bytes.len(), "{n} bytes wanted, {} left", self.bytes.len());
        let (head, tail) = self.bytes.split_at(n);
        self.bytes = tail;
        head
    }

    fn number(&mut self, n: usize) -> u64 {
        self.take(n).iter().rev().fold(0, |v, &b| v << 8 | u64::from(b))
    }

    fn bytes(&mut self, name: &str, width: usize, len: usize) {
        let text = self.take(len).escape_ascii().to_string();
        self.pieces.push((width + len, format!("{name} = \"{text}\"")));
    }

    pub(crate) fn walk(&mut self, layout: &str) {
        for item in items(layout) {
            if let Some(group) = item.strip_prefix('(') {
                let (inner, count) = group.rsplit_once(")*").unwrap();
                for _ in 0..self.fields[count] {
                    self.walk(inner);
                }
            } else if let Some(inner) = item.strip_prefix('[').and_then(|i| i.strip_suffix(']')) {
                match inner.split_once(": ") {
                    Some((condition, inner)) => {
                        if self.holds(condition) {
                            self.walk(inner);
                        }
                    }
                    None if self.bytes.is_empty() => {}
                    None => self.walk(inner),
                }
            } else {
                let (name, kind) = item.split_once(' ').unwrap_or_else(|| panic!("`{item}`"));
                self.field(name, kind);
            }
        }
    }

    /// `field=value`, `field&bits`: one of them is set, `field&bits=0`: none is.
    fn holds(&self, condition: &str) -> bool {
        let (left, value) = condition.split_once('=').unwrap_or((condition, ""));
        let (field, bits) = left.split_once('&').unwrap_or((left, ""));
        let found = self.fields[field];
        match (bits.parse::<u64>(), value) {
            (Ok(bits), "") => found & bits != 0,
            (Ok(bits), value) => (found & bits).to_string() == value,
            (Err(_), value) => found.to_string() == value,
        }
    }

    fn field(&mut self, name: &str, kind: &str) {
        let width = match kind {
            "u8" => 1,
            "u16" | "bytes16" => 2,
            "u32" | "bytes32" => 4,
            "u64" | "i64" | "f64" => 8,
            "rest" => return self.bytes(name, 0, self.bytes.len()),
            // Of the type that stands before it.
            "body" => return self.walk(&self.layouts[&self.fields["type"].to_string()].clone()),
            other => {
                if let Some(len) = other.strip_suffix(" bytes") {
                    return self.bytes(name, 0, len.parse().unwrap());
                }
                if let Some(len) = other.strip_prefix('=') {
                    return self.bytes(name, 0, self.fields[len] as usize);
                }
                if let Some(inner) = self.layouts.get(other) {
                    return self.walk(&inner.clone());
                }
                return self.bytes(name, 0, other.parse().unwrap_or_else(|_| panic!("`{other}`")));
            }
        };
        let value = self.number(width);
        if kind.starts_with("bytes") {
            return self.bytes(name, width, value as usize);
        }
        self.fields.insert(name.to_owned(), value);
        self.pieces.push((
            width,
            match kind {
                "i64" => format!("{name} = {}", value as i64),
                "f64" => format!("{name} = {:?}", f64::from_bits(value)),
                _ => format!("{name} = {value}"),
            },
        ));
    }
}
