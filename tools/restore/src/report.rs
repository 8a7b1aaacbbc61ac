//! What the tool tells: lines or objects on the standard output.

use std::io::{self, Write};

use moon_formats::json::Object;

/// Where items go.
pub(crate) struct Out {
    json: bool,
    failed: Option<io::Error>,
}

impl Out {
    pub(crate) fn new(json: bool) -> Out {
        Out { json, failed: None }
    }

    /// An item: an object for a program, a line for a person.
    pub(crate) fn item(&mut self, kind: &str, fill: impl FnOnce(Object) -> Object, text: &str) {
        let line = match self.json {
            true => fill(Object::default().text("kind", kind)).close(),
            false => text.as_bytes().to_vec(),
        };
        let mut sink = io::stdout().lock();
        // Lists within an object stand on several lines in a file, and on one here.
        let line: Vec<u8> = match self.json {
            true => line.into_iter().filter(|b| *b != b'\n').collect(),
            false => line,
        };
        let written = sink.write_all(&line).and_then(|()| sink.write_all(b"\n"));
        if let Err(e) = written {
            self.failed.get_or_insert(e);
        }
    }

    /// What went wrong on the way out; a reader that has seen enough (`| head`) is no failure.
    pub(crate) fn finish(self) -> Option<io::Error> {
        self.failed.filter(|e| e.kind() != io::ErrorKind::BrokenPipe)
    }
}
