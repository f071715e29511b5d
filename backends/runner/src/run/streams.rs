//! Both streams of the algorithm, from their pipes into the log.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use brizo_backend::{LogStream, now};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read};

use crate::log::LogWriter;

/// So much of one stream is read before the other gets its turn.
const AT_ONCE: usize = 256 * 1024;

/// The reading ends, and the log.
pub(super) struct Streams {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    log: LogWriter,
    buffer: Vec<u8>,
}

impl Streams {
    /// A new log in `at`, and the writing ends for the algorithm.
    pub(super) fn create(at: &Path) -> io::Result<(Self, OwnedFd, OwnedFd)> {
        let (stdout, stdout_end) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, stderr_end) = pipe2(OFlag::O_CLOEXEC)?;
        // Only the reading ends: the algorithm's own must block while we are slow.
        for end in [&stdout, &stderr] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let log = LogWriter::create(at)?;
        let streams = Self { stdout: Some(stdout), stderr: Some(stderr), log, buffer: vec![0; 64 * 1024] };
        Ok((streams, stdout_end, stderr_end))
    }

    /// What to poll.
    pub(super) fn open(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.stdout.iter().chain(&self.stderr).map(|end| end.as_fd())
    }

    /// Takes what there is into the log.
    pub(super) fn take(&mut self) -> io::Result<()> {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let end = match stream {
                LogStream::Stdout => &mut self.stdout,
                LogStream::Stderr => &mut self.stderr,
            };
            let mut taken = 0;
            while taken < AT_ONCE
                && let Some(fd) = end
            {
                match read(&*fd, &mut self.buffer) {
                    Ok(0) => *end = None,
                    Ok(length) => {
                        taken += length;
                        self.log.append(stream, now().as_millisecond(), &self.buffer[..length])?;
                    }
                    Err(Errno::EINTR) => {}
                    Err(Errno::EAGAIN) => break,
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        Ok(())
    }

    /// Bytes that the log takes on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.log.disk_bytes()
    }

    /// Takes the rest, once nobody can write any more, but no more than `most` bytes of the log in all; and makes it
    /// durable.
    pub(super) fn finish(mut self, most: u64) -> io::Result<()> {
        let mut before = u64::MAX;
        while before != self.log.disk_bytes() && self.log.disk_bytes() <= most {
            before = self.log.disk_bytes();
            self.take()?;
        }
        self.log.sync()
    }
}
