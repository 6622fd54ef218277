//! Policies: the database decides, and the answers say so as the real server does.

use carousel_local::postgres::ADMIN;
use reqwest::Method;
use serde_json::{Value, json};

use super::bench::{BUCKET, Bench, accepted, refused};

const FORBIDDEN: [&str; 3] = ["403", "Unauthorized", "new row violates row-level security policy"];
const NOT_FOUND: [&str; 3] = ["404", "not_found", "Object not found"];

#[tokio::test]
async fn the_folder_of_another_is_closed_for_every_verb() {
    let bench = Bench::new().await;
    let theirs = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &theirs, "hers").send().await.unwrap()).await;
    let bob = |method, path: &str| bench.request(method, path, &bench.bob.token);

    let upload = bench.upload(&bench.bob, &bench.ann.source("new.png"), "his").send().await.unwrap();
    assert_eq!(refused(upload).await, FORBIDDEN);
    let upsert = bench.upload(&bench.bob, &theirs, "his").header("x-upsert", "true").send().await.unwrap();
    assert_eq!(refused(upsert).await, FORBIDDEN);
    let sign_upload = bob(Method::POST, &format!("/object/upload/sign/{BUCKET}/{theirs}")).send().await.unwrap();
    assert_eq!(refused(sign_upload).await, FORBIDDEN);

    for path in ["/object", "/object/authenticated", "/object/info"] {
        let read = bob(Method::GET, &format!("{path}/{BUCKET}/{theirs}")).send().await.unwrap();
        assert_eq!(refused(read).await, NOT_FOUND, "{path}");
    }
    let sign = bob(Method::POST, &format!("/object/sign/{BUCKET}/{theirs}")).json(&json!({ "expiresIn": 60 }));
    assert_eq!(refused(sign.send().await.unwrap()).await, NOT_FOUND);
    let delete = bob(Method::DELETE, &format!("/object/{BUCKET}/{theirs}")).send().await.unwrap();
    assert_eq!(refused(delete).await[..2], ["403", "Unauthorized"]);
    let delete = bob(Method::DELETE, &format!("/object/{BUCKET}/{theirs}x")).send().await.unwrap();
    assert_eq!(refused(delete).await, NOT_FOUND);
    let mine = bench.bob.source("taken.png");
    for verb in ["move", "copy"] {
        let way = json!({ "bucketId": BUCKET, "sourceKey": theirs, "destinationKey": mine });
        let take = bob(Method::POST, &format!("/object/{verb}")).json(&way).send().await.unwrap();
        assert_eq!(refused(take).await, NOT_FOUND, "{verb}");
    }
    let list = bob(Method::POST, &format!("/object/list/{BUCKET}")).json(&json!({ "prefix": "" }));
    assert_eq!(accepted(list.send().await.unwrap()).await, json!([]));
    let remove = bob(Method::DELETE, &format!("/object/{BUCKET}")).json(&json!({ "prefixes": [theirs] }));
    assert_eq!(accepted(remove.send().await.unwrap()).await, json!([]));

    assert_eq!(bench.bytes(&theirs).await, b"hers");
    assert_eq!(bench.left().await, (1, 1));
}

#[tokio::test]
async fn a_person_reads_what_was_generated_and_cannot_write_there() {
    let bench = Bench::new().await;
    let generated = format!("{}/jobs/1/1-1-4x5-abc.png", bench.ann.id);
    let path = format!("/object/{BUCKET}/{generated}");
    assert_eq!(refused(bench.upload(&bench.ann, &generated, "forged").send().await.unwrap()).await, FORBIDDEN);

    let worker = bench.request(Method::POST, &path, &bench.secret).header("content-type", "image/png").body("made");
    accepted(worker.send().await.unwrap()).await;
    let read = bench.request(Method::GET, &path, &bench.ann.token).send().await.unwrap();
    assert_eq!(read.bytes().await.unwrap(), "made");

    let remove = bench.request(Method::DELETE, &format!("/object/{BUCKET}"), &bench.ann.token);
    let remove = remove.json(&json!({ "prefixes": [generated] })).send().await.unwrap();
    assert_eq!(accepted(remove).await, json!([]));
    let source = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &source, "x").send().await.unwrap()).await;
    for verb in ["move", "copy"] {
        let forged = format!("{}/jobs/{verb}.png", bench.ann.id);
        let way = json!({ "bucketId": BUCKET, "sourceKey": source, "destinationKey": forged });
        let answer = bench.request(Method::POST, &format!("/object/{verb}"), &bench.ann.token).json(&way);
        assert_eq!(refused(answer.send().await.unwrap()).await, FORBIDDEN, "{verb}");
    }
    assert_eq!(bench.left().await, (2, 2));
}

#[tokio::test]
async fn an_insert_policy_is_enough_to_add_but_not_to_replace_or_to_look() {
    let bench = Bench::new().await;
    let upload = |name: &str| bench.request(Method::POST, &format!("/object/blind/{name}"), &bench.ann.token).body("x");
    accepted(upload("a.txt").send().await.unwrap()).await;
    assert_eq!(refused(upload("b.txt").header("x-upsert", "true").send().await.unwrap()).await, FORBIDDEN);
    let read = bench.request(Method::GET, "/object/blind/a.txt", &bench.ann.token).send().await.unwrap();
    assert_eq!(refused(read).await, NOT_FOUND);
}

