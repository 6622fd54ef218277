//! The Edge Function `generate-v2` in Deno, against a whole deployment: it inserts jobs as its caller, and answers as the HTTP API does.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::deployment::{Deployment, Person};
use crate::program::{Running, deno, output, repository};

/// The function as the platform runs it, in front of one project.
struct Function {
    url: String,
    running: Running,
    http: reqwest::Client,
}

impl Function {
    async fn of(deployment: &Deployment) -> Self {
        Self::at(deployment.stack.url(), deployment.stack.publishable_key()).await
    }

    /// In front of the project at this address, with what the platform sets.
    async fn at(url: &str, key: &str) -> Self {
        let mut command = command(&["run", "--no-prompt", "--allow-net=127.0.0.1"]).await;
        command.arg("--allow-env=SUPABASE_URL,SUPABASE_PUBLISHABLE_KEYS,SUPABASE_PUBLISHABLE_KEY,SUPABASE_ANON_KEY");
        command.arg(repository("supabase/functions/generate-v2/index.ts"));
        command.env("DENO_SERVE_ADDRESS", "tcp:127.0.0.1:0").env("SUPABASE_URL", url);
        command.env("SUPABASE_PUBLISHABLE_KEYS", json!({ "default": key }).to_string());
        let running = Running::start(command, &["Listening on "]).await.expect("the function serves");
        let said = running.said();
        let address = said.split("Listening on ").nth(1).and_then(|rest| rest.lines().next()).expect("it says where");
        let address = address.trim_end_matches('/');
        Self { url: format!("{address}/generate-v2"), running, http: reqwest::Client::new() }
    }

    fn request(&self, person: &Person<'_>) -> reqwest::RequestBuilder {
        self.http.post(&self.url).bearer_auth(&person.token)
    }

    async fn post(&self, person: &Person<'_>, job: &Value) -> Response {
        self.request(person).json(job).send().await.expect("the function answers")
    }
}

/// Deno with these arguments, and with nothing of this person's own.
async fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(deno().await);
    command.args(arguments).env_clear().envs([("NO_COLOR", "1"), ("DENO_NO_UPDATE_CHECK", "1")]);
    command.env("DENO_DIR", carousel_local::install::home().join("deno"));
    command
}

/// The job of a 202.
async fn accepted(answer: Response) -> Value {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let job: Value = answer.json().await.expect("it answers JSON");
    assert_eq!(status, 202, "{job}");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let location = format!("/rest/v1/image_generation_jobs?id=eq.{}", job["id"].as_str().expect("a job has an id"));
    assert_eq!(headers["location"], location.as_str());
    job
}

/// Status and code of a refusal, which must be a whole problem document.
async fn refused(answer: Response) -> (u16, String) {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let problem: Value = answer.json().await.expect("it answers JSON");
    assert_eq!(headers["content-type"], "application/problem+json", "{problem}");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(problem["status"], status, "{problem}");
    for text in ["title", "detail"] {
        assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "no {text}: {problem}");
    }
    (status, problem["code"].as_str().expect("a problem has a code").to_owned())
}

#[tokio::test]
async fn a_person_puts_a_job_into_the_queue_and_reads_it_where_the_answer_says() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let function = Function::of(&deployment).await;
    let person = deployment.person().await;
    let source = person.photo().await;
    let job = json!({
        "prompt": "a {{colour}} cup", "variables": { "colour": "red" }, "source_paths": [source], "aspect_ratios": ["4:5"], "variants": 2, "title": null,
    });
    let answer = accepted(function.post(&person, &job).await).await;
    assert_eq!((&answer["user_id"], &answer["prompt"]), (&json!(person.id), &json!("a red cup")));
    assert_eq!((&answer["status"], &answer["total_images"]), (&json!("pending"), &json!(2)));
    let id = answer["id"].as_str().unwrap();
    assert_eq!(person.over(id).await["status"], "completed", "and a worker makes it");
}

