//! Who is calling: keys and tokens of a request, turned into a database role and its claims.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// The caller of a request, as PostgreSQL is to see it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Database role: `anon`, `authenticated` or `service_role`.
    pub role: String,
    /// What goes into `request.jwt.claims`; `sub` is the user's id for `authenticated`.
    pub claims: Value,
    /// A JWT that PostgREST accepts for this caller.
    pub token: String,
}

/// Why a caller was refused: status and message as the real gateway answers them.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// HTTP status of the answer.
    pub status: StatusCode,
    /// What the client is told.
    pub message: String,
}

/// The project's keys: the publishable and the secret API key, and the ES256 pair that signs user tokens.
pub struct Keys {
    /// `sb_publishable_...`, role `anon`.
    pub publishable: String,
    /// `sb_secret_...`, role `service_role`.
    pub secret: String,
    /// `{gateway}/auth/v1`, the `iss` of every token.
    pub issuer: String,
    kid: String,
    public_jwk: Value,
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// The callers that the two keys stand for, kept while their tokens are fresh: a token that PostgREST has seen is cheap for it.
    key_callers: Mutex<HashMap<&'static str, Caller>>,
}

impl Keys {
    /// A new ES256 key pair in PKCS#8, to be kept by the caller so that tokens outlive a restart.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    pub fn generate() -> Vec<u8> {
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        pair.expect("the system gives randomness").as_ref().to_vec()
    }

    /// Reads a pair made by [`Keys::generate`]. `issuer` is `{gateway}/auth/v1`.
    pub fn new(pkcs8: &[u8], publishable: String, secret: String, issuer: String) -> anyhow::Result<Self> {
        use base64::Engine as _;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
            .map_err(|error| anyhow::anyhow!("the signing key of the local stack can't be read: {error}"))?;
        // An uncompressed point: 0x04, then x and y of 32 bytes each.
        let point = pair.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..65]));
        let kid = encode(&ring::digest::digest(&ring::digest::SHA256, point).as_ref()[..12]);
        Ok(Self {
            public_jwk: json!({
                "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "key_ops": ["verify"], "kid": kid, "x": x, "y": y
            }),
            decoding: DecodingKey::from_ec_components(&x, &y)?,
            encoding: EncodingKey::from_ec_der(pkcs8),
            publishable,
            secret,
            issuer,
            kid,
            key_callers: Mutex::default(),
        })
    }

    /// The public half as a JWK set, for `/.well-known/jwks.json` and for PostgREST.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.public_jwk] })
    }

    /// Signs `claims` as they are.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        Ok(jsonwebtoken::encode(&header, claims, &self.encoding)?)
    }

    /// Checks a user's token: signature, `exp`, `aud`, `iss`.
    pub fn verify(&self, token: &str) -> Result<Caller, Refused> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&["authenticated"]);
        validation.set_issuer(&[&self.issuer]);
        validation.leeway = 0;
        let refused = |error: jsonwebtoken::errors::Error| Refused {
            status: StatusCode::UNAUTHORIZED,
            message: format!("invalid JWT: {error}"),
        };
        let claims = jsonwebtoken::decode::<Value>(token, &self.decoding, &validation).map_err(refused)?.claims;
        let role = claims["role"].as_str().unwrap_or("anon").to_owned();
        Ok(Caller { role, claims, token: token.to_owned() })
    }

    /// The caller of a request with these headers: `apikey` must name one of the two keys (or `Authorization` must), and a user's
    /// token in `Authorization` decides the role when there is one.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let bearer = text("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        self.resolve(text("apikey"), bearer)
    }

    /// [`Keys::caller`] for a key and a token that came by another way, such as a query string.
    pub fn resolve(&self, apikey: Option<&str>, bearer: Option<&str>) -> Result<Caller, Refused> {
        let is_key = |value: &str| value == self.publishable || value == self.secret;
        let refused = |message: &str| Refused { status: StatusCode::UNAUTHORIZED, message: message.to_owned() };
        let apikey = apikey.or_else(|| bearer.filter(|value| is_key(value)));
        match (apikey, bearer.filter(|value| !is_key(value))) {
            (None, None) => Err(refused("No API key found in request")),
            (Some(key), _) if !is_key(key) => Err(refused("Invalid API key")),
            (_, Some(token)) => self.verify(token),
            (Some(key), None) => {
                let role = if key == self.secret { "service_role" } else { "anon" };
                self.key_caller(role)
            }
        }
    }

    fn key_caller(&self, role: &'static str) -> Result<Caller, Refused> {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let mut kept = self.key_callers.lock().expect("nothing panics while it holds this lock");
        if let Some(caller) = kept.get(role).filter(|caller| caller.claims["exp"].as_i64() > Some(now + 300)) {
            return Ok(caller.clone());
        }
        let claims = json!({ "iss": self.issuer, "role": role, "aud": "authenticated", "iat": now, "exp": now + 600 });
        let token = self
            .sign(&claims)
            .map_err(|error| Refused { status: StatusCode::INTERNAL_SERVER_ERROR, message: error.to_string() })?;
        let caller = Caller { role: role.to_owned(), claims, token };
        kept.insert(role, caller.clone());
        Ok(caller)
    }
}
