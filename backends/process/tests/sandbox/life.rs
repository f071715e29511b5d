//! A job's life, and what ordinary programs find inside.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use brizo_backend::{Backend as _, ByteRange, LogOptions, Phase};
use futures::StreamExt as _;
use libtest_mimic::Trial;

use crate::support::{Gateway, PATIENCE, Site, job, python, sh, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_gateway_that_is_killed_leaves_its_jobs_running", killed_gateway),
        trial("a_shim_that_is_killed_is_an_interruption", killed_shim),
        trial("a_host_that_goes_down_is_an_interruption_with_its_outputs", terminated_shim),
        trial("python_pools_work_with_every_start_method", multiprocessing),
        trial("node_runs", node),
        trial("a_log_comes_as_it_is_printed", unbuffered),
        trial("a_log_is_bytes", bytes),
        trial("a_flood_of_log_is_bounded", flood),
        trial("many_small_outputs_are_listed_in_pages", many_outputs),
        trial("a_gigabyte_is_read_in_constant_memory", gigabyte),
        trial("a_shim_is_small", small_shim),
        trial("the_first_line_comes_soon", first_line),
        trial("deep_folders_are_ended_and_removed", deep),
        trial("memory_that_is_not_touched_costs_nothing", untouched_memory),
    ]
}

const GATEWAY: &str = "brizo-test-gateway";

/// A gateway in a process of its own, which a trial kills.
pub(crate) fn dispatch() -> Option<ExitCode> {
    if std::env::args().next()? != GATEWAY {
        return None;
    }
    let state_dir = PathBuf::from(std::env::args_os().nth(1)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let _gateway = Gateway::open(&state_dir).await;
        tokio::time::sleep(PATIENCE * 4).await;
    });
    Some(ExitCode::SUCCESS)
}

fn gateway_process(site: &Site) -> std::process::Child {
    use std::os::unix::process::CommandExt as _;
    Command::new("/proc/self/exe").arg0(GATEWAY).arg(site.state_dir()).spawn().unwrap()
}

async fn killed_gateway() {
    let site = Site::new();
    let mut first = gateway_process(&site);
    // Commits, and drives nothing: the process does.
    let second = Gateway::idle(&site.state_dir()).await;
    let spec =
        sh("echo begun; n=0; while [ ! -e /data/outputs/go ] && [ $n -lt 60 ]; do sleep 0.1; n=$((n+1)); done; \
                   echo token >> $OUTPUTS/token; echo done");
    second.backend.submit(&spec).await.unwrap();
    second.until_printed(&spec.id, "begun").await;
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.backend.get(&spec.id).await.unwrap().phase, Phase::Running);
    let third = site.gateway().await;
    let job = third.until(&spec.id, "end", |job| job.phase.is_end()).await;
    assert_eq!(job.phase, Phase::Succeeded, "{job:#?}");
    assert_eq!(third.output(&spec.id, "token").await.unwrap(), b"token\n", "it ran once");
    assert_eq!(third.log(&spec.id, None, true).await, "begun\ndone\n");
}

async fn killed_shim() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let spec = sh("echo kept > $OUTPUTS/kept; echo begun; sleep 60");
    gateway.backend.submit(&spec).await.unwrap();
    gateway.until_printed(&spec.id, "begun").await;
    signal_shim(&site, nix::sys::signal::Signal::SIGKILL);
    let job = gateway.until(&spec.id, "end", |job| job.phase.is_end()).await;
    assert_eq!(job.reason.map(|reason| reason.kind()), Some("interrupted"));
    assert_eq!(gateway.log(&spec.id, None, false).await, "begun\n");
    assert_eq!(gateway.output(&spec.id, "kept").await.unwrap(), b"kept\n");
}

async fn terminated_shim() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let spec = python(
        "import signal, sys, time\ndef save(*_):\n  open('/data/outputs/saved', 'w').write('saved')\n  sys.exit(0)\n\
         signal.signal(signal.SIGTERM, save)\nprint('begun')\ntime.sleep(60)",
    );
    gateway.backend.submit(&spec).await.unwrap();
    gateway.until_printed(&spec.id, "begun").await;
    signal_shim(&site, nix::sys::signal::Signal::SIGTERM);
    let job = gateway.until(&spec.id, "end", |job| job.phase.is_end()).await;
    assert_eq!(job.reason.map(|reason| reason.kind()), Some("interrupted"));
    assert_eq!(gateway.output(&spec.id, "saved").await.unwrap(), b"saved");
}

