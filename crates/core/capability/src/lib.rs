//! Signed capabilities: what a token says, how it is signed, a strict verifier, and narrowing.
//!
//! A token is a compact JWS (RFC 7515), `EdDSA` only (RFC 8037), whose payload carries the registered claims of RFC 7519,
//! `authorization_details` (RFC 9396) and `cnf` (RFC 7800), which binds it to one session.
#![forbid(unsafe_code)]

mod claims;
mod key;
mod narrow;
mod token;

pub use claims::{
    AUDIENCE_GUARD, AuthorizationDetail, Capability, Claims, Confirmation,
    MAX_SINGLE_USE_TTL_SECONDS, MAX_TTL_SECONDS,
};
pub use key::{IssuerKey, Jwk, Jwks, PublicKey, PublicKeyError};
pub use narrow::NarrowError;
pub use token::{MAX_TOKEN_BYTES, TokenError, Verified, Verifier};
