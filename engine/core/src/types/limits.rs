//! Thresholds between small and large encodings (redis-surface §5), and the size of strings.

use super::stream::Memory;
use moon_ds::{HashSeed, NodeLimit};

/// When a small collection becomes a large one. Values as Redis' options of the same names.
/// Changing one affects later writes only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `list-max-listpack-size`: positive = elements, -1..-5 = 4, 8, 16, 32, 64 KiB.
    pub list_max_listpack_size: i32,
    /// `DEBUG QUICKLIST-PACKED-THRESHOLD`: bytes from which on an element of a list has a node to itself; 0
    /// for those that no node holds.
    pub list_lone_bytes: usize,
    /// `list-compress-depth`, accepted and reported.
    pub list_compress_depth: u32,
    /// `hash-max-listpack-entries`
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`, bytes.
    pub hash_max_listpack_value: usize,
    /// `set-max-intset-entries`
    pub set_max_intset_entries: usize,
    /// `set-max-listpack-entries`
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value`, bytes.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`, bytes.
    pub zset_max_listpack_value: usize,
    /// `hll-sparse-max-bytes`: longest sparse HyperLogLog.
    pub hll_sparse_max_bytes: usize,
    /// `stream-node-max-bytes`, 0 for no limit.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`, 0 for no limit.
    pub stream_node_max_entries: u64,
    /// `stream-idmp-duration` and `stream-idmp-maxsize`: for streams without settings of their own.
    pub stream_idempotence: Memory,
    /// `proto-max-bulk-len`: longest string that APPEND and SETRANGE may make, in bytes.
    pub proto_max_bulk_len: usize,
    /// Whether Redis would share small integers: not under a policy that keeps the use of each key.
    pub shares_integers: bool,
    /// `DEBUG SET-SKIP-CHECKSUM-VALIDATION`: RESTORE does not look at the checksum of its payload.
    pub unchecked_payloads: bool,
    /// Seed of the tables that large collections are made of; the shard's own, so that clients
    /// cannot choose members that collide.
    pub hash_seed: HashSeed,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            list_max_listpack_size: -2,
            list_lone_bytes: 0,
            list_compress_depth: 0,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            hll_sparse_max_bytes: 3000,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            stream_idempotence: Memory::default(),
            proto_max_bulk_len: 512 * 1024 * 1024,
            shares_integers: true,
            unchecked_payloads: false,
            hash_seed: HashSeed(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344),
        }
    }
}

impl Limits {
    /// The limit of a list node.
    pub fn list_node(&self) -> NodeLimit {
        let limit = NodeLimit::from_fill(i64::from(self.list_max_listpack_size));
        NodeLimit { lone: self.list_lone_bytes, ..limit }
    }
}
