//! Downloads and listings: parts, headers, public buckets, folders.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::bench::{BUCKET, Bench, accepted, refused};

#[tokio::test]
async fn a_range_is_answered_with_that_part_or_refused() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, "0123456789").send().await.unwrap()).await;
    let get = |range: &str| {
        bench.request(Method::GET, &format!("/object/{BUCKET}/{name}"), &bench.ann.token).header("range", range)
    };
    for (range, content_range, part) in
        [("bytes=2-4", "bytes 2-4/10", "234"), ("bytes=7-", "bytes 7-9/10", "789"), ("bytes=-2", "bytes 8-9/10", "89")]
    {
        let answer = get(range).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.headers()["content-range"], content_range);
        assert_eq!(answer.content_length(), Some(part.len() as u64));
        assert_eq!(answer.text().await.unwrap(), part);
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=5-2", "bytes=0-1,3-4", "bytes=a-b", "lines=0-1", "all"] {
        let answer = get(range).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["statusCode"], &body["error"]), (&json!("416"), &json!("invalid_range")), "{range}");
    }
}

#[tokio::test]
async fn headers_tell_what_the_row_knows_and_an_etag_saves_the_bytes() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    let upload = bench.upload(&bench.ann, &name, "0123456789").header("cache-control", "max-age=31536000");
    accepted(upload.send().await.unwrap()).await;
    let request = |method| bench.request(method, &format!("/object/{BUCKET}/{name}"), &bench.ann.token);

    let head = request(Method::HEAD).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()["content-type"], "image/png");
    assert_eq!(head.headers()["content-length"], "10");
    assert_eq!(head.headers()["cache-control"], "max-age=31536000");
    assert_eq!(head.headers()["accept-ranges"], "bytes");
    let etag = head.headers()["etag"].clone();

    let same = request(Method::GET).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((same.status(), same.bytes().await.unwrap().len()), (StatusCode::NOT_MODIFIED, 0));
    let modified = head.headers()["last-modified"].to_str().unwrap().to_owned();
    for (name, value, status) in [
        ("if-none-match", "*", StatusCode::OK),
        ("if-none-match", "\"another\"", StatusCode::OK),
        ("if-modified-since", modified.as_str(), StatusCode::NOT_MODIFIED),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", StatusCode::NOT_MODIFIED),
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", StatusCode::OK),
        ("if-modified-since", "yesterday", StatusCode::OK),
    ] {
        let answer = request(Method::GET).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {value}");
    }
    let upsert = bench.upload(&bench.ann, &name, "9876543210").header("x-upsert", "true");
    accepted(upsert.send().await.unwrap()).await;
    let other = request(Method::GET).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((other.status(), other.text().await.unwrap().as_str()), (StatusCode::OK, "9876543210"));
}

#[tokio::test]
async fn only_a_public_bucket_serves_strangers() {
    let bench = Bench::new().await;
    let page = bench.request(Method::POST, "/object/open/a/page.html", &bench.secret);
    accepted(page.header("content-type", "text/html").body("<b>").send().await.unwrap()).await;
    for path in ["/object/public/open/a/page.html", "/object/open/a/page.html"] {
        let page = bench.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(page.headers()["content-type"], "text/plain", "a stored page must not run");
        assert_eq!(page.text().await.unwrap(), "<b>");
    }
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, "x").send().await.unwrap()).await;
    for path in ["/object/public", "/object/info/public", "/object"] {
        let private = bench.anonymous(Method::GET, &format!("{path}/{BUCKET}/{name}")).send().await.unwrap();
        assert_eq!(refused(private).await, ["404", "Bucket not found", "Bucket not found"], "{path}");
    }
}

