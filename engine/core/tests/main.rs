//! Commands in process: argument vectors against a shard, without sockets and without files.

mod bitmap;
mod common;
mod dump;
mod generic;
mod geo;
mod hash;
mod hash_ttl;
mod hyperloglog;
mod list;
mod memory;
mod numbers;
mod redis_digest;
mod replay;
mod rows;
mod scan;
mod script;
mod set;
mod sort;
mod stream;
mod stream_replay;
mod string;
mod waiting;
mod zset;
mod zset_algebra;
mod zset_range;
mod zset_replay;
