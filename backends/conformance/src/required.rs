//! What each type of backend must declare, so that declaring nothing passes nothing.

use brizo_backend::{Capability, Schemes};

const NONE: Schemes = Schemes { file: false, http: false, s3: false, gs: false, az: false };
const STORES: Schemes = Schemes { file: false, http: true, s3: true, gs: true, az: true };

const NOTHING: Capability = Capability {
    logs_follow: false,
    stop_grace: false,
    gpu: false,
    unix_sockets: false,
    network: false,
    container_checksum: false,
    images: false,
    memory_hard: false,
    disk_hard: false,
    usage: false,
    inputs: NONE,
    results: NONE,
    network_namespace: false,
    network_policy: false,
    seccomp: false,
    landlock: false,
};

/// The least that a type declares; it may declare more (memory limits by the kernel, Landlock where the kernel has it).
const REQUIRED: [(&str, Capability); 5] = [
    (
        "process",
        Capability {
            logs_follow: true,
            stop_grace: true,
            unix_sockets: true,
            usage: true,
            inputs: Schemes { file: true, http: true, ..NONE },
            results: Schemes { file: true, ..NONE },
            network_namespace: true,
            seccomp: true,
            ..NOTHING
        },
    ),
    (
        "docker",
        Capability {
            logs_follow: true,
            stop_grace: true,
            network: true,
            container_checksum: true,
            images: true,
            memory_hard: true,
            usage: true,
            inputs: Schemes { file: true, ..STORES },
            results: Schemes { file: true, http: false, ..STORES },
            network_namespace: true,
            seccomp: true,
            landlock: true,
            ..NOTHING
        },
    ),
    (
        "kubernetes",
        Capability {
            logs_follow: true,
            stop_grace: true,
            network: true,
            container_checksum: true,
            images: true,
            memory_hard: true,
            inputs: STORES,
            results: Schemes { http: false, ..STORES },
            network_policy: true,
            seccomp: true,
            landlock: true,
            ..NOTHING
        },
    ),
    (
        "aws-batch",
        Capability {
            container_checksum: true,
            images: true,
            memory_hard: true,
            inputs: Schemes { http: true, s3: true, ..NONE },
            results: Schemes { s3: true, ..NONE },
            seccomp: true,
            ..NOTHING
        },
    ),
    (
        "memory",
        Capability {
            logs_follow: true,
            stop_grace: true,
            inputs: Schemes { file: true, http: true, ..NONE },
            results: Schemes { file: true, ..NONE },
            ..NOTHING
        },
    ),
];

/// What a backend of this type lacks of what it must declare; `None` for a type that the table does not have.
pub(crate) fn missing(backend_type: &str, declared: &Capability) -> Option<Vec<&'static str>> {
    let (_, required) = REQUIRED.iter().find(|(name, _)| *name == backend_type)?;
    let declared = switches(declared);
    let lacks = |(index, (name, on)): (usize, (&'static str, bool))| (on && !declared[index].1).then_some(name);
    Some(switches(required).into_iter().enumerate().filter_map(lacks).collect())
}

/// Every switch with its name. Destructured, so that a new one does not build until it stands in the table.
fn switches(capability: &Capability) -> [(&'static str, bool); 24] {
    let Capability {
        logs_follow,
        stop_grace,
        gpu,
        unix_sockets,
        network,
        container_checksum,
        images,
        memory_hard,
        disk_hard,
        usage,
        inputs,
        results,
        network_namespace,
        network_policy,
        seccomp,
        landlock,
    } = *capability;
    [
        ("logs_follow", logs_follow),
        ("stop_grace", stop_grace),
        ("gpu", gpu),
        ("unix_sockets", unix_sockets),
        ("network", network),
        ("container_checksum", container_checksum),
        ("images", images),
        ("memory_hard", memory_hard),
        ("disk_hard", disk_hard),
        ("usage", usage),
        ("inputs.file", inputs.file),
        ("inputs.http", inputs.http),
        ("inputs.s3", inputs.s3),
        ("inputs.gs", inputs.gs),
        ("inputs.az", inputs.az),
        ("results.file", results.file),
        ("results.http", results.http),
        ("results.s3", results.s3),
        ("results.gs", results.gs),
        ("results.az", results.az),
        ("network_namespace", network_namespace),
        ("network_policy", network_policy),
        ("seccomp", seccomp),
        ("landlock", landlock),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declaring_nothing_passes_nothing() {
        for (name, required) in &REQUIRED {
            assert!(!missing(name, &Capability::default()).unwrap().is_empty(), "{name}");
            assert_eq!(missing(name, required), Some(vec![]), "{name}");
        }
        assert_eq!(missing("new", &Capability::default()), None);
    }
}
