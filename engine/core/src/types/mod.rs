//! The value types of the keyspace.
//!
//! Strings live in the table entry itself; every other type is an [`Object`]. A type is one
//! folder here and one variant there, matched without wildcard arms, so the compiler lists what
//! a new type must provide.

mod limits;

pub use limits::Limits;

/// A collection as the table keeps it.
#[derive(Debug, Clone)]
pub enum Object {}

impl Object {
    /// Name as TYPE prints it.
    pub fn type_name(&self) -> &'static str {
        match *self {}
    }

    /// Name as OBJECT ENCODING prints it.
    pub fn encoding(&self) -> &'static str {
        match *self {}
    }

    /// Heap bytes, the entry in the table not counted.
    pub fn mem_bytes(&self) -> usize {
        match *self {}
    }
}

/// A type that [`crate::db::Keyspace::edit`] can hand out.
pub trait Collection: Sized {
    /// An empty collection.
    fn new() -> Self;
    /// This type in an object.
    fn of(object: &Object) -> Option<&Self>;
    /// This type in an object, to edit.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
    /// As an object.
    fn into_object(self) -> Object;
    /// Whether it has no element; an empty collection does not exist as a key.
    fn is_empty(&self) -> bool;
    /// Heap bytes, constant time.
    fn mem_bytes(&self) -> usize;
}