/// The pids of shims that hold a lock below this site.
fn shims(site: &Site) -> Vec<i32> {
    let state_dir = site.state_dir();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let found: Vec<i32> = pids
        .filter(|pid| {
            let name = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut targets = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
            name.starts_with(b"brizo-shim\0") && targets.any(|target| target.starts_with(&state_dir))
        })
        .collect();
    // The init of a sandbox is a copy of its shim, and its child.
    let parent = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<i32>().ok())
    };
    found.iter().copied().filter(|pid| !parent(pid).is_some_and(|parent| found.contains(&parent))).collect()
}

fn signal_shim(site: &Site, signal: nix::sys::signal::Signal) {
    let found = shims(site);
    assert_eq!(found.len(), 1);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(found[0]), signal).unwrap();
}

async fn multiprocessing() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let code = r"
import multiprocessing as mp, concurrent.futures as cf
def square(n): return n * n
if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        with mp.get_context(method).Pool(3) as pool:
            print(method, pool.map(square, range(4)))
    with cf.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(square, range(3))))
    queue = mp.Queue(); queue.put('q'); print(queue.get())
    from multiprocessing import shared_memory
    block = shared_memory.SharedMemory(create=True, size=1 << 20); block.buf[0] = 7; print(block.buf[0]); block.close(); block.unlink()
";
    let printed = gateway.printed(&python(code)).await;
    let squares = "[0, 1, 4, 9]";
    let expected = format!("fork {squares}\nspawn {squares}\nforkserver {squares}\n[0, 1, 4]\nq\n7\n");
    assert_eq!(printed, expected);
}

async fn node() {
    if !std::path::Path::new("/usr/bin/node").exists() {
        assert!(std::env::var_os("BRIZO_TEST_NO_SKIP").is_none(), "there is no /usr/bin/node");
        println!("skipped: there is no /usr/bin/node");
        return;
    }
    let site = Site::new();
    let gateway = site.gateway().await;
    let code = "const {execFileSync} = require('child_process'); const {Worker} = require('worker_threads'); \
                new WebAssembly.Memory({initial: 1}); \
                new Worker('require(\"worker_threads\").parentPort.postMessage(1)', {eval: true}).on('message', m => \
                console.log('worker', m, execFileSync('echo', ['child']).toString().trim(), process.env.DIDS));";
    let printed = gateway.printed(&job("node", "node $ALGO", code)).await;
    assert_eq!(printed, "worker 1 child [\"abc\"]\n");
}

async fn unbuffered() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let spec = python("import time\nfor i in range(3):\n  print(i, time.time())\n  time.sleep(0.7)");
    gateway.backend.submit(&spec).await.unwrap();
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut chunks = gateway.backend.logs(&spec.id, &follow).await.unwrap();
    let mut text = String::new();
    let mut lines = 0;
    while let Some(chunk) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap().bytes).unwrap());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        for line in text.split_inclusive('\n').skip(lines).filter(|line| line.ends_with('\n')) {
            let printed: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            assert!(now - printed < 1.0, "{line} came {} s late", now - printed);
            lines += 1;
        }
    }
    assert_eq!(text.lines().count(), 3);
}

async fn bytes() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let spec =
        sh(r"printf 'hi\n\200\377\000\n\033[2Jend\n'; head -c 100000 /dev/zero | tr '\000' x; printf y; printf z >&2");
    gateway.run(&spec).await;
    let options = LogOptions { stream: Some(brizo_backend::LogStream::Stdout), ..LogOptions::default() };
    let chunks: Vec<_> = gateway.backend.logs(&spec.id, &options).await.unwrap().collect().await;
    let all: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.unwrap().bytes.to_vec()).collect();
    let mut expected = b"hi\n\x80\xff\0\n\x1b[2Jend\n".to_vec();
    expected.extend(std::iter::repeat_n(b'x', 100_000));
    expected.push(b'y');
    assert!(all == expected);
}

async fn flood() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let mut spec = sh("cat /dev/zero");
    spec.limits.disk_bytes = 20 << 20;
    let job = gateway.run(&spec).await;
    assert_eq!(job.reason.map(|reason| reason.kind()), Some("disk"));
    assert!(job.log.unwrap().stdout_bytes < 60 << 20, "{:?}", job.log);
}

