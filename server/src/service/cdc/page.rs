//! One page of changes: from a cursor on, as many as were asked for.
//!
//! A page is read by a task between the turns of the shard. It parses and encodes at most [`PIECE_BYTES`] of
//! the log without giving the shard its turn, and ends after [`SCAN_BYTES`] even if nothing passed the filter:
//! the cursor has moved, and the reader asks again.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;

use moon_formats::cdc::{At, Changes, Encoder, Format};
use moon_formats::resp::Reply;
use moon_storage::log::{ReadError, Reader, Shown};

use super::Desk;
use super::base::BaseReader;
use super::filter::Filter;

/// Bytes of the log turned into events within one turn.
const PIECE_BYTES: usize = 128 << 10;
/// Bytes of the log looked at for one page.
const SCAN_BYTES: u64 = 16 << 20;
/// Readers kept for the calls that go on where they are.
const SHELF_MAX: usize = 16;

/// Where a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cursor {
    /// At the record with this LSN, or the next that exists.
    Lsn(u64),
    /// Behind so many rows of the base with this number.
    Base { seq: u64, rows: u64 },
}

impl Cursor {
    pub(crate) fn reply(self, out: &mut Reply<'_>) {
        match self {
            Cursor::Lsn(lsn) => out.int(lsn as i64),
            Cursor::Base { seq, rows } => out.bulk(format!("S{seq}:{rows}").as_bytes()),
        }
    }

    /// Reads one within a snapshot.
    pub(crate) fn in_base(word: &[u8]) -> Option<Cursor> {
        let (seq, rows) = std::str::from_utf8(word).ok()?.strip_prefix('S')?.split_once(':')?;
        Some(Cursor::Base { seq: seq.parse().ok()?, rows: rows.parse().ok()? })
    }
}

/// What a reader asks for.
#[derive(Clone)]
pub(crate) struct Query {
    pub(crate) cursor: Cursor,
    /// Changes of the unit at the cursor that the reader has already.
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) bytes: usize,
    pub(crate) filter: Filter,
    pub(crate) format: Format,
    pub(crate) before: bool,
}

impl Query {
    /// Whether there may be something behind the cursor, as the log is now.
    pub(super) fn may_find(&self, shown: u64) -> bool {
        match self.cursor {
            Cursor::Lsn(lsn) => lsn <= shown,
            Cursor::Base { .. } => true,
        }
    }

    /// Whether it asks for the same events in the same form.
    pub(super) fn is_same(&self, other: &Query) -> bool {
        let form = |q: &Query| (q.cursor, q.offset, q.limit, q.bytes, q.format, q.before);
        form(self) == form(other) && self.filter.is_same(&other.filter)
    }

    /// Goes on behind a page.
    pub(super) fn go_on(&mut self, page: &Page) {
        self.cursor = page.next;
        self.offset = page.offset;
    }
}

/// Events, and where the next ones are.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(super) next: Cursor,
    /// Changes of the unit at `next` that were in this page.
    pub(super) offset: usize,
    bytes: Vec<u8>,
    /// Where each event ends, and the cursor behind it with which nothing is missed.
    ends: Vec<(usize, Cursor)>,
    /// There is no more for now.
    pub(super) is_last: bool,
    scanned: u64,
}

impl Page {
    /// A page without events that leaves its reader where it is.
    pub(super) fn empty(query: &Query) -> Page {
        Page {
            next: query.cursor,
            offset: query.offset,
            bytes: Vec::new(),
            ends: Vec::new(),
            is_last: false,
            scanned: 0,
        }
    }

    /// Number of events.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The events.
    pub(super) fn events(&self) -> impl Iterator<Item = (&[u8], Cursor)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (end, next))| (self.bytes.get(start..*end).unwrap_or_default(), *next))
    }

    /// Writes it as the reply of CDC.READ.
    pub(super) fn reply(&self, out: &mut Reply<'_>) {
        out.array(1 + self.len());
        self.next.reply(out);
        self.events().for_each(|(event, _)| out.bulk(event));
    }

    /// Where the next event is appended.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends an event that was appended.
    pub(super) fn close(&mut self, next: Cursor) {
        self.ends.push((self.bytes.len(), next));
    }

    /// Whether it holds as much as was asked for.
    pub(super) fn is_full(&self, query: &Query) -> bool {
        self.len() >= query.limit || self.bytes.len() >= query.bytes
    }

    /// Takes back all events but the first `count`.
    fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.bytes.truncate(self.ends.last().map_or(0, |(end, _)| *end));
    }
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The log no longer reaches back to the cursor.
    Gone {
        oldest: u64,
        /// Cut of the newest base.
        snapshot: u64,
    },
    /// A record cannot be read back, or not be understood.
    Damaged { lsn: u64, text: String },
    /// Anything else, as its error reply.
    Text(String),
}

