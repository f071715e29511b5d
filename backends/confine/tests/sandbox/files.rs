//! What can be seen and written inside.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use brizo_confine::{Exit, Identity, Network, Sandbox};
use libtest_mimic::Trial;

use crate::harness::{folder, identity, is_root, python, run, sandbox, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("nothing_of_the_host_is_seen_but_what_was_bound", root_listing),
        trial("another_jobs_folder_and_the_gateways_key_are_not_there", secrets),
        trial("inputs_can_not_be_written", inputs),
        trial("outputs_are_the_hosts_folder", outputs),
        trial("files_move_between_folders", renames),
        trial("nothing_else_can_be_written", nothing_else),
        trial("memory_folders_are_bounded", memory_folders),
        trial("devices_are_the_harmless_ones", devices),
        trial("links_can_name_a_program", links),
        trial("it_is_nobody_special", nobody_special),
        trial("no_mount_of_it_is_left", no_mounts_left),
    ]
}

/// A folder that the algorithm may write.
fn writable(parent: &Path, name: &str) -> std::path::PathBuf {
    let path = parent.join(name);
    fs::create_dir(&path).unwrap();
    if let Identity::Slot { uid, gid } = identity() {
        chown(&path, Some(uid), Some(gid)).unwrap();
    }
    path
}

fn job(parent: &Path, program: &str) -> Sandbox {
    let inputs = parent.join("inputs");
    fs::create_dir(&inputs).unwrap();
    fs::write(inputs.join("0"), "the data").unwrap();
    python(program)
        .read_only(&inputs, "/data/inputs")
        .writable(writable(parent, "outputs"), "/data/outputs")
        .writable(writable(parent, "logs"), "/data/logs")
}

fn root_listing() {
    let outcome = run(&sandbox(&["ls", "/"]));
    let expected = "bin dev etc home lib lib64 proc sbin tmp usr";
    let seen = outcome.success();
    let seen: Vec<&str> = seen.lines().filter(|name| !["lib32", "libx32"].contains(name)).collect();
    assert_eq!(seen.join(" "), expected);
    let processes = run(&python("import os; print([p for p in os.listdir('/proc') if p.isdigit()])"));
    assert_eq!(processes.success(), "['2']\n", "only itself; its init is hidden");
}

fn secrets() {
    let folder = folder();
    let key = folder.path().join("provider.key");
    fs::write(&key, "secret").unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    for path in [key.to_str().unwrap(), "/etc/shadow", "/etc/hostname~", "/root", "/proc/1/environ", "/sys"] {
        let outcome = run(&sandbox(&["cat", path]));
        assert_eq!(outcome.end.exit, Exit::Code(1), "{path}");
    }
}

fn inputs() {
    let folder = folder();
    let outcome = run(&job(
        folder.path(),
        "import os
print(open('/data/inputs/0').read())
def refused(what):
    try: what()
    except OSError as e: print(e.errno)
refused(lambda: open('/data/inputs/0', 'w'))
refused(lambda: open('/data/inputs/1', 'w'))
refused(lambda: os.unlink('/data/inputs/0'))
refused(lambda: os.rename('/data/inputs/0', '/data/outputs/0'))
refused(lambda: os.chmod('/data/inputs/0', 0o777))
refused(lambda: os.link('/data/inputs/0', '/data/outputs/0'))",
    ));
    let text = outcome.success();
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(text.starts_with("the data\n"), "{text}");
    assert_eq!(fs::read_to_string(folder.path().join("inputs/0")).unwrap(), "the data");
}

fn outputs() {
    let folder = folder();
    run(&job(folder.path(), "open('/data/outputs/model.json', 'w').write('{}')")).success();
    assert_eq!(fs::read_to_string(folder.path().join("outputs/model.json")).unwrap(), "{}");
}

