//! Certificates for servers that tests start, good and bad, and what takes their connections. All but the expired one are
//! good for a hundred years; the keys of the two authorities exist no more.

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{io, sync::Arc};
pub use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The authority that signed all but one.
pub const CA: &[u8] = include_bytes!("tls/ca.pem");
/// Another one.
pub const OTHER_CA: &[u8] = include_bytes!("tls/other-ca.pem");
/// The certificate of a client of the first authority.
pub const CLIENT: &[u8] = include_bytes!("tls/client.pem");
/// The key of every certificate here but the authorities'.
pub const KEY: &[u8] = include_bytes!("tls/key.pem");
/// A key of none of them.
pub const OTHER_KEY: &[u8] = include_bytes!("tls/other-key.pem");

/// What a server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost`, `127.0.0.1` and `::1`, as all but one are.
    Good,
    /// Signed by the other authority.
    OfOther,
    /// For another name.
    Elsewhere,
    /// Over since 2021.
    Expired,
    /// Its own authority, as a first try with openssl makes it.
    OwnAuthority,
}

impl Certificate {
    /// Its PEM text.
    pub const fn pem(self) -> &'static [u8] {
        match self {
            Self::Good => include_bytes!("tls/good.pem"),
            Self::OfOther => include_bytes!("tls/good-of-other.pem"),
            Self::Elsewhere => include_bytes!("tls/elsewhere.pem"),
            Self::Expired => include_bytes!("tls/expired.pem"),
            Self::OwnAuthority => include_bytes!("tls/own-authority.pem"),
        }
    }
}

/// What a server takes connections with. `wants_client`: only of clients with a certificate of [`CA`].
///
/// # Errors
/// None that is known.
pub fn acceptor(certificate: Certificate, wants_client: bool) -> io::Result<TlsAcceptor> {
    let wrong = |_| io::Error::from(io::ErrorKind::InvalidData);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.pem()).collect();
    let chain = chain.map_err(|_| io::ErrorKind::InvalidData)?;
    let key = PrivateKeyDer::from_pem_slice(KEY).map_err(|_| io::ErrorKind::InvalidData)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?;
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(CA).map_err(|_| io::ErrorKind::InvalidData)?;
        roots.add(ca).map_err(wrong)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.map_err(|_| io::ErrorKind::InvalidData)?)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).map_err(wrong)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