async fn many_outputs() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let mut spec = python(
        "import os\nfor n in range(5000):\n  with open(f'/data/outputs/{n:05}', 'w') as f: f.write('x' * 100)\n\
         os.makedirs('/data/outputs/e'); os.symlink('/nowhere', '/data/outputs/x')",
    );
    spec.limits.disk_bytes = 1 << 30;
    let began = Instant::now();
    let job = gateway.run(&spec).await;
    assert_eq!(job.phase, Phase::Succeeded, "{job:#?}");
    assert_eq!(job.outputs.unwrap().count, 5_000);
    let mut page = brizo_backend::Page { limit: 1000, cursor: None };
    let mut count = 0;
    loop {
        let outputs = gateway.backend.outputs(&spec.id, &page).await.unwrap();
        count += outputs.items.len();
        match outputs.next {
            Some(next) => page.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(count, 5_000);
    assert_eq!(gateway.output(&spec.id, "04999").await.unwrap().len(), 100);
    gateway.backend.delete(&spec.id).await.unwrap();
    assert!(began.elapsed() < Duration::from_mins(2));
}

fn resident(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

async fn gigabyte() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let mut spec = sh("head -c 1073741824 /dev/zero > $OUTPUTS/big");
    spec.limits.disk_bytes = 2 << 30;
    spec.limits.outputs_bytes = 2 << 30;
    let job = gateway.run(&spec).await;
    assert_eq!(job.phase, Phase::Succeeded, "{job:#?}");
    let before = resident("self");
    let mut most = before;
    let stream = gateway.backend.read_output(&spec.id, &"big".parse().unwrap(), None).await.unwrap();
    let mut pieces = stream.stream;
    let mut read = 0;
    while let Some(piece) = pieces.next().await {
        read += piece.unwrap().len();
        most = most.max(resident("self"));
    }
    assert_eq!(read, 1 << 30);
    assert!(most - before < 20 << 20, "it grew by {} bytes", most - before);
    let range = Some(ByteRange::From { first: (1 << 30) - 1, last: None });
    let last = gateway.backend.read_output(&spec.id, &"big".parse().unwrap(), range).await.unwrap();
    assert_eq!(last.range, (1 << 30) - 1..1 << 30);
}

async fn small_shim() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let spec = sh("echo begun; sleep 60");
    gateway.backend.submit(&spec).await.unwrap();
    gateway.until_printed(&spec.id, "begun").await;
    let pids = shims(&site);
    let largest = pids.iter().map(|pid| resident(&pid.to_string())).max().unwrap();
    println!("a shim takes {largest} bytes");
    assert!(largest < 10 << 20, "{largest} bytes");
    gateway.backend.delete(&spec.id).await.unwrap();
}

async fn first_line() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let spec = job("sh", "$ALGO", "#!/bin/sh\ndate +%s.%N\n");
        let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let printed = gateway.printed(&spec).await;
        times.push(printed.trim().parse::<f64>().unwrap() - began);
    }
    times.sort_by(f64::total_cmp);
    println!("from submit to the first line: p50 {:.1} ms, max {:.1} ms", times[10] * 1e3, times[19] * 1e3);
    // The benchmark measures it against fork+exec; this only sees that nothing waits for a tick.
    assert!(times[10] < 0.2, "{times:?}");
}

async fn deep() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let spec = python(
        "import os\nos.chdir('/data/outputs')\nfor n in range(5000):\n  os.mkdir('d'); os.chdir('d')\nimport time; time.sleep(20)",
    );
    let job = gateway.run(&spec).await;
    assert_eq!(job.reason.map(|reason| reason.kind()), Some("disk"), "nobody could list it");
    gateway.backend.delete(&spec.id).await.unwrap();
    let work = site.state_dir().join("0xprovider/jobs").join(spec.id.to_string()).join("work");
    let limit = Instant::now() + PATIENCE;
    while work.exists() {
        assert!(Instant::now() < limit, "it is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn untouched_memory() {
    let site = Site::new();
    let gateway = site.gateway().await;
    let code = "import mmap; m = mmap.mmap(-1, 8 << 30); m[0] = 1; print('ok')";
    assert_eq!(gateway.printed(&python(code)).await, "ok\n");
}
