use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::door::{Door, GENERATE, JOBS, TEMPLATES};

#[tokio::test]
async fn a_job_is_made_shown_cancelled_tried_again_and_deleted() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let wanted =
        json!({ "prompt": "a cup", "source_paths": [anna.photo().await], "aspect_ratios": ["4:5"], "variants": 2 });
    let made = door.send(door.post(GENERATE, &anna.token).json(&wanted)).await;
    assert_eq!((made.status, &made.body["status"], &made.body["total_images"]), (202, &json!("pending"), &json!(2)));
    let place = made.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(place, format!("{JOBS}/{}", made.body["id"].as_str().unwrap()));
    assert!(!made.headers.contains_key("idempotency-replayed"));

    let shown = door.send(door.get(&place, &anna.token)).await;
    assert_eq!((shown.status, &shown.body["prompt"], &shown.body["images"]), (200, &json!("a cup"), &json!([])));
    let cancelled = door.send(door.post(&format!("{place}/cancel"), &anna.token)).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")));
    let again = door.send(door.post(&format!("{place}/retry"), &anna.token)).await;
    assert_eq!((again.status, &again.body["status"]), (200, &json!("pending")));

    let worker = door.deployment.worker();
    anna.over(made.body["id"].as_str().unwrap()).await;
    worker.drain().await;
    let shown = door.send(door.get(&place, &anna.token)).await.body;
    assert_eq!((&shown["status"], shown["images"].as_array().unwrap().len()), (&json!("completed"), 2));
    assert!(shown["images"][0]["storage_path"].is_string());
    assert!(shown["images"][0].get("url").is_none());
    let signed = door.send(door.get(&format!("{place}?sign=60"), &anna.token)).await.body;
    let url = signed["images"][1]["url"].as_str().unwrap();
    let picture = door.deployment.http.get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(picture, anna.download(signed["images"][1]["storage_path"].as_str().unwrap()).await);
    for wrong in ["sign=0", "sign=604801", "sign=x", "sing=60"] {
        door.refused(door.get(&format!("{place}?{wrong}"), &anna.token), 400, "malformed").await;
    }
    let gone = door.send(door.request(Method::DELETE, &place).bearer_auth(&anna.token)).await;
    assert_eq!((gone.status, gone.body), (204, Value::Null));
    door.refused(door.get(&place, &anna.token), 404, "not_found").await;
}

#[tokio::test]
async fn every_request_is_refused_without_a_good_token_and_finds_nothing_of_others() {
    let door = Door::new().await;
    let (anna, bert) = (door.deployment.person().await, door.deployment.person().await);
    let wanted = json!({ "prompt": "a cup", "source_paths": [anna.photo().await] });
    let job = door.send(door.post(GENERATE, &anna.token).json(&wanted)).await.body;
    let (job, template) = (job["id"].as_str().unwrap(), job["template_id"].as_str().unwrap());
    let before = anna.job(job).await;

    let paths = door.description["paths"].as_object().unwrap();
    let mut tried = 0;
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["security"].is_null() || path == "/metrics" {
                continue;
            }
            let named = path.replace("{id}", if path.contains("/jobs/") { job } else { template });
            let request = || {
                let request = door.request(method.to_uppercase().parse().unwrap(), &named);
                match operation["requestBody"].is_null() {
                    true => request,
                    false if path == TEMPLATES => request.json(&json!({ "name": "x", "source_paths": ["x"] })),
                    false => request.json(&json!({})),
                }
            };
            door.refused(request(), 401, "unauthorized").await;
            door.refused(request().header("authorization", "Basic YTpi"), 401, "unauthorized").await;
            let long = format!("a.b.{}", "c".repeat(9_000));
            for bad in ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", long.as_str()] {
                door.refused(request().bearer_auth(bad), 401, "unauthorized").await;
            }
            // A key is no person.
            for key in [door.deployment.stack.publishable_key(), door.deployment.stack.secret_key()] {
                door.refused(request().bearer_auth(key), 401, "unauthorized").await;
            }
            if path.contains("{id}") {
                let unchanged = method == "patch" || method == "post";
                let missing =
                    if unchanged { request() } else { door.request(method.to_uppercase().parse().unwrap(), &named) };
                door.refused(missing.bearer_auth(&bert.token), 404, "not_found").await;
            }
            tried += 1;
        }
    }
    assert!(tried >= 13, "only {tried} operations were tried");
    assert_eq!(anna.job(job).await, before);
    let bert_sees = door.send(door.get(JOBS, &bert.token)).await.body;
    assert_eq!(bert_sees, json!({ "jobs": [], "next": null }));
}

