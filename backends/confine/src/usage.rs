//! What a sandbox uses: what its cgroup counted, else what can be seen of its processes in `/proc`.

use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::statfs::fstatfs;
use nix::unistd::{SysconfVar, sysconf};

use crate::cgroup::Cgroup;

/// What a sandbox uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory now: processes and tmpfs. Files that are only mapped are not in it where no cgroup counts.
    pub memory_bytes: u64,
    /// The most that was seen.
    pub peak_memory_bytes: u64,
    /// User and system time.
    pub cpu: Duration,
    /// Processes and threads, init included.
    pub processes: u64,
    /// Processes of it that the kernel ended because its memory was used up; known by cgroup only.
    pub oom_kills: u64,
}

pub(crate) fn measure(cgroup: &Cgroup, init: Option<i32>, memory_folders: &[OwnedFd]) -> Usage {
    let counted = cgroup.counted();
    let mut usage = Usage {
        memory_bytes: counted.memory_bytes.unwrap_or(0),
        peak_memory_bytes: counted.peak_memory_bytes.unwrap_or(0),
        cpu: counted.cpu.unwrap_or_default(),
        processes: counted.processes.unwrap_or(0),
        oom_kills: counted.oom_kills.unwrap_or(0),
    };
    let all_known = counted.memory_bytes.is_some() && counted.cpu.is_some() && counted.processes.is_some();
    let Some(init) = init.filter(|_| !all_known) else { return usage };
    let seen = Seen::of(init);
    if counted.memory_bytes.is_none() {
        usage.memory_bytes = seen.anonymous_bytes + seen.shared_bytes.max(tmpfs_bytes(memory_folders));
        usage.peak_memory_bytes = usage.memory_bytes;
    }
    if counted.cpu.is_none() {
        usage.cpu = seen.cpu;
    }
    if counted.processes.is_none() {
        usage.processes = seen.threads;
    }
    usage
}

/// Bytes that are taken on these tmpfs mounts.
fn tmpfs_bytes(folders: &[OwnedFd]) -> u64 {
    let taken = |folder: &OwnedFd| {
        let status = fstatfs(folder).ok()?;
        Some(status.blocks().saturating_sub(status.blocks_free()) * status.block_size() as u64)
    };
    folders.iter().filter_map(taken).sum()
}

/// What `/proc` shows of a process and all that descend from it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Private memory. Mapped files are left out: the kernel can take their pages back.
    anonymous_bytes: u64,
    /// Shared memory that is mapped.
    shared_bytes: u64,
    cpu: Duration,
    threads: u64,
}

impl Seen {
    /// Orphans of a pid namespace become children of its init, so all of it descends from it.
    fn of(init: i32) -> Self {
        let all = all_processes();
        let mut seen = Self::default();
        let mut ticks = 0;
        for stat in descendants(init, &all) {
            ticks += stat.ticks;
            seen.threads += stat.threads;
            // Init is a copy of its maker, and has next to nothing of its own.
            if stat.pid != init {
                let (anonymous, shared) = memory(stat.pid);
                seen.anonymous_bytes += anonymous;
                seen.shared_bytes += shared;
            }
        }
        let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(100, |ticks| ticks.max(1) as u64);
        seen.cpu = Duration::from_micros(ticks * 1_000_000 / per_second);
        seen
    }
}

/// One process, from `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: i32,
    parent: i32,
    /// Its own time and that of the children that it reaped.
    ticks: u64,
    threads: u64,
}

impl Stat {
    fn parse(pid: i32, text: &str) -> Option<Self> {
        // The name may have spaces and parentheses in it; nothing after it has.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
        Some(Self { pid, parent: fields.get(1)?.parse().ok()?, ticks, threads: number(17)? })
    }
}

fn all_processes() -> Vec<Stat> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Stat::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// All processes of a sandbox but its init.
pub(crate) fn pids(init: i32) -> Vec<i32> {
    descendants(init, &all_processes()).iter().map(|stat| stat.pid).filter(|pid| *pid != init).collect()
}

fn descendants(init: i32, all: &[Stat]) -> Vec<Stat> {
    let mut family: HashSet<i32> = HashSet::from([init]);
    loop {
        let before = family.len();
        for stat in all {
            if family.contains(&stat.parent) {
                family.insert(stat.pid);
            }
        }
        if family.len() == before {
            return all.iter().filter(|stat| family.contains(&stat.pid)).copied().collect();
        }
    }
}

/// (anonymous, shared) bytes of a process, each page by its number of users.
fn memory(pid: i32) -> (u64, u64) {
    match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        Ok(text) => rollup(&text),
        // A program that can't be read by its user hides this; its resident size it can't hide.
        Err(_) => (fs::read_to_string(format!("/proc/{pid}/statm")).map_or(0, |text| resident(&text)), 0),
    }
}

fn rollup(text: &str) -> (u64, u64) {
    let kilobytes = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|count| count * 1024)
    };
    match (kilobytes("Pss_Anon:"), kilobytes("Pss_Shmem:")) {
        (Some(anonymous), Some(shared)) => (anonymous, shared),
        // Before Linux 5.9 there is only the sum.
        _ => (kilobytes("Pss:").unwrap_or(0), 0),
    }
}

fn resident(statm: &str) -> u64 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |size| size as u64);
    let mut fields = statm.split_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
    let (all, shared) = (fields.nth(1).unwrap_or(0), fields.next().unwrap_or(0));
    all.saturating_sub(shared) * page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let text = "7 (a) b) (c) S 3 7 7 0 -1 4194560 100 0 0 0 11 12 13 14 20 0 5 0 100 1000 10";
        let stat = Stat::parse(7, text).unwrap();
        assert_eq!(stat, Stat { pid: 7, parent: 3, ticks: 50, threads: 5 });
    }

    #[test]
    fn orphans_and_grandchildren_count() {
        let stat = |pid, parent| Stat { pid, parent, ticks: 1, threads: 1 };
        let all = [stat(9, 8), stat(8, 5), stat(5, 1), stat(6, 1), stat(1, 0)];
        let pids: Vec<i32> = descendants(5, &all).iter().map(|stat| stat.pid).collect();
        assert_eq!(pids, [9, 8, 5]);
    }

    #[test]
    fn mapped_files_are_not_counted() {
        let text = "Rss: 100 kB\nPss:                  90 kB\nPss_Anon:             10 kB\nPss_File: 70 kB\nPss_Shmem:            10 kB\n";
        assert_eq!(rollup(text), (10 * 1024, 10 * 1024));
        assert_eq!(rollup("Pss:  90 kB\n"), (90 * 1024, 0));
    }
}
