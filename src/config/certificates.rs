//! Files of certificates.

use std::path::Path;

use anyhow::{Context, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates in the file that `variable` names, to trust besides the public authorities'; none when it names no file.
///
/// # Errors
/// When the file can't be read, has no certificate in it, or one that is broken.
pub(super) fn read(variable: &str, path: Option<&Path>) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let named = format!("{variable} names {}", path.display());
    let text = std::fs::read(path).with_context(|| format!("{named}, which can't be read"))?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("{named}, which is no PEM"))?;
    ensure!(
        !certificates.is_empty(),
        "{named}, which has no certificate in it: -----BEGIN CERTIFICATE----- begins one"
    );
    for certificate in &certificates {
        let trusted = RootCertStore::empty().add(certificate.clone());
        trusted.with_context(|| format!("{named}, which has a certificate in it that can't be trusted"))?;
    }
    Ok(certificates)
}
