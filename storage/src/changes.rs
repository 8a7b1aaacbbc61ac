//! Pages of changes out of the log: from a cursor on, as many as were asked for (durability.md §13, §14).
//!
//! The one idea: a reader of changes is a cursor. A page holds whole units from there on as events, and each of
//! its events the cursor with which nothing behind it is missed.
//!
//! Invariants:
//! * Only records up to [`Log::shown_lsn`](crate::log::Log::shown_lsn) are turned into events.
//! * A unit is never split over two pages, unless it alone exceeds what a page may hold.
//! * Records are parsed and encoded beside the shard's thread, [`PIECE_BYTES`] of the log at a time. A page ends
//!   after [`SCAN_BYTES`] even if nothing passed the filter: the cursor has moved, and the reader asks again.
//! * A page holds the bytes that its reader is sent; whoever sends it encodes nothing.

use std::ops::ControlFlow;

use moon_formats::DecodeError;
use moon_formats::cdc::{At, Changes, Encoder, Format, Plane};
use moon_formats::resp::{Proto, Reply};

use crate::log::{ReadError, Reader, Shown, Visitor};

/// Bytes of the log turned into events in one go: what other readers wait for.
const PIECE_BYTES: usize = 256 << 10;
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

/// What an event is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An element of a reply.
    Element,
    /// A push of its own: `cdc event <shard> <cursor> <envelope>`.
    Push(Proto),
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
    /// As what they are sent.
    pub form: Form,
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

    /// The same question with another filter.
    pub fn with<G>(&self, filter: G) -> Query<G> {
        let Query { cursor, offset, limit, bytes, filter: _, format, before, form } = *self;
        Query { cursor, offset, limit, bytes, filter, format, before, form }
    }
}

/// An event of a page: where its envelope and its frame end, and the cursor behind it with which nothing is
/// missed.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    end: usize,
    frame_end: usize,
    next: Cursor,
}

/// Events, and where the next ones are.
#[derive(Debug, Clone)]
pub struct Page {
    /// The cursor to go on with.
    pub next: Cursor,
    /// Changes of the unit at `next` that were in this page.
    pub offset: usize,
    form: Form,
    shard: u16,
    /// The events as they are sent.
    frames: Vec<u8>,
    places: Vec<Place>,
    /// Bytes of the envelopes.
    size: usize,
    /// There is no more for now.
    pub is_last: bool,
    scanned: u64,
}

