use std::time::Duration;

use brizo_backend::{LogOptions, LogStream, Phase};
use futures::StreamExt;

use crate::bench::{Bench, tag};
use crate::failure::{Verdict, ensure};
use crate::gateway::{Stalls, eventually, to_the_end};
use crate::{Failure, Output, Step};

/// Bytes that no text has, and the long line that engines cut.
fn noise() -> (Vec<Step>, Vec<u8>, Vec<u8>) {
    let every: Vec<u8> = (0..=255).collect();
    let odd = b"hi\n\x80\xff\x00\n\x1b[2Jend\n";
    let steps = vec![
        Step::Print(Output::Stdout, every.clone()),
        Step::Print(Output::Stderr, odd.to_vec()),
        Step::Repeat(Output::Stdout, b'x', 100_000),
        Step::Print(Output::Stdout, b"\n\ntail without newline".to_vec()),
        Step::Repeat(Output::Stderr, 0, 70_000),
    ];
    let mut stdout = every;
    stdout.extend(std::iter::repeat_n(b'x', 100_000));
    stdout.extend(b"\n\ntail without newline");
    let mut stderr = odd.to_vec();
    stderr.extend(std::iter::repeat_n(0, 70_000));
    (steps, stdout, stderr)
}

fn of(stream: Option<LogStream>, offset: u64) -> LogOptions {
    LogOptions { stream, offset, follow: false }
}

fn compare(what: &str, got: &[u8], right: &[u8]) -> Verdict {
    let at = got.iter().zip(right).position(|(a, b)| a != b).unwrap_or(got.len().min(right.len()));
    ensure!(got == right, "{what}: {} bytes for {}, first different at {at}", got.len(), right.len());
    Ok(())
}

pub(super) async fn are_bytes(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let (steps, stdout, stderr) = noise();
    let spec = place.spec(steps);
    let job = gateway.run(&spec, Phase::Succeeded).await?;
    let totals = job.log.map(|log| (log.stdout_bytes, log.stderr_bytes));
    ensure!(totals == Some((stdout.len() as u64, stderr.len() as u64)), "the totals of the log are {totals:?}");
    for (stream, right) in [(LogStream::Stdout, &stdout), (LogStream::Stderr, &stderr)] {
        compare(&format!("{stream:?}"), &gateway.log(&spec.id, of(Some(stream), 0)).await?, right)?;
        let length = right.len();
        for offset in [1, 20, 8192, 65_536, length - 1, length, length + 1000] {
            let got = gateway.log(&spec.id, of(Some(stream), offset as u64)).await?;
            compare(&format!("{stream:?} from {offset}"), &got, &right[offset.min(length)..])?;
        }
    }
    let both = gateway.chunks(&spec.id, of(None, 0)).await?;
    for (stream, right) in [(LogStream::Stdout, &stdout), (LogStream::Stderr, &stderr)] {
        let part: Vec<u8> = both.iter().filter(|c| c.stream == stream).flat_map(|c| c.bytes.to_vec()).collect();
        compare(&format!("{stream:?} within both"), &part, right)?;
    }
    let whole = gateway.log(&spec.id, of(None, 0)).await?;
    for offset in [1, 300, 90_000, whole.len() - 1, whole.len()] {
        let got = gateway.log(&spec.id, of(None, offset as u64)).await?;
        compare(&format!("both from {offset}"), &got, &whole[offset..])?;
    }
    if bench.capability.logs_follow {
        let followed = gateway.log(&spec.id, LogOptions { stream: None, offset: 5, follow: true }).await?;
        compare("both, followed after the end", &followed, &whole[5..])?;
    }
    gateway.kill().await;
    let gateway = place.gateway().await?;
    compare("both after a restart", &gateway.log(&spec.id, of(None, 0)).await?, &whole)
}

