//! Backups of data directories of Moon, and directories from backups: the work of `moon-restore`.
//!
//! The one idea: nothing here knows how to read or cut a log. The scanner that every start uses says what of
//! which file counts, recovery reads a chain of sets as it would a directory, and a restored directory is
//! forked as a server forks one at a point in time. What is added here is a repository, its checksums, and the order of steps.
//!
//! Invariants: a source is never changed, and its files are promised to stay as they are while they are read; a
//! set is there as a whole or not at all; a directory that is half restored is not data.
//!
//! | module | owns |
//! |---|---|
//! | [`source`] | what is backed up: a directory at a cut |
//! | [`backup`] | making a set |
//! | [`repo`] | which sets there are and which builds on which; removal |
//! | [`verify`] | checking what a repository holds |
//! | [`restore`] | a new directory from a chain of sets |
//! | [`fail`] | how a run ends |
//! | [`progress`] | how far it is |

pub mod backup;
mod chain;
pub mod fail;
pub mod progress;
mod replay;
pub mod repo;
pub mod restore;
pub mod source;
mod store;
#[cfg(test)]
mod tests;
pub mod verify;
