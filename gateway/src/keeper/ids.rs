//! The ids of an agreement's conditions, as the contracts compute them (OCEAN's `generateId` and `hashValues`).

use alloy_primitives::{Address, B256, Keccak256, U256};

use super::offers::ServiceKind;
use crate::chain::Contracts;
use crate::types::{AgreementId, Did};

/// The three conditions' ids, in the order in which the agreement holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionIds {
    /// The consumer locked the price.
    pub lock: B256,
    /// The provider granted the service.
    pub service: B256,
    /// The escrow paid the receiver.
    pub escrow: B256,
}

impl ConditionIds {
    /// As the contracts take them.
    pub fn to_array(self) -> [B256; 3] {
        [self.lock, self.service, self.escrow]
    }
}

fn hash(parts: &[&[u8]]) -> B256 {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn condition_id(agreement: &AgreementId, contract: &Address, values: &B256) -> B256 {
    hash(&[agreement.0.as_slice(), contract.as_slice(), values.as_slice()])
}

/// The id of the condition that `price` is locked in the escrow.
pub fn lock_id(contracts: &Contracts, agreement: &AgreementId, price: U256) -> B256 {
    let values = hash(&[contracts.escrow_reward.as_slice(), &price.to_be_bytes::<32>()]);
    condition_id(agreement, &contracts.lock_reward, &values)
}

/// The id of the condition that the consumer is given the service.
pub fn service_id(
    contracts: &Contracts,
    kind: ServiceKind,
    agreement: &AgreementId,
    did: &Did,
    consumer: &Address,
) -> B256 {
    let values = hash(&[did.0.as_slice(), consumer.as_slice()]);
    condition_id(agreement, &contract_of(contracts, kind), &values)
}

/// The id of the condition that the escrow pays `receiver` what `sender` locked, once the service is given.
pub fn escrow_id(
    contracts: &Contracts,
    agreement: &AgreementId,
    price: U256,
    receiver: &Address,
    sender: &Address,
    lock: &B256,
    service: &B256,
) -> B256 {
    let values = hash(&[
        &price.to_be_bytes::<32>(),
        receiver.as_slice(),
        sender.as_slice(),
        lock.as_slice(),
        service.as_slice(),
    ]);
    condition_id(agreement, &contracts.escrow_reward, &values)
}

/// All three at once.
pub fn condition_ids(
    contracts: &Contracts,
    kind: ServiceKind,
    agreement: &AgreementId,
    did: &Did,
    price: U256,
    receiver: &Address,
    consumer: &Address,
) -> ConditionIds {
    let lock = lock_id(contracts, agreement, price);
    let service = service_id(contracts, kind, agreement, did, consumer);
    let escrow = escrow_id(contracts, agreement, price, receiver, consumer, &lock, &service);
    ConditionIds { lock, service, escrow }
}

/// The contract that a kind's middle condition belongs to.
pub fn contract_of(contracts: &Contracts, kind: ServiceKind) -> Address {
    match kind {
        ServiceKind::Compute => contracts.compute,
        ServiceKind::Access => contracts.access,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::parse_address;
    use serde_json::Value;

    /// Ids that differ from the contracts' by a bit turn every honest consumer away.
    #[test]
    fn the_ids_are_those_of_a_real_agreement() {
        let text = include_str!("../../../tests/fixtures/keeper/agreement.json");
        let all: Value = serde_json::from_str(text).unwrap();
        let vector = &all["vector"];
        let address = |value: &Value| parse_address(value.as_str().unwrap()).unwrap();
        let at = |name: &str| address(&vector["contracts"][name]);
        let contracts = Contracts {
            did_registry: Address::ZERO,
            token: at("OceanToken"),
            dispenser: None,
            condition_store: Address::ZERO,
            template_store: Address::ZERO,
            agreement_store: Address::ZERO,
            lock_reward: at("LockRewardCondition"),
            escrow_reward: at("EscrowReward"),
            access: at("AccessSecretStoreCondition"),
            compute: at("ComputeExecutionCondition"),
        };
        let ids = condition_ids(
            &contracts,
            ServiceKind::Compute,
            &vector["agreementId"].as_str().unwrap().parse().unwrap(),
            &vector["did"].as_str().unwrap().parse().unwrap(),
            U256::from(vector["price"].as_u64().unwrap()),
            &address(&vector["publisher"]),
            &address(&vector["consumer"]),
        );
        let expected: Vec<B256> = serde_json::from_value(vector["conditionIds"].clone()).unwrap();
        assert_eq!(ids.to_array().as_slice(), expected);
    }
}