#[tokio::test]
async fn a_listing_shows_one_level_page_by_page() {
    let bench = Bench::new().await;
    for name in ["b.png", "C.png", "a.png", "trip/1.png", "trip/2.png"] {
        accepted(bench.upload(&bench.ann, &bench.ann.source(name), "x").send().await.unwrap()).await;
    }
    let list = |folder: &str, wish: Value| {
        let mut body = wish;
        body["prefix"] = json!(format!("{}/{folder}", bench.ann.id));
        bench.request(Method::POST, &format!("/object/list/{BUCKET}"), &bench.ann.token).json(&body).send()
    };
    let names = |rows: &Value| -> Vec<String> {
        rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };

    let all = accepted(list("sources", json!({})).await.unwrap()).await;
    assert_eq!(names(&all), ["a.png", "b.png", "C.png", "trip"]);
    assert_eq!(all[3]["id"], Value::Null);
    assert_eq!(all[3]["metadata"], Value::Null);
    assert_eq!(all[0]["metadata"]["size"], 1);
    let page = json!({ "limit": 2, "offset": 1, "sortBy": { "column": "name", "order": "desc" } });
    assert_eq!(names(&accepted(list("sources/", page).await.unwrap()).await), ["C.png", "b.png"]);
    let newest = json!({ "sortBy": { "column": "created_at", "order": "desc" } });
    assert_eq!(names(&accepted(list("sources", newest).await.unwrap()).await), ["trip", "a.png", "C.png", "b.png"]);
    let found = accepted(list("sources", json!({ "search": "TR" })).await.unwrap()).await;
    assert_eq!(names(&found), ["trip"]);
    assert_eq!(names(&accepted(list("sources/trip", json!({})).await.unwrap()).await), ["1.png", "2.png"]);
    assert_eq!(names(&accepted(list("", json!({})).await.unwrap()).await), ["sources"]);

    accepted(bench.upload(&bench.ann, &bench.ann.source("trip/home/3.png"), "x").send().await.unwrap()).await;
    for (search, found) in [
        ("trip/1", vec!["trip/1.png"]),
        ("trip/h", vec!["trip/home"]),
        ("TRIP/", vec!["trip/1.png", "trip/2.png", "trip/home"]),
    ] {
        assert_eq!(
            names(&accepted(list("sources", json!({ "search": search })).await.unwrap()).await),
            found,
            "{search}"
        );
    }

    let sorted = json!({ "sortBy": { "column": "version" } });
    for wrong in [sorted, json!({ "limit": 0 }), json!({ "limit": -1 }), json!({ "offset": -1 })] {
        assert_eq!(refused(list("sources", wrong.clone()).await.unwrap()).await[0], "400", "{wrong}");
    }
}

#[tokio::test]
async fn an_unknown_route_is_404_and_says_which() {
    let bench = Bench::new().await;
    let answer = bench.request(Method::GET, "/objects", &bench.ann.token).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["message"], "Route GET:/objects not found");
}

#[tokio::test]
async fn what_only_the_real_server_has_is_said_to_be_not_here() {
    let bench = Bench::new().await;
    for (method, path) in [
        (Method::POST, "/upload/resumable"),
        (Method::PATCH, "/upload/resumable/sign/abc"),
        (Method::PUT, "/s3/bucket/key"),
        (Method::GET, "/render/image/authenticated/bucket/a.png"),
        (Method::POST, "/object/list-v2/bucket"),
    ] {
        let answer = bench.request(method, path, &bench.ann.token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED, "{path}");
        let message = answer.json::<Value>().await.unwrap()["message"].to_string();
        assert!(message.contains("not here"), "{path}: {message}");
    }
}

#[tokio::test]
async fn info_tells_in_its_headers_what_it_tells_in_its_body() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, "0123456789").header("cache-control", "max-age=7").send().await.unwrap())
        .await;
    let info =
        bench.request(Method::GET, &format!("/object/info/{BUCKET}/{name}"), &bench.ann.token).send().await.unwrap();
    let headers = info.headers().clone();
    let body: Value = info.json().await.unwrap();
    assert_eq!(headers["cache-control"], "max-age=7");
    assert_eq!(headers["etag"].to_str().unwrap(), body["etag"]);
    assert!(headers.contains_key("last-modified"));
    assert_eq!((&body["size"], &body["metadata"]), (&json!(10), &json!({})));
}
