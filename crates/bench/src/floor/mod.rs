//! Bare servers that do the least which the real one has to do too, with the same libraries: what is above them is
//! ours. Each is this program again, as a child on the core of the server.

mod durable;
mod nginx;
mod proxy;
mod sign;

use crate::process::{Running, SERVER_CORE, pinned};
use anyhow::{Context, Result, bail};
use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    routing::get,
    serve::ListenerExt,
};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::Stdio,
};
use tokio::net::TcpListener;

pub use durable::ROWS;
pub use nginx::Nginx;

/// The floors.
#[derive(Clone, Copy, Debug)]
pub enum Floor<'a> {
    /// axum, a handler that answers a fixed JSON of this many bytes.
    Http(usize),
    /// axum, a handler that reads a body, signs a message of the size of an access token and answers JSON.
    Sign,
    /// The same, and before it one row updated and committed on disk, with everybody else's who waits.
    Durable(&'a Path),
    /// A reverse proxy to this port that looks at nothing.
    Proxy(u16),
}

/// A running floor.
pub struct Bare {
    /// The process.
    pub process: Running,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts one and waits until it listens.
    pub fn start(floor: Floor<'_>) -> Result<Self> {
        let (kind, argument) = match floor {
            Floor::Http(size) => ("http", size.to_string()),
            Floor::Sign => ("sign", String::new()),
            Floor::Durable(folder) => ("durable", folder.display().to_string()),
            Floor::Proxy(port) => ("proxy", port.to_string()),
        };
        let mut command = pinned(SERVER_CORE, &std::env::current_exe()?);
        let mut child = command.args(["floor", kind, &argument]).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take();
        let process = Running::new(child);
        let mut line = String::new();
        BufReader::new(out.context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("the floor {kind} did not start"))?;
        Ok(Self { process, address })
    }

    /// `Host` for requests to it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

/// In the child: serves until it is killed. Prints its address.
pub fn run(arguments: &[String]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        let kind: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match kind.as_slice() {
            ["http", size] => serve(listener, http(size.parse()?)).await,
            ["sign", _] => serve(listener, sign::router(None)?).await,
            ["durable", folder] => {
                let writer = durable::Writer::start(Path::new(folder))?;
                serve(listener, sign::router(Some(writer))?).await
            }
            ["proxy", port] => proxy::serve(listener, port.parse()?).await,
            _ => bail!("there is no such floor"),
        }
    })
}

const JSON: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];

fn http(size: usize) -> Router {
    let empty = "{\"text\":\"\"}".len();
    let document = bytes::Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(size.saturating_sub(empty))));
    Router::new().route("/document", get(move || async move { (JSON, document) }))
}

async fn serve(listener: TcpListener, router: Router) -> Result<()> {
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}
