//! The API of one test, and what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use carousel::http::{self, Check, Settings};
use carousel::supabase::Project;
use futures::FutureExt;
use reqwest::header::HeaderMap;
use reqwest::{Method, Request, RequestBuilder};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::deployment::Deployment;

pub const JOBS: &str = "/api/image-generator/jobs";
pub const GENERATE: &str = "/api/image-generator/generate-v2";
pub const TEMPLATES: &str = "/api/image-generator/templates";

pub struct Door {
    pub deployment: Deployment,
    pub url: String,
    pub description: Value,
    /// What goes on when a connection has gone.
    pub tasks: TaskTracker,
    pub end: CancellationToken,
    pub serving: JoinHandle<()>,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null where there is none.
    pub body: Value,
}

impl Door {
    pub async fn new() -> Self {
        Self::with(settings()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let deployment = Deployment::new().await;
        let url = deployment.stack.url().parse().unwrap();
        let project = Project::new(&url, deployment.stack.publishable_key().to_owned().into(), &[]).unwrap();
        Self::on(deployment, project, settings).await
    }

    /// An API for a project that need not be the deployment's.
    pub async fn on(deployment: Deployment, project: Project, settings: Settings) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let end = CancellationToken::new();
        let checked = project.clone();
        let readiness = Arc::new(move || {
            let project = checked.clone();
            async move { vec![Check { name: "project", fault: project.check().await.err().map(|error| error.to_string()) }] }
                .boxed()
        });
        let http::Door { router, tasks } = http::door(project, settings, readiness, end.clone());
        let serving = tokio::spawn(http::serve(listener, router, tasks.clone(), end.clone().cancelled_owned()));
        let description = reqwest::get(format!("{url}/openapi.json")).await.unwrap().json().await.unwrap();
        Self { deployment, url, description, tasks, end, serving }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.deployment.http.request(method, format!("{}{path}", self.url))
    }

    pub fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.request(Method::GET, path).bearer_auth(token)
    }

    pub fn post(&self, path: &str, token: &str) -> RequestBuilder {
        self.request(Method::POST, path).bearer_auth(token)
    }

    /// Sends a request, and makes sure that the API describes an answer like this.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let said = format!("{} {}", request.method(), request.url().path());
        let declared = self.declared(&request);
        let answer = self.deployment.http.execute(request).await.unwrap_or_else(|error| panic!("{said}: {error:?}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.unwrap();
        let kind = headers.get("content-type").map(|kind| kind.to_str().unwrap().split(';').next().unwrap().to_owned());
        if let Some(responses) = declared {
            let response = &responses[status.to_string()];
            assert!(response.is_object(), "{said}: {status} is not declared: {}", String::from_utf8_lossy(&bytes));
            match &kind {
                Some(kind) => {
                    assert!(response["content"][kind].is_object(), "{said}: {status} with {kind} is not declared")
                }
                None => assert!(response["content"].is_null(), "{said}: {status} without a body is not declared"),
            }
        }
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status >= 400 && status != 503 {
            assert_eq!(kind.as_deref(), Some("application/problem+json"), "{said}: {status}");
            assert_eq!(body["status"], status, "{said}: {body}");
            assert!(
                body["code"].is_string() && body["title"].is_string() && body["detail"].is_string(),
                "{said}: {body}"
            );
        }
        assert!(headers.contains_key("x-request-id"), "{said}");
        assert_eq!(headers["cache-control"], "no-store", "{said}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{said}");
        Answer { status, headers, body }
    }

    /// The answers that are described for a request; nothing for a path or a method that there is not.
    fn declared(&self, request: &Request) -> Option<Value> {
        let path = request.url().path();
        let fits = |template: &str| {
            let (asked, known): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
            asked.len() == known.len() && asked.iter().zip(&known).all(|(a, k)| a == k || k.starts_with('{'))
        };
        let paths = self.description["paths"].as_object().unwrap();
        let (_, methods) = paths.iter().find(|(template, _)| fits(template))?;
        methods.get(request.method().as_str().to_ascii_lowercase()).map(|operation| operation["responses"].clone())
    }

    /// Sends a request that must be refused with this status and code.
    pub async fn refused(&self, request: RequestBuilder, status: u16, code: &str) -> Value {
        let answer = self.send(request).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{}", answer.body);
        answer.body
    }

    /// How many objects are in the bucket.
    pub async fn objects(&self) -> i64 {
        let admin = self.deployment.project.admin().await;
        admin.query_one("select count(*) from storage.objects", &[]).await.unwrap().get(0)
    }

    /// How many objects of the bucket stay after a day.
    pub async fn kept(&self) -> i64 {
        let admin = self.deployment.project.admin().await;
        admin.batch_execute("select carousel_private.sweep_objects('0')").await.unwrap();
        let kept = "select count(*) from storage.objects
            where not exists (select from carousel_private.storage_cleanup where path = name)";
        admin.query_one(kept, &[]).await.unwrap().get(0)
    }

    /// Waits until nothing goes on any more of requests whose connections have gone. No other request may be sent after it.
    pub async fn settled(&self) {
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(120), self.tasks.wait()).await.expect("the tasks end");
        self.tasks.reopen();
    }
}

pub fn settings() -> Settings {
    Settings { origins: Vec::new(), patience: Duration::from_secs(60), metrics_token: None }
}
