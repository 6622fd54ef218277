//! A Storage server on a port of its own, with a database of its own, and two people to call it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use carousel_local::caller::Keys;
use carousel_local::postgres::{ADMIN, Server};
use carousel_local::storage::{Storage, router};
use carousel_local::{bootstrap, database, install};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

pub const BUCKET: &str = "generated-carousels";

/// The bucket and the policies as the product's migration has them, written by `postgres`, which is no superuser. Three small
/// buckets beside it make single rules visible.
const MIGRATION: &str = "
    insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
    values ('generated-carousels', 'generated-carousels', false, 52428800, '{image/png,image/jpeg,image/webp}'),
        ('small', 'small', false, 1000, '{image/*}'),
        ('open', 'open', true, null, null),
        ('blind', 'blind', false, null, null);

    create policy \"a person reads all of their folder\" on storage.objects for select to authenticated
        using (bucket_id in ('generated-carousels', 'small')
            and (storage.foldername(name))[1] = (select auth.uid()::text));
    create policy \"a person adds sources\" on storage.objects for insert to authenticated
        with check (bucket_id in ('generated-carousels', 'small')
            and (storage.foldername(name))[1] = (select auth.uid()::text)
            and (storage.foldername(name))[2] = 'sources');
    create policy \"a person changes sources\" on storage.objects for update to authenticated
        using (bucket_id in ('generated-carousels', 'small')
            and (storage.foldername(name))[1] = (select auth.uid()::text)
            and (storage.foldername(name))[2] = 'sources');
    create policy \"a person removes sources\" on storage.objects for delete to authenticated
        using (bucket_id in ('generated-carousels', 'small')
            and (storage.foldername(name))[1] = (select auth.uid()::text)
            and (storage.foldername(name))[2] = 'sources');
    create policy \"who is signed in may drop, but not look\" on storage.objects for insert to authenticated
        with check (bucket_id = 'blind');
";

pub struct Bench {
    pub storage: Storage,
    pub url: String,
    /// Connected as the superuser.
    pub admin: tokio_postgres::Client,
    pub ann: Person,
    pub bob: Person,
    pub publishable: String,
    pub secret: String,
    pub keys: Arc<Keys>,
    root: TempDir,
    client: Client,
}

/// Somebody who is signed in.
pub struct Person {
    pub id: String,
    pub token: String,
}

impl Person {
    /// A path among this person's sources.
    pub fn source(&self, name: &str) -> String {
        format!("{}/sources/{name}", self.id)
    }
}

/// One PostgreSQL for this binary, and in it a database to copy for each test.
async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let start = || async {
        let runtime = install::ensure(&install::home(), |step| eprintln!("{step}")).await.unwrap();
        let server = Server::temporary(&runtime.postgres).await.unwrap();
        server.create_database("storage_template", None).await.unwrap();
        bootstrap::project(&server.connect(ADMIN, "storage_template").await.unwrap(), false).await.unwrap();
        let postgres = server.connect("postgres", "storage_template").await.unwrap();
        postgres.batch_execute(MIGRATION).await.unwrap();
        drop(postgres);
        server
    };
    SERVER.get_or_init(start).await
}

/// A copy of the template. PostgreSQL copies only a database that nobody is connected to, and a connection that was dropped takes a
/// moment to end there.
async fn copy_of_the_template(server: &Server) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("storage_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    loop {
        match server.create_database(&name, Some("storage_template")).await {
            Err(error) if format!("{error:?}").contains("being accessed by other users") => {
                tokio::task::yield_now().await;
            }
            created => {
                created.unwrap();
                return name;
            }
        }
    }
}

impl Bench {
    pub async fn new() -> Self {
        let server = server().await;
        let database = copy_of_the_template(server).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (publishable, secret) = ("sb_publishable_test".to_owned(), "sb_secret_test".to_owned());
        let issuer = format!("{origin}/auth/v1");
        let keys = Keys::new(&Keys::generate(), publishable.clone(), secret.clone(), issuer).unwrap();
        let (keys, root) = (Arc::new(keys), tempfile::tempdir().unwrap());
        let pool = database::pool(&server.url(ADMIN, &database), 8).unwrap();
        let storage = Storage::new(pool, Arc::clone(&keys), root.path()).unwrap();
        let app = axum::Router::new().nest("/storage/v1", router(storage.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            storage,
            url: format!("{origin}/storage/v1"),
            admin: server.connect(ADMIN, &database).await.unwrap(),
            ann: person(&keys),
            bob: person(&keys),
            publishable,
            secret,
            keys,
            root,
            client: Client::new(),
        }
    }

    /// A request to a path such as `/object/...`, with this token or key.
    pub fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let apikey = if token == self.secret { token } else { &self.publishable };
        self.anonymous(method, path).header("apikey", apikey).bearer_auth(token)
    }

    /// A request without any key, to a path such as `/object/...`.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// An upload of `bytes` as `image/png` into the product's bucket.
    pub fn upload(&self, person: &Person, name: &str, bytes: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.request(Method::POST, &format!("/object/{BUCKET}/{name}"), &person.token);
        request.header("content-type", "image/png").body(bytes)
    }

    /// The bytes of an object in the product's bucket, as its server sees them.
    pub async fn bytes(&self, name: &str) -> Vec<u8> {
        let answer = self.request(Method::GET, &format!("/object/{BUCKET}/{name}"), &self.secret).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{name}");
        answer.bytes().await.unwrap().into()
    }

    /// How many rows `storage.objects` has, and how many files there are, finished or not.
    pub async fn left(&self) -> (i64, usize) {
        let row = self.admin.query_one("select count(*) from storage.objects", &[]).await.unwrap();
        (row.get(0), count(&self.root.path().join("kept")) + count(&self.root.path().join("incoming")))
    }

    /// How many files are being received.
    pub fn incoming(&self) -> usize {
        count(&self.root.path().join("incoming"))
    }
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn person(keys: &Keys) -> Person {
    let id = Uuid::new_v4().to_string();
    let claims = json!({
        "iss": keys.issuer, "aud": "authenticated", "role": "authenticated", "sub": id, "exp": 4_000_000_000_u64
    });
    Person { token: keys.sign(&claims).unwrap(), id }
}

/// Asserts that `answer` has HTTP status 200 and returns its JSON.
pub async fn accepted(answer: Response) -> Value {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Asserts that `answer` is HTTP 400 and returns `statusCode`, `error` and `message` of its body.
pub async fn refused(answer: Response) -> [String; 3] {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    ["statusCode", "error", "message"].map(|key| body[key].as_str().unwrap_or_default().to_owned())
}
