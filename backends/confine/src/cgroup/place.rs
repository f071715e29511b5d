//! Where this process's own cgroups are.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The part of a version 2 cgroup's name, after the prefix, in which the gateway itself is: there, only a cgroup
/// without processes can give controllers to those below it.
pub(super) const GATEWAY: &str = "gateway";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Version {
    One,
    Two,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Controller {
    Memory,
    Cpu,
    Cpuacct,
    Pids,
}

impl Controller {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "memory" => Some(Self::Memory),
            "cpu" => Some(Self::Cpu),
            "cpuacct" => Some(Self::Cpuacct),
            "pids" => Some(Self::Pids),
            _ => None,
        }
    }
}

/// A folder below which a sandbox's may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) version: Version,
    pub(super) controllers: Vec<Controller>,
}

/// All of this process's.
pub(super) fn own() -> Vec<Place> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut places = parse(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    for place in &mut places {
        if place.version == Version::Two {
            // The gateway's own is a leaf; its siblings are the sandboxes'.
            let leaf = format!("{}{GATEWAY}", super::PREFIX);
            if place.path.file_name().is_some_and(|name| name == leaf.as_str()) {
                place.path.pop();
            }
            let given = read_words(&place.path.join("cgroup.subtree_control"));
            place.controllers = given.iter().filter_map(|name| Controller::parse(name)).collect();
        }
    }
    places.retain(|place| !place.controllers.is_empty());
    places
}

fn read_words(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// From the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`. Controllers of version 2 are left empty.
fn parse(cgroups: &str, mounts: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(names), Some(own)) = (parts.next(), parts.next()) else { continue };
        let controllers: Vec<Controller> = names.split(',').filter_map(Controller::parse).collect();
        let version = if names.is_empty() { Version::Two } else { Version::One };
        if version == Version::One && controllers.is_empty() {
            continue;
        }
        if let Some(path) = mounts.lines().find_map(|mount| below(mount, names, own)) {
            places.push(Place { path, version, controllers });
        }
    }
    places
}

/// The folder of the cgroup `own`, if this line of mountinfo is the mount of the hierarchy with the controllers `names`.
fn below(mount: &str, names: &str, own: &str) -> Option<PathBuf> {
    let (place, kind) = mount.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (file_system, options) = (kind.next()?, kind.nth(1)?);
    let fits = match names {
        "" => file_system == "cgroup2",
        names => file_system == "cgroup" && names.split(',').all(|name| options.split(',').any(|it| it == name)),
    };
    let mut place = place.split(' ').skip(3);
    let (root, target) = (place.next()?, place.next()?);
    if !fits {
        return None;
    }
    // In a container the mount shows only a part, and that part's root is the container's own.
    let inside = Path::new(own).strip_prefix(root).ok()?;
    Some(Path::new(target).join(inside))
}

/// Makes cgroups of version 2 usable for sandboxes, where this process alone is in a cgroup that was delegated to it
/// (a systemd unit with `Delegate=yes`): it moves into a leaf, and hands on the controllers. Elsewhere it does nothing.
/// To be called once, by the gateway, before it starts anything.
pub fn prepare_cgroups() {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let places = parse(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    for place in places.into_iter().filter(|place| place.version == Version::Two) {
        hand_on(&place.path, &std::process::id().to_string());
    }
}

fn hand_on(own: &Path, pid: &str) {
    let give = |own: &Path| {
        for controller in ["+memory", "+cpu", "+pids"] {
            // One by one: a controller that is not there must not keep the others away.
            let _ = fs::write(own.join("cgroup.subtree_control"), controller);
        }
    };
    if read_words(&own.join("cgroup.controllers")).is_empty() {
        return;
    }
    if read_words(&own.join("cgroup.procs")) == [pid] {
        let leaf = own.join(format!("{}{GATEWAY}", super::PREFIX));
        let moved = fs::create_dir_all(&leaf).and_then(|()| fs::write(leaf.join("cgroup.procs"), pid));
        if moved.is_ok() {
            give(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroups_are_found_in_every_kind_of_system() {
        let mounts = "\
30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 25 0:27 /docker/abc /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
";
        let cgroups = "4:memory:/docker/abc/x\n3:cpu,cpuacct:/\n2:freezer:/\n0::/user.slice\n";
        let places = parse(cgroups, mounts);
        let expected = [
            ("/sys/fs/cgroup/memory/x", Version::One, vec![Controller::Memory]),
            ("/sys/fs/cgroup/cpu,cpuacct/", Version::One, vec![Controller::Cpu, Controller::Cpuacct]),
            ("/sys/fs/cgroup/unified/user.slice", Version::Two, vec![]),
        ];
        let expected = expected.map(|(path, version, controllers)| Place { path: path.into(), version, controllers });
        assert_eq!(places, expected);
    }

    #[test]
    fn a_cgroup_that_is_shared_with_others_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("cgroup.controllers", "memory pids\n");
        write("cgroup.subtree_control", "");
        write("cgroup.procs", "7\n8\n");
        hand_on(folder.path(), "7");
        assert!(!folder.path().join("brizo-gateway").exists());
        write("cgroup.procs", "7\n");
        hand_on(folder.path(), "7");
        assert_eq!(fs::read_to_string(folder.path().join("brizo-gateway/cgroup.procs")).unwrap(), "7");
    }
}
