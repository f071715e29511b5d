use brizo_backend::SkipReason::{Fifo, HardLink, SymbolicLink};
use brizo_backend::{ByteRange, Page, Phase, Reason};

use crate::bench::{Bench, sha256, tag};
use crate::failure::{Verdict, ensure, refused};
use crate::{Failure, Output, Step};

pub(super) async fn are_listed(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let write = |path: &str, text: &str| Step::Write(path.to_owned(), text.as_bytes().to_vec());
    let spec = place.spec(vec![
        write("z", "last"),
        write("a/b/c.txt", "deep"),
        write("done", ""),
        write("a.txt", "a"),
        write("ü ber/mañana.csv", "x"),
        Step::Folder("empty/inside".to_owned()),
    ]);
    let job = gateway.run(&spec, Phase::Succeeded).await?;
    let mut right: Vec<(String, u64, String)> =
        [("z", "last"), ("a/b/c.txt", "deep"), ("done", ""), ("a.txt", "a"), ("ü ber/mañana.csv", "x")]
            .map(|(path, text)| (path.to_owned(), text.len() as u64, sha256(text.as_bytes())))
            .into();
    right.sort();
    for limit in [1, 2, 5, 1000] {
        let mut listed = Vec::new();
        let mut cursor = None;
        loop {
            let page = gateway.outputs(&spec.id, &Page { limit, cursor }).await?;
            ensure!(page.items.len() <= limit as usize, "a page of {limit} holds {} outputs", page.items.len());
            listed.extend(page.items.into_iter().map(|o| (o.path.as_str().to_owned(), o.bytes, o.sha256)));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            ensure!(listed.len() < 50, "the pages of outputs do not end");
        }
        ensure!(listed == right, "outputs by {limit} are {listed:?} in place of {right:?}");
    }
    for (path, bytes, _) in &right {
        let (_, read) = gateway.read(&spec.id, path, None).await?;
        ensure!(read.len() as u64 == *bytes, "{path} reads as {} bytes", read.len());
    }
    let totals = job.outputs.map(|totals| (totals.count, totals.bytes, totals.skipped));
    ensure!(totals == Some((5, 10, 0)), "the totals of the outputs are {totals:?}");
    let page = Page { limit: 2, cursor: Some("garbage".to_owned()) };
    refused!(gateway.outputs(&spec.id, &page).await, InvalidCursor, "a garbled cursor of outputs");
    Ok(())
}

pub(super) async fn skip_what_is_no_file(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let link = |path: &str, target: &str| Step::Symlink(path.to_owned(), target.to_owned());
    let spec = place.spec(vec![
        link("nowhere", "/nowhere"),
        link("loop", "."),
        link("passwd", "/etc/passwd"),
        link("root", "/"),
        link("inner/up", "../../../../../../etc/hostname"),
        Step::Fifo("pipe".to_owned()),
        Step::Write("twice".to_owned(), b"t".to_vec()),
        Step::HardLink("again".to_owned(), "twice".to_owned()),
        Step::Write("inner/ok".to_owned(), b"ok".to_vec()),
        link("ok-link", "inner/ok"),
    ]);
    let job = gateway.run(&spec, Phase::Succeeded).await?;
    let page = gateway.first_outputs(&spec.id).await?;
    let listed: Vec<_> = page.items.iter().map(|output| output.path.as_str()).collect();
    ensure!(listed == ["inner/ok"], "besides links and their kind only inner/ok is a file: {listed:?}");
    let skipped: Vec<_> = page.skipped.iter().map(|skipped| (skipped.path.as_str(), skipped.why)).collect();
    let right = [
        ("again", HardLink),
        ("inner/up", SymbolicLink),
        ("loop", SymbolicLink),
        ("nowhere", SymbolicLink),
        ("ok-link", SymbolicLink),
        ("passwd", SymbolicLink),
        ("pipe", Fifo),
        ("root", SymbolicLink),
        ("twice", HardLink),
    ];
    ensure!(skipped == right, "skipped are {skipped:?} in place of {right:?}");
    let totals = job.outputs.map(|totals| (totals.count, totals.bytes, totals.skipped));
    ensure!(totals == Some((1, 2, 9)), "the totals of the outputs are {totals:?}");
    for path in ["passwd", "root/etc/passwd", "loop/inner/ok", "inner/up", "pipe", "again", "ok-link"] {
        let parsed = path.parse().map_err(|error| Failure::new(format!("{path}: {error}")))?;
        refused!(gateway.read_output(&spec.id, &parsed, None).await, NotFound, "reading {path}, which was skipped");
    }
    Ok(())
}

