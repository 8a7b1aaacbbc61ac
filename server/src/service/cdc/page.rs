//! One page of changes, read by a task between the turns of the shard ([`moon_storage::changes`]).

use std::cell::RefCell;
use std::fmt;

use moon_engine::acl::User;
use moon_formats::cdc::Encoder;
use moon_storage::changes::{self, PageError, read_page};
pub(crate) use moon_storage::changes::{Cursor, Form, Page};
use moon_storage::log::{ReadError, Reader};

use super::Desk;
use super::base::BaseReader;
use super::filter::Filter;

/// Readers kept for the calls that go on where they are.
const SHELF_MAX: usize = 16;

/// What a reader asks for.
pub(crate) type Query = changes::Query<Filter>;
/// The same while it is read.
pub(super) type Asked = changes::Query<Filter<User>>;

/// Whether two readers ask for the same events in the same form.
pub(super) fn is_same(a: &Query, b: &Query) -> bool {
    let place = |q: &Query| (q.cursor, q.offset, q.limit, q.bytes);
    let form = |q: &Query| (q.format, q.before, q.form);
    place(a) == place(b) && form(a) == form(b) && a.filter.is_same(&b.filter)
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
    pub(super) async fn page(&self, query: &Asked) -> Result<Page, Trouble> {
        match query.cursor {
            Cursor::Lsn(lsn) => self.log_page(query, lsn).await,
            Cursor::Base { seq, rows } => self.base_page(query, seq, rows).await,
        }
    }

    pub(super) fn encoder(&self, query: &Asked) -> Encoder<'static> {
        Encoder {
            name: self.name.to_owned().into(),
            shard: self.desk.paths.shard,
            epoch: self.desk.log.epoch(),
            format: query.format,
            before: query.before,
            now_ms: (self.desk.rt.wall_us() / 1000).max(0) as u64,
        }
    }

    async fn log_page(&self, query: &Asked, lsn: u64) -> Result<Page, Trouble> {
        let log = &self.desk.log;
        let mut reader = self.desk.shelf.take(lsn).unwrap_or_else(|| log.reader(lsn));
        let page = read_page(&mut reader, query, self.encoder(query)).await;
        let page = page.map_err(|error| self.trouble(error))?;
        self.desk.shelf.put(reader);
        Ok(page)
    }

    fn trouble(&self, error: PageError) -> Trouble {
        let error = match error {
            PageError::Read(error) => error,
            PageError::Damaged { lsn, text } => return Trouble::Damaged { lsn, text },
        };
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
