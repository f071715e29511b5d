//! Why an agreement gives nothing, or nothing yet: stable codes for programs, sentences that name the next step for people.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::offers::OffersError;
use crate::chain::ChainError;
use crate::types::{Address, AgreementId, Did, U256, show_address};

/// Final as the chain and the documents stand now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// No such agreement on this chain.
    NoAgreement,
    /// Made from a template that this gateway does not serve here.
    OtherTemplate,
    /// The contracts' owner has not approved the template, or no longer.
    TemplateNotApproved,
    /// The consumer is none of the agreement's actors.
    NotAnActor,
    /// The consumer is this gateway's own provider, who buys nothing from itself.
    OwnProvider,
    /// The agreement has not the three conditions of its template.
    WrongConditions,
    /// Its service condition names another consumer or another DID.
    OtherGrantee,
    /// Its lock condition is for no price that the document ever named.
    WrongPrice {
        /// What it costs now.
        price: U256,
    },
    /// Its price was once right, and was no longer so when it was paid.
    PriceChanged {
        /// What it costs now.
        price: U256,
    },
    /// Its escrow condition pays somebody other than the asset's owner, or names another consumer.
    WrongReceiver {
        /// Who should be paid.
        owner: Address,
    },
    /// The asset's owner is none of those whose assets are sold here.
    NotListed {
        /// The owner, when it was bought.
        owner: Address,
        /// The asset.
        did: Did,
    },
    /// The document does not offer that service.
    NotOffered,
    /// The lock was aborted, or its time to be paid has run out.
    LockAborted,
    /// The service condition was aborted, or its time to be granted has run out.
    ServiceAborted,
    /// The escrow was aborted, or its time to be released has run out: the publisher can't be paid.
    EscrowAborted,
    /// The escrow can't be released before that block, too far away.
    EscrowLocked {
        /// The block.
        until: u64,
    },
    /// A condition must be fulfilled by that block, too near for a grant to be safe.
    EscrowEndsSoon {
        /// The block.
        at: u64,
    },
    /// The escrow contract holds less than the price: the payment was taken out of it.
    EscrowShort {
        /// What it holds.
        holds: U256,
        /// What would be paid.
        price: U256,
    },
    /// The agreement's time is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// Grants only: this provider may not grant the asset.
    NotProvider {
        /// This gateway's provider.
        provider: Address,
        /// The asset.
        did: Did,
    },
    /// There is no document of its asset here.
    UnknownAsset {
        /// The asset.
        did: Did,
    },
    /// There is a document, and it is not sold here.
    NotSold(String),
}

/// What is missing, and may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// The consumer has not paid.
    LockUnpaid,
    /// Paid, but not deep enough in the chain. Grants only.
    LockUnconfirmed {
        /// Blocks on top of the payment.
        has: u64,
        /// Blocks that are needed.
        needs: u64,
    },
    /// Paid; the provider has not granted.
    NotGranted,
    /// Grants only: the service condition can't be fulfilled before that block.
    ServiceLocked {
        /// The block.
        until: u64,
    },
    /// Paid and granted; the publisher has not got the money out of the escrow.
    EscrowUnreleased,
    /// As before, and it can't be released before that block.
    EscrowLocked {
        /// The block.
        until: u64,
    },
}

impl NotYet {
    /// The code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::LockUnpaid | Self::LockUnconfirmed { .. } => "lock_unpaid",
            Self::NotGranted | Self::ServiceLocked { .. } => "not_granted",
            Self::EscrowUnreleased | Self::EscrowLocked { .. } => "escrow_unreleased",
        }
    }
}

impl Denied {
    /// The code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PriceChanged { .. } => "price_changed",
            _ => "not_authorized",
        }
    }

    /// Whether no later event on chain or in the store can turn it into a yes.
    pub fn is_for_ever(&self) -> bool {
        match self {
            Self::OtherTemplate
            | Self::NotAnActor
            | Self::OwnProvider
            | Self::WrongConditions
            | Self::OtherGrantee
            | Self::WrongReceiver { .. }
            | Self::LockAborted
            | Self::ServiceAborted
            | Self::EscrowAborted
            | Self::EscrowEndsSoon { .. }
            | Self::Expired { .. } => true,
            Self::NoAgreement
            | Self::TemplateNotApproved
            | Self::WrongPrice { .. }
            | Self::PriceChanged { .. }
            | Self::NotOffered
            | Self::NotListed { .. }
            | Self::EscrowLocked { .. }
            | Self::EscrowShort { .. }
            | Self::NotProvider { .. }
            | Self::UnknownAsset { .. }
            | Self::NotSold(_) => false,
        }
    }
}

/// Trouble on the gateway's own side: nothing is known about the agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// When to try again.
    pub retry_after: Duration,
    /// For the operator's log; not for the client.
    pub cause: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the chain or the metadata store can't be read right now")
    }
}

impl std::error::Error for Trouble {}

impl From<ChainError> for Trouble {
    fn from(error: ChainError) -> Self {
        Self { retry_after: error.retry_after(), cause: error.to_string() }
    }
}

/// Why an agreement was not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which agreement.
    pub agreement: AgreementId,
    /// Why.
    pub why: Why,
}

/// The three kinds of no. On the wire: 401, 409 (old family 401), 503.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No.
    Denied(Denied),
    /// Not yet.
    NotYet(NotYet),
    /// Can't say.
    Unavailable(Trouble),
}