pub(super) async fn ranges(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let spec = place.spec(vec![
        Step::Write("file".to_owned(), bytes.clone()),
        Step::Write("empty".to_owned(), vec![]),
        Step::Fill("zeros".to_owned(), 3_000_000),
    ]);
    gateway.run(&spec, Phase::Succeeded).await?;
    let from = |first, last| ByteRange::From { first, last };
    for (range, right) in [
        (from(0, Some(0)), 0..1),
        (from(1, Some(999)), 1..1000),
        (from(19_999, None), 19_999..20_000),
        (from(10_000, Some(u64::MAX)), 10_000..20_000),
        (ByteRange::Suffix(7), 19_993..20_000),
        (ByteRange::Suffix(50_000), 0..20_000),
    ] {
        let (output, got) = gateway.read(&spec.id, "file", Some(range)).await?;
        ensure!(output.bytes == 20_000, "with {range:?} the size of the whole file is {}", output.bytes);
        ensure!(got == bytes[right.clone()], "{range:?} yields {} bytes other than {right:?}", got.len());
    }
    for (path, range) in [
        ("file", from(20_000, None)),
        ("file", from(5, Some(4))),
        ("file", ByteRange::Suffix(0)),
        ("empty", from(0, None)),
        ("empty", ByteRange::Suffix(1)),
    ] {
        let parsed = path.parse().map_err(|error| Failure::new(format!("{path}: {error}")))?;
        refused!(gateway.read_output(&spec.id, &parsed, Some(range)).await, Range, "{range:?} of {path}");
    }
    let (_, zeros) = gateway.read(&spec.id, "zeros", Some(from(500_000, Some(2_499_999)))).await?;
    ensure!(zeros.len() == 2_000_000 && zeros.iter().all(|byte| *byte == 0), "a long range is not what was written");
    let (_, empty) = gateway.read(&spec.id, "empty", None).await?;
    ensure!(empty.is_empty(), "an empty file reads as {} bytes", empty.len());
    Ok(())
}

pub(super) async fn limit(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let mut spec = place.spec(vec![
        Step::Fill("a".to_owned(), 600),
        Step::Fill("b".to_owned(), 600),
        Step::Print(Output::Stdout, b"written\n".to_vec()),
    ]);
    spec.limits.outputs_bytes = 1000;
    let job = gateway.run(&spec, Phase::Failed).await?;
    ensure!(matches!(job.reason, Some(Reason::Publish { .. })), "over its outputs it is {:?}", job.reason);
    let paths = gateway.output_paths(&spec.id).await?;
    ensure!(paths == ["a"], "of two files one fits, the first: {paths:?}");
    ensure!(job.outputs.is_some_and(|totals| totals.bytes == 600), "the totals of the outputs are {:?}", job.outputs);
    let printed = gateway.stdout(&spec.id).await?;
    ensure!(printed == "written\n", "its log is {printed:?}");
    spec = place.spec(vec![Step::Fill("a".to_owned(), 600), Step::Fill("b".to_owned(), 400)]);
    spec.limits.outputs_bytes = 1000;
    gateway.run(&spec, Phase::Succeeded).await?;
    Ok(())
}

pub(super) async fn before_the_end(bench: &Bench) -> Verdict {
    let place = bench.narrow(1, 1).await?;
    let gateway = place.gateway().await?;
    let running = place.spec(vec![Step::Write("half".to_owned(), b"x".to_vec()), Step::Token, Step::Hold(tag())]);
    gateway.submit(&running).await?;
    gateway.until_printed(&running.id, "token").await?;
    let queued = place.spec(vec![]);
    gateway.submit(&queued).await?;
    for spec in [&running, &queued] {
        let page = gateway.first_outputs(&spec.id).await?;
        let empty = page.items.is_empty() && page.skipped.is_empty() && page.next.is_none();
        ensure!(empty, "outputs are listed before they are published: {page:?}");
        let job = gateway.get(&spec.id).await?;
        ensure!(job.outputs.is_none(), "a job that has published nothing has totals: {:?}", job.outputs);
        let half = "half".parse().map_err(|error| Failure::new(format!("{error}")))?;
        refused!(gateway.read_output(&spec.id, &half, None).await, NotFound, "reading an output that is not published");
    }
    gateway.stop(&running.id).await?;
    gateway.end(&running.id, Phase::Stopped).await?;
    gateway.end(&queued.id, Phase::Succeeded).await?;
    Ok(())
}