#[tokio::test]
async fn a_repeated_request_with_its_key_is_answered_with_the_first_job() {
    let deployment = Deployment::new().await;
    let function = Function::of(&deployment).await;
    let (person, other) = (deployment.person().await, deployment.person().await);
    let job = json!({ "prompt": "a cup", "source_paths": [person.photo().await] });
    let send = async |person: &Person<'_>, key: &str, job: &Value| {
        function.request(person).header("Idempotency-Key", key).json(job).send().await.expect("the function answers")
    };
    let key = "a:b,c(d)\"&=%20'";
    let first = send(&person, key, &job).await;
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let first = accepted(first).await;
    let again = send(&person, key, &json!({ "prompt": "another", "source_paths": job["source_paths"] })).await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(accepted(again).await["id"], first["id"]);
    let theirs = json!({ "prompt": "a cup", "source_paths": [other.photo().await] });
    let theirs = send(&other, key, &theirs).await;
    assert!(!theirs.headers().contains_key("idempotency-replayed"), "another person's key is their own");
    assert_ne!(accepted(theirs).await["id"], first["id"]);
    for key in ["", "a b", &"a".repeat(201)] {
        assert_eq!(refused(send(&person, key, &job).await).await, (400, "malformed".to_owned()), "{key:?}");
    }
    let (_, jobs) = person.rest("GET", "image_generation_jobs", None).await;
    assert_eq!(jobs.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_database_refuses_is_told_with_its_code_and_its_fix() {
    let deployment = Deployment::new().await;
    let function = Function::of(&deployment).await;
    let (person, other) = (deployment.person().await, deployment.person().await);
    let (mine, theirs) = (person.photo().await, other.photo().await);
    let answer = function.post(&person, &json!({ "prompt": "a {{thing}}", "source_paths": [mine] })).await;
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(
        problem,
        json!({
            "title": "Bad Request", "status": 400, "code": "variable_missing", "detail": "the variable thing has no value",
            "hint": "Pass variables with {\"thing\": \"...\"}, or give the template a default.",
        })
    );
    for (job, status, code) in [
        (json!({ "prompt": "a cup", "source_paths": [theirs] }), 403, "source_path_foreign"),
        (
            json!({ "prompt": "a cup", "source_paths": [format!("{}/sources/..", person.id)] }),
            400,
            "source_path_invalid",
        ),
        (json!({ "prompt": "a cup" }), 400, "sources_missing"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "slide_sources": [[2]] }), 400, "slide_sources_invalid"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "slide_sources": [1] }), 400, "malformed"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "slides_from": "photos" }), 400, "slides_from_invalid"),
        (json!({ "source_paths": [mine] }), 400, "prompt_missing"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "variants": 11 }), 400, "variants_out_of_range"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "aspect_ratios": ["2:1"] }), 400, "aspect_ratios_invalid"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "quality": "best" }), 400, "quality_known"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "run_at": "soon" }), 400, "value_invalid"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "run_at": "2099-12-24T18:00:00" }), 400, "value_invalid"),
        (json!({ "prompt": "a cup", "source_paths": [mine], "run_at": "2099-12-24" }), 400, "value_invalid"),
        (json!({ "prompt": "a\u{0}cup", "source_paths": [mine] }), 400, "value_invalid"),
        (json!({ "template_id": Uuid::new_v4() }), 403, "template_not_found"),
    ] {
        assert_eq!(refused(function.post(&person, &job).await).await, (status, code.to_owned()), "{job}");
    }
    deployment.project.owner.batch_execute("update carousel_private.limits set max_active_jobs = 0").await.unwrap();
    let limited = function.post(&person, &json!({ "prompt": "a cup", "source_paths": [mine] })).await;
    assert_eq!(refused(limited).await, (429, "too_many_active_jobs".to_owned()));
    let (_, jobs) = person.rest("GET", "image_generation_jobs", None).await;
    assert_eq!(jobs, json!([]));
}

#[tokio::test]
async fn nobody_acts_without_a_token_that_the_project_accepts() {
    let deployment = Deployment::new().await;
    let function = Function::of(&deployment).await;
    let person = deployment.person().await;
    let job = json!({ "prompt": "a cup", "source_paths": [person.photo().await] });
    let forged = format!("{}x", person.token);
    let nobody = deployment.stack.keys().sign(&json!({ "role": "anon", "exp": 4_000_000_000_u64 })).unwrap();
    let old = json!({ "role": "authenticated", "sub": person.id, "exp": 1_000_000_000 });
    let old = deployment.stack.keys().sign(&old).unwrap();
    for authorization in [
        None,
        Some("Bearer".to_owned()),
        Some(format!("Basic {}", person.token)),
        Some(format!("Bearer {}", deployment.stack.publishable_key())),
        Some(format!("Bearer {}", deployment.stack.secret_key())),
        Some("Bearer a.b.c".to_owned()),
        Some(format!("Bearer {forged}")),
        Some(format!("Bearer {nobody}")),
        Some(format!("Bearer {old}")),
    ] {
        let mut request = function.http.post(&function.url).json(&job);
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{authorization:?}");
        assert_eq!(refused(answer).await, (401, "unauthorized".to_owned()), "{authorization:?}");
    }
    assert!(!function.running.said().contains(&person.token[..20]), "no token is logged");
}

