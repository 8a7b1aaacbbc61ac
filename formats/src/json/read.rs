//! Reading JSON.

#![warn(clippy::indexing_slicing)]

use crate::error::{Cause, DecodeError};

/// Deepest nesting.
const DEPTH_MAX: usize = 16;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object, in the order of the text.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole text.
    ///
    /// # Errors
    /// It is not JSON of the kind that the module names.
    pub fn decode(text: &[u8]) -> Result<Json, DecodeError> {
        let mut r = Reader { text, pos: 0 };
        let value = r.value(DEPTH_MAX)?;
        r.blanks();
        match text.len() - r.pos {
            0 => Ok(value),
            bytes => Err(r.error("JSON", Cause::Trailing { bytes: bytes as u64 })),
        }
    }
}

/// The members of an object, to be taken by name.
#[derive(Debug)]
pub struct Members(Vec<(String, Json)>);

impl Members {
    /// Those of `value`, which `what` names in errors.
    ///
    /// # Errors
    /// It is no object.
    pub fn of(value: Json, what: &'static str) -> Result<Members, DecodeError> {
        match value {
            Json::Object(members) => Ok(Members(members)),
            _ => Err(form(what, "an object")),
        }
    }

    fn take(&mut self, name: &'static str) -> Result<Json, DecodeError> {
        let at = self.0.iter().position(|(n, _)| n == name);
        at.map(|at| self.0.swap_remove(at).1).ok_or(form(name, "a member"))
    }

    /// A string.
    ///
    /// # Errors
    /// It is missing, or something else; so with the others.
    pub fn text(&mut self, name: &'static str) -> Result<String, DecodeError> {
        match self.take(name)? {
            Json::Text(text) => Ok(text),
            _ => Err(form(name, "a string")),
        }
    }

    /// An integer, as [`super::Object`] writes it.
    ///
    /// # Errors
    /// As [`Members::text`].
    pub fn number<T: TryFrom<i128>>(&mut self, name: &'static str) -> Result<T, DecodeError> {
        let value = self.take(name)?;
        integer(&value).ok_or(form(name, "an integer within its limits"))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// As [`Members::text`].
    pub fn flag(&mut self, name: &'static str) -> Result<bool, DecodeError> {
        match self.take(name)? {
            Json::Bool(value) => Ok(value),
            _ => Err(form(name, "true or false")),
        }
    }

    /// A string or null.
    ///
    /// # Errors
    /// As [`Members::text`].
    pub fn text_or_null(&mut self, name: &'static str) -> Result<Option<String>, DecodeError> {
        match self.take(name)? {
            Json::Null => Ok(None),
            Json::Text(text) => Ok(Some(text)),
            _ => Err(form(name, "a string or null")),
        }
    }

    /// An integer or null.
    ///
    /// # Errors
    /// As [`Members::text`].
    pub fn number_or_null<T: TryFrom<i128>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, DecodeError> {
        match self.take(name)? {
            Json::Null => Ok(None),
            value => integer(&value).map(Some).ok_or(form(name, "an integer or null")),
        }
    }

    /// A list of at most `max` items.
    ///
    /// # Errors
    /// As [`Members::text`].
    pub fn list(&mut self, name: &'static str, max: usize) -> Result<Vec<Json>, DecodeError> {
        match self.take(name)? {
            Json::List(items) if items.len() > max => {
                let cause = Cause::Count { count: items.len() as u64, fits: max as u64 };
                Err(DecodeError::new(0, name, cause))
            }
            Json::List(items) => Ok(items),
            _ => Err(form(name, "a list")),
        }
    }
}

fn integer<T: TryFrom<i128>>(value: &Json) -> Option<T> {
    let number = match value {
        Json::Int(number) => *number,
        Json::Text(text) => {
            let number: i128 = text.parse().ok()?;
            // Only one spelling.
            (number.to_string() == *text).then_some(number)?
        }
        _ => return None,
    };
    T::try_from(number).ok()
}

fn form(what: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::new(0, what, Cause::Form { expected })
}

struct Reader<'a> {
    text: &'a [u8],
    pos: usize,
}

