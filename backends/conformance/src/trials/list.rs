use std::collections::HashSet;

use brizo_backend::{Job, JobFilter, JobId, Page, Phase};

use crate::bench::{Bench, agreement, owner, tag, tick};
use crate::failure::{Verdict, ensure, refused};
use crate::{Failure, Step};

fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub(super) async fn newest_first(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let mut jobs = Vec::new();
    for (whose, bought, steps) in [
        ("a", "one", vec![]),
        ("b", "one", vec![Step::Exit(3)]),
        ("a", "two", vec![Step::Token, Step::Hold(tag())]),
        ("a", "one", vec![Step::Exit(3)]),
        ("c", "two", vec![]),
    ] {
        let mut spec = place.spec_of(whose, steps);
        spec.datasets[0].agreement = agreement(bought);
        jobs.push(gateway.submit(&spec).await?);
        tick().await;
    }
    for (index, phase) in [(0, Phase::Succeeded), (1, Phase::Failed), (3, Phase::Failed), (4, Phase::Succeeded)] {
        gateway.end(&jobs[index].id, phase).await?;
    }
    gateway.until(&jobs[2].id, "its start", |job| job.phase == Phase::Running).await?;
    let all = JobFilter::default;
    let of = |name: &str| JobFilter { owner: Some(owner(name)), ..all() };
    let by = |name: &str| JobFilter { agreement: Some(agreement(name)), ..all() };
    let ended = vec![Phase::Succeeded, Phase::Failed, Phase::Stopped];
    let cases: [(&str, JobFilter, &[usize]); 12] = [
        ("all", all(), &[4, 3, 2, 1, 0]),
        ("of an owner", of("a"), &[3, 2, 0]),
        ("of an owner without jobs", of("nobody"), &[]),
        ("of an agreement", by("one"), &[3, 1, 0]),
        ("of an agreement without jobs", by("none"), &[]),
        ("of an owner and an agreement", JobFilter { agreement: Some(agreement("one")), ..of("a") }, &[3, 0]),
        ("of a phase", JobFilter { phases: vec![Phase::Failed], ..all() }, &[3, 1]),
        ("that have ended", JobFilter { phases: ended, ..all() }, &[4, 3, 1, 0]),
        ("that run", JobFilter { phases: vec![Phase::Running], ..all() }, &[2]),
        ("since one's own time", JobFilter { created_after: Some(jobs[3].created_at), ..all() }, &[4, 3]),
        ("of an owner since", JobFilter { created_after: Some(jobs[1].created_at), ..of("a") }, &[3, 2]),
        ("of an agreement in a phase", JobFilter { phases: vec![Phase::Failed], ..by("one") }, &[3, 1]),
    ];
    for (what, filter, right) in cases {
        for limit in [2, 100] {
            let listed = ids(&gateway.all(&filter, limit).await?);
            let right: Vec<_> = right.iter().map(|index| jobs[*index].id).collect();
            ensure!(listed == right, "jobs {what} by {limit}: {listed:?} in place of {right:?}");
        }
    }
    for job in gateway.all(&all(), 100).await? {
        if job.phase.is_end() {
            ensure!(gateway.get(&job.id).await? == job, "the list shows another job than get");
        }
    }
    gateway.stop(&jobs[2].id).await?;
    gateway.end(&jobs[2].id, Phase::Stopped).await?;
    Ok(())
}

pub(super) async fn pages(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.idle_gateway().await?;
    let mut standing = Vec::new();
    for _ in 0..9 {
        let spec = place.spec(vec![]);
        gateway.submit(&spec).await?;
        standing.insert(0, spec.id);
        tick().await;
    }
    for limit in [1, 3, 4, 9, 100] {
        for filter in [JobFilter::default(), JobFilter { owner: Some(owner("ada")), ..JobFilter::default() }] {
            let listed = ids(&gateway.all(&filter, limit).await?);
            ensure!(
                listed.ends_with(&standing),
                "by pages of {limit} the jobs are {listed:?} in place of {standing:?}"
            );
        }
        // The next round pages while the list grows in front.
        let mut cursor = None;
        let mut seen = Vec::new();
        loop {
            let page = gateway.list(&JobFilter::default(), &Page { limit, cursor }).await?;
            ensure!(page.jobs.len() <= limit as usize, "a page of {limit} holds {} jobs", page.jobs.len());
            seen.extend(ids(&page.jobs));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            ensure!(seen.len() < 200, "the pages do not end while jobs are submitted");
            if seen.len() < 12 {
                gateway.submit(&place.spec(vec![])).await?;
            }
        }
        let unique: HashSet<_> = seen.iter().collect();
        ensure!(unique.len() == seen.len(), "a job shows on two pages of {limit} while others are submitted");
        let kept: Vec<_> = seen.into_iter().filter(|id| standing.contains(id)).collect();
        ensure!(kept == standing, "while others are submitted pages of {limit} show {kept:?} of {standing:?}");
    }
    let long = "A".repeat(5000);
    for garbage in ["", "garbage", "0", "../../etc", "\u{0}", "ünïcode", &long] {
        let page = Page { limit: 3, cursor: Some(garbage.to_owned()) };
        refused!(gateway.list(&JobFilter::default(), &page).await, InvalidCursor, "the cursor {garbage:.20?}");
    }
    let first = gateway.list(&JobFilter::default(), &Page { limit: 2, cursor: None }).await?;
    let next = first.next.ok_or_else(|| Failure::new("a page of 2 among 9 has no cursor"))?;
    let cut: String = next.chars().take(next.chars().count() - 1).collect();
    let page = Page { limit: 2, cursor: Some(cut) };
    refused!(gateway.list(&JobFilter::default(), &page).await, InvalidCursor, "a cursor that was cut");
    Ok(())
}
