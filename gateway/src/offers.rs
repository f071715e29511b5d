//! What the keeper asks and the assets answer: the one place that knows both.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::assets::{self, Assets};
use crate::keeper::{Offer, Offers, OffersError, ServiceKind};
use crate::problem::Code;
use crate::types::{Address, Did};

#[async_trait]
impl Offers for Assets {
    async fn offers(&self, did: &Did) -> Result<Vec<Offer>, OffersError> {
        let facts = Assets::offers(self, did).await.map_err(|problem| match problem.code() {
            Code::NotFound => OffersError::Unknown,
            Code::Unavailable => {
                OffersError::Unavailable(problem.cause().map_or_else(|| problem.to_string(), ToString::to_string))
            }
            _ => OffersError::NotSold(problem.detail().to_owned()),
        })?;
        let offers = facts.into_iter().map(|facts| Offer {
            version: facts.version,
            published_at: facts.published_at.unwrap_or(Timestamp::UNIX_EPOCH),
            superseded_at: facts.superseded_at,
            kind: match facts.kind {
                assets::ServiceKind::Compute => ServiceKind::Compute,
                assets::ServiceKind::Access => ServiceKind::Access,
            },
            price: facts.price,
            timeout_s: facts.timeout_s,
        });
        Ok(offers.collect())
    }

    fn is_listed(&self, owner: &Address) -> bool {
        Assets::is_listed(self, *owner)
    }
}
