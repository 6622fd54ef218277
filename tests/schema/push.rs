//! `supabase db push` applies the migrations to every kind of project that there is.

use std::io::Write;
use std::path::Path;

use carousel_local::postgres::{ADMIN, Server};

use crate::catalog;
use crate::project::{fresh, shared};
use crate::supabase_cli::Repository;

/// Where systems keep the programs of PostgreSQL 15.
const POSTGRES_15: [&str; 4] = [
    "/usr/lib/postgresql/15/bin",
    "/usr/pgsql-15/bin",
    "/opt/homebrew/opt/postgresql@15/bin",
    "/usr/local/opt/postgresql@15/bin",
];

/// Pushes to a project with and one without Realtime's schema, then pushes again, then lets `carousel migrate` look.
async fn push_to_both_kinds(server: &Server) {
    let repository = Repository::whole().await;
    for with_realtime in [true, false] {
        let name = format!("pushed_{with_realtime}");
        fresh(server, &name, with_realtime).await;
        let admin = server.connect(ADMIN, &name).await.unwrap();
        if !with_realtime {
            admin.batch_execute("drop publication supabase_realtime").await.unwrap();
        }
        let url = server.url("postgres", &name);
        assert_eq!(repository.push(&url).await, carousel::migrations::MIGRATIONS.len());
        let once = catalog::read(&admin).await;
        if with_realtime {
            assert_eq!(repository.push(&url).await, 0, "a second push finds nothing to do");
        }
        let mut owner = server.connect("postgres", &name).await.unwrap();
        assert!(carousel::migrations::missing(&owner).await.unwrap().is_empty());
        assert!(carousel::migrations::apply(&mut owner).await.unwrap().is_empty(), "nor does `carousel migrate`");
        let twice = catalog::read(&admin).await;
        catalog::assert_same(("one push", &once), ("all that followed", &twice));

        let published = "select string_agg(tablename, ' ' order by tablename) from pg_publication_tables where pubname = 'supabase_realtime'";
        let published: String = admin.query_one(published, &[]).await.unwrap().get(0);
        assert_eq!(published, "generated_carousel_images image_generation_jobs image_generation_templates");
    }
}

#[tokio::test]
async fn the_cli_applies_everything_on_postgresql_17() {
    let server = &shared().await.server;
    let version = "select current_setting('server_version_num')::integer / 10000, current_setting('is_superuser')";
    let row = server.connect("postgres", "postgres").await.unwrap().query_one(version, &[]).await.unwrap();
    assert_eq!(
        (row.get::<_, i32>(0), row.get::<_, &str>(1)),
        (17, "off"),
        "`postgres` is no superuser, as on hosted projects"
    );
    push_to_both_kinds(server).await;
}

#[tokio::test]
async fn the_cli_applies_everything_on_postgresql_15() {
    let Some(programs) = POSTGRES_15.iter().map(Path::new).find(|path| path.join("postgres").exists()) else {
        // Past the harness, which keeps what a passing test prints to itself.
        let said = writeln!(
            std::io::stderr(),
            "SKIPPED: the_cli_applies_everything_on_postgresql_15, no PostgreSQL 15 is installed"
        );
        return said.unwrap();
    };
    let server = Server::temporary(programs).await.expect("PostgreSQL 15 starts");
    push_to_both_kinds(&server).await;
    server.stop().await;
}

/// Before 2026-10-30 a hosted project granted every new table of `public` to everyone who comes through the API.
#[tokio::test]
async fn what_older_projects_grant_by_default_is_taken_back() {
    let server = &shared().await.server;
    let mut grants = Vec::new();
    for older in [false, true] {
        let name = format!("defaults_{older}");
        fresh(server, &name, true).await;
        let mut owner = server.connect("postgres", &name).await.unwrap();
        if older {
            let defaults = ["tables", "functions", "sequences"]
                .map(|kind| format!("alter default privileges in schema public grant all on {kind} to anon, authenticated, service_role;"));
            owner.batch_execute(&defaults.concat()).await.unwrap();
        }
        carousel::migrations::apply(&mut owner).await.unwrap();
        let mut lines = catalog::read(&owner).await;
        lines.retain(|line| !line.starts_with("default grants of postgres in public"));
        grants.push(lines);
    }
    catalog::assert_same(("a new project", &grants[0]), ("an older one", &grants[1]));
}
