//! What each role may do: the columns that a client may write, the rows that it may see, and nothing in the private schema.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use uuid::Uuid;

use crate::client::{insert_job, insertion, run, value};
use crate::project::Project;

const JOBS: &str = "public.image_generation_jobs";
const IMAGES: &str = "public.generated_carousel_images";
const TEMPLATES: &str = "public.image_generation_templates";
const VISIBLE: [&str; 4] = [JOBS, IMAGES, TEMPLATES, "public.generated_carousels"];

/// What the design lets a client write: table, columns at insert, columns at update.
const WRITABLE: [(&str, &str, &str); 3] = [
    (
        JOBS,
        "id user_id template_id title prompt slide_prompts slides_from slide_sources source_paths aspect_ratios variants style variables model quality output_format \
         background partial_previews priority run_at idempotency_key batch_id",
        "title cancel_requested_at retry_requested_at",
    ),
    (IMAGES, "", "is_favorite"),
    (
        TEMPLATES,
        "id user_id name description source_paths prompt slide_prompts slides_from slide_sources aspect_ratios variants style variables tags is_favorite",
        "name description source_paths prompt slide_prompts slides_from slide_sources aspect_ratios variants style variables tags is_favorite",
    ),
];

/// A job of this user that a worker has taken up, so that every table holds a row of theirs.
async fn taken_up(project: &Project, user: Uuid) -> Uuid {
    let job = insert_job(&project.signed_in(user).await, user, &[]).await.unwrap();
    let queue = carousel::queue::Queue::new(&carousel::queue::Settings {
        database: project.worker_url().parse().unwrap(),
        certificates: Vec::new(),
        connections: 1,
    });
    let leases = queue.unwrap().claim_jobs(Uuid::new_v4(), 10, std::time::Duration::from_secs(600)).await.unwrap();
    let lease = leases.iter().find(|lease| lease.job.id == job).unwrap();
    lease.start_job().await.unwrap();
    job
}

/// Whether a statement is refused for want of a right; undone in either case.
async fn is_forbidden(client: &Client, statement: &str) -> bool {
    client.batch_execute("begin").await.unwrap();
    let outcome = run(client, statement).await;
    client.batch_execute("rollback").await.unwrap();
    matches!(outcome, Err(refusal) if refusal.code == "42501" && refusal.message.starts_with("permission denied"))
}

#[tokio::test]
async fn a_client_writes_only_the_columns_that_are_its_own() {
    let project = Project::new().await;
    let user = project.user().await;
    taken_up(&project, user).await;
    let client = project.signed_in(user).await;
    for (table, insertable, updatable) in WRITABLE {
        let names = "select array_agg(attname::text) from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped";
        let columns: Vec<String> = project.owner.query_one(names, &[&table]).await.unwrap().get(0);
        let allowed = |list: &str| list.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
        let (mut inserted, mut updated) = (BTreeSet::new(), BTreeSet::new());
        for column in columns {
            if !is_forbidden(&client, &format!("insert into {table} ({column}) values (default)")).await {
                inserted.insert(column.clone());
            }
            if !is_forbidden(&client, &format!("update {table} set {column} = {column}")).await {
                updated.insert(column);
            }
        }
        assert_eq!(inserted, allowed(insertable), "at insert into {table}");
        assert_eq!(updated, allowed(updatable), "at update of {table}");
    }
    assert!(is_forbidden(&client, &format!("delete from {IMAGES}")).await, "images go with their job");
    for table in [JOBS, IMAGES, TEMPLATES] {
        assert!(is_forbidden(&client, &format!("truncate {table} cascade")).await);
    }
    // PostgREST's upsert, which would write every column that it names.
    let upsert = insertion(user, &[], "on conflict (id) do update set prompt = excluded.prompt");
    assert!(is_forbidden(&client, &upsert).await);
}

