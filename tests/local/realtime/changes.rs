//! Table changes: what a subscriber gets, and what it never gets. That nothing came is shown by a later row that does come.

use carousel::supabase::{Change, Kind};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::peer::Peer;
use super::project::{ANNA, BERT, PATIENCE, Project, ids_until, next};

#[tokio::test]
async fn a_row_arrives_with_its_values_as_json() {
    let project = Project::new("values").await;
    let mut anna = project.subscribe(ANNA, None).await.unwrap();
    project
        .sql(&format!(
            "insert into notes values (1, '{ANNA}', 'a \"title\"', '{{x,\"y,z\",null}}', 0.04, 1.5, true,
             '2026-11-22 12:00:00.25+02', '{{\"k\": [1, null]}}', 'text', 'hidden')"
        ))
        .await;
    let event = next(&mut anna).await;
    assert_eq!((event.table.as_str(), event.kind, &event.old_record), ("notes", Kind::Insert, &Value::Null));
    let expected = json!({
        "id": 1, "owner": ANNA, "title": "a \"title\"", "tags": ["x", "y,z", null], "price": 0.04, "ratio": 1.5, "done": true,
        "due": "2026-11-22T10:00:00.25+00:00", "style": { "k": [1, null] }, "body": "text",
    });
    assert_eq!(event.record, expected, "`secret` may not be selected, so it isn't there");
}

#[tokio::test]
async fn an_update_carries_the_old_key_and_leaves_out_large_values_it_did_not_touch() {
    let project = Project::new("updates").await;
    let mut anna = project.subscribe(ANNA, Some("id=eq.1")).await.unwrap();
    project.sql(&format!("insert into notes (id, owner, body) values (1, '{ANNA}', repeat('x', 9000))")).await;
    assert_eq!(next(&mut anna).await.record["body"].as_str().map(str::len), Some(9000));
    project.sql("update notes set title = 'new'").await;
    let event = next(&mut anna).await;
    assert_eq!((event.kind, &event.old_record), (Kind::Update, &json!({ "id": 1 })));
    assert_eq!((&event.record["title"], event.record.get("body")), (&json!("new"), None));
}

#[tokio::test]
async fn rows_of_another_user_never_arrive() {
    let project = Project::new("others").await;
    let mut anna = project.subscribe(ANNA, None).await.unwrap();
    let mut bert = project.subscribe(BERT, None).await.unwrap();
    project
        .sql(&format!(
            "insert into notes (id, owner) values (1, '{ANNA}'), (2, '{BERT}'), (3, '{ANNA}'), (4, '{BERT}')"
        ))
        .await;
    assert_eq!(ids_until(&mut anna, 3).await, [1, 3]);
    assert_eq!(ids_until(&mut bert, 4).await, [2, 4]);
}

