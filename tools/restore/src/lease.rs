//! A running server as a source: its lease (MOON.BACKUP), kept by a thread while files are copied.
//!
//! Invariant: a set counts only if the server has said, after the last byte was read, that the lease still
//! holds; a name of a lease is never given twice.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use moon_formats::aof::PartList;
use moon_formats::backup::FileKind;
use moon_formats::resp::Value;
use moon_restore::fail::Failure;
use moon_restore::source::{Cut, ShardCut};
use moon_storage::io::Disk;
use moon_storage::marker;

use crate::link::Link;

/// Name of the container command.
const COMMAND: &[u8] = b"MOON.BACKUP";
/// Time to live that is asked for, in seconds, and how often it is begun anew.
const TTL: &[u8] = b"60";
const RENEW: Duration = Duration::from_secs(15);

/// What the thread is told.
enum Order {
    /// Say whether the lease holds.
    Ask(Sender<Result<(), Failure>>),
    /// End it, as done or as failed.
    End(bool, Sender<Result<(), Failure>>),
}

/// A lease that is kept.
pub(crate) struct Lease {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Lease {
    /// Asks for one; what may be copied.
    pub(crate) fn begin(mut link: Link) -> Result<(Lease, Cut), Failure> {
        let reply = link.call(&[COMMAND, b"BEGIN", TTL])?;
        let (id, cut) = read(reply).ok_or_else(|| {
            Failure::environment("the server's answer to MOON.BACKUP BEGIN is not understood")
        })?;
        let (orders, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("lease".into())
            .spawn(move || keep(link, &id, &receiver))
            .map_err(|e| Failure::environment(format!("cannot start a thread: {e}")))?;
        Ok((Lease { orders, thread: Some(thread) }, cut))
    }

    fn order(
        &self,
        order: impl FnOnce(Sender<Result<(), Failure>>) -> Order,
    ) -> Result<(), Failure> {
        let (sender, receiver) = channel();
        let gone = || Failure::environment("the lease of the backup has been lost");
        self.orders.send(order(sender)).map_err(|_| gone())?;
        receiver.recv().map_err(|_| gone())?
    }

    /// Whether the files still are what they were.
    pub(crate) fn holds(&self) -> Result<(), Failure> {
        self.order(Order::Ask)
    }

    /// Ends it.
    pub(crate) fn end(mut self, done: bool) -> Result<(), Failure> {
        let ended = self.order(|sender| Order::End(done, sender));
        if let Some(thread) = self.thread.take() {
            // It has answered, so it ends.
            let _ = thread.join();
        }
        ended
    }
}

/// The thread: renews the lease until it is told to end it, or nobody is left to tell it.
fn keep(mut link: Link, id: &str, orders: &Receiver<Order>) {
    let mut lost: Option<Failure> = None;
    let mut renew = |link: &mut Link| {
        if lost.is_none() {
            lost = link.call(&[COMMAND, b"RENEW", id.as_bytes()]).err();
        }
        lost.as_ref().map_or(Ok(()), |failure| {
            let message = format!("the lease of the backup has been lost: {}", failure.message);
            Err(Failure { message, ..failure.again() })
        })
    };
    loop {
        match orders.recv_timeout(RENEW) {
            Err(RecvTimeoutError::Timeout) => drop(renew(&mut link)),
            Err(RecvTimeoutError::Disconnected) => {
                drop(link.call(&[COMMAND, b"END", id.as_bytes(), b"FAILED"]));
                return;
            }
            Ok(Order::Ask(answer)) => drop(answer.send(renew(&mut link))),
            Ok(Order::End(done, answer)) => {
                let words: &[&[u8]] = &[COMMAND, b"END", id.as_bytes(), b"FAILED"];
                let ended = link.call(if done { &words[..3] } else { words });
                drop(answer.send(ended.map(|_| ())));
                return;
            }
        }
    }
}

/// Fields of a map, as RESP2 shows it.
struct Fields(Vec<(Vec<u8>, Value)>);

impl Fields {
    fn of(value: Value) -> Option<Fields> {
        let flat = match value {
            Value::Array(items) => items,
            Value::Map(pairs) => pairs.into_iter().flat_map(|(a, b)| [a, b]).collect(),
            _ => return None,
        };
        let mut fields = Vec::new();
        let mut items = flat.into_iter();
        while let (Some(Value::Bulk(name)), Some(value)) = (items.next(), items.next()) {
            fields.push((name, value));
        }
        Some(Fields(fields))
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(n, _)| n == name.as_bytes())?;
        Some(self.0.swap_remove(at).1)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::Bulk(text) => String::from_utf8(text).ok(),
            _ => None,
        }
    }

