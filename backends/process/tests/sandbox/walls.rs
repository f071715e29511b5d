//! What an algorithm can't do.

use std::time::Duration;

use brizo_backend::{Backend as _, LogStream, Phase, WallState};
use libtest_mimic::Trial;

use crate::support::{Site, python, sh, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("inputs_can_be_read_and_not_written", inputs),
        trial("no_socket_of_the_internet_opens", sockets),
        trial("nothing_of_the_gateway_can_be_read", gateway_secrets),
        trial("no_other_job_is_seen", other_jobs),
        trial("the_shim_can_not_be_touched_nor_the_end_forged", the_shim),
        trial("an_unknown_call_is_refused_and_kills_nothing", unknown_calls),
        trial("what_is_moved_between_writable_folders_arrives", moves),
        trial("it_has_a_name_and_a_home", name_and_home),
        trial("the_walls_that_stood_are_stated", stated),
        trial("a_hidden_file_without_a_name_counts", unnamed_file),
    ]
}

async fn inputs() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let spec = sh("cat /data/inputs/abc/0; for f in /data/inputs/abc/0 /data/inputs/abc/1 /data/inputs/x \
                   /data/transformations/algorithm; do (echo x >> $f) 2>/dev/null && echo wrote $f; done; \
                   rm -f /data/inputs/abc/0 2>/dev/null && echo removed; chmod 777 /data/inputs/abc 2>/dev/null && echo opened; :");
    assert_eq!(gateway.printed(&spec).await, "the data");
}

async fn sockets() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let code = r"
import socket, os
for family in (socket.AF_INET, socket.AF_INET6, 16, 17, 40):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind)
            print('opened', family, kind)
        except OSError:
            pass
a, b = socket.socketpair()
a.send(b'unix sockets of its own work')
print(b.recv(100).decode())
try:
    socket.getaddrinfo('localhost', 80)
    s = socket.create_connection(('127.0.0.1', 22), 1)
    print('connected')
except OSError:
    pass
try:
    s = socket.socket(socket.AF_UNIX); s.connect('\0brizo-uid-200000'); print('host socket')
except OSError:
    pass
print([i for _, i in socket.if_nameindex()] if hasattr(os, 'nope') else '')
";
    assert_eq!(gateway.printed(&python(code)).await, "unix sockets of its own work\n\n");
}

async fn gateway_secrets() {
    let site = Site::new();
    let key = site.dir.path().join("seal.key");
    std::fs::write(&key, "the-seal-key").unwrap();
    let gateway = site.gateway().await;
    let code = format!(
        "cat {key} 2>/dev/null; ls {dir} 2>/dev/null; cat /proc/*/environ 2>/dev/null | tr '\\000' '\\n' | grep -c BRIZO_; \
         ls /root /home/* /etc/shadow /var /run/secrets 2>/dev/null; ls /proc | grep -c '^[0-9]'; :",
        key = key.display(),
        dir = site.dir.path().display()
    );
    let printed = gateway.printed(&sh(&code)).await;
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 3, "{printed}");
    assert_eq!(lines[0], "0", "no environment of ours: {printed}");
    assert!(lines[1].starts_with("/home") || lines[1].is_empty() || lines[1] == "0", "{printed}");
    assert!(lines[2].parse::<u32>().unwrap() < 8, "it sees its own processes only: {printed}");
}

async fn other_jobs() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let victim = sh("echo victim-secret > $OUTPUTS/s; echo victim-secret > /tmp/s; echo victim-secret > /dev/shm/s; \
                     echo ready; sleep 30");
    gateway.backend.submit(&victim).await.unwrap();
    gateway.until_printed(&victim.id, "ready").await;
    let code = r"
import glob, os, signal
word = b'victim' + b'-secret'
roots = ('/tmp', '/dev/shm', '/data/outputs', '/data/inputs', '/data/logs', '/home', '/run', 'STATE')
paths = [os.path.join(at, name) for root in roots for at, _, names in os.walk(root) for name in names]
for path in paths + glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):
    try:
        if word in open(path, 'rb').read(): print('found', path)
    except OSError:
        pass
if os.path.exists('STATE'): print('the state folder is there')
try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass
";
    let spec = python(&code.replace("STATE", &site.state_dir().to_string_lossy()));
    let job = gateway.run(&spec).await;
    assert!(job.phase.is_end());
    assert_eq!(gateway.log(&spec.id, None, false).await, "", "it sees nothing of another");
    let victim_now = gateway.backend.get(&victim.id).await.unwrap();
    assert_eq!(victim_now.phase, Phase::Running, "and can't end it");
    gateway.backend.delete(&victim.id).await.unwrap();
}

