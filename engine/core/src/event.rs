//! Keyspace events: what happened to a key, in the vocabulary of Redis' notifications.
//!
//! Every change a command makes names its event once, in the edit that made it. WATCH,
//! notifications, tracking and waiting clients are fed from the same list.

/// Class letters of `notify-keyspace-events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(pub u16);

impl Class {
    /// No class: nothing `notify-keyspace-events` could ask for.
    pub const NONE: Class = Class(0);
    /// `g`: commands on any type.
    pub const GENERIC: Class = Class(1);
    /// `$`
    pub const STRING: Class = Class(2);
    /// `l`
    pub const LIST: Class = Class(4);
    /// `s`
    pub const SET: Class = Class(8);
    /// `h`
    pub const HASH: Class = Class(16);
    /// `z`
    pub const ZSET: Class = Class(32);
    /// `x`
    pub const EXPIRED: Class = Class(64);
    /// `e`
    pub const EVICTED: Class = Class(128);
    /// `t`
    pub const STREAM: Class = Class(256);
    /// `d`
    pub const MODULE: Class = Class(512);
    /// `m`
    pub const MISS: Class = Class(1024);
    /// `n`
    pub const NEW: Class = Class(2048);
    /// `o`
    pub const OVERWRITTEN: Class = Class(4096);
    /// `c`
    pub const TYPE_CHANGED: Class = Class(8192);
    /// `K`: no class of events but one of channels, by key.
    pub const KEYSPACE: Class = Class(1 << 14);
    /// `E`: the same, by event.
    pub const KEYEVENT: Class = Class(1 << 15);

    /// Letters in the order of the normal form; those before `n` are what `A` stands for.
    const LETTERS: [(char, Class); 16] = [
        ('g', Class::GENERIC),
        ('$', Class::STRING),
        ('l', Class::LIST),
        ('s', Class::SET),
        ('h', Class::HASH),
        ('z', Class::ZSET),
        ('x', Class::EXPIRED),
        ('e', Class::EVICTED),
        ('t', Class::STREAM),
        ('d', Class::MODULE),
        ('n', Class::NEW),
        ('K', Class::KEYSPACE),
        ('E', Class::KEYEVENT),
        ('m', Class::MISS),
        ('o', Class::OVERWRITTEN),
        ('c', Class::TYPE_CHANGED),
    ];
    /// `A`
    const ALL: Class = Class(1023);

    /// Whether both have a class in common.
    #[inline]
    pub const fn intersects(self, other: Class) -> bool {
        self.0 & other.0 != 0
    }

    /// Reads the letters of `notify-keyspace-events`.
    pub fn parse(letters: &str) -> Option<Class> {
        letters.chars().try_fold(Class::NONE, |set, letter| {
            let class = match letter {
                'A' => Class::ALL,
                _ => Class::LETTERS.iter().find(|(l, _)| *l == letter)?.1,
            };
            Some(Class(set.0 | class.0))
        })
    }

    /// The letters, in normal form.
    pub fn letters(self) -> String {
        let all = self.0 & Class::ALL.0 == Class::ALL.0;
        let one_by_one = Class::LETTERS
            .iter()
            .filter(|(_, c)| self.intersects(*c) && !(all && Class::ALL.intersects(*c)));
        all.then_some('A').into_iter().chain(one_by_one.map(|(l, _)| *l)).collect()
    }
}

/// An event: class and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Class, for the filter.
    pub class: Class,
    /// Name, as clients see it.
    pub name: &'static str,
    /// It changed what the key holds, as WATCH sees it. What consumer groups are and have pending is beside
    /// that, as in Redis.
    content: bool,
}

impl Event {
    /// An event of a class.
    pub const fn new(class: Class, name: &'static str) -> Self {
        Event { class, name, content: true }
    }

    /// An event that clients are told of, though for WATCH the key holds what it held.
    pub const fn beside_content(class: Class, name: &'static str) -> Self {
        Event { class, name, content: false }
    }

    /// A key was removed.
    pub const DEL: Event = Event::new(Class::GENERIC, "del");
    /// A key reached its time to live.
    pub const EXPIRED: Event = Event::new(Class::EXPIRED, "expired");
    /// A key was removed because memory is short.
    pub const EVICTED: Event = Event::new(Class::EVICTED, "evicted");
    /// A time to live was set.
    pub const EXPIRE: Event = Event::new(Class::GENERIC, "expire");
    /// A time to live was taken off.
    pub const PERSIST: Event = Event::new(Class::GENERIC, "persist");
    /// A key came with its value (RESTORE).
    pub const RESTORE: Event = Event::new(Class::GENERIC, "restore");
    /// A string was set.
    pub const SET: Event = Event::new(Class::STRING, "set");
    /// A key got another value by a command that did not look at the old one.
    pub const OVERWRITTEN: Event = Event::new(Class::OVERWRITTEN, "overwritten");
    /// The same, and the new value is of another type.
    pub const TYPE_CHANGED: Event = Event::new(Class::TYPE_CHANGED, "type_changed");
    /// A key was looked for in vain.
    pub const KEY_MISS: Event = Event::new(Class::MISS, "keymiss");
    /// All keys of a database were removed. Not a keyspace event: there is no key.
    pub const FLUSHED: Event = Event::new(Class::NONE, "flushed");
    /// A database got the keys of another. Not a keyspace event either.
    pub const SWAPPED: Event = Event::new(Class::NONE, "swapped");

    /// Whether this says that a key changed: not a look at one, not a change of a whole
    /// database, not a remark (`new`, `overwritten`) beside the change itself.
    #[inline]
    pub fn is_change_of_key(self) -> bool {
        const REMARKS: Class =
            Class(Class::NEW.0 | Class::OVERWRITTEN.0 | Class::TYPE_CHANGED.0 | Class::MISS.0);
        self.content && self.class != Class::NONE && !self.class.intersects(REMARKS)
    }

    /// A key came into being.
    pub const NEW: Event = Event::new(Class::NEW, "new");
}

#[cfg(test)]
mod tests {
    use super::Class;

    #[test]
    fn letters_have_a_normal_form() {
        for (given, normal) in [
            ("KEA", Some("AKE")),
            ("g$lshzxetdKE", Some("AKE")),
            ("KEgn", Some("gnKE")),
            ("AnmocKE", Some("AnKEmoc")),
            ("", Some("")),
            ("lK", Some("lK")),
            ("KEx?", None),
        ] {
            assert_eq!(Class::parse(given).map(Class::letters).as_deref(), normal, "{given}");
        }
    }
}
