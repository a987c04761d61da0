//! The client: the first call of a command, what its tower layer adds to a call, and the bridge from stdio beside npm's.

mod bridge;

use crate::{
    exchange::Connection,
    measure::{Bench, say},
    process,
    report::{Report, Verdict},
    subject::program,
    work,
};
use anyhow::{Context, Result, bail};
use hallpass_client::{
    driver::{Client, LoginOptions, Settings},
    layer::SignInLayer,
    storage::{ClientCredentials, Entry, EntryKey, Store, TokenAuth, Tokens},
};
use hallpass_core::{
    entropy::SystemEntropy,
    id::GrantId,
    scope::Scope,
    secret::SecretString,
    time::{Clock, SystemClock},
};
use http::{Request, Response};
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::Command;
use tower::{Layer, Service, service_fn};

/// Of which the median counts.
const CALLS: usize = 20;
/// Of one round of the layer.
const REQUESTS: u32 = 20_000;
const ROUNDS: usize = 5;
/// The first call over a raw request, the process and all.
const FIRST: Duration = Duration::from_millis(15);
/// What the layer adds to a call.
const LAYER: Duration = Duration::from_micros(20);
/// The path of the built-in server, which speaks all of MCP.
const PATH: &str = "/demo";

/// A folder of the client in which somebody is signed in.
pub struct SignedIn {
    /// As the commands take it.
    pub url: String,
    /// For requests that are made without the client.
    pub token: String,
    /// The folder.
    pub state: PathBuf,
}

/// The built-in server beside the others.
pub fn server() -> String {
    format!("[[server]]\nname = \"demo\"\npath = \"{PATH}\"\n")
}

impl Bench<'_> {
    /// All of it, with the program, its gateway and the load on both cores, as on somebody's computer.
    pub async fn client(&self, report: &mut Report) -> Result<()> {
        process::move_self(process::BOTH_CORES)?;
        let signed_in = self.signed_in()?;
        self.first_calls(&signed_in, report).await?;
        layer(&signed_in, report).await?;
        self.bridges(&signed_in, report).await?;
        process::move_self(process::LOAD_CORE)
    }

    fn signed_in(&self) -> Result<SignedIn> {
        let signer = self.account.signer(&self.subject.setting)?;
        let grant = GrantId::new(SystemClock.now(), &SystemEntropy);
        let token = self.account.access_token_for(&signer, grant, (PATH, "mcp"))?;
        let (issuer, state) = (format!("http://{}", self.host()), self.folder.0.join("client"));
        let (url, now) = (format!("{issuer}{PATH}"), SystemClock.now());
        let tokens = Tokens {
            access_token: token.clone(),
            issued_at: now,
            expires_at: Some(now.plus(Duration::from_mins(10))),
            refresh_token: None,
            scope: Scope::parse("mcp")?,
            proof_key: None,
        };
        let client = ClientCredentials {
            client_id: self.account.client_id.clone(),
            client_secret: None::<SecretString>,
            auth: TokenAuth::None,
        };
        let entry = Entry {
            key: EntryKey { issuer: issuer.clone(), resource: url.clone(), account: "default".into() },
            server: url.clone(),
            client,
            token_endpoint: format!("{issuer}/token"),
            revocation_endpoint: None,
            client_is_given: false,
            endpoints_read_at: now,
            requested_scope: Scope::parse("mcp")?,
            tokens,
            signed_in_at: now,
            renewal: None,
        };
        Store::new(state.clone()).update(now, &SystemEntropy, |contents| contents.put_entry(entry))?;
        Ok(SignedIn { url, token: token.expose().to_owned(), state })
    }

    /// `hallpass call` from its start to its end, beside the same request on a fresh connection.
    async fn first_calls(&self, signed_in: &SignedIn, report: &mut Report) -> Result<()> {
        say("first calls");
        let request = work::call(&self.host(), PATH, &signed_in.token);
        let (mut raw, mut own) = (Vec::new(), Vec::new());
        for _ in 0..CALLS {
            let began = Instant::now();
            let mut connection = Connection::open(self.address()).await?;
            let answer = connection.ask(&request).await?;
            if answer.status != 200 {
                bail!("the raw request was answered {}: {}", answer.status, answer.text());
            }
            raw.push(began.elapsed());
            let began = Instant::now();
            let mut command = Command::new(program()?);
            command.args(["call", &signed_in.url, "tools/list", "--state"]).arg(&signed_in.state);
            let done = command.stdin(Stdio::null()).output().await?;
            if !done.status.success() {
                bail!("hallpass call failed: {}", String::from_utf8_lossy(&done.stderr));
            }
            own.push(began.elapsed());
        }
        let (raw, own) = (median(raw)?, median(own)?);
        let more = own.saturating_sub(raw);
        let verdict = Verdict {
            goal: format!("≤ {} ms over a raw request", FIRST.as_millis()),
            found: format!("{:.1} ms over {:.1}", milliseconds(more), milliseconds(raw)),
            reached: more <= FIRST,
        };
        report.below("r. first call with a kept token, process start included", &verdict);
        Ok(())
    }
}

/// The layer around a client that answers at once, beside that client alone.
async fn layer(signed_in: &SignedIn, report: &mut Report) -> Result<()> {
    say("the layer of the client");
    let fetch = hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default())?;
    let client = Client::new(fetch, Store::new(signed_in.state.clone()), Settings::default());
    let credentials = client.credentials(&signed_in.url, LoginOptions::default(), None)?;
    let plain = service_fn(|request: Request<()>| async move {
        std::hint::black_box(&request);
        Ok::<_, Infallible>(Response::new(()))
    });
    let mut layered = SignInLayer::new(credentials).layer(plain);
    let (mut without, mut with) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        without = without.min(asked(&mut plain.clone(), &signed_in.url).await?);
        with = with.min(asked(&mut layered, &signed_in.url).await?);
    }
    let more = with.saturating_sub(without);
    let verdict = Verdict {
        goal: format!("≤ {} µs", LAYER.as_micros()),
        found: format!("{:.2} µs", more.as_secs_f64() * 1e6),
        reached: more <= LAYER,
    };
    report.below("s. what the client's layer adds to a call for which nothing is due", &verdict);
    Ok(())
}

async fn asked<S: Service<Request<()>>>(service: &mut S, url: &str) -> Result<Duration> {
    let requests = (0..REQUESTS).map(|_| Request::post(url).body(())).collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    for request in requests {
        if service.call(request).await.is_err() {
            bail!("the layer refused a request");
        }
    }
    began.elapsed().checked_div(REQUESTS).context("no request")
}

pub(crate) fn median(mut times: Vec<Duration>) -> Result<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("nothing was measured")
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The folder of a peer's own state.
pub(crate) fn folder_of(signed_in: &SignedIn, name: &str) -> PathBuf {
    signed_in.state.parent().unwrap_or(Path::new(".")).join(name)
}
