//! What an idle gateway and a running job's shim hold in memory.

use brizo_tests::deploy::Result;
use brizo_tests::world::World;

use crate::start::raw;
use crate::table::{Limit, Row, number};

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) async fn rows() -> Result<Vec<Row>> {
    let world = World::new("").await?;
    let agreement = world.agreement().await?;
    // One job has gone through it, so that everything lazy is there.
    let id = world.consumer.start(&raw(&agreement, "sh", "sh $ALGO", "echo")).await;
    world.consumer.wait(&id, "its end", |job| job["ended_at"].is_string()).await;
    let gateway = world.gateway.as_ref().ok_or("no gateway")?;
    let idle = gateway.resident()? as f64 / MIB;

    let id = world.consumer.start(&raw(&agreement, "sh", "sh $ALGO", "echo running; exec sleep 600")).await;
    world.consumer.wait(&id, "its start", |job| job["phase"] == "running").await;
    let shims = shims()?;
    let shim = shims.iter().copied().max().ok_or("no shim is running")? as f64 / MIB;
    world.consumer.request(reqwest::Method::DELETE, &format!("/api/v1/jobs/{id}")).send().await?;

    let row = |what, mib: f64, most| Row {
        what,
        measured: format!("{} MiB", number(mib)),
        floor: String::new(),
        figure: mib,
        unit: "MiB",
        limit: Limit::AtMost(most),
    };
    Ok(vec![
        row("resident memory of the gateway, idle", idle, 30.0),
        row("resident memory of a running job's shim", shim, 10.0),
    ])
}

/// The resident bytes of every process that calls itself a shim.
fn shims() -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let folder = entry?.path();
        // Processes come and go while they are looked at.
        let Ok(command) = std::fs::read(folder.join("cmdline")) else { continue };
        if !command.starts_with(b"brizo-shim\0") {
            continue;
        }
        let Ok(status) = std::fs::read_to_string(folder.join("status")) else { continue };
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        found.push(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024);
    }
    Ok(found)
}
