//! A process with several threads can't clone itself into a sandbox. It executes itself under another name instead, and
//! that process, still of one thread, does.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio as CommandStdio};

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::inside::Program;
use crate::report::{Report, say};
use crate::spawn::{Request, Stdio, clone_into_here};
use crate::{Error, Result, Sandbox, Wall, Walls, sys};

/// The name (`argv[0]`) under which it is executed.
const NAME: &str = "brizo-confine";

/// What crosses the exec. This is the only place where walls are read from anything, and only this program writes it.
#[derive(Serialize, Deserialize)]
struct Crossing {
    sandbox: Sandbox,
    program: Program,
    without: Vec<Wall>,
    cgroup: Cgroup,
}

/// To be called first of all in `main` of every program that spawns sandboxes from several threads. Returns at once,
/// unless this process is what [`spawn()`](crate::spawn()) executed: then it never returns.
pub fn dispatch() {
    if std::env::args_os().next().is_some_and(|name| name == NAME) {
        let code = run();
        sys::exit(code);
    }
}

pub(crate) fn start(request: Request<'_>) -> Result<libc::pid_t> {
    let Request { sandbox, program, cgroup, stdio, status, control } = request;
    let Stdio { stdin, stdout, stderr, held } = stdio;
    let crossing =
        Crossing { sandbox: sandbox.clone(), program, without: sandbox.walls.removed(), cgroup: cgroup.clone() };
    let mut file = sys::memory_file(c"sandbox").map_err(Error::errno("make a file in memory"))?;
    let text = serde_json::to_vec(&crossing)
        .map_err(|error| Error::Invalid(format!("it can't be written as JSON: {error}")))?;
    file.write_all(&text).and_then(|()| file.rewind()).map_err(Error::io("write to a file in memory"))?;

    let given: Vec<RawFd> = [file.as_raw_fd(), status.as_raw_fd(), control.as_raw_fd()]
        .into_iter()
        .chain(held.iter().map(AsRawFd::as_raw_fd))
        .collect();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(NAME).args(given.iter().map(ToString::to_string)).env_clear().current_dir("/");
    command.stdin(CommandStdio::from(stdin)).stdout(CommandStdio::from(stdout)).stderr(CommandStdio::from(stderr));
    // SAFETY: between fork and exec it only makes system calls: no allocation, no lock.
    unsafe {
        command.pre_exec(move || {
            given.iter().try_for_each(|descriptor| sys::keep_over_exec(*descriptor))?;
            Ok(())
        });
    }
    let child = command.spawn().map_err(Error::io("execute itself"))?;
    Ok(child.id() as libc::pid_t)
}

/// Its arguments are the numbers of its descriptors after the standard ones: request, status, control, held ones.
fn run() -> i32 {
    let descriptors: Vec<RawFd> = std::env::args().skip(1).map_while(|number| number.parse().ok()).collect();
    let [request, status, control, held @ ..] = descriptors.as_slice() else { return 2 };
    // SAFETY: `start` left these open for us, and nothing else of this process has looked at them.
    let (request, status, control) =
        unsafe { (sys::inherited(*request), sys::inherited(*status), sys::inherited(*control)) };
    // SAFETY: as above; and 0, 1 and 2 are the algorithm's: nothing here reads or prints.
    let stdio = unsafe {
        let held = held.iter().map(|descriptor| sys::inherited(*descriptor)).collect();
        Stdio { stdin: sys::inherited(0), stdout: sys::inherited(1), stderr: sys::inherited(2), held }
    };
    let report = status.try_clone();
    let mut text = String::new();
    let Ok(_) = File::from(request).read_to_string(&mut text) else { return 2 };
    let Ok(crossing) = serde_json::from_str::<Crossing>(&text) else { return 2 };
    let Crossing { mut sandbox, program, without, cgroup } = crossing;
    sandbox.walls = without.into_iter().fold(Walls::demanded(), Walls::without);
    let Ok(report) = report else { return 2 };
    let request = Request { sandbox: &sandbox, program, cgroup: &cgroup, stdio, status, control };
    match clone_into_here(request) {
        Ok(_) => {}
        Err(Error::Failed(failure)) => {
            say(&report, &Report::Failed(failure));
            return 1;
        }
        Err(_) => return 2,
    }
    drop(report);
    // Init is our only child. When it is reaped, all of the sandbox is gone.
    loop {
        match sys::reap(true) {
            Ok(Some(_)) => return 0,
            Ok(None) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return 2,
        }
    }
}
