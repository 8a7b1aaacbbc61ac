//! The connection state machine: bytes in, requests to the service, replies out in order.
//! No I/O happens here; a driver brings the bytes and takes the replies.
//!
//! Invariants:
//! * What is executed and answered does not depend on how the bytes were split into reads.
//! * A reply leaves only when the watermark has reached the LSN it was made at. Output is
//!   one buffer with *marks*: bytes up to a mark's end need its LSN.
//! * Requests are parsed up to [`AHEAD`] ahead of execution, never past one that changes what
//!   the client may send: then the rest is parsed again.
//! * Memory follows what has arrived: room is never made for more than twice the bytes of
//!   an unfinished request, whatever it announces.

use std::collections::VecDeque;

use moon_formats::resp::{Limits, Parsed, Proto, ProtocolError, Reply, RequestParser, Span};

use super::Slot;

/// What follows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request.
    Continue,
    /// The connection closes once its replies have left.
    Close,
    /// The request was not executed. It is kept, and nothing of this connection is executed
    /// until [`Conn::resume`], which begins with it (CLIENT PAUSE).
    Hold,
    /// The request waits for its reply, and nothing of this connection is executed until
    /// [`Conn::answered`] (BLPOP).
    Wait,
}

/// Executes requests.
pub(crate) trait Executor {
    /// Executes one request of a connection and appends its reply to `out`.
    fn execute(&mut self, slot: Slot, args: &[&[u8]], out: &mut Vec<u8>) -> Next;

    /// Requests of a connection are about to be executed, out of so many bytes of input.
    fn begin_input(&mut self, slot: Slot, bytes: usize);

    /// So many bytes of the way to a master, ever, have been executed ([`Conn::is_link`]).
    fn executed(&mut self, _slot: Slot, _bytes: u64) {}

    /// The requests of a connection that come next, as the word in which most have their key:
    /// a hint to fetch what they will look up.
    fn expect(&mut self, slot: Slot, keys: &[&[u8]]);

    /// LSN of the last record: what a reply made now has to wait for.
    fn last_lsn(&self) -> u64;

    /// What the client of a connection may send now.
    fn limits(&self, slot: Slot) -> Limits;
}

/// Why a connection has to close at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its unparsed input is over the limit.
    QueryBuffer,
}

/// Arguments up to this many need no memory of their own.
const STACK_ARGS: usize = 16;
/// Requests parsed before the first of them is executed: as many cache lines as a core fetches
/// at once.
pub(crate) const AHEAD: usize = 16;
/// An input buffer larger than this is given back when it runs empty.
const KEEP_BYTES: usize = 64 << 10;

/// Spans kept for the next batch.
const KEEP_SPANS: usize = 1024;

/// A parsed request: its bytes in the buffer, its words in [`Conn::spans`].
#[derive(Clone, Copy, Default)]
struct Ahead {
    start: usize,
    end: usize,
    first: usize,
    last: usize,
}

/// What follows the requests that were parsed.
enum Tail {
    /// Nothing, or something not looked at yet.
    More,
    Incomplete,
    Broken(ProtocolError),
}

/// Bytes up to `end` need `lsn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) end: usize,
    pub(crate) lsn: u64,
}

/// One connection.
pub(crate) struct Conn {
    parser: RequestParser,
    spans: Vec<Span>,
    /// Bytes of an unfinished request, or of requests behind a wait.
    input: Vec<u8>,
    /// Replies not handed to the driver yet.
    pub(crate) out: Vec<u8>,
    marks: VecDeque<Mark>,
    /// No more requests are taken; the connection closes when its replies have left.
    closing: bool,
    /// The request that is held back; input behind it waits.
    held: Option<Vec<Box<[u8]>>>,
    /// The last request's reply is to come; input behind it waits.
    waiting: bool,
    /// It is the way to a master: what has been executed is counted to the byte.
    pub(crate) is_link: bool,
    /// Bytes of requests that were executed, and of one that is held back.
    executed: u64,
    held_bytes: usize,
    /// Bytes from the client, ever.
    pub(crate) bytes_in: u64,
    /// Bytes to the client, ever.
    pub(crate) bytes_out: u64,
    /// Requests executed, ever.
    pub(crate) requests: u64,
}