#[tokio::test]
async fn who_is_not_signed_in_can_neither_write_nor_read() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, "x").send().await.unwrap()).await;
    let path = format!("/object/{BUCKET}/{name}");

    let anon = bench.request(Method::POST, &path, &bench.publishable).header("content-type", "image/png").body("x");
    assert_eq!(refused(anon.send().await.unwrap()).await, FORBIDDEN);
    let anon = bench.request(Method::GET, &path, &bench.publishable).send().await.unwrap();
    assert_eq!(refused(anon).await, NOT_FOUND);

    let nobody = bench.anonymous(Method::POST, &path).body("x").send().await.unwrap();
    assert_eq!(refused(nobody).await, ["400", "Error", "headers must have required property 'authorization'"]);
    let nobody = bench.anonymous(Method::GET, &path).send().await.unwrap();
    assert_eq!(refused(nobody).await, ["404", "Bucket not found", "Bucket not found"]);
}

/// Tokens and keys that are worth nothing, each with what Storage says of it.
fn worthless(bench: &Bench) -> Vec<(String, &'static str)> {
    let claims = |exp: u64| json!({ "iss": bench.keys.issuer, "aud": "authenticated", "role": "service_role", "sub": bench.ann.id, "exp": exp });
    let ended = bench.keys.sign(&claims(1_000_000)).unwrap();
    let mut forged = bench.keys.sign(&claims(4_000_000_000)).unwrap();
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    vec![
        (ended, "\"exp\" claim timestamp check failed"),
        (forged, "signature verification failed"),
        ("sb_secret_of_last_year".to_owned(), "Invalid Compact JWS"),
        ("rubbish".to_owned(), "Invalid Compact JWS"),
    ]
}

#[tokio::test]
async fn a_worthless_token_is_nobodys_on_the_open_paths_and_refused_on_all_others() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, "x").send().await.unwrap()).await;
    for (token, reason) in worthless(&bench) {
        let call = |method, path: &str| {
            let apikey = if token.starts_with("sb_") { &token } else { &bench.publishable };
            bench.anonymous(method, path).header("apikey", apikey).bearer_auth(&token)
        };
        for open in ["/object", "/object/info"] {
            let answer = call(Method::GET, &format!("{open}/{BUCKET}/{name}")).send().await.unwrap();
            let body: Value = answer.json().await.unwrap();
            assert_eq!(
                (&body["statusCode"], &body["code"]),
                (&json!("404"), &json!("NoSuchBucket")),
                "{open} {reason}"
            );
        }
        let refusal = ["403", "Unauthorized", reason];
        for closed in ["/object/authenticated", "/object/info/authenticated"] {
            let answer = call(Method::GET, &format!("{closed}/{BUCKET}/{name}")).send().await.unwrap();
            assert_eq!(refused(answer).await, refusal, "{closed}");
        }
        let upload = call(Method::POST, &format!("/object/{BUCKET}/{name}")).body("y").send().await.unwrap();
        assert_eq!(refused(upload).await, refusal);
        let remove = call(Method::DELETE, &format!("/object/{BUCKET}")).json(&json!({ "prefixes": [name] }));
        assert_eq!(refused(remove.send().await.unwrap()).await, refusal);
    }
    assert_eq!(bench.bytes(&name).await, b"x");
    let missing = bench.ann.source("b.png");
    let answer = bench.request(Method::GET, &format!("/object/authenticated/{BUCKET}/{missing}"), &bench.secret);
    let body: Value = answer.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["code"], "NoSuchKey");
}

#[tokio::test]
async fn a_token_is_taken_without_its_word_and_a_key_only_where_keys_stand() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, "x").send().await.unwrap()).await;
    let get = || bench.anonymous(Method::GET, &format!("/object/authenticated/{BUCKET}/{name}"));
    for authorization in [bench.ann.token.clone(), format!("bearer {}", bench.ann.token)] {
        let answer = get().header("authorization", authorization).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(get().header("apikey", &bench.secret).send().await.unwrap().status(), 200);
    let unread = ["403", "Unauthorized", "Invalid Compact JWS"];
    assert_eq!(refused(get().bearer_auth(&bench.secret).send().await.unwrap()).await, unread);
    let none = ["400", "Error", "headers must have required property 'authorization'"];
    assert_eq!(refused(get().send().await.unwrap()).await, none);
}

#[tokio::test]
async fn sql_deletes_no_object_and_no_bucket() {
    let bench = Bench::new().await;
    accepted(bench.upload(&bench.ann, &bench.ann.source("a.png"), "x").send().await.unwrap()).await;
    for statement in [
        "delete from storage.objects",
        "delete from storage.buckets",
        "set role service_role; delete from storage.objects",
    ] {
        let error = bench.admin.batch_execute(statement).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{statement}");
        bench.admin.batch_execute("reset role").await.unwrap();
    }
    let allowed = "begin; set local storage.allow_delete_query = 'true'; delete from storage.objects; rollback";
    bench.admin.batch_execute(allowed).await.unwrap();
    assert_eq!(bench.left().await, (1, 1));
    assert_eq!(ADMIN, bench.admin.query_one("select current_user::text", &[]).await.unwrap().get::<_, String>(0));
}

#[tokio::test]
async fn the_functions_for_policies_take_a_name_apart_as_the_real_ones_do() {
    let bench = Bench::new().await;
    let admin = &bench.admin;
    let parts = |name: &'static str| async move {
        let sql = "select jsonb_build_array(storage.foldername($1), storage.filename($1), storage.extension($1))";
        admin.query_one(sql, &[&name]).await.unwrap().get::<_, Value>(0)
    };
    assert_eq!(parts("a/b/c.tar.gz").await, json!([["a", "b"], "c.tar.gz", "gz"]));
    assert_eq!(parts("c.png").await, json!([[], "c.png", "png"]));
    assert_eq!(parts("a/c").await, json!([["a"], "c", "c"]));
    assert_eq!(parts("a/").await, json!([["a"], "", ""]));
}
