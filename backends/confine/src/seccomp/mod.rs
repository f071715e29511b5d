//! One allow-list of system calls, the same on every backend.
//!
//! A call that it does not name, io_uring and clone3 answer ENOSYS, as on a kernel that has none: programs then take
//! their older way. A forbidden one answers EPERM. Nothing is killed but code of a foreign architecture. A filter of
//! seccompiler has one action where it matches and one where not, so two are stacked; the kernel takes the strictest
//! answer, and of two errors that of the filter that was installed last.

mod calls;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Which sockets a process may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sockets {
    /// AF_UNIX; only where file system and abstract names are private to the job.
    pub(crate) unix: bool,
    /// IPv4, IPv6, and NETLINK, which the resolver asks for addresses.
    pub(crate) internet: bool,
}

/// The two filters, in the order in which they are installed.
pub(crate) fn filters(sockets: Sockets) -> Result<[BpfProgram; 2], seccompiler::Error> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let named = calls::allowed().chain(calls::forbidden()).map(|call| (call, Vec::new())).collect();
    let allow = SeccompFilter::new(named, errno(libc::ENOSYS), SeccompAction::Allow, arch)?;
    let deny = SeccompFilter::new(forbidden(sockets)?, SeccompAction::Allow, errno(libc::EPERM), arch)?;
    Ok([allow.try_into()?, deny.try_into()?])
}

/// Installs them for the calling thread; sets no_new_privs.
pub(crate) fn install(filters: &[BpfProgram]) -> Result<(), seccompiler::Error> {
    filters.iter().try_for_each(|filter| seccompiler::apply_filter(filter))
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.cast_unsigned())
}

/// What answers EPERM: calls always (without rules), others only with certain arguments.
fn forbidden(sockets: Sockets) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let when = |argument: u8, op: Op, value: u64| SeccompCondition::new(argument, Len::Dword, op, value);
    let rule = SeccompRule::new;
    let is = |argument: u8, value: u64| rule(vec![when(argument, Op::Eq, value)?]);
    let not = |argument: u8, value: u64| rule(vec![when(argument, Op::Ne, value)?]);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = calls::forbidden().map(|call| (call, Vec::new())).collect();

    let families = [
        (libc::AF_UNIX, sockets.unix),
        (libc::AF_INET, sockets.internet),
        (libc::AF_INET6, sockets.internet),
        (libc::AF_NETLINK, sockets.internet),
    ];
    let open = families.iter().filter(|(_, open)| *open);
    let others = open.map(|(family, _)| when(0, Op::Ne, *family as u64)).collect::<Result<Vec<_>, _>>()?;
    // Without any family there are no conditions, and a call without rules is always forbidden.
    rules.insert(libc::SYS_socket, if others.is_empty() { Vec::new() } else { vec![rule(others)?] });

    // A pair can't reach anybody but its other end, unless it is of datagrams: those can be sent to any name.
    let mut pairs = vec![not(0, libc::AF_UNIX as u64)?];
    if !sockets.unix {
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            pairs.push(rule(vec![when(1, Op::MaskedEq(0xf), kind as u64)?])?);
        }
    }
    rules.insert(libc::SYS_socketpair, pairs);

    let namespaces = calls::NAMESPACE_FLAGS.iter().map(|flag| rule(vec![when(0, Op::MaskedEq(*flag), *flag)?]));
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);

    rules.insert(libc::SYS_ioctl, vec![is(1, calls::TIOCSTI)?, is(1, calls::TIOCLINUX)?]);

    // The runner may have the algorithm's uid, and nothing else would keep the algorithm from its limits and priority.
    for call in calls::OTHERS_PID_IN_FIRST {
        rules.insert(*call, vec![not(0, 0)?]);
    }
    rules.insert(libc::SYS_setpriority, vec![not(1, 0)?, is(0, libc::PRIO_USER.into())?]);
    rules.insert(libc::SYS_ioprio_set, vec![not(1, 0)?, is(0, calls::IOPRIO_WHO_USER)?]);

    let personas = calls::PERSONALITIES.iter().map(|persona| when(0, Op::Ne, *persona));
    rules.insert(libc::SYS_personality, vec![rule(personas.collect::<Result<_, _>>()?)?]);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_forbidden() {
        let allowed: HashSet<_> = calls::allowed().collect();
        assert!(calls::forbidden().all(|call| !allowed.contains(&call)));
        let conditional = forbidden(Sockets { unix: true, internet: false }).unwrap();
        let conditional = conditional.iter().filter(|(_, rules)| !rules.is_empty());
        for (call, _) in conditional {
            assert!(allowed.contains(call), "call {call} has rules but is not on the allow-list: it would be ENOSYS");
        }
    }

    #[test]
    fn what_must_answer_enosys_is_not_named() {
        let named: HashSet<_> = calls::allowed().chain(calls::forbidden()).collect();
        for call in [libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, 449, 462, 999] {
            assert!(!named.contains(&call), "{call}");
        }
    }

    #[test]
    fn it_compiles_for_every_kind_of_job() {
        for (unix, internet) in [(true, false), (true, true), (false, false), (false, true)] {
            filters(Sockets { unix, internet }).unwrap();
        }
    }
}
