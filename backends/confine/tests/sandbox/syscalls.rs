//! The allow-list of system calls, called from inside.

use std::process::Command;

use brizo_confine::{Exit, Wall, Walls};
use libtest_mimic::Trial;

use crate::harness::{python, run, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("unknown_calls_answer_as_on_an_older_kernel", unknown),
        trial("forbidden_calls_answer_eperm", forbidden),
        trial("namespaces_can_not_be_made", namespaces),
        trial("limits_and_priorities_of_others_are_out_of_reach", others),
        trial("a_foreign_architecture_is_killed", foreign),
        trial("what_programs_need_is_allowed", allowed),
        trial("shared_memory_of_the_host_is_out_of_reach", system_v),
    ]
}

/// Prints the name of the error that `syscall(number, …)` answers, for each line of `calls`.
fn answers(calls: &[&str]) -> String {
    let list = calls.join("), (");
    format!(
        "import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
for call in [({list})]:
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(x) if isinstance(x, int) else x for x in call])
    print(call[0], errno.errorcode.get(ctypes.get_errno(), 'fine') if result == -1 else 'fine')"
    )
}

fn check(calls: &[(i64, &str, &str)]) {
    let lines: Vec<String> = calls.iter().map(|(number, rest, _)| format!("{number}, {rest}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let text = run(&python(&answers(&lines))).success();
    let expected: Vec<String> = calls.iter().map(|(number, _, answer)| format!("{number} {answer}")).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

fn unknown() {
    // io_uring_setup, futex_waitv, mseal, none; clone3; io_uring_enter; a call of the x32 numbering.
    let numbers = [425, 449, 462, 999, libc::SYS_clone3, libc::SYS_io_uring_enter, 0x4000_0000 + 39];
    check(&numbers.map(|number| (number, "0, 0, 0, 0", "ENOSYS")));
}

fn forbidden() {
    let mut calls: Vec<(i64, &str, &str)> = [
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_userfaultfd,
        libc::SYS_open_by_handle_at,
        libc::SYS_init_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_clock_settime,
    ]
    .map(|call| (call, "0, 0, 0, 0, 0", "EPERM"))
    .to_vec();
    // TIOCSTI and TIOCLINUX; the upper half of the command does not count for the kernel.
    calls.push((libc::SYS_ioctl, "0, 0x5412, b'x'", "EPERM"));
    calls.push((libc::SYS_ioctl, "0, 0x100005412, b'x'", "EPERM"));
    calls.push((libc::SYS_ioctl, "0, 0x541c, b'x'", "EPERM"));
    check(&calls);
}

fn namespaces() {
    let flags = [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000_u64];
    let arguments = flags.map(|flag| format!("{}, 0, 0, 0, 0", flag | 0x11));
    let mut calls: Vec<_> = arguments.iter().map(|text| (libc::SYS_clone, text.as_str(), "EPERM")).collect();
    calls.push((libc::SYS_unshare, "0x10000000", "EPERM"));
    check(&calls);
    // Without the wall any user can, and has all capabilities in there.
    let mut open = python(&answers(&[&format!("{}, 0x10000000", libc::SYS_unshare)]));
    open.walls = Walls::demanded().without(Wall::Seccomp);
    assert_eq!(run(&open).success(), format!("{} fine\n", libc::SYS_unshare));
}

fn others() {
    check(&[
        (libc::SYS_prlimit64, "1, 7, 0, 0", "EPERM"),
        (libc::SYS_prlimit64, "0, 7, 0, 0", "fine"),
        (libc::SYS_sched_setscheduler, "1, 0, bytes(4)", "EPERM"),
        (libc::SYS_sched_setscheduler, "0, 0, bytes(4)", "fine"),
        (libc::SYS_sched_setparam, "1, bytes(4)", "EPERM"),
        (libc::SYS_sched_setattr, "1, bytes(56), 0", "EPERM"),
        (libc::SYS_setpriority, "0, 1, 5", "EPERM"),
        (libc::SYS_setpriority, "2, 0, 5", "EPERM"),
        (libc::SYS_setpriority, "0, 0, 5", "fine"),
        (libc::SYS_ioprio_set, "1, 1, 0", "EPERM"),
        (libc::SYS_ioprio_set, "3, 0, 0", "EPERM"),
        (libc::SYS_ioprio_set, "1, 0, 0", "fine"),
        (libc::SYS_migrate_pages, "1, 0, 0, 0", "EPERM"),
    ]);
}

/// `mov eax, 20; int 0x80; ret`: getpid by the door of 32-bit programs, past all numbers of the list.
fn foreign() {
    let program = "import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7); page.write(bytes.fromhex('b814000000cd80c3'))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())";
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let mut open = python(program);
    open.walls = Walls::demanded().without(Wall::Seccomp);
    if run(&open).end.exit != Exit::Code(0) {
        eprintln!("this kernel runs no 32-bit programs: there is nothing to kill");
        return;
    }
    assert_eq!(run(&python(program)).end.exit, Exit::Signal(libc::SIGSYS));
}

fn allowed() {
    let outcome = run(&python(
        "import os, subprocess, mmap
fd = os.memfd_create('m'); os.write(fd, b'x')
os.sched_setaffinity(0, os.sched_getaffinity(0)); os.sched_yield()
os.stat('/'); os.statvfs('/'); os.getrandom(3); os.nice(1)
assert subprocess.run(['true']).returncode == 0
os.mkfifo('/tmp/f'); os.symlink('f', '/tmp/l'); os.setxattr
os.sendfile(os.open('/dev/null', os.O_WRONLY), fd, 0, 1)
os.pidfd_open(os.getpid()); os.eventfd
print('fine')",
    ));
    assert_eq!(outcome.success(), "fine\n");
}

/// A database of the host keeps its pages in System V shared memory, which is found by number alone.
fn system_v() {
    let key = 0x6272_0000 + (std::process::id() & 0xffff);
    let host = |program: &str| {
        let output = Command::new("/usr/bin/python3").args(["-c", program]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let get = format!("import ctypes; print(ctypes.CDLL(None).shmget({key}, 4096, FLAGS))");
    let id = host(&get.replace("FLAGS", "0o1666"));
    let inside = |walls: Walls| {
        let mut sandbox = python(&get.replace("FLAGS", "0"));
        sandbox.walls = walls;
        run(&sandbox).success()
    };
    let (with, without) = (inside(Walls::demanded()), inside(Walls::demanded().without(Wall::IpcNamespace)));
    host(&format!("import ctypes; ctypes.CDLL(None).shmctl({id}, 0, None)"));
    assert_eq!((with.trim(), without.trim()), ("-1", id.as_str()));
}
