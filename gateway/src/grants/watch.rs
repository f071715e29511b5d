//! Granting whatever comes, until told to stop.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::discover::Scan;
use super::once::{GrantError, Granter, is_done};
use crate::chain::Sent;
use crate::keeper::{Refusal, Why};
use crate::types::{Address, AgreementId};

/// How often the chain is looked at.
const ROUND: Duration = Duration::from_secs(1);
/// How rarely an agreement is looked at that has been waiting for long.
const RARELY: Duration = Duration::from_mins(5);
/// After how long a transaction that is not mined is taken for lost.
const LOST: Duration = Duration::from_mins(10);
/// After how long one that is refused, though not for ever, is given up: anybody can make agreements. `brizo grant ID`, or a
/// restart, looks again.
const GIVE_UP: Duration = Duration::from_hours(24);
/// After how long a settled agreement is forgotten: longer than the scan looks back over blocks.
const FORGET: Duration = Duration::from_hours(6);

/// How long a node behind a balancer may show the state from before a transaction that is mined. Doubled for each
/// transaction that had no effect.
const LAG: Duration = Duration::from_secs(15);

/// What happened, for whoever shows it.
#[derive(Debug, Clone)]
pub enum Event {
    /// Looking, from now on.
    Watching,
    /// Transactions for an agreement were sent.
    Sent(AgreementId, Vec<Sent>),
    /// Granted and paid.
    Granted {
        /// The agreement.
        agreement: AgreementId,
        /// Who may use it now.
        consumer: Address,
    },
    /// Refused, or not yet; once for each new reason.
    Held(AgreementId, GrantError),
    /// The chain can't be read; it is tried again.
    Trouble(String),
}

/// An agreement that is not done.
struct Open {
    since: Instant,
    next: Instant,
    sent: Option<(Vec<Sent>, Instant)>,
    tries: u32,
    told: String,
}

struct Watch<'a> {
    granter: &'a Granter,
    open: HashMap<AgreementId, Open>,
    /// What needs no look any more, and when it was last come across.
    settled: HashMap<AgreementId, Instant>,
}

impl Granter {
    /// Grants every agreement that names this provider and is paid, until `shutdown`. Trouble with the chain is told and
    /// outlived.
    pub async fn watch(&self, shutdown: CancellationToken, mut tell: impl FnMut(Event) + Send) {
        let mut watch = Watch { granter: self, open: HashMap::new(), settled: HashMap::new() };
        let mut scan = None;
        tell(Event::Watching);
        loop {
            let round = async {
                if let Err(trouble) = watch.round(&mut scan, &mut tell).await {
                    tell(Event::Trouble(trouble));
                }
                tokio::time::sleep(ROUND).await;
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = round => {}
            }
        }
    }
}

impl Watch<'_> {
    async fn round(&mut self, scan: &mut Option<Scan>, tell: &mut (impl FnMut(Event) + Send)) -> Result<(), String> {
        let chain = self.granter.chain();
        if scan.is_none() {
            // What an earlier run sent may still be under way: it is waited for, not sent again.
            self.granter.wait_idle().await.map_err(|error| error.to_string())?;
            *scan = Some(Scan::begin(chain).await.map_err(|error| error.to_string())?);
        }
        let Some(scan) = scan else { return Ok(()) };
        let mut found = Vec::new();
        let read = scan.advance(chain, self.granter.provider(), &mut found).await;
        let now = Instant::now();
        for agreement in found {
            if let Some(seen) = self.settled.get_mut(&agreement) {
                *seen = now;
            } else {
                let open = || Open { since: now, next: now, sent: None, tries: 0, told: String::new() };
                self.open.entry(agreement).or_insert_with(open);
            }
        }
        self.settled.retain(|_, seen| seen.elapsed() < FORGET);
        let due: Vec<AgreementId> = self.open.iter().filter(|(_, open)| open.next <= now).map(|(id, _)| *id).collect();
        for agreement in due {
            self.look(agreement, tell).await;
        }
        read.map_err(|error| error.to_string())
    }

    async fn look(&mut self, agreement: AgreementId, tell: &mut (impl FnMut(Event) + Send)) {
        let Some(open) = self.open.get_mut(&agreement) else { return };
        let error = match self.granter.keeper().grantable(agreement).await {
            Ok(grantable) if is_done(&grantable) => {
                if open.tries > 0 {
                    tell(Event::Granted { agreement, consumer: grantable.consumer });
                }
                self.settle(agreement);
                return;
            }
            Ok(_) if open.is_under_way(self.granter).await => return,
            Ok(grantable) => match self.granter.send(&grantable).await {
                Ok(sent) => {
                    tell(Event::Sent(agreement, sent.clone()));
                    open.sent = Some((sent, Instant::now()));
                    open.tries += 1;
                    return;
                }
                Err(error) => error,
            },
            Err(refusal) => GrantError::Refused(refusal),
        };
        let is_final = matches!(&error, GrantError::Refused(Refusal { why: Why::Denied(denied), .. })
            if denied.is_for_ever() || open.since.elapsed() > GIVE_UP);
        let text = error.to_string();
        if open.told != text {
            open.told = text;
            tell(Event::Held(agreement, error));
        }
        if is_final {
            self.settle(agreement);
        } else {
            // The longer one waits, the more rarely it is looked at.
            open.next = Instant::now() + (open.since.elapsed() / 8).clamp(ROUND, RARELY);
        }
    }

    fn settle(&mut self, agreement: AgreementId) {
        self.open.remove(&agreement);
        self.settled.insert(agreement, Instant::now());
    }
}

impl Open {
    /// Whether what was sent may still come to its effect, or has and this node does not show it yet.
    async fn is_under_way(&self, granter: &Granter) -> bool {
        let Some((sent, since)) = &self.sent else { return false };
        let last = sent.last().map(|sent| sent.hash).unwrap_or_default();
        match granter.chain().receipt(last).await {
            Ok(Some(_)) => since.elapsed() < (LAG * 2_u32.saturating_pow(self.tries - 1)).min(RARELY),
            Ok(None) => since.elapsed() < LOST,
            Err(_) => true,
        }
    }
}
