//! Removes what an algorithm has made, however deep it is.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;

/// So many folders in one another are removed at once: each costs a descriptor. What is deeper is brought up first.
const AT_ONCE: usize = 128;
/// Names of folders that were brought up; nobody else may use them in the folder that is removed.
const BROUGHT_UP: &str = ".deep-";

/// Removes `folder` with all that is in it, following no link; that it is not there is fine. `is_own`: what lies in it
/// belongs to this process's own uid, and may be closed to it.
pub fn remove_all(folder: &Path, is_own: bool) -> io::Result<()> {
    let mut brought_up = 0;
    loop {
        let before = brought_up;
        match open(folder) {
            Ok(root) => flatten(&root, &root, 0, is_own, &mut brought_up)?,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        if before == brought_up {
            break;
        }
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

fn open(folder: &Path) -> nix::Result<OwnedFd> {
    nix::fcntl::open(folder, FOLDER, Mode::empty())
}

/// Moves folders that are too deep up into `root`, and opens closed ones to their owner.
fn flatten(root: &OwnedFd, at: &OwnedFd, depth: usize, is_own: bool, brought_up: &mut usize) -> io::Result<()> {
    for name in folders(at)? {
        if depth >= AT_ONCE {
            let to = format!("{BROUGHT_UP}{brought_up}-{}", std::process::id());
            *brought_up += 1;
            if is_own {
                open_to_owner(at, &name);
            }
            match renameat(at.as_fd(), name.as_c_str(), root.as_fd(), to.as_str()) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            continue;
        }
        if is_own {
            open_to_owner(at, &name);
        }
        match openat(at, name.as_c_str(), FOLDER, Mode::empty()) {
            Ok(inside) => flatten(root, &inside, depth + 1, is_own, brought_up)?,
            // Gone, or no folder, meanwhile.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// The names of the folders in a folder. Read whole, so that its stream is closed before anything deeper is opened.
fn folders(at: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    let again = openat(at, c".", FOLDER, Mode::empty())?;
    for entry in Dir::from_fd(again)?.iter() {
        let entry = entry?;
        let is_folder = entry.file_type().is_none_or(|kind| kind == Type::Directory);
        if is_folder && ![c".", c".."].contains(&entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn open_to_owner(at: &OwnedFd, name: &CString) {
    use std::os::fd::AsRawFd as _;
    let path = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let Ok(folder) = openat(at, name.as_c_str(), path, Mode::empty()).map(File::from) else { return };
    let closed = folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o700 != 0o700);
    if closed {
        let _ = fs::set_permissions(format!("/proc/self/fd/{}", folder.as_raw_fd()), Permissions::from_mode(0o700));
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::mkdirat;

    use super::*;

    #[test]
    fn a_folder_of_any_depth_and_mode_goes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("work");
        fs::create_dir(&root).unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let mut at = open(&root).unwrap();
        for depth in 0..3000 {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            let next = openat(&at, "d", FOLDER, Mode::empty()).unwrap();
            if depth % 100 == 0 {
                nix::unistd::symlinkat(&outside, &at, "link").unwrap();
            }
            if depth % 700 == 0 {
                nix::sys::stat::fchmod(&at, Mode::empty()).unwrap();
            }
            at = next;
        }
        drop(at);
        remove_all(&root, true).unwrap();
        assert!(!root.exists());
        assert!(outside.join("kept").exists(), "no link is followed");
        remove_all(&root, true).unwrap();
    }
}
