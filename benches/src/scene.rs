//! What every benchmark stands on: a real PostgreSQL with its default durability, and migrated projects in it.

use std::sync::Arc;

use anyhow::Context;
use carousel_local::install::{self, Runtime};
use carousel_local::openai::OpenAi;
use carousel_local::postgres::{ADMIN, Options, Server};
use carousel_local::stack::Stack;
use carousel_local::{bootstrap, database};
use carousel::{migrations, queue, supabase};
use tempfile::TempDir;
use tokio_postgres::Client;
use uuid::Uuid;

/// Password of the worker's role, on this machine only.
const PASSWORD: &str = "worker";

/// A server of our own. Its data goes when this is dropped.
pub struct Scene {
    pub runtime: Runtime,
    pub server: Arc<Server>,
    folder: TempDir,
}

impl Scene {
    pub async fn start() -> anyhow::Result<Self> {
        let home = install::home();
        let runtime = install::ensure(&home, |step| eprintln!("{step}")).await?;
        // PostgreSQL's own account must be able to enter what is above its data.
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&home)?;
        open(&folder)?;
        let directory = folder.path().join("postgres");
        let server = Arc::new(Server::start(&runtime.postgres, &directory, Options::default()).await?);
        Ok(Self { runtime, server, folder })
    }

    /// A folder that goes with the scene.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What PostgreSQL has logged so far.
    pub fn postgres_log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("postgres/postgres.log"))?)
    }

    /// An empty database that `postgres` owns, and its address for `postgres`.
    pub async fn database(&self, name: &str) -> anyhow::Result<String> {
        self.server.drop_database(name).await?;
        self.server.create_database(name, None).await?;
        Ok(self.server.url("postgres", name))
    }

    /// A migrated project without anybody in it.
    pub async fn project(&self, name: &str) -> anyhow::Result<Project> {
        self.database(name).await?;
        let admin = self.server.connect(ADMIN, name).await?;
        bootstrap::project(&admin, true).await?;
        let mut owner = self.server.connect("postgres", name).await?;
        migrations::apply(&mut owner).await?;
        // Here a person has jobs by the thousand.
        owner.batch_execute("delete from carousel_private.limits").await?;
        owner.batch_execute(&format!("alter role carousel_worker login password '{PASSWORD}'")).await?;
        let worker_url = self.server.url("carousel_worker", name);
        let (before, after) = worker_url.split_once('@').context("a URL names its host")?;
        let user = before.rsplit_once(':').context("a URL has a password")?.0;
        Ok(Project { name: name.to_owned(), worker_url: format!("{user}:{PASSWORD}@{after}"), admin })
    }

    /// The API of a project, with Storage and Realtime.
    pub async fn stack(&self, project: &Project) -> anyhow::Result<Stack> {
        let unused = OpenAi::new("sk-unused");
        let stack = Stack::on(&self.runtime, Arc::clone(&self.server), &project.name, self.folder(), unused).await?;
        stack.until_served("image_generation_jobs").await?;
        Ok(stack)
    }

    /// Version of the server.
    pub async fn version(&self) -> anyhow::Result<String> {
        let admin = self.server.connect(ADMIN, "postgres").await?;
        Ok(admin.query_one("select current_setting('server_version')", &[]).await?.get(0))
    }
}

fn open(folder: &TempDir) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?)
}

/// A migrated project.
pub struct Project {
    pub name: String,
    /// Address of the database for the worker's role.
    pub worker_url: String,
    /// Connected as the superuser.
    pub admin: Client,
}

impl Project {
    /// `count` users.
    pub async fn users(&self, count: usize) -> anyhow::Result<Vec<Uuid>> {
        let insert = "insert into auth.users (id, email, aud, role)
             select id, id || '@example.com', 'authenticated', 'authenticated'
             from (select gen_random_uuid() as id from generate_series(1, $1::bigint)) as new
             returning id";
        let rows = self.admin.query(insert, &[&i64::try_from(count)?]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// `count` jobs of one image, spread over `users`, through all triggers.
    pub async fn jobs(&self, users: &[Uuid], count: usize) -> anyhow::Result<()> {
        let insert = "insert into public.image_generation_jobs (user_id, prompt, source_paths)
             select owner, 'a cup', array[owner || '/sources/' || number % 1000 || '.png']
             from (select ($1::uuid[])[1 + number % cardinality($1)] as owner, number from generate_series(1, $2::bigint) as number) as new";
        self.admin.execute(insert, &[&users, &i64::try_from(count)?]).await?;
        Ok(())
    }

    /// The queue as the worker's role has it.
    pub fn queue(&self, connections: usize) -> anyhow::Result<queue::Queue> {
        let database = self.worker_url.parse()?;
        queue::Queue::new(&queue::Settings { database, certificates: Vec::new(), connections })
    }

    /// Another connection as the superuser.
    pub async fn connect(&self, scene: &Scene) -> anyhow::Result<Client> {
        scene.server.connect(ADMIN, &self.name).await
    }
}

/// A connection to `url`.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    Ok(database::connect(url).await?)
}

/// Whoever signed in to `stack` with this token.
pub fn caller(stack: &Stack, token: &str) -> anyhow::Result<supabase::Caller> {
    let project = supabase::Project::new(&stack.url().parse()?, stack.publishable_key().to_owned().into(), &[])?;
    Ok(project.person(token)?)
}
