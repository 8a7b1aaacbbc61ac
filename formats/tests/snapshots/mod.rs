//! What each byte of a snapshot means, and its text form.

use crate::Golden;
use crate::layout::{self, Walk};
use moon_formats::rrdshard::{
    Decoder, EXTENSION_FIELDS, Form, Head, Item, Joiner, PREAMBLE_FIELDS, section,
};
use std::fmt::Write;

pub(crate) fn read(name: &str, bytes: Vec<u8>) -> Golden {
    let mut dump = String::new();
    let mut joiner = Joiner::default();
    let mut head = None;
    let mut decoder = Decoder::new();
    decoder.feed(&bytes);
    decoder.close();
    while let Some(item) = decoder.next().unwrap() {
        match item {
            Item::Head(h) => {
                head = Some(h);
                writeln!(dump, "{h}").unwrap();
            }
            Item::Db(db) => writeln!(dump, "db {db}").unwrap(),
            Item::Range(r) => {
                writeln!(dump, "range {:#x}..{:#x} entries={}", r.hash_lo, r.hash_hi, r.count)
                    .unwrap();
            }
            Item::Entry(e) => {
                joiner.entry(&e);
                writeln!(dump, "{e}").unwrap();
            }
            Item::Chunk(c) => {
                writeln!(dump, "chunk {} of value {}", c.chunk, c.value_id).unwrap();
                if let Some(j) = joiner.chunk(&c) {
                    let key = j.key.escape_ascii();
                    writeln!(dump, "db={} key=\"{key}\" {}", j.db, j.value().unwrap()).unwrap();
                }
            }
            Item::Section(s) => {
                let name = section::name(s.section).unwrap_or("unknown");
                writeln!(dump, "section {name} version={} flags={}", s.version, s.flags).unwrap();
            }
            Item::End(end) => writeln!(dump, "{end:?}").unwrap(),
        }
    }
    let pieces = pieces(&bytes, &head.unwrap());
    Golden { name: name.into(), bytes, pieces, dump }
}

fn pieces(bytes: &[u8], head: &Head) -> Vec<(usize, String)> {
    let mut layouts = layout::snapshot();
    let version = head.preamble.version;
    let ttls_since = if head.form == Form::Moon { 2 } else { 3 };
    if head.extension.is_none() && version < ttls_since {
        let hash = layouts["1"].split_once(" | m u32").unwrap().0.to_owned();
        layouts.insert("1".into(), hash);
    }
    let mut walk = Walk::new(&layouts, bytes);
    let mut all = Vec::new();
    if head.form == Form::Moon {
        walk.walk("magic 4 bytes | version u8");
    } else {
        let preamble = if version == 1 { 4 } else { PREAMBLE_FIELDS.len() };
        let extension = if version < 4 { 0 } else { EXTENSION_FIELDS.len() };
        for (_, size, name) in
            PREAMBLE_FIELDS[..preamble].iter().chain(&EXTENSION_FIELDS[..extension])
        {
            match size {
                1 => walk.walk(&format!("{name} u8")),
                2 => walk.walk(&format!("{name} u16")),
                4 => walk.walk(&format!("{name} u32")),
                8 if *name != "magic" => walk.walk(&format!("{name} u64")),
                other => walk.walk(&format!("{name} {other} bytes")),
            }
        }
    }
    all.extend(walk.pieces.drain(..).map(|(n, text)| (n, format!("head: {text}"))));
    while let Some(marker) = walk.bytes.first() {
        let block = match (marker, head.extension.is_some()) {
            (0xfb, true) => "chunk",
            (0xfc, true) => "section",
            (0xfd, true) => "range",
            (0xfe, true) => "select",
            (0xff, true) => "trailer",
            (0xfd, false) => "old_range",
            (0xfe, false) => "old_select",
            (0xff, false) => "old_end",
            _ => "old_item",
        };
        walk.walk(&layouts[block]);
        let mut lead = format!("{block}: ");
        for (n, text) in walk.pieces.drain(..) {
            all.push((n, format!("{lead}{text}")));
            lead = "  ".into();
        }
    }
    all
}
