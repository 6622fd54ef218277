//! Listening for jobs on a real PostgreSQL.

use crate::project::Project;
use carousel::listener::{Listener, Signal};
use carousel::queue;
use tokio::sync::mpsc;

fn listener(project: &Project) -> Listener {
    let database = project.worker_url().parse().expect("it is a connection string");
    Listener::new(database, queue::tls(&[]).expect("TLS can be set up"))
}

#[tokio::test]
async fn a_notification_to_ourselves_proves_that_listening_works() {
    let project = Project::new().await;
    listener(&project).probe().await.expect("a direct connection delivers");
}

#[tokio::test]
async fn an_insert_is_heard_once_a_statement_and_a_cancel_names_its_job() {
    let project = Project::new().await;
    let user = project.user().await;
    let (heard, mut signals) = mpsc::channel(16);
    let listener = listener(&project);
    let listening = tokio::spawn(async move { listener.run(heard).await });
    assert_eq!(signals.recv().await, Some(Signal::Connected));

    let client = project.signed_in(user).await;
    let insert = "insert into public.image_generation_jobs (prompt, source_paths, run_at) select 'a cup', array[auth.uid() || '/sources/a.png'], ";
    client.execute(&format!("{insert} now() from generate_series(1, 3)"), &[]).await.unwrap();
    assert_eq!(signals.recv().await, Some(Signal::Jobs { scheduled: false }));
    client.execute(&format!("{insert} now() + interval '1 hour'"), &[]).await.unwrap();
    assert_eq!(signals.recv().await, Some(Signal::Jobs { scheduled: true }));

    project.owner.execute("update public.image_generation_jobs set status = 'processing', stage = 'fetching', attempt = 1, started_at = now()", &[]).await.unwrap();
    let job = client
        .query_one("delete from public.image_generation_jobs where run_at > now() returning id", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(signals.recv().await, Some(Signal::Cancel(job)));
    listening.abort();
}

#[tokio::test]
async fn listening_begins_again_when_its_connection_is_cut() {
    let project = Project::new().await;
    let (heard, mut signals) = mpsc::channel(16);
    let listener = listener(&project);
    let listening = tokio::spawn(async move { listener.run(heard).await });
    for _ in 0..2 {
        assert_eq!(signals.recv().await, Some(Signal::Connected));
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'carousel_worker' and datname = current_database()";
        project.admin().await.execute(cut, &[]).await.unwrap();
    }
    assert_eq!(signals.recv().await, Some(Signal::Connected));
    listening.abort();
}
