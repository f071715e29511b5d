//! Running a program in a sandbox, and seeing what becomes of it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::thread::{JoinHandle, spawn as thread};
use std::time::Duration;

use brizo_confine::{Child, End, Exit, Identity, Sandbox, Stdio, WallReport, spawn};
use libtest_mimic::{Failed, Trial};

/// Longer than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

pub(crate) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

pub(crate) fn identity() -> Identity {
    if is_root() { Identity::Slot { uid: 212_345, gid: 212_345 } } else { Identity::Own }
}

/// A trial, named after who runs it.
pub(crate) fn trial(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    let who = if is_root() { "root" } else { "ordinary" };
    Trial::test(format!("{who}::{name}"), move || {
        run();
        Ok::<(), Failed>(())
    })
}

/// A sandbox with the host's `/usr`, that would run `argv`.
pub(crate) fn sandbox(argv: &[&str]) -> Sandbox {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Sandbox::new(name, identity(), argv.iter().copied())
        .runtime_root("/usr")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/home/brizo")
        .env("TMPDIR", "/tmp")
        .env("LANG", "C.UTF-8")
}

/// The host's Python, Debian's.
pub(crate) fn python(program: &str) -> Sandbox {
    sandbox(&["/usr/bin/python3", "-c", program])
}

pub(crate) struct Outcome {
    pub(crate) end: End,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) walls: Vec<WallReport>,
}

impl Outcome {
    /// Its standard output, if it exited with 0.
    pub(crate) fn success(self) -> String {
        assert_eq!(self.end.exit, Exit::Code(0), "{}\n{:?}", self.stderr, self.walls);
        self.stdout
    }
}

pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

impl Running {
    pub(crate) fn finish(mut self) -> Outcome {
        let end = self.child.wait_for(LIMIT).unwrap().expect("it ends in time");
        Outcome {
            end,
            stdout: self.stdout.join().unwrap(),
            stderr: self.stderr.join().unwrap(),
            walls: self.child.walls().to_vec(),
        }
    }
}

fn collect(from: OwnedFd) -> JoinHandle<String> {
    thread(move || {
        let mut bytes = Vec::new();
        File::from(from).read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap()
}

pub(crate) fn start(sandbox: &Sandbox) -> Running {
    let (stdout, stdout_end) = pipe();
    let (stderr, stderr_end) = pipe();
    let stdio = Stdio { stdout: stdout_end, stderr: stderr_end, ..Stdio::null().unwrap() };
    let child = spawn(sandbox, stdio).unwrap();
    Running { child, stdout: collect(stdout), stderr: collect(stderr) }
}

pub(crate) fn run(sandbox: &Sandbox) -> Outcome {
    start(sandbox).finish()
}

/// A folder of the host that everybody can look into.
pub(crate) fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// Whether it becomes true within the limit.
pub(crate) fn until(mut condition: impl FnMut() -> bool) -> bool {
    let end = std::time::Instant::now() + LIMIT;
    while !condition() {
        if std::time::Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
