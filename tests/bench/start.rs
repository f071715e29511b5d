//! From the submit to the algorithm's first line, against fork and exec of the same program.

use std::time::{Duration, SystemTime};

use brizo_tests::deploy::Result;
use brizo_tests::world::World;
use serde_json::{Value, json};

use crate::table::{Limit, Row, number};

const ROUNDS: usize = 60;
/// Its first line is the time at which it ran.
const PROGRAM: &str = "date +%s%N\n";

/// A request for raw code.
pub(crate) fn raw(agreement: &str, image: &str, entrypoint: &str, code: &str) -> Value {
    json!({
        "agreements": [agreement],
        "algorithm": {
            "type": "raw",
            "code": code,
            "container": {"image": image, "tag": "1", "entrypoint": entrypoint},
        },
    })
}

pub(crate) async fn rows() -> Result<Vec<Row>> {
    let world = World::new("").await?;
    let agreement = world.agreement().await?;
    let body = raw(&agreement, "sh", "sh $ALGO", PROGRAM);
    let script = world.home.path().join("program.sh");
    std::fs::write(&script, PROGRAM)?;

    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = now()?;
        let out = std::process::Command::new("sh").arg(&script).output()?;
        floors.push(since(begin, &String::from_utf8(out.stdout)?)?);

        let begin = now()?;
        let id = world.consumer.start(&body).await;
        world.consumer.wait(&id, "its end", |job| job["ended_at"].is_string()).await;
        let log = world.consumer.request(reqwest::Method::GET, &format!("/api/v1/jobs/{id}/logs?stream=stdout"));
        ours.push(since(begin, &log.header("accept", "text/plain").send().await?.text().await?)?);
        world.consumer.request(reqwest::Method::DELETE, &format!("/api/v1/jobs/{id}")).send().await?;
    }
    let [floor, ours] = [floors, ours].map(|mut times| {
        times.sort_unstable();
        (times[ROUNDS / 2], times[ROUNDS * 9 / 10])
    });
    let told = |(p50, p90): (Duration, Duration)| format!("p50 {} ms, p90 {} ms", millis(p50), millis(p90));
    Ok(vec![Row {
        what: "submit to the algorithm's first line; floor: fork and exec of the same program",
        measured: told(ours),
        floor: told(floor),
        figure: (ours.0.saturating_sub(floor.0)).as_secs_f64() * 1e3,
        unit: "ms more",
        limit: Limit::AtMost(20.0),
    }])
}

fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?)
}

/// How long after `begin` the program printed its time.
fn since(begin: Duration, printed: &str) -> Result<Duration> {
    let at = printed.lines().next().ok_or("the program printed nothing")?.trim().parse().map(Duration::from_nanos)?;
    Ok(at.saturating_sub(begin))
}

fn millis(time: Duration) -> String {
    number(time.as_secs_f64() * 1e3)
}