impl Reader<'_> {
    #[cold]
    fn error(&self, what: &'static str, cause: Cause) -> DecodeError {
        DecodeError::new(self.pos as u64, what, cause)
    }

    #[cold]
    fn form(&self, expected: &'static str) -> DecodeError {
        self.error("JSON", Cause::Form { expected })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.pos += 1;
        Some(byte)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.pos += 1;
        }
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), DecodeError> {
        self.blanks();
        match self.peek() == Some(byte) {
            true => {
                self.pos += 1;
                Ok(())
            }
            false => Err(self.form(expected)),
        }
    }

    /// Whether a list or object ends here; if not, a comma before all but the first item is passed.
    fn ends(&mut self, close: u8, first: bool) -> Result<bool, DecodeError> {
        self.blanks();
        if self.peek() == Some(close) {
            self.pos += 1;
            return Ok(true);
        }
        if !first {
            self.expect(b',', "a comma or the end of a list")?;
        }
        Ok(false)
    }

    fn value(&mut self, depth: usize) -> Result<Json, DecodeError> {
        self.blanks();
        match self.peek() {
            Some(b'{' | b'[') if depth == 0 => Err(self.form("nested less deeply")),
            Some(b'{') => self.object(depth - 1),
            Some(b'[') => self.list(depth - 1),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b't') => self.word(b"true", Json::Bool(true)),
            Some(b'f') => self.word(b"false", Json::Bool(false)),
            Some(b'n') => self.word(b"null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.form("a value")),
        }
    }

    fn word(&mut self, word: &[u8], value: Json) -> Result<Json, DecodeError> {
        match self.text.get(self.pos..).is_some_and(|rest| rest.starts_with(word)) {
            true => {
                self.pos += word.len();
                Ok(value)
            }
            false => Err(self.form("true, false or null")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, DecodeError> {
        self.pos += 1;
        let mut items = Vec::new();
        while !self.ends(b']', items.is_empty())? {
            items.push(self.value(depth)?);
        }
        Ok(Json::List(items))
    }

    fn object(&mut self, depth: usize) -> Result<Json, DecodeError> {
        self.pos += 1;
        let mut members: Vec<(String, Json)> = Vec::new();
        while !self.ends(b'}', members.is_empty())? {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.form("the name of a member"));
            }
            let name = self.string()?;
            // An object of ours has few members.
            if members.len() >= 64 || members.iter().any(|(n, _)| *n == name) {
                return Err(self.form("at most 64 members, each once"));
            }
            self.expect(b':', "a colon")?;
            members.push((name, self.value(depth)?));
        }
        Ok(Json::Object(members))
    }

    fn number(&mut self) -> Result<Json, DecodeError> {
        let start = self.pos;
        if self.peek() == Some(b'-') {
            self.pos += 1;
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.pos += 1;
        }
        let text = self.text.get(start..self.pos).unwrap_or_default();
        let text = std::str::from_utf8(text).unwrap_or_default();
        let plain = !text.trim_start_matches('-').starts_with('0') || text == "0";
        match text.parse::<i128>() {
            Ok(n) if plain && !matches!(self.peek(), Some(b'.' | b'e' | b'E')) => Ok(Json::Int(n)),
            _ => Err(self.form("an integer")),
        }
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.pos += 1;
        let mut bytes = Vec::new();
        loop {
            match self.next() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let c = self.escape()?;
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(0..0x20) | None => return Err(self.form("a closed string")),
                Some(byte) => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| self.form("UTF-8"))
    }

    fn escape(&mut self) -> Result<char, DecodeError> {
        Ok(match self.next() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.hex4()?;
                let code = match high {
                    0xd800..0xdc00 => {
                        if self.next() != Some(b'\\') || self.next() != Some(b'u') {
                            return Err(self.form("the second half of a character"));
                        }
                        let low = self.hex4()?;
                        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400);
                        let low = low.ok_or(self.form("the second half of a character"))?;
                        0x10000 + ((high - 0xd800) << 10) + low
                    }
                    other => other,
                };
                char::from_u32(code).ok_or(self.form("a character"))?
            }
            _ => return Err(self.form("a known escape")),
        })
    }

    fn hex4(&mut self) -> Result<u32, DecodeError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or(self.form("four hexadecimal digits"))?;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Object;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_read_and_what_is_not() {
        let read = |text: &str| Json::decode(text.as_bytes());
        assert_eq!(read(" [1, -2 ,\"a\\u00e4\\ud83d\\ude00\\n\"] "), {
            let text = Json::Text("a\u{e4}\u{1f600}\n".into());
            Ok(Json::List(vec![Json::Int(1), Json::Int(-2), text]))
        });
        assert_eq!(read("{}"), Ok(Json::Object(vec![])));
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,\"a\":2}",
            "1.5",
            "1e3",
            "01",
            "-",
            "tru",
            "\"\\x\"",
            "\"\n\"",
            "[1] 2",
            "\"\\ud800\"",
            "{\"a\" 1}",
            "{1:2}",
            "\"\\u12g4\"",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&("[".repeat(17) + &"]".repeat(17))).is_err());
        assert!(read(&("[".repeat(16) + &"]".repeat(16))).is_ok());
    }

    #[test]
    fn members_are_taken_by_name_and_kind() {
        let text = Object::default()
            .text("a", "x")
            .number("b", u64::MAX)
            .signed("c", -5)
            .flag("d", true)
            .option("e", None, Object::number)
            .list("f", [Object::default(), Object::default()].into_iter())
            .close();
        let mut m = Members::of(Json::decode(&text).unwrap(), "x").unwrap();
        assert!(m.list("f", 1).is_err());
        assert_eq!((m.text("a").unwrap().as_str(), m.number("b")), ("x", Ok(u64::MAX)));
        assert!(m.number::<u64>("c").is_err());
        assert_eq!((m.flag("d"), m.number_or_null::<u64>("e")), (Ok(true), Ok(None)));
        assert!(m.text("a").is_err(), "it has been taken");
        assert!(Members::of(Json::Null, "x").is_err());
    }

    proptest! {
        #[test]
        fn strings_and_integers_come_back(text: String, n: u64, i: i64) {
            let object = Object::default().text("t", &text).number("n", n).signed("i", i).close();
            let mut m = Members::of(Json::decode(&object).unwrap(), "x").unwrap();
            prop_assert_eq!(m.text("t").unwrap(), text);
            prop_assert_eq!(m.number::<u64>("n").unwrap(), n);
            prop_assert_eq!(m.number::<i64>("i").unwrap(), i);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Json::decode(&bytes);
        }
    }
}
