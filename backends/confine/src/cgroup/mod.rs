//! A cgroup for one sandbox, below this process's own, where the kernel lets us have one.

mod place;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Limits, Wall, WallReport, Walls};
use place::{Controller, Place, Version};

pub use place::prepare_cgroups;

/// What the names of our cgroups begin with; nothing else is ever removed.
const PREFIX: &str = "brizo-";

/// Its folders: one with version 2, one a controller with version 1, none where none can be had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cgroup {
    folders: Vec<Folder>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Folder {
    path: PathBuf,
    version: Version,
    /// Which controllers work there, and limit something or count.
    controllers: Vec<Controller>,
}

/// What the kernel counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) cpu: Option<Duration>,
    pub(crate) processes: Option<u64>,
    pub(crate) oom_kills: Option<u64>,
}

impl Cgroup {
    /// As much of it as can be had here; what can't is not an error, but a wall that does not stand.
    pub(crate) fn make(name: &str, limits: &Limits, walls: &Walls) -> Self {
        let wanted = [
            (Controller::Memory, limits.memory_bytes.is_some() && walls.has(Wall::CgroupMemory)),
            (Controller::Cpu, limits.cpu_millis.is_some() && walls.has(Wall::CgroupCpu)),
            (Controller::Pids, limits.processes.is_some() && walls.has(Wall::CgroupProcesses)),
        ];
        let wanted: Vec<Controller> = wanted.into_iter().filter(|(_, yes)| *yes).map(|(which, _)| which).collect();
        if wanted.is_empty() {
            return Self::default();
        }
        let mut cgroup = Self::default();
        for place in place::own() {
            let here: Vec<Controller> =
                wanted.iter().copied().filter(|controller| place.controllers.contains(controller)).collect();
            let counts = place.controllers.contains(&Controller::Cpuacct);
            if here.is_empty() && !counts {
                continue;
            }
            cgroup.folders.extend(Folder::make(&place, &format!("{PREFIX}{name}"), here, counts, limits));
        }
        cgroup
    }

    /// Files into which a process of one thread writes "0" to enter, itself. Version 1 has a file for threads, and there
    /// the kernel need not wait until all its processors have seen the change, which takes milliseconds.
    pub(crate) fn own_entries(&self) -> Vec<PathBuf> {
        self.folders_of(Version::One).map(|path| path.join("tasks")).collect()
    }

    /// Files into which somebody writes its pid, while it does something else: version 2 moves whole processes.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        self.folders_of(Version::Two).map(|path| path.join("cgroup.procs")).collect()
    }

    fn folders_of(&self, version: Version) -> impl Iterator<Item = &Path> {
        self.folders.iter().filter(move |folder| folder.version == version).map(|folder| &*folder.path)
    }

    pub(crate) fn walls(&self) -> Vec<WallReport> {
        let stands = |controller| self.folders.iter().any(|folder| folder.controllers.contains(&controller));
        vec![
            WallReport::new(Wall::CgroupMemory, stands(Controller::Memory)),
            WallReport::new(Wall::CgroupCpu, stands(Controller::Cpu)),
            WallReport::new(Wall::CgroupProcesses, stands(Controller::Pids)),
        ]
    }

    pub(crate) fn counted(&self) -> Counted {
        let mut counted = Counted::default();
        for Folder { path, version, controllers } in &self.folders {
            let number = |file: &str| read_number(&path.join(file));
            let value = |file: &str, key: &str| read_value(&path.join(file), key);
            if controllers.contains(&Controller::Memory) {
                let (now, peak, events) = match version {
                    Version::One => ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"),
                    Version::Two => ("memory.current", "memory.peak", "memory.events"),
                };
                counted.memory_bytes = number(now);
                counted.peak_memory_bytes = number(peak);
                counted.oom_kills = value(events, "oom_kill");
            }
            match version {
                Version::One if controllers.contains(&Controller::Cpuacct) => {
                    counted.cpu = number("cpuacct.usage").map(Duration::from_nanos);
                }
                Version::One => {}
                Version::Two => counted.cpu = value("cpu.stat", "usage_usec").map(Duration::from_micros),
            }
            if controllers.contains(&Controller::Pids) {
                counted.processes = number("pids.current");
            }
        }
        counted
    }

    /// Once nothing runs in it any more. The kernel may need a moment to notice that.
    pub(crate) fn remove(&mut self) {
        for folder in self.folders.drain(..) {
            for _ in 0..50 {
                match fs::remove_dir(&folder.path) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    _ => break,
                }
            }
        }
    }
}

impl Folder {
    /// `None` if it can't be made or limits nothing.
    fn make(place: &Place, name: &str, wanted: Vec<Controller>, counts: bool, limits: &Limits) -> Option<Self> {
        let path = place.path.join(name);
        match fs::create_dir(&path) {
            Ok(()) => {}
            // Left by a process that was killed; emptied by the kernel, since its sandbox died with it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
        let mut controllers: Vec<Controller> =
            wanted.into_iter().filter(|which| limit(&path, place.version, *which, limits).is_ok()).collect();
        if counts {
            controllers.push(Controller::Cpuacct);
        }
        if controllers.is_empty() {
            let _ = fs::remove_dir(&path);
            return None;
        }
        Some(Self { path, version: place.version, controllers })
    }
}

/// Sets one controller's limit.
fn limit(path: &Path, version: Version, controller: Controller, limits: &Limits) -> io::Result<()> {
    const PERIOD_MICROS: u64 = 100_000;
    let set = |file: &str, value: String| fs::write(path.join(file), value);
    match (controller, version) {
        (Controller::Memory, Version::One) => {
            let bytes = limits.memory_bytes.unwrap_or(u64::MAX).to_string();
            set("memory.limit_in_bytes", bytes.clone())?;
            // Without swap accounting there is no such file; then swap is only made unwelcome.
            let _ = set("memory.memsw.limit_in_bytes", bytes).or_else(|_| set("memory.swappiness", "0".into()));
            Ok(())
        }
        (Controller::Memory, Version::Two) => {
            set("memory.max", limits.memory_bytes.map_or("max".into(), |bytes| bytes.to_string()))?;
            let _ = set("memory.swap.max", "0".into());
            Ok(())
        }
        (Controller::Cpu, version) => {
            let quota = (limits.cpu_millis.unwrap_or(1000) * PERIOD_MICROS / 1000).max(1000);
            match version {
                Version::One => {
                    set("cpu.cfs_period_us", PERIOD_MICROS.to_string())?;
                    set("cpu.cfs_quota_us", quota.to_string())
                }
                Version::Two => set("cpu.max", format!("{quota} {PERIOD_MICROS}")),
            }
        }
        (Controller::Pids, _) => {
            // One more: the sandbox's init is in it.
            set("pids.max", limits.processes.map_or("max".into(), |count| count.saturating_add(1).to_string()))
        }
        (Controller::Cpuacct, _) => Ok(()),
    }
}

/// Removes cgroups that sandboxes of killed processes left below this process's own. `is_alive` is asked with a
/// sandbox's name; one in which something still runs is never removed, since the kernel refuses.
pub fn sweep_cgroups(mut is_alive: impl FnMut(&str) -> bool) {
    for place in place::own() {
        for entry in fs::read_dir(&place.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
            if name != place::GATEWAY && !is_alive(name) {
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number after `key` in a file of lines of two words.
fn read_value(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}
