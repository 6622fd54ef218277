use clap::Parser;
use rustls::pki_types::CertificateDer;

use super::{Database, Provider};

fn connect(url: &str) -> anyhow::Result<crate::queue::Settings> {
    Database { database_url: Some(url.to_owned().into()), database_ca: None, database_connections: 4 }.settings()
}

#[test]
fn the_transaction_pooler_is_refused_with_the_reason() {
    let error = connect("postgresql://u:secret@pooler.supabase.com:6543/postgres").unwrap_err().to_string();
    assert!(error.contains("6543") && error.contains("LISTEN") && error.contains("5432"), "{error}");
    assert!(!error.contains("secret"));
}

#[test]
fn a_connection_in_the_clear_is_only_for_this_machine() {
    let error = connect("postgresql://u:secret@db.example.com:5432/postgres?sslmode=disable").unwrap_err().to_string();
    assert!(error.contains("sslmode=require"), "{error}");
    connect("postgresql://u:secret@127.0.0.1:5432/postgres?sslmode=disable").unwrap();
}

#[test]
fn tls_is_required_where_nothing_is_said() {
    for url in
        ["postgresql://u:p@db.example.com/postgres", "postgresql://u:p@db.example.com/postgres?sslmode=verify-full"]
    {
        let settings = connect(url).unwrap();
        assert_eq!(settings.database.get_ssl_mode(), tokio_postgres::config::SslMode::Require);
    }
}

#[test]
fn a_malformed_url_is_refused_without_its_password() {
    let error = format!("{:#}", connect("postgres//u:secret@host").unwrap_err());
    assert!(error.contains("DATABASE_URL") && !error.contains("secret"), "{error}");
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    provider: Provider,
}

/// What a file with this text in it lets us trust.
fn trusted(text: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.crt");
    std::fs::write(&path, text).unwrap();
    Line::try_parse_from(["carousel".as_ref(), "--provider-ca".as_ref(), path.as_os_str()])?.provider.certificates()
}

#[test]
fn a_file_of_certificates_may_hold_several() {
    let certificates =
        ["a.example", "b.example"].map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert);
    let text: String = certificates.iter().map(rcgen::Certificate::pem).collect();
    assert_eq!(trusted(&text).unwrap(), certificates.map(|certificate| certificate.der().clone()));
}

#[test]
fn a_file_without_a_sound_certificate_is_refused_by_its_name() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let cases = [
        ("", "no certificate"),
        ("hello", "no certificate"),
        (&key, "no certificate"),
        (broken, "can't be trusted"),
        (cut, "no PEM"),
    ];
    for (text, words) in cases {
        let error = format!("{:#}", trusted(text).unwrap_err());
        assert!(
            error.contains(words) && error.contains("CAROUSEL_PROVIDER_CA") && error.contains("gateway.crt"),
            "{error}"
        );
    }
    let line = ["carousel", "--provider-ca", "/nowhere/gateway.crt", "--database-ca", "/nowhere/project.crt"];
    let line = Line::try_parse_from(line).unwrap();
    for (read, words) in [
        (line.provider.certificates(), "CAROUSEL_PROVIDER_CA names /nowhere/gateway.crt, which can't be read"),
        (line.database.certificates(), "CAROUSEL_DATABASE_CA names /nowhere/project.crt, which can't be read"),
    ] {
        let error = format!("{:#}", read.unwrap_err());
        assert!(error.contains(words), "{error}");
    }
    let line = Line::try_parse_from(["carousel"]).unwrap();
    assert!(line.provider.certificates().unwrap().is_empty() && line.database.certificates().unwrap().is_empty());
}
