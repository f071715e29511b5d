use std::collections::HashMap;
use std::time::{Duration, Instant};

use brizo_backend::JobId;

/// How often this gateway made a shim for each open job, and when it may make the next.
pub(crate) type Attempts = HashMap<JobId, Attempt>;

/// See [`Attempts`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    count: u32,
    next: Instant,
}

/// The pause after the first shim that ended before its job.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// Whether it is time for a shim; notes that one is made.
pub(crate) fn is_due(attempts: &mut Attempts, id: JobId, now: Instant) -> bool {
    let before = attempts.get(&id).copied();
    if before.is_some_and(|attempt| now < attempt.next) {
        return false;
    }
    let count = before.map_or(0, |attempt| attempt.count) + 1;
    let pause = FIRST.saturating_mul(1 << (count - 1).min(10)).min(LONGEST);
    attempts.insert(id, Attempt { count, next: now + pause });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_that_always_fails_is_made_ever_more_rarely() {
        let mut attempts = Attempts::new();
        let id = JobId::random();
        let began = Instant::now();
        assert!(is_due(&mut attempts, id, began));
        assert!(!is_due(&mut attempts, id, began + FIRST / 2));
        assert!(is_due(&mut attempts, id, began + FIRST));
        assert!(!is_due(&mut attempts, id, began + FIRST * 2));
        assert!(is_due(&mut attempts, id, began + FIRST * 3));
        for _ in 0..50 {
            is_due(&mut attempts, id, began + Duration::from_hours(1));
        }
        assert!(is_due(&mut attempts, id, began + Duration::from_hours(1) + LONGEST));
    }
}
