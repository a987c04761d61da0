//! nginx as a reverse proxy that looks at nothing, as one process on the core of the server.

use crate::process::{Running, SERVER_CORE, pinned};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

/// A running nginx.
pub struct Nginx {
    /// The process.
    pub process: Running,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts it in this folder, in front of `/mcp` at this port.
    pub fn start(folder: &Path, upstream: u16) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let at = folder.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path '{at}/{kind}';\n"))
            .concat();
        // As fast as it goes: one process, connections to the upstream kept, no log, no buffering.
        let text = format!(
            "daemon off;\nmaster_process off;\npid '{at}/pid';\nerror_log '{at}/error.log';\n\
             events {{ worker_connections 1024; }}\n\
             http {{\naccess_log off;\nkeepalive_requests 100000000;\n{temporary}\
             upstream mcp {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}\n\
             server {{ listen 127.0.0.1:{port};\nlocation / {{ proxy_pass http://mcp; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_buffering off; }} }}\n}}\n"
        );
        let config = folder.join("nginx.conf");
        fs::write(&config, text)?;
        let mut command = pinned(SERVER_CORE, Path::new("nginx"));
        command.arg("-c").arg(&config).arg("-p").arg(folder).stdin(Stdio::null()).stderr(Stdio::null());
        let process = Running::new(command.spawn().context("taskset cannot be started")?);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > until {
                let log = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
                bail!("nginx did not start; it is Debian's package nginx-light: {log}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { process, address })
    }
}
