//! Durable queues.
//!
//! ```text
//! MqCreate   ver u8 {1 or 2} | db u32 | key bytes32 | max_delivery u32 |
//!            [ver=2: visibility_ms u64 | debounce_ms u64 | maxlen u64 | retention_ms u64]
//! MqAck      ver u8 {1} | db u32 | key bytes32 | ms u64 | seq u64
//! MqPush     ver u8 {1} | db u32 | key bytes32 | ms u64 | seq u64 | n u32 |
//!            (field bytes32 | value bytes32)*n
//! MqPop      ver u8 {1 or 2} | db u32 | key bytes32 | last_ms u64 | last_seq u64 |
//!            n u32 | (ms u64 | seq u64 | deliveries u64)*n |
//!            m u32 | (src_ms u64 | src_seq u64 | dlq_ms u64 | dlq_seq u64)*m |
//!            [ver=2: delivery_ms u64 | seen_ms u64]
//! MqTrigger  ver u8 {1} | trigger_key bytes32 | queue_key bytes32 | callback bytes32 |
//!            debounce_ms u64
//! MqDrop     ver u8 {1} | db u32 | key bytes32
//! ```

use super::{Payload, Quoted};
use crate::bytes::{Put, Reader};
use crate::error::DecodeError;
use crate::value::StreamId;
use crate::wal::record::RecordType;
use std::fmt;

fn read_id(r: &mut Reader<'_>) -> Result<StreamId, DecodeError> {
    Ok(StreamId { ms: r.u64("ms")?, seq: r.u64("seq")? })
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    out.put_u64(id.ms);
    out.put_u64(id.seq);
}

/// A queue, by database and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue<'a> {
    /// Database.
    pub db: u32,
    /// Key.
    pub key: &'a [u8],
}

impl<'a> Queue<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u32(self.db);
        out.put_bytes32(self.key);
    }

    fn read(r: &mut Reader<'a>) -> Result<Queue<'a>, DecodeError> {
        Ok(Queue { db: r.u32("db")?, key: r.bytes32("queue key")? })
    }
}

impl fmt::Display for Queue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue={}/{}", self.db, Quoted(self.key))
    }
}

/// Settings that version 2 of [`MqCreate`] adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MqSettings {
    /// How long a delivered message stays hidden.
    pub visibility_ms: u64,
    /// Least time between two runs of a trigger.
    pub debounce_ms: u64,
    /// Most messages kept, 0 for no limit.
    pub maxlen: u64,
    /// How long messages are kept, 0 for ever.
    pub retention_ms: u64,
}

/// A queue was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MqCreate<'a> {
    /// The queue.
    pub queue: Queue<'a>,
    /// Deliveries before a message goes to the dead-letter queue.
    pub max_delivery: u32,
    /// More settings; `None` in version 1.
    pub settings: Option<MqSettings>,
}

impl<'a> Payload<'a> for MqCreate<'a> {
    const TYPE: RecordType = RecordType::MqCreate;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(if self.settings.is_some() { 2 } else { 1 });
        self.queue.put(out);
        out.put_u32(self.max_delivery);
        if let Some(s) = &self.settings {
            out.put_u64(s.visibility_ms);
            out.put_u64(s.debounce_ms);
            out.put_u64(s.maxlen);
            out.put_u64(s.retention_ms);
        }
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        let version = r.version(1, 2, "MqCreate version")?;
        Ok(MqCreate {
            queue: Queue::read(r)?,
            max_delivery: r.u32("max_delivery")?,
            settings: match version {
                1 => None,
                _ => Some(MqSettings {
                    visibility_ms: r.u64("visibility_ms")?,
                    debounce_ms: r.u64("debounce_ms")?,
                    maxlen: r.u64("maxlen")?,
                    retention_ms: r.u64("retention_ms")?,
                }),
            },
        })
    }
}

impl fmt::Display for MqCreate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} max_delivery={}", self.queue, self.max_delivery)?;
        let Some(s) = &self.settings else { return Ok(()) };
        write!(f, " visibility_ms={} debounce_ms={}", s.visibility_ms, s.debounce_ms)?;
        write!(f, " maxlen={} retention_ms={}", s.maxlen, s.retention_ms)
    }
}

/// A message was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MqAck<'a> {
    /// The queue.
    pub queue: Queue<'a>,
    /// The message.
    pub id: StreamId,
}

impl<'a> Payload<'a> for MqAck<'a> {
    const TYPE: RecordType = RecordType::MqAck;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(1);
        self.queue.put(out);
        put_id(out, self.id);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        r.version(1, 1, "MqAck version")?;
        Ok(MqAck { queue: Queue::read(r)?, id: read_id(r)? })
    }
}

impl fmt::Display for MqAck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} id={}", self.queue, self.id)
    }
}

