//! RESP2 and RESP3: the client protocol, and the body of `Command` log records.
//!
//! * [`Reply`] writes replies: callers state the shape, the writer picks the bytes.
//! * [`RequestParser`] finds the arguments of requests in a receive buffer.
//! * [`Value`] reads replies.
//! * [`encode_command`] and [`CommandIter`] write and read whole commands (log, replication).

mod command;
mod reply;
mod request;
mod value;

pub use crate::number;
pub use command::{CommandIter, command_len, encode_command};
pub use reply::{Proto, Reply};
pub use request::{Limits, Parsed, ProtocolError, RequestParser, Span, split_words};
pub use value::{DEPTH_MAX, Value};
