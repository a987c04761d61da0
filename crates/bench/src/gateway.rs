//! The gateway beside proxies that look at nothing: many connections, one, tokens that it has not seen, a long list.

use crate::{
    exchange::Connection,
    floor::{Bare, Floor, Nginx},
    load::Work,
    measure::{Bench, ROUNDS, Rounds, each},
    report::{Goal, Report},
    subject::Account,
    upstream::TOOLS,
    work::{self, Same},
};
use anyhow::{Context, Result, bail};
use hallpass_core::{
    id::GrantId,
    jwt::AccessTokenSigner,
    time::{Clock, SystemClock},
};
use std::{sync::Arc, time::Duration};

/// Of the bare proxy, per core-second, and in calls.
const OF_PROXY: f64 = 0.55;
const CALLS: f64 = 35_000.0;
/// Of the bare proxy's latency, one call at a time.
const TYPICAL: f64 = 1.25;
const SLOWEST: f64 = 2.0;
/// A signature to verify for each.
const NEVER_SEEN: f64 = 12_000.0;
/// What leaving tools out may take, in microseconds.
const FILTER: u32 = 1_000;

/// Two servers more in front of the long list: one that passes it on, one that leaves out what its rules deny.
pub fn servers(upstream: u16) -> String {
    let [read, admin, _] = TOOLS.map(|(kind, _)| kind);
    let server = |name: &str| {
        format!(
            "[[server]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"http://127.0.0.1:{upstream}/tools\"\n"
        )
    };
    let rule = |kind: &str| format!("[[server.rules]]\ntools = [\"{kind}_*\"]\nscopes = [\"{kind}\"]\n");
    format!(
        "{}scopes = [{{ name = \"{read}\", title = \"All\" }}]\nrequired_scopes = []\n\
         {}scopes = [{{ name = \"{read}\", title = \"Read\" }}, {{ name = \"{admin}\", title = \"Administer\" }}]\n\
         required_scopes = []\n{}{}",
        server("unfiltered"),
        server("filtered"),
        rule(read),
        rule(admin),
    )
}

