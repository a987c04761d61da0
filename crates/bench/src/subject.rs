//! The real program under test: started as a person starts it, with an account made through its own forms.

use crate::{
    client,
    exchange::{self, Connection},
    gateway, machines,
    process::{BOTH_CORES, Running, SERVER_CORE, pinned},
    work::member,
};
use anyhow::{Context, Result, bail};
use hallpass_core::{
    encoding,
    entropy::SystemEntropy,
    grant::{AuthorizationCode, digest16},
    id::{AttemptId, GrantId, PersonId},
    jose::{Algorithm, SigningKey},
    jwt::{AccessToken, AccessTokenSigner, GrantReference},
    parameters,
    pkce::{CodeChallenge, CodeVerifier},
    seal::{KeyRing, MasterKey, Purpose},
    secret::{SecretBytes, SecretString},
    time::{Clock, SystemClock},
};
use hallpass_store::{NewGrant, Store};
use rusqlite::OpenFlags;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
};

/// Where the metadata is.
pub const METADATA: &str = "/.well-known/oauth-authorization-server";

/// How the program is started, each time the same.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The state folder.
    pub folder: PathBuf,
    /// Its port on this machine.
    pub port: u16,
    public_port: u16,
    cores: &'static str,
    log: Option<String>,
}

impl Setting {
    /// Of the client that introspects.
    pub const SECRET: &str = "a-secret-that-is-long-enough";

    /// On a free port, in a folder that is not there yet, in front of this upstream.
    pub fn new(folder: PathBuf, upstream: u16, log: Option<String>) -> Result<Self> {
        let port = free_port()?;
        let setting = Self { folder, port, public_port: port, cores: SERVER_CORE, log };
        setting.write(upstream, "")?;
        Ok(setting)
    }

    /// One of several nodes on this PostgreSQL, on all cores. All are known under the port of the first.
    pub fn node(folder: PathBuf, first: Option<&Self>, url: &str, log: Option<String>) -> Result<Self> {
        let port = free_port()?;
        let public_port = first.map_or(port, |first| first.port);
        let setting = Self { folder, port, public_port, cores: BOTH_CORES, log };
        setting.write(port, &format!("[database]\nurl = \"{url}\"\n"))?;
        Ok(setting)
    }

    fn write(&self, upstream: u16, more: &str) -> Result<()> {
        let (port, public_port) = (self.port, self.public_port);
        let secret = self.folder.with_extension("secret");
        fs::write(&secret, Self::SECRET)?;
        let text = format!(
            "public_url = \"http://localhost:{public_port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = {}\n\
             [[client]]\nid = \"asks\"\nname = \"Asks\"\nauth = \"client_secret_basic\"\nsecret_file = {}\n\
             grant_types = []\n[[server]]\nname = \"mcp\"\npath = \"/mcp\"\n\
             upstream = \"http://127.0.0.1:{upstream}/mcp\"\nintrospection_clients = [\"asks\"]\n{}{more}",
            quoted(&self.folder),
            quoted(&secret),
            gateway::servers(upstream) + &client::server(),
        ) + &machines::clients(
            &self.folder,
            &quoted(&secret),
            &format!("http://localhost:{public_port}/mcp"),
        )?;
        Ok(fs::write(self.folder.with_extension("toml"), text)?)
    }

    /// The command, on the core of the server. Its log goes to a file beside the state, as a service's goes to a file.
    pub fn command(&self) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.folder.with_extension("log"))?;
        let mut command = pinned(self.cores, &program()?);
        command.args(["serve", "--config"]).arg(self.folder.with_extension("toml"));
        command.stdin(Stdio::null()).stderr(log);
        if let Some(filter) = &self.log {
            command.env("HALLPASS_LOG", filter);
        }
        Ok(command)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// `Host` for requests to it.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.public_port)
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// As TOML writes it: paths of this machine, without what would need more than quotes.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// The program lies beside this one.
pub fn program() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("hallpass"))
}

/// The running program.
pub struct Subject {
    /// The process.
    pub process: Running,
    /// How it was started.
    pub setting: Setting,
    setup_link: String,
    /// Kept open: what it says later is for nobody.
    _out: BufReader<ChildStdout>,
}

