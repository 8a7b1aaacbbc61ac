//! Units over several planes or shards, restore points, and the transaction records of the
//! reference.
//!
//! ```text
//! RestorePoint  gtid u64 | wall_us i64 | name bytes16
//! XactBegin     txn_id u64
//! XactAbort     txn_id u64
//! XactCommit    txn_id u64 | db u32 | count u32 | (what op)*count
//! XactCommitV1  txn_id u64 | count u32 | (what op)*count
//! Xact          txn_id u64 | count u32 | (record sub)*count
//! XactPart      gtid u64 | n u16 | (participant u16)*n | count u32 | (record sub)*count
//! op            kind u8 {0 SET, 1 DEL} | key bytes32 | [kind=0: value bytes32]
//! sub           type u8 | flags u8 | db u16 | payload bytes32
//! ```

use super::{Body, Payload, Quoted};
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::wal::record::{Kind, Record, RecordType, record_flags};
use std::fmt;

/// Named point for point-in-time recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestorePoint<'a> {
    /// Global sequence number; the same on every shard.
    pub gtid: u64,
    /// Unix time in microseconds.
    pub wall_us: i64,
    /// Name given by the operator.
    pub name: &'a [u8],
}

impl<'a> Payload<'a> for RestorePoint<'a> {
    const TYPE: RecordType = RecordType::RestorePoint;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.gtid);
        out.put_i64(self.wall_us);
        out.put_bytes16(self.name);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(RestorePoint {
            gtid: r.u64("gtid")?,
            wall_us: r.i64("wall_us")?,
            name: r.bytes16("name")?,
        })
    }
}

impl fmt::Display for RestorePoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gtid={} wall_us={} name={}", self.gtid, self.wall_us, Quoted(self.name))
    }
}

macro_rules! txn_id_only {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            /// The transaction.
            pub txn_id: u64,
        }

        impl<'a> Payload<'a> for $name {
            const TYPE: RecordType = RecordType::$name;

            fn put(&self, out: &mut Vec<u8>) {
                out.put_u64(self.txn_id);
            }

            fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
                Ok($name { txn_id: r.u64("txn_id")? })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "txn={}", self.txn_id)
            }
        }
    )*};
}

txn_id_only! {
    /// Start of a transaction of the reference.
    XactBegin,
    /// Abort of a transaction of the reference.
    XactAbort,
    /// Reserved by the reference; not written.
    VectorTxnCommit,
    /// Reserved by the reference; not written.
    VectorTxnAbort,
}

/// One operation of a transaction of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// A string was set.
    Set {
        /// Key.
        key: &'a [u8],
        /// Value.
        value: &'a [u8],
    },
    /// A key was removed.
    Del {
        /// Key.
        key: &'a [u8],
    },
}

impl<'a> Op<'a> {
    fn put_all(ops: &[Op<'_>], out: &mut Vec<u8>) {
        out.put_count32(ops.len());
        for op in ops {
            match op {
                Op::Set { key, value } => {
                    out.put_u8(0);
                    out.put_bytes32(key);
                    out.put_bytes32(value);
                }
                Op::Del { key } => {
                    out.put_u8(1);
                    out.put_bytes32(key);
                }
            }
        }
    }

    fn read_all(r: &mut Reader<'a>) -> Result<Vec<Op<'a>>, DecodeError> {
        let count = r.count32(5, "transaction operations")?;
        let mut ops = Vec::with_capacity(count);
        for _ in 0..count {
            ops.push(match r.bool("operation kind")? {
                false => Op::Set { key: r.bytes32("key")?, value: r.bytes32("value")? },
                true => Op::Del { key: r.bytes32("key")? },
            });
        }
        Ok(ops)
    }

    fn fmt_all(ops: &[Op<'_>], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for op in ops {
            match op {
                Op::Set { key, value } => write!(f, " SET {} {}", Quoted(key), Quoted(value))?,
                Op::Del { key } => write!(f, " DEL {}", Quoted(key))?,
            }
        }
        Ok(())
    }
}

/// Commit of a transaction of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XactCommit<'a> {
    /// The transaction.
    pub txn_id: u64,
    /// Database.
    pub db: u32,
    /// What it did; strings only.
    pub ops: Vec<Op<'a>>,
}

impl<'a> Payload<'a> for XactCommit<'a> {
    const TYPE: RecordType = RecordType::XactCommit;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.txn_id);
        out.put_u32(self.db);
        Op::put_all(&self.ops, out);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(XactCommit { txn_id: r.u64("txn_id")?, db: r.u32("db")?, ops: Op::read_all(r)? })
    }
}

impl fmt::Display for XactCommit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "txn={} db={}", self.txn_id, self.db)?;
        Op::fmt_all(&self.ops, f)
    }
}

/// Commit of a transaction of the reference 0.1-0.2, in database 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XactCommitV1<'a> {
    /// The transaction.
    pub txn_id: u64,
    /// What it did; strings only.
    pub ops: Vec<Op<'a>>,
}

impl<'a> Payload<'a> for XactCommitV1<'a> {
    const TYPE: RecordType = RecordType::XactCommitV1;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.txn_id);
        Op::put_all(&self.ops, out);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(XactCommitV1 { txn_id: r.u64("txn_id")?, ops: Op::read_all(r)? })
    }
}

