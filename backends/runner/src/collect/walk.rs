use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use brizo_backend::{Output, OutputPath, SkipReason};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use sha2::{Digest as _, Sha256};

use super::{MAX_DEPTH, SkippedSoFar};

/// A plain file that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: OutputPath,
    pub(super) bytes: u64,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) files: Vec<Found>,
    pub(super) skipped: SkippedSoFar,
}

/// Walks `root` without following anything out of it.
pub(super) fn walk(root: &Path, most_files: usize) -> io::Result<Walked> {
    let root = open_root(root)?;
    let mut walked = Walked::default();
    folder(&root, "", 0, most_files, &mut walked)?;
    Ok(walked)
}

fn folder(at: &OwnedFd, prefix: &str, depth: usize, most_files: usize, walked: &mut Walked) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(at.try_clone()?)?.iter() {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    names.sort();
    for name in names {
        one(at, prefix, &name, depth, most_files, walked);
    }
    Ok(())
}

fn one(at: &OwnedFd, prefix: &str, name: &CString, depth: usize, most_files: usize, walked: &mut Walked) {
    let shown = format!("{prefix}{}", name.to_string_lossy());
    let skip = |walked: &mut Walked, why| walked.skipped.push(shown.chars().take(1024).collect(), why);
    let Ok(stat) = fstatat(at.as_fd(), name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
        return skip(walked, SkipReason::Unreadable);
    };
    match kind(&stat) {
        SFlag::S_IFDIR => {
            if depth >= MAX_DEPTH {
                return skip(walked, SkipReason::TooDeep);
            }
            if name.to_str().is_err() || shown.len() >= 1024 {
                return skip(walked, SkipReason::Name);
            }
            let inside = open_own(at, name, OFlag::O_DIRECTORY)
                .and_then(|inside| folder(&inside, &format!("{shown}/"), depth + 1, most_files, walked));
            if inside.is_err() {
                skip(walked, SkipReason::Unreadable);
            }
        }
        SFlag::S_IFREG if stat.st_nlink > 1 => skip(walked, SkipReason::HardLink),
        SFlag::S_IFREG => match name.to_str().ok().and_then(|_| shown.parse().ok()) {
            None => skip(walked, SkipReason::Name),
            Some(_) if walked.files.len() >= most_files => skip(walked, SkipReason::TooMany),
            Some(path) => {
                // Made readable for its owner now, while the way to it is known to hold no link.
                match open_own(at, name, OFlag::empty()) {
                    Ok(_) => walked.files.push(Found { path, bytes: stat.st_size.cast_unsigned() }),
                    Err(_) => skip(walked, SkipReason::Unreadable),
                }
            }
        },
        SFlag::S_IFLNK => skip(walked, SkipReason::SymbolicLink),
        SFlag::S_IFIFO => skip(walked, SkipReason::Fifo),
        SFlag::S_IFSOCK => skip(walked, SkipReason::Socket),
        _ => skip(walked, SkipReason::Device),
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// Opens an entry for reading; one that its owner closed to himself (mode 0) is opened to him first.
fn open_own(at: &OwnedFd, name: &CString, kind: OFlag) -> io::Result<OwnedFd> {
    match beneath(at, name.as_c_str(), kind) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let path = openat2(at.as_fd(), name.as_c_str(), how(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC))?;
            let mode = if kind.contains(OFlag::O_DIRECTORY) { 0o700 } else { 0o600 };
            let through = format!("/proc/self/fd/{}", path.as_raw_fd());
            std::fs::set_permissions(through, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            beneath(at, name.as_c_str(), kind)
        }
        other => other,
    }
}

fn beneath(at: &OwnedFd, path: &(impl nix::NixPath + ?Sized), kind: OFlag) -> io::Result<OwnedFd> {
    // O_NONBLOCK: should it have become a FIFO meanwhile, nobody waits for its other end.
    let flags = kind | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    Ok(openat2(at.as_fd(), path, how(flags))?)
}

fn how(flags: OFlag) -> OpenHow {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    OpenHow::new().flags(flags).resolve(resolve)
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(root, flags, nix::sys::stat::Mode::empty())?)
}

/// Opens the output `path` below `root` for reading: a plain file with one name, reached through no link.
pub fn open_output(root: &Path, path: &OutputPath) -> io::Result<File> {
    let file = beneath(&open_root(root)?, path.as_str(), OFlag::empty())?;
    let stat = fstat(&file)?;
    if kind(&stat) != SFlag::S_IFREG || stat.st_nlink > 1 {
        return Err(Errno::ENOENT.into());
    }
    Ok(File::from(file))
}

/// Up to so many files are made durable one by one; more of them with all that their file system holds.
const ONE_BY_ONE: usize = 50;

/// Makes the outputs durable.
pub(super) fn sync(root: &Path, outputs: &[Output]) -> io::Result<()> {
    if outputs.len() > ONE_BY_ONE {
        return Ok(nix::unistd::syncfs(open_root(root)?)?);
    }
    let mut folders = HashSet::from([Path::new("")]);
    for output in outputs {
        open_output(root, &output.path)?.sync_all()?;
        folders.extend(Path::new(output.path.as_str()).ancestors().skip(1));
    }
    for folder in folders {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::from(beneath(&open_root(root)?, folder, OFlag::O_DIRECTORY)?).sync_all()?;
    }
    Ok(())
}

/// Its SHA-256 and size, as read.
pub(super) fn hash(root: &Path, found: &Found) -> io::Result<Output> {
    let mut file = open_output(root, &found.path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    Ok(Output { path: found.path.clone(), bytes, sha256: hex::encode(hasher.finalize()) })
}