impl Subject {
    /// Starts it on a fresh folder and reads the link for the first account.
    pub fn start(setting: Setting) -> Result<Self> {
        let mut child =
            setting.command()?.stdout(Stdio::piped()).spawn().context("taskset cannot be started")?;
        let out = child.stdout.take();
        let process = Running::new(child);
        let mut out = BufReader::new(out.context("no output")?);
        let setup_link = loop {
            let mut line = String::new();
            if out.read_line(&mut line)? == 0 {
                let log = fs::read_to_string(setting.folder.with_extension("log")).unwrap_or_default();
                bail!("the program ended: {log}");
            }
            if let Some(link) = line.strip_prefix("Setup link:") {
                break link.trim().to_owned();
            }
        };
        Ok(Self { process, setting, setup_link, _out: out })
    }

    /// Creates the first account and registers a client.
    pub async fn account(&self) -> Result<Account> {
        let client_id = self.client().await?;
        Account::read(&self.setting, client_id)
    }

    /// The same, on a store that is reached in another way.
    pub async fn account_in(&self, store: &impl Store) -> Result<Account> {
        let client_id = self.client().await?;
        let person = store.people_list(None, 1).await?.pop().context("no account was made")?;
        // The program has made one: what is offered here is not taken.
        let root = store.root_secret(SecretBytes::new([0; 32])).await?;
        Account::new(&self.setting, client_id, &root, (person.id, person.epoch))
    }

    async fn client(&self) -> Result<String> {
        let host = self.setting.host();
        let mut connection = Connection::open(self.setting.address()).await?;
        create_account(&mut connection, &host, &self.setup_link).await?;
        register(&mut connection, &host).await
    }
}

async fn create_account(connection: &mut Connection, host: &str, link: &str) -> Result<()> {
    let path =
        link.find("/setup").and_then(|at| link.get(at..)).context("the setup link has another form")?;
    let page = connection.ask(&exchange::get(host, path, "")).await?;
    let set = page.field("set-cookie").context("no cookie")?;
    let cookie = set.split(';').next().unwrap_or_default().to_owned();
    let marker = "name=\"csrf\" value=\"";
    let csrf =
        page.text().split_once(marker).and_then(|(_, rest)| rest.split_once('"')).context("no csrf")?;
    let code = path.split_once("code=").context("no code in the link")?.1;
    let body = parameters::encode([
        ("csrf", csrf.0),
        ("code", code),
        ("name", "ada"),
        ("password", "an analytical engine"),
    ]);
    let fields = format!(
        "content-type: application/x-www-form-urlencoded\r\ncookie: {cookie}\r\norigin: http://{host}\r\n"
    );
    let done = connection.ask(&exchange::post(host, "/setup", &fields, &body)).await?;
    if done.status == 303 { Ok(()) } else { bail!("no account was made ({}): {}", done.status, done.text()) }
}