#[tokio::test]
async fn nobody_sees_or_touches_what_is_anothers() {
    let project = Project::new().await;
    let (owner, other) = (project.user().await, project.user().await);
    let job = taken_up(&project, owner).await;
    let (mine, theirs) = (project.signed_in(owner).await, project.signed_in(other).await);
    for table in VISIBLE {
        assert_eq!(value(&mine, &format!("select count(*) from {table}")).await, "1", "{table}");
        assert_eq!(value(&theirs, &format!("select count(*) from {table}")).await, "0", "{table}");
    }
    let before = value(&project.owner, &format!("select array_agg(job) from {JOBS} job")).await;
    for statement in [
        format!("update {JOBS} set cancel_requested_at = now()"),
        format!("update {JOBS} set title = 'theirs' where id = '{job}'"),
        format!("update {IMAGES} set is_favorite = true"),
        format!("update {TEMPLATES} set name = 'theirs'"),
        format!("delete from {JOBS}"),
        format!("delete from {TEMPLATES}"),
    ] {
        assert_eq!(run(&theirs, &statement).await.unwrap(), 0, "{statement}");
    }
    assert_eq!(value(&project.owner, &format!("select array_agg(job) from {JOBS} job")).await, before);

    let template = format!("(select '{}'::uuid)", value(&mine, &format!("select id from {TEMPLATES}")).await);
    let refusal = insert_job(&theirs, other, &[("template_id", &template)]).await.unwrap_err();
    assert_eq!(refusal.to_string(), "42501 template_not_found");
    let foreign = format!("array['{owner}/sources/a.png']");
    let refusal = insert_job(&theirs, other, &[("source_paths", &foreign)]).await.unwrap_err();
    assert_eq!(refusal.to_string(), "42501 source_path_foreign");
    let same = format!("'{job}'");
    assert_eq!(insert_job(&theirs, other, &[("id", &same)]).await.unwrap_err().code, "23505");

    assert_eq!(run(&mine, &format!("update {IMAGES} set is_favorite = true")).await.unwrap(), 1);
    assert_eq!(value(&mine, "select bool_and(is_favorite) from public.generated_carousels").await, "true");
    assert_eq!(run(&mine, &format!("delete from {JOBS}")).await.unwrap(), 1);
    assert_eq!(value(&mine, &format!("select count(*) from {IMAGES}")).await, "0");
}

/// That an id is taken is seen by who inserts a row with it, and pays for the look where it is not. It is not seen without that, nor whose it is.
#[tokio::test]
async fn an_id_of_anothers_is_refused_as_ones_own_and_tells_nothing_to_who_may_insert_no_more() {
    let project = Project::new().await;
    let (owner, other) = (project.user().await, project.user().await);
    let (mine, theirs) = (project.signed_in(owner).await, project.signed_in(other).await);
    let foreign = insert_job(&mine, owner, &[]).await.unwrap();
    let own = insert_job(&theirs, other, &[]).await.unwrap();
    let said = async |id: Uuid, wrong: Option<(&str, &str)>| {
        let quoted = format!("'{id}'");
        let columns: Vec<_> = [("id", quoted.as_str())].into_iter().chain(wrong).collect();
        match insert_job(&theirs, other, &columns).await {
            Ok(_) => "taken in".to_owned(),
            Err(refusal) => format!("{refusal:?}").replace(&id.to_string(), "ID"),
        }
    };
    let taken = said(foreign, None).await;
    assert!(taken.contains("23505") && !taken.contains(&owner.to_string()), "{taken}");
    assert_eq!(taken, said(own, None).await);
    let free = Uuid::new_v4();
    let long = "repeat('a', 32001)";
    for wrong in [("prompt", "''"), ("variants", "11"), ("slide_prompts", "array_fill(repeat('a', 31000), array[10])")]
    {
        assert_eq!(said(foreign, Some(wrong)).await, said(free, Some(wrong)).await, "{wrong:?}");
    }
    assert!(said(foreign, Some(("slide_prompts", &format!("array[{long}]")))).await.contains("prompt_too_long"));
    // Who is at a limit asks for nothing, and so for free.
    project
        .owner
        .execute("insert into carousel_private.limits (user_id, max_active_jobs) values ($1, 1)", &[&other])
        .await
        .unwrap();
    assert!(said(free, None).await.contains("too_many_active_jobs"));
    assert_eq!(said(foreign, None).await, said(free, None).await);
    // A request of one's own that is repeated is one that was counted already.
    assert!(said(own, None).await.contains("23505"));
}

