//! Ordinary data science works inside.

use std::path::Path;

use brizo_confine::Sandbox;
use libtest_mimic::Trial;

use crate::harness::{python, run, sandbox, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("python_multiprocessing_by_every_start_method", multiprocessing),
        trial("python_shared_memory_and_threads", shared_memory),
        trial("python_knows_who_it_is", python_user),
        trial("a_shell_knows_who_it_is", shell_user),
        trial("node_runs", node),
        trial("java_runs", java),
    ]
}

/// The sandbox's own file system has the program as a file, so that its workers can import it.
fn script(text: &str) -> Sandbox {
    python(&format!(
        "p='/tmp/job.py'; open(p,'w').write({text:?}); import os; os.execv('/usr/bin/python3', ['python3', p])"
    ))
}

fn multiprocessing() {
    for method in ["fork", "spawn", "forkserver"] {
        let outcome = run(&script(&format!(
            "
import multiprocessing as mp, concurrent.futures as cf
def square(x): return x * x
def put(q, x): q.put(x)
if __name__ == '__main__':
    context = mp.get_context('{method}')
    with context.Pool(2) as pool: print(sum(pool.map(square, range(100))))
    queue, lock = context.Queue(), context.Lock()
    process = context.Process(target=put, args=(queue, 'x' * 100000)); process.start()
    print(len(queue.get())); process.join(); print(process.exitcode)
    with cf.ProcessPoolExecutor(2, mp_context=context) as pool: print(list(pool.map(square, [7])))
    with context.Manager() as manager: shared = manager.dict(a=1); print(shared['a'])
"
        )));
        assert_eq!(outcome.success(), "328350\n100000\n0\n[49]\n1\n", "{method}");
    }
}

fn shared_memory() {
    let outcome = run(&python(
        "from multiprocessing import shared_memory
import threading, tempfile, os
block = shared_memory.SharedMemory(create=True, size=1 << 20); block.buf[5] = 7
other = shared_memory.SharedMemory(block.name); print(other.buf[5]); other.close(); block.close(); block.unlink()
done = []
threads = [threading.Thread(target=done.append, args=(i,)) for i in range(16)]
[t.start() for t in threads]; [t.join() for t in threads]; print(len(done))
with tempfile.TemporaryDirectory() as folder: print(folder.startswith('/tmp/'))
import ssl, sqlite3, zoneinfo, decimal, asyncio
async def main():
    process = await asyncio.create_subprocess_exec('echo', 'sub', stdout=-1); print((await process.communicate())[0])
asyncio.run(main())",
    ));
    assert_eq!(outcome.success(), "7\n16\nTrue\nb'sub\\n'\n");
}

/// Imports of common libraries die where the uid has no name.
fn python_user() {
    let outcome = run(&python(
        "import getpass, os, pwd, pathlib
print(getpass.getuser(), os.path.expanduser('~'), pathlib.Path.home(), pwd.getpwuid(os.getuid()).pw_name)
del os.environ['HOME']; print(os.path.expanduser('~')); open(os.path.expanduser('~/x'), 'w')",
    ));
    assert_eq!(outcome.success(), "brizo /home/brizo /home/brizo brizo\n/home/brizo\n");
}

fn shell_user() {
    let outcome = run(&sandbox(&["sh", "-c", "id -un; id -gn; echo ~; touch ~/x && ls ~"]));
    assert_eq!(outcome.success(), "brizo\nbrizo\n/home/brizo\nx\n");
}

fn node() {
    if !Path::new("/usr/bin/node").exists() {
        eprintln!("no /usr/bin/node here");
        return;
    }
    for (program, expected) in [
        ("1", ""),
        ("console.log(new WebAssembly.Memory({initial: 1}).buffer.byteLength)", "65536\n"),
        ("console.log(os.userInfo().username, os.homedir())", "brizo /home/brizo\n"),
        (
            "const {Worker} = require('worker_threads');
             new Worker('require(\"worker_threads\").parentPort.postMessage(6 * 7)', {eval: true}).on('message', m => console.log(m))",
            "42\n",
        ),
        ("console.log(child_process.execSync('echo sub; cat', {input: 'in'}).toString())", "sub\nin\n"),
        (
            "fs.promises.writeFile('/tmp/x', 'y').then(() => fs.promises.readFile('/tmp/x', 'utf8')).then(console.log);
             crypto.randomBytes(9); zlib.gzipSync('x')",
            "y\n",
        ),
    ] {
        assert_eq!(run(&sandbox(&["/usr/bin/node", "-e", program])).success(), expected, "{program}");
    }
}

fn java() {
    if !Path::new("/usr/bin/java").exists() {
        eprintln!("no /usr/bin/java here");
        return;
    }
    let outcome = run(&sandbox(&["/usr/bin/java", "-XX:+UseSerialGC", "-version"]));
    assert!(outcome.stderr.contains("version"), "{}", outcome.stderr);
    outcome.success();
}
