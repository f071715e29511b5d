//! What only a real disk shows: threads, processes, kill -9.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use brizo_backend::facts::{Started, VoidCause};
use brizo_backend::{ErrorKind, JobFilter, Phase};
use brizo_journal::{Journal, Submitted};
use jiff::SignedDuration;

use crate::common::{PROVIDER, Place, ended, id, keys, list, pages, spec};

fn journal(folder: &Path) -> Journal {
    Journal::local(folder, PROVIDER, keys()).unwrap()
}

/// Otherwise a client's 20 impatient retries would run 20 jobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_submits_at_once_make_one_job() {
    let place = Place::Folder(tempfile::tempdir().unwrap());
    let submits = (0..20).map(|_| {
        let journal = place.journal();
        tokio::spawn(async move { journal.submit(&spec(1, "0xa")).await.unwrap() })
    });
    let mut new = 0;
    let mut jobs = Vec::new();
    for submit in submits.collect::<Vec<_>>() {
        let submitted = submit.await.unwrap();
        new += usize::from(matches!(submitted, Submitted::New(_)));
        jobs.push(submitted.into_facts());
    }
    assert_eq!(new, 1);
    assert!(jobs.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(place.files().await.len(), 5);
}

/// Otherwise a submit would fail because another job's end has just removed the folder that it writes to.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn folders_vanish_under_no_writer() {
    let place = Place::Folder(tempfile::tempdir().unwrap());
    let lives = (0..8).map(|task| {
        let journal = place.journal();
        tokio::spawn(async move {
            for n in 0..12 {
                let job = id(task * 100 + n);
                let facts = journal.submit(&spec(task * 100 + n, "0xa")).await.unwrap().into_facts();
                let void = Started::Void { at: journal.now(), cause: VoidCause::Stop };
                journal.start(&job, &void).await.unwrap();
                journal.end(&job, &ended(&facts, Phase::Stopped, journal.now())).await.unwrap();
                journal.delete(&job).await.unwrap();
                journal.forget(&job).await.unwrap();
            }
        })
    });
    for life in lives.collect::<Vec<_>>() {
        life.await.unwrap();
    }
    let now = brizo_backend::now().checked_add(SignedDuration::from_hours(25)).unwrap();
    let later = place.journal().with_clock(std::sync::Arc::new(move || now));
    assert!(later.sweep().await.unwrap().is_empty());
    assert_eq!(place.files().await, Vec::<String>::new());
    let Place::Folder(folder) = &place else { unreachable!() };
    let left: Vec<_> =
        std::fs::read_dir(folder.path().join(PROVIDER)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["staging"], "empty folders make lists slow");
}

const FOLDER: &str = "BRIZO_TEST_JOURNAL_FOLDER";

/// The process that [`a_killed_gateway_loses_nothing`] kills.
#[test]
#[ignore = "run by another test"]
fn submits_until_it_is_killed() {
    let folder = std::env::var_os(FOLDER).expect("run by another test");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let journal = journal(Path::new(&folder));
    runtime.block_on(async {
        let (done, mut submitted) = tokio::sync::mpsc::channel(1);
        for task in 0..4u64 {
            let (journal, done) = (journal.clone(), done.clone());
            tokio::spawn(async move {
                for n in task * 10_000.. {
                    let facts = journal.submit(&spec(n, "0xa")).await.unwrap().into_facts();
                    if n % 3 == 0 {
                        journal.end(&id(n), &ended(&facts, Phase::Failed, journal.now())).await.unwrap();
                    }
                    done.send(n).await.unwrap();
                }
            });
        }
        while let Some(n) = submitted.recv().await {
            println!("submitted {n}");
        }
    });
}

/// Otherwise what a gateway answered with 201 would be lost when it is killed, or something half-made be shown.
#[test]
fn a_killed_gateway_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "disk::submits_until_it_is_killed", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let numbers = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("submitted ")?.parse::<u64>().ok());
    let promised: Vec<_> = numbers.take(60).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(promised.len(), 60);

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let journal = journal(folder.path());
        let listed: Vec<_> = pages(&journal, &JobFilter::default(), 100).await.into_iter().flatten().collect();
        let open: Vec<_> = journal.open_jobs().await.unwrap().into_iter().map(|facts| facts.submitted.id).collect();
        for n in promised {
            let job = listed.iter().find(|job| job.id == id(n)).expect("a job that was promised is lost");
            assert_eq!(job.phase.is_end(), n % 3 == 0);
            assert_eq!(open.contains(&id(n)), n % 3 != 0);
            assert_eq!(journal.secrets(&id(n)).await.unwrap(), spec(n, "0xa").secrets);
        }
        for job in &listed {
            assert_eq!(open.contains(&job.id), !job.phase.is_end(), "half there");
        }
        // What was under way is debris, and goes.
        let now = brizo_backend::now().checked_add(SignedDuration::from_mins(11)).unwrap();
        let later = journal.clone().with_clock(std::sync::Arc::new(move || now));
        for debris in later.debris(100).await.unwrap() {
            assert!(debris.jobless && listed.iter().all(|job| job.id != debris.id));
            later.clear(&debris).await.unwrap();
        }
        assert!(later.debris(100).await.unwrap().is_empty());
        let again = list(&later, &JobFilter::default(), 100, None).await.unwrap();
        assert_eq!(again.jobs.len(), listed.len().min(100));
    });
}

/// Otherwise a full disk would look like a hiccup, and clients would try again for ever.
#[tokio::test]
async fn a_folder_that_cannot_be_used_says_so() {
    let error = Journal::local(Path::new("/proc/nowhere"), PROVIDER, keys()).unwrap_err();
    assert!(error.message().contains("/proc/nowhere"), "{error}");
    let error = Journal::local(Path::new("/tmp"), "../escape", keys()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    let folder = tempfile::tempdir().unwrap();
    assert!(journal(folder.path()).health().await.is_ok());
}