#[tokio::test]
async fn a_client_may_write_its_own_user_id_and_no_other() {
    let project = Project::new().await;
    let (owner, other) = (project.user().await, project.user().await);
    // A limit of the other's that a refusal must not tell of, and an upload that must not be touched.
    let theirs = format!(
        "insert into carousel_private.limits (user_id, max_active_jobs) values ('{other}', 0);
         insert into public.carousel_uploads (user_id, path) values ('{other}', '{other}/sources/a.png');
         alter table public.carousel_uploads disable trigger user;
         update public.carousel_uploads set renewed_at = '2026-01-01'"
    );
    project.owner.batch_execute(&theirs).await.unwrap();
    project.owner.batch_execute("alter table public.carousel_uploads enable trigger user").await.unwrap();
    let client = project.signed_in(owner).await;
    let inserts = |user: Uuid| {
        [
            insertion(user, &[("user_id", &format!("'{user}'"))], ""),
            format!(
                "insert into {TEMPLATES} (user_id, name, source_paths) values ('{user}', 'mine', array['{user}/sources/a.png'])"
            ),
            format!("insert into public.carousel_uploads (user_id, path) values ('{user}', '{user}/sources/a.png')"),
        ]
    };
    for insert in inserts(other) {
        assert_eq!(run(&client, &insert).await.unwrap_err().to_string(), "42501 user_foreign", "{insert}");
    }
    let untouched = "select count(*) from public.carousel_uploads where renewed_at = '2026-01-01'";
    assert_eq!(value(&project.owner, untouched).await, "1");
    for insert in inserts(owner) {
        assert_eq!(run(&client, &insert).await.unwrap(), 1, "{insert}");
    }
    let mine = format!("select count(*) from {JOBS} where user_id = '{owner}'");
    assert_eq!(value(&client, &mine).await, "1");
}

#[tokio::test]
async fn who_is_not_signed_in_gets_nothing() {
    let project = Project::new().await;
    let user = project.user().await;
    taken_up(&project, user).await;
    let anonymous = project.anonymous().await;
    for table in VISIBLE {
        for statement in [
            format!("select from {table}"),
            format!("insert into {table} default values"),
            format!("update {table} set id = id"),
            format!("delete from {table}"),
        ] {
            let refusal = run(&anonymous, &statement).await.unwrap_err();
            // A view with groups can't be written by anybody.
            let expected =
                if statement.starts_with("select") || !table.ends_with("carousels") { "42501" } else { "55000" };
            assert_eq!(refusal.code, expected, "{statement}: {refusal:?}");
        }
    }
    // A token of the right role that names nobody.
    let nobody = project.signed_in(user).await;
    nobody.batch_execute("set request.jwt.claims = '{\"role\": \"authenticated\"}'").await.unwrap();
    assert_eq!(insert_job(&nobody, user, &[]).await.unwrap_err().to_string(), "23502 user_missing");
    for table in VISIBLE {
        assert_eq!(value(&nobody, &format!("select count(*) from {table}")).await, "0", "{table}");
    }
}

