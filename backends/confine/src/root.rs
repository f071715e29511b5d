//! The root that the algorithm sees: a tmpfs of its own with what was bound into it, and nothing else.
//!
//! All that comes from the host is taken first, as detached copies of mounts. Then the empty tmpfs becomes the root and
//! the host's is let go of, and only then is it furnished: no link that is met on the way can lead back out.

use std::ffi::{CStr, CString};
use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use crate::error::{Failure, Step};
use crate::{Sandbox, Tmpfs, etc, sys};

const NO_PATH: Option<&str> = None;
const HARMLESS: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// Device files of the host that are in `/dev`.
pub(crate) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Folders of the host one of which the new root is mounted on for a moment.
const FOOTHOLDS: [&str; 4] = ["/tmp", "/run", "/mnt", "/var"];

struct Source {
    mount: OwnedFd,
    target: PathBuf,
    is_folder: bool,
}

/// Builds it. The calling process must be alone in its mount namespace, and the first of its pid namespace.
pub(crate) fn build(sandbox: &Sandbox, uid: u32, gid: u32) -> Result<(), Failure> {
    mount(NO_PATH, "/", NO_PATH, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NO_PATH)
        .map_err(|errno| Failure::new(Step::PrivateMounts, errno, "/"))?;
    let mut sources = Vec::new();
    for bind in &sandbox.binds {
        let read_only = if bind.writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
        sources.push(source(&bind.source, &bind.target, HARMLESS | read_only)?);
    }
    let etc = etc::gather(sandbox.network);
    for (path, target) in &etc.binds {
        // What vanished since the folder was read is as good as what was never there.
        sources.extend(source(path, target, HARMLESS | libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOEXEC).ok());
    }
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        sources.push(source(&path, &path, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC)?);
    }
    let proc = proc()?;

    become_empty()?;

    furnish(sandbox, uid, gid, &sources, &etc, &proc)?;
    let root = open_path(c"/").map_err(|errno| Failure::new(Step::Populate, errno, "/"))?;
    sys::mount_setattr(root.as_fd(), HARMLESS | libc::MOUNT_ATTR_RDONLY, false)
        .map_err(|errno| Failure::new(Step::Populate, errno, "/"))
}

fn source(path: &Path, target: &Path, attributes: u64) -> Result<Source, Failure> {
    let failure = |errno| Failure::new(Step::Source, errno, path.display().to_string());
    let mount = sys::open_tree(&c_path(path).map_err(failure)?).map_err(failure)?;
    sys::mount_setattr(mount.as_fd(), attributes, true).map_err(failure)?;
    let kind = nix::sys::stat::fstat(&mount).map_err(failure)?.st_mode & libc::S_IFMT;
    Ok(Source { mount, target: target.to_owned(), is_folder: kind == libc::S_IFDIR })
}

/// `/proc` of the new pid namespace: read-only, and without the processes of others (the runner's among them).
fn proc() -> Result<OwnedFd, Failure> {
    let attributes = HARMLESS | libc::MOUNT_ATTR_NOEXEC | libc::MOUNT_ATTR_RDONLY;
    let hidden = sys::new_mount(c"proc", &[(c"hidepid", c"2")], attributes);
    // Before Linux 5.8 the option can't be given where others see the same /proc; this one is ours alone, so it is only
    // an unknown spelling that is forgiven.
    let proc = match hidden {
        Err(Errno::EINVAL) => sys::new_mount(c"proc", &[], attributes),
        other => other,
    };
    proc.map_err(|errno| Failure::new(Step::MountProc, errno, "proc"))
}

/// Makes an empty tmpfs the root, and lets go of the host's.
fn become_empty() -> Result<(), Failure> {
    let foothold = FOOTHOLDS.into_iter().find(|path| Path::new(path).is_dir()).unwrap_or("/proc");
    mount(Some("root"), foothold, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755,size=4m"))
        .map_err(|errno| Failure::new(Step::MountRoot, errno, foothold))?;
    let failure = |errno| Failure::new(Step::PivotRoot, errno, foothold);
    chdir(foothold).map_err(failure)?;
    // Both on one folder: the old root lies on top of the new one until it is unmounted.
    pivot_root(".", ".").map_err(failure)?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failure)?;
    chdir("/").map_err(failure)
}

fn furnish(
    sandbox: &Sandbox,
    uid: u32,
    gid: u32,
    sources: &[Source],
    etc: &etc::Etc,
    proc: &OwnedFd,
) -> Result<(), Failure> {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    folder(Path::new("/etc"))?;
    for (name, text) in etc::files(sandbox, uid, gid) {
        let path = Path::new("/etc").join(name);
        let written = File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| failed(&error, &path))?;
    }
    for source in sources {
        if source.is_folder {
            folder(&source.target)?;
        } else {
            file(&source.target)?;
        }
        attach(source.mount.as_fd(), &source.target)?;
    }
    folder(Path::new("/proc"))?;
    attach(proc.as_fd(), Path::new("/proc"))?;
    let standard = [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")];
    for (name, target) in standard {
        link(&Path::new("/dev").join(name), Path::new(target))?;
    }
    for tmpfs in &sandbox.tmpfs {
        memory(tmpfs, &sandbox.home, uid, gid)?;
    }
    for (path, target) in &etc.links {
        link(path, target)?;
    }
    for entry in &sandbox.links {
        link(&entry.path, &entry.target)?;
    }
    Ok(())
}

fn memory(tmpfs: &Tmpfs, home: &Path, uid: u32, gid: u32) -> Result<(), Failure> {
    folder(&tmpfs.target)?;
    let mode = if tmpfs.target == home { "0700" } else { "1777" };
    let options = format!("mode={mode},size={},nr_inodes={},uid={uid},gid={gid}", tmpfs.bytes, tmpfs.inodes);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), &tmpfs.target, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(|errno| Failure::new(Step::Populate, errno, tmpfs.target.display().to_string()))
}

fn attach(mount: std::os::fd::BorrowedFd<'_>, target: &Path) -> Result<(), Failure> {
    let failure = |errno| Failure::new(Step::Populate, errno, target.display().to_string());
    sys::move_mount(mount, &c_path(target).map_err(failure)?).map_err(failure)
}

fn folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|error| failed(&error, path))
}

fn file(path: &Path) -> Result<(), Failure> {
    folder(path.parent().unwrap_or(Path::new("/")))?;
    if path.exists() { Ok(()) } else { File::create(path).map(drop).map_err(|error| failed(&error, path)) }
}

fn link(path: &Path, target: &Path) -> Result<(), Failure> {
    folder(path.parent().unwrap_or(Path::new("/")))?;
    match symlink(target, path) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            // Somebody else's file of that name is no reason to fail if it says the same.
            let same = fs::read_link(path).is_ok_and(|there| there == target);
            if same { Ok(()) } else { Err(failed(&error, path)) }
        }
        other => other.map_err(|error| failed(&error, path)),
    }
}

fn failed(error: &std::io::Error, path: &Path) -> Failure {
    Failure::io(Step::Populate, error, path.display().to_string())
}

fn c_path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

fn open_path(path: &CStr) -> nix::Result<OwnedFd> {
    nix::fcntl::open(path, nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
}
