//! Signs and answers: the least that a token endpoint does. With a writer, one durable row comes first.

use super::{JSON, durable::Writer};
use anyhow::{Result, anyhow};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use bytes::Bytes;
use hallpass_core::encoding::base64url;
use std::sync::Arc;

/// Bytes of the claims of an access token of ours.
const CLAIMS: usize = 330;

struct Signing {
    key: EcdsaKeyPair,
    random: SystemRandom,
    header: String,
    claims: Vec<u8>,
    writer: Option<Writer>,
}

/// `POST /token`.
pub fn router(writer: Option<Writer>) -> Result<Router> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = EcdsaKeyPair::generate(algorithm).map_err(|_| anyhow!("no key"))?;
    let header =
        base64url(br#"{"typ":"at+jwt","alg":"ES256","kid":"0123456789012345678901234567890123456789012"}"#);
    let signing = Signing { key, random: SystemRandom::new(), header, claims: vec![b'c'; CLAIMS], writer };
    Ok(Router::new().route("/token", post(token)).with_state(Arc::new(signing)))
}

async fn token(State(signing): State<Arc<Signing>>, body: Bytes) -> impl IntoResponse {
    if let Some(writer) = &signing.writer
        && writer.rotate().await.is_err()
    {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let message = format!("{}.{}", signing.header, base64url(&signing.claims));
    let signed = signing.key.sign(&signing.random, message.as_bytes());
    let signature = signed.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let length = body.len();
    let answer = format!(
        "{{\"access_token\":\"{message}.{}\",\"token_type\":\"Bearer\",\"expires_in\":600,\"read\":{length}}}",
        base64url(signature.as_ref())
    );
    Ok((JSON, answer))
}
