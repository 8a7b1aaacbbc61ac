//! Members at random: taken out, or only shown. What chance picked is logged, never the choice.

use super::SPOP;
use crate::args::Args;
use crate::commands::put_item;
use crate::commands::sampling::{Count, repeated};
use crate::error::{CmdError, CmdResult};
use crate::exec::{ReadCx, WriteCx};
use crate::types::Set;
use moon_formats::number::parse_i64;

/// Members named in one logged SREM.
const SREM_BATCH: usize = 1024;

/// SPOP key [count]; logged as SREM of the members, or as DEL if all were asked for.
pub(super) fn spop(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    match a.len() {
        2 => pop_one(cx, a.get(1)),
        3 => {
            let count = parse_i64(a.get(2)).and_then(|n| usize::try_from(n).ok());
            pop_some(cx, a.get(1), count.ok_or(CmdError::NOT_POSITIVE)?)
        }
        _ => Err(CmdError::SYNTAX),
    }
}

fn pop_one(cx: &mut WriteCx<'_>, key: &[u8]) -> CmdResult {
    let popped = cx.ks.edit(key, |set: &mut Set, edit| {
        let member = set.pop_random(&mut || edit.rng.next_u64());
        edit.changed(SPOP);
        Ok(member)
    })?;
    match popped.flatten() {
        Some(member) => {
            cx.ks.effect(&[b"SREM", key, &member]);
            cx.out.bulk(&member);
        }
        None => cx.out.null(),
    }
    Ok(())
}

/// What SPOP with a count took.
enum Taken {
    All,
    Some(Vec<Vec<u8>>),
}

fn pop_some(cx: &mut WriteCx<'_>, key: &[u8], count: usize) -> CmdResult {
    let out = &mut cx.out;
    let taken = cx.ks.edit(key, |set: &mut Set, edit| {
        out.set(count.min(set.len()));
        if count == 0 {
            return Ok(Taken::Some(Vec::new()));
        }
        edit.changed(SPOP);
        if count >= set.len() {
            set.iter().for_each(|member| put_item(out, member));
            edit.discard(std::mem::take(set));
            return Ok(Taken::All);
        }
        let mut members = Vec::with_capacity(count);
        while members.len() < count
            && let Some(member) = set.pop_random(&mut || edit.rng.next_u64())
        {
            out.bulk(&member);
            members.push(member);
        }
        Ok(Taken::Some(members))
    })?;
    match taken {
        None => cx.out.set(0),
        Some(Taken::All) => cx.ks.removal_effect(key),
        Some(Taken::Some(members)) => {
            for batch in members.chunks(SREM_BATCH) {
                let mut words: Vec<&[u8]> = vec![b"SREM", key];
                words.extend(batch.iter().map(Vec::as_slice));
                cx.ks.effect(&words);
            }
        }
    }
    Ok(())
}

/// SRANDMEMBER key [count]
pub(super) fn srandmember(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let rng = &mut *cx.rng;
    let mut random = || rng.next_u64();
    let out = &mut cx.out;
    if a.len() == 2 {
        match cx.ks.collection::<Set>(a.get(1))?.and_then(|s| s.random(&mut random)) {
            Some(member) => put_item(out, member),
            None => out.null(),
        }
        return Ok(());
    }
    if a.len() > 3 {
        return Err(CmdError::SYNTAX);
    }
    let count = Count::parse(a)?;
    let Some(set) = cx.ks.collection::<Set>(a.get(1))? else {
        out.array(0);
        return Ok(());
    };
    match count {
        Count::Distinct(n) => {
            let n = n.min(set.len());
            out.array(n);
            set.sample(n, &mut random, |member| put_item(out, member));
            Ok(())
        }
        Count::Repeated(n) => repeated(
            out,
            n,
            cx.ks.limits.proto_max_bulk_len,
            |out| out.array(n),
            |out| set.random(&mut random).into_iter().for_each(|m| put_item(out, m)),
        ),
    }
}
