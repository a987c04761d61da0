//! The callback listener (RFC 8252 §7.3): on 127.0.0.1, open only while somebody signs in, one path, one method.
//!
//! Everything on this machine and every web page in its browsers can send requests here. What is not the answer
//! to our request gets a short refusal and does not end the wait: a port scanner or a favicon must not be able
//! to spoil a sign-in, and a page that guesses the port must not be able to finish it.

mod page;
mod request;

pub use page::Page;

use request::{Head, read_head};
use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

/// The path of the redirect URI.
pub const PATH: &str = "/callback";
/// Connections at one time. Browsers open some in advance and send nothing on them.
const CONNECTIONS: usize = 32;
/// Time for a request to arrive, and for the driver to judge it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener that waits for one authorization response.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    port: u16,
}

/// A request for the callback path. It has to be answered; dropping it answers with a refusal.
#[derive(Debug)]
pub struct Arrived {
    /// The query as received, at most 8 KiB. Contains the code: not for logs.
    pub query: String,
    reply: oneshot::Sender<Page>,
}

impl Arrived {
    /// Shows the page in the person's browser.
    pub fn answer(self, page: Page) {
        let _ = self.reply.send(page);
    }
}

impl Listener {
    /// Opens the listener, on `preferred` if that port is free: a registration of an earlier sign-in may name
    /// it, and some servers compare ports. Otherwise on any free port.
    ///
    /// # Errors
    /// No port could be opened.
    pub async fn bind(preferred: Option<u16>) -> io::Result<Self> {
        let tcp = match preferred {
            Some(port) => match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(tcp) => tcp,
                Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            },
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        };
        let port = tcp.local_addr()?.port();
        Ok(Self { tcp, port })
    }

    /// Opens the listener on this port and no other: the person's browser is on its way there.
    ///
    /// # Errors
    /// The port could not be opened; `AddrInUse` where another program has it.
    pub async fn bind_exactly(port: u16) -> io::Result<Self> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(Self { tcp, port })
    }

    /// The redirect URI to register and to ask for. The literal, not `localhost`: that name may lead elsewhere
    /// (RFC 8252 §8.3).
    pub fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for requests to the callback path and hands each to `judge`, which answers it and returns the
    /// outcome, or `None` to go on waiting. The listener is closed when this returns.
    pub async fn wait<T>(self, mut judge: impl FnMut(Arrived) -> Option<T> + Send) -> T {
        let (sender, mut arrivals) = mpsc::channel(CONNECTIONS);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut tasks = JoinSet::new();
        let outcome = loop {
            tokio::select! {
                connection = self.tcp.accept() => {
                    let Ok((stream, _)) = connection else {
                        // A connection that broke at once, or no file handles for a moment: not the end.
                        sleep(Duration::from_millis(50)).await;
                        continue;
                    };
                    // Over the limit the connection is closed at once.
                    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                        let (sender, port) = (sender.clone(), self.port);
                        tasks.spawn(async move {
                            let _ = serve(stream, port, &sender).await;
                            drop(place);
                        });
                    }
                    while tasks.try_join_next().is_some() {}
                }
                Some(arrived) = arrivals.recv() => {
                    if let Some(outcome) = judge(arrived) {
                        break outcome;
                    }
                }
            }
        };
        // No new callback from here on (CL-050), but the page that was just answered still has to be written.
        drop(self.tcp);
        drop(arrivals);
        let _ =
            timeout(Duration::from_millis(500), async { while tasks.join_next().await.is_some() {} }).await;
        outcome
    }
}

async fn serve(mut stream: TcpStream, port: u16, arrivals: &mpsc::Sender<Arrived>) -> io::Result<()> {
    let Ok(Ok(head)) = timeout(PATIENCE, read_head(&mut stream)).await else {
        return stream.shutdown().await;
    };
    let page = match query_of(&head, port) {
        Err(refusal) => refusal,
        Ok(query) => {
            let (reply, answer) = oneshot::channel();
            let _ = arrivals.send(Arrived { query, reply }).await;
            timeout(PATIENCE, answer).await.ok().and_then(Result::ok).unwrap_or_else(Page::unrelated)
        }
    };
    stream.write_all(page.response().as_bytes()).await?;
    stream.shutdown().await
}

/// The query of a request for the callback, or what to refuse it with.
fn query_of(head: &Head, port: u16) -> Result<String, Page> {
    // A web page that reaches us through a name of its own (DNS rebinding) shows that name here.
    if head.hosts.len() != 1 || !head.hosts.iter().all(|host| is_ours(host, port)) {
        return Err(Page::not_found());
    }
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    if path != PATH {
        return Err(Page::not_found());
    }
    if head.method != "GET" {
        return Err(Page::method_not_allowed());
    }
    Ok(query.to_owned())
}

fn is_ours(host: &str, port: u16) -> bool {
    host.split_once(':').is_some_and(|(name, number)| {
        (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")) && number == port.to_string()
    })
}

#[cfg(test)]
mod tests;
