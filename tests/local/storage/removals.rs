//! Removing, moving, copying, and the life of a bucket.

use reqwest::Method;
use serde_json::{Value, json};

use super::bench::{BUCKET, Bench, accepted, refused};

#[tokio::test]
async fn removing_answers_only_what_was_removed_and_takes_the_files_along() {
    let bench = Bench::new().await;
    let (a, b, kept) = (bench.ann.source("a.png"), bench.ann.source("b.png"), bench.bob.source("c.png"));
    for name in [&a, &b] {
        accepted(bench.upload(&bench.ann, name, "x").send().await.unwrap()).await;
    }
    accepted(bench.upload(&bench.bob, &kept, "x").send().await.unwrap()).await;
    let remove = |prefixes| {
        let request = bench.request(Method::DELETE, &format!("/object/{BUCKET}"), &bench.ann.token);
        request.json(&json!({ "prefixes": prefixes })).send()
    };
    let removed = accepted(remove(vec![a.clone(), kept.clone(), "nothing.png".to_owned()]).await.unwrap()).await;
    assert_eq!(removed.as_array().unwrap().len(), 1);
    assert_eq!((&removed[0]["name"], &removed[0]["bucket_id"]), (&json!(a), &json!(BUCKET)));
    assert_eq!(removed[0]["user_metadata"], json!({}));
    assert_eq!(refused(remove(Vec::new()).await.unwrap()).await[0], "400", "of none");
    assert_eq!(bench.left().await, (2, 2));

    let one = bench.request(Method::DELETE, &format!("/object/{BUCKET}/{b}"), &bench.ann.token).send().await.unwrap();
    assert_eq!(accepted(one).await["message"], "Successfully deleted");
    assert_eq!(bench.left().await, (1, 1));
    assert_eq!(bench.bytes(&kept).await, b"x");
}

#[tokio::test]
async fn a_moved_object_keeps_its_id_and_bytes_under_its_new_name_alone() {
    let bench = Bench::new().await;
    let (from, to) = (bench.ann.source("a.png"), bench.ann.source("trip/b.png"));
    let id = accepted(bench.upload(&bench.ann, &from, "bytes").send().await.unwrap()).await["Id"].clone();
    let way = |from: &str, to: &str| {
        let way = json!({ "bucketId": BUCKET, "sourceKey": from, "destinationKey": to });
        bench.request(Method::POST, "/object/move", &bench.ann.token).json(&way).send()
    };
    let moved = accepted(way(&from, &to).await.unwrap()).await;
    assert_eq!(moved, json!({ "message": "Successfully moved" }));
    let info = bench.request(Method::GET, &format!("/object/info/{BUCKET}/{to}"), &bench.ann.token);
    assert_eq!(accepted(info.send().await.unwrap()).await["id"], id);
    assert_eq!(bench.bytes(&to).await, b"bytes");
    assert_eq!(bench.left().await, (1, 1));
    assert_eq!(refused(way(&from, &to).await.unwrap()).await[0], "404");

    accepted(bench.upload(&bench.ann, &from, "other").send().await.unwrap()).await;
    let taken: Value = way(&from, &to).await.unwrap().json().await.unwrap();
    assert_eq!((&taken["statusCode"], &taken["code"]), (&json!("409"), &json!("ResourceAlreadyExists")));
    assert_eq!(refused(way(&from, "a~b").await.unwrap()).await[1], "InvalidKey");
}

