use brizo_backend::{Input, JobFilter, Phase};

use crate::bench::{Bench, Place, tag};
use crate::failure::{Verdict, ensure};
use crate::{Output, Step};

pub(super) async fn stay_secret(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let (one, two) = ("secret", "-5ca1ab1e");
    let secret = format!("{one}{two}");
    let source = place.site.publish(&format!("{secret}.csv"), b"a,b\n").await?;
    let there = Input { source, sha256: None, max_bytes: None };
    let gone = Input { source: place.site.absent(&format!("{secret}-gone")), ..there.clone() };
    let mut specs = Vec::new();
    let steps = vec![Step::Search(one.to_owned(), two.to_owned()), Step::Print(Output::Stdout, b"searched\n".to_vec())];
    let held = steps.iter().cloned().chain([Step::Hold(tag())]).collect();
    for (steps, input) in [(steps.clone(), &there), (held, &there), (steps, &gone)] {
        let mut spec = place.spec(steps);
        spec.secrets.inputs = vec![vec![input.clone()]];
        gateway.submit(&spec).await?;
        specs.push(spec);
    }
    gateway.until_printed(&specs[1].id, "searched").await?;
    no_fact_holds(&place, &secret, "while it runs").await?;
    gateway.stop(&specs[1].id).await?;
    let mut shown = Vec::new();
    for (spec, phase) in specs.iter().zip([Phase::Succeeded, Phase::Stopped, Phase::Failed]) {
        shown.push(format!("{:?}", gateway.end(&spec.id, phase).await?));
        let printed = gateway.stdout(&spec.id).await?;
        ensure!(!printed.contains("found"), "the algorithm could read where its input lies: {printed}");
        shown.push(format!("{:?}", gateway.first_outputs(&spec.id).await?));
    }
    shown.push(format!("{:?}", gateway.all(&JobFilter::default(), 10).await?));
    let mut other = specs[0].clone();
    other.request.0.push('0');
    for error in [gateway.submit(&other).await, gateway.submit(&bad(&specs[0])).await] {
        shown.push(format!("{error:?}"));
    }
    for text in shown {
        ensure!(!text.contains(&secret), "where an input lies is shown: {text}");
    }
    no_fact_holds(&place, &secret, "after the end").await
}

/// A specification that is refused, with the same inputs.
fn bad(spec: &brizo_backend::JobSpec) -> brizo_backend::JobSpec {
    let mut bad = spec.clone();
    bad.id = brizo_backend::JobId::random();
    bad.datasets[0].files = 7;
    bad
}

async fn no_fact_holds(place: &Place, secret: &str, when: &str) -> Verdict {
    let facts = place.site.facts().await?;
    ensure!(!facts.is_empty(), "the harness sees no facts");
    for (name, bytes) in facts {
        let holds = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        ensure!(!holds && !name.contains(secret), "{when} the stored {name} holds in clear where an input lies");
    }
    Ok(())
}