/// A message was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqPush<'a> {
    /// The queue.
    pub queue: Queue<'a>,
    /// The id it was given.
    pub id: StreamId,
    /// Its fields and values.
    pub fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Payload<'a> for MqPush<'a> {
    const TYPE: RecordType = RecordType::MqPush;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(1);
        self.queue.put(out);
        put_id(out, self.id);
        out.put_count32(self.fields.len());
        for (field, value) in &self.fields {
            out.put_bytes32(field);
            out.put_bytes32(value);
        }
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        r.version(1, 1, "MqPush version")?;
        let queue = Queue::read(r)?;
        let id = read_id(r)?;
        let count = r.count32(8, "message fields")?;
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            fields.push((r.bytes32("field")?, r.bytes32("value")?));
        }
        Ok(MqPush { queue, id, fields })
    }
}

impl fmt::Display for MqPush<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} id={}", self.queue, self.id)?;
        for (field, value) in &self.fields {
            write!(f, " {}={}", Quoted(field), Quoted(value))?;
        }
        Ok(())
    }
}

/// Messages were delivered, some moved to the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqPop<'a> {
    /// The queue.
    pub queue: Queue<'a>,
    /// Last id delivered.
    pub last: StreamId,
    /// Messages delivered, with how often each was by now.
    pub delivered: Vec<(StreamId, u64)>,
    /// Messages moved: id in the queue, id in the dead-letter queue.
    pub dead: Vec<(StreamId, StreamId)>,
    /// Times of the delivery; `None` in version 1.
    pub times: Option<PopTimes>,
}

/// Unix milliseconds of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PopTimes {
    /// When the messages were delivered.
    pub delivery_ms: u64,
    /// When the consumer was last seen.
    pub seen_ms: u64,
}

impl<'a> Payload<'a> for MqPop<'a> {
    const TYPE: RecordType = RecordType::MqPop;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(if self.times.is_some() { 2 } else { 1 });
        self.queue.put(out);
        put_id(out, self.last);
        out.put_count32(self.delivered.len());
        for &(id, deliveries) in &self.delivered {
            put_id(out, id);
            out.put_u64(deliveries);
        }
        out.put_count32(self.dead.len());
        for &(src, dlq) in &self.dead {
            put_id(out, src);
            put_id(out, dlq);
        }
        if let Some(t) = &self.times {
            out.put_u64(t.delivery_ms);
            out.put_u64(t.seen_ms);
        }
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        let version = r.version(1, 2, "MqPop version")?;
        let queue = Queue::read(r)?;
        let last = read_id(r)?;
        let count = r.count32(24, "delivered messages")?;
        let mut delivered = Vec::with_capacity(count);
        for _ in 0..count {
            delivered.push((read_id(r)?, r.u64("deliveries")?));
        }
        let count = r.count32(32, "dead letters")?;
        let mut dead = Vec::with_capacity(count);
        for _ in 0..count {
            dead.push((read_id(r)?, read_id(r)?));
        }
        let times = match version {
            1 => None,
            _ => Some(PopTimes { delivery_ms: r.u64("delivery_ms")?, seen_ms: r.u64("seen_ms")? }),
        };
        Ok(MqPop { queue, last, delivered, dead, times })
    }
}

impl fmt::Display for MqPop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} last={}", self.queue, self.last)?;
        for (id, deliveries) in &self.delivered {
            write!(f, " {id}x{deliveries}")?;
        }
        for (src, dlq) in &self.dead {
            write!(f, " dead {src}->{dlq}")?;
        }
        match &self.times {
            Some(t) => write!(f, " delivery_ms={} seen_ms={}", t.delivery_ms, t.seen_ms),
            None => Ok(()),
        }
    }
}

/// A trigger was bound to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MqTrigger<'a> {
    /// Key of the trigger.
    pub trigger_key: &'a [u8],
    /// Key of the queue.
    pub queue_key: &'a [u8],
    /// What it calls.
    pub callback: &'a [u8],
    /// Least time between two runs.
    pub debounce_ms: u64,
}

impl<'a> Payload<'a> for MqTrigger<'a> {
    const TYPE: RecordType = RecordType::MqTrigger;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(1);
        out.put_bytes32(self.trigger_key);
        out.put_bytes32(self.queue_key);
        out.put_bytes32(self.callback);
        out.put_u64(self.debounce_ms);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        r.version(1, 1, "MqTrigger version")?;
        Ok(MqTrigger {
            trigger_key: r.bytes32("trigger_key")?,
            queue_key: r.bytes32("queue_key")?,
            callback: r.bytes32("callback")?,
            debounce_ms: r.u64("debounce_ms")?,
        })
    }
}

impl fmt::Display for MqTrigger<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trigger={} queue={}", Quoted(self.trigger_key), Quoted(self.queue_key))?;
        write!(f, " callback={} debounce_ms={}", Quoted(self.callback), self.debounce_ms)
    }
}

/// A queue was dropped. Kills earlier records of that queue only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MqDrop<'a> {
    /// The queue.
    pub queue: Queue<'a>,
}

impl<'a> Payload<'a> for MqDrop<'a> {
    const TYPE: RecordType = RecordType::MqDrop;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(1);
        self.queue.put(out);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        r.version(1, 1, "MqDrop version")?;
        Ok(MqDrop { queue: Queue::read(r)? })
    }
}

impl fmt::Display for MqDrop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.queue.fmt(f)
    }
}
