use brizo_backend::{AlgorithmKind, Dataset, Input, JobSpec, Phase, Reason};

use crate::bench::{Bench, agreement, did, sha256};
use crate::failure::{Verdict, ensure};
use crate::gateway::Gateway;
use crate::{Failure, Step};

pub(super) async fn inputs_are_staged(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let big: Vec<u8> = (0..=255).cycle().take(300_001).collect();
    let files: [(&str, &[u8]); 3] = [("big.bin", &big), ("empty", b""), ("other.csv", b"x\n")];
    let mut inputs = Vec::new();
    for (name, bytes) in files {
        let source = place.site.publish(name, bytes).await?;
        inputs.push(Input { source, sha256: Some(sha256(bytes)), max_bytes: Some(bytes.len() as u64) });
    }
    let mut spec = place.spec(vec![Step::Environment, Step::Inputs]);
    let (one, two) = (did("one"), did("two"));
    spec.datasets = vec![
        Dataset { did: one.clone(), agreement: agreement("one"), files: 2 },
        Dataset { did: two.clone(), agreement: agreement("two"), files: 1 },
    ];
    spec.algorithm.kind = AlgorithmKind::Did;
    spec.algorithm.did = Some(did("algorithm"));
    spec.secrets.inputs = vec![inputs[..2].to_vec(), inputs[2..].to_vec()];
    gateway.run(&spec, Phase::Succeeded).await?;
    let folder = |did: &str| did.trim_start_matches("did:op:").to_owned();
    for (path, bytes) in [
        (format!("inputs/{}/0", folder(&one)), big.as_slice()),
        (format!("inputs/{}/1", folder(&one)), b""),
        (format!("inputs/{}/0", folder(&two)), b"x\n"),
    ] {
        let read = gateway.read(&spec.id, &path, None).await;
        let (_, read) =
            read.map_err(|failure| Failure::new(format!("the algorithm did not find /data/{path}: {failure}")))?;
        ensure!(read == bytes, "/data/{path} is not what the publisher has: {} bytes for {}", read.len(), bytes.len());
    }
    let staged = gateway.output_paths(&spec.id).await?;
    ensure!(staged.len() == 4, "besides the environment three inputs should be there: {staged:?}");
    let printed = gateway.stdout(&spec.id).await?;
    ensure!(!printed.contains("wrote"), "the algorithm changed its inputs: {printed}");
    environment(&gateway, &spec, &[folder(&one), folder(&two)]).await
}

async fn environment(gateway: &Gateway, spec: &JobSpec, folders: &[String]) -> Verdict {
    let (_, text) = gateway.read(&spec.id, "environment", None).await?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let value =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("unset");
    for (name, right) in
        [("VOLUME", "/data"), ("LOGS", "/data/logs"), ("INPUTS", "/data/inputs"), ("OUTPUTS", "/data/outputs")]
    {
        ensure!(value(name) == right, "{name} is {} in place of {right}", value(name));
    }
    let dids: Option<Vec<String>> = serde_json::from_str(value("DIDS")).ok();
    ensure!(dids.as_deref() == Some(folders), "DIDS is {} in place of a JSON array of the ids", value("DIDS"));
    let transformation = value("TRANSFORMATION_DID").trim_start_matches("did:op:");
    let right = did("algorithm");
    ensure!(right.ends_with(transformation) && transformation.len() == 64, "TRANSFORMATION_DID is {transformation}");
    Ok(())
}

pub(super) async fn inputs_that_fail(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let secret = "secret-7f3a";
    let source = place.site.publish(&format!("{secret}.csv"), b"a,b\n1,2\n").await?;
    let right = Input { source, sha256: None, max_bytes: None };
    let absent = Input { source: place.site.absent(&format!("{secret}-gone.csv")), ..right.clone() };
    let altered = Input { sha256: Some(sha256(b"other bytes")), ..right.clone() };
    let large = Input { max_bytes: Some(7), ..right };
    let cases = [("missing", absent), ("altered", altered), ("too large", large)].map(|(what, input)| {
        let mut spec = place.spec(vec![Step::Token]);
        spec.secrets.inputs = vec![vec![input]];
        (what, spec)
    });
    for (_, spec) in &cases {
        gateway.submit(spec).await?;
    }
    for (what, spec) in &cases {
        let job = gateway.end(&spec.id, Phase::Failed).await?;
        let inputs = matches!(job.reason, Some(Reason::Inputs { .. }));
        ensure!(inputs, "an input that is {what} should be Failed(Inputs): {:?}", job.reason);
        never_ran(&gateway, spec).await?;
        let shown = format!("{job:?}");
        ensure!(!shown.contains(secret), "the job of an input that is {what} shows where it lies: {shown}");
    }
    Ok(())
}

pub(super) async fn algorithm_that_fails(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let altered = {
        let mut spec = place.spec(vec![Step::Token]);
        spec.algorithm.sha256 = None;
        if let Some(input) = &mut spec.secrets.algorithm {
            input.sha256 = Some(sha256(b"another program"));
        }
        spec
    };
    let missing = {
        let mut spec = place.spec(vec![Step::Token]);
        spec.algorithm.kind = AlgorithmKind::Did;
        spec.algorithm.sha256 = None;
        let source = place.site.absent("algorithm.sh");
        spec.secrets.algorithm = Some(Input { source, sha256: None, max_bytes: None });
        spec
    };
    for (what, spec) in [("altered", altered), ("missing", missing)] {
        let job = gateway.run(&spec, Phase::Failed).await?;
        let algorithm = matches!(job.reason, Some(Reason::Algorithm { .. }));
        ensure!(algorithm, "an algorithm that is {what} should be Failed(Algorithm): {:?}", job.reason);
        never_ran(&gateway, &spec).await?;
    }
    Ok(())
}

/// Nothing shows that the algorithm of an ended job ran.
pub(super) async fn never_ran(gateway: &Gateway, spec: &JobSpec) -> Verdict {
    let job = gateway.get(&spec.id).await?;
    ensure!(job.started_at.is_none(), "it has started_at although its algorithm must not run");
    ensure!(job.transitions.iter().all(|t| t.phase != Phase::Running), "it entered Running: {:?}", job.transitions);
    let printed = gateway.stdout(&spec.id).await?;
    ensure!(printed.is_empty(), "its algorithm ran, and printed {printed:?}");
    let outputs = gateway.output_paths(&spec.id).await?;
    ensure!(outputs.is_empty(), "its algorithm ran, and wrote {outputs:?}");
    Ok(())
}