#[tokio::test]
async fn a_copy_outlives_its_original_and_may_go_to_another_bucket() {
    let bench = Bench::new().await;
    let (from, to) = (bench.ann.source("a.png"), bench.ann.source("b.png"));
    accepted(bench.upload(&bench.ann, &from, "bytes").send().await.unwrap()).await;
    let way = json!({ "bucketId": BUCKET, "sourceKey": from, "destinationKey": to, "destinationBucket": "small" });
    let copy = || bench.request(Method::POST, "/object/copy", &bench.ann.token).json(&way);
    let row = accepted(copy().send().await.unwrap()).await;
    assert_eq!((&row["Key"], &row["Id"]), (&json!(format!("small/{to}")), &row["id"]));
    assert_eq!(
        [&row["bucket_id"], &row["name"], &row["owner_id"]],
        [&json!("small"), &json!(to), &json!(bench.ann.id)]
    );
    assert_eq!((&row["metadata"]["size"], &row["user_metadata"]), (&json!(5), &json!({})));
    let taken: Value = copy().send().await.unwrap().json().await.unwrap();
    assert_eq!((&taken["statusCode"], &taken["code"]), (&json!("409"), &json!("KeyAlreadyExists")));
    assert_eq!(bench.left().await, (2, 2));
    accepted(copy().header("x-upsert", "true").send().await.unwrap()).await;
    assert_eq!(bench.left().await, (2, 2));

    let path = format!("/object/{BUCKET}/{from}");
    accepted(bench.request(Method::DELETE, &path, &bench.ann.token).send().await.unwrap()).await;
    let copied = bench.request(Method::GET, &format!("/object/small/{to}"), &bench.ann.token).send().await.unwrap();
    assert_eq!(
        (copied.headers()["content-type"].clone(), copied.text().await.unwrap()),
        ("image/png".parse().unwrap(), "bytes".to_owned())
    );
}

#[tokio::test]
async fn a_bucket_lives_and_dies_by_the_secret_key() {
    let bench = Bench::new().await;
    let call = |method, path: &str| bench.request(method, path, &bench.secret);
    let wish = json!({ "id": "mine", "name": "mine", "public": true, "file_size_limit": "1KB", "allowed_mime_types": ["image/*"] });
    let made = call(Method::POST, "/bucket").json(&wish).send().await.unwrap();
    assert_eq!(accepted(made).await, json!({ "name": "mine" }));
    let again = call(Method::POST, "/bucket").json(&wish).send().await.unwrap();
    let again: Value = again.json().await.unwrap();
    assert_eq!((&again["statusCode"], &again["code"]), (&json!("409"), &json!("BucketAlreadyExists")));

    let changed = call(Method::PUT, "/bucket/mine").json(&json!({ "public": false, "file_size_limit": null }));
    assert_eq!(accepted(changed.send().await.unwrap()).await["message"], "Successfully updated");
    let bucket = accepted(call(Method::GET, "/bucket/mine").send().await.unwrap()).await;
    assert_eq!((&bucket["public"], &bucket["file_size_limit"]), (&json!(false), &json!(null)));
    assert_eq!(bucket["allowed_mime_types"], json!(["image/*"]));

    let upload = call(Method::POST, "/object/mine/a.png").header("content-type", "image/png").body("x");
    accepted(upload.send().await.unwrap()).await;
    let full = call(Method::DELETE, "/bucket/mine").send().await.unwrap();
    assert_eq!(refused(full).await, ["409", "ResourceNotEmpty", "The bucket you tried to delete is not empty"]);
    accepted(call(Method::POST, "/bucket/mine/empty").send().await.unwrap()).await;
    assert_eq!(bench.left().await, (0, 0));
    accepted(call(Method::DELETE, "/bucket/mine").send().await.unwrap()).await;
    assert_eq!(refused(call(Method::GET, "/bucket/mine").send().await.unwrap()).await[0], "404");
}

#[tokio::test]
async fn a_person_sees_and_makes_no_buckets() {
    let bench = Bench::new().await;
    let call = |method, path: &str| bench.request(method, path, &bench.ann.token);
    assert_eq!(accepted(call(Method::GET, "/bucket").send().await.unwrap()).await, json!([]));
    let made = call(Method::POST, "/bucket").json(&json!({ "name": "mine" })).send().await.unwrap();
    assert_eq!(refused(made).await[0], "403");
    let changed = call(Method::PUT, &format!("/bucket/{BUCKET}")).json(&json!({ "public": true }));
    assert_eq!(refused(changed.send().await.unwrap()).await[0], "404");
    let deleted = call(Method::DELETE, &format!("/bucket/{BUCKET}")).send().await.unwrap();
    assert_eq!(refused(deleted).await[0], "404");
    let emptied = call(Method::POST, &format!("/bucket/{BUCKET}/empty")).send().await.unwrap();
    assert_eq!(refused(emptied).await[0], "404");
}
