//! Sign-up, sign-in, and users as the secret key manages them.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Project, answer};

#[tokio::test]
async fn a_sign_up_is_confirmed_at_once_and_brings_a_session() {
    let project = Project::new().await;
    let session = project.sign_up("Ada@Example.com").await;
    let user = &session["user"];
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["role"], "authenticated");
    assert!(user["email_confirmed_at"].is_string());
    assert_eq!(user["user_metadata"]["name"], "Ada");
    assert_eq!(user["app_metadata"], json!({ "provider": "email", "providers": ["email"] }));
    assert_eq!(user["identities"][0]["identity_data"]["sub"], user["id"]);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("bearer"), &json!(3600)));

    let claims = project.stack.keys().verify(session["access_token"].as_str().unwrap()).unwrap().claims;
    assert_eq!(claims["sub"], user["id"]);
    assert_eq!(claims["iss"], format!("{}/auth/v1", project.stack.url()));
    assert_eq!((&claims["aud"], &claims["aal"]), (&json!("authenticated"), &json!("aal1")));
    assert_eq!(claims["amr"][0]["method"], "password");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(claims["user_metadata"], user["user_metadata"]);
}

#[tokio::test]
async fn passwords_are_kept_as_hashes_only() {
    let project = Project::new().await;
    project.sign_up("ada@example.com").await;
    let kept = "select encrypted_password from auth.users";
    let kept: String = project.owner().await.query_one(kept, &[]).await.unwrap().get(0);
    assert!(kept.starts_with("$2a$"), "{kept}");
}

#[tokio::test]
async fn sign_up_refuses_a_taken_address_a_weak_password_and_no_address() {
    let project = Project::new().await;
    project.sign_up("ada@example.com").await;
    let sign_up = |email: &str, password: &str| {
        project.public(Method::POST, "/auth/v1/signup").json(&json!({ "email": email, "password": password }))
    };
    for (email, password, status, code) in [
        ("ADA@example.com", "a good one", 422, "user_already_exists"),
        ("bob@example.com", "short", 422, "weak_password"),
        ("bob@example.com", "", 400, "validation_failed"),
        ("bob", "a good one", 400, "validation_failed"),
        ("", "", 422, "anonymous_provider_disabled"),
    ] {
        let body = answer(sign_up(email, password), StatusCode::from_u16(status).unwrap()).await;
        assert_eq!((&body["code"], &body["error_code"]), (&json!(status), &json!(code)), "{email} {password}");
        assert!(body["msg"].is_string());
    }
}

