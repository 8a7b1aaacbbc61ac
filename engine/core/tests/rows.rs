//! Every row of the command table is whole and tells one story.

use crate::common::table;
use moon_engine::command::{Access, Command, Flags, KeyUse, Run, syntax};

fn all_rows() -> impl Iterator<Item = &'static Command> {
    table().iter().flat_map(|c| std::iter::once(c).chain(c.subs()))
}

#[test]
fn rows_are_whole() {
    for c in all_rows() {
        let s = c.spec;
        assert!(s.summary.ends_with('.'), "{}: {}", s.name, s.summary);
        assert!(!s.complexity.is_empty() && !s.since.is_empty(), "{}", s.name);
        assert_eq!(s.name, s.name.to_ascii_lowercase());
        let args = syntax::parse(s);
        let container = matches!(s.run, Run::Container);
        let needed = args.iter().filter(|a| !a.optional).count();
        let words = 1 + usize::from(s.name.contains('|'));
        if !container && s.arity > 0 && args.iter().all(|a| !a.optional && !a.multiple) {
            assert!(usize::from(s.arity.unsigned_abs()) >= words + needed, "{}", s.name);
        }
        for k in s.keys {
            let writes = matches!(s.run, Run::Write(_) | Run::Session(_));
            assert!(k.access == Access::ReadOnly || writes, "{} writes keys", s.name);
            let changes = [KeyUse::UPDATE, KeyUse::INSERT, KeyUse::DELETE];
            let changes = changes.iter().any(|u| k.usage.has(*u));
            // Redis has read-write keys whose content never changes (PFCOUNT, PFDEBUG).
            let may_only_access = k.access == Access::ReadWrite && k.usage == KeyUse::ACCESS;
            assert_eq!(k.access != Access::ReadOnly && !may_only_access, changes, "{}", s.name);
        }
        if s.flags.has(Flags::DENYOOM) {
            assert!(!matches!(s.run, Run::Read(_)), "{}", s.name);
        }
    }
}
