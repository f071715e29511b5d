//! What the inside says to the outside: lines of JSON over a pipe.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::WallReport;
use crate::error::Failure;

/// How the algorithm's own process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The sandbox ended before it: somebody killed it from outside, or it ran out of memory as a whole.
    Killed,
}

/// How it ended, and what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How.
    pub exit: Exit,
    /// User and system time of all processes, in microseconds; 0 after [`Exit::Killed`].
    pub cpu_micros: u64,
    /// The largest resident size of any one process, in bytes; 0 after [`Exit::Killed`].
    pub largest_process_bytes: u64,
}

impl End {
    pub(crate) const KILLED: Self = Self { exit: Exit::Killed, cpu_micros: 0, largest_process_bytes: 0 };
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The process id of the sandbox's init, as the caller sees it.
    Init(i32),
    /// The program is being executed, behind these walls.
    Standing(Vec<WallReport>),
    /// There is no sandbox.
    Failed(Failure),
    /// The algorithm ended.
    Ended(End),
}

/// Says it in one write, so that lines of several writers don't mix. A listener that is gone is no fault.
pub(crate) fn say(to: &OwnedFd, report: &Report) {
    let Ok(mut line) = serde_json::to_vec(report) else { return };
    line.push(b'\n');
    if let Ok(fd) = to.try_clone() {
        let _ = File::from(fd).write_all(&line);
    }
}

/// Cuts a stream of bytes into reports.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole report. A line that is none is skipped.
    pub(crate) fn next(&mut self) -> Option<Report> {
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            if let Ok(report) = serde_json::from_slice(&line) {
                return Some(report);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_being_torn() {
        let mut lines = Lines::default();
        let text = br#"{"init":7}
{"ended":{"exit":{"signal":9},"cpu_micros":1,"largest_process_bytes":2}}
"#;
        for byte in &text[..20] {
            lines.push(&[*byte]);
        }
        assert!(matches!(lines.next(), Some(Report::Init(7))));
        assert!(lines.next().is_none());
        lines.push(&text[20..]);
        let Some(Report::Ended(end)) = lines.next() else { panic!() };
        assert_eq!(end.exit, Exit::Signal(9));
    }
}
