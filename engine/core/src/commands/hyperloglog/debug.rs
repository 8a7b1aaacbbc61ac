//! A look at the registers, and a test of them.

use super::{REWRITTEN, bytes_of, check};
use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use crate::exec::{SessionCx, WriteCx};
use moon_ds::hll::sparse::{RunKind, runs_as_they_are};
use moon_ds::hll::{self, Encoding, Registers};
use std::fmt::Write;

/// PFDEBUG <GETREG | DECODE | ENCODING | TODENSE> key
pub(super) fn pfdebug(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(2);
    let Some(value) = cx.ks.string(key)? else {
        return Err(CmdError::fixed("ERR The specified key does not exist"));
    };
    let bytes = bytes_of(value)?;
    match () {
        () if a.is(1, "GETREG") => {
            let mut all = Registers::default();
            hll::merge(&mut all, bytes)?;
            to_dense(cx, key)?;
            cx.out.array(hll::REGISTERS);
            all.all().iter().for_each(|value| cx.out.int(i64::from(*value)));
        }
        () if a.is(1, "DECODE") => {
            if check(bytes)? != Encoding::Sparse {
                return Err(CmdError::fixed("ERR HLL encoding is not sparse"));
            }
            let mut text = String::new();
            for run in runs_as_they_are(bytes) {
                // Writing to a string cannot fail.
                let _ = match run.kind {
                    RunKind::Zero => write!(text, "z:{} ", run.len),
                    RunKind::LongZero => write!(text, "Z:{} ", run.len),
                    RunKind::Value(value) => write!(text, "v:{value},{} ", run.len),
                };
            }
            cx.out.bulk(text.trim_end().as_bytes());
        }
        () if a.is(1, "ENCODING") => cx.out.simple(match check(bytes)? {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }),
        () if a.is(1, "TODENSE") => {
            let converted = to_dense(cx, key)?;
            cx.out.int(i64::from(converted));
        }
        () => {
            return Err(CmdError::text(format!(
                "ERR Unknown PFDEBUG subcommand '{}'",
                String::from_utf8_lossy(a.get(1))
            )));
        }
    }
    Ok(())
}

fn to_dense(cx: &mut WriteCx<'_>, key: &[u8]) -> CmdResult<bool> {
    cx.ks.edit_bytes(key, REWRITTEN, |bytes| {
        let converted = hll::make_dense(bytes)?;
        Ok((converted, converted))
    })
}

/// Elements that PFSELFTEST adds.
const TEST_ELEMENTS: u64 = 1_000_000;

/// PFSELFTEST: dense and sparse registers must agree, and estimates must be near the truth.
pub(super) fn pfselftest(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let sparse_max = cx.shard.limits.hll_sparse_max_bytes;
    let failed = |what: &str, n: u64| Err(CmdError::text(format!("TESTFAILED {what} at {n}")));
    let seed = cx.shard.now().unix_us;
    let mut sparse = hll::empty().to_vec();
    let mut dense = sparse.clone();
    hll::make_dense(&mut dense)?;
    let (mut checkpoint, standard_error) = (1, 1.04 / (hll::REGISTERS as f64).sqrt());
    for n in 1..=TEST_ELEMENTS {
        let place = hll::place(&(n ^ seed).to_le_bytes());
        hll::raise(&mut dense, place, sparse_max)?;
        hll::raise(&mut sparse, place, sparse_max)?;
        if n != checkpoint {
            continue;
        }
        let kept = check(&sparse)?;
        if n < sparse_max as u64 / 2 && kept != Encoding::Sparse {
            return failed("sparse encoding not used", n);
        }
        let count = hll::cardinality(&dense)?;
        if hll::cardinality(&sparse)? != count {
            return failed("dense and sparse disagree", n);
        }
        // Six standard errors; a collision among few elements is likelier than that.
        let allowed = if n == 10 { 1 } else { (standard_error * 6.0 * n as f64).ceil() as u64 };
        if count.abs_diff(n) > allowed {
            return failed("too big an error", n);
        }
        checkpoint *= 10;
    }
    cx.out.ok();
    Ok(())
}
