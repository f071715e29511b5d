//! The benchmark: one table, each row held against a floor that was measured in the same run. `tests/bench/run` runs it.
//!
//! `BRIZO_BIN` names the gateway's program, built for release.

mod fill;
mod gateway;
mod listing;
mod load;
mod memory;
mod noop;
mod reads;
mod server;
mod start;
mod submit;
mod table;

use std::process::ExitCode;

use brizo_tests::deploy::Result;
use table::{Row, table};

fn main() -> ExitCode {
    // `cargo test --benches` would run it too, in a build that measures nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        eprintln!("skipped: a benchmark runs by tests/bench/run");
        return ExitCode::SUCCESS;
    }
    let rows = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(measure()));
    match rows {
        Ok(rows) => {
            print!("{}", table(&rows));
            let missed = rows.iter().filter(|row| !row.kept()).count();
            if missed > 0 {
                eprintln!("{missed} of {} rows miss their limit", rows.len());
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the benchmark broke off: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<Vec<Row>> {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut rows = Vec::new();
    for (name, part) in [
        ("submit", Box::pin(submit::rows()) as std::pin::Pin<Box<dyn Future<Output = Result<Vec<Row>>>>>),
        ("reads", Box::pin(reads::rows())),
        ("start", Box::pin(start::rows())),
        ("listing", Box::pin(listing::rows())),
        ("memory", Box::pin(memory::rows())),
    ] {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            eprintln!("measuring {name}");
            rows.extend(part.await?);
        }
    }
    Ok(rows)
}