impl Conn {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            parser: RequestParser::new(limits),
            spans: Vec::new(),
            input: Vec::new(),
            out: Vec::new(),
            marks: VecDeque::new(),
            closing: false,
            held: None,
            waiting: false,
            is_link: false,
            executed: 0,
            held_bytes: 0,
            bytes_in: 0,
            bytes_out: 0,
            requests: 0,
        }
    }

    /// True if no more requests are taken.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Takes no more requests; the connection closes when its replies have left.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        self.held = None;
        self.waiting = false;
        self.input = Vec::new();
    }

    /// Bytes of input kept.
    pub(crate) fn input_len(&self) -> usize {
        self.input.len()
    }

    /// Room in the input and output buffers beyond what they hold.
    pub(crate) fn input_free(&self) -> usize {
        self.input.capacity() - self.input.len()
    }

    /// Capacity of the output buffer.
    pub(crate) fn out_capacity(&self) -> usize {
        self.out.capacity()
    }

    /// Takes bytes that arrived and executes every complete request among them. Refuses more than
    /// `input_max` bytes of an unfinished request, or behind one that waits for its reply; how much
    /// comes behind one that is held back is the caller's to bound ([`Self::held_input`]).
    pub(crate) fn feed(
        &mut self,
        slot: Slot,
        bytes: &mut [u8],
        exec: &mut impl Executor,
        input_max: usize,
    ) -> Result<(), Refusal> {
        if self.closing {
            return Ok(());
        }
        self.bytes_in += bytes.len() as u64;
        if self.input.is_empty() && !self.is_held() {
            // The common case: whole requests, executed from the driver's buffer.
            let taken = self.run(slot, bytes, exec);
            let rest = &bytes[taken..];
            if !self.closing && !rest.is_empty() {
                self.reserve(rest.len());
                self.input.extend_from_slice(rest);
            }
        } else {
            self.reserve(bytes.len());
            self.input.extend_from_slice(bytes);
            // Also if these bytes complete the request: its size is what counts.
            self.check_input(input_max)?;
            if !self.is_held() {
                self.run_input(slot, exec);
            }
        }
        self.check_input(input_max)
    }

    fn check_input(&self, max: usize) -> Result<(), Refusal> {
        match self.input.len() > max && self.held.is_none() {
            true => Err(Refusal::QueryBuffer),
            false => Ok(()),
        }
    }

    /// Executes the request that is held back and those that came behind it.
    pub(crate) fn resume(&mut self, slot: Slot, exec: &mut impl Executor) {
        let Some(held) = self.held.take() else { return };
        let words: Vec<&[u8]> = held.iter().map(|w| &**w).collect();
        let marks_before = self.marks.len();
        let next = self.call(slot, &words, exec);
        self.after(slot, exec, marks_before);
        if self.is_link {
            let bytes = self.held_bytes;
            self.count(slot, bytes, next, exec);
        }
        match next {
            Next::Continue => self.go_on(slot, exec),
            Next::Close => self.close(),
            Next::Hold | Next::Wait => {}
        }
    }

    /// The reply that the last request waited for has been delivered: executes what came
    /// behind it.
    pub(crate) fn answered(&mut self, slot: Slot, next: Next, exec: &mut impl Executor) {
        self.waiting = false;
        match next {
            Next::Close => self.close(),
            _ => self.go_on(slot, exec),
        }
    }

    fn go_on(&mut self, slot: Slot, exec: &mut impl Executor) {
        if !self.closing && !self.input.is_empty() {
            self.run_input(slot, exec);
        }
    }

    /// True between [`Next::Hold`] and [`Self::resume`], [`Next::Wait`] and [`Self::answered`].
    pub(crate) fn is_held(&self) -> bool {
        self.waiting || self.held.is_some()
    }

    /// Bytes that wait behind a request that is held back.
    pub(crate) fn held_input(&self) -> usize {
        if self.held.is_some() { self.input.len() } else { 0 }
    }

    /// True between [`Next::Wait`] and [`Self::answered`].
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    fn run_input(&mut self, slot: Slot, exec: &mut impl Executor) {
        let mut input = std::mem::take(&mut self.input);
        let taken = self.run(slot, &mut input, exec);
        if self.closing {
            return;
        }
        if taken == input.len() {
            input.clear();
            if input.capacity() > KEEP_BYTES {
                input = Vec::new();
            }
        } else if taken > 0 {
            input.copy_within(taken.., 0);
            input.truncate(input.len() - taken);
        }
        self.input = input;
    }

    /// Makes room for `more` bytes: for the whole argument that is arriving if it is known,
    /// but at most for twice of what is there.
    fn reserve(&mut self, more: usize) {
        let have = self.input.len() + more;
        let want = match self.parser.pending_bulk() {
            Some(bulk) => (bulk.start as usize + bulk.len as usize + 2).clamp(have, have * 2),
            None => have,
        };
        if want > self.input.capacity() {
            self.input.reserve_exact(want - self.input.len());
        }
    }

    /// Executes the requests at the start of `buf`; returns the bytes they took.
    fn run(&mut self, slot: Slot, buf: &mut [u8], exec: &mut impl Executor) -> usize {
        let mut pos = 0;
        let marks_before = self.marks.len();
        exec.begin_input(slot, buf.len());
        'batch: while pos < buf.len() {
            let mut batch = [Ahead::default(); AHEAD];
            let (count, end, tail) = self.parse_ahead(buf, pos, &mut batch);
            let batch = &batch[..count];
            if count > 1 {
                self.announce(slot, buf, batch, exec);
            }
            for &request in batch {
                let (next, limits_changed) = self.one(slot, request, buf, exec, marks_before);
                if self.is_link {
                    self.count(slot, request.end - pos, next, exec);
                }
                pos = request.end;
                match next {
                    Next::Continue if limits_changed => continue 'batch,
                    Next::Continue => {}
                    Next::Close => {
                        self.close();
                        return pos;
                    }
                    Next::Hold | Next::Wait => {
                        // What comes behind it is parsed when it is its turn.
                        self.parser = RequestParser::new(self.parser.limits());
                        return pos;
                    }
                }
            }
            pos = end;
            match tail {
                Tail::More => {}
                Tail::Incomplete => break,
                Tail::Broken(error) => {
                    self.protocol_error(&error);
                    self.mark(exec.last_lsn(), marks_before);
                    break;
                }
            }
        }
        if self.spans.capacity() > KEEP_SPANS {
            self.spans = Vec::new();
        }
        pos
    }

    /// Counts the bytes of a request; those of one that is held back when it has been executed.
    #[cold]
    fn count(&mut self, slot: Slot, bytes: usize, next: Next, exec: &mut impl Executor) {
        if next == Next::Hold {
            self.held_bytes = bytes;
            return;
        }
        self.executed += bytes as u64;
        exec.executed(slot, self.executed);
    }

    /// Parses what is there, up to [`AHEAD`] requests; returns how many, where they end, and what
    /// follows. Only arrays are looked for behind the first: parsing an inline request changes
    /// the buffer, so it cannot be done twice.
    #[inline]
    fn parse_ahead(
        &mut self,
        buf: &mut [u8],
        mut pos: usize,
        batch: &mut [Ahead; AHEAD],
    ) -> (usize, usize, Tail) {
        self.spans.clear();
        let most = if self.parser.limits().authenticated { AHEAD } else { 1 };
        let mut count = 0;
        while count < most && (count == 0 || buf.get(pos) == Some(&b'*')) && pos < buf.len() {
            let first = self.spans.len();
            match self.parser.parse(&mut buf[pos..], &mut self.spans) {
                Ok(Parsed::Request { consumed }) => {
                    let (start, end) = (pos, pos + consumed);
                    batch[count] = Ahead { start, end, first, last: self.spans.len() };
                    count += 1;
                    pos = end;
                }
                Ok(Parsed::Empty { consumed }) => pos += consumed,
                Ok(Parsed::Incomplete { .. }) => return (count, pos, Tail::Incomplete),
                Err(error) => return (count, pos, Tail::Broken(error)),
            }
        }
        (count, pos, Tail::More)
    }

    /// Tells the executor which keys come.
    #[inline]
    fn announce(&self, slot: Slot, buf: &[u8], batch: &[Ahead], exec: &mut impl Executor) {
        let mut keys = [&[] as &[u8]; AHEAD];
        let mut count = 0;
        for request in batch {
            if let Some(span) = self.spans[request.first..request.last].get(1) {
                keys[count] = span.of(&buf[request.start..]);
                count += 1;
            }
        }
        exec.expect(slot, &keys[..count]);
    }

    #[inline]
    fn one(
        &mut self,
        slot: Slot,
        request: Ahead,
        buf: &[u8],
        exec: &mut impl Executor,
        marks_before: usize,
    ) -> (Next, bool) {
        self.requests += 1;
        let buf = &buf[request.start..];
        let spans = &self.spans[request.first..request.last];
        let next = if spans.len() <= STACK_ARGS {
            let mut words = [&[] as &[u8]; STACK_ARGS];
            for (word, span) in words.iter_mut().zip(spans) {
                *word = span.of(buf);
            }
            let count = spans.len();
            self.call(slot, &words[..count], exec)
        } else {
            let words: Vec<&[u8]> = spans.iter().map(|s| s.of(buf)).collect();
            self.call(slot, &words, exec)
        };
        (next, self.after(slot, exec, marks_before))
    }

    /// After each request: what its reply waits for, and what may be sent next. True if that has
    /// changed, and what was parsed ahead has to be parsed again.
    #[inline]
    fn after(&mut self, slot: Slot, exec: &mut impl Executor, marks_before: usize) -> bool {
        let lsn = exec.last_lsn();
        self.mark(lsn, marks_before);
        let limits = exec.limits(slot);
        let changed = limits != self.parser.limits();
        if changed {
            self.parser = RequestParser::new(limits);
        }
        changed
    }

    #[inline]
    fn call(&mut self, slot: Slot, args: &[&[u8]], exec: &mut impl Executor) -> Next {
        if is_http(args[0]) {
            return Next::Close;
        }
        let next = exec.execute(slot, args, &mut self.out);
        match next {
            Next::Hold => self.held = Some(args.iter().map(|a| Box::from(*a)).collect()),
            Next::Wait => self.waiting = true,
            Next::Continue | Next::Close => {}
        }
        next
    }

    #[cold]
    fn protocol_error(&mut self, error: &ProtocolError) {
        error.reply(&mut Reply::new(&mut self.out, Proto::Resp2));
        self.close();
    }

    /// Notes that the bytes so far need `lsn`. A batch makes two marks at most: one for the
    /// replies before its first write, one for the rest.
    #[inline]
    fn mark(&mut self, lsn: u64, marks_before: usize) {
        let end = self.out.len();
        // A degraded log asks for less than before; order stays order.
        let lsn = self.marks.back().map_or(lsn, |last| last.lsn.max(lsn));
        let in_batch = self.marks.len().saturating_sub(marks_before);
        match self.marks.back_mut() {
            Some(last) if last.lsn == lsn => last.end = end,
            Some(last) if in_batch >= 2 => *last = Mark { end, lsn },
            _ => self.marks.push_back(Mark { end, lsn }),
        }
    }

    /// Appends what others caused to be said to this client, behind the replies so far. Takes
    /// the bytes and leaves a buffer of any content.
    pub(crate) fn deliver(&mut self, bytes: &mut Vec<u8>, marks: &[Mark]) {
        let base = self.out.len();
        if base == 0 {
            std::mem::swap(&mut self.out, bytes);
        } else {
            self.out.extend_from_slice(bytes);
        }
        for mark in marks {
            let end = base + mark.end;
            match self.marks.back_mut() {
                Some(last) if last.lsn == mark.lsn => last.end = end,
                _ => self.marks.push_back(Mark { end, lsn: mark.lsn }),
            }
        }
    }

    /// Bytes at the start of `out` that may leave under this watermark. The caller takes
    /// exactly them.
    #[inline]
    pub(crate) fn release(&mut self, watermark: u64) -> usize {
        match self.marks.back() {
            None => 0,
            Some(last) if last.lsn <= watermark => {
                let end = last.end;
                self.marks.clear();
                end
            }
            Some(_) => self.release_part(watermark),
        }
    }

    #[cold]
    fn release_part(&mut self, watermark: u64) -> usize {
        let mut end = 0;
        while let Some(mark) = self.marks.front().filter(|m| m.lsn <= watermark) {
            end = mark.end;
            self.marks.pop_front();
        }
        for mark in &mut self.marks {
            mark.end -= end;
        }
        end
    }

    /// Puts `error` in place of the replies that the watermark holds back, and closes. False
    /// if it holds none back.
    #[cold]
    pub(crate) fn give_up(&mut self, watermark: u64, error: &[u8]) -> bool {
        if self.marks.back().is_none_or(|last| last.lsn <= watermark) {
            return false;
        }
        let end = self.release_part(watermark);
        self.out.truncate(end);
        self.out.extend_from_slice(error);
        self.marks.clear();
        self.marks.push_back(Mark { end: self.out.len(), lsn: 0 });
        self.close();
        true
    }

    /// Takes over what the client may send: it has become somebody else.
    pub(crate) fn renew_limits(&mut self, limits: Limits) {
        self.parser = RequestParser::new(limits);
    }

    /// Says why the client is not let in, and closes.
    #[cold]
    pub(crate) fn refuse(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
        self.marks.push_back(Mark { end: self.out.len(), lsn: 0 });
        self.close();
    }

    /// Gives back the memory of buffers that hold nothing.
    pub(crate) fn park(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
            self.marks = VecDeque::new();
        }
        if self.input.is_empty() {
            self.input = Vec::new();
            self.spans = Vec::new();
        }
    }
}

/// A browser that was made to talk to this port sends these first (request smuggling).
#[inline]
fn is_http(name: &[u8]) -> bool {
    match name.len() {
        4 => name.eq_ignore_ascii_case(b"post"),
        5 => name.eq_ignore_ascii_case(b"host:"),
        _ => false,
    }
}

#[cfg(test)]
#[path = "conn_tests.rs"]
mod tests;
