//! Key extraction: the one answer to "which keys does this request touch, and how".
//!
//! ACL, cluster slots, routing, tracking and `COMMAND GETKEYS` all ask here.

use super::spec::{Access, Begin, CommandSpec, Find, KeySpec, KeyUse};
use crate::args::Args;
use moon_formats::number::parse_i64;

/// Why no keys can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKeyCount;

/// Calls `f(argument index, spec)` for each key of the request, with the use that this very
/// request makes of it. Shard channels are none.
pub fn for_each_key(
    spec: &CommandSpec,
    args: Args<'_>,
    mut f: impl FnMut(usize, &KeySpec),
) -> Result<(), BadKeyCount> {
    if let (Some(exact), Some(key_spec)) = (spec.key_range, spec.keys.first()) {
        let range = exact(args);
        (range.start..range.end.min(args.len())).for_each(|i| f(i, key_spec));
        return Ok(());
    }
    for key_spec in spec.keys.iter().filter(|k| k.access != Access::NotKey) {
        match spec.key_use {
            Some(exact) if key_spec.usage.has(KeyUse::VARIABLE) => {
                let (access, usage) = exact(args);
                one_spec(&KeySpec { access, usage, ..*key_spec }, args, &mut f)?;
            }
            _ => one_spec(key_spec, args, &mut f)?,
        }
    }
    Ok(())
}

fn one_spec(
    spec: &KeySpec,
    args: Args<'_>,
    f: &mut impl FnMut(usize, &KeySpec),
) -> Result<(), BadKeyCount> {
    let Some(start) = begin(spec.begin, args) else { return Ok(()) };
    let argc = args.len();
    match spec.find {
        Find::Range { last, step, limit } => {
            let end = if last >= 0 {
                start + last as usize
            } else if limit > 0 {
                match ((argc - start) / usize::from(limit)).checked_sub(1) {
                    Some(more) => start + more,
                    None => return Ok(()),
                }
            } else {
                (argc as i64 + i64::from(last)).max(0) as usize
            };
            let mut i = start;
            while i <= end && i < argc {
                f(i, spec);
                i += usize::from(step.max(1));
            }
        }
        Find::KeyNum { first, step } => {
            let count = parse_i64(args.get(start)).ok_or(BadKeyCount)?;
            let count = usize::try_from(count).map_err(|_| BadKeyCount)?;
            let first = start + usize::from(first);
            if count == 0 || count > argc.saturating_sub(first) {
                return Err(BadKeyCount);
            }
            for k in 0..count {
                let i = first + k * usize::from(step.max(1));
                if i >= argc {
                    return Err(BadKeyCount);
                }
                f(i, spec);
            }
        }
    }
    Ok(())
}

fn begin(begin: Begin, args: Args<'_>) -> Option<usize> {
    match begin {
        Begin::Index(i) => Some(usize::from(i)).filter(|&i| i < args.len()),
        Begin::Keyword(word, from) if from >= 0 => (from as usize..args.len())
            .find(|&i| args.is(i, word))
            .map(|i| i + 1)
            .filter(|&i| i < args.len()),
        Begin::Keyword(word, from) => {
            let last = args.len().checked_sub(from.unsigned_abs() as usize)?;
            (1..=last).rev().find(|&i| args.is(i, word)).map(|i| i + 1).filter(|&i| i < args.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(specs: &'static [KeySpec], words: &[&str]) -> Result<Vec<usize>, BadKeyCount> {
        let spec = CommandSpec { keys: specs, ..CommandSpec::DEFAULT };
        let items: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
        let mut out = Vec::new();
        for_each_key(&spec, Args::new(&items), |i, _| out.push(i))?;
        Ok(out)
    }

    #[test]
    fn ranges_counts_and_keywords() {
        const MSET: &[KeySpec] = &[KeySpec::range(1, -1, 2, Access::Overwrite)];
        assert_eq!(keys(MSET, &["mset", "a", "1", "b", "2"]), Ok(vec![1, 3]));
        const BLPOP: &[KeySpec] = &[KeySpec::range(1, -2, 1, Access::ReadWrite)];
        assert_eq!(keys(BLPOP, &["blpop", "a", "b", "0"]), Ok(vec![1, 2]));
        const LMPOP: &[KeySpec] = &[KeySpec::counted(1, Access::ReadWrite)];
        assert_eq!(keys(LMPOP, &["lmpop", "2", "a", "b", "left"]), Ok(vec![2, 3]));
        assert_eq!(keys(LMPOP, &["lmpop", "5", "a", "b", "left"]), Err(BadKeyCount));
        assert_eq!(keys(LMPOP, &["lmpop", "x", "a"]), Err(BadKeyCount));
        const STORE: &[KeySpec] = &[KeySpec::new(
            Begin::Keyword("STORE", 4),
            Find::Range { last: 0, step: 1, limit: 0 },
            Access::Overwrite,
        )];
        assert_eq!(keys(STORE, &["g", "k", "1", "2", "store", "d"]), Ok(vec![5]));
        assert_eq!(keys(STORE, &["g", "k", "1", "2"]), Ok(vec![]));
        const XREAD: &[KeySpec] = &[KeySpec::new(
            Begin::Keyword("STREAMS", 1),
            Find::Range { last: -1, step: 1, limit: 2 },
            Access::ReadOnly,
        )];
        assert_eq!(keys(XREAD, &["xread", "streams", "a", "b", "0", "0"]), Ok(vec![2, 3]));
        assert_eq!(keys(XREAD, &["xread", "streams", "a"]), Ok(vec![]));
    }
}
