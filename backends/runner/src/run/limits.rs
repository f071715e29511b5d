use brizo_backend::{LimitFact, Limits};
use brizo_confine::{Wall, WallReport, WallState};

/// The most files and folders that an algorithm may make: enough for 4 KiB each, and for small jobs too.
pub fn files_limit(limits: &Limits) -> u64 {
    (limits.disk_bytes / 4096).clamp(10_000, 1_000_000)
}

/// The most processes and threads that it may have.
pub fn processes_limit(limits: &Limits) -> u64 {
    256 + 64 * limits.cpu_millis.div_ceil(1000)
}

/// How each limit is enforced behind these walls.
pub fn enforcement(limits: &Limits, walls: &[WallReport]) -> Vec<LimitFact> {
    let stands = |wall| walls.iter().any(|report| report.wall == wall && report.state == WallState::Standing);
    let fact = |name: &str, value: u64, by: &str, soft: bool| LimitFact {
        name: name.to_owned(),
        value,
        enforced_by: by.to_owned(),
        soft,
    };
    let by = |wall, otherwise| if stands(wall) { ("cgroup", false) } else { otherwise };
    let cpu = by(Wall::CgroupCpu, ("affinity", true));
    let memory = by(Wall::CgroupMemory, ("watchdog", true));
    let processes = by(Wall::CgroupProcesses, ("rlimit", true));
    vec![
        fact("cpu", limits.cpu_millis, cpu.0, cpu.1),
        fact("memory", limits.memory_bytes, memory.0, memory.1),
        fact("disk", limits.disk_bytes, "counting", true),
        fact("files", files_limit(limits), "counting", true),
        fact("outputs", limits.outputs_bytes, "runner", false),
        fact("wall_time", limits.wall_time_s, "runner", false),
        fact("processes", processes_limit(limits), processes.0, processes.1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_does_not_enforce_is_stated_as_soft() {
        let limits =
            Limits { cpu_millis: 1500, memory_bytes: 1, disk_bytes: 1 << 30, outputs_bytes: 1, wall_time_s: 1, gpu: 0 };
        let by = |walls: &[WallReport], name: &str| {
            let facts = enforcement(&limits, walls);
            facts.into_iter().find(|fact| fact.name == name).map(|fact| (fact.enforced_by, fact.soft)).unwrap()
        };
        let memory = [WallReport { wall: Wall::CgroupMemory, state: WallState::Standing }];
        assert_eq!(by(&memory, "memory"), ("cgroup".to_owned(), false));
        assert_eq!(by(&[], "memory"), ("watchdog".to_owned(), true));
        assert_eq!(by(&memory, "disk"), ("counting".to_owned(), true));
        assert_eq!(files_limit(&limits), 262_144);
    }
}
