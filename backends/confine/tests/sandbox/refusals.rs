//! Hosts that let a sandbox be begun and not finished. The stand-in is a Landlock layer around the one who asks.

use libtest_mimic::Trial;

use crate::harness::{is_root, sandbox, trial};
use crate::helper::{Task, output};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_refused_uid_map_counts_as_no_namespaces", uid_map),
        trial("refused_mounts_count_as_no_namespaces", mounts),
    ]
}

/// The step that failed, and the refusal's line.
fn refusal(task: Task) -> (String, String) {
    let output = output(task, &sandbox(&["true"]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (step, line) = text.trim_end().split_once('\n').unwrap_or_else(|| panic!("{output:?}"));
    assert!(!line.contains('\n'), "{line}");
    (step.to_owned(), line.to_owned())
}

fn uid_map() {
    if is_root() {
        // Root has no uid map to write.
        return;
    }
    let (step, line) = refusal(Task::ProbeWithoutWriting);
    assert_eq!(step, "UidMap");
    assert!(line.contains("kernel.apparmor_restrict_unprivileged_userns"), "{line}");
    assert!(line.contains("deploy/apparmor"), "{line}");
}

fn mounts() {
    let (step, line) = refusal(Task::ProbeWithoutMounts);
    assert_eq!(step, "PrivateMounts");
    let word = if is_root() { "CAP_SYS_ADMIN" } else { "kernel.apparmor_restrict_unprivileged_userns" };
    assert!(line.contains(word), "{line}");
}
