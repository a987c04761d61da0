//! Every request names one host (RFC 9112 §3.2, RFC 9113 §8.3.1). Of two, a proxy before us takes one and we the other.

use http::{HeaderMap, Uri, Version, header};

/// Whether it does.
pub fn is_named_once(version: Version, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return false;
    }
    match (version, first, uri.authority()) {
        (Version::HTTP_11, None, _) | (Version::HTTP_2, None, None) => false,
        (Version::HTTP_2, Some(host), Some(authority)) => {
            host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(version: Version, uri: &str, hosts: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, http::HeaderValue::from_static(host));
        }
        is_named_once(version, &uri.parse().unwrap(), &headers)
    }

    #[test]
    fn rs_048_t_80_one_host_and_no_two() {
        assert!(named(Version::HTTP_11, "/", &["a.example"]));
        assert!(!named(Version::HTTP_11, "/", &[]));
        assert!(!named(Version::HTTP_11, "/", &["a.example", "a.example"]));
        assert!(!named(Version::HTTP_11, "http://a.example/", &[]));
        assert!(named(Version::HTTP_10, "/", &[]));
        assert!(!named(Version::HTTP_10, "/", &["a.example", "b.example"]));
        assert!(named(Version::HTTP_2, "https://a.example/", &[]));
        assert!(named(Version::HTTP_2, "https://a.example/", &["A.example"]));
        assert!(!named(Version::HTTP_2, "https://a.example/", &["b.example"]));
        assert!(!named(Version::HTTP_2, "/", &[]));
    }
}
