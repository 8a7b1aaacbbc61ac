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
}

/// An event: class and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Class, for the filter.
    pub class: Class,
    /// Name, as clients see it.
    pub name: &'static str,
}

impl Event {
    /// An event of a class.
    pub const fn new(class: Class, name: &'static str) -> Self {
        Event { class, name }
    }

    /// A key was removed.
    pub const DEL: Event = Event::new(Class::GENERIC, "del");
    /// A key reached its time to live.
    pub const EXPIRED: Event = Event::new(Class::EXPIRED, "expired");
    /// A time to live was set.
    pub const EXPIRE: Event = Event::new(Class::GENERIC, "expire");
    /// A time to live was taken off.
    pub const PERSIST: Event = Event::new(Class::GENERIC, "persist");
    /// A string was set.
    pub const SET: Event = Event::new(Class::STRING, "set");
    /// A key was looked for in vain.
    pub const KEY_MISS: Event = Event::new(Class::MISS, "keymiss");
    /// All keys of a database were removed. Not a keyspace event: there is no key.
    pub const FLUSHED: Event = Event::new(Class::NONE, "flushed");
    /// A database got the keys of another. Not a keyspace event either.
    pub const SWAPPED: Event = Event::new(Class::NONE, "swapped");

    /// Whether a key changed, as opposed to a look at one or a change of a whole database.
    #[inline]
    pub fn is_change_of_key(self) -> bool {
        self.class != Class::MISS && self.class != Class::NONE
    }

    /// A key came into being.
    pub const NEW: Event = Event::new(Class::NEW, "new");
}
