//! Which changes a reader wants, and may see.

use std::rc::Rc;
use std::sync::Arc;

use moon_engine::acl::{Handle, User};
use moon_engine::glob::glob_match;
use moon_formats::cdc::Plane;
use moon_storage::changes::Keep;

/// A set of planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planes(u8);

impl Planes {
    pub(crate) const ALL: Planes = Planes(u8::MAX);

    /// By their words, between commas; `None` if one is unknown.
    pub(crate) fn of(words: &[u8]) -> Option<Planes> {
        words.split(|b| *b == b',').try_fold(Planes(0), |set, word| {
            let plane = Plane::ALL.iter().find(|(_, w)| word.eq_ignore_ascii_case(w.as_bytes()))?.0;
            Some(Planes(set.0 | plane as u8))
        })
    }
}

/// What a reader wants to see, and whose rights it has.
#[derive(Clone)]
pub(crate) struct Filter<U = Handle> {
    pub(crate) db: Option<u16>,
    pub(crate) pattern: Option<Arc<[u8]>>,
    pub(crate) planes: Planes,
    pub(crate) user: Option<U>,
}

impl Filter {
    /// Whether it lets the same through, for users with the same rights.
    pub(super) fn is_same(&self, other: &Filter) -> bool {
        let same_user = match (&self.user, &other.user) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let what = |f: &Filter| (f.db, f.pattern.clone(), f.planes);
        same_user && what(self) == what(other)
    }

    /// With the rights that its user has now, for another thread.
    pub(super) fn as_of_now(&self) -> Filter<User> {
        let Filter { db, pattern, planes, user } = self;
        let user = user.as_ref().map(|user| user.borrow().clone());
        Filter { db: *db, pattern: pattern.clone(), planes: *planes, user }
    }
}

impl Keep for Filter<User> {
    fn keeps(&self, db: Option<u32>, key: Option<&[u8]>, plane: Option<Plane>) -> bool {
        let db = db.map(|db| u16::try_from(db).unwrap_or(u16::MAX));
        if self.db.is_some_and(|wanted| db.is_some_and(|db| db != wanted)) {
            return false;
        }
        if plane.is_some_and(|plane| self.planes.0 & plane as u8 == 0) {
            return false;
        }
        if let (Some(pattern), Some(key)) = (&self.pattern, key)
            && !glob_match(pattern, key, false)
        {
            return false;
        }
        self.user.as_ref().is_none_or(|user| user.may_read(db, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_patterns() {
        assert_eq!(Planes::of(b"kv,STREAM"), Some(Planes(3)));
        assert_eq!(Planes::of(b"kv,"), None);
        let pattern = Some(b"a*"[..].into());
        let filter: Filter<User> = Filter { db: Some(1), pattern, planes: Planes(1), user: None };
        for (db, key, plane, kept) in [
            (Some(1), Some(&b"ab"[..]), Some(Plane::Kv), true),
            (Some(0), Some(b"ab"), Some(Plane::Kv), false),
            (Some(1), Some(b"b"), Some(Plane::Kv), false),
            (Some(1), Some(b"ab"), Some(Plane::Stream), false),
            // FLUSHALL and checkpoints concern everybody.
            (None, None, Some(Plane::Kv), true),
            (None, None, None, true),
        ] {
            assert_eq!(filter.keeps(db, key, plane), kept, "{db:?} {key:?} {plane:?}");
        }
    }
}
