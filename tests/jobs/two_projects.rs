//! A worker whose database and API are those of two projects removes nothing.

use std::time::Duration;

use carousel::project::{Doubt, prove};
use carousel::queue::{self, Queue};
use carousel::supabase;

use crate::deployment::{Deployment, picture};

/// Asks until the number is there.
async fn until(deployment: &Deployment, sql: &str) {
    let waiting = async {
        while deployment.project.owner.query(sql, &[]).await.expect("the database answers").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.unwrap_or_else(|_| panic!("it never came to: {sql}"));
}

#[tokio::test]
async fn nothing_is_removed_from_another_projects_bucket() {
    let (staging, production) = (Deployment::new().await, Deployment::new().await);
    let anna = production.person().await;
    // A copy has the same rows.
    let path = anna.photo().await;
    let debris = "insert into carousel_private.storage_cleanup (path, reason) values ($1, 'image deleted')";
    staging.project.owner.execute(debris, &[&path]).await.unwrap();
    let (pipeline, settings) = staging.settings();
    let mixed = staging.start_beside(&production.stack, pipeline, settings);
    // It has asked, and been told, at least once.
    until(&staging, "select from carousel_private.proofs having count(*) >= 2").await;
    let taken = "select sum(attempts) from carousel_private.storage_cleanup";
    assert_eq!(staging.project.owner.query_one(taken, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(anna.download(&path).await, picture());
    mixed.drain().await;
    let whole = staging.worker();
    until(
        &staging,
        "select from (select count(*) as left from carousel_private.storage_cleanup) as debris where debris.left = 0",
    )
    .await;
    whole.drain().await;
    assert_eq!(anna.download(&path).await, picture());
}

#[tokio::test]
async fn an_api_that_can_not_answer_is_told_from_one_of_another_project() {
    let deployment = Deployment::new().await;
    let database = deployment.project.worker_url().parse().unwrap();
    let queue = Queue::new(&queue::Settings { database, certificates: Vec::new(), connections: 1 }).unwrap();
    let (url, key) = (deployment.stack.url().parse().unwrap(), deployment.stack.secret_key().to_owned().into());
    let api = supabase::Project::new(&url, key, &[]).unwrap().key_holder();
    prove(&queue, &api).await.expect("it is one project");
    let owner = &deployment.project.owner;
    owner.batch_execute("revoke execute on function public.carousel_has_proof(uuid) from service_role").await.unwrap();
    let doubt = prove(&queue, &api).await.unwrap_err();
    assert!(matches!(doubt, Doubt::Unproven(_)), "{doubt:?}");
    owner.batch_execute("drop function public.carousel_has_proof(uuid)").await.unwrap();
    let doubt = prove(&queue, &api).await.unwrap_err();
    assert!(matches!(doubt, Doubt::Unknown), "{doubt:?}");
}