impl Trouble {
    pub(crate) fn text(text: impl Into<String>) -> Trouble {
        Trouble::Text(text.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Gone { oldest, snapshot } => {
                write!(f, "CDCGONE oldest={oldest} snapshot={snapshot}")
            }
            Trouble::Damaged { lsn, text } => {
                let text = text.replace(['\r', '\n'], " ");
                write!(f, "CDCDAMAGED lsn={lsn}: {text}")
            }
            Trouble::Text(text) => f.write_str(&text.replace(['\r', '\n'], " ")),
        }
    }
}

/// Readers at rest: a call that goes on where the last one ended finds its place without looking for it.
#[derive(Default)]
pub(super) struct Shelf {
    log: RefCell<Vec<Reader>>,
    bases: RefCell<Vec<BaseReader>>,
}

impl Shelf {
    pub(super) fn take_base(&self, seq: u64, rows: u64) -> Option<BaseReader> {
        let mut readers = self.bases.borrow_mut();
        let at = readers.iter().position(|r| r.place() == (seq, rows))?;
        Some(readers.remove(at))
    }

    pub(super) fn put_base(&self, reader: BaseReader) {
        let mut readers = self.bases.borrow_mut();
        if readers.len() == SHELF_MAX {
            readers.remove(0);
        }
        readers.push(reader);
    }

    fn take(&self, lsn: u64) -> Option<Reader> {
        let mut readers = self.log.borrow_mut();
        let at = readers.iter().position(|r| r.next_lsn() == lsn)?;
        Some(readers.remove(at))
    }

    fn put(&self, reader: Reader) {
        let mut readers = self.log.borrow_mut();
        if readers.len() == SHELF_MAX {
            readers.remove(0);
        }
        readers.push(reader);
    }
}

/// What pages are read from.
pub(super) struct Source<'a> {
    pub(super) desk: &'a Desk,
    /// Name in events.
    pub(super) name: &'a str,
}

impl Source<'_> {
    pub(super) async fn page(&self, query: &Query) -> Result<Page, Trouble> {
        match query.cursor {
            Cursor::Lsn(lsn) => self.log_page(query, lsn).await,
            Cursor::Base { seq, rows } => self.base_page(query, seq, rows).await,
        }
    }

    pub(super) fn encoder(&self, query: &Query) -> Encoder<'_> {
        Encoder {
            name: self.name,
            shard: self.desk.paths.shard,
            epoch: self.desk.log.epoch(),
            format: query.format,
            before: query.before,
            now_ms: (self.desk.rt.wall_us() / 1000).max(0) as u64,
        }
    }

    async fn log_page(&self, query: &Query, lsn: u64) -> Result<Page, Trouble> {
        let log = &self.desk.log;
        let mut reader = self.desk.shelf.take(lsn).unwrap_or_else(|| log.reader(lsn));
        let mut page = Page::empty(query);
        page.next = Cursor::Lsn(reader.next_lsn());
        let mut filling = Filling {
            encoder: self.encoder(query),
            query,
            page,
            start: lsn,
            full: false,
            trouble: None,
        };
        let more = loop {
            let read = reader.read(PIECE_BYTES, &mut |shown| filling.add(shown)).await;
            let more = match read {
                Ok(more) => more,
                Err(error) => return filling.end_early(self.trouble(error)),
            };
            if let Some(trouble) = filling.trouble.take() {
                return filling.end_early(trouble);
            }
            if !more || filling.full || filling.page.scanned > SCAN_BYTES {
                break more;
            }
        };
        let mut page = filling.page;
        if page.offset == 0 {
            page.next = Cursor::Lsn(reader.next_lsn());
        }
        page.is_last = !more;
        self.desk.shelf.put(reader);
        Ok(page)
    }

    fn trouble(&self, error: ReadError) -> Trouble {
        match error {
            ReadError::Gone { oldest } => Trouble::Gone { oldest, snapshot: self.desk.base_cut() },
            ReadError::Left { epoch, forked_at } => {
                Trouble::text(format!("CDCEPOCH epoch={epoch} forked-at={forked_at}"))
            }
            ReadError::Damaged { lsn, .. } => Trouble::Damaged { lsn, text: error.to_string() },
            ReadError::Io { .. } => Trouble::text(format!("IOERR {error}")),
        }
    }
}

