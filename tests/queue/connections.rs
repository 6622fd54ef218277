//! How long a connection of ours waits.

use carousel::queue::Settings;

use crate::project::Project;

#[tokio::test]
async fn a_connection_of_its_own_waits_no_longer_than_one_of_the_pool() {
    let project = Project::new().await;
    let database = project.worker_url().parse().expect("it is a connection string");
    let settings = Settings { database, certificates: Vec::new(), connections: 1 };
    let client = settings.connect().await.unwrap();
    for (setting, limit) in [("lock_timeout", "500ms"), ("statement_timeout", "20s")] {
        assert_eq!(client.query_one(&format!("show {setting}"), &[]).await.unwrap().get::<_, &str>(0), limit);
    }
    // Shorter ones, which somebody has set for the role, stay.
    let shorter = "do $$ begin
        execute format('alter role carousel_worker in database %I set statement_timeout = %L', current_database(), '3s');
    end $$";
    project.owner.batch_execute(shorter).await.unwrap();
    let client = settings.connect().await.unwrap();
    assert_eq!(client.query_one("show statement_timeout", &[]).await.unwrap().get::<_, &str>(0), "3s");
}