#[tokio::test]
async fn filters_choose_rows_by_their_columns_types() {
    let project = Project::new("filters").await;
    project.sql("alter publication supabase_realtime add table public.unpublished").await;
    let chosen: [(&str, &[i64]); 9] = [
        ("id=gt.9", &[10, 11]),
        ("id=lte.9,title=neq.b", &[9]),
        ("price=gte.9", &[10, 11]),
        ("price=lt.10,id=neq.2", &[9, 11]),
        ("id=in.(2,11,99)", &[2, 11]),
        (r#"title=in.("a,b",d)"#, &[9, 11]),
        (r#"title=eq."a,b""#, &[9]),
        ("price=is.null", &[2]),
        ("title=not.like.d%", &[2, 9, 10]),
    ];
    let mut listening = Vec::new();
    for (filter, ids) in chosen {
        let notes = Change { table: "notes".to_owned(), filter: Some(filter.to_owned()) };
        let end = Change { table: "unpublished".to_owned(), filter: None };
        let subscription = project.listen(&project.token(ANNA), &[notes, end]).await.unwrap();
        listening.push((subscription, filter, ids));
    }
    let rows = format!(
        "insert into notes (id, owner, title, price) values
         (2, '{ANNA}', 'b', null), (9, '{ANNA}', 'a,b', 2), (10, '{ANNA}', 'c', 10), (11, '{ANNA}', 'd', 9);
         insert into unpublished values (99)"
    );
    project.sql(&rows).await;
    for (subscription, filter, ids) in &mut listening {
        let expected = [*ids, &[99]].concat();
        assert_eq!(ids_until(subscription, 99).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn a_delete_reaches_everyone_with_no_more_than_its_key() {
    let project = Project::new("deletes").await;
    project.sql(&format!("insert into notes (id, owner, title) values (1, '{ANNA}', 'a'), (2, '{ANNA}', 'b')")).await;
    let mut bert = project.subscribe(BERT, None).await.unwrap();
    let mut by_key = project.subscribe(BERT, Some("id=eq.2")).await.unwrap();
    let mut by_title = project.subscribe(ANNA, Some("title=neq.c")).await.unwrap();
    let mut by_owner = project.subscribe(ANNA, Some(&format!("owner=eq.{ANNA}"))).await.unwrap();
    project.sql("delete from notes where id = 1").await;
    project.sql("delete from notes where id = 2").await;
    let event = next(&mut bert).await;
    assert_eq!((event.kind, &event.record, &event.old_record), (Kind::Delete, &Value::Null, &json!({ "id": 1 })));
    assert_eq!(ids_until(&mut by_key, 2).await, [2]);
    // The log has no title of a deleted row, so that filter lets none through.
    project.sql(&format!("insert into notes (id, owner, title) values (3, '{ANNA}', 'd')")).await;
    assert_eq!(ids_until(&mut by_title, 3).await, [3]);
    assert_eq!(ids_until(&mut by_owner, 3).await, [3], "not even of one's own");
}

#[tokio::test]
async fn a_table_outside_the_publication_is_refused() {
    let project = Project::new("unpublished").await;
    for table in ["unpublished", "missing"] {
        let error = project.subscribe_to(table, ANNA, None).await.err().expect("refused").to_string();
        assert!(error.contains("Please check Realtime is enabled for the given connect parameters"), "{error}");
        assert!(error.contains(&format!("table: {table},")), "{error}");
    }
}

#[tokio::test]
async fn a_table_that_leaves_the_publication_falls_silent() {
    let project = Project::new("withdrawn").await;
    project.sql("alter publication supabase_realtime add table public.unpublished").await;
    let mut other = project.subscribe_to("unpublished", ANNA, None).await.unwrap();
    project.sql("alter publication supabase_realtime drop table public.unpublished").await;
    project.sql("insert into unpublished values (1)").await;
    project.sql("alter publication supabase_realtime add table public.unpublished").await;
    project.sql("insert into unpublished values (2)").await;
    assert_eq!(ids_until(&mut other, 2).await, [2]);
}

#[tokio::test]
async fn a_filter_that_could_never_work_is_refused_with_the_reason() {
    let project = Project::new("bad_filters").await;
    for (filter, reason) in [
        ("secret=eq.a", "invalid column for filter secret"),
        ("nothing=eq.a", "invalid column for filter nothing"),
        ("id=eq.abc", "invalid input syntax for type integer: \"abc\""),
        ("id=like.1%", "operator does not exist"),
        ("title=match.(", "invalid regular expression"),
        ("id=foo.1", r#"Error parsing `filter` params: ["foo", "1"]"#),
        ("undefined", r#"Error parsing `filter` params: ["undefined"]"#),
        (&format!("id=in.({})", ["1"; 101].join(",")), "too many values for `in` filter"),
    ] {
        let error = project.subscribe(ANNA, Some(filter)).await.err().expect(filter).to_string();
        assert!(error.contains(reason), "{filter}: {error}");
    }
}

#[tokio::test]
async fn a_policy_that_fails_for_one_subscriber_is_told_to_it_alone() {
    let project = Project::new("failing_policy").await;
    project.sql("create policy broken on notes for select to anon using (1 / (id - id) = 1)").await;
    project.sql("grant select on notes to anon").await;
    let mut anonymous = Peer::connect(&project).await;
    let config = json!({ "postgres_changes": [{ "event": "INSERT", "schema": "public", "table": "notes" }] });
    let joined = anonymous.join("realtime:broken", config, None).await;
    let id = joined["response"]["postgres_changes"][0]["id"].clone();
    assert_eq!(anonymous.next("system").await["message"], "Subscribed to PostgreSQL");
    let mut anna = project.subscribe(ANNA, None).await.unwrap();
    project.sql(&format!("insert into notes (id, owner) values (1, '{ANNA}')")).await;
    assert_eq!(ids_until(&mut anna, 1).await, [1]);
    let told = anonymous.next("postgres_changes").await;
    assert_eq!((&told["ids"], &told["data"]["record"]), (&json!([id]), &json!({})));
    assert_eq!(told["data"]["errors"], json!(["Error 500: Internal Server Error, RLS policy evaluation failed"]));
}

#[tokio::test]
async fn a_change_above_a_megabyte_comes_without_its_large_values_and_its_nulls() {
    let project = Project::new("large").await;
    let mut anna = Peer::connect(&project).await;
    let config = json!({ "postgres_changes": [{ "event": "*", "schema": "public", "table": "notes", "filter": format!("owner=eq.{ANNA}") }] });
    anna.join("realtime:large", config, Some(&project.token(ANNA))).await;
    anna.next("system").await;
    // What counts is the length of the document, in which a quotation mark takes two bytes: the second text is no longer than the first.
    let quotes = 600_000;
    let insert = |id: i32, of: &str| {
        format!(
            "insert into notes (id, owner, title, body, done) values ({id}, '{ANNA}', 'kept', repeat('{of}', {quotes}), true)"
        )
    };
    project.sql(&insert(1, "x")).await;
    let whole = anna.next("postgres_changes").await["data"].clone();
    assert_eq!((&whole["errors"], whole["record"]["body"].as_str().map(str::len)), (&Value::Null, Some(quotes)));
    assert!(whole["record"].as_object().unwrap().contains_key("price"), "a null is there");
    project.sql(&insert(2, "\"")).await;
    let cut = anna.next("postgres_changes").await["data"].clone();
    assert_eq!(cut["errors"], json!(["Error 413: Payload Too Large"]));
    assert_eq!(cut["record"], json!({ "id": 2, "owner": ANNA, "title": "kept", "done": true }));
    // What an update leaves alone is not in the log: it is no longer too large.
    project.sql("update notes set title = 'new' where id = 2").await;
    let updated = anna.next("postgres_changes").await["data"].clone();
    assert_eq!((&updated["errors"], &updated["record"]["title"]), (&Value::Null, &json!("new")));
    assert_eq!((updated["record"].get("body"), updated["record"].get("price")), (None, Some(&Value::Null)));
}

#[tokio::test]
async fn who_may_see_no_row_is_told_an_empty_refusal_for_each() {
    let project = Project::new("unseen").await;
    let mut anonymous = Peer::connect(&project).await;
    let config = json!({ "postgres_changes": [{ "event": "*", "schema": "public", "table": "notes" }] });
    anonymous.join("realtime:unseen", config, None).await;
    anonymous.next("system").await;
    project.sql(&format!("insert into notes (id, owner, title) values (1, '{ANNA}', 'secret')")).await;
    let told = anonymous.next("postgres_changes").await["data"].clone();
    assert_eq!((&told["errors"], &told["record"]), (&json!(["Error 401: Unauthorized"]), &json!({})));
    assert!(!told.to_string().contains("secret") && !told.to_string().contains(ANNA), "{told}");
}

#[tokio::test]
async fn the_slot_is_there_only_while_somebody_is_in_a_channel() {
    let project = Project::new("slots").await;
    project.wait_for(|slots| slots.is_empty()).await;
    let first = project.subscribe(ANNA, None).await.unwrap();
    let second = project.subscribe(BERT, None).await.unwrap();
    project.wait_for(|slots| slots.len() == 1).await;
    drop((first, second));
    project.wait_for(|slots| slots.is_empty()).await;
    let mut third = project.subscribe(ANNA, None).await.unwrap();
    project.wait_for(|slots| slots.len() == 1).await;
    project.realtime.stop().await;
    project.wait_for(|slots| slots.is_empty()).await;
    assert!(third.next().await.is_none(), "stopping closes the connections");
}

#[tokio::test]
async fn a_lost_connection_to_the_database_is_replaced() {
    let project = Project::new("lost").await;
    let mut anna = project.subscribe(ANNA, None).await.unwrap();
    let lost = project.slots().await;
    let end = "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()";
    assert_eq!(project.admin.execute(end, &[]).await.unwrap(), 1);
    project.wait_for(|slots| slots.len() == 1 && slots != lost).await;
    // It is listed while it still waits for transactions that began before it; what is written then is not among its changes.
    let usable =
        "select from pg_replication_slots where database = current_database() and confirmed_flush_lsn is not null";
    while project.admin.query(usable, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    project.sql(&format!("insert into notes (id, owner) values (1, '{ANNA}')")).await;
    assert_eq!(ids_until(&mut anna, 1).await, [1]);
}

#[tokio::test]
async fn stopping_waits_for_no_transaction_that_holds_the_slot_up() {
    let project = Project::new("held_up").await;
    project.sql("begin; insert into unpublished values (1)").await;
    let mut peer = Peer::connect(&project).await;
    peer.join("realtime:any", json!({}), None).await;
    // A slot that waits for the transaction is listed already.
    project.wait_for(|slots| slots.len() == 1).await;
    timeout(PATIENCE, project.realtime.stop()).await.expect("it stops");
    peer.closed().await;
}
