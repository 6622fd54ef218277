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

/// All that is ever said of a connection string: of what is read, and of what is refused.
fn told(url: &str) -> Result<String, String> {
    let database = Database { database_url: Some(url.to_owned().into()), database_ca: None, database_connections: 4 };
    match database.place() {
        // The doctor shows hosts and role; a log may have the rest.
        Ok(place) => Ok(format!("{:?} {:?} {place:?} {database:?}", place.get_hosts(), place.get_user())),
        Err(error) => Err(format!("{error:#} {error:?} {database:?}")),
    }
}

#[test]
fn nothing_of_a_password_is_ever_told_wherever_it_is_torn() {
    let before = ["", "a"];
    let marks = [
        "@",
        ":",
        "/",
        "?",
        "#",
        "%",
        "&",
        "=",
        " ",
        "[",
        "]",
        "\\",
        "'",
        "\"",
        "%zz",
        "%40",
        "@@",
        "?a=",
        "/?sslmode=",
        "\n",
    ];
    let frames = [
        "postgresql://u:{}@db.example.com:5432/postgres",
        "postgres://u:{}@db.example.com/postgres?sslmode=require",
        "postgresql://u:{}@db.example.com:5432/postgres?pgbouncer=true",
        "postgresql://u:{}",
        "postgresql://u:{}@",
        "postgresql//u:{}@db.example.com/postgres",
        "http://u:{}@db.example.com/postgres",
        "u:{}@db.example.com/postgres",
        "postgresql://u@db.example.com/postgres?password={}",
        "postgresql://u@db.example.com/postgres?foreign=1&password={}",
        "host=db.example.com user=u password={}",
        "host=db.example.com user=u password={} foreign=1",
        "user=u password='{}",
    ];
    for frame in frames {
        for (first, mark) in before.iter().flat_map(|first| marks.map(|mark| (*first, mark))) {
            let url = frame.replace("{}", &format!("{first}MARKERA{mark}MARKERB{mark}MARKERC"));
            let said = told(&url).unwrap_or_else(|error| error);
            assert!(!said.contains("MARKER"), "{url} is told as {said}");
        }
    }
}

#[test]
fn a_password_that_is_not_encoded_is_told_how_to_be() {
    for password in ["a@b", "a@b@c", "@", "a/b@c", "a?b@c", "p@ss/w?rd=1"] {
        let error = told(&format!("postgresql://u:{password}@db.example.com:5432/postgres")).unwrap_err();
        assert!(error.contains("@ is %40") && error.contains("percent-encode"), "{error}");
    }
    let place = |url: &str| connect(url).unwrap().database;
    let encoded = place("postgresql://u:a%40b%3Fc@db.example.com/postgres");
    assert_eq!(encoded.get_password(), Some(b"a@b?c".as_slice()));
    // What needs no encoding to be read is read.
    assert_eq!(place("postgresql://u:a/b:c?d#e@db.example.com/postgres").get_password(), Some(b"a/b:c?d#e".as_slice()));
    let template = told("postgresql://postgres:[YOUR-PASSWORD]@db.abc.supabase.co:5432/postgres").unwrap_err();
    assert!(template.contains("[YOUR-PASSWORD]"), "{template}");
}

#[test]
fn a_foreign_parameter_is_passed_over_or_named_with_its_mend() {
    for harmless in [
        "pgbouncer=true",
        "connection_limit=1&pool_timeout=10",
        "schema=public",
        "supa=base-pooler.x",
        "sslmode=verify-full",
    ] {
        for more in ["", "&sslmode=require", "&application_name=x"] {
            let url = format!("postgresql://u:p@db.example.com:5432/postgres?{harmless}{more}");
            let place = connect(&url).unwrap_or_else(|error| panic!("{url}: {error:#}")).database;
            assert_eq!((place.get_dbname(), place.get_hosts().len()), (Some("postgres"), 1), "{url}");
            assert_eq!(place.get_ssl_mode(), tokio_postgres::config::SslMode::Require, "{url}");
        }
    }
    for (parameter, words) in [
        ("sslrootcert=/etc/ca.crt", "CAROUSEL_DATABASE_CA"),
        ("sslcert=a", "sslcert"),
        ("poolmode=x", "the parameter poolmode, which is not known here: take it away"),
        ("sslmode=no-verify", "sslmode=require"),
        ("connect_timeout=soon", "connect_timeout"),
        ("pgbouncer", "without a value"),
    ] {
        let error = told(&format!("postgresql://u:p@db.example.com:5432/postgres?{parameter}")).unwrap_err();
        assert!(error.contains(words), "{parameter}: {error}");
    }
    let error = told("host=db.example.com user=u password=p pgbouncer=true").unwrap_err();
    assert!(error.contains("the parameter pgbouncer"), "{error}");
    // Where the transaction pooler is meant, its parameter changes nothing.
    let error = told("postgresql://u:p@pooler.supabase.com:6543/postgres?pgbouncer=true").unwrap_err();
    assert!(error.contains("6543") && error.contains("LISTEN"), "{error}");
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

/// What this machine's SSL_CERT_FILE has, if it names one.
fn shared() -> Vec<CertificateDer<'static>> {
    super::certificates::read("CAROUSEL_DATABASE_CA", None).unwrap()
}

#[test]
fn a_file_of_certificates_may_hold_several() {
    let certificates =
        ["a.example", "b.example"].map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert);
    let text: String = certificates.iter().map(rcgen::Certificate::pem).collect();
    let own = certificates.iter().map(|certificate| certificate.der().clone());
    assert_eq!(trusted(&text).unwrap(), own.chain(shared()).collect::<Vec<_>>());
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
    assert_eq!(line.provider.certificates().unwrap(), shared());
    assert_eq!(line.database.certificates().unwrap(), shared());
}
