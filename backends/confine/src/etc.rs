//! `/etc` inside: users that are made up for the job, and settings of the host that programs don't start without.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Network, Sandbox};

/// Names in the host's `/etc` that are shown, read-only, where they are: of the loader, of Debian's alternatives (by
/// which `java` is found), CA certificates, fonts, and of runtimes. None of them holds a secret.
const SHOWN: [&str; 13] = [
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "timezone",
    "alternatives",
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates",
    "pki/tls/certs",
    "fonts",
    "mime.types",
    "R",
];

/// Beginnings of such names that carry a version.
const SHOWN_PREFIXES: [&str; 3] = ["java", "python3", "julia"];

/// What is taken from the host.
pub(crate) struct Etc {
    /// Path of the host, and path inside.
    pub(crate) binds: Vec<(PathBuf, PathBuf)>,
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
}

/// Looks what this host has of it.
pub(crate) fn gather(network: Network) -> Etc {
    let etc = Path::new("/etc");
    let mut paths: Vec<PathBuf> = SHOWN.iter().map(|name| etc.join(name)).collect();
    for entry in fs::read_dir(etc).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| SHOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))) {
            paths.push(etc.join(name));
        }
    }
    let mut found = Etc { binds: Vec::new(), links: Vec::new() };
    for path in paths {
        if let Ok(target) = fs::read_link(&path) {
            found.links.push((path, target));
        } else if path.exists() {
            found.binds.push((path.clone(), path));
        }
    }
    // Where names are asked for. It is often a link to where nothing of the host is seen from inside.
    let resolver = etc.join("resolv.conf");
    if network == Network::Host
        && let Ok(real) = resolver.canonicalize()
    {
        found.binds.push((real, resolver));
    }
    found
}

/// The files that are made: name in `/etc`, and text.
pub(crate) fn files(sandbox: &Sandbox, uid: u32, gid: u32) -> [(&'static str, String); 6] {
    let Sandbox { user, home, hostname, .. } = sandbox;
    let home = home.display();
    [
        (
            "passwd",
            format!(
                "root:x:0:0:root:/root:/usr/sbin/nologin\n{user}:x:{uid}:{gid}::{home}:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        ("group", format!("root:x:0:\n{user}:x:{gid}:\nnogroup:x:65534:\n")),
        ("hostname", format!("{hostname}\n")),
        ("hosts", format!("127.0.0.1 localhost {hostname}\n::1 localhost\n")),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".into()),
        ("shells", "/bin/sh\n".into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn the_jobs_uid_has_a_name_and_a_home() {
        let sandbox = Sandbox::new("a", Identity::Own, ["x"]);
        let [(_, passwd), (_, group), ..] = files(&sandbox, 4711, 4712);
        assert!(passwd.contains("\nbrizo:x:4711:4712::/home/brizo:/bin/sh\n"), "{passwd}");
        assert!(group.contains("\nbrizo:x:4712:\n"), "{group}");
    }
}
