use std::fs::File;
use std::io::{self, Read as _};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::FileFault;
use super::sink::Sink;

/// Copies the file `path` below `root`, reached through nothing that leads out of it.
pub(super) fn copy(root: &str, path: &str, sink: &mut Sink) -> Result<(), FileFault> {
    let mut file = open_beneath(root, path)?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(FileFault::Definite("is not a file".to_owned()));
    }
    sink.announce(metadata.len())?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => sink.write(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
}

fn open_beneath(root: &str, path: &str) -> Result<File, FileFault> {
    let folder = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(root, folder, Mode::empty())
        .map_err(|_| FileFault::Definite("lies in a folder that is not there".to_owned()))?;
    // O_NONBLOCK: a FIFO in its place must not hold the job.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match openat2(&root, path, OpenHow::new().flags(flags).resolve(resolve)) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Err(FileFault::Definite("is missing".to_owned())),
        Err(Errno::EXDEV) => Err(FileFault::Definite("lies outside of the folder that was listed for it".to_owned())),
        Err(errno) => Err(unreadable(&errno.into())),
    }
}

fn unreadable(error: &io::Error) -> FileFault {
    FileFault::Definite(format!("can't be read: {}", error.kind()))
}
