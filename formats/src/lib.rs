//! The bytes of Moon: encoders and decoders over slices.
//!
//! Everything Moon writes to a disk or a socket is laid out here and nowhere else. The crate
//! is pure: no I/O, no clock, no threads, no engine types, no `unsafe`.
//!
//! Invariants:
//! * A decoder is a total function: any input yields a value or a [`DecodeError`] with
//!   offset, expected and found. Nothing panics, nothing is allocated by an unchecked count.
//! * An encoder appends to the caller's `Vec<u8>` and allocates nothing else.
//! * `decode(encode(x)) == x`, and for every format that has one canonical form
//!   `encode(decode(bytes)) == bytes`.
//!
//! | format | magic | version | module | page |
//! |---|---|---|---|---|
//! | RESP2/RESP3 | - | 2, 3 | [`resp`] | - |
//! | log segment and records | `RRDWAL` | 3 + R1 | [`wal`] | `docs/formats/wal.md` |
//! | value body | - | types 0-6, 8 | [`value`] | - |
//! | snapshot of a shard | `RRDSHARD`, `MOON` | 4; reads 1-3, `MOON` 1-2 | [`rrdshard`] | `docs/formats/rrdshard.md` |
//! | Redis and Valkey values, files | `REDIS`, `VALKEY` | 1-15, 80-81; writes 10-12 | [`redis_rdb`] | - |
//! | page header | `GPNM` | 2; reads 1 | [`page`] | `docs/formats/shard-manifest.md` |
//! | cold pages of the reference (read only) | `GPNM` | 1 | [`cold_reference`] | - |
//! | definitions of graphs and indexes of the reference (read only) | `VMIX`, `TMIX` | 1-5, 1-2 | [`planes_reference`] | - |
//! | file table of a shard | `GPNM` | 3; reads 1-2 | [`shard_manifest`] | `docs/formats/shard-manifest.md` |
//! | umbrella marker | `moon-storage` | 1 | [`marker`] | `docs/formats/text-files.md` |
//! | guard, part list | `version`, `moon-aof` | 3 | [`aof`] | `docs/formats/text-files.md` |
//! | salvage plan | `moon-salvage` | 1 | [`salvage`] | `docs/formats/text-files.md` |
//! | journal of a migration | `moon-migrate` | 1 | [`migration`] | `docs/formats/text-files.md` |
//! | backup set | `moon-backup` | 1 | [`backup`] | `docs/formats/text-files.md` |
//! | file names | - | - | [`names`] | - |
//! | change events (written only) | - | moon-1 | [`cdc`] | `docs/cdc.md` |
//! | X.509 certificates (read only) | - | RFC 5280 | [`x509`] | - |

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

pub mod aof;
pub mod aof_reference;
pub mod backup;
pub mod bytes;
pub mod cdc;
pub mod cold_reference;
pub mod compress;
pub mod crc;
mod error;
pub mod json;
pub mod marker;
pub mod migration;
pub mod names;
pub mod number;
pub mod page;
pub mod planes_reference;
pub mod redis_rdb;
pub mod resp;
pub mod rrdshard;
pub mod salvage;
pub mod sha1;
pub mod shard_manifest;
#[doc(hidden)]
pub mod testing;
mod text;
pub mod time;
pub mod value;
pub mod wal;
pub mod x509;

pub use error::{Cause, DecodeError};
