//! Certificates and keys out of PEM files, with errors that name the file.

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{self, ErrorKind};
use std::path::Path;

/// What to do about a file that can't be used, where nobody needs it yet.
pub const LACKS_HELP: &str = "all of it has to be there, readable for whom evaltrail runs as";

/// The certificates in the file at `path`, one or more.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |e| format!("{}: can't read certificates: {}", path.display(), reason(e));
    is_file(path).map_err(|e| failed(Error::Io(e)))?;
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if found.is_empty() {
        return Err(format!("{}: there is no certificate in it; it has to be in PEM", path.display()));
    }
    Ok(found)
}

/// The private key in the file at `path`.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let failed = |e| format!("{}: can't read the key: {}", path.display(), reason(e));
    is_file(path).map_err(|e| failed(Error::Io(e)))?;
    PrivateKeyDer::from_pem_file(path).map_err(|e| match e {
        Error::NoItemsFound => format!(
            "{}: there is no key in it; it has to be in PEM, and not encrypted by a password",
            path.display()
        ),
        e => failed(e),
    })
}

/// Nobody may ever write to a pipe.
fn is_file(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path)?.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file")),
    }
}

fn reason(error: Error) -> String {
    match error {
        Error::Io(e) => e.to_string(),
        Error::NoItemsFound => "there is none in it; it has to be in PEM".to_owned(),
        other => other.to_string(),
    }
}
