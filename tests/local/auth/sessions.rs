//! Refresh, sign-out, and tokens that are no longer good.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Project, answer};

fn refresh(project: &Project, session: &Value) -> RequestBuilder {
    let body = json!({ "refresh_token": session["refresh_token"] });
    project.public(Method::POST, "/auth/v1/token?grant_type=refresh_token").json(&body)
}

#[tokio::test]
async fn a_refresh_token_is_changed_each_time_and_keeps_its_session() {
    let project = Project::new().await;
    let first = project.sign_up("ada@example.com").await;
    let second = answer(refresh(&project, &first), StatusCode::OK).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let session = |tokens: &Value| {
        project.stack.keys().verify(tokens["access_token"].as_str().unwrap()).unwrap().claims["session_id"].clone()
    };
    assert_eq!(session(&first), session(&second));
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_get_the_same_successor() {
    let project = Project::new().await;
    let first = project.sign_up("ada@example.com").await;
    let second = answer(refresh(&project, &first), StatusCode::OK).await;
    let again = answer(refresh(&project, &first), StatusCode::OK).await;
    assert_eq!(second["refresh_token"], again["refresh_token"]);
}

#[tokio::test]
async fn a_refresh_token_used_again_later_ends_its_session_only() {
    let project = Project::new().await;
    let stolen = project.sign_up("ada@example.com").await;
    let other = project.sign_in("ada@example.com").await;
    let successor = answer(refresh(&project, &stolen), StatusCode::OK).await;
    let later = "update auth.refresh_tokens set updated_at = now() - interval '1 minute' where revoked";
    project.owner().await.execute(later, &[]).await.unwrap();
    for token in [&stolen, &successor] {
        let refused = answer(refresh(&project, token), StatusCode::BAD_REQUEST).await;
        assert_eq!(refused["error_code"], "refresh_token_already_used");
    }
    answer(refresh(&project, &other), StatusCode::OK).await;
}

#[tokio::test]
async fn an_unknown_refresh_token_is_not_found() {
    let project = Project::new().await;
    let refused = answer(refresh(&project, &json!({ "refresh_token": "made up" })), StatusCode::BAD_REQUEST).await;
    assert_eq!(refused["error_code"], "refresh_token_not_found");
}

#[tokio::test]
async fn a_local_sign_out_ends_one_session_and_a_global_one_all() {
    let project = Project::new().await;
    let phone = project.sign_up("ada@example.com").await;
    let laptop = project.sign_in("ada@example.com").await;
    let user = |session| project.signed_in(session, Method::GET, "/auth/v1/user");
    answer(project.signed_in(&phone, Method::POST, "/auth/v1/logout?scope=local"), StatusCode::NO_CONTENT).await;
    assert_eq!(answer(user(&phone), StatusCode::FORBIDDEN).await["error_code"], "session_not_found");
    answer(user(&laptop), StatusCode::OK).await;
    let tablet = project.sign_in("ada@example.com").await;
    answer(project.signed_in(&laptop, Method::POST, "/auth/v1/logout"), StatusCode::NO_CONTENT).await;
    for session in [&laptop, &tablet] {
        answer(user(session), StatusCode::FORBIDDEN).await;
        answer(refresh(&project, session), StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_user_is_shown_for_a_good_token_only() {
    let project = Project::new().await;
    let session = project.sign_up("ada@example.com").await;
    let shown = answer(project.signed_in(&session, Method::GET, "/auth/v1/user"), StatusCode::OK).await;
    assert_eq!(shown["id"], session["user"]["id"]);

    let none = answer(project.public(Method::GET, "/auth/v1/user"), StatusCode::UNAUTHORIZED).await;
    assert_eq!(none["error_code"], "no_authorization");
    let mut claims = project.stack.keys().verify(session["access_token"].as_str().unwrap()).unwrap().claims;
    claims["exp"] = json!(1_000_000_000);
    let expired = json!({ "access_token": project.stack.keys().sign(&claims).unwrap() });
    let refused = answer(project.signed_in(&expired, Method::GET, "/auth/v1/user"), StatusCode::FORBIDDEN).await;
    assert_eq!(refused["error_code"], "bad_jwt");

    let remove = "delete from auth.users";
    project.owner().await.execute(remove, &[]).await.unwrap();
    let gone = answer(project.signed_in(&session, Method::GET, "/auth/v1/user"), StatusCode::FORBIDDEN).await;
    assert_eq!(gone["error_code"], "user_not_found");
}
