//! How often an address, and a consumer, may ask.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::problem::{Code, Problem};
use crate::types::Address;

/// So many requests a second, and five seconds' worth at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub NonZeroU32);

impl Rate {
    fn limiter<K: std::hash::Hash + Eq + Clone>(self) -> DefaultKeyedRateLimiter<K> {
        let burst = self.0.saturating_mul(NonZeroU32::MIN.saturating_add(4));
        RateLimiter::keyed(Quota::per_second(self.0).allow_burst(burst))
    }
}

/// The two limits; absent ones limit nothing.
#[derive(Debug, Default)]
pub struct Rates {
    addresses: Option<DefaultKeyedRateLimiter<IpAddr>>,
    consumers: Option<DefaultKeyedRateLimiter<Address>>,
}

impl Rates {
    /// By address, and by consumer.
    pub fn new(by_address: Option<Rate>, by_consumer: Option<Rate>) -> Self {
        Self { addresses: by_address.map(Rate::limiter), consumers: by_consumer.map(Rate::limiter) }
    }

    pub(crate) fn address(&self, address: IpAddr) -> Result<(), Problem> {
        self.addresses.as_ref().map_or(Ok(()), |limiter| check(limiter, &address, "address"))
    }

    pub(crate) fn consumer(&self, consumer: Address) -> Result<(), Problem> {
        self.consumers.as_ref().map_or(Ok(()), |limiter| check(limiter, &consumer, "consumer"))
    }

    /// Forgets who has not asked for a while, so that memory does not grow with the number of those who ever did.
    pub fn forget_idle(&self) {
        if let Some(limiter) = &self.addresses {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        if let Some(limiter) = &self.consumers {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn check<K: std::hash::Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
    of: &str,
) -> Result<(), Problem> {
    limiter.check_key(key).map_err(|not_until| {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        Problem::new(Code::RateLimited, format!("Too many requests of this {of}."))
            .retry_after(wait.max(Duration::from_secs(1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_often_is_told_when_to_try_again_and_others_are_not_held_up() {
        let rates = Rates::new(NonZeroU32::new(1).map(Rate), None);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..5 {
            rates.address(one).unwrap();
        }
        let problem = rates.address(one).unwrap_err();
        assert_eq!(problem.status(), 429);
        assert!(problem.wait().is_some());
        rates.address(other).unwrap();
        rates.consumer(Address::ZERO).unwrap();
    }
}
