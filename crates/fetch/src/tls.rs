//! How TLS sessions with servers are made: whose word on a certificate counts, and who we are to a server that wants to
//! know. The name is compared always; nothing here turns that off.

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{error::Error, fmt, sync::Arc};

/// Whose word on a server's certificate counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// Those of the system, and these beside them.
    System(Vec<CertificateDer<'static>>),
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
}

/// The certificate that we show to a server that asks for one, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// How the sessions with one server are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Who signs its certificate.
    pub authorities: Authorities,
    /// Who we are to it, where it wants to know.
    pub identity: Option<Identity>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { authorities: Authorities::System(Vec::new()), identity: None }
    }
}

/// Why no session can be made with anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TlsFault {
    /// No certificate is in the text, or what is there is none of an authority.
    #[error("there is no PEM certificate of an authority in it")]
    Certificates,
    /// No private key is in the text, or of a kind that is not known.
    #[error("there is no PEM private key in it that can be used")]
    Key,
    /// The key and the certificate are not of one pair.
    #[error("the private key does not belong to the certificate")]
    Pair,
    /// Nobody's word counts.
    #[error(
        "this machine knows no certificate authorities: install its package of them, often called ca-certificates"
    )]
    NoAuthorities,
}

/// What is wrong with the certificate of a server, or with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Distrust {
    /// No authority that counts has signed it.
    #[error("its certificate is signed by no authority that counts here")]
    UnknownAuthority,
    /// It is an authority's own. This is what `openssl req -x509` makes.
    #[error("its certificate is one of an authority and not of a server")]
    OwnAuthority,
    /// It is over, or not yet good.
    #[error("its certificate is expired or not yet good, or this clock is wrong")]
    Time,
    /// It is for other names.
    #[error("its certificate is for another name than the one in the URL")]
    Name,
    /// The server wants a certificate of ours, or another one.
    #[error("it wants a certificate of ours, or does not take the one that it was shown")]
    OurCertificate,
    /// Anything else: what was spoken is no TLS, or no version and method is common.
    #[error("no TLS session can be agreed on with it")]
    Session,
}

/// The certificates of a PEM text, each of which has to be one that can vouch for others.
///
/// # Errors
/// [`TlsFault::Certificates`].
pub fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let found = certificates(pem)?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|_| TlsFault::Certificates)?;
    }
    Ok(found)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(TlsFault::Certificates)
}

impl Identity {
    /// Reads a certificate, with those that lead from it to its authority behind it, and its key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, TlsFault> {
        let chain = certificates(certificate)?;
        let key = Arc::new(PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFault::Key)?);
        let identity = Self { chain, key };
        // With authorities that are not asked, so that only the pair can be at fault.
        let builder =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|_| TlsFault::Key)?;
        identity.shown(builder.with_root_certificates(RootCertStore::empty()))?;
        Ok(identity)
    }

    fn shown(
        &self,
        builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    ) -> Result<ClientConfig, TlsFault> {
        builder.with_client_auth_cert(self.chain.clone(), self.key.clone_key()).map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) { TlsFault::Pair } else { TlsFault::Key }
        })
    }
}

impl Tls {
    /// What sessions are made by. `alpn` are the protocols that may be spoken inside, the best first.
    ///
    /// The certificates of the system come through the platform verifier: it honours what the machine's owner installed
    /// (corporate roots), works offline, and is in the tree; a compiled-in set would do neither. The crypto provider is this
    /// configuration's own, not a global of the process.
    ///
    /// # Errors
    /// [`TlsFault::NoAuthorities`], or what is wrong with our certificate.
    pub fn client(&self, alpn: &[&[u8]]) -> Result<ClientConfig, TlsFault> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsFault::NoAuthorities)?;
        let builder = match &self.authorities {
            Authorities::System(more) => {
                let more = more.iter().cloned();
                let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(more, provider)
                    .map_err(|_| TlsFault::NoAuthorities)?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            Authorities::Only(these) => {
                let mut roots = RootCertStore::empty();
                for certificate in these {
                    roots.add(certificate.clone()).map_err(|_| TlsFault::Certificates)?;
                }
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|_| TlsFault::NoAuthorities)?;
                builder.with_webpki_verifier(verifier)
            }
        };
        let mut config = match &self.identity {
            Some(identity) => identity.shown(builder)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    /// For requests without TLS: nobody is trusted, so that one by mistake goes nowhere. Reading 150 certificates costs
    /// milliseconds that a plain request does not have to pay.
    ///
    /// # Errors
    /// None that is known.
    pub fn nobody() -> Result<ClientConfig, TlsFault> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsFault::NoAuthorities)?;
        Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    }
}

/// What an error of a connection has to do with certificates, if anything. Nothing that the peer sent is in it.
pub fn distrust(error: &(dyn Error + 'static)) -> Option<Distrust> {
    let mut source = Some(error);
    while let Some(cause) = source {
        if let Some(found) = of_rustls(cause) {
            return Some(judged(found));
        }
        source = cause.source();
    }
    None
}

/// rustls errors arrive inside one or two `io::Error`s, whose `source` skips the error that they carry.
pub(crate) fn of_rustls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = cause.downcast_ref() {
        return Some(found);
    }
    let carried = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    carried.and_then(|inner| of_rustls(inner))
}

pub(crate) fn judged(error: &rustls::Error) -> Distrust {
    use rustls::AlertDescription as Alert;
    if let rustls::Error::AlertReceived(alert) = error {
        let about_ours = matches!(
            alert,
            Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::NoCertificate
        );
        return if about_ours { Distrust::OurCertificate } else { Distrust::Session };
    }
    let rustls::Error::InvalidCertificate(reason) = error else { return Distrust::Session };
    if matches!(
        reason,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    ) {
        Distrust::Time
    } else if matches!(
        reason,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    ) {
        Distrust::Name
    } else if format!("{reason:?}").contains("CaUsedAsEndEntity") {
        // The verifier has no word of its own for it.
        Distrust::OwnAuthority
    } else {
        Distrust::UnknownAuthority
    }
}
