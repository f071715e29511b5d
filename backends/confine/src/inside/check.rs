//! What the throwaway process of a probe looks at, from where the algorithm would stand.

use std::fs;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::getpid;

use crate::{Network, Sandbox, Wall};

/// Whether the walls do what they should; else what was seen.
pub(super) fn walls(sandbox: &Sandbox) -> Result<(), String> {
    let demanded = |wall| sandbox.walls.has(wall);
    let status = fs::read_to_string("/proc/self/status").map_err(|error| format!("no /proc/self/status: {error}"))?;
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map_or("", str::trim);
    if getpid().as_raw() != 2 {
        return Err(format!("its pid is {}, not 2", getpid()));
    }
    for (wall, name, right) in [
        (Wall::Capabilities, "CapEff:", "0000000000000000"),
        (Wall::Capabilities, "CapPrm:", "0000000000000000"),
        (Wall::Capabilities, "CapBnd:", "0000000000000000"),
        (Wall::NoNewPrivileges, "NoNewPrivs:", "1"),
        (Wall::Seccomp, "Seccomp:", "2"),
    ] {
        if demanded(wall) && line(name) != right {
            return Err(format!("{name} is {:?}, not {right}", line(name)));
        }
    }
    if sandbox.network == Network::None && demanded(Wall::NetworkNamespace) {
        let interfaces = fs::read_to_string("/proc/net/dev").unwrap_or_default();
        let mut names = interfaces.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim);
        if let Some(name) = names.find(|name| !is_born_with_a_namespace(name)) {
            return Err(format!("it sees the network interface {name}"));
        }
    }
    if sandbox.network == Network::None && demanded(Wall::Seccomp) {
        match socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None) {
            Err(Errno::EPERM) => {}
            other => return Err(format!("an internet socket is answered by {:?}, not EPERM", other.err())),
        }
    }
    match fs::File::create("/usr/brizo-was-here") {
        Err(_) => {}
        Ok(_) => return Err("it can write to /usr".into()),
    }
    if fs::read("/proc/1/environ").is_ok() {
        return Err("it can read its init's environment".into());
    }
    Ok(())
}

/// Kernels with tunnels built in make a useless one of each kind in every network namespace.
fn is_born_with_a_namespace(name: &str) -> bool {
    const NAMES: [&str; 11] =
        ["lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0", "teql0"];
    NAMES.contains(&name)
}
