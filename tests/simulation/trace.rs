//! What happened in a history, line by line: equal seeds have equal traces.

use std::collections::VecDeque;

/// Lines that are kept for people.
const LINES_MAX: usize = 400;

/// The end of the story, and a hash of all of it.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: blake3::Hasher,
    lines: VecDeque<String>,
}

impl Trace {
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(super) fn hash(&self) -> blake3::Hash {
        self.hash.finalize()
    }

    pub(super) fn story(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}