#[tokio::test]
async fn a_list_comes_page_by_page_and_by_status() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let source = anna.photo().await;
    let mut made = Vec::new();
    for number in 0..5 {
        let wanted = json!({ "prompt": "a cup", "title": number.to_string(), "source_paths": [source] });
        made.push(door.send(door.post(GENERATE, &anna.token).json(&wanted)).await.body["id"].clone());
    }
    made.reverse();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = door.send(door.get(&format!("{JOBS}?limit=2{after}"), &anna.token)).await.body;
        seen.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made);

    door.send(door.post(&format!("{JOBS}/{}/cancel", made[1].as_str().unwrap()), &anna.token)).await;
    let of = async |query: &str| {
        let page = door.send(door.get(&format!("{JOBS}?{query}"), &anna.token)).await.body;
        page["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("status=cancelled").await, [made[1].clone()]);
    assert_eq!(of("status=cancelled,pending").await, made);
    assert_eq!(of("status=completed").await, [] as [Value; 0]);
    assert_eq!(of(&format!("template_id={}", Uuid::new_v4())).await, [] as [Value; 0]);
    for wrong in
        ["status=done", "limit=0", "limit=101", "limit=x", "after=x", "template_id=1", "colour=red", "status=pending)"]
    {
        door.refused(door.get(&format!("{JOBS}?{wrong}"), &anna.token), 400, "malformed").await;
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_one_s_job() {
    let door = Door::new().await;
    let (anna, bert) = (door.deployment.person().await, door.deployment.person().await);
    let source = anna.photo().await;
    let wanted = |prompt: &str| json!({ "prompt": prompt, "source_paths": [source] });
    let request = |prompt| door.post(GENERATE, &anna.token).header("idempotency-key", "k,1\"").json(&wanted(prompt));
    // Two at once: one of them makes it.
    let (one, two) = tokio::join!(door.send(request("a cup")), door.send(request("a cup")));
    assert_eq!((one.status, two.status, &one.body["id"]), (202, 202, &two.body["id"]));
    let replayed = [&one, &two].map(|answer| answer.headers.contains_key("idempotency-replayed"));
    assert_eq!(replayed.iter().filter(|replayed| **replayed).count(), 1, "{replayed:?}");
    let third = door.send(request("another")).await;
    assert_eq!((&third.body["id"], &third.body["prompt"]), (&one.body["id"], &json!("a cup")));
    assert_eq!(third.headers["location"], one.headers["location"]);
    assert_eq!(door.send(door.get(JOBS, &anna.token)).await.body["jobs"].as_array().unwrap().len(), 1);

    // The same key of another person is another key.
    let hers = json!({ "prompt": "a cup", "source_paths": [bert.photo().await] });
    let other = door.send(door.post(GENERATE, &bert.token).header("idempotency-key", "k,1\"").json(&hers)).await;
    assert_ne!(other.body["id"], one.body["id"]);
    let long = "x".repeat(201);
    for key in ["", "a b", "é", &long] {
        let request = door.post(GENERATE, &anna.token).header("idempotency-key", key).json(&wanted("a cup"));
        door.refused(request, 400, "malformed").await;
    }
}

#[tokio::test]
async fn a_rule_that_refuses_is_told_by_its_code_and_how_to_mend_it() {
    let door = Door::new().await;
    let (anna, bert) = (door.deployment.person().await, door.deployment.person().await);
    let source = anna.photo().await;
    let foreign = bert.photo().await;
    let refused = async |wanted: Value, status: u16, code: &str| {
        door.refused(door.post(GENERATE, &anna.token).json(&wanted), status, code).await
    };
    let told = refused(json!({ "prompt": "x", "source_paths": [foreign] }), 403, "source_path_foreign").await;
    assert!(told["hint"].as_str().unwrap().contains(&anna.id.to_string()), "{told}");
    refused(json!({ "source_paths": [source] }), 400, "prompt_missing").await;
    refused(json!({ "prompt": "x" }), 400, "sources_missing").await;
    refused(json!({ "prompt": "x", "source_paths": [format!("{}/../x", anna.id)] }), 400, "source_path_invalid").await;
    refused(json!({ "prompt": "x", "source_paths": vec![&source; 17] }), 400, "too_many_sources").await;
    refused(json!({ "prompt": "x", "source_paths": [source], "variants": 11 }), 400, "variants_out_of_range").await;
    refused(json!({ "prompt": "x", "source_paths": [source], "quality": "best" }), 400, "quality_known").await;
    for at in ["soon", "infinity", "2099-12-24", "2099-12-24T18:00:00", "2099-12-24 18:00"] {
        let told =
            refused(json!({ "prompt": "x", "source_paths": [source], "run_at": at }), 400, "value_invalid").await;
        assert!(told["detail"].as_str().unwrap().contains("T18:00:00Z"), "{told}");
    }
    refused(json!({ "prompt": "x\u{0}", "source_paths": [source] }), 400, "value_invalid").await;
    refused(json!({ "template_id": Uuid::new_v4() }), 403, "template_not_found").await;
    for forged in ["status", "user_id", "progress", "idempotency_key", "id"] {
        refused(json!({ "prompt": "x", "source_paths": [source], forged: "x" }), 400, "malformed").await;
    }
    door.deployment
        .project
        .owner
        .batch_execute("update carousel_private.limits set max_active_jobs = 0")
        .await
        .unwrap();
    refused(json!({ "prompt": "x", "source_paths": [source] }), 429, "too_many_active_jobs").await;
}
