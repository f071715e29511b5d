//! What a command shows: progress on a terminal, plain lines in a pipe, JSON for programs.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::failure::Failure;

/// Where a command's words go: results to standard output, all else to standard error.
pub(crate) struct Say {
    json: bool,
    bar: Option<ProgressBar>,
}

impl Say {
    /// With `json`, results are one JSON document a line, and nothing else is written.
    pub(crate) fn new(json: bool) -> Self {
        let bar = (!json && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar
        });
        Self { json, bar }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Something is under way: a spinner on a terminal, a line in a pipe.
    pub(crate) fn step(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(text.to_owned());
                bar.enable_steady_tick(Duration::from_millis(120));
            }
            None if self.json => {}
            None => eprintln!("{text}"),
        }
    }

    /// Something is done and worth keeping on the screen.
    pub(crate) fn done(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.disable_steady_tick();
                bar.suspend(|| eprintln!("{text}"));
            }
            None if self.json => {}
            None => eprintln!("{text}"),
        }
    }

    /// Bytes of an algorithm's log, as they are.
    pub(crate) fn log(&self, to_stderr: bool, bytes: &[u8]) -> std::io::Result<()> {
        let write = || {
            if to_stderr || self.json {
                let mut to = std::io::stderr().lock();
                to.write_all(bytes).and_then(|()| to.flush())
            } else {
                let mut to = std::io::stdout().lock();
                to.write_all(bytes).and_then(|()| to.flush())
            }
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// The command's result: `text` for people, `value` for programs.
    pub(crate) fn result(&self, text: &str, value: &impl Serialize) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let mut out = std::io::stdout().lock();
        let written = if self.json {
            serde_json::to_string(value).map_err(std::io::Error::other).and_then(|json| writeln!(out, "{json}"))
        } else if text.is_empty() {
            Ok(())
        } else {
            writeln!(out, "{text}")
        };
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::internal(format!("Standard output can't be written: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// The command's failure, on standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.json {
            let error = serde_json::json!({ "error": failure });
            eprintln!("{error}");
        } else {
            eprintln!("error: {failure}");
        }
    }
}
