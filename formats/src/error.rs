//! The one error of every decoder: where, what, expected, found.

use std::fmt;

/// Why bytes were refused. The file name is added by whoever opened the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Offset of the offending byte or field in the decoded stream.
    pub offset: u64,
    /// The field or structure, in the words of the format page.
    pub what: &'static str,
    /// What is wrong with it.
    pub cause: Cause,
}

/// The kinds of refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The input ends inside the field.
    Truncated {
        /// Bytes the field takes.
        needed: u64,
        /// Bytes that remain.
        remaining: u64,
    },
    /// Fixed bytes are not there.
    Magic {
        /// The bytes of the format.
        expected: &'static [u8],
        /// The bytes found, zero-padded.
        found: [u8; 8],
    },
    /// A checksum does not match.
    Checksum {
        /// The stored value.
        stored: u64,
        /// The value computed from the bytes.
        computed: u64,
    },
    /// A number lies outside what the format allows.
    Value {
        /// The allowed values, in words.
        expected: &'static str,
        /// The number found.
        found: u64,
    },
    /// A field disagrees with something already known (file name, earlier field).
    Mismatch {
        /// The known value.
        expected: u64,
        /// The value found.
        found: u64,
    },
    /// A count promises more items than the remaining bytes can hold.
    Count {
        /// The announced number of items.
        count: u64,
        /// The most that fit.
        fits: u64,
    },
    /// Bytes follow where the structure ends.
    Trailing {
        /// How many.
        bytes: u64,
    },
    /// The text or byte sequence is not of the required form.
    Form {
        /// The required form, in words.
        expected: &'static str,
    },
    /// A removed format that no reader of Moon accepts.
    Removed {
        /// Its version.
        version: u64,
    },
    /// Data of a module of Redis or Valkey, which only that module can read.
    Module {
        /// Name of the module's type: nine letters, digits, `-` or `_`.
        name: [u8; 9],
    },
    /// A version, type, flag or feature of a newer Moon.
    Newer {
        /// The unknown version, code or bits.
        found: u64,
    },
}

impl DecodeError {
    /// An error at `offset`.
    #[cold]
    pub fn new(offset: u64, what: &'static str, cause: Cause) -> DecodeError {
        DecodeError { offset, what, cause }
    }

    /// True when more bytes could make the input valid.
    pub fn is_truncated(&self) -> bool {
        matches!(self.cause, Cause::Truncated { .. })
    }

    /// True when the bytes may be sound, and only a module of another server reads them.
    pub fn is_of_module(&self) -> bool {
        matches!(self.cause, Cause::Module { .. })
    }

    /// True when the bytes are sound but were written by a newer Moon.
    pub fn is_newer(&self) -> bool {
        matches!(self.cause, Cause::Newer { .. })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what;
        write!(f, "offset {}: ", self.offset)?;
        match &self.cause {
            Cause::Truncated { needed, remaining } => {
                write!(f, "{what} needs {needed} bytes, {remaining} remain")
            }
            Cause::Magic { expected, found } => {
                write!(f, "{what} should start with {}, found ", expected.escape_ascii())?;
                write!(f, "{}", found.escape_ascii())
            }
            Cause::Checksum { stored, computed } => {
                write!(f, "{what} does not match: stored {stored:#x}, computed {computed:#x}")
            }
            Cause::Value { expected, found } => {
                write!(f, "{what} should be {expected}, found {found}")
            }
            Cause::Mismatch { expected, found } => {
                write!(f, "{what} should be {expected}, found {found}")
            }
            Cause::Count { count, fits } => {
                write!(f, "{what} announces {count} items, at most {fits} fit")
            }
            Cause::Trailing { bytes } => write!(f, "{bytes} bytes follow the end of {what}"),
            Cause::Form { expected } => write!(f, "{what} should be {expected}"),
            Cause::Removed { version } => {
                write!(f, "{what} version {version} was removed and is not read")
            }
            Cause::Module { name } => {
                let name = name.escape_ascii();
                write!(f, "{what} is data of the module type {name}, which Moon does not have")
            }
            Cause::Newer { found } => {
                write!(f, "{what} {found:#x} is unknown: written by a newer Moon")
            }
        }
    }
}

impl std::error::Error for DecodeError {}
