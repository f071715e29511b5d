//! Watches over a running algorithm: time, memory, disk, and whoever wants its end.

use std::io;
use std::time::{Duration, Instant};

use brizo_confine::{Child, End, Wall, WallState};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::disk::{self, Written};
use super::streams::Streams;
use super::{Asked, EndedFor, RunError, RunSpec, files_limit};
use crate::layout::Layout;

/// How often it is looked whether somebody wants its end, and how much memory it takes.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is counted what it wrote: at least so rarely, and never for more than a tenth of the time.
const COUNT: Duration = Duration::from_millis(200);
/// Folders in one another that are deeper than this count as too many files: nobody could list or remove them.
const MAX_DEPTH: usize = 256;

const SIGTERM: i32 = 15;

/// What became of it.
pub(super) struct Watched {
    pub(super) end: End,
    pub(super) ended_for: Option<EndedFor>,
}

/// A watched algorithm.
struct Watch<'a> {
    child: &'a mut Child,
    streams: Streams,
    layout: &'a Layout,
    spec: RunSpec,
    /// Whether the kernel limits its memory.
    memory_hard: bool,
    /// What it is being ended for, and when that becomes a SIGKILL.
    ending: Option<(EndedFor, Instant)>,
    next_count: Instant,
    written: Written,
}

pub(super) fn watch(
    child: &mut Child,
    streams: Streams,
    layout: &Layout,
    spec: RunSpec,
    mut asked: impl FnMut() -> Asked,
) -> Result<Watched, RunError> {
    let began = Instant::now();
    let wall_time = began.checked_add(Duration::from_secs(spec.limits.wall_time_s));
    let stands = |wall| child.walls().iter().any(|report| report.wall == wall && report.state == WallState::Standing);
    let memory_hard = stands(Wall::CgroupMemory);
    let (ending, written) = (None, Written::default());
    let mut watch = Watch { child, streams, layout, spec, memory_hard, ending, next_count: began + COUNT, written };
    let mut next_look = began;
    let end = loop {
        let now = Instant::now();
        if now >= next_look {
            watch.look(asked(), wall_time, now);
            next_look = now + LOOK;
        }
        watch.wait(next_look.saturating_duration_since(now))?;
        watch.streams.take()?;
        watch.flood();
        if let Some(end) = watch.child.try_wait()? {
            break end;
        }
    };
    let Watch { child, streams, ending, mut written, .. } = watch;
    streams.finish(spec.limits.disk_bytes.saturating_mul(2))?;
    // What it came to in its last moment.
    written.add(&disk::count(&[layout.outputs(), layout.logs()], &[]));
    let by_itself = || late(child, &spec, written, memory_hard);
    let ended_for = ending.map(|(what, _)| what).or_else(by_itself);
    Ok(Watched { end, ended_for })
}

impl Watch<'_> {
    fn look(&mut self, asked: Asked, wall_time: Option<Instant>, now: Instant) {
        if let Some((what, kill_at)) = self.ending {
            if asked == Asked::Delete && what != EndedFor::Delete {
                self.end(EndedFor::Delete, Duration::ZERO);
            } else if now >= kill_at {
                self.child.kill();
            }
            return;
        }
        match asked {
            Asked::Nothing => {}
            Asked::Stop => return self.end(EndedFor::Stop, self.spec.grace),
            Asked::Delete => return self.end(EndedFor::Delete, Duration::ZERO),
            Asked::Interrupt => return self.end(EndedFor::Interrupt, self.spec.grace),
        }
        let limits = self.spec.limits;
        if wall_time.is_some_and(|at| now >= at) {
            return self.end(EndedFor::WallTime(limits.wall_time_s), self.spec.grace);
        }
        // The kernel ends one process of it, and the others may go on as if nothing had happened.
        let usage = self.child.usage();
        if if self.memory_hard { usage.oom_kills > 0 } else { usage.memory_bytes > limits.memory_bytes } {
            return self.end(EndedFor::Memory(limits.memory_bytes), Duration::ZERO);
        }
        if now >= self.next_count {
            self.count();
            let took = now.elapsed();
            self.next_count = Instant::now() + COUNT.max(took * 10);
        }
    }

    fn count(&mut self) {
        let pids = self.child.init_pid().map(disk::processes).unwrap_or_default();
        self.written = disk::count(&[self.layout.outputs(), self.layout.logs()], &pids);
        let limits = &self.spec.limits;
        if let Some(over) = over(limits.disk_bytes, files_limit(limits), self.written, self.streams.disk_bytes()) {
            self.end(over, Duration::ZERO);
        }
    }

    /// A flood of log is bounded with every piece, not only when it is counted.
    fn flood(&mut self) {
        let most = self.spec.limits.disk_bytes;
        if self.ending.is_none() && self.streams.disk_bytes().saturating_add(self.written.bytes) > most {
            self.end(EndedFor::Disk(most), Duration::ZERO);
        }
    }

    fn end(&mut self, what: EndedFor, grace: Duration) {
        self.ending = Some((what, Instant::now() + grace));
        if grace.is_zero() {
            self.child.kill();
        } else {
            self.child.signal(SIGTERM);
        }
    }

    fn wait(&self, most: Duration) -> io::Result<()> {
        let fds = self.streams.open().chain([self.child.status_fd()]);
        let mut fds: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let most = PollTimeout::try_from(most).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, most) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// What is past its limit.
fn over(disk_bytes: u64, files: u64, written: Written, log_bytes: u64) -> Option<EndedFor> {
    if written.bytes.saturating_add(log_bytes) > disk_bytes {
        Some(EndedFor::Disk(disk_bytes))
    } else if written.files > files || written.depth > MAX_DEPTH {
        Some(EndedFor::Files(files))
    } else {
        None
    }
}

/// What ended it although nobody here did: the kernel, for its memory; or a file that could not grow any more.
fn late(child: &mut Child, spec: &RunSpec, written: Written, memory_hard: bool) -> Option<EndedFor> {
    let failed = !matches!(child.try_wait(), Ok(Some(End { exit: brizo_confine::Exit::Code(0), .. })));
    let limits = &spec.limits;
    // Whatever its exit code: the last of a pipe may well succeed with what the one that was ended had written.
    if memory_hard && child.usage().oom_kills > 0 {
        return Some(EndedFor::Memory(limits.memory_bytes));
    }
    if failed && written.largest >= limits.disk_bytes {
        return Some(EndedFor::Disk(limits.disk_bytes));
    }
    over(limits.disk_bytes, files_limit(limits), written, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_files_and_depth_have_their_limits_and_the_log_counts() {
        let written = |bytes, files, depth| Written { bytes, files, largest: 0, depth };
        assert_eq!(over(100, 10, written(60, 10, 1), 40), None);
        assert_eq!(over(100, 10, written(60, 10, 1), 41), Some(EndedFor::Disk(100)));
        assert_eq!(over(100, 10, written(0, 11, 1), 0), Some(EndedFor::Files(10)));
        assert_eq!(over(100, 10, written(0, 1, MAX_DEPTH + 1), 0), Some(EndedFor::Files(10)));
    }
}
