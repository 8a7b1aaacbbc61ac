//! Rows of a base: what there was at its cut, for readers that begin.
//!
//! A base is read from its file, piece by piece, as a start would read it. A cursor counts rows, so it is good
//! as long as the file is, also over a restart; a reader that is not at hand is made again and passes over the
//! rows that its client has.

use std::fmt;
use std::io::ErrorKind;
use std::rc::Rc;

use moon_formats::cdc::{At, Row, Snapshot};
use moon_formats::rrdshard::{Decoder, Item, Joiner, Stored};
use moon_formats::value::{Value, ValueType};
use moon_storage::changes::Keep;
use moon_storage::io::{Access, Caching, Disk, File};

use super::page::{Cursor, Page, Query, Source, Trouble};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// Rows passed over or turned into events within one turn.
const PIECE_ROWS: u64 = 256;

/// A row on its way.
struct Held {
    db: u32,
    key: Vec<u8>,
    kind: ValueType,
    body: Vec<u8>,
    ttl_ms: Option<u64>,
}

/// A position in a base.
pub(super) struct BaseReader {
    seq: u64,
    file: Rc<dyn File>,
    pos: u64,
    decoder: Decoder,
    joiner: Joiner,
    cut: u64,
    created_ms: u64,
    /// Rows taken.
    rows: u64,
    /// The row that comes next; nothing at the end, once it has been looked for.
    held: Option<Held>,
    begun: bool,
}

impl BaseReader {
    async fn open(
        disk: &dyn Disk,
        path: &std::path::Path,
        seq: u64,
    ) -> std::io::Result<BaseReader> {
        let file = disk.open(path, Access::Read, Caching::Direct).await?;
        Ok(BaseReader {
            seq,
            file,
            pos: 0,
            decoder: Decoder::new(),
            joiner: Joiner::default(),
            cut: 0,
            created_ms: 0,
            rows: 0,
            held: None,
            begun: false,
        })
    }

    /// Number of the base, and rows taken from it.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.seq, self.rows)
    }

    /// Takes the next row, and looks for the one behind it.
    async fn take(&mut self) -> Result<Option<Held>, Trouble> {
        if !std::mem::replace(&mut self.begun, true) {
            self.held = self.find().await?;
        }
        let taken = self.held.take();
        if taken.is_some() {
            self.held = self.find().await?;
            self.rows += 1;
        }
        Ok(taken)
    }

    async fn find(&mut self) -> Result<Option<Held>, Trouble> {
        loop {
            let item = self.decoder.next().map_err(|e| self::damaged(self.seq, &e))?;
            match item {
                None => self.feed().await?,
                Some(Item::Head(head)) => {
                    self.cut = head.preamble.last_lsn;
                    self.created_ms = head.preamble.created_at_ms;
                }
                Some(Item::Entry(entry)) => match &entry.value {
                    Stored::Body { bytes, .. } => {
                        return Ok(Some(Held {
                            db: entry.db,
                            key: entry.key.to_vec(),
                            kind: entry.kind,
                            body: bytes.to_vec(),
                            ttl_ms: entry.expire_ms,
                        }));
                    }
                    Stored::Large(_) => self.joiner.entry(&entry),
                    Stored::Cold(_) => {
                        return Err(Trouble::text("ERR a value in the cold tier cannot be shown"));
                    }
                },
                Some(Item::Chunk(chunk)) => {
                    if let Some(joined) = self.joiner.chunk(&chunk) {
                        return Ok(Some(Held {
                            db: joined.db,
                            key: joined.key,
                            kind: joined.kind,
                            body: joined.body,
                            ttl_ms: joined.expire_ms,
                        }));
                    }
                }
                Some(Item::Db(_) | Item::Range(_) | Item::Section(_)) => {}
                Some(Item::End(_)) => return Ok(None),
            }
        }
    }

    async fn feed(&mut self) -> Result<(), Trouble> {
        let io = |cause| Trouble::text(format!("IOERR cannot read base {}: {cause}", self.seq));
        let piece = self.file.read_at(self.pos, READ_BYTES).await.map_err(io)?;
        self.pos += piece.len() as u64;
        self.decoder.feed(&piece);
        if piece.is_empty() || self.pos >= self.file.size() {
            self.decoder.close();
        }
        Ok(())
    }
}

fn damaged(seq: u64, error: &dyn fmt::Display) -> Trouble {
    Trouble::text(format!("IOERR base {seq} is damaged: {error}"))
}

impl Source<'_> {
    /// A page of rows. Behind the last one the cursor is that of the first record after the cut.
    pub(super) async fn base_page(
        &self,
        query: &Query,
        seq: u64,
        rows: u64,
    ) -> Result<Page, Trouble> {
        let desk = self.desk;
        let mut reader = match desk.shelf.take_base(seq, rows) {
            Some(reader) => reader,
            None => {
                let path = desk.paths.base(seq);
                match BaseReader::open(&*desk.disk, &path, seq).await {
                    Ok(reader) => reader,
                    Err(e) if e.kind() == ErrorKind::NotFound => {
                        let oldest = desk.log.oldest_lsn();
                        return Err(Trouble::Gone { oldest, snapshot: desk.base_cut() });
                    }
                    Err(e) => {
                        return Err(Trouble::text(format!("IOERR cannot open base {seq}: {e}")));
                    }
                }
            }
        };
        let encoder = self.encoder(query);
        let mut page = Page::empty(query);
        loop {
            if page.is_full(query) {
                break;
            }
            if reader.rows % PIECE_ROWS == PIECE_ROWS - 1 {
                desk.rt.sleep_us(0).await;
            }
            let index = reader.rows;
            let Some(row) = reader.take().await? else {
                page.next = Cursor::Lsn(reader.cut + 1);
                return Ok(page);
            };
            if index < rows {
                continue;
            }
            let is_last = reader.held.is_none();
            let next = match is_last {
                true => Cursor::Lsn(reader.cut + 1),
                false => Cursor::Base { seq, rows: reader.rows },
            };
            page.next = next;
            let value = Value::decode(&row.body, row.kind.code(), 0);
            let value = value.map_err(|e| damaged(seq, &e))?;
            let plane = encoder.plane_of(&value);
            if !query.filter.keeps(Some(row.db), Some(&row.key), Some(plane)) {
                if is_last {
                    return Ok(page);
                }
                continue;
            }
            let shown = Row {
                db: row.db,
                key: &row.key,
                value: &value,
                ttl_ms: row.ttl_ms,
                place: match (index, is_last) {
                    (_, true) => Snapshot::Last,
                    (0, false) => Snapshot::First,
                    _ => Snapshot::Middle,
                },
            };
            let wall_us = i64::try_from(reader.created_ms).unwrap_or(0).saturating_mul(1000);
            let at = At { lsn: reader.cut, previous: reader.cut, wall_us };
            encoder.put_row(page.bytes_mut(), &shown, &at);
            page.close(next);
            if is_last {
                return Ok(page);
            }
        }
        desk.shelf.put_base(reader);
        Ok(page)
    }
}