impl Desk {
    /// Cursors of the rows of the newest base, and of what follows them in the log. Without a base the log
    /// holds everything, and both are its beginning.
    pub(crate) fn snapshot(&self) -> (Cursor, Cursor) {
        match self.parts.list().base {
            Some(base) => (Cursor::Base { seq: base.seq, rows: 0 }, Cursor::Lsn(base.cut + 1)),
            None => {
                let oldest = Cursor::Lsn(self.log.oldest_lsn());
                (oldest, oldest)
            }
        }
    }

    /// Number of the timeline, and the last LSN that it shares with the one before; 0 for the first.
    pub(crate) fn timeline(&self) -> (u64, u64) {
        let last = self.parts.list().timelines.last().copied();
        (self.log.epoch(), last.and_then(|t| t.forked_at).unwrap_or(0))
    }

    /// Cut of the newest base; 0 without one.
    pub(crate) fn base_cut(&self) -> u64 {
        self.parts.list().base.map_or(0, |base| base.cut)
    }
}

/// A page while it fills.
struct Filling<'a> {
    encoder: Encoder<'a>,
    query: &'a Query,
    page: Page,
    /// LSN at which the reader has had some changes already.
    start: u64,
    full: bool,
    trouble: Option<Trouble>,
}

impl Filling<'_> {
    /// Adds the changes of a record, or leaves it to the next page.
    fn add(&mut self, shown: &Shown<'_>) -> ControlFlow<()> {
        let record = &shown.record;
        let damaged = |e: moon_formats::DecodeError| Trouble::Damaged {
            lsn: record.lsn,
            text: e.to_string(),
        };
        let payload = match record.raw_payload() {
            Ok(payload) => payload,
            Err(e) => {
                self.trouble = Some(damaged(e));
                return ControlFlow::Break(());
            }
        };
        let changes = match Changes::of(record.code, record.flags, record.db, &payload) {
            Ok(changes) => changes,
            Err(e) => {
                self.trouble = Some(damaged(e));
                return ControlFlow::Break(());
            }
        };
        let had = if record.lsn == self.start { self.query.offset } else { 0 };
        let before = self.page.len();
        let at = At { lsn: record.lsn, previous: shown.previous, wall_us: shown.wall_us };
        for (i, (change, unit)) in changes.placed().enumerate() {
            let db = change.db.map(u32::from);
            let plane = change.kind.plane();
            if i < had || !self.query.filter.keeps(db, change.key.as_deref(), plane) {
                continue;
            }
            if self.page.is_full(self.query) {
                return self.overflow(record.lsn, before, i);
            }
            self.encoder.put_change(&mut self.page.bytes, change, &at, &unit);
            self.page.close(Cursor::Lsn(record.lsn));
            if self.page.bytes.len() > self.query.bytes && self.page.len() > before + 1 {
                self.page.truncate(self.page.len() - 1);
                return self.overflow(record.lsn, before, i);
            }
        }
        if self.page.len() > before
            && let Some((_, next)) = self.page.ends.last_mut()
        {
            *next = Cursor::Lsn(record.lsn + 1);
        }
        self.page.offset = 0;
        self.page.scanned += record.record_len() as u64;
        ControlFlow::Continue(())
    }

    /// The page is full at change `i` of a unit. What came before it waits for the next page, unless the unit
    /// is alone in this one.
    fn overflow(&mut self, lsn: u64, before: usize, i: usize) -> ControlFlow<()> {
        self.full = true;
        if before > 0 {
            self.page.truncate(before);
            self.page.offset = 0;
        } else {
            self.page.offset = i;
        }
        self.page.next = Cursor::Lsn(lsn);
        ControlFlow::Break(())
    }

    /// Events before the trouble come first; it is met again by the next call.
    fn end_early(self, trouble: Trouble) -> Result<Page, Trouble> {
        match (self.page.is_empty(), &trouble) {
            (false, Trouble::Damaged { lsn, .. }) => {
                let mut page = self.page;
                page.next = Cursor::Lsn(*lsn);
                page.offset = 0;
                Ok(page)
            }
            _ => Err(trouble),
        }
    }
}
