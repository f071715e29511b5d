//! This program as a process of one thread, which does one thing and ends: what a trial, being a thread, can't be.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child as Process, Command, ExitCode, Output, Stdio as CommandStdio};
use std::time::Instant;

use brizo_confine::{Exit, Sandbox, Stdio, probe, spawn};
use landlock::{ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr};

const NAME: &str = "brizo-confine-helper";

/// What it can do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    /// Spawn the sandbox without another exec, with this process's own standard streams; exit as the program does
    /// (128 and the number for a signal).
    Run,
    /// As `Run`, 50 times; print in microseconds what it takes more than fork and exec: the best, and the median.
    Time,
    /// Probe, on a host that refuses to let anything be written, so the uid map neither; print the answer.
    ProbeWithoutWriting,
    /// Probe, on a host that refuses mounts; print the answer.
    ProbeWithoutMounts,
}

/// Called first of all in `main`, which ends with the answer if there is one.
pub(crate) fn dispatch() -> Option<ExitCode> {
    let mut arguments = std::env::args();
    if arguments.next().as_deref() != Some(NAME) {
        return None;
    }
    let task = arguments.next().unwrap_or_default();
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let sandbox: Sandbox = serde_json::from_str(&text).unwrap();
    let code = match task.as_str() {
        "Run" => run(&sandbox),
        "Time" => time(&sandbox),
        "ProbeWithoutWriting" => refused(&sandbox, false),
        "ProbeWithoutMounts" => refused(&sandbox, true),
        other => panic!("{other}"),
    };
    Some(ExitCode::from(u8::try_from(code).unwrap()))
}

fn run(sandbox: &Sandbox) -> i32 {
    let own = |number: i32| OwnedFd::from(File::options().write(true).open(format!("/proc/self/fd/{number}")).unwrap());
    let stdio = Stdio { stdout: own(1), stderr: own(2), ..Stdio::null().unwrap() };
    let mut child = spawn(sandbox, stdio).unwrap();
    match child.wait().unwrap().exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::Killed => 99,
    }
}

fn time(sandbox: &Sandbox) -> i32 {
    let (mut plain, mut walled) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let start = Instant::now();
        assert!(Command::new("/usr/bin/true").status().unwrap().success());
        plain.push(start.elapsed());
        let start = Instant::now();
        let mut child = spawn(sandbox, Stdio::null().unwrap()).unwrap();
        assert_eq!(child.wait().unwrap().exit, Exit::Code(0));
        walled.push(start.elapsed());
    }
    plain.sort();
    walled.sort();
    for at in [0, walled.len() / 2] {
        println!("{}", walled[at].saturating_sub(plain[at]).as_micros());
    }
    0
}

/// A Landlock layer refuses any change of mounts, and what it does not name besides.
fn refused(sandbox: &Sandbox, writing: bool) -> i32 {
    let all = AccessFs::from_all(ABI::V2);
    let allowed = if writing { all } else { AccessFs::from_read(ABI::V2) };
    Ruleset::default()
        .handle_access(all)
        .unwrap()
        .create()
        .unwrap()
        .add_rule(PathBeneath::new(PathFd::new("/").unwrap(), allowed))
        .unwrap()
        .add_rule(PathBeneath::new(PathFd::new("/dev/null").unwrap(), AccessFs::ReadFile | AccessFs::WriteFile))
        .unwrap()
        .restrict_self()
        .unwrap();
    match probe(sandbox) {
        Ok(_) => println!("it passes"),
        Err(refusal) => println!("{:?}\n{refusal}", refusal.failure.step),
    }
    0
}

/// Starts it.
pub(crate) fn start(task: Task, sandbox: &Sandbox) -> Process {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(NAME).arg(format!("{task:?}"));
    command.stdin(CommandStdio::piped()).stdout(CommandStdio::piped()).stderr(CommandStdio::piped());
    let mut process = command.spawn().unwrap();
    let text = serde_json::to_vec(sandbox).unwrap();
    process.stdin.take().unwrap().write_all(&text).unwrap();
    process
}

/// Starts it, and waits for it.
pub(crate) fn output(task: Task, sandbox: &Sandbox) -> Output {
    start(task, sandbox).wait_with_output().unwrap()
}