impl Bench<'_> {
    /// Many connections, tokens that were seen before.
    pub async fn gateway(&self, report: &mut Report) -> Result<()> {
        let tokens = self.access_tokens().await?;
        let mut works: Vec<Same> = tokens.iter().map(|token| Same::call(&self.host(), token)).collect();
        self.let_through(&works).await?;
        let floor = Bare::start(Floor::Proxy(self.upstream))?;
        let nginx = Nginx::start(&self.folder.0.join("nginx"), self.upstream)?;
        let calls = |host: &str| tokens.iter().map(|token| Same::call(host, token)).collect::<Vec<_>>();
        let (mut bare, mut other, mut own) = (Rounds::new(), Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            bare.run(self, &floor.process, floor.address, calls(&floor.host())).await?;
            other.run(self, &nginx.process, nginx.address, calls(&nginx.address.to_string())).await?;
            works = own.run(self, &self.subject.process, self.address(), works).await?;
        }
        report.floor(bare.row("bare hyper reverse proxy"));
        report.beside(&other.row("nginx, a reverse proxy that checks nothing"));
        let goals = [Goal::PerCoreSecond(OF_PROXY), Goal::CallsPerCoreSecond(CALLS)];
        report.own(&own.row("d. gateway, token seen before"), &goals);
        Ok(())
    }

    /// One call at a time: what the checks add to the way of one.
    pub async fn one_connection(&self, report: &mut Report) -> Result<()> {
        let token = self.access_tokens().await?.pop().context("no token")?;
        let mut works = vec![Same::call(&self.host(), &token)];
        self.let_through(&works).await?;
        let floor = Bare::start(Floor::Proxy(self.upstream))?;
        let (mut bare, mut own) = (Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            bare.run(self, &floor.process, floor.address, vec![Same::call(&floor.host(), &token)]).await?;
            works = own.run(self, &self.subject.process, self.address(), works).await?;
        }
        report.floor(bare.row("bare hyper reverse proxy, one connection"));
        let goals = [Goal::TypicalOfFloor(TYPICAL), Goal::SlowestOfFloor(SLOWEST)];
        report.own(&own.row("m. gateway, one connection"), &goals);
        Ok(())
    }

    /// A token that the gateway has not seen, in each call.
    pub async fn never_seen(&self, report: &mut Report) -> Result<()> {
        let works = self
            .access_tokens()
            .await?
            .iter()
            .map(|token| Same::call(&self.host(), token))
            .collect::<Vec<_>>();
        self.let_through(&works).await?;
        let signer = self.account.signer(&self.subject.setting)?;
        let account = &self.account;
        let mut works = each(|| NeverSeen {
            account: Arc::clone(account),
            signer: signer.clone(),
            grant: GrantId::new(SystemClock.now(), &hallpass_core::entropy::SystemEntropy),
        });
        let mut own = Rounds::new();
        for _ in 0..ROUNDS {
            works = own.run(self, &self.subject.process, self.address(), works).await?;
        }
        report.fresh();
        report.own(&own.row("n. gateway, token never seen"), &[Goal::PerSecond(NEVER_SEEN)]);
        Ok(())
    }

    /// The list of 500 tools, one call at a time: passed on, and with what is denied left out.
    pub async fn long_list(&self, report: &mut Report) -> Result<()> {
        let signer = self.account.signer(&self.subject.setting)?;
        let grant = GrantId::new(SystemClock.now(), &hallpass_core::entropy::SystemEntropy);
        let list = |path: &str| -> Result<Same> {
            let token = self.account.access_token_for(&signer, grant, (path, TOOLS[0].0))?;
            Ok(Same::of(&work::call(&self.host(), path, token.expose())))
        };
        let (whole, short) = (list("/unfiltered")?, list("/filtered")?);
        self.let_through(&[whole.clone(), short.clone()]).await?;
        let lengths = [self.length(&whole).await?, self.length(&short).await?];
        if lengths[1] >= lengths[0] {
            bail!("nothing was left out of the list: {lengths:?} bytes");
        }
        let (mut passed, mut filtered) = (Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            passed.run(self, &self.subject.process, self.address(), vec![whole.clone()]).await?;
            filtered.run(self, &self.subject.process, self.address(), vec![short.clone()]).await?;
        }
        report.floor(passed.row("gateway, a list of 500 tools passed on, one connection"));
        report.own(&filtered.row("p. the same, 150 of them left out"), &[Goal::TypicalAbove(FILTER)]);
        Ok(())
    }

    /// One for each connection.
    pub async fn access_tokens(&self) -> Result<Vec<String>> {
        Ok(self.grants(1).await?.into_iter().flatten().map(|tokens| tokens.access).collect())
    }

    /// Calls until they are let through: just after the start the gateway waits for the first load of revocations.
    pub async fn let_through(&self, calls: &[Same]) -> Result<()> {
        let mut connection = Connection::open(self.address()).await?;
        for call in calls {
            let mut request = Vec::new();
            call.clone().request(&mut request)?;
            seen(&mut connection, &request).await?;
        }
        Ok(())
    }

    async fn length(&self, call: &Same) -> Result<usize> {
        let mut request = Vec::new();
        call.clone().request(&mut request)?;
        Ok(Connection::open(self.address()).await?.ask(&request).await?.body.len())
    }
}

async fn seen(connection: &mut Connection, request: &[u8]) -> Result<()> {
    for _ in 0..50 {
        let answer = connection.ask(request).await?;
        match answer.status {
            200 => return Ok(()),
            503 => tokio::time::sleep(Duration::from_millis(20)).await,
            status => bail!("the gateway answered {status}: {}", answer.text()),
        }
    }
    bail!("the gateway was not ready within a second")
}

/// A call with a token of its own, each time.
struct NeverSeen {
    account: Arc<Account>,
    signer: AccessTokenSigner,
    grant: GrantId,
}

impl Work for NeverSeen {
    fn request(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let token = self.account.access_token(&self.signer, self.grant)?;
        out.extend_from_slice(&work::call(&self.account.host, "/mcp", token.expose()));
        Ok(())
    }

    fn answer(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}