async fn the_shim() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let code = r"
import os, signal, json
tried = 0
for pid in range(1, 40000):
    if pid in (os.getpid(), os.getppid()) and pid != 1: continue
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
        try:
            os.kill(pid, number)
            tried += 1
        except OSError:
            pass
for path in ('/data/end', '/data/claim', '/data/outputs/../end', '/end', '/data/log/stdout'):
    try:
        open(path, 'w').write(json.dumps({'status': {'exited': 0}}))
        print('wrote', path)
    except OSError:
        pass
for fd in range(3, 64):
    try:
        os.write(fd, b'{\'ended\':{\'exit\':{\'code\':0}}}\n')
        print('wrote to', fd)
    except OSError:
        pass
try:
    open('/proc/1/mem', 'r+b'); print('opened init')
except OSError:
    pass
print('alive', flush=True)
os._exit(7)
";
    let spec = python(code);
    let job = gateway.run(&spec).await;
    assert_eq!(gateway.log(&spec.id, None, false).await, "alive\n");
    assert_eq!(job.reason.map(|reason| reason.kind()), Some("exit_code"), "its end is its own");
}

async fn unknown_calls() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let code = r"
import ctypes, errno, os, subprocess
libc = ctypes.CDLL(None, use_errno=True)
for n in (425, 449, 462, 999):
    r = libc.syscall(n, 0, 0, 0, 0, 0, 0)
    print(n, errno.errorcode[ctypes.get_errno()] if r == -1 else r)
for name, call in (('unshare', lambda: libc.unshare(0x20000000)), ('mount', lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)),
                   ('ptrace', lambda: libc.ptrace(16, 1, 0, 0))):
    print(name, errno.errorcode[ctypes.get_errno()] if call() == -1 else 'worked')
os.sched_getaffinity(0); os.stat('/'); print(subprocess.run(['echo', 'ok'], capture_output=True).stdout)
";
    let printed = gateway.printed(&python(code)).await;
    let expected =
        "425 ENOSYS\n449 ENOSYS\n462 ENOSYS\n999 ENOSYS\nunshare EPERM\nmount EPERM\nptrace EPERM\nb'ok\\n'\n";
    assert_eq!(printed, expected);
}

async fn moves() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let code = "import os; os.makedirs('/data/outputs/t'); open('/data/outputs/t/a','w').write('x'); \
                os.rename('/data/outputs/t/a','/data/outputs/a')";
    let spec = python(code);
    gateway.printed(&spec).await;
    assert_eq!(gateway.output(&spec.id, "a").await.unwrap(), b"x");
}

async fn name_and_home() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let code = "import getpass, os, tempfile; print(getpass.getuser(), os.path.expanduser('~')); \
                open(os.path.expanduser('~/x'), 'w'); print(tempfile.gettempdir(), os.getcwd(), os.environ['OMP_NUM_THREADS'])";
    assert_eq!(gateway.printed(&python(code)).await, "brizo /home/brizo\n/tmp /data/outputs 1\n");
}

async fn stated() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let spec = sh("sleep 0.05");
    let job = gateway.run(&spec).await;
    for wall in ["mount_namespace", "pid_namespace", "network_namespace", "ipc_namespace", "seccomp"] {
        assert!(
            job.walls.iter().any(|fact| fact.name == wall && fact.state == WallState::Standing),
            "{wall}: {job:#?}"
        );
    }
    let limits: Vec<_> = job.limits.iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(limits, ["cpu", "memory", "disk", "files", "outputs", "wall_time", "processes"]);
    assert_eq!(gateway.backend.preflight(&spec).await.unwrap().limits, job.limits, "as a dry run said");
}

async fn unnamed_file() {
    let site = Site::new();
    let gateway = site.gateway().await;
    // No file alone is over the limit, and none has a name when it is counted.
    let mut spec = python(
        "import os, time\nfs = []\nfor n in range(3):\n  f = open('/data/outputs/x', 'wb'); os.remove('/data/outputs/x')\n  \
         f.write(b'x' * (10 << 20)); f.flush(); fs.append(f)\ntime.sleep(30)",
    );
    spec.limits.disk_bytes = 20 << 20;
    spec.limits.wall_time_s = 25;
    let job = gateway.run(&spec).await;
    assert_eq!(job.reason.map(|reason| reason.kind()), Some("disk"));
    assert!(
        job.ended_at.unwrap().duration_since(job.started_at.unwrap()) < Duration::from_secs(15).try_into().unwrap()
    );
    assert_eq!(gateway.log(&spec.id, Some(LogStream::Stdout), false).await, "");
}