impl Refusal {
    /// The code on the wire.
    pub fn code(&self) -> &'static str {
        match &self.why {
            Why::Denied(denied) => denied.code(),
            Why::NotYet(not_yet) => not_yet.code(),
            Why::Unavailable(_) => "unavailable",
        }
    }

    /// After how long another try makes sense; `None` for a final no.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.why {
            Why::Denied(_) => None,
            Why::NotYet(_) => Some(Duration::from_secs(10)),
            Why::Unavailable(trouble) => Some(trouble.retry_after),
        }
    }
}

impl Why {
    pub(super) fn from_offers(error: OffersError, did: Did) -> Self {
        match error {
            OffersError::Unknown => Self::Denied(Denied::UnknownAsset { did }),
            OffersError::NotSold(text) => Self::Denied(Denied::NotSold(text)),
            OffersError::Unavailable(cause) => {
                Self::Unavailable(Trouble { retry_after: Duration::from_secs(5), cause })
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.agreement;
        match &self.why {
            Why::Denied(denied) => denied.write(id, f),
            Why::NotYet(not_yet) => not_yet.write(id, f),
            Why::Unavailable(trouble) => write!(f, "Agreement {id} can't be checked: {trouble}. Try again."),
        }
    }
}

impl std::error::Error for Refusal {}

impl Denied {
    fn write(&self, id: &AgreementId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgreement => {
                write!(
                    f,
                    "There is no agreement {id} on this chain. Make one with `brizo order DID`, and look whether \
                           the wallet is on the same network as the gateway."
                )
            }
            Self::OtherTemplate => write!(f, "Agreement {id} is of another template than that of this service."),
            Self::TemplateNotApproved => {
                write!(f, "The template of agreement {id} is not approved by the owner of the Keeper contracts.")
            }
            Self::NotAnActor => {
                write!(f, "The signer is no actor of agreement {id}. Sign with the key that bought it.")
            }
            Self::OwnProvider => write!(f, "The signer of agreement {id} is this gateway's own provider."),
            Self::WrongConditions => {
                write!(f, "Agreement {id} has not the three conditions of its template: lock, service, escrow.")
            }
            Self::OtherGrantee => {
                write!(
                    f,
                    "The service condition of agreement {id} is for another consumer or another DID. Sign with the \
                           key that bought it."
                )
            }
            Self::WrongPrice { price } => {
                write!(f, "The lock condition of agreement {id} is not for the price of the asset, {price}.")
            }
            Self::PriceChanged { price } => {
                write!(
                    f,
                    "Agreement {id} was paid at a price that no longer held: the asset costs {price} now. Order it \
                           anew."
                )
            }
            Self::WrongReceiver { owner } => write!(
                f,
                "The escrow of agreement {id} does not pay the asset's owner {} what this consumer locked.",
                show_address(owner)
            ),
            Self::NotListed { owner, did } => write!(
                f,
                "Agreement {id} is for {did} of {}, whose assets are not sold at this gateway. Its operator lists publishers \
                 in assets.publishers.",
                show_address(owner)
            ),
            Self::NotOffered => write!(f, "The asset of agreement {id} does not offer that service."),
            Self::LockAborted => {
                write!(f, "The payment of agreement {id} was aborted, or its time is over. Make a new agreement.")
            }
            Self::ServiceAborted => {
                write!(
                    f,
                    "The grant of agreement {id} was aborted by its time-out; the consumer can have the money back \
                           from the escrow. Make a new agreement."
                )
            }
            Self::EscrowAborted => {
                write!(f, "The escrow of agreement {id} was aborted, or its time is over: the publisher can't be paid.")
            }
            Self::EscrowLocked { until } => {
                write!(
                    f,
                    "The escrow of agreement {id} can't be released before block {until}: the publisher is not paid."
                )
            }
            Self::EscrowEndsSoon { at } => {
                write!(f, "A condition of agreement {id} times out at block {at}, too soon for a grant to be safe.")
            }
            Self::EscrowShort { holds, price } => write!(
                f,
                "The escrow contract holds {holds}, less than the price {price} of agreement {id}: the payment was taken \
                 out of it.",
            ),
            Self::Expired { at } => write!(f, "Agreement {id} expired at {at}. Order the asset anew."),
            Self::NotProvider { provider, did } => write!(
                f,
                "{} may not grant agreement {id}: it is neither owner nor provider of {did}. The owner must call \
                 DIDRegistry.addDIDProvider, or `brizo publish` it again.",
                show_address(provider)
            ),
            Self::UnknownAsset { did } => write!(f, "Agreement {id} is for {did}, which this gateway does not know."),
            Self::NotSold(text) => write!(f, "The asset of agreement {id} is not sold here: {text}"),
        }
    }
}

impl NotYet {
    fn write(self, id: &AgreementId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LockUnpaid => write!(f, "Agreement {id} is not paid: its lock condition is not fulfilled yet."),
            Self::LockUnconfirmed { has, needs } => {
                write!(f, "The payment of agreement {id} has {has} of the {needs} confirmations that a grant needs.")
            }
            Self::NotGranted => write!(
                f,
                "Agreement {id} is paid and not granted yet. Try again, or ask the publisher to run `brizo grant {id}`."
            ),
            Self::ServiceLocked { until } => {
                write!(f, "Agreement {id} can't be granted before block {until}, by its own time lock.")
            }
            Self::EscrowUnreleased => write!(
                f,
                "The escrow of agreement {id} is not released. Try again, or ask the publisher to run `brizo grant {id}`."
            ),
            Self::EscrowLocked { until } => {
                write!(f, "The escrow of agreement {id} can't be released before block {until}, by its own time lock.")
            }
        }
    }
}