/// A Landlock layer that leaves out the right to re-parent, even one about TCP alone, breaks this.
fn renames() {
    for network in [Network::None, Network::Host] {
        let folder = folder();
        let mut job = job(
            folder.path(),
            "import os, shutil
os.makedirs('/data/outputs/t'); open('/data/outputs/t/a', 'w'); os.rename('/data/outputs/t/a', '/data/outputs/a')
os.mkdir('/data/outputs/u'); os.rename('/data/outputs/u', '/data/outputs/t/u')
open('/tmp/b', 'w'); shutil.move('/tmp/b', '/data/outputs/b')
print(sorted(os.listdir('/data/outputs')), os.listdir('/data/outputs/t'))",
        );
        job.network = network;
        assert_eq!(run(&job).success(), "['a', 'b', 't'] ['u']\n", "{network:?}");
    }
}

fn nothing_else() {
    let outcome = run(&python(
        "import os
for folder in ('/', '/usr', '/usr/bin', '/etc', '/dev', '/proc', '/proc/self', '/home', '/bin', '/proc/sys/kernel'):
    try: open(folder + '/x', 'w'); print('wrote into', folder)
    except OSError: pass
for path in ('/etc/passwd', '/proc/self/oom_score_adj', '/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger'):
    try: open(path, 'r+').write('0'); print('wrote', path)
    except OSError: pass
for folder in ('/tmp', '/dev/shm', '/home/brizo'):
    open(folder + '/x', 'w').write('y')
print(open('/proc/self/oom_score_adj').read())",
    ));
    assert_eq!(outcome.success(), "1000\n\n");
}

fn memory_folders() {
    let mut job = python(
        "import errno
def fill():
    with open('/tmp/x', 'wb') as f:
        for _ in range(64): f.write(bytes(1 << 20))
try: fill()
except OSError as e: print(errno.errorcode[e.errno])
count = 0
try:
    while True: open(f'/dev/shm/{count}', 'w').close(); count += 1
except OSError as e: print(errno.errorcode[e.errno], count < 100)",
    );
    for tmpfs in &mut job.tmpfs {
        tmpfs.bytes = 4 << 20;
        tmpfs.inodes = 100;
    }
    assert_eq!(run(&job).success(), "ENOSPC\nENOSPC True\n");
}

fn devices() {
    let outcome = run(&python(
        "import os
print(sorted(os.listdir('/dev')))
open('/dev/null', 'w').write('x'); print(open('/dev/zero', 'rb').read(1), len(os.urandom(4)))
try: open('/dev/full', 'w', buffering=1).write('x\\n')
except OSError as e: print(e.errno)
try: os.mknod('/tmp/kmsg', 0o600 | 0o020000, os.makedev(1, 11)); print('made')
except OSError as e: print(e.errno in (1, 13))
os.mkfifo('/tmp/fifo'); print(open('/dev/fd/0').read() == '')",
    ));
    let expected = "['fd', 'full', 'null', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']\n\
                    b'\\x00' 4\n28\nTrue\nTrue\n";
    assert_eq!(outcome.success(), expected);
}

fn links() {
    let mut job = sandbox(&["python", "-c", "print('by name')"]).env("X", "1");
    job.links.push(brizo_confine::Link { path: "/run/brizo/bin/python".into(), target: "/usr/bin/python3".into() });
    for (name, value) in &mut job.env {
        if name == "PATH" {
            *value = "/run/brizo/bin:/usr/bin:/bin".into();
        }
    }
    assert_eq!(run(&job).success(), "by name\n");
}

fn nobody_special() {
    let outcome = run(&python(
        "import os
status = dict(line.split(':\\t') for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
print(os.getuid(), os.geteuid(), os.getgid(), status['NoNewPrivs'], status['Seccomp'])
print(*{status[name] for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')})
try: os.setuid(0); print('root')
except OSError as e: print(e.errno)
print(os.getsid(0) == os.getpid(), os.uname().nodename, len(os.getgroups()))",
    ));
    let (uid, gid) = match identity() {
        Identity::Slot { uid, gid } => (uid, gid),
        Identity::Own => (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw()),
    };
    let text = outcome.success();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("{uid} {uid} {gid} 1 2"));
    assert_eq!(lines[1], "0000000000000000");
    assert!(["1", "22"].contains(&lines[2]), "{text}");
    assert!(lines[3].starts_with("True brizo"), "{text}");
    assert!(!is_root() || lines[3].ends_with(" 0"), "{text}");
}

fn no_mounts_left() {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    run(&sandbox(&["true"])).success();
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}
