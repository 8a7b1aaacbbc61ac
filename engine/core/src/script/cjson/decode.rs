//! JSON as Lua values.

use super::Options;
use mlua::{Lua, LuaString, Table, Value};

/// Reads one text.
pub(super) struct Decoder<'a> {
    pub(super) lua: &'a Lua,
    pub(super) options: &'a Options,
    pub(super) array_mt: &'a Table,
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl Decoder<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    pub(super) fn expected(&self, what: &str) -> String {
        let found = match self.text.get(self.at) {
            None => "T_END",
            Some(b'{') => "T_OBJ_BEGIN",
            Some(b'}') => "T_OBJ_END",
            Some(b'[') => "T_ARR_BEGIN",
            Some(b']') => "T_ARR_END",
            Some(b'"') => "T_STRING",
            Some(b':') => "T_COLON",
            Some(b',') => "T_COMMA",
            Some(b'0'..=b'9' | b'-') => "T_NUMBER",
            Some(_) => "invalid token",
        };
        format!("Expected {what} but found {found} at character {}", self.at + 1)
    }

    fn invalid<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("Expected value but found {what} at character {}", self.at + 1))
    }

    pub(super) fn value(&mut self, depth: usize) -> Result<Value, String> {
        self.blank();
        match self.peek() {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(Value::String),
            _ => {
                let rest = &self.text[self.at..];
                for (word, value) in [
                    ("null", Value::NULL),
                    ("true", Value::Boolean(true)),
                    ("false", Value::Boolean(false)),
                ] {
                    if rest.starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                self.number()
            }
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let end = rest
            .iter()
            .position(
                |b| !matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'),
            )
            .unwrap_or(rest.len());
        let word = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let digits = word.trim_start_matches('-');
        let plain = digits.starts_with(|c: char| c.is_ascii_digit());
        let hex = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
        let odd = !plain
            || hex.is_some()
            || (digits.len() > 1
                && digits.starts_with('0')
                && digits.as_bytes()[1].is_ascii_digit());
        if word.is_empty() || word.starts_with('+') || (odd && !self.options.invalid_decode.get()) {
            return match rest.first() {
                None | Some(b'}' | b']' | b':' | b',') => Err(self.expected("value")),
                Some(b'-') => self.invalid("invalid number"),
                Some(_) => self.invalid("invalid token"),
            };
        }
        let parsed = match hex {
            Some(hex) => u64::from_str_radix(hex, 16)
                .ok()
                .map(|n| if word.starts_with('-') { -(n as f64) } else { n as f64 }),
            None => word.parse::<f64>().ok(),
        };
        match parsed {
            Some(n) => {
                self.at += end;
                Ok(Value::Number(n))
            }
            None if plain => self.invalid("invalid number"),
            None => self.invalid("invalid token"),
        }
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
        self.at += 4;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    /// What follows `\u`: one code, or two that make one character.
    fn unicode(&mut self) -> Option<char> {
        let mut code = self.hex4()?;
        if (0xd800..0xdc00).contains(&code) {
            if self.text.get(self.at..self.at + 2) != Some(b"\\u") {
                return None;
            }
            self.at += 2;
            let low = self.hex4()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            code = 0x1_0000 + ((code - 0xd800) << 10) + low;
        }
        char::from_u32(code)
    }

    fn string(&mut self) -> Result<LuaString, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let Some(&b) = self.text.get(self.at) else {
                return self.invalid("unexpected end of string");
            };
            self.at += 1;
            match b {
                b'"' => break,
                b'\\' => {
                    let start = self.at - 1;
                    let escape = self.peek();
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' => out.push(escape),
                        b'b' => out.push(8),
                        b'f' => out.push(12),
                        b'n' => out.push(b'\n'),
                        b'r' => out.push(b'\r'),
                        b't' => out.push(b'\t'),
                        b'u' => {
                            let Some(c) = self.unicode() else {
                                self.at = start;
                                return self.invalid("invalid unicode escape code");
                            };
                            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        _ => {
                            self.at = start;
                            return self.invalid("invalid escape code");
                        }
                    }
                }
                0..32 => {
                    self.at -= 1;
                    return self.invalid("invalid token");
                }
                _ => out.push(b),
            }
        }
        self.lua.create_string(out).map_err(|e| e.to_string())
    }

    fn enter(&self, depth: usize) -> Result<Table, String> {
        if depth > self.options.decode_depth.get() {
            return Err(format!(
                "Found too many nested data structures ({depth}) at character {}",
                self.at + 1
            ));
        }
        self.lua.create_table().map_err(|e| e.to_string())
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let table = self.enter(depth)?;
        self.at += 1;
        self.blank();
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        loop {
            self.blank();
            if self.peek() != b'"' {
                return Err(self.expected("object key string"));
            }
            let key = self.string()?;
            self.blank();
            if self.peek() != b':' {
                return Err(self.expected("colon"));
            }
            self.at += 1;
            let value = self.value(depth)?;
            table.raw_set(key, value).map_err(|e| e.to_string())?;
            self.blank();
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Value::Table(table));
                }
                _ => return Err(self.expected("comma or object end")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let table = self.enter(depth)?;
        if self.options.array_mt.get() {
            table.set_metatable(Some(self.array_mt.clone())).map_err(|e| e.to_string())?;
        }
        self.at += 1;
        self.blank();
        if self.peek() == b']' {
            self.at += 1;
            return Ok(Value::Table(table));
        }
        for i in 1.. {
            let value = self.value(depth)?;
            table.raw_set(i, value).map_err(|e| e.to_string())?;
            self.blank();
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    break;
                }
                _ => return Err(self.expected("comma or array end")),
            }
        }
        Ok(Value::Table(table))
    }
}
