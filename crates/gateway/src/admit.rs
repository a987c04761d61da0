//! Who may speak to us at all: the checks that come before the token (RS-060, T-53).

use hallpass_resource::{cors, head::single};
use http::{HeaderMap, HeaderValue, header, request::Parts};

/// What a request has to come from.
#[derive(Clone, Debug)]
pub(crate) enum Admission {
    /// A public host. The token decides, and a page of any origin may have one.
    Public,
    /// Bound to loopback. A page of the internet whose name was rebound to 127.0.0.1 shows itself by `Host`, any
    /// other page by `Origin`.
    Local {
        /// `Host` without port: the names of this machine and that of the public origin.
        hosts: Vec<Box<str>>,
        /// Origins beside those of this machine.
        origins: Vec<Box<str>>,
    },
}

/// A request that was let in, and who may read its answer.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    reader: Reader,
}

#[derive(Clone, Debug)]
enum Reader {
    /// Any page.
    Any,
    /// The page that asks.
    This(HeaderValue),
    /// No page: no browser asks.
    None,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// `Host`, or the host of an absolute request target, is missing, repeated, or not a name of this machine.
    #[error("the Host is not one of this machine")]
    Host,
    /// `Origin` is repeated or not one that may ask.
    #[error("the Origin is not allowed")]
    Origin,
}

const THIS_MACHINE: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Admission {
    /// For a listener on loopback.
    pub(crate) fn local(public_origin: &str, origins: &[String]) -> Self {
        let public = public_origin.split_once("://").map_or("", |(_, authority)| authority);
        let hosts = THIS_MACHINE.into_iter().chain([host_of(public).unwrap_or("localhost")]);
        Self::Local {
            hosts: hosts.map(|host| host.to_ascii_lowercase().into()).collect(),
            origins: origins.iter().map(|origin| origin.as_str().into()).collect(),
        }
    }

    /// Judges a request by its head.
    pub(crate) fn admit(&self, parts: &Parts) -> Result<Admitted, NotAdmitted> {
        match self {
            Self::Public => Ok(Admitted { reader: Reader::Any }),
            Self::Local { hosts, origins } => {
                check_host(parts, hosts)?;
                let reader = match single(&parts.headers, &header::ORIGIN) {
                    Ok(None) => Reader::None,
                    Ok(Some(origin)) if may_ask(origin, origins) => Reader::This(origin.clone()),
                    Ok(Some(_)) | Err(()) => return Err(NotAdmitted::Origin),
                };
                Ok(Admitted { reader })
            }
        }
    }
}

impl Admitted {
    /// Lets the page that asks read the answer.
    pub(crate) fn open(self, headers: &mut HeaderMap) {
        match self.reader {
            Reader::Any => cors::open(headers),
            Reader::This(origin) => cors::open_to(headers, origin),
            Reader::None => {}
        }
    }
}

/// HTTP/2 has `:authority` and HTTP/1.1 may have an absolute target beside `Host`: all of them count.
fn check_host(parts: &Parts, hosts: &[Box<str>]) -> Result<(), NotAdmitted> {
    let known = |authority: &str| {
        let host = host_of(authority).ok_or(NotAdmitted::Host)?;
        let known = hosts.iter().any(|name| host.eq_ignore_ascii_case(name));
        if known { Ok(()) } else { Err(NotAdmitted::Host) }
    };
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = single(&parts.headers, &header::HOST).map_err(|()| NotAdmitted::Host)?;
    let host = host.map(|value| value.to_str().map_err(|_| NotAdmitted::Host)).transpose()?;
    if target.is_none() && host.is_none() {
        return Err(NotAdmitted::Host);
    }
    target.into_iter().chain(host).try_for_each(known)
}

/// The host of `host[:port]`; nothing when the rest is no port or there is a user name.
fn host_of(authority: &str) -> Option<&str> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at_checked(end)?;
    let port = rest.is_empty()
        || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    (port && !host.is_empty() && !host.contains('@')).then_some(host)
}

fn may_ask(origin: &HeaderValue, allowed: &[Box<str>]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    if allowed.iter().any(|allowed| **allowed == *origin) {
        return true;
    }
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.and_then(host_of).is_some_and(|host| THIS_MACHINE.contains(&host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn ask(target: &str, headers: &[(&str, &str)]) -> Result<Admitted, NotAdmitted> {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let local = Admission::local("http://hallpass.localhost:8080", &["https://inspector.example".into()]);
        local.admit(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn t_53_rs_060_hosts_of_this_machine_only() {
        for good in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "hallpass.localhost:9",
        ] {
            assert!(ask("/mcp", &[("host", good)]).is_ok(), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "[::2]",
            "localhost:80:80",
            "localhost:x",
            "user@localhost",
            "localhost@evil.example",
            "",
            ":80",
            "[::1",
            "0x7f.1",
        ] {
            assert_eq!(ask("/mcp", &[("host", bad)]).err(), Some(NotAdmitted::Host), "{bad}");
        }
        assert_eq!(ask("/mcp", &[]).err(), Some(NotAdmitted::Host));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(ask("/mcp", &twice).err(), Some(NotAdmitted::Host));
        let absolute = "http://evil.example/mcp";
        assert_eq!(ask(absolute, &[("host", "localhost")]).err(), Some(NotAdmitted::Host), "rs_047");
    }

    #[test]
    fn t_53_rs_060_origins_of_this_machine_and_those_named() {
        let with = |origin| ask("/mcp", &[("host", "localhost"), ("origin", origin)]);
        for good in
            ["http://localhost:6274", "http://127.0.0.1", "https://[::1]:1", "https://inspector.example"]
        {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in [
            "null",
            "http://evil.example",
            "https://inspector.example:444",
            "http://inspector.example",
            "file://",
            "http://localhost.evil.example",
            "http://localhost:80@evil.example",
            "http://localhost/",
            "HTTP://evil",
            "",
        ] {
            assert_eq!(with(bad).err(), Some(NotAdmitted::Origin), "{bad}");
        }
        let twice =
            [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.example")];
        assert_eq!(ask("/mcp", &twice).err(), Some(NotAdmitted::Origin));
    }

    #[test]
    fn rs_014_on_a_public_host_any_page_may_ask_without_credentials() {
        let request = Request::builder().header("origin", "https://evil.example").body(()).unwrap();
        let mut headers = HeaderMap::new();
        Admission::Public.admit(&request.into_parts().0).unwrap().open(&mut headers);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
}
