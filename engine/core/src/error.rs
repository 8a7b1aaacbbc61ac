//! Errors a command answers with. The text starts with the code clients parse (`ERR`, `WRONGTYPE`...).

use std::borrow::Cow;

/// The result of a command function; the reply itself has been written.
pub type CmdResult<T = ()> = Result<T, CmdError>;

/// An error reply: code, blank, text, as it goes to the wire after `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmdError(Cow<'static, str>);

impl CmdError {
    /// `WRONGTYPE`: the key holds another type.
    pub const WRONG_TYPE: CmdError =
        CmdError::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// Not a canonical 64-bit integer.
    pub const NOT_INT: CmdError = CmdError::fixed("ERR value is not an integer or out of range");
    /// The smallest integer, where a count's sign says something.
    pub const NO_MAGNITUDE: CmdError = CmdError::fixed(
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    /// Not a float.
    pub const NOT_FLOAT: CmdError = CmdError::fixed("ERR value is not a valid float");
    /// Arguments that no grammar of the command accepts.
    pub const SYNTAX: CmdError = CmdError::fixed("ERR syntax error");
    /// The key must exist.
    pub const NO_KEY: CmdError = CmdError::fixed("ERR no such key");
    /// A database number out of range.
    pub const DB_INDEX: CmdError = CmdError::fixed("ERR DB index is out of range");
    /// Index beyond a list.
    pub const INDEX_RANGE: CmdError = CmdError::fixed("ERR index out of range");
    /// A count below zero.
    pub const NOT_POSITIVE: CmdError =
        CmdError::fixed("ERR value is out of range, must be positive");
    /// Integer overflow of INCR and friends.
    pub const OVERFLOW: CmdError = CmdError::fixed("ERR increment or decrement would overflow");
    /// A string beyond `proto-max-bulk-len`.
    pub const TOO_LONG: CmdError =
        CmdError::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

    /// An error with a fixed text.
    pub const fn fixed(text: &'static str) -> Self {
        CmdError(Cow::Borrowed(text))
    }

    /// An error with a text made now.
    pub fn text(text: impl Into<String>) -> Self {
        CmdError(Cow::Owned(text.into()))
    }

    /// `ERR wrong number of arguments for 'name' command`.
    pub fn arity(name: &str) -> Self {
        CmdError::text(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// `ERR unknown subcommand or wrong number of arguments for 'SUB'. Try CONTAINER HELP.`
    pub fn wrong_sub(sub: &[u8], container: &str) -> Self {
        let sub = String::from_utf8_lossy(sub);
        CmdError::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try {container} HELP."
        ))
    }

    /// `ERR invalid expire time in 'name' command`.
    pub fn expire_time(name: &str) -> Self {
        CmdError::text(format!("ERR invalid expire time in '{name}' command"))
    }

    /// Code and text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The code alone: `ERR`, `WRONGTYPE`, ...
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or("ERR")
    }
}

impl std::fmt::Display for CmdError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CmdError {}