#[tokio::test]
async fn the_private_schema_is_closed_to_everyone_who_comes_through_the_api() {
    let project = Project::new().await;
    let open = "
        select format('%s: schema', role) from unnest($1::text[]) as role where has_schema_privilege(role, 'carousel_private', 'usage, create')
        union all
        select format('%s: %s', role, class.oid::regclass)
        from unnest($1::text[]) as role, pg_class class
        where class.relnamespace = 'carousel_private'::regnamespace and class.relkind in ('r', 'S', 'v')
            and case when class.relkind = 'S' then has_sequence_privilege(role, class.oid, 'usage, select, update')
                else has_table_privilege(role, class.oid, 'select, insert, update, delete, truncate, references, trigger')
                    or has_any_column_privilege(role, class.oid, 'select, insert, update, references') end
        union all
        select format('%s: %s', role, proc.oid::regprocedure)
        from unnest($1::text[]) as role, pg_proc proc
        where proc.pronamespace = 'carousel_private'::regnamespace and has_function_privilege(role, proc.oid, 'execute')";
    let found = async |roles: &[&str]| {
        let rows = project.owner.query(open, &[&roles]).await.unwrap();
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    assert_eq!(found(&["anon", "authenticated", "service_role", "authenticator"]).await, Vec::<String>::new());
    assert!(found(&["carousel_worker"]).await.len() > 5, "the worker may enter");
    let user = project.user().await;
    for client in [project.anonymous().await, project.signed_in(user).await] {
        let refusal = run(&client, "select from carousel_private.limits").await.unwrap_err();
        assert_eq!(
            (refusal.code.as_str(), refusal.message.as_str()),
            ("42501", "permission denied for schema carousel_private")
        );
    }
}

#[tokio::test]
async fn the_secret_key_names_the_user_and_is_held_to_the_same_rules() {
    let project = Project::new().await;
    let (user, other) = (project.user().await, project.user().await);
    let service = project.anonymous().await;
    service.batch_execute("set role service_role").await.unwrap();
    let owner = format!("'{user}'");
    let job = insert_job(&service, user, &[("user_id", &owner)]).await.unwrap();
    assert_eq!(value(&service, &format!("select user_id from {JOBS} where id = '{job}'")).await, user.to_string());
    assert_eq!(insert_job(&service, user, &[]).await.unwrap_err().to_string(), "23502 user_missing");
    let foreign = format!("array['{other}/sources/a.png']");
    let refusal = insert_job(&service, user, &[("user_id", &owner), ("source_paths", &foreign)]).await.unwrap_err();
    assert_eq!(refusal.to_string(), "42501 source_path_foreign");
    assert_eq!(run(&service, &format!("update {JOBS} set status = 'completed'")).await.unwrap_err().code, "23514");
    run(&service, &format!("update {JOBS} set cancel_requested_at = now()")).await.unwrap();
    let refusal =
        run(&service, &format!("update {JOBS} set status = 'processing', stage = 'fetching'")).await.unwrap_err();
    assert_eq!(refusal.to_string(), "23514 transition_forbidden");
}

#[tokio::test]
async fn the_bucket_lets_people_write_only_below_their_sources() {
    let project = Project::new().await;
    let (user, other) = (project.user().await, project.user().await);
    let client = project.signed_in(user).await;
    let upload = |folder: &str| {
        format!("insert into storage.objects (bucket_id, name) values ('generated-carousels', '{folder}/a.png')")
    };
    assert_eq!(run(&client, &upload(&format!("{user}/sources"))).await.unwrap(), 1);
    for folder in [
        format!("{user}/jobs/1"),
        format!("{user}/exports"),
        format!("{user}"),
        format!("{other}/sources"),
        "sources".to_owned(),
        format!("x/{user}/sources"),
    ] {
        let refusal = run(&client, &upload(&folder)).await.unwrap_err();
        assert_eq!(refusal.code, "42501", "{folder}: {refusal:?}");
    }
    project.owner.batch_execute(&upload(&format!("{user}/jobs/1"))).await.unwrap();
    project.owner.batch_execute(&upload(&format!("{other}/sources"))).await.unwrap();
    assert_eq!(value(&client, "select count(*) from storage.objects").await, "2", "their own, generated ones too");
    assert_eq!(value(&project.signed_in(other).await, "select count(*) from storage.objects").await, "1");
    assert_eq!(value(&project.anonymous().await, "select count(*) from storage.objects").await, "0");
    let rename = format!("update storage.objects set name = '{other}/sources/b.png' where name like '%/sources/%'");
    assert_eq!(run(&client, &rename).await.unwrap_err().code, "42501");
    let replace = "update storage.objects set metadata = '{}'";
    assert_eq!(run(&client, replace).await.unwrap(), 1, "only the source");
    client.batch_execute("begin; set local storage.allow_delete_query = 'true'").await.unwrap();
    assert_eq!(run(&client, "delete from storage.objects").await.unwrap(), 1, "only the source");
    client.batch_execute("rollback").await.unwrap();
}
