use super::Database;

fn connect(url: &str) -> anyhow::Result<crate::queue::Settings> {
    Database { database_url: Some(url.to_owned().into()), database_ca: None, database_connections: 4 }.connect()
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
