//! Differences between Redis 7.0 (the oracle) and Redis 8 (which Moon follows), each with its reason.
//!
//! An entry applies to one pair of replies only; anything else stays a difference.

use crate::Command;
use crate::value::Value;

/// One explained difference.
struct Explained {
    /// Command, upper case; empty for all.
    command: &'static str,
    /// How the oracle's reply begins, in the notation of [`Value`]'s `Display`.
    oracle: &'static str,
    /// How the subject's reply begins.
    subject: &'static str,
    /// What the subject's reply contains besides.
    contains: &'static str,
    /// Why both are right.
    reason: &'static str,
}

const TABLE: [Explained; 14] = [
    Explained {
        command: "GETRANGE",
        oracle: "",
        subject: "\"\"",
        contains: "",
        reason: "an end before the first byte is no longer taken for the first byte (Redis 8)",
    },
    Explained {
        command: "SUBSTR",
        oracle: "",
        subject: "\"\"",
        contains: "",
        reason: "as GETRANGE",
    },
    Explained {
        command: "XSETID",
        oracle: "-ERR The ID specified in XSETID is smaller than the target",
        subject: "-ERR The ID specified in XSETID is smaller than current max_deleted",
        contains: "",
        reason: "the highest id deleted is looked at first since 7.2",
    },
    Explained {
        command: "XGROUP",
        oracle: ":1",
        subject: ":0",
        contains: "",
        reason: "a claim that finds nothing makes its consumer since 7.2, so CREATECONSUMER does not",
    },
    Explained {
        command: "XREAD",
        oracle: "-ERR Unbalanced XREAD list",
        subject: "-ERR Unbalanced 'xread' list",
        contains: "",
        reason: "the text names the command and its ids since 7.4",
    },
    Explained {
        command: "XREADGROUP",
        oracle: "-ERR Unbalanced XREAD list",
        subject: "-ERR Unbalanced 'xreadgroup' list",
        contains: "",
        reason: "the text names the command and its ids since 7.4",
    },
    Explained {
        command: "XREADGROUP",
        oracle: "-ERR Invalid stream ID",
        subject: "-ERR The + ID is meaningless",
        contains: "",
        reason: "the id + has a meaning to XREAD since 7.4",
    },
    Explained {
        command: "BITCOUNT",
        oracle: "-WRONGTYPE",
        subject: "-ERR ",
        contains: "",
        reason: "arguments are read before the key is looked up since 7.2",
    },
    Explained {
        command: "BITCOUNT",
        oracle: ":0",
        subject: "-ERR ",
        contains: "",
        reason: "arguments are read before the key is looked up since 7.2",
    },
    Explained {
        command: "BITPOS",
        oracle: "-WRONGTYPE",
        subject: "-ERR ",
        contains: "",
        reason: "arguments are read before the key is looked up since 7.2",
    },
    Explained {
        command: "BITPOS",
        oracle: ":",
        subject: "-ERR ",
        contains: "",
        reason: "arguments are read before the key is looked up since 7.2",
    },
    Explained {
        command: "",
        oracle: "-ERR timeout is negative",
        subject: "-ERR timeout is out of range",
        contains: "",
        reason: "7.0 takes a timeout beyond 64 bits for a negative one, later versions refuse it",
    },
    Explained {
        command: "LPOS",
        oracle: "",
        subject: "-ERR value is out of range, value must between -9223372036854775807",
        contains: "",
        reason: "RANK of the smallest integer is refused since 7.2",
    },
    Explained {
        command: "",
        oracle: "-ERR unknown command '",
        subject: "-ERR unknown command '",
        contains: "\u{fffd}",
        reason: "error texts of Moon are UTF-8: bytes that are none become U+FFFD, also in the count of 128",
    },
];

/// The reason why the two replies may differ, if there is one.
pub(super) fn explained(
    command: &Command,
    oracle: &Value,
    subject: &Value,
) -> Option<&'static str> {
    let name = command.first().map(|n| n.to_ascii_uppercase()).unwrap_or_default();
    let (oracle, subject) = (oracle.to_string(), subject.to_string());
    TABLE
        .iter()
        .find(|e| {
            (e.command.is_empty() || e.command.as_bytes() == name)
                && oracle.starts_with(e.oracle)
                && subject.starts_with(e.subject)
                && subject.contains(e.contains)
        })
        .map(|e| e.reason)
}
