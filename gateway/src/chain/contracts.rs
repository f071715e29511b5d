//! The functions of the Keeper contracts 0.13.2 that are called here. The artifacts' ABI is the source.

use alloy_primitives::{B256, b256};
use alloy_sol_types::sol;

/// keccak256("EscrowComputeExecutionTemplate"), the id of the template of compute agreements.
pub const COMPUTE_TEMPLATE: B256 = b256!("05261cb95061becaa852abcba43e8fe7f3edafcaa1cedf1606c08bed0a6cfa70");
/// keccak256("EscrowAccessSecretStoreTemplate"), the id of the template of access agreements.
pub const ACCESS_TEMPLATE: B256 = b256!("ff52b4c00ceacf1cfd7296af9569da77db4e9ae9b3d42a3022516b9c1adca8de");

sol! {
    interface DIDRegistry {
        event DIDOwnershipTransferred(bytes32 did, address previousOwner, address newOwner);

        function initialize(address owner) external;
        function registerAttribute(bytes32 did, bytes32 checksum, address[] providers, string value) external returns (uint256 size);
        function addDIDProvider(bytes32 did, address provider) external;
        function transferDIDOwnership(bytes32 did, address newOwner) external;
        function getDIDRegister(bytes32 did) external view returns (address owner, bytes32 lastChecksum, address lastUpdatedBy, uint256 blockNumberUpdated, address[] providers);
        function getDIDOwner(bytes32 did) external view returns (address owner);
        function isDIDProvider(bytes32 did, address provider) external view returns (bool yes);
    }

    interface OceanToken {
        function initialize(address owner, address initialMinter) external;
        function approve(address spender, uint256 value) external returns (bool done);
        function transfer(address to, uint256 value) external returns (bool done);
        function mint(address to, uint256 value) external returns (bool done);
        function balanceOf(address owner) external view returns (uint256 balance);
        function allowance(address owner, address spender) external view returns (uint256 remaining);
        function addMinter(address account) external;
        function renounceMinter() external;
    }

    interface Dispenser {
        function initialize(address token, address owner) external;
        function requestTokens(uint256 amount) external returns (bool transferred);
    }

    interface ConditionStoreManager {
        function initialize(address owner) external;
        function delegateCreateRole(address delegatee) external;
        function getCondition(bytes32 id) external view returns (address typeRef, uint8 state, uint256 timeLock, uint256 timeOut, uint256 blockNumber, address lastUpdatedBy, uint256 blockNumberUpdated);
    }

    interface TemplateStoreManager {
        function initialize(address owner) external;
        function registerTemplateActorType(string actorType) external returns (bytes32 actorTypeId);
        function proposeTemplate(bytes32 id, address[] conditionTypes, bytes32[] actorTypeIds, string name) external returns (uint256 size);
        function approveTemplate(bytes32 id) external;
        function revokeTemplate(bytes32 id) external;
        function isTemplateIdApproved(bytes32 id) external view returns (bool approved);
    }

    interface AgreementStoreManager {
        event AgreementActorAdded(bytes32 indexed agreementId, address indexed actor, bytes32 actorType);

        function initialize(address owner, address conditionStoreManager, address templateStoreManager, address didRegistry) external;
        function createAgreement(bytes32 id, bytes32 did, bytes32 templateId, bytes32[] conditionIds, uint256[] timeLocks, uint256[] timeOuts, address[] actors) external returns (uint256 size);
        function getAgreement(bytes32 id) external view returns (bytes32 did, address didOwner, bytes32 templateId, bytes32[] conditionIds, address lastUpdatedBy, uint256 blockNumberUpdated);
        function getAgreementActors(bytes32 id) external view returns (address[] actors);
        function isAgreementDIDOwner(bytes32 id, address owner) external view returns (bool yes);
        function isAgreementDIDProvider(bytes32 id, address provider) external view returns (bool yes);
    }

    interface Condition {
        function initialize(address owner, address conditionStoreManager) external;
        function initialize(address owner, address conditionStoreManager, address third) external;
        function abortByTimeOut(bytes32 id) external returns (uint8 state);
        function generateId(bytes32 agreementId, bytes32 valueHash) external view returns (bytes32 id);
    }

    interface LockRewardCondition {
        function hashValues(address rewardAddress, uint256 amount) external pure returns (bytes32 hash);
        function fulfill(bytes32 agreementId, address rewardAddress, uint256 amount) external returns (uint8 state);
    }

    interface EscrowReward {
        function hashValues(uint256 amount, address receiver, address sender, bytes32 lockCondition, bytes32 releaseCondition) external pure returns (bytes32 hash);
        function fulfill(bytes32 agreementId, uint256 amount, address receiver, address sender, bytes32 lockCondition, bytes32 releaseCondition) external returns (uint8 state);
    }

    /// AccessSecretStoreCondition and ComputeExecutionCondition: the two that the provider fulfils, of one shape.
    interface ServiceCondition {
        function hashValues(bytes32 did, address grantee) external pure returns (bytes32 hash);
        function fulfill(bytes32 agreementId, bytes32 did, address grantee) external returns (uint8 state);
        function wasComputeTriggered(bytes32 did, address grantee) external view returns (bool triggered);
        function checkPermissions(address grantee, bytes32 did) external view returns (bool granted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{hex, keccak256};
    use alloy_sol_types::{SolCall as _, SolEvent as _};

    /// A selector that is wrong by a letter reads as "no agreement" for every paying consumer.
    #[test]
    fn selectors_topics_and_template_ids_are_the_contracts_own() {
        assert_eq!(AgreementStoreManager::createAgreementCall::SELECTOR, hex!("8ded3b30"));
        assert_eq!(AgreementStoreManager::getAgreementCall::SELECTOR, hex!("f42eb765"));
        assert_eq!(AgreementStoreManager::getAgreementActorsCall::SELECTOR, hex!("3f3dcae5"));
        assert_eq!(ConditionStoreManager::getConditionCall::SELECTOR, hex!("2934a0ee"));
        assert_eq!(DIDRegistry::registerAttributeCall::SELECTOR, hex!("534eb706"));
        assert_eq!(LockRewardCondition::fulfillCall::SELECTOR, hex!("2a29ece6"));
        assert_eq!(EscrowReward::fulfillCall::SELECTOR, hex!("2242b40e"));
        assert_eq!(ServiceCondition::fulfillCall::SELECTOR, hex!("d9250da4"));
        assert_eq!(ServiceCondition::wasComputeTriggeredCall::SELECTOR, hex!("c0f02005"));
        assert_eq!(ServiceCondition::checkPermissionsCall::SELECTOR, hex!("b36a9a7c"));
        assert_eq!(Condition::abortByTimeOutCall::SELECTOR, hex!("1ce19185"));
        assert_eq!(TemplateStoreManager::isTemplateIdApprovedCall::SELECTOR, hex!("50669e84"));
        assert_eq!(
            AgreementStoreManager::AgreementActorAdded::SIGNATURE_HASH,
            b256!("1df2d13a1ab104740f139354d254a1bc6c230efdee681d4c8a463d4fb9b51ca0")
        );
        assert_eq!(COMPUTE_TEMPLATE, keccak256("EscrowComputeExecutionTemplate"));
        assert_eq!(ACCESS_TEMPLATE, keccak256("EscrowAccessSecretStoreTemplate"));
    }
}
