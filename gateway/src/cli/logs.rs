//! `brizo logs`: an algorithm's log, byte for byte, resumed where a connection broke.

use std::time::Duration;

use clap::{Args, ValueEnum};
use futures::StreamExt;
use reqwest::Method;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::say::Say;

/// Which part of a log to show.
#[derive(Debug, Clone, Args)]
pub(super) struct LogsArgs {
    /// The job
    pub(super) id: String,
    /// Go on until the job has ended
    #[arg(long)]
    pub(super) follow: bool,
    /// One stream, or both apart: stdout to standard output, stderr to standard error
    #[arg(long, value_enum, default_value = "all")]
    pub(super) stream: StreamArg,
    /// Begin at this byte of each stream
    #[arg(long, default_value_t = 0)]
    pub(super) offset: u64,
}

/// A stream of an algorithm's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StreamArg {
    /// Both.
    All,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How often a stream that broke off is taken up again without a byte in between.
const TRIES: u32 = 10;

pub(super) async fn logs(client: &Client, say: &Say, args: &LogsArgs) -> Result<Exit, Failure> {
    match args.stream {
        StreamArg::All => show(client, say, &args.id, args.follow, args.offset).await?,
        StreamArg::Stdout => copy(client, say, &args.id, false, args.follow, args.offset).await?,
        StreamArg::Stderr => copy(client, say, &args.id, true, args.follow, args.offset).await?,
    }
    Ok(Exit::Done)
}

/// Both streams, each to its own.
pub(super) async fn show(client: &Client, say: &Say, id: &str, follow: bool, offset: u64) -> Result<(), Failure> {
    tokio::try_join!(copy(client, say, id, false, follow, offset), copy(client, say, id, true, follow, offset),)?;
    Ok(())
}

async fn copy(
    client: &Client,
    say: &Say,
    id: &str,
    stderr: bool,
    follow: bool,
    mut offset: u64,
) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        let mut url = client.url(&["api", "v1", "jobs", id, "logs"]);
        url.query_pairs_mut()
            .append_pair("stream", if stderr { "stderr" } else { "stdout" })
            .append_pair("offset", &offset.to_string())
            .append_pair("follow", if follow { "true" } else { "false" });
        let response = client.request(Method::GET, url, |request| request.header("accept", "text/plain")).await?;
        let mut stream = response.bytes_stream();
        let broke = loop {
            match stream.next().await {
                None => break false,
                Some(Err(_)) => break true,
                Some(Ok(bytes)) => {
                    tries = 0;
                    offset += bytes.len() as u64;
                    match say.log(stderr, &bytes) {
                        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                        Err(error) => return Err(Failure::internal(format!("The log can't be written: {error}"))),
                        Ok(()) => {}
                    }
                }
            }
        };
        if !broke {
            return Ok(());
        }
        tries += 1;
        if tries > TRIES {
            return Err(Failure::new(super::failure::Exit::Unavailable, "The log broke off again and again.")
                .next(format!("brizo logs {id} --offset {offset}")));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
