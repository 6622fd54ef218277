use serde_json::json;

use super::*;

const SECRETS: Secrets<'_> = Secrets { key: "sk-secret-key", prompt: "paint it as a long winter evening in the north" };

fn head(status: u16) -> Head {
    Head {
        status,
        request_id: Some("req_1".into()),
        encoding: None,
        should_retry: Some(false),
        retry_after: Some(Duration::from_secs(7)),
    }
}

/// The name of the meaning.
fn name(error: &Error) -> String {
    format!("{error:?}").split([' ', '(', '{']).next().unwrap_or("").to_owned()
}

#[test]
fn every_row_of_the_table_has_its_meaning() {
    let error =
        |code: &str, kind: &str| json!({ "error": { "message": "m", "type": kind, "param": null, "code": code } });
    let user = "invalid_request_error";
    let rows = [
        (400, error("moderation_blocked", "image_generation_user_error"), "Moderation"),
        (400, error("content_policy_violation", user), "Moderation"),
        (
            400,
            json!({ "error": { "code": "x", "innererror": { "code": "ResponsibleAIPolicyViolation" } } }),
            "Moderation",
        ),
        (400, error("invalid_image_file", user), "InvalidImage"),
        (400, error("unsupported_file_mimetype", user), "InvalidImage"),
        (400, error("missing_file_mimetype", user), "InvalidImage"),
        (400, error("invalid_value", user), "InvalidRequest"),
        (400, error("billing_hard_limit_reached", user), "BillingLimit"),
        (401, error("invalid_api_key", user), "Unauthorized"),
        (401, json!({ "detail": "no" }), "Unauthorized"),
        (403, error("", user), "Forbidden"),
        (404, error("model_not_found", user), "ModelNotFound"),
        (404, json!({ "error": { "code": "DeploymentNotFound" } }), "ModelNotFound"),
        (404, json!({ "error": { "message": "m", "type": user, "param": "model", "code": null } }), "ModelNotFound"),
        (
            404,
            json!({ "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404 }),
            "ModelNotFound",
        ),
        (404, error("", user), "NotFound"),
        (404, json!({ "error": "no such page" }), "NotFound"),
        (404, json!({ "detail": "Not Found" }), "NotFound"),
        (405, json!({ "detail": "Method Not Allowed" }), "NotFound"),
        (410, json!({}), "NotFound"),
        (301, json!({}), "NotFound"),
        (413, json!({}), "InvalidRequest"),
        (429, error("rate_limit_exceeded", "requests"), "RateLimited"),
        (429, error("rate_limit_exceeded", "insufficient_quota"), "QuotaSpent"),
        (429, error("insufficient_quota", "insufficient_quota"), "QuotaSpent"),
        (429, error("credit_balance_exhausted", "insufficient_quota"), "QuotaSpent"),
        (429, error("organization_spend_limit_exceeded", "x"), "QuotaSpent"),
        (429, error("slow_down", "requests"), "RateLimited"),
        (429, json!(null), "RateLimited"),
        (408, json!({}), "Server"),
        (409, json!({}), "Server"),
        (500, error("", "server_error"), "Server"),
        (502, json!([]), "Server"),
        (503, error("server_is_overloaded", "server_error"), "Overloaded"),
        (503, error("", "server_error"), "Overloaded"),
        (524, json!({ "code": 524 }), "Server"),
        (308, json!({}), "NotFound"),
    ];
    for (status, body, expected) in rows {
        let found = by_status(&head(status), body.to_string().as_bytes(), SECRETS);
        assert_eq!(name(&found), expected, "{status} {body}");
        assert_eq!((found.status(), found.request_id()), (Some(status), Some("req_1")));
        assert_eq!(found.should_retry(), Some(false));
    }
}

#[test]
fn only_failures_after_the_work_may_be_billed() {
    for (status, billed) in
        [(400, false), (408, false), (429, false), (500, true), (502, true), (503, false), (504, true)]
    {
        assert_eq!(by_status(&head(status), b"", SECRETS).may_be_billed(), billed, "{status}");
    }
}

#[test]
fn a_wait_and_a_wish_to_slow_down_are_kept() {
    let body = br#"{"error":{"code":"slow_down","message":"m"}}"#;
    let Error::RateLimited { retry_after, slow_down: true, .. } = by_status(&head(429), body, SECRETS) else {
        panic!("another meaning")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    assert_eq!(by_status(&head(503), b"", SECRETS).retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(by_status(&head(401), b"", SECRETS).retry_after(), None);
}

#[test]
fn a_body_that_is_no_json_still_has_a_meaning() {
    let page = by_status(&head(502), b"\n<html><script>alert(1)</script>", SECRETS);
    assert_eq!(name(&page), "Server");
    assert_eq!(page.told().unwrap().message, "it answers with a web page");
    for status in [302, 404, 405] {
        let elsewhere = by_status(&head(status), b"<html>not here</html>", SECRETS);
        let told = elsewhere.to_string();
        assert!(told.contains("OPENAI_BASE_URL") && told.contains("/v1") && !elsewhere.may_be_billed(), "{told}");
    }
    let text = by_status(&head(503), b"upstream connect error\r\n", SECRETS);
    assert_eq!(text.told().unwrap().message, "upstream connect error");
    assert_eq!(by_status(&head(500), b"\xff\xfe{", SECRETS).status(), Some(500));
}

#[test]
fn an_error_in_a_success_is_known_by_its_code() {
    let meaning = |body: Value| name(&in_success(&head(200), &body, SECRETS));
    assert_eq!(meaning(json!({ "type": "error", "code": "moderation_blocked", "message": "m" })), "Moderation");
    assert_eq!(meaning(json!({ "error": { "type": "server_error" } })), "Server");
    assert_eq!(meaning(json!({ "error": { "type": "insufficient_quota" } })), "QuotaSpent");
    assert_eq!(meaning(json!({ "error": "boom" })), "NotUnderstood");
    assert_eq!(meaning(json!({ "error": { "type": "invalid_request_error" } })), "InvalidRequest");
}

#[test]
fn moderation_tells_its_details_and_no_error_tells_key_or_prompt() {
    let body = json!({ "error": { "code": "moderation_blocked", "moderation_details": { "categories": ["violence"] },
        "message": format!("{} with {} refused", SECRETS.prompt, SECRETS.key) } });
    let error = by_status(&head(400), body.to_string().as_bytes(), SECRETS);
    let Error::Moderation { details: Some(details), .. } = &error else { panic!("{error:?}") };
    assert_eq!(details, r#"{"categories":["violence"]}"#);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("winter") && !shown.contains("sk-secret"), "{shown}");
}
