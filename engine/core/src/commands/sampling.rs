//! What SRANDMEMBER, HRANDFIELD and ZRANDMEMBER share: the count and its bounds.

use crate::args::Args;
use crate::error::{CmdError, CmdResult};
use moon_formats::resp::Reply;

/// Fewest bytes of an element in a reply: `$0`, two line ends.
const ELEMENT_BYTES_MIN: usize = 6;

/// More elements than a reply can hold.
pub(super) const TOO_MANY: CmdError = CmdError::fixed("ERR value is out of range");

/// How many elements are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Up to so many different ones.
    Distinct(usize),
    /// Exactly so many, which may repeat (a negative count).
    Repeated(usize),
}

impl Count {
    /// Reads argument 2. `i64::MIN` has no magnitude and is refused.
    pub(super) fn parse(a: Args<'_>) -> CmdResult<Count> {
        let n = a.int(2)?;
        if n == i64::MIN {
            return Err(CmdError::NO_MAGNITUDE);
        }
        let size = usize::try_from(n.unsigned_abs()).map_err(|_| TOO_MANY)?;
        Ok(if n < 0 { Count::Repeated(size) } else { Count::Distinct(size) })
    }

    /// The same, refused if pairs of so many could not be counted.
    pub(super) fn of_pairs(self) -> CmdResult<Count> {
        let (Count::Distinct(n) | Count::Repeated(n)) = self;
        if n as u64 > i64::MAX as u64 / 2 { Err(TOO_MANY) } else { Ok(self) }
    }
}

/// Writes `n` elements that may repeat. Only the size of the reply sets an end to their number, so
/// `head` and all that `put` writes may not exceed `bytes_max`.
pub(super) fn repeated(
    out: &mut Reply<'_>,
    n: usize,
    bytes_max: usize,
    head: impl FnOnce(&mut Reply<'_>),
    mut put: impl FnMut(&mut Reply<'_>),
) -> CmdResult {
    if n > bytes_max / ELEMENT_BYTES_MIN {
        return Err(TOO_MANY);
    }
    head(out);
    let start = out.len();
    for _ in 0..n {
        put(out);
        if out.len() - start > bytes_max {
            return Err(TOO_MANY);
        }
    }
    Ok(())
}
