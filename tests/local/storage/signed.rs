//! Signed URLs: what they open, for whom, and for how long.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::bench::{BUCKET, Bench, accepted, refused};

async fn sign(bench: &Bench, name: &str) -> String {
    let request = bench.request(Method::POST, &format!("/object/sign/{BUCKET}/{name}"), &bench.ann.token);
    let answer = accepted(request.json(&json!({ "expiresIn": 60 })).send().await.unwrap()).await;
    answer["signedURL"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_signed_url_opens_one_object_without_any_key() {
    let bench = Bench::new().await;
    let (name, other) = (bench.ann.source("a b.png"), bench.ann.source("other.png"));
    accepted(bench.upload(&bench.ann, &name, "bytes").send().await.unwrap()).await;
    accepted(bench.upload(&bench.ann, &other, "other").send().await.unwrap()).await;
    let url = sign(&bench, &name).await;
    assert!(url.starts_with(&format!("/object/sign/{BUCKET}/{name}?token=")), "{url}");

    let get = |url: &str| bench.anonymous(Method::GET, url).send();
    let answer = get(&format!("{url}&download=my+pic.png")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(disposition, "attachment; filename=my%20pic.png; filename*=UTF-8''my%20pic.png;");
    // It may be kept until the address ends, whatever the object itself says.
    assert_eq!(answer.headers().get("cache-control"), None);
    assert!(answer.headers()["expires"].to_str().unwrap().ends_with(" GMT"));
    assert_eq!(answer.text().await.unwrap(), "bytes");

    let elsewhere = get(&url.replace("a b.png", "other.png")).await.unwrap();
    assert_eq!(refused(elsewhere).await, ["400", "InvalidSignature", "Invalid signature"]);
    let mut forged = url.clone();
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    assert_eq!(refused(get(&forged).await.unwrap()).await[1], "InvalidJWT");
    let bare = get(url.split('?').next().unwrap()).await.unwrap();
    assert_eq!(refused(bare).await[2], "querystring must have required property 'token'");
}

#[tokio::test]
async fn a_signed_url_ends() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, "bytes").send().await.unwrap()).await;
    let ended = json!({
        "url": format!("{BUCKET}/{name}"), "iss": bench.keys.issuer, "aud": "authenticated", "exp": 1_700_000_000
    });
    let token = bench.keys.sign(&ended).unwrap();
    let answer = bench.anonymous(Method::GET, &format!("/object/sign/{BUCKET}/{name}?token={token}")).send().await;
    let expected = ["400", "InvalidJWT", "\"exp\" claim timestamp check failed"];
    assert_eq!(refused(answer.unwrap()).await, expected);
}

#[tokio::test]
async fn of_many_paths_those_one_may_see_are_signed() {
    let bench = Bench::new().await;
    let (mine, theirs) = (bench.ann.source("a.png"), bench.bob.source("b.png"));
    accepted(bench.upload(&bench.ann, &mine, "x").send().await.unwrap()).await;
    accepted(bench.upload(&bench.bob, &theirs, "x").send().await.unwrap()).await;
    let request = bench.request(Method::POST, &format!("/object/sign/{BUCKET}"), &bench.ann.token);
    let request = request.json(&json!({ "expiresIn": 60, "paths": [theirs, mine] }));
    let answer = accepted(request.send().await.unwrap()).await;
    let refusal = "Either the object does not exist or you do not have access to it";
    assert_eq!(answer[0], json!({ "error": refusal, "path": theirs, "signedURL": null }));
    assert_eq!((&answer[1]["error"], &answer[1]["path"]), (&Value::Null, &json!(mine)));
    let opened = bench.anonymous(Method::GET, answer[1]["signedURL"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(opened.text().await.unwrap(), "x");
}

#[tokio::test]
async fn one_to_a_thousand_paths_are_signed_at_once_for_a_second_or_more() {
    let bench = Bench::new().await;
    let sign = |seconds: i64, paths: usize| {
        let paths: Vec<_> = (0..paths).map(|number| bench.ann.source(&format!("{number}.png"))).collect();
        let request = bench.request(Method::POST, &format!("/object/sign/{BUCKET}"), &bench.ann.token);
        request.json(&json!({ "expiresIn": seconds, "paths": paths })).send()
    };
    for (seconds, paths) in [(60, 0), (60, 1001), (0, 1), (-1, 1)] {
        assert_eq!(refused(sign(seconds, paths).await.unwrap()).await[0], "400", "{seconds} s, {paths} paths");
    }
    let signed = accepted(sign(1, 1000).await.unwrap()).await;
    assert_eq!(signed.as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn an_upload_url_lets_another_write_one_object_in_the_signers_name() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    let request = bench.request(Method::POST, &format!("/object/upload/sign/{BUCKET}/{name}"), &bench.ann.token);
    let answer = accepted(request.json(&json!({})).send().await.unwrap()).await;
    let url = answer["url"].as_str().unwrap();
    assert!(url.ends_with(answer["token"].as_str().unwrap()), "{answer}");
    let put = |url: &str, kind: &str| {
        let request = bench.anonymous(Method::PUT, url).header("content-type", kind.to_owned());
        request.body("bytes").send()
    };
    assert_eq!(refused(put(url, "image/gif").await.unwrap()).await[0], "415");
    assert_eq!(accepted(put(url, "image/png").await.unwrap()).await, json!({ "Key": format!("{BUCKET}/{name}") }));
    assert_eq!(bench.bytes(&name).await, b"bytes");
    let owner = bench.admin.query_one("select owner_id from storage.objects", &[]).await.unwrap();
    assert_eq!(owner.get::<_, String>(0), bench.ann.id);
    assert_eq!(refused(put(url, "image/png").await.unwrap()).await[0], "409", "it replaces nothing");

    let elsewhere = url.replace("a.png", "b.png");
    assert_eq!(refused(put(&elsewhere, "image/png").await.unwrap()).await[1], "InvalidSignature");
}

#[tokio::test]
async fn a_url_for_reading_does_not_write_nor_the_other_way_round() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, "bytes").send().await.unwrap()).await;
    let reading = sign(&bench, &name).await.replace("/object/sign/", "/object/upload/sign/");
    let write = bench.anonymous(Method::PUT, &reading).header("content-type", "image/png").body("forged");
    assert_eq!(refused(write.send().await.unwrap()).await[1], "InvalidSignature");

    let request = bench.request(Method::POST, &format!("/object/upload/sign/{BUCKET}/{name}"), &bench.ann.token);
    let answer = accepted(request.header("x-upsert", "true").send().await.unwrap()).await;
    let writing = answer["url"].as_str().unwrap().replace("/object/upload/sign/", "/object/sign/");
    let read = bench.anonymous(Method::GET, &writing).send().await.unwrap();
    assert_eq!(refused(read).await[1], "InvalidSignature");
    assert_eq!(bench.bytes(&name).await, b"bytes");
}
