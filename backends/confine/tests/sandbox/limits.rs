//! Limits: of files, processes, cores and memory, and what is seen of their use.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use brizo_confine::{Exit, Identity, Limits, Usage, Wall, WallState, sweep_cgroups};
use libtest_mimic::Trial;

use crate::harness::{LIMIT, is_root, python, run, sandbox, start, trial, until};
use crate::helper::{self, Task};

const MIB: u64 = 1 << 20;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_file_past_its_limit_ends_by_sigxfsz", file_bytes),
        trial("processes_are_limited", processes),
        trial("limits_above_the_inherited_are_clamped", clamped),
        trial("cores_are_offered_by_share", cores),
        trial("memory_past_its_limit_ends_by_the_kernel_or_is_seen", memory),
        trial("runtimes_that_reserve_much_and_touch_little_run", reservations),
        trial("memory_is_seen_without_a_cgroup", watched_memory),
        trial("cpu_time_is_counted", cpu_time),
        trial("cgroups_are_removed", cgroups_removed),
        trial("cgroups_that_a_killed_shim_left_are_swept", stale_cgroups),
    ]
}

fn file_bytes() {
    let mut job = sandbox(&["sh", "-c", "head -c 3000000 /dev/zero > /tmp/x"]);
    job.limits.file_bytes = Some(2 * MIB);
    // The shell says by 128 + 25 what became of its child.
    assert_eq!(run(&job).end.exit, Exit::Code(128 + libc::SIGXFSZ));
    let mut core = sandbox(&["sh", "-c", "ulimit -c; ulimit -f"]);
    core.limits.file_bytes = Some(2 * MIB);
    assert_eq!(run(&core).success(), "0\n4096\n");
}

fn processes() {
    let mut job = python(
        "import os, time
count = 1
try:
    while count < 100:
        if os.fork() == 0: time.sleep(60)
        count += 1
except BlockingIOError: pass
print(count)",
    );
    job.limits.processes = Some(20);
    if is_root() {
        // The uids of other trials are the same, and their processes would count.
        job.identity = Identity::Slot { uid: 213_000, gid: 213_000 };
    }
    assert_eq!(run(&job).success(), "20\n");
}

fn clamped() {
    let mut job = sandbox(&["sh", "-c", "ulimit -n"]);
    job.limits.open_files = Some(u64::MAX / 2);
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    assert_eq!(run(&job).success(), format!("{hard}\n"));
    job.limits.open_files = Some(64);
    assert_eq!(run(&job).success(), "64\n");
}

/// Pools are sized by the job's share, not by the machine.
fn cores() {
    for first_core in [0, 1, 7] {
        let mut job = python("import os; print(len(os.sched_getaffinity(0)))");
        job.limits.cores = Some(1);
        job.limits.first_core = first_core;
        assert_eq!(run(&job).success(), "1\n");
    }
    let mut all = python("import os; print(len(os.sched_getaffinity(0)) == os.cpu_count())");
    all.limits.cores = Some(100_000);
    assert_eq!(run(&all).success(), "True\n");
}

const TOUCH: &str = "import time
blocks = []
for _ in range(60): blocks.append(bytes(range(256)) * (10 << 12))
print('touched', flush=True); time.sleep(60)";

fn memory() {
    let mut job = python(TOUCH);
    job.limits = Limits { memory_bytes: Some(256 * MIB), ..Limits::default() };
    let mut running = start(&job);
    let hard = running.child.walls().iter().any(|it| it.wall == Wall::CgroupMemory && it.state == WallState::Standing);
    // On a machine that has writable cgroups root must get one; else this trial would prove nothing there.
    assert!(hard || !is_root() || std::fs::create_dir("/sys/fs/cgroup/memory/brizo-writable").is_err());
    let _ = std::fs::remove_dir("/sys/fs/cgroup/memory/brizo-writable");
    if hard {
        assert_eq!(running.child.wait_for(LIMIT).unwrap().expect("it ends").exit, Exit::Signal(9));
        let usage = running.child.usage();
        assert_eq!(usage.oom_kills, 1, "{usage:?}");
        assert!(usage.peak_memory_bytes > 200 * MIB, "{usage:?}");
        assert!(!running.finish().stdout.contains("touched"));
    } else {
        assert!(until(|| running.child.usage().memory_bytes > 256 * MIB), "{:?}", running.child.usage());
    }
}

