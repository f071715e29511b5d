//! The command line: `brizo <command>`. Results go to standard output, all else to standard error; exit codes are in
//! [`Exit`].

mod algorithm;
mod client;
mod consumer;
mod failure;
mod gateway;
mod grant;
mod init;
mod jobs;
mod key;
mod logs;
mod order;
mod outputs;
mod publish;
mod register;
mod rekey;
mod run;
mod say;
mod site;
mod token;
mod wire;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Span};

use consumer::ConsumerArgs;
pub use failure::{Exit, Failure};
use say::Say;

/// The exit codes, for `brizo --help`.
const CODES: &str = "Exit codes: 0 done, 1 internal fault, 2 usage, 3 refused, 4 not yet, 5 the job failed, 6 the job was \
stopped, 7 the gateway, chain or store does not answer.";

/// A compute-to-data gateway: algorithms go to the data, authorized on chain
#[derive(Debug, Parser)]
#[command(name = "brizo", version, about, after_help = CODES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve(site::ConfigArg),
    /// Look at the configuration and all that it names: what is wrong, in one line each
    Check(Publisher<gateway::CheckArgs>),
    /// Print the OpenAPI document
    Openapi,
    /// Make a folder with keys and a configuration with comments
    Init(init::InitArgs),
    /// Publish an asset: seal its places, store its document, register its DID on chain
    Publish(Box<Publisher<publish::PublishArgs>>),
    /// Seal every document anew, after the seal key was changed: name the former key in assets.previous_seal_key_files,
    /// restart the gateway, then run this
    Rekey(Publisher<rekey::RekeyArgs>),
    /// Grant paid agreements on chain, and release the publisher's money
    Grant(Publisher<grant::GrantArgs>),
    /// Keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Buy a compute service: make and pay the agreement, and wait for the grant
    Order(Consumer<order::OrderOne>),
    /// Run an algorithm on a dataset: order if need be, follow the log, download the outputs
    Run(Box<Consumer<run::RunArgs>>),
    /// Print a bearer token for curl and Swagger UI
    Token(Consumer<token::TokenArgs>),
    /// List your jobs, or show one
    Jobs(Consumer<jobs::JobsArgs>),
    /// Show the log of a job
    Logs(Consumer<logs::LogsArgs>),
    /// List or download what a job published
    Outputs(Consumer<outputs::OutputsArgs>),
    /// Stop a job
    Stop(Consumer<StopArgs>),
    /// Delete a job, its log and its outputs
    Delete(Consumer<OneJob>),
}

/// A consumer's command, and what every one of them needs.
#[derive(Debug, Clone, Args)]
struct Consumer<T: Args> {
    #[command(flatten)]
    consumer: ConsumerArgs,
    #[command(flatten)]
    args: T,
}

/// A publisher's command, and where his configuration is.
#[derive(Debug, Clone, Args)]
struct Publisher<T: Args> {
    #[command(flatten)]
    config: site::ConfigArg,
    #[command(flatten)]
    args: T,
}

/// A job to stop.
#[derive(Debug, Clone, Args)]
struct StopArgs {
    /// The job
    id: String,
    /// Wait until nothing of it runs any more
    #[arg(long)]
    wait: bool,
}

/// One job.
#[derive(Debug, Clone, Args)]
struct OneJob {
    /// The job
    id: String,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: The runtime can't be started: {error}");
            return Exit::Internal.into();
        }
    };
    let exit = runtime.block_on(command(cli.command));
    // A blocked read of a file or a name look-up must not hold up the end.
    runtime.shutdown_background();
    exit.into()
}

async fn command(command: Command) -> Exit {
    match command {
        Command::Serve(config) => told(&Say::new(false), gateway::serve(&config).await),
        Command::Check(Publisher { config, args }) => {
            let say = Say::new(args.json);
            told(&say, gateway::look(&config, &args, &say).await)
        }
        Command::Openapi => {
            let say = Say::new(false);
            told(&say, gateway::openapi(&say))
        }
        Command::Init(args) => {
            let say = Say::new(args.json);
            told(&say, init::init(&args, &say))
        }
        Command::Publish(command) => {
            let Publisher { config, args } = *command;
            let say = Say::new(args.json);
            let ended = match config.site() {
                Ok(site) => publish::publish(&args, &site, &say).await,
                Err(failure) => Err(failure),
            };
            told(&say, ended)
        }
        Command::Rekey(Publisher { config, args }) => {
            let say = Say::new(args.json);
            let ended = match config.site() {
                Ok(site) => rekey::rekey(&site, &say).await,
                Err(failure) => Err(failure),
            };
            told(&say, ended)
        }
        Command::Grant(Publisher { config, args }) => {
            let say = Say::new(args.json);
            let ended = match config.site() {
                Ok(site) => grant::grant(site, &say, &args).await,
                Err(failure) => Err(failure),
            };
            told(&say, ended)
        }
        Command::Key(key::KeyCommand::New(args)) => {
            let say = Say::new(args.json);
            told(&say, key::new(&say, &args))
        }
        Command::Order(Consumer { consumer, args }) => {
            consumed(&consumer, async |client, say| order::order(client, say, &args).await).await
        }
        Command::Run(run) => consumed(&run.consumer, async |client, say| run::run(client, say, &run.args).await).await,
        Command::Token(Consumer { consumer, args }) => {
            consumed(&consumer, async |client, say| token::token(client, say, &args).await).await
        }
        Command::Jobs(Consumer { consumer, args }) => {
            consumed(&consumer, async |client, say| jobs::jobs(client, say, &args).await).await
        }
        Command::Logs(Consumer { consumer, args }) => {
            consumed(&consumer, async |client, say| logs::logs(client, say, &args).await).await
        }
        Command::Outputs(Consumer { consumer, args }) => {
            consumed(&consumer, async |client, say| outputs::outputs(client, say, &args).await).await
        }
        Command::Stop(Consumer { consumer, args }) => {
            consumed(&consumer, async |client, say| jobs::stop(client, say, &args.id, args.wait).await).await
        }
        Command::Delete(Consumer { consumer, args }) => {
            consumed(&consumer, async |client, say| jobs::delete(client, say, &args.id).await).await
        }
    }
}

/// Runs a consumer's command with his client.
async fn consumed(
    consumer: &ConsumerArgs,
    run: impl AsyncFnOnce(&client::Client, &Say) -> Result<Exit, Failure>,
) -> Exit {
    let say = consumer.say();
    let ended = match consumer.client() {
        Ok(client) => run(&client, &say).await,
        Err(failure) => Err(failure),
    };
    told(&say, ended)
}

fn told(say: &Say, ended: Result<Exit, Failure>) -> Exit {
    match ended {
        Ok(exit) => exit,
        Err(failure) => {
            say.failure(&failure);
            failure.exit
        }
    }
}

/// A duration on the command line or in a file: `90s`, `10m`, `1h30m`, `30d` (a day is 24 hours).
pub(crate) fn duration(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("{text:?} is no duration, such as 90s, 10m, 1h or 30d");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    if duration.is_negative() { Err(wrong()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("30d").unwrap(), SignedDuration::from_hours(720));
        assert_eq!(duration("1h30m").unwrap(), SignedDuration::from_mins(90));
        for bad in ["", "10", "-1h", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
