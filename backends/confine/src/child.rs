//! A running sandbox, seen from outside.

use std::fmt;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, read, write};

use crate::cgroup::Cgroup;
use crate::error::{Failure, Step};
use crate::report::{End, Lines, Report};
use crate::usage::{self, Usage};
use crate::{Error, Result, WallReport, sys};

/// A running sandbox. Dropped, it is killed.
pub struct Child {
    /// The direct child of this process: the sandbox's init, or the process between.
    pid: libc::pid_t,
    init: Option<libc::pid_t>,
    status: OwnedFd,
    control: Option<OwnedFd>,
    cgroup: Cgroup,
    lines: Lines,
    walls: Vec<WallReport>,
    end: Option<End>,
    failure: Option<Failure>,
    status_ended: bool,
    peak_memory_bytes: u64,
    /// One of each tmpfs inside.
    memory_folders: Vec<OwnedFd>,
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("pid", &self.pid)
            .field("init", &self.init)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Child {
    pub(crate) fn new(
        pid: libc::pid_t,
        init: Option<libc::pid_t>,
        status: OwnedFd,
        control: OwnedFd,
        cgroup: Cgroup,
    ) -> Self {
        Self {
            pid,
            init,
            status,
            control: Some(control),
            cgroup,
            lines: Lines::default(),
            walls: Vec::new(),
            end: None,
            failure: None,
            status_ended: false,
            peak_memory_bytes: 0,
            memory_folders: Vec::new(),
        }
    }

    /// Waits until the walls stand and the program is being executed.
    pub(crate) fn standing(mut self) -> Result<Self> {
        while self.walls.is_empty() && self.failure.is_none() && !self.status_ended {
            self.hear(PollTimeout::NONE).map_err(Error::errno("listen to the sandbox"))?;
        }
        if !self.walls.is_empty() {
            self.memory_folders = self.receive_memory_folders().map_err(Error::errno("listen to the sandbox"))?;
            return Ok(self);
        }
        let nothing = || Failure::said(Step::Vanished, "it ended before the program was executed");
        Err(Error::Failed(self.failure.take().unwrap_or_else(nothing)))
    }

    /// Each wall, and whether it stands; all of them, in order.
    pub fn walls(&self) -> &[WallReport] {
        &self.walls
    }

    /// The pid of the sandbox's init, as this process sees it. For showing: whoever signals it by number may hit another.
    pub fn init_pid(&self) -> Option<i32> {
        self.init
    }

    /// Becomes readable when there is something for [`try_wait`](Self::try_wait): to be polled together with the pipes
    /// of the standard streams.
    pub fn status_fd(&self) -> BorrowedFd<'_> {
        self.status.as_fd()
    }

    /// Sends a signal (such as SIGTERM, 15) to the algorithm's process group; SIGKILL is [`kill`](Self::kill).
    pub fn signal(&self, signal: i32) {
        let byte = u8::try_from(signal).unwrap_or(0);
        if let Some(control) = self.control.as_ref().filter(|_| byte != 0) {
            // If nobody listens any more, nobody is left to be signalled.
            let _ = write(control, &[byte]);
        }
    }

    /// Ends everything in the sandbox at once. [`wait`](Self::wait) then says [`Exit::Killed`](crate::Exit::Killed),
    /// or how the algorithm ended if it was sooner.
    pub fn kill(&mut self) {
        self.control = None;
        if self.init == Some(self.pid) && self.end.is_none() {
            // Ours, and not reaped yet: the number can't be another's.
            let _ = sys::kill(self.pid, libc::SIGKILL);
        }
    }

    /// How it ended, if it has; then nothing of it runs any more.
    pub fn try_wait(&mut self) -> Result<Option<End>> {
        self.hear(PollTimeout::ZERO).map_err(Error::errno("listen to the sandbox"))?;
        Ok(self.ended())
    }

    /// Waits for the end, but not longer than `limit`. Then nothing of it runs any more, or it is `None`.
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<End>> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let millis = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            self.hear(millis).map_err(Error::errno("listen to the sandbox"))?;
            match self.ended() {
                None if Instant::now() < until => {}
                other => return Ok(other),
            }
        }
    }

    /// Waits for the end. Then nothing of it runs any more.
    pub fn wait(&mut self) -> Result<End> {
        loop {
            self.hear(PollTimeout::NONE).map_err(Error::errno("listen to the sandbox"))?;
            if let Some(end) = self.ended() {
                return Ok(end);
            }
        }
    }

    /// The processes of the sandbox but its init, as this process sees them: to be looked at in `/proc`. Any of them may
    /// be gone, and its number another's, by the time it is looked at.
    pub fn pids(&self) -> Vec<i32> {
        self.init.filter(|_| self.end.is_none()).map_or_else(Vec::new, usage::pids)
    }

    /// What it uses now, and used at most as far as it was looked at. Cheap enough for several times a second.
    pub fn usage(&mut self) -> Usage {
        let mut now = usage::measure(&self.cgroup, self.init.filter(|_| self.end.is_none()), &self.memory_folders);
        if let Some(end) = self.end {
            now.cpu = now.cpu.max(Duration::from_micros(end.cpu_micros));
            now.peak_memory_bytes = now.peak_memory_bytes.max(end.largest_process_bytes);
        }
        self.peak_memory_bytes = self.peak_memory_bytes.max(now.memory_bytes).max(now.peak_memory_bytes);
        now.peak_memory_bytes = self.peak_memory_bytes;
        now
    }

    /// What went wrong after the walls stood.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn ended(&mut self) -> Option<End> {
        if self.end.is_none() && !self.status_ended {
            return None;
        }
        // Init ends right after its last word, and its end is that of all others.
        self.reap();
        Some(*self.end.get_or_insert(End::KILLED))
    }

    /// They were sent before the walls were reported.
    fn receive_memory_folders(&self) -> nix::Result<Vec<OwnedFd>> {
        const AT_MOST: usize = 32;
        let Some(control) = &self.control else { return Ok(Vec::new()) };
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        let mut space = nix::cmsg_space!([RawFd; AT_MOST]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<()>(control.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
        let mut folders = Vec::new();
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = part {
                // SAFETY: the kernel has just made these for us, and nobody else knows them.
                folders.extend(descriptors.into_iter().map(|descriptor| unsafe { sys::inherited(descriptor) }));
            }
        }
        Ok(folders)
    }

    fn reap(&mut self) {
        self.control = None;
        self.memory_folders.clear();
        if self.pid != 0 {
            while let Err(Errno::EINTR) = waitpid(Pid::from_raw(self.pid), None) {}
            self.pid = 0;
        }
    }

    /// Takes in what the inside says, waiting for it up to `timeout`.
    fn hear(&mut self, timeout: PollTimeout) -> nix::Result<()> {
        if self.status_ended || self.end.is_some() {
            return Ok(());
        }
        match poll(&mut [PollFd::new(self.status.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        let mut buffer = [0; 4096];
        match read(&self.status, &mut buffer) {
            Ok(0) => self.status_ended = true,
            Ok(count) => self.lines.push(&buffer[..count]),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        while let Some(report) = self.lines.next() {
            match report {
                Report::Init(pid) => self.init = Some(pid),
                Report::Standing(mut walls) => {
                    walls.sort_by_key(|report| report.wall);
                    self.walls = walls;
                }
                Report::Failed(failure) => self.failure = Some(failure),
                Report::Ended(end) => self.end = Some(end),
            }
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid != 0 {
            self.kill();
            self.reap();
        }
        self.cgroup.remove();
    }
}