impl Page {
    /// A page of a shard without events, that leaves its reader where it is.
    pub fn empty<F>(query: &Query<F>, shard: u16) -> Page {
        Page {
            next: query.cursor,
            offset: query.offset,
            form: query.form,
            shard,
            frames: Vec::new(),
            places: Vec::new(),
            size: 0,
            is_last: false,
            scanned: 0,
        }
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The envelopes, each with the cursor behind it with which nothing is missed.
    pub fn events(&self) -> impl Iterator<Item = (&[u8], Cursor)> {
        let envelope = |p: &Place| self.frames.get(p.start..p.end).unwrap_or_default();
        self.places.iter().map(move |p| (envelope(p), p.next))
    }

    /// Writes what precedes the events in the reply of CDC.READ.
    pub fn head(&self, out: &mut Reply<'_>) {
        out.array(1 + self.len());
        self.next.reply(out);
    }

    /// The events as they are sent, behind the head of a reply or one by one.
    pub fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Where the last event ends that begins before byte `at` of the frames.
    pub fn frame_end(&self, at: usize) -> usize {
        let ended = self.places.partition_point(|p| p.frame_end < at);
        self.places.get(ended).map_or(self.frames.len(), |p| p.frame_end)
    }

    /// Appends an event.
    pub fn push(&mut self, envelope: &[u8], next: Cursor) {
        let proto = match self.form {
            Form::Element => Proto::Resp2,
            Form::Push(proto) => proto,
        };
        let mut out = Reply::new(&mut self.frames, proto);
        if self.form != Form::Element {
            out.push(5);
            out.bulk(b"cdc");
            out.bulk(b"event");
            out.int(i64::from(self.shard));
            next.reply(&mut out);
        }
        out.bulk(envelope);
        let frame_end = self.frames.len();
        let end = frame_end - b"\r\n".len();
        self.places.push(Place { start: end - envelope.len(), end, frame_end, next });
        self.size += envelope.len();
    }

    /// Whether it holds as much as was asked for.
    pub fn is_full<F>(&self, query: &Query<F>) -> bool {
        self.len() >= query.limit || self.size >= query.bytes
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
pub async fn read_page<F: Keep + Clone + Send + 'static>(
    reader: &mut Reader,
    query: &Query<F>,
    encoder: Encoder<'static>,
) -> Result<Page, PageError> {
    let start = reader.next_lsn();
    let mut page = Page::empty(query, encoder.shard);
    page.next = Cursor::Lsn(start);
    let query = query.clone();
    let (unit, ends) = (Vec::new(), Vec::new());
    let mut filling =
        Filling { encoder, query, page, start, unit, ends, full: false, trouble: None };
    let more = loop {
        let (back, read) = reader.read(PIECE_BYTES, filling).await;
        filling = back;
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
struct Filling<F> {
    encoder: Encoder<'static>,
    query: Query<F>,
    page: Page,
    /// LSN at which the reader has had some changes already.
    start: u64,
    /// Envelopes of the unit that is looked at, and where each ends.
    unit: Vec<u8>,
    ends: Vec<usize>,
    full: bool,
    trouble: Option<PageError>,
}

impl<F: Keep + Send + 'static> Visitor for Filling<F> {
    /// Adds the changes of a record, or leaves it to the next page.
    fn show(&mut self, shown: &Shown<'_>) -> ControlFlow<()> {
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
        self.unit.clear();
        self.ends.clear();
        let at = At { lsn: record.lsn, previous: shown.previous, wall_us: shown.wall_us };
        for (i, (change, unit)) in changes.placed().enumerate() {
            let db = change.db.map(u32::from);
            let plane = change.kind.plane();
            if i < had || !self.query.filter.keeps(db, change.key.as_deref(), plane) {
                continue;
            }
            if self.is_full() {
                return self.overflow(record.lsn, i);
            }
            self.encoder.put_change(&mut self.unit, change, &at, &unit);
            if self.page.size + self.unit.len() > self.query.bytes && !self.ends.is_empty() {
                return self.overflow(record.lsn, i);
            }
            self.ends.push(self.unit.len());
        }
        self.close(Cursor::Lsn(record.lsn), Cursor::Lsn(record.lsn + 1));
        self.page.offset = 0;
        self.page.scanned += record.record_len() as u64;
        ControlFlow::Continue(())
    }
}

impl<F: Keep> Filling<F> {
    fn is_full(&self) -> bool {
        self.page.len() + self.ends.len() >= self.query.limit
            || self.page.size + self.unit.len() >= self.query.bytes
    }

    /// Moves the events of the unit into the page; the last of them with the cursor `last`, the others with
    /// that of the unit.
    fn close(&mut self, unit: Cursor, last: Cursor) {
        let mut start = 0;
        for (i, &end) in self.ends.iter().enumerate() {
            let next = if i + 1 == self.ends.len() { last } else { unit };
            self.page.push(self.unit.get(start..end).unwrap_or_default(), next);
            start = end;
        }
    }

    /// The page is full at change `i` of a unit. What came before it waits for the next page, unless the unit
    /// is alone in this one.
    fn overflow(&mut self, lsn: u64, i: usize) -> ControlFlow<()> {
        self.full = true;
        let unit = Cursor::Lsn(lsn);
        if self.page.is_empty() {
            self.close(unit, unit);
            self.page.offset = i;
        } else {
            self.page.offset = 0;
        }
        self.page.next = unit;
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
