//! Storage against servers that speak HTTP by hand.

mod transfers;

#[expect(dead_code, reason = "the provider's tests need more of it")]
#[allow(clippy::duplicate_mod, reason = "a hand may not use another one's modules")]
#[path = "../../../provider/tests/wire.rs"]
mod wire;

use bytes::Bytes;
use wire::{Wire, answer};

use super::*;

const KEY: &str = "sb_secret_0123456789";
/// A patience that no test outlives.
const LONG: Duration = Duration::from_secs(60);
/// A patience that tests wait for.
const SHORT: Duration = Duration::from_millis(150);
const JSON: &str = "content-type: application/json\r\n";
const STORED: &str = r#"{"Key":"generated-carousels/u/a.png","Id":"1"}"#;

fn settings(wire: &Wire) -> Settings {
    Settings {
        url: wire.url("/"),
        certificates: Vec::new(),
        secret_key: KEY.into(),
        bucket: "generated-carousels".into(),
        connect_timeout: SHORT,
        silence_timeout: LONG,
        total_timeout: LONG,
    }
}

fn storage(settings: Settings) -> Storage {
    Storage::new(settings).expect("the settings are usable")
}

fn refusal(code: &str, word: &str, message: &str) -> Vec<u8> {
    let body = format!(r#"{{"statusCode":"{code}","error":"{word}","message":"{message}"}}"#);
    answer("400 Bad Request", JSON, body)
}

fn noise(length: usize) -> Bytes {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn removing_tells_what_was_there() {
    let wire = Wire::bind().await;
    let storage = storage(settings(&wire));
    assert_eq!(storage.remove(&[]).await.unwrap(), Vec::<String>::new());
    let paths = ["u/a.png".to_owned(), "u/b?.png".to_owned()];
    let (result, request) =
        tokio::join!(storage.remove(&paths), wire.answer(answer("200 OK", JSON, r#"[{"name":"u/a.png","id":"1"}]"#)));
    assert_eq!(result.unwrap(), ["u/a.png"]);
    assert!(request.head.starts_with("DELETE /storage/v1/object/generated-carousels HTTP/1.1\r\n"));
    assert_eq!(request.body, br#"{"prefixes":["u/a.png","u/b?.png"]}"#);
}

#[tokio::test]
async fn a_check_names_what_is_wrong() {
    let wire = Wire::bind().await;
    let storage = storage(settings(&wire));
    let bucket = |public: bool, owner: &str| {
        let body = format!(
            r#"{{"id":"generated-carousels","name":"generated-carousels","owner":{owner},"public":{public},"created_at":"","updated_at":""}}"#
        );
        answer("200 OK", JSON, body)
    };
    let cases = [
        (bucket(false, "\"\""), "Ok(Taken { is_public: false"),
        (bucket(false, "null"), "Ok(Taken { is_public: false"),
        (bucket(true, "\"\""), "Ok(Taken { is_public: true"),
        (bucket(true, "null"), "Ok(Taken { is_public: true"),
        (refusal("404", "Bucket not found", "Bucket not found"), "Err(NoBucket"),
        (refusal("403", "Unauthorized", "Invalid Compact JWS"), "Err(Unauthorized"),
        (answer("401 Unauthorized", JSON, r#"{"message":"Invalid API key"}"#), "Err(Unauthorized"),
        (answer("200 OK", JSON, r#"{"some":"thing"}"#), "Err(NotUnderstood"),
        (answer("200 OK", "", "<html>"), "Err(NotUnderstood"),
        (answer("521 Web Server Is Down", "", "<html>"), "Err(Unavailable"),
    ];
    for (answer, expected) in cases {
        let (result, request) = tokio::join!(storage.check(), wire.answer(answer));
        assert!(format!("{result:?}").starts_with(expected), "{expected}: {result:?}");
        assert!(request.head.starts_with("GET /storage/v1/bucket/generated-carousels HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn a_server_that_is_away_or_never_answers_is_told_apart() {
    let wire = Wire::bind().await;
    let mut settings = settings(&wire);
    settings.total_timeout = SHORT;
    let storage = storage(settings);
    let silent = async { wire.accept().await.closed().await };
    let (result, _) = tokio::join!(storage.upload("u/a", "image/png", noise(10), "no-store"), silent);
    assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
    let silent = async { wire.accept().await.closed().await };
    let (result, _) = tokio::join!(storage.check(), silent);
    assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
    drop(wire);
    let result = storage.check().await;
    assert!(matches!(result, Err(Error::Connect { .. })), "{result:?}");
}

#[test]
fn settings_that_can_not_work_are_refused() {
    let settings = |url: &str, key: &str, bucket: &str| Settings {
        url: url.parse().unwrap(),
        certificates: Vec::new(),
        secret_key: key.into(),
        bucket: bucket.into(),
        connect_timeout: SHORT,
        silence_timeout: SHORT,
        total_timeout: SHORT,
    };
    let reason = |settings| Storage::new(settings).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(reason(settings("file:///tmp", KEY, "b")).contains("SUPABASE_URL"));
    assert!(reason(settings("https://a.example", "sb_\n", "b")).contains("SUPABASE_SECRET_KEY"));
    assert!(reason(settings("https://a.example", KEY, "a/b")).contains("bucket"));
    assert_eq!(reason(settings("https://a.example", KEY, "generated-carousels")), "");
}
