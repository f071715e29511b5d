//! What people type, from the publisher's first command to the consumer's last.

use std::process::Stdio;

use brizo_tests::chain::{Chain, development_key};
use brizo_tests::deploy::Result;
use brizo_tests::gateway::{Home, OnChain};
use brizo_tests::world::{key_file, publish, said};
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("command_line::publish_grant_order_run_and_all_the_rest", whole),
        trial("command_line::an_order_that_is_not_granted_says_how_to_go_on", not_granted),
    ]
}

fn on_chain(chain: &Chain) -> OnChain {
    OnChain { rpc_url: chain.url().to_string(), artifacts: chain.artifacts().to_owned() }
}

/// A consumer's command: no provider's configuration, everything by options.
fn consumer(home: &Home, chain: &Chain, words: &[&str], on_chain: bool) -> tokio::process::Command {
    let mut command = tokio::process::Command::from(home.brizo());
    command.env_remove("BRIZO_CONFIG").args(words);
    command.arg("--key-file").arg(home.path().join("consumer.key")).args(["--gateway", &home.url]);
    if on_chain {
        command.args(["--rpc-url", chain.url().as_str()]).arg("--artifacts").arg(chain.artifacts());
    }
    command
}

async fn whole() -> Result<()> {
    let chain = Chain::start().await?;
    let home = Home::new(&on_chain(&chain), &development_key(1), "")?;
    std::fs::write(home.data().join("table.csv"), "x\n1\n2\n")?;
    let did = publish(&home, &["table.csv"], &["--price", "7", "--allow-raw"]).await?.to_string();
    let _gateway = home.serve()?;
    let buyer = chain.rich_account(100).await?;
    key_file(&buyer, &home.path().join("consumer.key"))?;
    let mut watch = tokio::process::Command::from(home.brizo());
    let _watch = watch.args(["grant", "--watch"]).kill_on_drop(true).stdout(Stdio::null()).spawn()?;

    let algorithm = home.path().join("count.sh");
    std::fs::write(&algorithm, "echo counting; cat $INPUTS/*/0 | wc -l > $OUTPUTS/lines\n")?;
    let algorithm = algorithm.to_str().unwrap_or_default().to_owned();
    let out_dir = home.path().join("out");
    let mut run = consumer(&home, &chain, &["run", &did, "--algorithm", &algorithm, "--json"], true);
    let out = said({
        run.arg("--output").arg(&out_dir);
        run
    })
    .await?;
    let answer: Value = serde_json::from_slice(&out.stdout)?;
    assert_eq!(answer["job"]["phase"], "succeeded", "{answer:#}");
    assert_eq!(std::fs::read_to_string(out_dir.join("lines"))?.trim(), "3");
    let id = answer["job"]["id"].as_str().unwrap_or_default().to_owned();

    let log = said(consumer(&home, &chain, &["logs", &id], false)).await?;
    assert_eq!(String::from_utf8_lossy(&log.stdout), "counting\n");
    let list = said(consumer(&home, &chain, &["jobs"], false)).await?;
    assert!(String::from_utf8_lossy(&list.stdout).contains(&id));
    let one = said(consumer(&home, &chain, &["jobs", &id], false)).await?;
    assert!(String::from_utf8_lossy(&one.stdout).contains("succeeded"));
    let listed = said(consumer(&home, &chain, &["outputs", &id, "--list"], false)).await?;
    assert!(String::from_utf8_lossy(&listed.stdout).contains("lines"));
    said(consumer(&home, &chain, &["stop", &id], false)).await?;
    said(consumer(&home, &chain, &["delete", &id], false)).await?;
    let gone = consumer(&home, &chain, &["jobs", &id], false).output().await?;
    assert_eq!(gone.status.code(), Some(3), "{gone:?}");

    // A job that fails is told by the exit code, with the reason in words.
    let agreement = said(consumer(&home, &chain, &["order", &did], true)).await?;
    let agreement = String::from_utf8_lossy(&agreement.stdout).trim().to_owned();
    let fails = home.path().join("fails.sh");
    std::fs::write(&fails, "exit 3\n")?;
    let words = ["run", "--agreement", &agreement, "--algorithm", fails.to_str().unwrap_or_default()];
    let failed = consumer(&home, &chain, &words, true).current_dir(home.path()).output().await?;
    assert_eq!(failed.status.code(), Some(5), "{failed:?}");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("exit code 3"), "{failed:?}");
    let token = said(consumer(&home, &chain, &["token", "--scopes", "read"], false)).await?;
    let url = format!("{}/api/v1/jobs", home.url);
    let bearer = String::from_utf8_lossy(&token.stdout).trim().to_owned();
    let http = reqwest::Client::builder().build()?;
    assert_eq!(http.get(&url).bearer_auth(&bearer).send().await?.status(), 200);
    Ok(())
}

async fn not_granted() -> Result<()> {
    let chain = Chain::start().await?;
    let home = Home::new(&on_chain(&chain), &development_key(1), "")?;
    std::fs::write(home.data().join("table.csv"), "x\n")?;
    let did = publish(&home, &["table.csv"], &["--price", "7", "--allow-raw"]).await?.to_string();
    let _gateway = home.serve()?;
    let buyer = chain.rich_account(100).await?;
    key_file(&buyer, &home.path().join("consumer.key"))?;
    let out = consumer(&home, &chain, &["order", &did, "--timeout", "1s"], true).output().await?;
    assert_eq!(out.status.code(), Some(4), "{out:?}");
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("brizo run --agreement 0x"), "{words}");
    let agreement = words
        .split_whitespace()
        .find(|word| word.len() == 66 && word.starts_with("0x"))
        .ok_or("the agreement's id is not told")?
        .to_owned();
    // What is started before the grant is told that it is only not yet.
    let algorithm = home.path().join("a.sh");
    std::fs::write(&algorithm, "true\n")?;
    let words = ["run", "--agreement", &agreement, "--algorithm", algorithm.to_str().unwrap_or_default(), "--detach"];
    let early = consumer(&home, &chain, &words, true).output().await?;
    assert_eq!(early.status.code(), Some(4), "{early:?}");
    let mut grant = tokio::process::Command::from(home.brizo());
    grant.args(["grant", &agreement]);
    said(grant).await?;
    let mut again = tokio::process::Command::from(home.brizo());
    again.args(["grant", &agreement]);
    said(again).await?;
    let out = said(consumer(&home, &chain, &words, true)).await?;
    let mut lines = BufReader::new(out.stdout.as_slice()).lines();
    assert_eq!(lines.next_line().await?.map(|line| line.len()), Some(32), "a detached run prints the job's id");
    Ok(())
}
