//! The command table: the only list of commands Moon has.
//!
//! A row ([`CommandSpec`]) stands beside the function it runs. Dispatch, arity errors, the
//! order of refusals, `COMMAND`, ACL categories, key extraction and routing derive from it.

pub mod keys;
pub mod spec;
pub mod syntax;
pub mod table;

pub use spec::{
    Access, ChannelSpec, CommandSpec, DbSpec, Flags, Group, KeySpec, KeyUse, PatternOption, Run,
    Secret,
};
pub use table::{Command, CommandTable};