pub(super) async fn while_it_runs(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let (mut steps, stdout, _) = noise();
    steps.push(Step::Hold(tag()));
    let spec = place.spec(steps);
    gateway.submit(&spec).await?;
    let mut got = Vec::new();
    let read_on = async || {
        let more = gateway.log(&spec.id, of(Some(LogStream::Stdout), got.len() as u64)).await?;
        got.extend(more);
        Ok(got.len() >= stdout.len())
    };
    eventually(place.patience, "a running job's log does not show all that it printed", read_on).await?;
    compare("stdout read piece by piece while it ran", &got, &stdout)?;
    for offset in [1, 300, 70_000, stdout.len() - 1] {
        let rest = gateway.log(&spec.id, of(Some(LogStream::Stdout), offset as u64)).await?;
        compare(&format!("stdout from {offset} while it ran"), &rest, &stdout[offset..])?;
    }
    let running = gateway.get(&spec.id).await?;
    ensure!(running.phase == Phase::Running, "it should run until it is stopped");
    gateway.stop(&spec.id).await?;
    gateway.end(&spec.id, Phase::Stopped).await?;
    compare("stdout after the end", &gateway.stream(&spec.id, LogStream::Stdout).await?, &stdout)
}

pub(super) async fn follow(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::Count { to: 8, pause_ms: 250 }]);
    gateway.submit(&spec).await?;
    let options = LogOptions { stream: Some(LogStream::Stdout), offset: 0, follow: true };
    let mut stream = gateway.logs(&spec.id, &options).await?;
    let mut stalls = Stalls::new();
    let mut text = Vec::new();
    let mut pieces = 0;
    loop {
        let piece = stalls.beside(tokio::time::timeout(place.patience, stream.next())).await;
        let Some(chunk) = piece.map_err(|_| Failure::new("a followed log neither yields nor ends"))?.transpose()?
        else {
            break;
        };
        let lag = brizo_backend::now().as_millisecond() - chunk.at.as_millisecond();
        let allowed = 1000 + stalls.longest();
        ensure!(lag <= allowed, "a piece of a followed log came {lag} ms after it was written, with {allowed} allowed");
        ensure!(chunk.offset == text.len() as u64, "a followed log goes on at {} after {}", chunk.offset, text.len());
        text.extend_from_slice(&chunk.bytes);
        ensure!(text.len() < 100, "a followed log goes on after its end");
        pieces += 1;
    }
    compare("a followed log", &text, b"1\n2\n3\n4\n5\n6\n7\n8\n")?;
    ensure!(pieces >= 4, "a log of 8 lines in 2 s was followed in {pieces} pieces");
    gateway.end(&spec.id, Phase::Succeeded).await?;
    Ok(())
}

pub(super) async fn before_the_start(bench: &Bench) -> Verdict {
    let place = bench.narrow(1, 1).await?;
    let gateway = place.gateway().await?;
    let first = place.spec(vec![Step::Token, Step::Hold(tag())]);
    gateway.submit(&first).await?;
    gateway.until_printed(&first.id, "token").await?;
    let spec = place.spec(vec![Step::Print(Output::Stdout, b"at last\n".to_vec())]);
    gateway.submit(&spec).await?;
    let early = gateway.log(&spec.id, of(None, 0)).await?;
    ensure!(early.is_empty(), "the log of a job that waits is {early:?}");
    let mut followed = None;
    if bench.capability.logs_follow {
        let mut stream = gateway.logs(&spec.id, &LogOptions { follow: true, ..of(None, 0) }).await?;
        let nothing = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
        ensure!(nothing.is_err(), "the followed log of a job that waits yields {nothing:?}");
        followed = Some(stream);
    }
    gateway.stop(&first.id).await?;
    if let Some(stream) = followed {
        let chunks = to_the_end("a log that was followed before the start", place.patience, stream).await?;
        let chunks = chunks.into_iter().collect::<brizo_backend::Result<Vec<_>>>()?;
        let text: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
        compare("a log that was followed before the start", &text, b"at last\n")?;
    }
    gateway.end(&spec.id, Phase::Succeeded).await?;
    Ok(())
}
