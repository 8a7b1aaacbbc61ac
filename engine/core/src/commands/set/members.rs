//! Single members: adding, removing, moving, asking; and all of them.

use super::{SADD, SREM};
use crate::args::Args;
use crate::commands::put_item;
use crate::error::CmdResult;
use crate::exec::{ReadCx, WriteCx};
use crate::types::Set;

/// SADD key member [member ...]
pub(super) fn sadd(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let members = a.from(2);
    let added = cx.ks.edit_or_create(a.get(1), |set: &mut Set, edit| {
        set.will_add(a.get(2), members.len(), edit.limits);
        let n = members.iter().filter(|m| set.add(m, edit.limits)).count();
        if n > 0 {
            edit.changed(SADD);
        }
        Ok(n)
    })?;
    cx.out.int(added as i64);
    Ok(())
}

/// SREM key member [member ...]
pub(super) fn srem(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let removed = cx.ks.edit(a.get(1), |set: &mut Set, edit| {
        let n = a.from(2).iter().filter(|m| set.remove(m)).count();
        if n > 0 {
            edit.changed(SREM);
        }
        Ok(n)
    })?;
    cx.out.int(removed.unwrap_or(0) as i64);
    Ok(())
}

/// SMOVE source destination member
pub(super) fn smove(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (source, destination, member) = (a.get(1), a.get(2), a.get(3));
    let Some(set) = cx.ks.collection::<Set>(source)? else {
        cx.out.int(0);
        return Ok(());
    };
    let there = set.contains(member);
    cx.ks.collection::<Set>(destination)?;
    if there && source != destination {
        cx.ks.edit(source, |set: &mut Set, edit| {
            set.remove(member);
            edit.changed(SREM);
            Ok(())
        })?;
        cx.ks.edit_or_create(destination, |set: &mut Set, edit| {
            if set.add(member, edit.limits) {
                edit.changed(SADD);
            }
            Ok(())
        })?;
        cx.ks.count_as_one_change();
    }
    cx.out.int(i64::from(there));
    Ok(())
}

/// SISMEMBER key member
pub(super) fn sismember(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let set = cx.ks.collection::<Set>(a.get(1))?;
    cx.out.int(i64::from(set.is_some_and(|s| s.contains(a.get(2)))));
    Ok(())
}

/// SMISMEMBER key member [member ...]
pub(super) fn smismember(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let set = cx.ks.collection::<Set>(a.get(1))?;
    let members = a.from(2);
    cx.out.array(members.len());
    for member in members {
        cx.out.int(i64::from(set.is_some_and(|s| s.contains(member))));
    }
    Ok(())
}

/// SCARD key
pub(super) fn scard(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let len = cx.ks.collection::<Set>(a.get(1))?.map_or(0, Set::len);
    cx.out.int(len as i64);
    Ok(())
}

/// SMEMBERS key
pub(super) fn smembers(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let Some(set) = cx.ks.collection::<Set>(a.get(1))? else {
        cx.out.set(0);
        return Ok(());
    };
    cx.out.set(set.len());
    set.iter().for_each(|member| put_item(&mut cx.out, member));
    Ok(())
}