async fn register(connection: &mut Connection, host: &str) -> Result<String> {
    let body = serde_json::json!({
        "redirect_uris": [Account::REDIRECT], "client_name": "Benchmark", "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let request = exchange::post(host, "/register", "content-type: application/json\r\n", &body.to_string());
    let answer = connection.ask(&request).await?;
    if answer.status != 201 {
        bail!("not registered ({}): {}", answer.status, answer.text());
    }
    member(answer.body, "client_id").map(str::to_owned)
}

/// A person and a client, and what it takes to make codes for them without a browser: both halves of the key.
pub struct Account {
    /// The registered client.
    pub client_id: String,
    /// `Host` for requests.
    pub host: String,
    issuer: String,
    keys: KeyRing,
    person: PersonId,
    epoch: u32,
    challenge: CodeChallenge,
}

impl Account {
    /// The client's redirect URI.
    pub const REDIRECT: &str = "http://127.0.0.1:5000/callback";
    /// The verifier of every code.
    pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    /// Reads master key, root secret and person from the folder of the running program.
    fn read(setting: &Setting, client_id: String) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(setting.folder.join("hallpass.sqlite"), flags)?;
        let root: [u8; 32] = database.query_row("SELECT secret FROM root", [], |row| row.get(0))?;
        let (person, epoch): ([u8; 16], u32) =
            database.query_row("SELECT id, epoch FROM person", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let person = (PersonId::from_bytes(person), epoch);
        Self::new(setting, client_id, &SecretBytes::new(root), person)
    }

    fn new(
        setting: &Setting,
        client_id: String,
        root: &SecretBytes<32>,
        (person, epoch): (PersonId, u32),
    ) -> Result<Self> {
        let master = master_key(&setting.folder.join("master.key"))?;
        let host = setting.host();
        let issuer = format!("http://{host}");
        let keys = KeyRing::new(&[master], root, &issuer)?;
        let challenge = CodeVerifier::from_text(Self::VERIFIER)?.challenge();
        let challenge = CodeChallenge::from_request(Some(&challenge), Some("S256"))?;
        Ok(Self { client_id, host, issuer, keys, person, epoch, challenge })
    }

    /// A fresh code, as the consent page would have sent it to the client: for the scope `mcp`, the only one.
    pub fn code(&self) -> SecretString {
        let now = SystemClock.now();
        let code = AuthorizationCode {
            grant: GrantId::new(now, &SystemEntropy),
            person: self.person,
            epoch: self.epoch,
            consented_at: now,
            client: digest16(&self.client_id),
            redirect: digest16(Self::REDIRECT),
            redirect_was_sent: true,
            refresh: true,
            resource: digest16(&format!("{}/mcp", self.issuer)),
            scope_list: digest16("mcp"),
            scopes: vec![1],
            challenge: self.challenge,
            key: None,
            details: None,
            receiver: "127.0.0.1:5000".to_owned(),
        };
        code.seal(&self.keys, &SystemEntropy)
    }
}

impl Account {
    /// Signs access tokens as the program does, with the key that it signs with.
    pub fn signer(&self, setting: &Setting) -> Result<AccessTokenSigner> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(setting.folder.join("hallpass.sqlite"), flags)?;
        let (kid, sealed): (String, Vec<u8>) =
            database
                .query_row("SELECT kid, sealed FROM signing_key", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let context = format!("signing_key/sealed/{kid}");
        let opened = self.keys.open(Purpose::SigningKey, context.as_bytes(), &sealed)?;
        Ok(AccessTokenSigner::new(&SigningKey::from_pkcs8(Algorithm::Es256, &opened)?))
    }

    /// An access token of this grant that nobody has seen yet.
    pub fn access_token(&self, signer: &AccessTokenSigner, grant: GrantId) -> Result<SecretString> {
        self.access_token_for(signer, grant, ("/mcp", "mcp"))
    }

    /// The same for the server at this path, with this scope.
    pub fn access_token_for(
        &self,
        signer: &AccessTokenSigner,
        grant: GrantId,
        (path, scope): (&str, &str),
    ) -> Result<SecretString> {
        let now = SystemClock.now();
        let token = AccessToken {
            issuer: self.issuer.clone(),
            subject: self.person.to_string(),
            audience: format!("{}{path}", self.issuer),
            client_id: self.client_id.clone(),
            issued_at: now,
            expires_at: now.plus(std::time::Duration::from_mins(10)),
            scope: Some(scope.to_owned()),
            grant: GrantReference {
                grant,
                generation: 0,
                epoch: self.epoch,
                salt: hallpass_core::entropy::random(&SystemEntropy),
            },
            key_thumbprint: None,
            details: None,
            actors: Vec::new(),
        };
        Ok(signer.sign(&token)?)
    }

    /// A grant as its redemption would open it.
    pub fn new_grant(&self) -> NewGrant {
        let now = SystemClock.now();
        NewGrant {
            id: GrantId::new(now, &SystemEntropy),
            attempt: AttemptId::new(now, &SystemEntropy),
            person: self.person,
            epoch: self.epoch,
            client_id: self.client_id.clone(),
            client_name: "Benchmark".to_owned(),
            redirect_host: "127.0.0.1:5000".to_owned(),
            resource: format!("{}/mcp", self.issuer),
            scope: "mcp".to_owned(),
            consented_at: now,
            code_digest: hallpass_core::entropy::random(&SystemEntropy),
            from: Some(Ipv4Addr::LOCALHOST.into()),
            key_thumbprint: None,
            details: None,
        }
    }
}

fn master_key(path: &Path) -> Result<MasterKey> {
    let text = fs::read_to_string(path)?;
    let (number, key) =
        text.lines().next().and_then(|line| line.split_once(' ')).context("master.key is empty")?;
    let bytes = encoding::array_from_base64url(key.trim()).context("master.key has another form")?;
    Ok(MasterKey { number: number.parse()?, bytes: SecretBytes::new(bytes) })
}
