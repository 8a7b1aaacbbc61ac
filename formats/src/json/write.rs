//! Appending JSON to a buffer.

use crate::bytes::Put;
use crate::number::Digits;

/// Appends bytes as a string, or as an object of base64 if they are not UTF-8.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => put_text(out, text),
        Err(_) => {
            out.put(b"{\"_b64\":\"");
            put_base64(out, bytes);
            out.put(b"\"}");
        }
    }
}

/// Appends a string.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| matches!(b, 0..0x20 | b'"' | b'\\')) {
        let (plain, special) = rest.split_at(at);
        out.put(plain);
        let Some((&byte, behind)) = special.split_first() else { break };
        match byte {
            b'"' => out.put(b"\\\""),
            b'\\' => out.put(b"\\\\"),
            b'\n' => out.put(b"\\n"),
            b'\r' => out.put(b"\\r"),
            b'\t' => out.put(b"\\t"),
            other => {
                out.put(b"\\u00");
                out.put(&[hex(other >> 4), hex(other & 15)]);
            }
        }
        rest = behind;
    }
    out.put(rest);
    out.push(b'"');
}

fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

/// Appends a number.
pub(crate) fn put_u64(out: &mut Vec<u8>, n: u64) {
    out.put(Digits::of_u64(n).as_bytes());
}

/// Appends a number.
pub(crate) fn put_i64(out: &mut Vec<u8>, n: i64) {
    out.put(Digits::of_i64(n).as_bytes());
}

/// Appends a score; infinities have no number in JSON and are strings.
pub(crate) fn put_f64(out: &mut Vec<u8>, n: f64) {
    if n.is_finite() {
        out.put(n.to_string().as_bytes());
    } else {
        put_text(out, if n > 0.0 { "inf" } else { "-inf" });
    }
}

/// Appends base64 with padding.
pub(crate) fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let mut word = [0; 3];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for i in 0..4 {
            let digit = (bits >> (18 - 6 * i)) & 63;
            let symbol = ALPHABET.get(digit as usize).copied().unwrap_or(b'=');
            out.push(if i > chunk.len() { b'=' } else { symbol });
        }
    }
}

/// Appends the items of a list with commas between them.
pub(crate) fn put_list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut put: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        put(out, item);
    }
    out.push(b']');
}

/// Largest integer that every JSON reader keeps exact.
const EXACT_MAX: u64 = 1 << 53;

/// An object that is being written, member by member.
#[derive(Debug, Clone)]
pub struct Object(Vec<u8>);

impl Default for Object {
    fn default() -> Object {
        Object(vec![b'{'])
    }
}

impl Object {
    /// Appends the name of a member; its value follows.
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        put_text(&mut self.0, name);
        self.0.push(b':');
        &mut self.0
    }

    /// A string.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Object {
        put_text(self.name(name), value);
        self
    }

    /// An integer; above 2^53 a string, because a JSON number loses bits there.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Object {
        match value > EXACT_MAX {
            true => put_text(self.name(name), &value.to_string()),
            false => put_u64(self.name(name), value),
        }
        self
    }

    /// As [`Object::number`], with a sign.
    #[must_use]
    pub fn signed(mut self, name: &str, value: i64) -> Object {
        match value.unsigned_abs() > EXACT_MAX {
            true => put_text(self.name(name), &value.to_string()),
            false => put_i64(self.name(name), value),
        }
        self
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: bool) -> Object {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.name(name).put(word);
        self
    }

    /// What `put` makes of a value, `null` without one.
    #[must_use]
    pub fn option<T>(
        mut self,
        name: &str,
        value: Option<T>,
        put: impl FnOnce(Object, &str, T) -> Object,
    ) -> Object {
        match value {
            Some(value) => put(self, name, value),
            None => {
                self.name(name).put(b"null");
                self
            }
        }
    }

    /// An object.
    #[must_use]
    pub fn object(mut self, name: &str, value: Object) -> Object {
        let bytes = value.close();
        self.name(name).put(&bytes);
        self
    }

    /// A list of objects, each on a line of its own.
    #[must_use]
    pub fn list(mut self, name: &str, items: impl Iterator<Item = Object>) -> Object {
        let out = self.name(name);
        put_list(out, items, |out, item| {
            out.push(b'\n');
            out.put(&item.close());
        });
        self
    }

    /// The bytes so far, to be closed by the caller.
    pub(crate) fn open_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes of the whole.
    #[must_use]
    pub fn close(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_what_is_none() {
        for (bytes, json) in [
            (
                &b"a\"b\\c\n\r\t\x01\x1f\x7f"[..],
                r#""a\"b\\c\n\r\t\u0001\u001f"#.to_owned() + "\x7f\"",
            ),
            ("\u{e4}\u{1f600}".as_bytes(), "\"\u{e4}\u{1f600}\"".into()),
            (b"", "\"\"".into()),
            (b"\xff", r#"{"_b64":"/w=="}"#.into()),
            (b"\xff\xfe", r#"{"_b64":"//4="}"#.into()),
            (b"\xff\xfe\xfd", r#"{"_b64":"//79"}"#.into()),
            (b"\x80abcd", r#"{"_b64":"gGFiY2Q="}"#.into()),
        ] {
            let mut out = Vec::new();
            put_bytes(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
    }

    #[test]
    fn scores() {
        for (n, json) in [
            (1.0, "1"),
            (-0.5, "-0.5"),
            (1e21, "1000000000000000000000"),
            (f64::INFINITY, "\"inf\""),
        ] {
            let mut out = Vec::new();
            put_f64(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
    }
}