fn reservations() {
    let mut programs =
        vec![sandbox(&["/usr/bin/python3", "-c", "import mmap; mmap.mmap(-1, 1 << 36, flags=0x4022, prot=0)"])];
    for (path, arguments) in [
        ("/usr/bin/node", ["-e", "new WebAssembly.Memory({initial: 1})"].as_slice()),
        ("/usr/bin/java", ["-version"].as_slice()),
    ] {
        if std::path::Path::new(path).exists() {
            let argv: Vec<&str> = std::iter::once(path).chain(arguments.iter().copied()).collect();
            programs.push(sandbox(&argv));
        }
    }
    for mut program in programs {
        program.limits.memory_bytes = Some(512 * MIB);
        run(&program).success();
    }
}

fn watched_memory() {
    let usage_of = |program: &str, enough: fn(&Usage) -> bool| {
        let mut running = start(&python(program));
        let mut seen = Usage::default();
        let found = until(|| {
            seen = running.child.usage();
            enough(&seen)
        });
        assert!(found, "{seen:?}");
        running.child.kill();
        running.finish();
        seen
    };
    usage_of(TOUCH, |usage| (600 * MIB..700 * MIB).contains(&usage.memory_bytes));
    // On a tmpfs: it is nobody's memory, and everybody's.
    let written = "import time; open('/dev/shm/x', 'wb').write(bytes(50 << 20)); time.sleep(60)";
    usage_of(written, |usage| (50 * MIB..100 * MIB).contains(&usage.memory_bytes));
    // Mapped and on a tmpfs: counted once, although four processes see it.
    let mapped = "import mmap, os, time
f = open('/dev/shm/x', 'w+b'); f.truncate(50 << 20); m = mmap.mmap(f.fileno(), 50 << 20)
for i in range(0, 50 << 20, 4096): m[i] = 1
os.fork(); os.fork()
sum(m[i] for i in range(0, 50 << 20, 4096)); time.sleep(60)";
    let usage = usage_of(mapped, |usage| usage.processes == 5 && usage.memory_bytes > 50 * MIB);
    assert!(usage.memory_bytes < 95 * MIB, "{usage:?}");
    // Who hides from his own user is seen all the same.
    let hidden =
        "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); x = bytes(range(256)) * (50 << 12); time.sleep(60)";
    usage_of(hidden, |usage| usage.memory_bytes > 50 * MIB);
}

fn cpu_time() {
    let mut running = start(&python(
        "import os, time
if os.fork() == 0:
    while time.process_time() < 0.3: pass
    os._exit(0)
os.wait()",
    ));
    let end = running.child.wait_for(LIMIT).unwrap().expect("it ends");
    assert!(end.cpu_micros >= 300_000, "{end:?}");
    assert!(running.child.usage().cpu >= Duration::from_millis(300));
}

fn cgroups_removed() {
    let mut job = sandbox(&["true"]);
    job.name = format!("removed-{}", std::process::id());
    job.limits =
        Limits { memory_bytes: Some(64 * MIB), cpu_millis: Some(500), processes: Some(10), ..Limits::default() };
    let outcome = run(&job);
    for wall in [Wall::CgroupMemory, Wall::CgroupCpu, Wall::CgroupProcesses] {
        let state = outcome.walls.iter().find(|report| report.wall == wall).unwrap().state;
        eprintln!("{wall}: {state:?}");
    }
    outcome.success();
    assert_eq!(cgroups(&job.name), Vec::<PathBuf>::new());
}

/// Folders of that sandbox's cgroups on this host.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let found = Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", &format!("brizo-{name}")]).output();
    String::from_utf8_lossy(&found.unwrap().stdout).lines().map(PathBuf::from).collect()
}

/// The shim is killed, and can't clean up after itself.
fn stale_cgroups() {
    let mut job = sandbox(&["sh", "-c", "echo here; sleep 600"]);
    job.name = format!("stale-{}", std::process::id());
    job.limits.memory_bytes = Some(64 * MIB);
    let mut shim = helper::start(Task::Run, &job);
    let mut line = String::new();
    let mut output = BufReader::new(shim.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let made = cgroups(&job.name);
    // While it runs the kernel refuses, whatever is said of it.
    sweep_cgroups(|name| name != job.name);
    assert_eq!(cgroups(&job.name), made);
    shim.kill().unwrap();
    shim.wait().unwrap();
    sweep_cgroups(|_| true);
    assert_eq!(cgroups(&job.name), made, "those of live jobs are left alone");
    assert!(until(|| {
        sweep_cgroups(|name| name != job.name);
        cgroups(&job.name).is_empty()
    }));
}
