//! The shard engine: keyspace, types, commands, executor, journal.
