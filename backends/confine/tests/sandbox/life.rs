//! How a program in a sandbox begins and ends.

use brizo_confine::{Exit, probe};
use libtest_mimic::Trial;

use crate::harness::{python, run, sandbox, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("probe_passes_here", || {
            let walls = probe(&sandbox(&["x"])).unwrap();
            eprintln!("{walls:#?}");
        }),
        trial("a_program_runs", || {
            assert_eq!(run(&python("print('hello')")).success(), "hello\n");
        }),
        trial("an_exit_code_is_told", || {
            assert_eq!(run(&sandbox(&["sh", "-c", "exit 3"])).end.exit, Exit::Code(3));
        }),
    ]
}