    fn number<T: TryFrom<i64>>(&mut self, name: &str) -> Option<T> {
        match self.take(name)? {
            Value::Int(n) => T::try_from(n).ok(),
            _ => None,
        }
    }

    fn list(&mut self, name: &str) -> Option<Vec<Value>> {
        match self.take(name)? {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }
}

fn read(reply: Value) -> Option<(String, Cut)> {
    let mut fields = Fields::of(reply)?;
    let uuid = u128::from_str_radix(&fields.text("uuid")?, 16).ok()?;
    let shards = fields.list("shards")?.into_iter().map(read_shard).collect::<Option<_>>()?;
    let cut = Cut {
        data: PathBuf::from(fields.text("dir")?),
        uuid: uuid.to_be_bytes(),
        databases: fields.number("databases")?,
        created_ms: 0,
        taken_us: fields.number("time")?,
        shards,
    };
    Some((fields.text("id")?, cut))
}

fn read_shard(value: Value) -> Option<ShardCut> {
    let mut fields = Fields::of(value)?;
    let list = PartList::decode(fields.text("parts")?.as_bytes()).ok()?;
    let mut last_seq = 0;
    for file in fields.list("files")? {
        let Value::Array(row) = file else { return None };
        let Some(Value::Bulk(path)) = row.first() else { return None };
        if let Some(FileKind::Segment(_, seq)) = FileKind::of(std::str::from_utf8(path).ok()?) {
            last_seq = last_seq.max(seq);
        }
    }
    let shard: u16 = fields.number("shard")?;
    if shard != list.shard {
        return None;
    }
    Some(ShardCut { list, last_seq, lsn: fields.number("lsn")? })
}

/// That the server's files can be read here, and are those that it means.
pub(crate) async fn check_here(disk: &dyn Disk, cut: &mut Cut) -> Result<(), Failure> {
    let dir = cut.data.display();
    let found = marker::read(disk, &cut.data).await;
    let why = match found {
        Ok(Some(marker)) if marker.uuid == cut.uuid => {
            cut.created_ms = marker.created_ms;
            return Ok(());
        }
        Ok(Some(_)) => "another data directory is there".to_owned(),
        Ok(None) => "it is not there".to_owned(),
        Err(e) => e.to_string(),
    };
    Err(Failure::refused(format!(
        "the server's files are in {dir}, which cannot be used here: {why}; run moon-restore on the server's \
         machine, as a user that may read that directory"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use moon_formats::aof::Timeline;
    use moon_formats::resp::{Proto, Reply};

    fn answer(proto: Proto, path: &str) -> Value {
        let list = PartList {
            shard: 0,
            base: None,
            history: Vec::new(),
            log_from_lsn: 1,
            log_from_seq: 1,
            ended: None,
            timelines: vec![Timeline { epoch: 1, from_lsn: 1, forked_at: None }],
            salvaged: Vec::new(),
            extra: Vec::new(),
        };
        let mut bytes = Vec::new();
        let mut out = Reply::new(&mut bytes, proto);
        out.map(6);
        for (name, value) in [("id", "5f-1"), ("dir", "/data"), ("uuid", &"0a".repeat(16))] {
            out.bulk(name.as_bytes());
            out.bulk(value.as_bytes());
        }
        out.bulk(b"databases");
        out.int(16);
        out.bulk(b"time");
        out.int(1_769_904_000_000_000);
        out.bulk(b"shards");
        out.array(1);
        out.map(4);
        out.bulk(b"shard");
        out.int(0);
        out.bulk(b"lsn");
        out.int(77);
        out.bulk(b"parts");
        out.bulk(list.encode().as_bytes());
        out.bulk(b"files");
        out.array(1);
        out.array(2);
        out.bulk(path.as_bytes());
        out.int(5);
        Value::decode(&bytes).unwrap().unwrap().0
    }

    #[test]
    fn an_answer_is_read_in_both_protocols() {
        for proto in [Proto::Resp2, Proto::Resp3] {
            let (id, cut) = read(answer(proto, "shard-0/wal-v3/000000000009.wal")).unwrap();
            assert_eq!((id.as_str(), cut.uuid, cut.databases), ("5f-1", [10; 16], 16));
            let shard = &cut.shards[0];
            assert_eq!((shard.last_seq, shard.lsn), (9, 77));
        }
        assert!(read(Value::Null).is_none());
        assert!(read(Value::Array(vec![Value::Bulk(b"id".to_vec())])).is_none());
    }
}
