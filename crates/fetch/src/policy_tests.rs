//! Address and URL forms that have been used to reach what must not be reached.
use super::*;
use proptest::prelude::*;

fn strict(url: &str) -> Result<Admitted, FetchError> {
    admit(&Url::parse(url).unwrap(), &Policy::strict(), &[])
}

#[test]
fn as_050_special_addresses_are_not_public() {
    let special = "
        0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254
        169.254.169.254 169.254.0.0 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.5
        192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1
        239.255.255.250 240.0.0.1 255.255.255.255 168.63.129.16 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
        ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 100::1 2001::1
        2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 fc00::1 fd00:ec2::254
        fe80::1 fec0::1 ff02::1 5f00::1 4000::1";
    for text in special.split_whitespace() {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
    let public = "
        1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.0.0.1 128.0.0.1
        169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0
        198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:8.8.8.8 2606:4700:4700::1111 2a00:1450::1
        2001:4860:4860::8888 2001:200::1 2003::1";
    for text in public.split_whitespace() {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn as_050_ip_literals_in_every_spelling_are_refused() {
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0",
        "0x0",
        "1.1.1.1",
        "134744072",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[2606:4700:4700::1111]",
        "[64:ff9b::7f00:1]",
        "[fd00::1]",
        "１２７.０.０.１",
        "①②⑦.0.0.1",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "127。0。0。1",
    ] {
        assert_eq!(strict(&format!("https://{host}/doc")), Err(FetchError::ForbiddenHost), "{host}");
    }
    // Zone ids and broken numbers do not even parse.
    for host in ["[fe80::1%25eth0]", "[fe80::1%eth0]", "256.1.1.1", "0x7f.1.1.1.1", "1.2.3.4.5"] {
        assert!(Url::parse(&format!("https://{host}/")).is_err(), "{host}");
    }
}

#[test]
fn as_050_local_names_are_refused() {
    for host in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "printer.local",
        "db.internal",
        "metadata.google.internal",
        "intranet",
        "router.lan",
        "x.home.arpa",
        "example.com.",
        "x.corp",
        "h.onion",
    ] {
        assert_eq!(strict(&format!("https://{host}/doc")), Err(FetchError::ForbiddenHost), "{host}");
    }
    assert_eq!(strict("https://notlocal.example/doc").map(|a| a.addresses), Ok(Addresses::Public));
    assert_eq!(strict("https://mylocal/"), Err(FetchError::ForbiddenHost));
    assert_eq!(strict("https://thelan.example.lang/").map(|a| a.tls), Ok(true));
}

#[test]
fn b_29_only_plain_https_urls_of_strangers() {
    assert_eq!(strict("http://example.com/"), Err(FetchError::ForbiddenScheme));
    assert_eq!(strict("ftp://example.com/"), Err(FetchError::ForbiddenScheme));
    assert_eq!(strict("file:///etc/passwd"), Err(FetchError::ForbiddenScheme));
    assert_eq!(strict("data:text/html,x"), Err(FetchError::ForbiddenScheme));
    assert_eq!(strict("https://u@example.com/"), Err(FetchError::ForbiddenUserinfo));
    assert_eq!(strict("https://:p@example.com/"), Err(FetchError::ForbiddenUserinfo));
    assert_eq!(strict("https://example.com/#f"), Err(FetchError::ForbiddenFragment));
    assert_eq!(strict("https://example.com/#"), Err(FetchError::ForbiddenFragment));
    // A port is allowed for metadata documents (AS-044).
    assert!(strict("https://example.com:8443/client.json").is_ok());
}

#[test]
fn b_29_trusted_hosts_may_be_private_but_http_stays_on_this_machine() {
    let policy = Policy::trusted(["idp.corp", "10.1.2.3", "LOCALHOST", "[::1]", "127.0.0.1"]);
    let judge = |url: &str| admit(&Url::parse(url).unwrap(), &policy, &[]).map(|a| a.addresses);
    assert_eq!(judge("https://idp.corp/x"), Ok(Addresses::Any));
    assert_eq!(judge("https://IDP.corp:8443/x"), Ok(Addresses::Any));
    assert_eq!(judge("https://10.1.2.3/x"), Ok(Addresses::Any));
    assert_eq!(judge("http://10.1.2.3/x"), Err(FetchError::ForbiddenScheme));
    assert_eq!(judge("http://idp.corp/x"), Ok(Addresses::Loopback));
    assert_eq!(judge("http://localhost:9/x"), Ok(Addresses::Loopback));
    assert_eq!(judge("http://[::1]:9/x"), Ok(Addresses::Loopback));
    assert_eq!(judge("http://127.0.0.1/x"), Ok(Addresses::Loopback));
    assert_eq!(judge("https://other.corp/x"), Err(FetchError::ForbiddenHost));
    assert_eq!(judge("https://idp.corp@evil.example/x"), Err(FetchError::ForbiddenUserinfo));
    assert_eq!(judge("https://idp.corp.evil.example/x"), Ok(Addresses::Public));
}

#[test]
fn t_51_loopback_is_only_reached_when_the_policy_says_so() {
    let local = Policy::strict().with_loopback();
    let judge = |url: &str| admit(&Url::parse(url).unwrap(), &local, &[]).map(|a| a.addresses);
    assert_eq!(judge("http://127.0.0.1:9000/"), Ok(Addresses::Loopback));
    assert_eq!(judge("http://localhost/"), Ok(Addresses::Loopback));
    assert_eq!(judge("https://10.0.0.1/"), Err(FetchError::ForbiddenHost));
    assert_eq!(judge("http://example.com/"), Err(FetchError::ForbiddenScheme));
}

#[test]
fn private_hosts_are_an_exception_by_exact_name() {
    let private = ["dev.internal".to_owned()];
    let judge =
        |url: &str| admit(&Url::parse(url).unwrap(), &Policy::strict(), &private).map(|a| a.addresses);
    assert_eq!(judge("https://dev.internal/"), Ok(Addresses::Any));
    assert_eq!(judge("https://sub.dev.internal/"), Err(FetchError::ForbiddenHost));
}

proptest! {
    /// An IPv4 address keeps its verdict when it is written as an IPv4-mapped one.
    #[test]
    fn as_050_mapped_addresses_are_judged_as_what_they_carry(bits: u32) {
        let v4 = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(is_public(v4.into()), is_public(v4.to_ipv6_mapped().into()));
    }

    /// Nothing outside 2000::/3 is public.
    #[test]
    fn as_050_only_global_unicast(bits: u128) {
        let v6 = Ipv6Addr::from_bits(bits);
        prop_assert!(!is_public(v6.into()) || bits >> 125 == 1 || v6.to_ipv4_mapped().is_some());
    }
}
