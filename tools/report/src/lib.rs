//! What an operator's tool tells: a line for a person, or an object for a program, for each item.
//!
//! The one idea: both forms of an item are made in one place, so neither says less than the other.
//!
//! Invariants: an object stands on one line, and its first member `kind` names what it is; a reader that has seen enough
//! (`| head`) neither ends a run nor is an error.

use std::io::{self, Write};

use moon_formats::json::Object;

/// Where items go.
pub struct Report<'a> {
    sink: &'a mut dyn Write,
    json: bool,
    failed: Option<io::Error>,
}

impl<'a> Report<'a> {
    /// Begins with nothing told; `json` asks for objects.
    pub fn new(sink: &'a mut dyn Write, json: bool) -> Report<'a> {
        Report { sink, json, failed: None }
    }

    /// An item: an object of this kind with the members that `fill` adds, or the text.
    pub fn item(&mut self, kind: &str, fill: impl FnOnce(Object) -> Object, text: &str) {
        let mut line = match self.json {
            true => fill(Object::default().text("kind", kind)).close(),
            false => text.as_bytes().to_vec(),
        };
        if self.json {
            // Lists within an object stand on several lines in a file, and on one here.
            line.retain(|b| *b != b'\n');
        }
        line.push(b'\n');
        if self.failed.is_none()
            && let Err(e) = self.sink.write_all(&line)
        {
            self.failed = Some(e);
        }
    }

    /// Something worth telling that has no members.
    pub fn note(&mut self, text: &str) {
        self.item("note", |o| o.text("text", text), text);
    }

    /// What went wrong on the way out; a reader that has seen enough is no failure.
    pub fn finish(self) -> Option<io::Error> {
        self.failed
            .or_else(|| self.sink.flush().err())
            .filter(|e| e.kind() != io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_a_line_in_either_form() {
        for (json, want) in [
            (
                true,
                "{\"kind\":\"set\",\"parts\":[{\"n\":1},{\"n\":2}]}\n{\"kind\":\"note\",\"text\":\"a\\nb\"}\n",
            ),
            (false, "two parts\na\nb\n"),
        ] {
            let mut sink = Vec::new();
            let mut out = Report::new(&mut sink, json);
            let parts = |o: Object| {
                o.list("parts", [1, 2].map(|n| Object::default().number("n", n)).into_iter())
            };
            out.item("set", parts, "two parts");
            out.note("a\nb");
            assert!(out.finish().is_none());
            assert_eq!(String::from_utf8(sink).expect("text"), want);
        }
    }

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_left_is_no_failure() {
        for (kind, is_failure) in
            [(io::ErrorKind::BrokenPipe, false), (io::ErrorKind::StorageFull, true)]
        {
            let mut sink = Broken(kind);
            let mut out = Report::new(&mut sink, true);
            out.note("one");
            out.note("two");
            assert_eq!(out.finish().is_some(), is_failure, "{kind:?}");
        }
    }
}
