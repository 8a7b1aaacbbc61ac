//! The stream of effects that replicas follow, and as much of its past as the backlog keeps.
//!
//! One idea: the stream is one sequence of bytes with one numbering, the same for every replica, and a
//! replica is a position in it. Nothing is buffered per replica: whoever is slow is behind.
//!
//! Invariants:
//! * The bytes from [`Stream::begin`] to [`Stream::end`] are there.
//! * A command stands in the stream whole, behind the SELECT it needs; a unit of several effects stands
//!   between MULTI and EXEC, its SELECTs included.

use std::cell::RefCell;
use std::collections::VecDeque;

use moon_engine::journal::{Follower, Unit};
use moon_formats::resp::encode_command;

/// The stream.
#[derive(Default)]
pub(crate) struct Stream {
    bytes: VecDeque<u8>,
    /// Position of the first byte that is kept.
    begin: u64,
    /// Bytes kept at least, once there are so many (`repl-backlog-size`).
    keep: usize,
    /// The position of the slowest replica: nothing from there on is forgotten.
    needed: Option<u64>,
    /// Database that the last command in the stream is for.
    db: Option<u16>,
    scratch: Vec<u8>,
}

impl Stream {
    /// Position of the oldest byte that is kept.
    pub(crate) fn begin(&self) -> u64 {
        self.begin
    }

    /// Position behind the last byte (`master_repl_offset`).
    pub(crate) fn end(&self) -> u64 {
        self.begin + self.bytes.len() as u64
    }

    /// Bytes kept.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Sets how much of the past is kept.
    pub(crate) fn set_keep(&mut self, bytes: usize) {
        self.keep = bytes;
        self.trim();
    }

    /// Sets from where on somebody has not been sent the stream yet.
    pub(crate) fn set_needed(&mut self, from: Option<u64>) {
        if self.needed != from {
            self.needed = from;
            self.trim();
        }
    }

    /// Appends bytes of another server's stream as they are.
    pub(crate) fn append_raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.trim();
    }

    /// Forgets everything and goes on from another position.
    pub(crate) fn restart(&mut self, at: u64) {
        self.bytes.clear();
        self.needed = None;
        self.begin = at;
        self.db = None;
    }

    /// Forgets the past.
    pub(crate) fn clear(&mut self) {
        self.begin = self.end();
        self.bytes = VecDeque::new();
        self.db = None;
    }

    /// The next command names its database, whichever it is: somebody begins to follow here.
    pub(crate) fn select_anew(&mut self) {
        self.db = None;
    }

    /// The bytes from a position on, `max` at most; `None` if they are not kept any more.
    pub(crate) fn read(&self, from: u64, max: usize, out: &mut Vec<u8>) -> Option<usize> {
        let at = usize::try_from(from.checked_sub(self.begin)?).ok()?;
        let end = self.bytes.len().min(at.checked_add(max)?);
        if at > self.bytes.len() {
            return None;
        }
        let (head, tail) = self.bytes.as_slices();
        let part = |slice: &[u8], skip: usize, out: &mut Vec<u8>| {
            let from = at.saturating_sub(skip).min(slice.len());
            let to = end.saturating_sub(skip).min(slice.len());
            out.extend_from_slice(&slice[from..to]);
        };
        part(head, 0, out);
        part(tail, head.len(), out);
        Some(end - at)
    }

    /// Appends a command of a database.
    pub(crate) fn command(&mut self, db: u16, words: &[&[u8]]) {
        self.select(db);
        encode_command(&mut self.scratch, words.iter().copied());
        self.append();
    }

    /// Appends a command that belongs to no database (PING, REPLCONF).
    pub(crate) fn control(&mut self, words: &[&[u8]]) {
        encode_command(&mut self.scratch, words.iter().copied());
        self.append();
    }

    /// Asks all replicas what they have.
    pub(crate) fn ask_for_confirmation(&mut self) {
        self.control(&[b"REPLCONF", b"GETACK", b"*"]);
    }

    fn unit(&mut self, unit: &Unit) {
        let several = unit.effects() > 1;
        if several {
            self.scratch.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        }
        self.select(unit.db());
        self.scratch.extend_from_slice(unit.forms());
        if several {
            self.scratch.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        }
        self.db = Some(unit.last_db());
        self.append();
    }

    fn select(&mut self, db: u16) {
        if self.db != Some(db) {
            let number = db.to_string();
            encode_command(
                &mut self.scratch,
                [b"SELECT".as_slice(), number.as_bytes()].into_iter(),
            );
            self.db = Some(db);
        }
    }

    fn append(&mut self) {
        self.bytes.extend(&self.scratch);
        self.scratch.clear();
        self.trim();
    }

    fn trim(&mut self) {
        let sent = match self.needed {
            Some(from) => from.saturating_sub(self.begin) as usize,
            None => self.bytes.len(),
        };
        let surplus = self.bytes.len().saturating_sub(self.keep).min(sent);
        // In steps, so that a full backlog does not move its bounds with every command.
        if surplus > self.keep / 16 {
            self.bytes.drain(..surplus);
            self.begin += surplus as u64;
        }
    }
}

