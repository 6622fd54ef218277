//! Turns an empty database into what a fresh hosted project has, before the first migration.

use anyhow::Context;
use tokio_postgres::Client;

/// Roles are shared by all databases of a server.
const CLUSTER: &str = include_str!("bootstrap/cluster.sql");

const PROJECT: [(&str, &str); 3] = [
    ("project", include_str!("bootstrap/project.sql")),
    ("auth", include_str!("bootstrap/auth.sql")),
    ("storage", include_str!("bootstrap/storage.sql")),
];

const REALTIME: (&str, &str) = ("realtime", include_str!("bootstrap/realtime.sql"));

/// Roles that log in, each with the server's one password.
const LOGINS: [&str; 4] = ["postgres", "authenticator", "supabase_auth_admin", "supabase_storage_admin"];

/// Makes the server's roles. `admin` is connected as the superuser; `password` holds nothing that must be escaped.
pub async fn roles(admin: &Client, password: &str) -> anyhow::Result<()> {
    admin.batch_execute(CLUSTER).await.context("the roles of a Supabase project can't be made")?;
    for login in LOGINS {
        admin.batch_execute(&format!("alter role {login} password '{password}'")).await?;
    }
    Ok(())
}

/// Fills the database that `admin` is connected to as the superuser. Some projects are without Realtime's schema: `with_realtime`
/// says whether this one has it.
pub async fn project(admin: &Client, with_realtime: bool) -> anyhow::Result<()> {
    for (name, statements) in PROJECT.into_iter().chain(with_realtime.then_some(REALTIME)) {
        // A transaction, so that what one file sets ends with it.
        let script = format!("begin;\n{statements}\ncommit;\nreset all;");
        admin
            .batch_execute(&script)
            .await
            .with_context(|| format!("the schema `{name}` of a Supabase project can't be made"))?;
    }
    Ok(())
}
