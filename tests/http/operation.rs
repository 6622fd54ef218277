use carousel::http::Settings;
use carousel::supabase::Project;
use reqwest::Method;
use serde_json::json;

use crate::deployment::Deployment;
use crate::door::{Door, GENERATE, JOBS, settings};

#[tokio::test]
async fn the_old_endpoint_is_gone_and_shows_the_request_in_its_new_form() {
    let door = Door::new().await;
    let old = json!({ "prompt": "a cup", "images": ["https://example.com/a.png"], "aspectRatio": "4:5", "count": 3 });
    let request = door.request(Method::POST, "/api/image-generator/generate").json(&old);
    let told = door.refused(request.try_clone().unwrap(), 410, "endpoint_retired").await;
    assert_eq!((&told["successor"]["method"], &told["successor"]["path"]), (&json!("POST"), &json!(GENERATE)));
    let body = &told["successor"]["body"];
    assert_eq!((&body["variants"], &body["aspect_ratios"]), (&json!(3), &json!(["4:5"])));
    let headers = door.send(request).await.headers;
    assert_eq!(headers["link"], format!("<{GENERATE}>; rel=\"successor-version\""));
    assert!(headers["deprecation"].to_str().unwrap().starts_with('@'));
    httpdate::parse_http_date(headers["sunset"].to_str().unwrap()).unwrap();
    // What is shown is what the new endpoint takes, once the photo is where it should be.
    let anna = door.deployment.person().await;
    let mut body = body.clone();
    body["source_paths"] = json!([anna.photo().await]);
    assert_eq!(door.send(door.post(GENERATE, &anna.token).json(&body)).await.status, 202);
    for odd in ["", "{", "[1]", &"x".repeat(100_000)] {
        let request = door.request(Method::POST, "/api/image-generator/generate").body(odd.to_owned());
        let told = door.refused(request, 410, "endpoint_retired").await;
        assert!(told["successor"]["body"]["prompt"].is_string());
    }
}

#[tokio::test]
async fn browsers_of_named_origins_may_call_and_no_others() {
    let asked = |door: &Door, origin: &str| {
        door.request(Method::OPTIONS, GENERATE)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,idempotency-key")
    };
    let origins = vec!["https://app.example.com".parse().unwrap()];
    let door = Door::with(Settings { origins, ..settings() }).await;
    let allowed = asked(&door, "https://app.example.com").send().await.unwrap();
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example.com");
    assert!(allowed.headers()["access-control-allow-headers"].to_str().unwrap().contains("idempotency-key"));
    assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
    let other = asked(&door, "https://evil.example.com").send().await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    let answer = door.request(Method::GET, JOBS).header("origin", "https://app.example.com").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (401, &"https://app.example.com".parse().unwrap())
    );
    assert!(answer.headers()["access-control-expose-headers"].to_str().unwrap().contains("location"));
    let closed = Door::new().await;
    assert!(
        !asked(&closed, "https://app.example.com")
            .send()
            .await
            .unwrap()
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test]
async fn the_process_is_healthy_while_the_project_is_away_and_is_not_ready() {
    let door = Door::new().await;
    assert_eq!(door.send(door.request(Method::GET, "/healthz")).await.status, 200);
    let ready = door.send(door.request(Method::GET, "/readyz")).await;
    assert_eq!(
        (ready.status, ready.body),
        (200, json!({ "ready": true, "checks": [{ "name": "project", "ready": true }] }))
    );

    let nowhere =
        Project::new(&"http://127.0.0.1:1".parse().unwrap(), "sb_publishable_x".to_owned().into(), &[]).unwrap();
    let door = Door::on(Deployment::new().await, nowhere, settings()).await;
    assert_eq!(door.send(door.request(Method::GET, "/healthz")).await.status, 200);
    let ready = door.send(door.request(Method::GET, "/readyz")).await;
    assert_eq!((ready.status, &ready.body["ready"]), (503, &json!(false)));
    let anna = door.deployment.person().await;
    let away = door.send(door.get(JOBS, &anna.token)).await;
    assert_eq!((away.status, away.body["code"].as_str()), (503, Some("project_unavailable")));
    assert!(away.headers.contains_key("retry-after") && !away.body.to_string().contains("127.0.0.1"), "{}", away.body);
}

