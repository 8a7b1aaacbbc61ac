//! Lua values as JSON.

use super::Options;
use crate::script::vm::NOT_ENOUGH_MEMORY;
use mlua::{Table, Value};

/// Appends a number as `%.<precision>g` of C prints it.
fn write_g(out: &mut Vec<u8>, v: f64, precision: usize) {
    if !v.is_finite() {
        let text = if v.is_nan() {
            "nan"
        } else if v > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        return out.extend_from_slice(text.as_bytes());
    }
    let text = format!("{:.*e}", precision.max(1) - 1, v);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => s.to_string(),
    };
    let text = if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    } else {
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        trim(&format!("{v:.decimals$}"))
    };
    out.extend_from_slice(text.as_bytes());
}

/// Writes one text.
pub(super) struct Encoder<'a> {
    pub(super) options: &'a Options,
    pub(super) array_mt: &'a Table,
    pub(super) out: Vec<u8>,
    /// Longest text.
    pub(super) max: usize,
}

pub(super) type Encoded = Result<(), String>;

fn cannot(what: &str, why: &str) -> String {
    format!("Cannot serialise {what}: {why}")
}

impl Encoder<'_> {
    pub(super) fn value(&mut self, value: &Value, depth: usize) -> Encoded {
        if self.out.len() > self.max {
            return Err(NOT_ENOUGH_MEMORY.to_string());
        }
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(p) if p.0.is_null() => self.out.extend_from_slice(b"null"),
            Value::Boolean(b) => self.out.extend_from_slice(if *b { b"true" } else { b"false" }),
            Value::Integer(n) => self.number(*n as f64)?,
            Value::Number(n) => self.number(*n)?,
            Value::String(s) => self.text(&s.as_bytes()),
            Value::Table(t) => self.table(t, depth + 1)?,
            other => return Err(cannot(other.type_name(), "type not supported")),
        }
        Ok(())
    }

    fn number(&mut self, n: f64) -> Encoded {
        if !n.is_finite() && !self.options.invalid_encode.get() {
            return Err(cannot("number", "must not be NaN or Inf"));
        }
        if !n.is_finite() && self.options.invalid_null.get() {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        write_g(&mut self.out, n, self.options.precision.get());
        Ok(())
    }

    fn text(&mut self, s: &[u8]) {
        self.out.push(b'"');
        for &b in s {
            match b {
                b'"' | b'\\' | b'/' => self.out.extend_from_slice(&[b'\\', b]),
                8 => self.out.extend_from_slice(b"\\b"),
                9 => self.out.extend_from_slice(b"\\t"),
                10 => self.out.extend_from_slice(b"\\n"),
                12 => self.out.extend_from_slice(b"\\f"),
                13 => self.out.extend_from_slice(b"\\r"),
                0..32 | 127 => self.out.extend_from_slice(format!("\\u{b:04x}").as_bytes()),
                _ => self.out.push(b),
            }
        }
        self.out.push(b'"');
    }

    /// Length of a table that is an array; `None` if it is an object.
    fn array_len(&self, t: &Table) -> Result<Option<i64>, String> {
        let (mut max, mut count) = (0, 0i64);
        for pair in t.pairs::<Value, Value>() {
            let (key, _) = pair.map_err(|e| e.to_string())?;
            match key {
                Value::Integer(n) if n > 0 => max = max.max(n),
                _ => return Ok(None),
            }
            count += 1;
        }
        let (ratio, safe) = (self.options.sparse_ratio.get(), self.options.sparse_safe.get());
        if ratio > 0 && max > count.saturating_mul(ratio) && max > safe {
            if self.options.sparse_convert.get() {
                return Ok(None);
            }
            return Err(cannot("table", "excessively sparse array"));
        }
        Ok(Some(max))
    }

    fn table(&mut self, t: &Table, depth: usize) -> Encoded {
        if depth > self.options.encode_depth.get() {
            return Err(format!("Cannot serialise, excessive nesting ({depth})"));
        }
        let len = self.array_len(t)?;
        let is_array = t.metatable().is_some_and(|m| m.to_pointer() == self.array_mt.to_pointer());
        match len {
            Some(n) if n > 0 || is_array => {
                self.out.push(b'[');
                for i in 1..=n {
                    if i > 1 {
                        self.out.push(b',');
                    }
                    let item = t.raw_get::<Value>(i).map_err(|e| e.to_string())?;
                    self.value(&item, depth)?;
                }
                self.out.push(b']');
            }
            _ => {
                self.out.push(b'{');
                let mut first = true;
                for pair in t.pairs::<Value, Value>() {
                    let (key, value) = pair.map_err(|e| e.to_string())?;
                    if !std::mem::take(&mut first) {
                        self.out.push(b',');
                    }
                    let number = match &key {
                        Value::String(s) => {
                            self.text(&s.as_bytes());
                            None
                        }
                        Value::Integer(n) => Some(*n as f64),
                        Value::Number(n) => Some(*n),
                        _ => {
                            return Err(cannot("table", "table key must be a number or string"));
                        }
                    };
                    if let Some(n) = number {
                        self.out.push(b'"');
                        self.number(n)?;
                        self.out.push(b'"');
                    }
                    self.out.push(b':');
                    self.value(&value, depth)?;
                }
                self.out.push(b'}');
            }
        }
        Ok(())
    }
}
