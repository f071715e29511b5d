//! How a program in a sandbox begins and ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant};

use brizo_confine::{Error, Exit, Stdio, Step, Wall, WallState, probe, spawn};
use libtest_mimic::Trial;

use crate::harness::{self, LIMIT, is_root, pipe, python, run, sandbox, start, trial, until};
use crate::helper::{self, Task};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_probe_builds_all_of_it", probe_passes),
        trial("exit_codes_are_told", exit_codes),
        trial("signals_are_told", signals),
        trial("without_another_exec_it_is_the_same", direct),
        trial("the_whole_costs_little", cost),
        trial("what_can_not_be_executed_is_told", not_executed),
        trial("sigterm_reaches_the_whole_group_and_can_be_handled", sigterm),
        trial("kill_ends_all_of_it", kill),
        trial("a_dropped_sandbox_is_gone", dropped),
        trial("it_dies_with_who_spawned_it", orphaned),
        trial("orphans_are_reaped_and_end_with_it", orphans),
        trial("init_can_not_be_killed_from_inside", init_is_safe),
        trial("a_held_lock_lasts_as_long_as_the_sandbox", held),
        trial("no_descriptor_leaks_in", descriptors),
        trial("its_environment_is_what_it_was_given", environment),
    ]
}

fn probe_passes() {
    let walls = probe(&sandbox(&["x"])).unwrap();
    let names: Vec<Wall> = walls.iter().map(|report| report.wall).collect();
    assert_eq!(names, Wall::ALL, "every wall is reported, in order");
    let absent = if is_root() { Wall::UserNamespace } else { Wall::Uid };
    for report in walls {
        // What no limit asked for is not there; Landlock is what this kernel has.
        let optional = report.wall >= Wall::LandlockFiles || report.wall == Wall::CgroupNamespace;
        assert!(
            optional || (report.state == WallState::Standing) == (report.wall != absent),
            "{report:?} of {names:?}"
        );
    }
}

fn exit_codes() {
    for code in [0, 1, 3, 127, 255] {
        assert_eq!(run(&sandbox(&["sh", "-c", &format!("exit {code}")])).end.exit, Exit::Code(code));
    }
}

fn signals() {
    // As pid 1 it would ignore the first, and die of SIGSEGV by the second. 35 is a real-time signal.
    for (program, signal) in [
        ("import os; os.kill(os.getpid(), 15)", 15),
        ("import os; os.abort()", 6),
        ("import os; os.kill(os.getpid(), 9)", 9),
        ("import os; os.kill(os.getpid(), 35)", 35),
        ("import ctypes; ctypes.string_at(0)", 11),
    ] {
        assert_eq!(run(&python(program)).end.exit, Exit::Signal(signal), "{program}");
    }
}

fn direct() {
    let output = helper::output(Task::Run, &python("import os, sys; print(os.getpid()); sys.exit(5)"));
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n");
    assert_eq!(helper::output(Task::Run, &sandbox(&["sh", "-c", "kill -6 $$"])).status.code(), Some(128 + 6));
}

/// A job waits for its sandbox each time; 20 ms are what the whole backend may take.
fn cost() {
    let output = helper::output(Task::Time, &sandbox(&["/usr/bin/true"]));
    let text = String::from_utf8_lossy(&output.stdout);
    let times: Vec<u64> = text.split_whitespace().map(|micros| micros.parse().unwrap()).collect();
    let [best, median] = times[..] else { panic!("{}", String::from_utf8_lossy(&output.stderr)) };
    eprintln!("over fork and exec of /usr/bin/true: {best} µs at best, {median} µs in the middle");
    // The best, since other trials run at the same time.
    assert!(best < 20_000, "{best} µs");
}

fn not_executed() {
    let step = |sandbox| match spawn(&sandbox, Stdio::null().unwrap()) {
        Err(Error::Failed(failure)) => (failure.step, failure.errno),
        other => panic!("{other:?}"),
    };
    assert_eq!(step(sandbox(&["/usr/bin/no-such-program"])), (Step::Exec, libc::ENOENT));
    assert_eq!(step(sandbox(&["no-such-program"])), (Step::Exec, libc::ENOENT));
    assert_eq!(step(sandbox(&["/etc/passwd"])), (Step::Exec, libc::EACCES));
    let mut nowhere = sandbox(&["true"]);
    nowhere.cwd = "/nowhere".into();
    assert_eq!(step(nowhere), (Step::WorkingDirectory, libc::ENOENT));
    let unsourced = sandbox(&["true"]).read_only("/no/such/input", "/data/inputs");
    assert_eq!(step(unsourced), (Step::Source, libc::ENOENT));
}

