//! Who the process is: its uid, and what it may do beyond it.

use std::fs;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::error::{Failure, Step};
use crate::sys;

/// Maps the caller alone into the user namespace that the calling process has just entered.
///
/// Must come while the process is dumpable: the kernel gives the files in `/proc` of one that is not to root.
pub(crate) fn map_own(uid: u32, gid: u32) -> Result<(), Failure> {
    for (path, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ] {
        fs::write(path, text).map_err(|error| Failure::io(Step::UidMap, &error, path))?;
    }
    Ok(())
}

/// Becomes the slot's uid for good. Capabilities of the effective and permitted sets go with it.
pub(crate) fn become_slot(uid: u32, gid: u32) -> Result<(), Failure> {
    let failure = |what: &'static str| move |errno| Failure::new(Step::Uid, errno, what);
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[]).map_err(failure("setgroups"))?;
    setresgid(gid, gid, gid).map_err(failure("setresgid"))?;
    setresuid(uid, uid, uid).map_err(failure("setresuid"))
}

/// Takes every capability out of the bounding set. To be called before [`become_slot`], which takes away the right to.
pub(crate) fn empty_bounding_set() -> Result<(), Failure> {
    for capability in 0.. {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability) {
            Ok(_) => {}
            // There are no more of them.
            Err(Errno::EINVAL) if capability > 0 => return Ok(()),
            Err(errno) => return Err(Failure::new(Step::Capabilities, errno, format!("bounding set, {capability}"))),
        }
    }
    Ok(())
}

/// Empties all other sets.
pub(crate) fn drop_capabilities() -> Result<(), Failure> {
    let failure = |errno| Failure::new(Step::Capabilities, errno, "");
    sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong).map_err(failure)?;
    sys::drop_capabilities().map_err(failure)
}

/// No program that is executed from here on gains anything by its file's mode.
pub(crate) fn no_new_privileges() -> Result<(), Failure> {
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop).map_err(|errno| Failure::new(Step::NoNewPrivileges, errno, ""))
}
