//! The slow log: the last commands that took longer than `slowlog-log-slower-than`.
//!
//! An entry is cut to what a person reads: 32 arguments of 128 bytes. Secrets are not kept at all.

use std::collections::VecDeque;

use moon_engine::args::Args;
use moon_engine::command::{Command, Flags};

/// Arguments of an entry; the last one tells how many are missing.
const ARGS_MAX: usize = 32;
/// Bytes of an argument.
const BYTES_MAX: usize = 128;

/// A command that took long.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) unix_secs: u64,
    pub(crate) micros: u64,
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) peer: String,
    pub(crate) name: String,
}

/// Entries, the latest first.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    entries: VecDeque<Entry>,
    next_id: u64,
    max: usize,
}

impl SlowLog {
    /// Sets how many entries are kept.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
        self.entries.truncate(max);
    }

    /// Adds a command, unless it is one that is never shown.
    pub(crate) fn add(
        &mut self,
        command: &Command,
        args: Args<'_>,
        micros: u64,
        unix_secs: u64,
        (peer, name): (String, String),
    ) {
        if command.spec.flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        let words = shown(command, args);
        self.entries.push_front(Entry { id: self.next_id, unix_secs, micros, words, peer, name });
        self.next_id += 1;
        self.entries.truncate(self.max);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries ever added.
    pub(crate) fn total(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

/// The arguments as an entry shows them.
fn shown(command: &Command, args: Args<'_>) -> Vec<Vec<u8>> {
    let n = args.len();
    let whole = if n > ARGS_MAX { ARGS_MAX - 1 } else { n };
    let mut words: Vec<Vec<u8>> = (0..whole)
        .map(|i| match args.get(i) {
            _ if command.spec.is_secret(args, i) => b"(redacted)".to_vec(),
            word if word.len() > BYTES_MAX => {
                let more = format!("... ({} more bytes)", word.len() - BYTES_MAX);
                [&word[..BYTES_MAX], more.as_bytes()].concat()
            }
            word => word.to_vec(),
        })
        .collect();
    if whole < n {
        words.push(format!("... ({} more arguments)", n - whole).into_bytes());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_cut_and_counted() {
        let table = crate::commands::table();
        let command = table.find(b"mset").expect("a row");
        let long = [b'x'; 130];
        let mut words: Vec<&[u8]> = vec![b"mset", &long];
        words.extend((0..40).map(|_| b"a".as_slice()));
        let mut log = SlowLog::default();
        log.set_max(2);
        for n in 0..3 {
            log.add(command, Args::new(&words), n, 7, ("peer".into(), "me".into()));
        }
        assert_eq!(log.iter().map(|e| (e.id, e.micros)).collect::<Vec<_>>(), [(2, 2), (1, 1)]);
        let entry = log.iter().next().expect("an entry");
        assert_eq!(entry.words.len(), 32);
        assert!(entry.words[1].ends_with(b"x... (2 more bytes)"));
        assert_eq!(entry.words[31], b"... (11 more arguments)");
        let auth = table.find(b"auth").expect("a row");
        assert_eq!(shown(auth, Args::new(&[b"auth", b"pw"])), [&b"auth"[..], b"(redacted)"]);
        log.add(
            table.find(b"exec").expect("a row"),
            Args::new(&[b"exec"]),
            9,
            7,
            Default::default(),
        );
        log.set_max(1);
        assert_eq!((log.len(), log.iter().next().map(|e| e.id)), (1, Some(2)));
    }
}