fn sigterm() {
    // A shell does not pass signals on: it is the group that must get it.
    let program = "import os, signal, sys, time
def child(*_): os.write(1, b'bye\\n'); os._exit(7)
def parent(*_): sys.exit(9 if os.waitstatus_to_exitcode(os.wait()[1]) == 7 else 1)
if os.fork() == 0: signal.signal(15, child); os.write(1, b'ready\\n'); time.sleep(60)
signal.signal(15, parent); os.write(1, b'ready\\n'); time.sleep(60)";
    let (output, output_end) = pipe();
    let mut child = spawn(&python(program), Stdio { stdout: output_end, ..Stdio::null().unwrap() }).unwrap();
    let mut lines = BufReader::new(File::from(output)).lines();
    for _ in 0..2 {
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
    }
    assert_eq!(child.try_wait().unwrap(), None);
    child.signal(15);
    assert_eq!(child.wait_for(LIMIT).unwrap().expect("it ends").exit, Exit::Code(9));
    assert_eq!(lines.next().unwrap().unwrap(), "bye");
}

fn kill() {
    // One that ignores what can be ignored, in another session.
    let mut running = start(&python(
        "import os, signal, time
for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)
if os.fork() == 0: os.setsid()
print('x' * 10, flush=True); time.sleep(600)",
    ));
    assert!(until(|| running.child.pids().len() == 2), "both run");
    let pids = running.child.pids();
    running.child.kill();
    let end = running.child.wait_for(LIMIT).unwrap().expect("it ends");
    assert_eq!(end.exit, Exit::Killed);
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
    }
}

fn dropped() {
    let running = start(&sandbox(&["sleep", "600"]));
    let init = running.child.init_pid().expect("its init is known");
    assert!(std::path::Path::new(&format!("/proc/{init}")).exists());
    drop(running.child);
    assert!(!std::path::Path::new(&format!("/proc/{init}")).exists());
}

/// The gateway's shim is killed: nothing of its job may go on.
fn orphaned() {
    let mut process = helper::start(Task::Run, &sandbox(&["sh", "-c", "echo here; sleep 600 & sleep 600"]));
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "here\n");
    process.kill().unwrap();
    // The pipe ends when all who hold it have, both sleepers included.
    let started = Instant::now();
    assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert!(started.elapsed() < Duration::from_secs(30));
    process.wait().unwrap();
}

fn orphans() {
    let outcome = run(&python(
        "import os, time
for _ in range(3):
    if os.fork() == 0:
        if os.fork() == 0:
            if _ == 2: time.sleep(600)
            os._exit(0)
        os._exit(0)
    os.wait()
deadline = time.time() + 30
def zombies():
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try: found.append(open(f'/proc/{pid}/stat').read().rsplit(')')[1].split()[0])
        except OSError: pass
    return found.count('Z'), len(found)
while zombies() != (0, 2) and time.time() < deadline: time.sleep(0.01)
print(zombies())",
    ));
    // Two are seen: itself, and the orphan that sleeps. It does not keep the pipe open after the end.
    assert_eq!(outcome.success(), "(0, 2)\n");
}

fn init_is_safe() {
    let outcome = run(&python(
        "import os, signal, time
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGSEGV, 34):
    try: os.kill(1, number); print('sent')
    except PermissionError: print('refused')
for path in ('/proc/1/environ', '/proc/1/mem', '/proc/1/cmdline', '/proc/1/fd'):
    try: os.stat(path); open(path).read(); print('open', path)
    except (OSError, IsADirectoryError): pass
time.sleep(0.2)
raise SystemExit(4)",
    ));
    assert_eq!(outcome.end.exit, Exit::Code(4));
    assert!(!outcome.stdout.contains("open"), "{}", outcome.stdout);
}

fn held() {
    let folder = harness::folder();
    let path = folder.path().join("lock");
    let lock = File::create(&path).unwrap();
    lock.try_lock().unwrap();
    let is_free = || File::open(&path).unwrap().try_lock().is_ok();
    let stdio = Stdio { held: vec![lock.into()], ..Stdio::null().unwrap() };
    let mut child = spawn(&sandbox(&["sleep", "600"]), stdio).unwrap();
    assert!(!is_free());
    child.kill();
    child.wait().unwrap();
    assert!(is_free());
    // The algorithm's own end frees it as well: it does not hold it, nor does what it left behind.
    let lock = File::open(&path).unwrap();
    lock.try_lock().unwrap();
    let stdio = Stdio { held: vec![lock.into()], ..Stdio::null().unwrap() };
    spawn(&sandbox(&["sh", "-c", "sleep 600 &"]), stdio).unwrap().wait().unwrap();
    assert!(is_free());
}

fn descriptors() {
    let outcome = run(&python("import os; print(sorted(os.listdir('/proc/self/fd')))"));
    // The fourth is that of the listing itself.
    assert_eq!(outcome.success(), "['0', '1', '2', '3']\n");
}

fn environment() {
    let outcome = run(&sandbox(&["env"]).env("DIDS", "[\"ab\"]"));
    let mut names: Vec<String> =
        outcome.success().lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned()).collect();
    names.sort();
    assert_eq!(names, ["DIDS", "HOME", "LANG", "PATH", "TMPDIR"]);
}
