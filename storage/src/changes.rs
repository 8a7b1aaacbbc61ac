//! Pages of changes out of the log: from a cursor on, as many as were asked for (durability.md §13, §14).
//!
//! The one idea: a reader of changes is a cursor. A page holds whole units from there on as events, and each of
//! its events the cursor with which nothing behind it is missed.
//!
//! Invariants:
//! * Only records up to [`Log::shown_lsn`](crate::log::Log::shown_lsn) are turned into events.
//! * A unit is never split over two pages, unless it alone exceeds what a page may hold.
//! * At most [`PIECE_BYTES`] of the log are parsed and encoded without giving others their turn; a page ends
//!   after [`SCAN_BYTES`] even if nothing passed the filter: the cursor has moved, and the reader asks again.

use std::ops::ControlFlow;

use moon_formats::DecodeError;
use moon_formats::cdc::{At, Changes, Encoder, Format, Plane};
use moon_formats::resp::Reply;

use crate::log::{ReadError, Reader, Shown};

/// Bytes of the log turned into events within one turn.
const PIECE_BYTES: usize = 16 << 10;
/// Bytes of the log looked at for one page.
const SCAN_BYTES: u64 = 16 << 20;

/// Which changes a reader wants.
pub trait Keep {
    /// Whether a change, or a row of a base, passes. Without a database or key it is about all of them.
    fn keeps(&self, db: Option<u32>, key: Option<&[u8]>, plane: Option<Plane>) -> bool;
}

/// Wants everything.
impl Keep for () {
    fn keeps(&self, _: Option<u32>, _: Option<&[u8]>, _: Option<Plane>) -> bool {
        true
    }
}

/// Where a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cursor {
    /// At the record with this LSN, or the next that exists.
    Lsn(u64),
    /// Behind rows of a base.
    Base {
        /// Number of the base.
        seq: u64,
        /// Rows that the reader has.
        rows: u64,
    },
}

impl Cursor {
    /// Writes it as a cursor of a reply.
    pub fn reply(self, out: &mut Reply<'_>) {
        match self {
            Cursor::Lsn(lsn) => out.int(lsn as i64),
            Cursor::Base { seq, rows } => out.bulk(format!("S{seq}:{rows}").as_bytes()),
        }
    }

    /// Reads one within a base.
    pub fn in_base(word: &[u8]) -> Option<Cursor> {
        let (seq, rows) = std::str::from_utf8(word).ok()?.strip_prefix('S')?.split_once(':')?;
        Some(Cursor::Base { seq: seq.parse().ok()?, rows: rows.parse().ok()? })
    }
}

/// What a reader asks for.
#[derive(Debug, Clone)]
pub struct Query<F> {
    /// Where.
    pub cursor: Cursor,
    /// Changes of the unit at the cursor that the reader has already.
    pub offset: usize,
    /// Most events.
    pub limit: usize,
    /// Most bytes of them, unless a single one has more.
    pub bytes: usize,
    /// Which.
    pub filter: F,
    /// In which form.
    pub format: Format,
    /// With what was there before, where that is known.
    pub before: bool,
}

impl<F> Query<F> {
    /// Whether there may be something behind the cursor, as the log is now.
    pub fn may_find(&self, shown: u64) -> bool {
        match self.cursor {
            Cursor::Lsn(lsn) => lsn <= shown,
            Cursor::Base { .. } => true,
        }
    }

    /// Goes on behind a page.
    pub fn go_on(&mut self, page: &Page) {
        self.cursor = page.next;
        self.offset = page.offset;
    }
}

/// Events, and where the next ones are.
#[derive(Debug, Clone)]
pub struct Page {
    /// The cursor to go on with.
    pub next: Cursor,
    /// Changes of the unit at `next` that were in this page.
    pub offset: usize,
    bytes: Vec<u8>,
    /// Where each event ends, and the cursor behind it with which nothing is missed.
    ends: Vec<(usize, Cursor)>,
    /// There is no more for now.
    pub is_last: bool,
    scanned: u64,
}

impl Page {
    /// A page without events that leaves its reader where it is.
    pub fn empty<F>(query: &Query<F>) -> Page {
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
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The events, each with the cursor behind it with which nothing is missed.
    pub fn events(&self) -> impl Iterator<Item = (&[u8], Cursor)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (end, next))| (self.bytes.get(start..*end).unwrap_or_default(), *next))
    }

    /// Writes it as the reply of CDC.READ.
    pub fn reply(&self, out: &mut Reply<'_>) {
        out.array(1 + self.len());
        self.next.reply(out);
        self.events().for_each(|(event, _)| out.bulk(event));
    }

    /// Where the next event is appended.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends an event that was appended.
    pub fn close(&mut self, next: Cursor) {
        self.ends.push((self.bytes.len(), next));
    }

    /// Whether it holds as much as was asked for.
    pub fn is_full<F>(&self, query: &Query<F>) -> bool {
        self.len() >= query.limit || self.bytes.len() >= query.bytes
    }

    /// Takes back all events but the first `count`.
    fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.bytes.truncate(self.ends.last().map_or(0, |(end, _)| *end));
    }
}

/// Why there is no page.
#[derive(Debug)]
pub enum PageError {
    /// The log cannot be read there.
    Read(ReadError),
    /// A record cannot be understood.
    Damaged {
        /// Its LSN.
        lsn: u64,
        /// What is wrong.
        text: String,
    },
}

impl PageError {
    /// LSN of a record that cannot be read back, or not be understood.
    fn damaged_lsn(&self) -> Option<u64> {
        match self {
            PageError::Damaged { lsn, .. } | PageError::Read(ReadError::Damaged { lsn, .. }) => {
                Some(*lsn)
            }
            PageError::Read(_) => None,
        }
    }
}

/// Reads a page with a reader that is at the cursor of `query`.
///
/// # Errors
/// The next record cannot be shown; a page that has events ends before it.
pub async fn read_page<F: Keep>(
    reader: &mut Reader,
    query: &Query<F>,
    encoder: Encoder<'_>,
) -> Result<Page, PageError> {
    let start = reader.next_lsn();
    let mut page = Page::empty(query);
    page.next = Cursor::Lsn(start);
    let mut filling = Filling { encoder, query, page, start, full: false, trouble: None };
    let more = loop {
        let read = reader.read(PIECE_BYTES, &mut |shown| filling.add(shown)).await;
        let more = match read {
            Ok(more) => more,
            Err(error) => return filling.end_early(PageError::Read(error)),
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
    Ok(page)
}

/// A page while it fills.
struct Filling<'a, F> {
    encoder: Encoder<'a>,
    query: &'a Query<F>,
    page: Page,
    /// LSN at which the reader has had some changes already.
    start: u64,
    full: bool,
    trouble: Option<PageError>,
}

impl<F: Keep> Filling<'_, F> {
    /// Adds the changes of a record, or leaves it to the next page.
    fn add(&mut self, shown: &Shown<'_>) -> ControlFlow<()> {
        let record = &shown.record;
        let damaged = |e: DecodeError| PageError::Damaged { lsn: record.lsn, text: e.to_string() };
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
    fn end_early(self, trouble: PageError) -> Result<Page, PageError> {
        match (self.page.is_empty(), trouble.damaged_lsn()) {
            (false, Some(lsn)) => {
                let mut page = self.page;
                page.next = Cursor::Lsn(lsn);
                page.offset = 0;
                Ok(page)
            }
            _ => Err(trouble),
        }
    }
}