impl fmt::Display for XactCommitV1<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "txn={}", self.txn_id)?;
        Op::fmt_all(&self.ops, f)
    }
}

/// A record inside a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubRecord<'a> {
    /// Type; a data record, never a unit itself.
    pub rtype: RecordType,
    /// Record flags.
    pub flags: u8,
    /// Database.
    pub db: u16,
    /// Payload, not compressed.
    pub payload: &'a [u8],
    /// Offset of the payload in the file.
    pub offset: u64,
}

impl<'a> SubRecord<'a> {
    /// A sub-record to be written.
    pub fn new(rtype: RecordType, flags: u8, db: u16, payload: &'a [u8]) -> SubRecord<'a> {
        SubRecord { rtype, flags, db, payload, offset: 0 }
    }

    /// Its payload.
    pub fn body(&self) -> Result<Body<'a>, DecodeError> {
        Body::decode(self.rtype, self.flags, self.payload, self.offset)
    }

    fn put_all(subs: &[SubRecord<'_>], out: &mut Vec<u8>) {
        out.put_count32(subs.len());
        for s in subs {
            out.put_u8(s.rtype.code());
            out.put_u8(s.flags);
            out.put_u16(s.db);
            out.put_bytes32(s.payload);
        }
    }

    fn read_all(r: &mut Reader<'a>) -> Result<Vec<SubRecord<'a>>, DecodeError> {
        let count = r.count32(8, "sub-records")?;
        let mut subs = Vec::with_capacity(count);
        for _ in 0..count {
            subs.push(SubRecord::read(r)?);
        }
        Ok(subs)
    }

    fn read(r: &mut Reader<'a>) -> Result<SubRecord<'a>, DecodeError> {
        let at = r.offset();
        let code = r.u8("sub-record type")?;
        let flags = r.u8("sub-record flags")?;
        let db = r.u16("sub-record db")?;
        let payload = r.bytes32("sub-record payload")?;
        let offset = r.offset() - payload.len() as u64;
        // The rules for types and flags are those of a whole record. Inside a unit nothing can
        // be skipped, and a unit inside a unit would let input choose the depth of recursion.
        let frame = Record { lsn: 0, code, flags, db, payload, offset: at, crc: 0 };
        let refuse = |found: u8, expected| {
            let found = u64::from(found);
            Err(DecodeError::new(at, "sub-record", Cause::Value { expected, found }))
        };
        match frame.kind()? {
            Kind::Skippable(code) => {
                let found = u64::from(code);
                Err(DecodeError::new(at, "sub-record type", Cause::Newer { found }))
            }
            Kind::Known(RecordType::Xact | RecordType::XactPart) => {
                refuse(code, "a record that is not a unit itself")
            }
            Kind::Known(t) if t.is_control() => refuse(code, "a data record"),
            Kind::Known(_) if flags & (record_flags::LZ4 | record_flags::ZSTD) != 0 => {
                refuse(flags, "not compressed")
            }
            Kind::Known(rtype) => Ok(SubRecord { rtype, flags, db, payload, offset }),
        }
    }

    fn fmt_all(subs: &[SubRecord<'_>], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for s in subs {
            write!(f, " [{} db={} ", s.rtype.name(), s.db)?;
            match s.body() {
                Ok(body) => write!(f, "{body}]")?,
                Err(e) => write!(f, "<{e}>]")?,
            }
        }
        Ok(())
    }
}

/// One atomic unit over several planes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xact<'a> {
    /// The transaction.
    pub txn_id: u64,
    /// Its records, applied in this order or not at all.
    pub subs: Vec<SubRecord<'a>>,
}

impl<'a> Payload<'a> for Xact<'a> {
    const TYPE: RecordType = RecordType::Xact;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.txn_id);
        SubRecord::put_all(&self.subs, out);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(Xact { txn_id: r.u64("txn_id")?, subs: SubRecord::read_all(r)? })
    }
}

impl fmt::Display for Xact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "txn={}", self.txn_id)?;
        SubRecord::fmt_all(&self.subs, f)
    }
}

/// One shard's share of a cross-shard unit. It counts only if every participant holds its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XactPart<'a> {
    /// Global sequence number.
    pub gtid: u64,
    /// All shards that hold a part.
    pub participants: Vec<u16>,
    /// The records of this shard.
    pub subs: Vec<SubRecord<'a>>,
}

impl<'a> Payload<'a> for XactPart<'a> {
    const TYPE: RecordType = RecordType::XactPart;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.gtid);
        let n = u16::try_from(self.participants.len()).expect("at most 1024 shards take part");
        out.put_u16(n);
        for p in &self.participants {
            out.put_u16(*p);
        }
        SubRecord::put_all(&self.subs, out);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        let gtid = r.u64("gtid")?;
        let count = r.count16(2, "participants")?;
        let mut participants = Vec::with_capacity(count);
        for _ in 0..count {
            participants.push(r.u16("participant")?);
        }
        Ok(XactPart { gtid, participants, subs: SubRecord::read_all(r)? })
    }
}

impl fmt::Display for XactPart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gtid={} participants={:?}", self.gtid, self.participants)?;
        SubRecord::fmt_all(&self.subs, f)
    }
}
