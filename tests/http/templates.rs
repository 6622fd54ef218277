use reqwest::Method;
use serde_json::{Value, json};

use crate::door::{Door, GENERATE, TEMPLATES};

#[tokio::test]
async fn a_template_is_made_found_changed_used_and_deleted() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let source = anna.photo().await;
    let parts =
        json!({ "name": "Spring 50%", "source_paths": [source], "prompt": "a cup", "tags": ["sale"], "variants": 2 });
    let made = door.send(door.post(TEMPLATES, &anna.token).json(&parts)).await;
    assert_eq!((made.status, &made.body["variants"]), (201, &json!(2)));
    let place = made.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(door.send(door.get(&place, &anna.token)).await.body, made.body);

    let found = async |query: &str| {
        let page = door.send(door.get(&format!("{TEMPLATES}?{query}"), &anna.token)).await.body;
        page["templates"].as_array().unwrap().len()
    };
    assert_eq!(found("search=50%25").await, 1);
    assert_eq!(found("search=summer").await, 0);
    assert_eq!(found("tag=sale&favorite=false").await, 1);
    assert_eq!(found("favorite=true").await, 0);
    let change = |change: Value| door.request(Method::PATCH, &place).bearer_auth(&anna.token).json(&change);
    let changed = door.send(change(json!({ "name": "Summer", "is_favorite": true }))).await;
    assert_eq!(
        (changed.status, &changed.body["name"], &changed.body["prompt"]),
        (200, &json!("Summer"), &json!("a cup"))
    );
    assert_eq!(door.send(change(json!({}))).await.body, changed.body);
    assert_eq!(found("favorite=true&search=summer").await, 1);

    let used =
        door.send(door.post(&format!("{place}/use"), &anna.token).json(&json!({ "aspect_ratios": ["9:16"] }))).await;
    assert_eq!((used.status, &used.body["template_id"]), (202, &made.body["id"]));
    assert_eq!((&used.body["prompt"], &used.body["total_images"]), (&json!("a cup"), &json!(2)));
    let request = door.post(&format!("{place}/use"), &anna.token).header("idempotency-key", "k").json(&json!({}));
    let (one, two) = (door.send(request.try_clone().unwrap()).await, door.send(request).await);
    assert_eq!(one.body["id"], two.body["id"]);
    assert_eq!(door.send(door.get(&place, &anna.token)).await.body["use_count"], 2);

    let gone = door.send(door.request(Method::DELETE, &place).bearer_auth(&anna.token)).await;
    assert_eq!(gone.status, 204);
    door.refused(door.get(&place, &anna.token), 404, "not_found").await;
}

#[tokio::test]
async fn variables_are_filled_in_and_one_without_a_value_is_refused() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let parts = json!({
        "name": "x", "source_paths": [anna.photo().await], "prompt": "a {{product}} on {{ground}}", "variables": { "ground": "wood" },
    });
    let made = door.send(door.post(TEMPLATES, &anna.token).json(&parts)).await;
    let place = format!("{}/use", made.headers["location"].to_str().unwrap());
    let refused = door.refused(door.post(&place, &anna.token).json(&json!({})), 400, "variable_missing").await;
    assert!(refused["detail"].as_str().unwrap().contains("product"), "{refused}");
    let used = door.send(door.post(&place, &anna.token).json(&json!({ "variables": { "product": "cup" } }))).await;
    assert_eq!((&used.body["prompt"], &used.body["template_version"]), (&json!("a cup on wood"), &json!(1)));
    assert_eq!(used.body["variables"], json!({ "product": "cup", "ground": "wood" }));
    for wrong in [json!({ "product": 1 }), json!(["cup"])] {
        door.refused(door.post(&place, &anna.token).json(&json!({ "variables": wrong })), 400, "malformed").await;
    }
}

#[tokio::test]
async fn a_template_that_can_not_be_is_refused_by_its_code() {
    let door = Door::new().await;
    let (anna, bert) = (door.deployment.person().await, door.deployment.person().await);
    let source = anna.photo().await;
    let refused = async |parts: Value, status: u16, code: &str| {
        door.refused(door.post(TEMPLATES, &anna.token).json(&parts), status, code).await;
    };
    refused(json!({ "name": "x" }), 400, "malformed").await;
    refused(json!({ "source_paths": [source] }), 400, "malformed").await;
    refused(json!({ "name": " ", "source_paths": [source] }), 400, "name_1_to_200_characters").await;
    refused(json!({ "name": "x", "source_paths": [bert.photo().await] }), 403, "source_path_foreign").await;
    refused(json!({ "name": "x", "source_paths": [source], "use_count": 9 }), 400, "malformed").await;
    refused(json!({ "name": "x", "source_paths": [source], "aspect_ratios": ["2:1"] }), 400, "malformed").await;

    let made =
        door.send(door.post(TEMPLATES, &anna.token).json(&json!({ "name": "x", "source_paths": [source] }))).await;
    let place = made.headers["location"].to_str().unwrap();
    let theirs = door.request(Method::PATCH, place).bearer_auth(&bert.token).json(&json!({ "name": "y" }));
    door.refused(theirs, 404, "not_found").await;
    let other = json!({ "template_id": uuid::Uuid::new_v4() });
    door.refused(door.post(&format!("{place}/use"), &anna.token).json(&other), 400, "malformed").await;
    // Through the other endpoint it is refused as the database does it.
    let stolen = json!({ "template_id": made.body["id"] });
    door.refused(door.post(GENERATE, &bert.token).json(&stolen), 403, "template_not_found").await;
}