#[tokio::test]
async fn errors_take_the_newer_shape_for_clients_that_name_it() {
    let project = Project::new().await;
    let weak = json!({ "email": "ada@example.com", "password": "short" });
    let request =
        project.public(Method::POST, "/auth/v1/signup").header("x-supabase-api-version", "2024-01-01").json(&weak);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-supabase-api-version"], "2024-01-01");
    assert_eq!(response.headers()["x-sb-error-code"], "weak_password");
    let expected = json!({
        "code": "weak_password",
        "message": "Password should be at least 6 characters.",
        "weak_password": { "reasons": ["length"] },
    });
    assert_eq!(response.json::<serde_json::Value>().await.unwrap(), expected);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_told_alike() {
    let project = Project::new().await;
    project.sign_up("ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        let body = json!({ "email": email, "password": "not the one" });
        let request = project.public(Method::POST, "/auth/v1/token?grant_type=password").json(&body);
        let expected = json!({ "code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials" });
        assert_eq!(answer(request, StatusCode::BAD_REQUEST).await, expected);
    }
}

#[tokio::test]
async fn a_user_changes_password_and_metadata() {
    let project = Project::new().await;
    let session = project.sign_up("ada@example.com").await;
    let change = |body| project.signed_in(&session, Method::PUT, "/auth/v1/user").json(&body);
    let same = answer(change(json!({ "password": "a good one" })), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(same["error_code"], "same_password");
    let changes = json!({ "password": "a better one", "data": { "name": null, "city": "London" } });
    let user = answer(change(changes), StatusCode::OK).await;
    assert_eq!(user["user_metadata"]["city"], "London");
    assert!(user["user_metadata"].get("name").is_none());
    let sign_in = json!({ "email": "ada@example.com", "password": "a better one" });
    answer(project.public(Method::POST, "/auth/v1/token?grant_type=password").json(&sign_in), StatusCode::OK).await;
}

#[tokio::test]
async fn the_secret_key_makes_lists_and_deletes_users() {
    let project = Project::new().await;
    let wanted = json!({ "email": "bob@example.com", "password": "a good one", "email_confirm": true,
                         "app_metadata": { "plan": "pro" }, "user_metadata": { "name": "Bob" } });
    let create = || project.secret(Method::POST, "/auth/v1/admin/users").json(&wanted);
    let bob = answer(create(), StatusCode::OK).await;
    assert_eq!(bob["app_metadata"], json!({ "plan": "pro", "provider": "email", "providers": ["email"] }));
    assert_eq!(answer(create(), StatusCode::UNPROCESSABLE_ENTITY).await["error_code"], "email_exists");
    project.sign_in("bob@example.com").await;
    project.sign_up("ada@example.com").await;

    let listed = answer(project.secret(Method::GET, "/auth/v1/admin/users?page=&per_page="), StatusCode::OK).await;
    assert_eq!(listed["users"].as_array().unwrap().len(), 2);
    let second = answer(project.secret(Method::GET, "/auth/v1/admin/users?page=2&per_page=1"), StatusCode::OK).await;
    assert_eq!(second["users"][0]["email"], "bob@example.com");

    let path = format!("/auth/v1/admin/users/{}", bob["id"].as_str().unwrap());
    answer(project.secret(Method::DELETE, &path), StatusCode::OK).await;
    assert_eq!(
        answer(project.secret(Method::DELETE, &path), StatusCode::NOT_FOUND).await["error_code"],
        "user_not_found"
    );
    let body = json!({ "email": "bob@example.com", "password": "a good one" });
    answer(project.public(Method::POST, "/auth/v1/token?grant_type=password").json(&body), StatusCode::BAD_REQUEST)
        .await;
}

#[tokio::test]
async fn only_the_secret_key_manages_users() {
    let project = Project::new().await;
    let session = project.sign_up("ada@example.com").await;
    for request in [
        project.signed_in(&session, Method::GET, "/auth/v1/admin/users"),
        project.public(Method::GET, "/auth/v1/admin/users"),
    ] {
        assert_eq!(answer(request, StatusCode::FORBIDDEN).await["error_code"], "not_admin");
    }
}

#[tokio::test]
async fn an_unconfirmed_user_may_not_sign_in() {
    let project = Project::new().await;
    let wanted = json!({ "email": "eve@example.com", "password": "a good one" });
    answer(project.secret(Method::POST, "/auth/v1/admin/users").json(&wanted), StatusCode::OK).await;
    let request = project.public(Method::POST, "/auth/v1/token?grant_type=password").json(&wanted);
    assert_eq!(answer(request, StatusCode::BAD_REQUEST).await["error_code"], "email_not_confirmed");
}

#[tokio::test]
async fn a_failing_trigger_of_the_project_stops_a_sign_up_without_its_words() {
    let project = Project::new().await;
    let trigger = "create function public.refuse() returns trigger language plpgsql
                       as $$ begin raise exception 'inner words'; end $$;
                   create trigger refuse after insert on auth.users for each row execute function public.refuse();";
    project.owner().await.batch_execute(trigger).await.unwrap();
    let body = json!({ "email": "ada@example.com", "password": "a good one" });
    let refused = project.public(Method::POST, "/auth/v1/signup").json(&body);
    let refused = answer(refused, StatusCode::INTERNAL_SERVER_ERROR).await;
    assert_eq!(refused["error_code"], "unexpected_failure");
    assert!(!refused.to_string().contains("inner words"));
    let users = project.owner().await.query_one("select count(*) from auth.users", &[]).await.unwrap();
    assert_eq!(users.get::<_, i64>(0), 0);
}
