//! The same tests once more, as an ordinary user.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use tempfile::TempDir;

/// The uid of the ordinary user (Debian's nobody).
const USER: u32 = 65_534;
const AS_USER: &str = "BRIZO_TEST_AS_USER";

/// Run by root: this program once more as an ordinary user, from a folder that he can read. Whether it passed.
pub(crate) fn again_as_user() -> bool {
    if !nix::unistd::Uid::effective().is_root() || std::env::var_os(AS_USER).is_some() {
        return true;
    }
    let dir = TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("program");
    std::fs::copy("/proc/self/exe", &program).unwrap();
    println!("as an ordinary user:");
    let status = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .env(AS_USER, "1")
        .env("TMPDIR", "/tmp")
        .current_dir("/")
        .gid(USER)
        .uid(USER)
        .status()
        .unwrap();
    println!("as root:");
    status.success()
}