#[tokio::test]
async fn a_project_without_the_schema_is_not_ready() {
    let door = Door::new().await;
    let owner = &door.deployment.project.owner;
    owner
        .batch_execute("drop table public.image_generation_jobs cascade; notify pgrst, 'reload schema'")
        .await
        .unwrap();
    let anna = door.deployment.person().await;
    assert_eq!(door.send(door.get(JOBS, &anna.token)).await.status, 503);
    assert_eq!(door.send(door.request(Method::GET, "/readyz")).await.status, 503);
}

#[tokio::test]
async fn the_numbers_tell_what_was_done() {
    let token = Some("metrics-secret".to_owned().into());
    let door = Door::with(Settings { metrics_token: token, ..settings() }).await;
    let anna = door.deployment.person().await;
    let wanted = json!({ "prompt": "a cup", "source_paths": [anna.photo().await] });
    let made = door.send(door.post(GENERATE, &anna.token).json(&wanted)).await;
    let worker = door.deployment.worker();
    anna.over(made.body["id"].as_str().unwrap()).await;
    worker.drain().await;

    door.refused(door.request(Method::GET, "/metrics"), 401, "unauthorized").await;
    door.refused(door.get("/metrics", &anna.token), 401, "unauthorized").await;
    let answer = door.get("/metrics", "metrics-secret").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    let requests = format!("carousel_http_requests_total{{method=\"POST\",route=\"{GENERATE}\",status=\"202\"}}");
    for line in [
        requests.as_str(),
        "carousel_images_total{code=\"ok\"}",
        "carousel_jobs_left_total{outcome=\"completed\"}",
        "carousel_claim_seconds_count",
        "carousel_call_seconds_count{code=\"ok\"}",
        "carousel_cost_microdollars_total",
    ] {
        let value =
            text.lines().find_map(|told| told.strip_prefix(line)).unwrap_or_else(|| panic!("no {line}: {text}"));
        assert!(value.trim().parse::<f64>().unwrap() > 0.0, "{line}{value}");
    }
    // No id, no path of a person and no made-up route becomes a label.
    assert!(!text.contains(&anna.id.to_string()) && !text.contains(made.body["id"].as_str().unwrap()), "{text}");
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_keeps_a_plain_one() {
    let door = Door::new().await;
    let given = |id: &str| door.request(Method::GET, "/healthz").header("x-request-id", id);
    assert_eq!(door.send(given("proxy-1_a")).await.headers["x-request-id"], "proxy-1_a");
    let long = "x".repeat(65);
    for hostile in ["", "a b", "a\"b", &long] {
        assert_ne!(door.send(given(hostile)).await.headers["x-request-id"], hostile);
    }
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_take_it() {
    let door = Door::new().await;
    let answer = door.request(Method::GET, "/openapi.json").header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let bytes = answer.bytes().await.unwrap();
    assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < door.description.to_string().len() / 2);
    let plain = door.request(Method::GET, "/openapi.json").send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
}

/// What is described is what there is: each operation has its words, its parameters and its answers.
#[tokio::test]
async fn the_description_has_every_endpoint_of_the_readme_and_no_other() {
    let door = Door::new().await;
    assert!(door.description["openapi"].as_str().unwrap().starts_with("3.1"));
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/README.md")).unwrap();
    let (_, table) = readme.split_once("\n| Request | What it does | Answer |\n").expect("the README has the table");
    let told: Vec<String> = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('`').nth(1).expect("a request in backticks").to_owned())
        .collect();
    let mut described = Vec::new();
    for (path, operations) in door.description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = format!("{} {path}", method.to_uppercase());
            assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{name}");
            assert!(
                operation["responses"].as_object().unwrap().len() > usize::from(path.contains("image-generator/jobs")),
                "{name}"
            );
            described.push(name);
        }
    }
    let missing: Vec<_> = described.iter().filter(|name| !told.contains(name)).collect();
    let stale: Vec<_> = told.iter().filter(|name| !described.contains(name)).collect();
    assert!(missing.is_empty() && stale.is_empty(), "must stand in the README: {missing:?}; must not: {stale:?}");
}
