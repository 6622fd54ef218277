use super::*;
use crate::supabase::BadFile;

#[tokio::test]
async fn a_download_is_the_object_byte_for_byte() {
    let wire = Wire::bind().await;
    let storage = storage(settings(&wire));
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("source");
    let object = noise(2_000_003);
    let (result, request) = tokio::join!(
        storage.download("u-1/sources/a b&c.png", &into, 2_000_003),
        wire.answer(answer("200 OK", "content-type: image/png\r\n", &object))
    );
    assert_eq!(result.unwrap(), 2_000_003);
    assert!(std::fs::read(&into).unwrap() == object);

    let line = "GET /storage/v1/object/authenticated/generated-carousels/u-1/sources/a%20b&c.png HTTP/1.1\r\n";
    assert!(request.head.starts_with(line), "{}", request.head);
    assert_eq!(request.header("apikey"), Some(KEY));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("user-agent"), Some(concat!("carousel/", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_download_stops_at_its_limit_whatever_length_is_stated() {
    let wire = Wire::bind().await;
    let storage = storage(settings(&wire));
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("source");
    let stated = "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n";
    let unstated = [b"HTTP/1.1 200 OK\r\n\r\n", &noise(1001)[..]].concat();
    for head in [stated.as_bytes(), &unstated] {
        let server = async {
            let mut line = wire.accept().await;
            line.request().await;
            line.send(head).await;
            line.closed().await;
        };
        let (result, ()) = tokio::join!(storage.download("u/a", &into, 1000), server);
        assert!(matches!(result, Err(Error::BadFile(BadFile::TooLarge { .. }))), "{result:?}");
    }
    assert!(std::fs::metadata(&into).unwrap().len() <= 1000);
}

#[tokio::test]
async fn a_download_that_breaks_off_or_falls_silent_is_an_error() {
    let wire = Wire::bind().await;
    let mut settings = settings(&wire);
    settings.silence_timeout = SHORT;
    let storage = storage(settings);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("source");
    for silent in [false, true] {
        let server = async {
            let mut line = wire.accept().await;
            line.request().await;
            line.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc").await;
            if silent {
                line.closed().await;
            }
        };
        let (result, ()) = tokio::join!(storage.download("u/a", &into, 1000), server);
        let expected = if silent {
            matches!(result, Err(Error::Timeout { .. }))
        } else {
            matches!(result, Err(Error::Reset { .. }))
        };
        assert!(expected, "silent: {silent}: {result:?}");
    }
}

#[tokio::test]
async fn a_refused_download_makes_no_file() {
    let wire = Wire::bind().await;
    let storage = storage(settings(&wire));
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("source");
    for (error, message, expected) in [
        ("not_found", "Object not found", "Err(NotFound"),
        ("Bucket not found", "Bucket not found", "Err(NoBucket"),
        ("Not Found", "Route GET:/ not found", "Err(NotUnderstood"),
    ] {
        let (result, _) =
            tokio::join!(storage.download("u/a", &into, 1000), wire.answer(refusal("404", error, message)));
        assert!(format!("{result:?}").starts_with(expected), "{expected}: {result:?}");
        assert!(!into.exists());
    }
    let result = storage.download("u/../v/a", &into, 1000).await;
    assert!(matches!(result, Err(Error::BadFile(BadFile::InvalidPath { .. }))), "{result:?}");
}

#[tokio::test]
async fn an_upload_is_the_bytes_with_their_length() {
    let wire = Wire::bind().await;
    let storage = storage(settings(&wire));
    let object = noise(3_000_001);
    let forever = "max-age=31536000, immutable";
    let (result, request) = tokio::join!(
        storage.upload("u/jobs/1/1-1-4x5-ab.webp", "image/webp", object.clone(), forever),
        wire.answer(answer("200 OK", JSON, STORED))
    );
    result.unwrap();
    let line = "POST /storage/v1/object/generated-carousels/u/jobs/1/1-1-4x5-ab.webp HTTP/1.1\r\n";
    assert!(request.head.starts_with(line), "{}", request.head);
    for (name, value) in [
        ("content-length", "3000001"),
        ("content-type", "image/webp"),
        ("cache-control", forever),
        ("x-upsert", "true"),
        ("apikey", KEY),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert_eq!(request.header("transfer-encoding"), None);
    assert!(request.body == object);
}

#[tokio::test]
async fn a_connection_that_refused_an_upload_is_never_used_again() {
    let wire = Wire::bind().await;
    let storage = storage(settings(&wire));
    // The smaller one fits into the system's buffers, so that the client believes it sent; the larger one gets stuck.
    for size in [100_000, 40_000_000] {
        let object = noise(size);
        let server = async {
            let mut line = wire.accept().await;
            line.head().await;
            line.send(refusal("413", "Payload too large", "The object exceeded the maximum allowed size")).await;
            line
        };
        let (result, refused) = tokio::join!(storage.upload("u/a", "image/png", object.clone(), "no-store"), server);
        assert!(matches!(result, Err(Error::BadFile(BadFile::TooLarge { .. }))), "{size}: {result:?}");

        let small = || storage.upload("u/a", "image/png", noise(1_000), "no-store");
        let stored = answer("200 OK", JSON, STORED);
        let server = async {
            let mut line = wire.accept().await;
            line.request().await;
            line.send(&stored).await;
            line
        };
        let (result, mut good) = tokio::join!(small(), server);
        result.unwrap();
        refused.closed().await;

        let server = async {
            good.request().await;
            good.send(&stored).await;
            // The next round begins with a new connection.
            drop(good);
        };
        let (result, ()) = tokio::join!(small(), server);
        result.unwrap();
    }
}

#[tokio::test]
async fn an_upload_that_nobody_confirms_is_an_error() {
    let wire = Wire::bind().await;
    let storage = storage(settings(&wire));
    let cases = [
        (answer("200 OK", "", "<html>sign in</html>"), "NotUnderstood"),
        (answer("502 Bad Gateway", "", "<html>bad gateway</html>"), "Unavailable"),
        (refusal("403", "Unauthorized", "new row violates row-level security policy"), "Denied"),
        (refusal("415", "invalid_mime_type", "mime type text/html is not supported"), "BadFile(UnsupportedType"),
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 100\r\n\r\ncut".to_vec(), "Unavailable"),
        (Vec::new(), "Reset"),
    ];
    for (answer, expected) in cases {
        let (result, _) = tokio::join!(storage.upload("u/a", "image/png", noise(10), "no-store"), wire.answer(answer));
        let error = result.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{expected}: {error:?}");
        assert!(!format!("{error} {error:?}").contains(KEY));
    }
}
