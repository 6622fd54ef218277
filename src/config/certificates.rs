//! Files of certificates.

use std::path::Path;

use anyhow::{Context, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// What many programs take further authorities from. A bundle of all the public ones may stand there as well.
const SHARED: &str = "SSL_CERT_FILE";

/// The certificates in the file that `variable` names, and those in the file that `SSL_CERT_FILE` does, to trust besides the public authorities';
/// none when they name no file.
///
/// # Errors
/// When a file can't be read or has no certificate in it, or the first one a broken one.
pub(super) fn read(variable: &str, path: Option<&Path>) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let mut all = Vec::new();
    if let Some(path) = path {
        all = in_file(variable, path)?;
        for certificate in &all {
            trusted(certificate).with_context(|| {
                format!("{variable} names {}, which has a certificate in it that can't be trusted", path.display())
            })?;
        }
    }
    if let Some(path) = std::env::var_os(SHARED).filter(|path| !path.is_empty()) {
        // Not written for us: of a whole system's bundle something may be too old.
        let shared = in_file(SHARED, Path::new(&path))?;
        all.extend(shared.into_iter().filter(|certificate| trusted(certificate).is_ok()));
    }
    Ok(all)
}

fn in_file(variable: &str, path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let named = format!("{variable} names {}", path.display());
    let text = std::fs::read(path).with_context(|| format!("{named}, which can't be read"))?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("{named}, which is no PEM"))?;
    ensure!(
        !certificates.is_empty(),
        "{named}, which has no certificate in it: -----BEGIN CERTIFICATE----- begins one"
    );
    Ok(certificates)
}

fn trusted(certificate: &CertificateDer<'static>) -> Result<(), rustls::Error> {
    RootCertStore::empty().add(certificate.clone())
}
