//! Machines and bound tokens: a token for a secret, one for a signature, and a refresh with a proof.

use crate::{
    exchange::Connection,
    floor::{Bare, Floor},
    load::Work,
    measure::{Bench, GRANTS, ROUNDS, Rounds, each, same},
    report::{Goal, Report},
    subject::Setting,
    work::{self, Proofs, Refreshes, Same},
};
use anyhow::{Result, bail};
use hallpass_core::jose::{Algorithm, SigningKey};
use std::{fs, path::Path, sync::Arc};

/// Of the floor that signs and keeps nothing.
const OF_SIGNING: f64 = 0.6;
/// With a signature verified and a row written for each.
const SIGNED: f64 = 8_000.0;
/// What the operator wrote down about both machines.
const CLIENTS: &str = "[[client]]\nid = \"machine\"\nname = \"Machine\"\nauth = \"client_secret_post\"\n\
    grant_types = [\"client_credentials\"]\nscopes = [\"mcp\"]\nsecret_file = ";
const SIGNS: &str = "[[client]]\nid = \"signs\"\nname = \"Signs\"\nauth = \"private_key_jwt\"\n\
    grant_types = [\"client_credentials\"]\nscopes = [\"mcp\"]\njwks_file = ";

/// The machines of the configuration in `folder`, for this server, whose secret is in a file already. Their key is made anew.
pub fn clients(folder: &Path, secret: &str, resource: &str) -> Result<String> {
    let key = SigningKey::generate(Algorithm::Es256)?;
    let set = serde_json::json!({ "keys": [key.public_jwk().to_json()] });
    fs::write(folder.with_extension("jwks"), set.to_string())?;
    fs::write(folder.with_extension("pkcs8"), &*key.to_pkcs8()?)?;
    let jwks = folder.with_extension("jwks");
    let resources = format!("resources = [\"{resource}\"]\n");
    Ok(format!("{CLIENTS}{secret}\n{resources}{SIGNS}'{}'\n{resources}", jwks.display()))
}

/// A fresh assertion each time.
struct Signed {
    host: String,
    assertions: Arc<Proofs>,
}

impl Work for Signed {
    fn request(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let body = format!(
            "grant_type=client_credentials&client_assertion_type=\
             urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={}",
            self.assertions.assertion("signs")?
        );
        out.extend_from_slice(&work::form(&self.host, &body, ""));
        Ok(())
    }

    fn answer(&mut self, body: &[u8]) -> Result<()> {
        work::member(body, "access_token").map(|_| ())
    }
}

impl Bench<'_> {
    /// Both kinds of machine beside a server that signs and does nothing else.
    pub async fn machines(&self, report: &mut Report) -> Result<()> {
        let floor = Bare::start(Floor::Sign)?;
        let body =
            format!("grant_type=client_credentials&client_id=machine&client_secret={}", Setting::SECRET);
        let by_secret = Same::of(&work::form(&self.host(), &body, ""));
        let pkcs8 = fs::read(self.subject.setting.folder.with_extension("pkcs8"))?;
        let key = SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8)?;
        let assertions = Arc::new(Proofs::new(key, &self.host()));
        let (mut bare, mut own, mut signed) = (Rounds::new(), Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            bare.run(self, &floor.process, floor.address, same(&Same::form(&floor.host()))).await?;
            own.run(self, &self.subject.process, self.address(), same(&by_secret)).await?;
            let works = each(|| Signed { host: self.host(), assertions: Arc::clone(&assertions) });
            signed.run(self, &self.subject.process, self.address(), works).await?;
        }
        report.fresh();
        report.floor(bare.row("bare axum, ES256, in memory"));
        report.own(&own.row("j. client_credentials, a secret"), &[Goal::OfFloor(OF_SIGNING)]);
        report.own(&signed.row("k. client_credentials, private_key_jwt"), &[Goal::PerSecond(SIGNED)]);
        Ok(())
    }

    /// Refreshes as in c, of grants that are bound to a key, each with a fresh proof.
    pub async fn bound(&self, report: &mut Report) -> Result<()> {
        let proofs = Arc::new(Proofs::new(SigningKey::generate(Algorithm::Es256)?, &self.host()));
        let mut connection = Connection::open(self.address()).await?;
        let mut works = Vec::new();
        for _ in 0..crate::CONNECTIONS {
            let mut tokens = Vec::new();
            for _ in 0..GRANTS {
                let request = work::bound_redemption(&self.account, &proofs)?;
                let answer = connection.ask(&request).await?;
                if answer.status != 200 {
                    bail!("not redeemed ({}): {}", answer.status, answer.text());
                }
                tokens.push(work::member(answer.body, "refresh_token")?.to_owned());
            }
            let refreshes = Refreshes::new(&self.account.host, &self.account.client_id, tokens);
            works.push(refreshes.bound(Arc::clone(&proofs)));
        }
        let floor = Bare::start(Floor::Durable(&self.folder.0.join("floor")))?;
        let (mut bare, mut own) = (Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            bare.run(self, &floor.process, floor.address, same(&Same::form(&floor.host()))).await?;
            works = own.run(self, &self.subject.process, self.address(), works).await?;
        }
        report.fresh();
        report.floor(bare.row("bare axum, ES256, one row committed"));
        report.own(&own.row("l. refresh, DPoP"), &[Goal::PerSecond(SIGNED)]);
        Ok(())
    }
}
