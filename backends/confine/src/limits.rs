//! Resource limits of the algorithm's process, inherited by all that it starts.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::error::{Failure, Step};
use crate::{Identity, Limits};

/// Sets them. What is above the inherited hard limit is clamped to it, since raising it takes a privilege.
pub(crate) fn apply(limits: &Limits, identity: Identity) -> Result<(), Failure> {
    // No core is written. 1 byte rather than 0, since that also keeps the kernel from piping it to a handler of the
    // host's, which would store what the algorithm had in memory.
    let mut wanted = vec![(Resource::RLIMIT_CORE, Some(1))];
    wanted.push((Resource::RLIMIT_FSIZE, limits.file_bytes));
    wanted.push((Resource::RLIMIT_NOFILE, limits.open_files));
    wanted.push((Resource::RLIMIT_DATA, limits.data_bytes));
    if counts_own_processes_only(identity) {
        // One more than asked for: the sandbox's init has the same uid.
        wanted.push((Resource::RLIMIT_NPROC, limits.processes.map(|count| count.saturating_add(1))));
    }
    for (resource, value) in wanted {
        let Some(value) = value else { continue };
        let failure = |errno| Failure::new(Step::Limits, errno, format!("{resource:?}"));
        let (_, hard) = getrlimit(resource).map_err(failure)?;
        let value = value.min(hard);
        setrlimit(resource, value, value).map_err(failure)?;
    }
    if let Some(cores) = limits.cores {
        offer_cores(cores, limits.first_core)?;
    }
    Ok(())
}

/// Whether RLIMIT_NPROC counts nobody else's processes: a slot's uid is the job's alone, and since Linux 5.14 a user
/// namespace has a count of its own.
fn counts_own_processes_only(identity: Identity) -> bool {
    match identity {
        Identity::Slot { .. } => true,
        Identity::Own => {
            let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
            is_at_least(&release.unwrap_or_default(), (5, 14))
        }
    }
}

fn is_at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    let major: u32 = numbers.next().unwrap_or(0);
    let minor: u32 = numbers.next().unwrap_or(0);
    (major, minor) >= wanted
}

fn offer_cores(cores: u32, first: u32) -> Result<(), Failure> {
    let failure = |errno| Failure::new(Step::Limits, errno, "sched_setaffinity");
    let myself = Pid::from_raw(0);
    let all = sched_getaffinity(myself).map_err(failure)?;
    let usable: Vec<usize> = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or(false)).collect();
    let wanted = (cores.max(1) as usize).min(usable.len());
    let mut some = CpuSet::new();
    for at in 0..wanted {
        some.set(usable[(first as usize + at) % usable.len()]).map_err(failure)?;
    }
    sched_setaffinity(myself, &some).map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::is_at_least;

    #[test]
    fn kernel_releases_are_compared_as_numbers() {
        for (release, answer) in
            [("5.14.0", true), ("5.4.0-150-generic", false), ("6.1", true), ("5.13.99", false), ("", false)]
        {
            assert_eq!(is_at_least(release, (5, 14)), answer, "{release}");
        }
    }
}
