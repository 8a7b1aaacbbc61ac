//! JSON: what Moon writes of it, and a strict reader for what Moon has written.
//!
//! The reader takes integers only, no member twice, and nothing behind the value; its depth is limited, and a
//! value takes no more memory than a small multiple of its text.

mod read;
mod write;

pub use read::{Json, Members};
pub use write::Object;
pub(crate) use write::{put_base64, put_bytes, put_f64, put_i64, put_list, put_text, put_u64};
