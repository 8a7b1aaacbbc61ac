//! Rows of a base: what there was at its cut, for readers that begin.
//!
//! A base is read from its file, piece by piece, as a start would read it; what is in a piece is made into
//! events beside the shard's thread. A cursor counts rows, so it is good as long as the file is, also over a
//! restart; a reader that is not at hand is made again and passes over the rows that its client has.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::rc::Rc;

use moon_formats::cdc::{At, Encoder, Row, Snapshot};
use moon_formats::rrdshard::{Decoder, Item, Joiner, Stored};
use moon_formats::value::{Value, ValueType};
use moon_storage::changes::Keep;
use moon_storage::io::{Access, Caching, Disk, File, beside};

use super::page::{Asked, Cursor, Page, Source, Trouble};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes looked at for one page, if there is a row in them.
const SCAN_BYTES: usize = 16 << 20;

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
    file: Rc<dyn File>,
    pos: u64,
    rows: Rows,
}

/// What has been read of a base, as rows.
#[derive(Default)]
struct Rows {
    /// Number of the base.
    seq: u64,
    decoder: Decoder,
    joiner: Joiner,
    cut: u64,
    created_ms: u64,
    /// Rows taken.
    taken: u64,
    /// The rows that come next: at most two, since the last one is told from the others.
    held: [Option<Held>; 2],
    /// There are no more behind those.
    ended: bool,
}

/// What looking for a row came to.
enum Found {
    Row(Held),
    /// The next piece of the file is wanted.
    More,
    End,
}

impl BaseReader {
    async fn open(disk: &dyn Disk, path: &Path, seq: u64) -> io::Result<BaseReader> {
        let file = disk.open(path, Access::Read, Caching::Direct).await?;
        Ok(BaseReader { file, pos: 0, rows: Rows { seq, ..Rows::default() } })
    }

    /// Number of the base, and rows taken from it.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.rows.seq, self.rows.taken)
    }

    /// The next piece of the file; empty at its end.
    async fn piece(&mut self) -> Result<(Vec<u8>, bool), Trouble> {
        let seq = self.rows.seq;
        let io = |cause| Trouble::text(format!("IOERR cannot read base {seq}: {cause}"));
        let piece = self.file.read_at(self.pos, READ_BYTES).await.map_err(io)?;
        self.pos += piece.len() as u64;
        let is_last = piece.is_empty() || self.pos >= self.file.size();
        Ok((piece, is_last))
    }
}

impl Rows {
    fn find(&mut self) -> Result<Found, Trouble> {
        loop {
            match self.decoder.next().map_err(|e| damaged(self.seq, &e))? {
                None => return Ok(Found::More),
                Some(Item::Head(head)) => {
                    self.cut = head.preamble.last_lsn;
                    self.created_ms = head.preamble.created_at_ms;
                }
                Some(Item::Entry(entry)) => match &entry.value {
                    Stored::Body { bytes, .. } => {
                        return Ok(Found::Row(Held {
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
                        return Ok(Found::Row(Held {
                            db: joined.db,
                            key: joined.key,
                            kind: joined.kind,
                            body: joined.body,
                            ttl_ms: joined.expire_ms,
                        }));
                    }
                }
                Some(Item::Db(_) | Item::Range(_) | Item::Section(_)) => {}
                Some(Item::End(_)) => return Ok(Found::End),
            }
        }
    }

    /// Takes the next row; false if the next piece of the file is wanted first. Without a row it was the last
    /// one before.
    fn take(&mut self) -> Result<(bool, Option<Held>), Trouble> {
        while !self.ended && self.held[1].is_none() {
            match self.find()? {
                Found::Row(row) => {
                    let free = usize::from(self.held[0].is_some());
                    self.held[free] = Some(row);
                }
                Found::More => return Ok((false, None)),
                Found::End => self.ended = true,
            }
        }
        let row = self.held[0].take();
        self.held.swap(0, 1);
        self.taken += u64::from(row.is_some());
        Ok((true, row))
    }
}

fn damaged(seq: u64, error: &dyn fmt::Display) -> Trouble {
    Trouble::text(format!("IOERR base {seq} is damaged: {error}"))
}

/// A page while it fills, beside the shard's thread.
struct Filling {
    rows: Rows,
    page: Page,
    query: Asked,
    encoder: Encoder<'static>,
    /// Rows that the client has.
    had: u64,
}

impl Filling {
    /// Adds the rows of what was read. False if it wants more.
    fn fill(&mut self, piece: &[u8], is_last: bool) -> Result<bool, Trouble> {
        self.rows.decoder.feed(piece);
        if is_last {
            self.rows.decoder.close();
        }
        while !self.page.is_full(&self.query) {
            match self.rows.take()? {
                (false, _) => return Ok(false),
                (true, Some(row)) => self.add(&row)?,
                (true, None) => {
                    self.page.next = Cursor::Lsn(self.rows.cut + 1);
                    break;
                }
            }
        }
        Ok(true)
    }

    fn add(&mut self, row: &Held) -> Result<(), Trouble> {
        let Rows { seq, taken, cut, created_ms, .. } = self.rows;
        if taken <= self.had {
            return Ok(());
        }
        let is_last = self.rows.held[0].is_none();
        let next = match is_last {
            true => Cursor::Lsn(cut + 1),
            false => Cursor::Base { seq, rows: taken },
        };
        self.page.next = next;
        let value = Value::decode(&row.body, row.kind.code(), 0).map_err(|e| damaged(seq, &e))?;
        let plane = self.encoder.plane_of(&value);
        if !self.query.filter.keeps(Some(row.db), Some(&row.key), Some(plane)) {
            return Ok(());
        }
        let shown = Row {
            db: row.db,
            key: &row.key,
            value: &value,
            ttl_ms: row.ttl_ms,
            place: match (taken, is_last) {
                (_, true) => Snapshot::Last,
                (1, false) => Snapshot::First,
                _ => Snapshot::Middle,
            },
        };
        let wall_us = i64::try_from(created_ms).unwrap_or(0).saturating_mul(1000);
        let at = At { lsn: cut, previous: cut, wall_us };
        let mut envelope = Vec::new();
        self.encoder.put_row(&mut envelope, &shown, &at);
        self.page.push(&envelope, next);
        Ok(())
    }
}

impl Source<'_> {
    /// A page of rows. Behind the last one the cursor is that of the first record after the cut.
    pub(super) async fn base_page(
        &self,
        query: &Asked,
        seq: u64,
        had: u64,
    ) -> Result<Page, Trouble> {
        let desk = self.desk;
        let mut reader = match desk.shelf.take_base(seq, had) {
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
        let mut filling = Filling {
            rows: std::mem::take(&mut reader.rows),
            page: Page::empty(query, desk.paths.shard),
            query: query.clone(),
            encoder: self.encoder(query),
            had,
        };
        let mut piece = (Vec::new(), false);
        let mut scanned = 0;
        loop {
            let done;
            (filling, done) = beside(&*desk.rt, move || {
                let done = filling.fill(&piece.0, piece.1);
                (filling, done)
            })
            .await;
            if done? || scanned > SCAN_BYTES && filling.rows.taken > had {
                break;
            }
            piece = reader.piece().await?;
            scanned += piece.0.len();
        }
        reader.rows = filling.rows;
        if matches!(filling.page.next, Cursor::Base { .. }) {
            desk.shelf.put_base(reader);
        }
        Ok(filling.page)
    }
}
