//! TLS: whom to trust, and who we are.

use crate::event::Invalid;
use crate::net;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// The options `tls.*`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Who signs the server's certificate, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and those that it is signed by, in PEM.
    pub crt_file: Option<PathBuf>,
    /// Its key, in PEM.
    pub key_file: Option<PathBuf>,
    /// Whether the server needs a certificate that is signed by somebody we trust.
    pub verify_certificate: bool,
    /// Whether it has to be that of the host in `uri`.
    pub verify_hostname: bool,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls { ca_file: None, crt_file: None, key_file: None, verify_certificate: true, verify_hostname: true }
    }
}

impl Tls {
    /// The files that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        [&self.ca_file, &self.crt_file, &self.key_file].into_iter().flatten().cloned().collect()
    }

    /// Whether the options fit together and are of any use; no file is opened.
    pub fn check(&self, is_tls: bool) -> Result<(), Invalid> {
        let given = [
            ("tls.ca_file", self.ca_file.is_some()),
            ("tls.crt_file", self.crt_file.is_some()),
            ("tls.key_file", self.key_file.is_some()),
            ("tls.verify_certificate", !self.verify_certificate),
            ("tls.verify_hostname", !self.verify_hostname),
        ];
        if let Some((key, _)) = given.iter().find(|(_, is_given)| *is_given && !is_tls) {
            let help = "begin `uri` with `https://`, or leave `tls` out";
            return Err(Invalid::new(key, "`uri` is not spoken to under TLS").help(help));
        }
        match (&self.crt_file, &self.key_file) {
            (Some(_), None) => {
                Err(Invalid::new("tls.crt_file", "a certificate is of no use without its key")
                    .help("name the file with it by `tls.key_file`"))
            }
            (None, Some(_)) => {
                Err(Invalid::new("tls.key_file", "a key is of no use without its certificate")
                    .help("name the file with it by `tls.crt_file`"))
            }
            _ if self.ca_file.is_some() && !self.verify_certificate => {
                Err(Invalid::new("tls.ca_file", "with `verify_certificate = false` nobody is asked about it")
                    .help("leave out one of the two"))
            }
            _ => Ok(()),
        }
    }

    /// Reads the files. An error names the file. Without TLS, nothing is read.
    pub fn client(&self, is_tls: bool) -> Result<ClientConfig, String> {
        let provider = Arc::new(default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS can't be set up: {e}"))?;
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let verifier: Arc<dyn ServerCertVerifier> = if self.verify_certificate && is_tls {
            let roots = Arc::new(self.roots()?);
            let strict = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let strict = strict.map_err(|e| format!("TLS can't be set up: {e}"))?;
            if self.verify_hostname { strict } else { Arc::new(Lenient { strict: Some(strict), schemes }) }
        } else {
            Arc::new(Lenient { strict: None, schemes })
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match (&self.crt_file, &self.key_file) {
            (Some(crt), Some(key)) => {
                let certificates = net::certificates(crt)?;
                let (crt, key_file) = (crt.display(), key.display());
                builder
                    .with_client_auth_cert(certificates, net::key(key)?)
                    .map_err(|e| format!("{crt} and {key_file} can't be used together: {e}"))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca_file {
            for certificate in net::certificates(path)? {
                roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            return Ok(roots);
        }
        let found = rustls_native_certs::load_native_certs();
        // Stores of systems hold some that nobody can read; the others do.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map(|e| format!(": {e}")).unwrap_or_default();
            let help = "install the package `ca-certificates`, or name a file by `tls.ca_file`";
            return Err(format!("this system trusts nobody{why}; {help}"));
        }
        Ok(roots)
    }
}

/// Takes certificates that the options say to take.
#[derive(Debug)]
struct Lenient {
    /// Asked about everything but the name; none takes any certificate.
    strict: Option<Arc<WebPkiServerVerifier>>,
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(strict) = &self.strict else { return Ok(ServerCertVerified::assertion()) };
        match strict.verify_server_cert(end, between, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // The key is that of the certificate, whoever signed it.
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