#[tokio::test]
async fn a_request_that_can_not_be_read_is_told_where_it_is_wrong() {
    let deployment = Deployment::new().await;
    let function = Function::of(&deployment).await;
    let person = deployment.person().await;
    let json = "application/json";
    for (kind, body, expected) in [
        (json, "{".to_owned(), (400, "malformed")),
        (json, "[]".to_owned(), (400, "malformed")),
        (json, "null".to_owned(), (400, "malformed")),
        (json, r#"{"user_id": "x"}"#.to_owned(), (400, "malformed")),
        (json, r#"{"status": "completed"}"#.to_owned(), (400, "malformed")),
        (json, r#"{"__proto__": {"prompt": "x"}}"#.to_owned(), (400, "malformed")),
        (json, r#"{"toString": "x"}"#.to_owned(), (400, "malformed")),
        (json, r#"{"prompt": 1}"#.to_owned(), (400, "malformed")),
        (json, r#"{"source_paths": "x"}"#.to_owned(), (400, "malformed")),
        (json, r#"{"variants": 1.5}"#.to_owned(), (400, "malformed")),
        (json, r#"{"variants": 4294967297}"#.to_owned(), (400, "malformed")),
        (json, r#"{"template_id": "x"}"#.to_owned(), (400, "malformed")),
        (json, format!(r#"{{"prompt": "{}"}}"#, "a".repeat(4 << 20)), (413, "body_too_large")),
        ("text/plain", "a cup".to_owned(), (415, "body_type_not_supported")),
        ("multipart/form-data; boundary=x", "--x--".to_owned(), (415, "body_type_not_supported")),
    ] {
        let request = function.request(&person).header("content-type", kind).body(body.clone());
        let (status, code) = refused(request.send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), expected, "{:.80}", body);
    }
    let get = function.http.get(&function.url).send().await.unwrap();
    assert_eq!(get.headers()["allow"], "POST, OPTIONS");
    assert_eq!(refused(get).await, (405, "method_not_allowed".to_owned()));
    let preflight = function.http.request(Method::OPTIONS, &function.url).send().await.unwrap();
    assert_eq!(
        (preflight.status().as_u16(), &preflight.headers()["access-control-allow-origin"]),
        (204, &"*".parse().unwrap())
    );
    let allowed = preflight.headers()["access-control-allow-headers"].to_str().unwrap();
    for header in ["authorization", "apikey", "content-type", "idempotency-key", "x-client-info"] {
        assert!(allowed.contains(header), "{header} in {allowed}");
    }
}

/// A gateway in front of the project that passes everything on and then answers a POST with 503, as one does that restarts.
async fn forgetful_gateway(project: String) -> String {
    let http = reqwest::Client::new();
    let pass = move |method: Method, uri: Uri, mut headers: HeaderMap, body: Bytes| {
        let (http, project) = (http.clone(), project.clone());
        async move {
            headers.remove("host");
            let post = method == Method::POST;
            let request = http.request(method, format!("{project}{uri}")).headers(headers).body(body);
            let answer = request.send().await.expect("the project answers");
            let status = if post { StatusCode::SERVICE_UNAVAILABLE } else { answer.status() };
            (status, answer.bytes().await.expect("the answer is whole"))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(pass)).await });
    url
}

#[tokio::test]
async fn a_job_whose_answer_was_lost_is_found_and_a_project_that_is_away_is_told() {
    let deployment = Deployment::new().await;
    let person = deployment.person().await;
    let job = json!({ "prompt": "a cup", "source_paths": [person.photo().await] });
    let gateway = forgetful_gateway(deployment.stack.url().to_owned()).await;
    let function = Function::at(&gateway, deployment.stack.publishable_key()).await;
    let answer = accepted(function.post(&person, &job).await).await;
    let (_, jobs) = person.rest("GET", "image_generation_jobs?select=id", None).await;
    assert_eq!(jobs, json!([{ "id": answer["id"] }]), "made once");

    let nowhere = Function::at("http://127.0.0.1:9", deployment.stack.publishable_key()).await;
    let answer = nowhere.post(&person, &job).await;
    assert_eq!(answer.headers()["retry-after"], "5");
    assert_eq!(refused(answer).await, (503, "project_unavailable".to_owned()));
    assert!(nowhere.running.said().contains("the project can't be used"), "the log says why");
}

/// The function's own checks, as its authors would run them.
#[tokio::test]
async fn the_function_is_checked_formatted_and_linted() {
    let folder = repository("supabase/functions/generate-v2");
    for arguments in [&["check", "index.ts"][..], &["fmt", "--check"], &["lint"]] {
        let mut command = command(arguments).await;
        command.current_dir(&folder);
        output(command).await;
    }
}
