//! BITFIELD: integers of any width at any bit.

use super::{SETBIT, offset, reach};
use crate::args::Args;
use crate::command::{Access, KeyUse};
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, WriteCx};
use moon_ds::bits;
use moon_formats::number::{Digits, parse_i64};
use moon_formats::resp::Reply;

/// `i16`, `u63`: how the bits of a field are a number.
#[derive(Clone, Copy)]
struct Encoding {
    signed: bool,
    width: u32,
}

impl Encoding {
    fn parse(text: &[u8]) -> CmdResult<Encoding> {
        let (signed, max) = match text.first() {
            Some(b'i') => (true, 64),
            Some(b'u') => (false, 63),
            _ => (false, 0),
        };
        let width = text.get(1..).and_then(parse_i64).and_then(|n| u32::try_from(n).ok());
        match width.filter(|w| (1..=max).contains(w)) {
            Some(width) => Ok(Encoding { signed, width }),
            None => Err(CmdError::fixed(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not \
                 supported but i64 is.",
            )),
        }
    }

    fn min(self) -> i128 {
        if self.signed { -(1 << (self.width - 1)) } else { 0 }
    }

    fn max(self) -> i128 {
        (1 << (self.width - u32::from(self.signed))) - 1
    }

    /// The number that the lowest bits are.
    fn of_bits(self, bits: u64) -> i64 {
        let unused = 64 - self.width;
        if self.signed {
            ((bits << unused) as i64) >> unused
        } else {
            (bits << unused >> unused) as i64
        }
    }

    fn read(self, bytes: &[u8], at: u64) -> i64 {
        self.of_bits(bits::field(bytes, at, self.width))
    }
}

/// What becomes of a result that does not fit.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// One operation.
#[derive(Clone, Copy)]
struct Op {
    action: Action,
    encoding: Encoding,
    at: u64,
    overflow: Overflow,
}

impl Op {
    fn writes(&self) -> bool {
        !matches!(self.action, Action::Get)
    }

    fn last_bit(&self) -> u64 {
        self.at + u64::from(self.encoding.width) - 1
    }

    /// The number that the field gets; `None` if it fails.
    fn result(&self, old: i64) -> Option<i64> {
        let e = self.encoding;
        let exact = match self.action {
            Action::Get => return None,
            // As in Redis: to an unsigned field, a negative number is a very large one.
            Action::Set(n) if !e.signed => i128::from(n as u64),
            Action::Set(n) => i128::from(n),
            Action::Increment(n) => i128::from(old) + i128::from(n),
        };
        let fits = (e.min()..=e.max()).contains(&exact);
        match self.overflow {
            _ if fits => Some(exact as i64),
            Overflow::Wrap => Some(e.of_bits(exact as u64)),
            Overflow::Saturate => Some(exact.clamp(e.min(), e.max()) as i64),
            Overflow::Fail => None,
        }
    }

    /// Runs on a string that reaches far enough to be written.
    fn run(&self, bytes: &mut [u8], out: &mut Reply<'_>) -> bool {
        let old = self.encoding.read(bytes, self.at);
        if !self.writes() {
            out.int(old);
            return false;
        }
        let Some(new) = self.result(old) else {
            out.null();
            return false;
        };
        out.int(if matches!(self.action, Action::Set(_)) { old } else { new });
        bits::set_field(bytes, self.at, self.encoding.width, new as u64);
        old != new
    }
}

/// Reads the operations; all of them before any runs.
fn parse(a: Args<'_>, max_len: usize, is_replay: bool) -> CmdResult<Vec<Op>> {
    let mut ops = Vec::with_capacity(a.len() / 3);
    let mut overflow = Overflow::Wrap;
    let mut i = 2;
    while i < a.len() {
        let left = a.len() - i - 1;
        if left >= 1 && a.is(i, "OVERFLOW") {
            overflow = match () {
                () if a.is(i + 1, "WRAP") => Overflow::Wrap,
                () if a.is(i + 1, "SAT") => Overflow::Saturate,
                () if a.is(i + 1, "FAIL") => Overflow::Fail,
                () => return Err(CmdError::fixed("ERR Invalid OVERFLOW type specified")),
            };
            i += 2;
            continue;
        }
        let action: fn(i64) -> Action = match () {
            () if left >= 2 && a.is(i, "GET") => |_| Action::Get,
            () if left >= 3 && a.is(i, "SET") => Action::Set,
            () if left >= 3 && a.is(i, "INCRBY") => Action::Increment,
            () => return Err(CmdError::SYNTAX),
        };
        let encoding = Encoding::parse(a.get(i + 1))?;
        let at = offset(a.get(i + 2), Some(encoding.width), max_len, is_replay)?;
        let reads = matches!(action(0), Action::Get);
        let number = if reads { 0 } else { a.int(i + 3)? };
        ops.push(Op { action: action(number), encoding, at, overflow });
        i += if reads { 3 } else { 4 };
    }
    Ok(ops)
}

fn read_all(ops: &[Op], bytes: &[u8], out: &mut Reply<'_>) {
    out.array(ops.len());
    ops.iter().for_each(|op| out.int(op.encoding.read(bytes, op.at)));
}

/// BITFIELD of nothing but GET changes nothing (Redis `db.c`, `bitfieldGetKeys`).
pub(super) fn key_use(a: Args<'_>) -> (Access, KeyUse) {
    let mut i = 2;
    while i < a.len() {
        i += match () {
            () if a.is(i, "GET") && i + 2 < a.len() => 3,
            () if a.is(i, "OVERFLOW") && i + 1 < a.len() => 2,
            () => return (Access::ReadWrite, KeyUse::ACCESS.and(KeyUse::UPDATE)),
        };
    }
    (Access::ReadOnly, KeyUse::ACCESS)
}

/// BITFIELD key [GET encoding offset | [OVERFLOW how] SET encoding offset value |
/// INCRBY encoding offset increment ...]
pub(super) fn bitfield(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let ops = parse(a, cx.ks.limits.proto_max_bulk_len, cx.ks.is_replay())?;
    let (key, out) = (a.get(1), &mut cx.out);
    let Some(last_bit) = ops.iter().filter(|op| op.writes()).map(Op::last_bit).max() else {
        let mut buf = Digits::new();
        let value = cx.ks.string_counted(key)?;
        read_all(&ops, value.map_or(b"", |v| v.bytes(&mut buf)), out);
        return Ok(());
    };
    let len = reach(last_bit)?;
    cx.ks.edit_bytes(key, SETBIT, |bytes| {
        // Room is made before anything is known to fail, as in Redis; it is a change all the same.
        let mut changed = bytes.len() < len;
        if changed {
            bytes.resize(len);
        }
        out.array(ops.len());
        for op in &ops {
            changed |= op.run(bytes, out);
        }
        Ok(((), changed))
    })
}

/// BITFIELD_RO key [GET encoding offset ...]
pub(super) fn bitfield_ro(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let ops = parse(a, cx.ks.limits.proto_max_bulk_len, false)?;
    if ops.iter().any(Op::writes) {
        return Err(CmdError::fixed("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let mut buf = Digits::new();
    let value = cx.ks.string(a.get(1))?;
    read_all(&ops, value.map_or(b"", |v| v.bytes(&mut buf)), &mut cx.out);
    Ok(())
}
