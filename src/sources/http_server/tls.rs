//! TLS: the server's certificate, and those of clients.

use crate::event::Invalid;
use crate::net;
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The options `tls.*`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate and those that it is signed by, in PEM.
    pub crt_file: PathBuf,
    /// Its key, in PEM.
    pub key_file: PathBuf,
    /// Who signs the certificates of clients, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Whether a client needs a certificate.
    #[serde(default)]
    pub verify_certificate: bool,
}

impl Tls {
    /// The files that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        [Some(&self.crt_file), Some(&self.key_file), self.ca_file.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Whether the options fit together; no file is opened.
    pub fn check(&self) -> Result<(), Invalid> {
        match (&self.ca_file, self.verify_certificate) {
            (None, true) => {
                let help = "name the file with the certificates that those of clients are signed by";
                Err(Invalid::new("tls.verify_certificate", "without `ca_file`, no client could be verified")
                    .help(help))
            }
            (Some(_), false) => {
                let help = "set `verify_certificate = true`, or leave `ca_file` out";
                Err(Invalid::new("tls.ca_file", "no client is asked for a certificate").help(help))
            }
            _ => Ok(()),
        }
    }

    /// Reads the files. An error names the file.
    pub fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS can't be set up: {e}"))?;
        let builder = match &self.ca_file {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in net::certificates(path)? {
                    roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(
                    verifier.build().map_err(|e| format!("{}: {e}", path.display()))?,
                )
            }
        };
        let key = net::key(&self.key_file)?;
        let (crt, key_file) = (self.crt_file.display(), self.key_file.display());
        let mut config = builder
            .with_single_cert(net::certificates(&self.crt_file)?, key)
            .map_err(|e| format!("{crt} and {key_file} can't be used together: {e}"))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(options: &str) -> Tls {
        toml::from_str(&format!("crt_file = \"/none/a.crt\"\nkey_file = \"/none/a.key\"\n{options}")).unwrap()
    }

    #[test]
    fn clients_are_verified_by_both_options_or_none() {
        assert!(tls("").check().is_ok());
        assert!(tls("ca_file = \"/none/ca.crt\"\nverify_certificate = true").check().is_ok());
        let key = |options| tls(options).check().unwrap_err().key;
        assert_eq!(key("ca_file = \"/none/ca.crt\""), "tls.ca_file");
        assert_eq!(key("verify_certificate = true"), "tls.verify_certificate");
    }

    #[test]
    fn an_error_names_the_file() {
        let why = tls("").acceptor().err().unwrap();
        assert!(why.starts_with("/none/a.key: can't read the key: "), "{why}");
    }
}
