//! The private channel of each person: what the database sends there, who may listen, and that it never stands in a write's way.

use carousel::migrations;
use carousel_local::bootstrap;
use carousel_local::postgres::ADMIN;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::client::{insert_job, run, value};
use crate::project::{Project, shared};

const SET_UP: &str = "select carousel_private.set_up_broadcasts()";

/// What was sent to a person's private channel since the last call: events and the rows of each.
async fn told(admin: &Client, user: Uuid) -> Vec<(String, Vec<Value>)> {
    let take = "with taken as (delete from realtime.messages where topic = $1 returning *)
        select event, payload -> 'rows', private and extension = 'broadcast', octet_length(payload::text)
        from taken order by inserted_at, event desc";
    let messages = admin.query(take, &[&format!("carousel:{user}")]).await.unwrap();
    let read = messages.iter().map(|row| {
        assert!(row.get::<_, bool>(2), "it is private");
        assert!(row.get::<_, i32>(3) < 200_000, "it is far below 256 kB");
        (row.get(0), serde_json::from_value(row.get(1)).unwrap())
    });
    read.collect()
}

async fn sent(admin: &Client) -> i64 {
    admin.query_one("select count(*) from realtime.messages", &[]).await.unwrap().get(0)
}

fn queue(project: &Project) -> carousel::queue::Queue {
    let database = project.worker_url().parse().unwrap();
    carousel::queue::Queue::new(&carousel::queue::Settings { database, certificates: Vec::new(), connections: 1 })
        .unwrap()
}

#[tokio::test]
async fn each_change_of_a_job_and_its_images_is_told_to_its_owner_alone() {
    let project = Project::new().await;
    let (admin, user) = (project.admin().await, project.user().await);
    let client = project.signed_in(user).await;
    let job = insert_job(&client, user, &[("slide_prompts", "'{one,two}'"), ("title", "'mine'")]).await.unwrap();
    let messages = told(&admin, user).await;
    assert_eq!(messages.len(), 1);
    let (event, rows) = &messages[0];
    assert_eq!((event.as_str(), rows.len()), ("job", 1));
    assert_eq!(
        (&rows[0]["id"], &rows[0]["status"], &rows[0]["title"]),
        (&json!(job), &json!("pending"), &json!("mine"))
    );
    assert!(rows[0].get("prompt").is_none() && rows[0].get("slide_prompts").is_none(), "no long texts: {}", rows[0]);

    let leases = queue(&project).claim_jobs(Uuid::new_v4(), 1, std::time::Duration::from_secs(600)).await.unwrap();
    leases[0].start_job().await.unwrap();
    let mut messages = told(&admin, user).await;
    messages.sort_by(|one, other| one.0.cmp(&other.0));
    let events: Vec<(&str, usize)> = messages.iter().map(|(event, rows)| (event.as_str(), rows.len())).collect();
    assert_eq!(events, [("image", 2), ("job", 1)], "one message for the images of one statement");
    assert_eq!(messages[0].1[0]["job_id"], json!(job));
    // What a message says is what the row says, in the form that the API gives it.
    let image = &messages[0].1[0];
    let row = "select to_jsonb(image) from public.generated_carousel_images image where id = $1::text::uuid";
    admin.batch_execute("set timezone = 'UTC'").await.unwrap();
    let row: Value = admin.query_one(row, &[&image["id"].as_str().unwrap()]).await.unwrap().get(0);
    for (name, value) in image.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name}");
    }
    run(&client, "update public.generated_carousel_images set is_favorite = true").await.unwrap();
    let changed = told(&admin, user).await;
    assert_eq!((changed[0].0.as_str(), &changed[0].1[0]["is_favorite"]), ("image", &json!(true)));
    let time = |row: &Value| row["updated_at"].as_str().unwrap().to_owned();
    assert!(time(&changed[0].1[0]) > time(image), "the order is told by updated_at");

    run(&client, &format!("delete from public.image_generation_jobs where id = '{job}'")).await.unwrap();
    let mut gone = told(&admin, user).await;
    gone.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(gone[1], ("job".to_owned(), vec![json!({ "id": job, "deleted": true })]));
    assert_eq!(gone[0].1.len(), 2);
    for row in &gone[0].1 {
        assert_eq!(row, &json!({ "id": row["id"], "job_id": job, "deleted": true }));
    }
    assert_eq!(sent(&admin).await, 0, "nothing was sent to anybody else");
}

#[tokio::test]
async fn messages_stay_small_however_much_is_written_at_once() {
    let project = Project::new().await;
    let (admin, user, other) = (project.admin().await, project.user().await, project.user().await);
    let long = [("prompt", "repeat('\"', 31968)"), ("title", "repeat('😀', 200)")];
    for _ in 0..30 {
        insert_job(&project.signed_in(user).await, user, &long).await.unwrap();
    }
    insert_job(&project.signed_in(other).await, other, &[]).await.unwrap();
    told(&admin, user).await;
    told(&admin, other).await;
    let all =
        "update public.image_generation_jobs set message = repeat('😀', 9000), error_message = repeat('😀', 9000)";
    assert_eq!(run(&project.owner, all).await.unwrap(), 31);
    let mut sizes: Vec<usize> = told(&admin, user).await.iter().map(|(_, rows)| rows.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 25]);
    assert_eq!(told(&admin, other).await.len(), 1, "each person hears of their own");
    assert_eq!(run(&project.owner, &format!("{all} where false")).await.unwrap(), 0);
    assert_eq!(sent(&admin).await, 0);
}

