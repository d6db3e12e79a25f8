//! Signing a change of policy, and what came of a bundle's tests.

use valetkey_approval::{
    PolicyChange, SignedPolicyChange, SignedTests, UnsignedPolicyChange, UnsignedTests,
    difference_digest,
};
use valetkey_model::Digest;

use crate::error::ApproverError;
use crate::now;
use crate::unlock::Unlocked;

/// Signs a change under a name, with the difference in words that was shown for it and the digest of the tests that were.
///
/// # Errors
/// When it has no canonical form.
pub fn sign_policy(
    key: &Unlocked,
    name: &str,
    change: PolicyChange,
    difference: &[String],
    tests: Option<Digest>,
) -> Result<SignedPolicyChange, ApproverError> {
    let unsigned = UnsignedPolicyChange {
        change,
        difference: difference_digest(difference),
        tests,
        by: name.to_owned(),
        time: now(),
    };
    Ok(unsigned.sign(key.key())?)
}

/// Signs what came of tests. Who signs and when is put in here, whatever stood there.
///
/// # Errors
/// When it has no canonical form.
pub fn sign_tests(
    key: &Unlocked,
    name: &str,
    tests: UnsignedTests,
) -> Result<SignedTests, ApproverError> {
    let unsigned = UnsignedTests {
        by: name.to_owned(),
        time: now(),
        ..tests
    };
    Ok(unsigned.sign(key.key())?)
}