/// The stream as the journal feeds it.
#[derive(Default)]
pub(crate) struct Feed(pub(crate) RefCell<Stream>);

impl Follower for Feed {
    fn unit(&self, unit: &Unit) {
        self.0.borrow_mut().unit(unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(stream: &Stream, from: u64) -> String {
        let mut out = Vec::new();
        stream.read(from, usize::MAX >> 1, &mut out).expect("kept");
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn commands_stand_behind_the_select_they_need() {
        let mut s = Stream::default();
        s.set_keep(1 << 20);
        s.command(0, &[b"PUBLISH", b"c", b"1"]);
        s.command(0, &[b"PUBLISH", b"c", b"2"]);
        s.control(&[b"PING"]);
        s.command(3, &[b"DEL", b"k"]);
        let want = "*2 $6 SELECT $1 0 *3 $7 PUBLISH $1 c $1 1 *3 $7 PUBLISH $1 c $1 2 *1 $4 PING \
                    *2 $6 SELECT $1 3 *2 $3 DEL $1 k ";
        assert_eq!(text(&s, 0), want);
        let here = s.end();
        s.select_anew();
        s.command(3, &[b"DEL", b"k"]);
        assert_eq!(text(&s, here), "*2 $6 SELECT $1 3 *2 $3 DEL $1 k ");
    }

    #[test]
    fn positions_outlive_what_is_forgotten() {
        let mut s = Stream::default();
        s.set_keep(100);
        let mut whole = Vec::new();
        for i in 0..200u32 {
            let from = s.end();
            s.command((i % 3) as u16, &[b"SET", b"k", i.to_string().as_bytes()]);
            s.read(from, usize::MAX >> 1, &mut whole).expect("just written");
            assert!(s.len() <= 106 + 60, "{}", s.len());
            assert_eq!(s.end(), whole.len() as u64);
            for (from, max) in [(s.begin(), 7), (s.begin() + 30, 50), (s.end(), 9)] {
                let mut part = Vec::new();
                let n = s.read(from, max, &mut part).expect("kept");
                assert_eq!(n, part.len());
                assert_eq!(part, whole[from as usize..from as usize + n]);
            }
        }
        // What a replica still needs is kept beyond that.
        let slow = s.begin();
        s.set_needed(Some(slow));
        for _ in 0..100 {
            s.control(&[b"PING"]);
        }
        assert_eq!(s.begin(), slow);
        s.set_needed(None);
        assert!(s.len() <= 106);
        let mut out = Vec::new();
        assert_eq!(s.read(s.begin() - 1, 1, &mut out), None);
        assert_eq!(s.read(s.end() + 1, 1, &mut out), None);
        let end = s.end();
        s.clear();
        assert_eq!((s.begin(), s.end(), s.len()), (end, end, 0));
    }
}
