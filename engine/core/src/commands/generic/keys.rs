//! Removing, looking at, renaming and copying keys.

use super::db_number;
use crate::args::Args;
use crate::db::type_name;
use crate::error::{CmdError, CmdResult};
use crate::event::{Class, Event};
use crate::exec::{ReadCx, WriteCx};

const RENAME_FROM: Event = Event::new(Class::GENERIC, "rename_from");
const RENAME_TO: Event = Event::new(Class::GENERIC, "rename_to");
const MOVE_FROM: Event = Event::new(Class::GENERIC, "move_from");
const MOVE_TO: Event = Event::new(Class::GENERIC, "move_to");
const COPY_TO: Event = Event::new(Class::GENERIC, "copy_to");

const SAME_OBJECT: CmdError = CmdError::fixed("ERR source and destination objects are the same");

/// DEL key [key ...]
pub(super) fn del(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let later = cx.ks.lazy_free().user_del;
    remove(cx, a, later)
}

/// UNLINK key [key ...]: as DEL, and large values are freed where nobody waits for it.
pub(super) fn unlink(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    remove(cx, a, true)
}

fn remove(cx: &mut WriteCx<'_>, a: Args<'_>, later: bool) -> CmdResult {
    let keys = a.from(1).iter();
    let n = keys.filter(|key| cx.ks.remove_freeing(key, Event::DEL, later)).count();
    cx.out.int(n as i64);
    Ok(())
}

/// EXISTS key [key ...]
pub(super) fn exists(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let n = a.from(1).iter().filter(|key| cx.ks.look(key).is_some()).count();
    cx.out.int(n as i64);
    Ok(())
}

/// TOUCH key [key ...]; counts as use even under CLIENT NO-TOUCH
pub(super) fn touch(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    cx.ks.touch = true;
    let n = a.from(1).iter().filter(|key| cx.ks.get(key).is_some()).count();
    cx.out.int(n as i64);
    Ok(())
}

/// TYPE key
pub(super) fn type_of(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let name = cx.ks.look(a.get(1)).map_or("none", |e| type_name(&e.value()));
    cx.out.simple(name);
    Ok(())
}

/// RENAME key newkey
pub(super) fn rename(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (from, to) = (a.get(1), a.get(2));
    if !cx.ks.exists(from) {
        return Err(CmdError::NO_KEY);
    }
    if from != to {
        put_under(cx, from, to);
    }
    cx.out.ok();
    Ok(())
}

/// RENAMENX key newkey
pub(super) fn renamenx(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (from, to) = (a.get(1), a.get(2));
    if !cx.ks.exists(from) {
        return Err(CmdError::NO_KEY);
    }
    let go = from != to && !cx.ks.exists(to);
    if go {
        put_under(cx, from, to);
    }
    cx.out.int(i64::from(go));
    Ok(())
}

fn put_under(cx: &mut WriteCx<'_>, from: &[u8], to: &[u8]) {
    if let Some(stored) = cx.ks.take(from, RENAME_FROM) {
        cx.ks.place(to, stored, RENAME_TO);
    }
}

/// MOVE key db
pub(super) fn move_key(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    let db = db_number(a.get(2), cx.ks.db_count())?;
    if db == cx.ks.db_index() {
        return Err(SAME_OBJECT);
    }
    let go = cx.ks.exists(key) && !cx.ks.in_db(db).exists(key);
    if go && let Some(stored) = cx.ks.take(key, MOVE_FROM) {
        cx.ks.in_db(db).place(key, stored, MOVE_TO);
    }
    cx.out.int(i64::from(go));
    Ok(())
}

/// COPY source destination [DB destination-db] [REPLACE]
pub(super) fn copy(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let (from, to) = (a.get(1), a.get(2));
    let (mut db, mut replace) = (cx.ks.db_index(), false);
    let mut i = 3;
    while i < a.len() {
        if a.is(i, "REPLACE") {
            replace = true;
        } else if a.is(i, "DB") && i + 1 < a.len() {
            db = db_number(a.get(i + 1), cx.ks.db_count())?;
            i += 1;
        } else {
            return Err(CmdError::SYNTAX);
        }
        i += 1;
    }
    if db == cx.ks.db_index() && from == to {
        return Err(SAME_OBJECT);
    }
    // Nothing is copied before it is known that the copy has a place.
    let found = cx.ks.exists(from);
    cx.ks.count_look(from, found);
    let go = found && (replace || !cx.ks.in_db(db).exists(to));
    if go && let Some(stored) = cx.ks.copy(from) {
        cx.ks.in_db(db).place(to, stored, COPY_TO);
    }
    cx.out.int(i64::from(go));
    Ok(())
}
