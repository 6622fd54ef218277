//! As whom a channel acts: the token of its join, or the key that the websocket was opened with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use time::OffsetDateTime;

use crate::caller::{Caller, Keys};

/// A caller whose token was checked.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Who it is.
    pub caller: Caller,
    /// The user's token; `None` when the socket's key speaks.
    pub token: Option<String>,
    /// When the token ends; `None` for a key.
    pub expires_at: Option<OffsetDateTime>,
}

/// Why a token was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Rejected {
    /// It was good once.
    #[error("Token has expired {seconds} seconds ago")]
    Expired {
        /// Since when.
        seconds: i64,
    },
    /// It can't be read.
    #[error("The token provided is not a valid JWT")]
    Malformed,
    /// It is not signed by this project, or not for it.
    #[error("Failed to validate JWT signature")]
    Forged,
}

impl Rejected {
    /// The code before the colon in the answer to a join.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "InvalidJWTToken",
            Self::Malformed => "MalformedJWT",
            Self::Forged => "JwtSignatureError",
        }
    }
}

/// Checks the token of a join. API keys and no token at all mean `socket`, the caller that opened the websocket.
///
/// # Errors
/// When the token is not taken.
pub fn admit(keys: &Keys, socket: &Caller, token: Option<&str>) -> Result<Admission, Rejected> {
    let Some(token) = token.filter(|token| !token.starts_with("sb_")) else {
        return Ok(Admission { caller: socket.clone(), token: None, expires_at: None });
    };
    let claims = claims(token).ok_or(Rejected::Malformed)?;
    let exp = claims["exp"].as_i64().ok_or(Rejected::Malformed)?;
    match keys.verify(token) {
        Ok(caller) => Ok(Admission {
            caller,
            token: Some(token.to_owned()),
            expires_at: OffsetDateTime::from_unix_timestamp(exp).ok(),
        }),
        Err(_) => Err(match OffsetDateTime::now_utc().unix_timestamp() - exp {
            seconds @ 0.. => Rejected::Expired { seconds },
            _ => Rejected::Forged,
        }),
    }
}

/// What a token claims, unchecked.
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.').skip(1);
    let (claims, _signature) = (parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys() -> Keys {
        Keys::new(
            &Keys::generate(),
            "sb_publishable_a".to_owned(),
            "sb_secret_a".to_owned(),
            "http://here/auth/v1".to_owned(),
        )
        .unwrap()
    }

    fn token(keys: &Keys, seconds: i64) -> String {
        let exp = OffsetDateTime::now_utc().unix_timestamp() + seconds;
        let claims =
            json!({ "sub": "a", "role": "authenticated", "aud": "authenticated", "iss": keys.issuer, "exp": exp });
        keys.sign(&claims).unwrap()
    }

    #[test]
    fn a_key_in_place_of_a_token_means_the_socket_s_own_caller() {
        let keys = keys();
        let socket = keys.resolve(Some("sb_publishable_a"), None).unwrap();
        for given in [None, Some("sb_publishable_a")] {
            let admission = admit(&keys, &socket, given).unwrap();
            assert_eq!((admission.caller.role.as_str(), admission.expires_at), ("anon", None));
        }
    }

    #[test]
    fn a_token_decides_the_role_until_it_ends() {
        let keys = keys();
        let socket = keys.resolve(Some("sb_publishable_a"), None).unwrap();
        let admission = admit(&keys, &socket, Some(&token(&keys, 60))).unwrap();
        assert_eq!(admission.caller.role, "authenticated");
        assert!(admission.expires_at.is_some_and(|at| at > OffsetDateTime::now_utc()));
        let rejected = admit(&keys, &socket, Some(&token(&keys, -9))).unwrap_err();
        assert!(matches!(rejected, Rejected::Expired { seconds: 9..=10 }), "{rejected:?}");
    }

    #[test]
    fn a_token_of_another_project_and_one_that_is_none_are_told_apart() {
        let keys = keys();
        let socket = keys.resolve(Some("sb_publishable_a"), None).unwrap();
        assert_eq!(admit(&keys, &socket, Some(&token(&self::keys(), 60))).unwrap_err(), Rejected::Forged);
        assert_eq!(admit(&keys, &socket, Some("a.b.c")).unwrap_err(), Rejected::Malformed);
    }
}