#[tokio::test]
async fn whatever_is_wrong_with_realtime_no_write_fails() {
    let project = Project::new().await;
    let (admin, user) = (project.admin().await, project.user().await);
    let client = project.signed_in(user).await;
    let all_writes = async || {
        let job = insert_job(&client, user, &[]).await.unwrap();
        assert_eq!(run(&client, "update public.image_generation_jobs set title = 'other'").await.unwrap(), 1);
        assert_eq!(
            run(&client, &format!("delete from public.image_generation_jobs where id = '{job}'")).await.unwrap(),
            1
        );
    };
    // Somebody holds the table, as Realtime does while it drops a day that is over.
    let holder = project.admin().await;
    holder.batch_execute("begin; lock table realtime.messages").await.unwrap();
    all_writes().await;
    holder.batch_execute("rollback").await.unwrap();
    for broken in [
        "revoke insert on realtime.messages from postgres",
        "alter table realtime.messages add constraint refused check (false) not valid",
        "drop table realtime.messages",
        "create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
            returns void language plpgsql as $$ begin raise exception 'broken'; end $$",
        "drop function realtime.send(jsonb, text, text, boolean)",
        "drop schema realtime cascade",
    ] {
        admin.batch_execute(broken).await.unwrap();
        all_writes().await;
    }
}

/// As Realtime asks whether somebody may join or send: a row of the topic, under the role and the claims of who asks.
async fn may(admin: &Client, user: Option<Uuid>, topic: &str) -> (bool, bool) {
    let row = "insert into realtime.messages (topic, extension) values ($1, 'broadcast') returning id";
    admin.batch_execute("begin").await.unwrap();
    let id: Uuid = admin.query_one(row, &[&topic]).await.unwrap().get(0);
    admin.execute("select set_config('realtime.topic', $1, true)", &[&topic]).await.unwrap();
    let claims = json!({ "sub": user, "role": "authenticated" });
    let role = if user.is_some() { "authenticated" } else { "anon" };
    admin.batch_execute(&format!("set local request.jwt.claims = '{claims}'; set local role {role}")).await.unwrap();
    let hears = admin.query("select from realtime.messages where id = $1", &[&id]).await.unwrap().len() == 1;
    let sends =
        admin.execute("insert into realtime.messages (topic, extension) values ($1, 'broadcast')", &[&topic]).await;
    admin.batch_execute("rollback").await.unwrap();
    (hears, sends.is_ok())
}

#[tokio::test]
async fn a_channel_is_heard_by_its_person_alone_and_nobody_sends_into_it() {
    let project = Project::new().await;
    let (admin, user, other) = (project.admin().await, project.user().await, project.user().await);
    let mine = format!("carousel:{user}");
    let ours = async || {
        assert_eq!(may(&admin, Some(user), &mine).await, (true, false), "its person hears and does not send");
        assert_eq!(may(&admin, Some(other), &mine).await, (false, false), "another person");
        assert_eq!(may(&admin, None, &mine).await, (false, false), "nobody");
    };
    ours().await;
    for topic in ["carousel:lobby", "carousel:", "room"] {
        assert_eq!(may(&admin, Some(user), topic).await, (false, false), "{topic} is not ours to open");
    }
    // Many an app lets everybody who is signed in into every channel.
    let open = "create policy listen on realtime.messages for select using (true);
        create policy speak on realtime.messages for insert with check (true)";
    project.owner.batch_execute(open).await.unwrap();
    ours().await;
    for topic in ["carousel:lobby", "carousel:", "room", &format!("x carousel:{user}")] {
        assert_eq!(may(&admin, Some(user), topic).await, (true, true), "{topic} is the app's");
        assert_eq!(may(&admin, None, topic).await, (true, true), "{topic} is the app's");
    }
}

#[tokio::test]
async fn where_realtime_comes_later_the_channels_can_be_made_then() {
    let server = &shared().await.server;
    let name = "without_realtime";
    crate::project::fresh(server, name, false).await;
    let mut owner = server.connect("postgres", name).await.unwrap();
    migrations::apply(&mut owner).await.unwrap();
    assert_eq!(value(&owner, "select carousel_private.set_up_broadcasts()").await, "false");
    let triggers = "select count(*) from pg_trigger where tgname like 'broadcast%'";
    assert_eq!(value(&owner, triggers).await, "0", "nothing runs where nothing is heard");
    let admin = server.connect(ADMIN, name).await.unwrap();
    bootstrap::project(&admin, true).await.unwrap();
    let theirs = "create policy theirs on realtime.messages for select to authenticated using (extension = 'presence')";
    owner.batch_execute(theirs).await.unwrap();
    let made = "select jsonb_agg(to_jsonb(policy) - 'oid' order by policyname) from pg_policies policy where tablename = 'messages'";
    assert!(owner.query_one(SET_UP, &[]).await.unwrap().get::<_, bool>(0));
    let once = value(&owner, made).await;
    assert!(once.contains("\"theirs\""), "{once}");
    assert!(owner.query_one(SET_UP, &[]).await.unwrap().get::<_, bool>(0), "as often as one likes");
    assert_eq!(value(&owner, made).await, once);
    assert_eq!(value(&owner, triggers).await, "6");
}
