//! Whether this gateway's clock can be trusted with deadlines of retention: it is compared with the chain's head.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::service::Clerk;

/// How far clock and head may be apart.
const APART_S: u64 = 3_600;
const EVERY: Duration = Duration::from_mins(1);
/// After a try without an answer.
const SOON: Duration = Duration::from_secs(5);

/// Tells `may_sweep` each minute whether clock and head agree; while the chain can't be asked, they do not.
pub(super) async fn compare(clerk: Arc<Clerk>, may_sweep: watch::Sender<bool>, shutdown: CancellationToken) {
    loop {
        let head = match clerk.keeper().await {
            Ok(keeper) => keeper.head().await.ok(),
            Err(_) => None,
        };
        let now = u64::try_from(brizo_backend::now().as_second()).unwrap_or_default();
        let agree = head.is_some_and(|head| agree(now, head.timestamp));
        if may_sweep.send_if_modified(|may| std::mem::replace(may, agree) != agree) && !agree {
            tracing::warn!(now, head = head.map(|head| head.timestamp), "clock and chain are apart: nothing is swept");
        }
        let pause = if head.is_some() { EVERY } else { SOON };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

fn agree(clock: u64, head: u64) -> bool {
    clock.abs_diff(head) <= APART_S
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn nothing_is_swept_by_a_clock_that_is_an_hour_off() {
        assert!(agree(10_000, 10_000) && agree(10_000, 6_400) && agree(6_400, 10_000));
        assert!(!agree(10_001, 6_400) && !agree(6_400, 10_001) && !agree(u64::MAX, 0));
    }
}
