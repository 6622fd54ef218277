use std::collections::BTreeSet;
use std::time::Duration;

use carousel::client::{Job, JobList, Status, TemplateList};
use carousel::supabase::{Caller, Change, Cursor, Error};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{operator, project};
use crate::deployment::Deployment;

async fn submit(caller: &Caller, source: &str, title: &str) -> Job {
    let job = json!({ "prompt": "a cup", "title": title, "source_paths": [source] });
    caller.insert_job(&job).await.unwrap()
}

#[tokio::test]
async fn a_person_acts_on_their_jobs_and_on_no_others() {
    let deployment = Deployment::new().await;
    let (anna, bert) = (deployment.person().await, deployment.person().await);
    let project = project(&deployment);
    let (as_anna, as_bert) = (project.person(&anna.token).unwrap(), project.person(&bert.token).unwrap());
    assert_eq!(as_anna.claimed_user(), Some(anna.id));
    let job = submit(&as_anna, &anna.photo().await, "hers").await;
    assert_eq!((job.user_id, job.status), (anna.id, Status::Pending));

    assert_eq!(as_anna.job(job.id).await.unwrap().id, job.id);
    for caller in [&as_bert, &project.key_holder()] {
        assert!(matches!(caller.job(job.id).await, Err(Error::NotFound | Error::Unauthorized { .. })));
        assert!(caller.cancel_job(job.id).await.is_err());
        assert!(caller.delete_job(job.id).await.is_err());
    }
    assert_eq!(operator(&deployment).job(job.id).await.unwrap().user_id, anna.id);

    let cancelled = as_anna.cancel_job(job.id).await.unwrap();
    assert_eq!(cancelled.status, Status::Cancelled);
    assert_eq!(as_anna.retry_job(job.id).await.unwrap().status, Status::Pending);
    let worker = deployment.worker();
    anna.over(&job.id.to_string()).await;
    worker.drain().await;
    let (done, images) = as_anna.job_with_images(job.id).await.unwrap();
    assert_eq!((done.status, images.len()), (Status::Completed, 1));
    assert_eq!(as_anna.images(job.id).await.unwrap()[0].storage_path, images[0].storage_path);
    assert_eq!(as_anna.carousels_of(job.id).await.unwrap()[0].completed_slides, 1);
    as_anna.delete_job(job.id).await.unwrap();
    assert!(matches!(as_anna.job(job.id).await, Err(Error::NotFound)));
    assert!(matches!(as_anna.delete_job(job.id).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn what_goes_wrong_is_told_by_its_meaning() {
    let deployment = Deployment::new().await;
    let (anna, bert) = (deployment.person().await, deployment.person().await);
    let project = project(&deployment);
    let caller = project.person(&anna.token).unwrap();
    let source = anna.photo().await;

    let forged = project.person("eyJhbGciOiJFUzI1NiJ9.e30.c2ln").unwrap();
    assert!(matches!(forged.job(Uuid::new_v4()).await, Err(Error::Unauthorized { .. })));
    let foreign = json!({ "prompt": "x", "source_paths": [bert.photo().await] });
    match caller.insert_job(&foreign).await {
        Err(Error::Refused { status: 403, code, hint: Some(_), .. }) => assert_eq!(code, "source_path_foreign"),
        other => panic!("{other:?}"),
    }
    let rule = json!({ "prompt": "x", "source_paths": [source], "quality": "best" });
    match caller.insert_job(&rule).await {
        Err(Error::Refused { status: 400, code, .. }) => assert_eq!(code, "quality_known"),
        other => panic!("{other:?}"),
    }
    let forbidden = json!({ "prompt": "x", "source_paths": [source], "status": "completed" });
    assert!(matches!(caller.insert_job(&forbidden).await, Err(Error::Forbidden { .. })));
    let malformed = json!({ "prompt": "x", "source_paths": [source], "run_at": "soon" });
    assert!(matches!(caller.insert_job(&malformed).await, Err(Error::Invalid { .. })));

    // A key with everything in it that a filter could mean.
    let key = r#"a,b.eq."c")&or=(id.gt.0"#;
    let keyed = json!({ "prompt": "x", "source_paths": [source], "idempotency_key": key });
    let first = caller.insert_job(&keyed).await.unwrap();
    assert!(matches!(caller.insert_job(&keyed).await, Err(Error::Conflict { .. })));
    assert_eq!(caller.job_by_key(None, key).await.unwrap().map(|job| job.id), Some(first.id));
    assert!(caller.job_by_key(None, "another").await.unwrap().is_none());

    deployment.project.owner.batch_execute("update carousel_private.limits set max_active_jobs = 1").await.unwrap();
    match caller.insert_job(&json!({ "prompt": "x", "source_paths": [source] })).await {
        Err(Error::Refused { status: 429, code, .. }) => assert_eq!(code, "too_many_active_jobs"),
        other => panic!("{other:?}"),
    }
    let nowhere =
        carousel::supabase::Project::new(&"http://127.0.0.1:1".parse().unwrap(), "k".to_owned().into(), &[]).unwrap();
    assert!(matches!(nowhere.key_holder().job(Uuid::nil()).await, Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn pages_have_every_job_once_newest_first() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let caller = project(&deployment).person(&anna.token).unwrap();
    let source = anna.photo().await;
    // One statement, one time: only the ids order them.
    let jobs: Vec<Value> = (0..7).map(|_| json!({ "prompt": "x", "source_paths": [source] })).collect();
    let inserted: Vec<Job> =
        caller.rows(caller.from("image_generation_jobs").insert(json!(jobs).to_string())).await.unwrap();
    let last = submit(&caller, &source, "last").await;

    let (mut seen, mut after) = (Vec::new(), None::<Cursor>);
    loop {
        let page = caller.jobs(&JobList::default(), 3, after.as_ref()).await.unwrap();
        assert!(page.rows.len() <= 3 && !page.rows.is_empty());
        seen.extend(page.rows.iter().map(|job| job.id));
        match page.next {
            Some(next) => after = Some(next.to_string().parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen[0], last.id);
    let expected: BTreeSet<Uuid> = inserted.iter().map(|job| job.id).chain([last.id]).collect();
    assert_eq!(seen.len(), expected.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);

    caller.cancel_job(last.id).await.unwrap();
    let list =
        JobList { status: vec![Status::Cancelled, Status::Failed], template_id: last.template_id, batch_id: None };
    let page = caller.jobs(&list, 10, None).await.unwrap();
    assert_eq!(page.rows.iter().map(|job| job.id).collect::<Vec<_>>(), [last.id]);
    assert!(page.next.is_none());
}

#[tokio::test]
async fn templates_are_found_by_text_tags_and_mark() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let caller = project(&deployment).person(&anna.token).unwrap();
    let source = anna.photo().await;
    let insert = async |name: &str, tags: &[&str], marked: bool| {
        let template = json!({ "name": name, "tags": tags, "is_favorite": marked, "source_paths": [source] });
        caller.insert_template(&template).await.unwrap()
    };
    let spring = insert("Spring 50% off", &["sale", "a,b\"}{\\"], true).await;
    let autumn = insert("Autumn 50 percent (new)", &["sale"], false).await;

    let found = async |list: TemplateList| {
        let page = caller.templates(&list, 10, None).await.unwrap();
        page.rows.into_iter().map(|template| template.id).collect::<Vec<_>>()
    };
    let search = |text: &str| TemplateList { search: Some(text.to_owned()), ..TemplateList::default() };
    assert_eq!(found(TemplateList::default()).await, [autumn.id, spring.id]);
    assert_eq!(found(search("SPRING")).await, [spring.id]);
    assert_eq!(found(search("50%")).await, [spring.id]);
    assert_eq!(found(search("(new)")).await, [autumn.id]);
    assert_eq!(found(search("\"),id.neq.0,name.ilike.(\"*")).await, [] as [Uuid; 0]);
    let tags = |tags: &[&str]| TemplateList {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..TemplateList::default()
    };
    assert_eq!(found(tags(&["sale"])).await, [autumn.id, spring.id]);
    assert_eq!(found(tags(&["sale", "a,b\"}{\\"])).await, [spring.id]);
    assert_eq!(found(TemplateList { is_favorite: Some(true), ..TemplateList::default() }).await, [spring.id]);
    assert_eq!(found(TemplateList { is_favorite: Some(false), ..search("50") }).await, [autumn.id]);

    let page = caller.templates(&search("50"), 1, None).await.unwrap();
    let rest = caller.templates(&search("50"), 1, page.next.as_ref()).await.unwrap();
    assert_eq!((page.rows[0].id, rest.rows[0].id, rest.next), (autumn.id, spring.id, None));

    let changed = caller.change_template(spring.id, &json!({ "name": "Summer", "tags": [] })).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.tags.len()), ("Summer", 0));
    caller.delete_template(spring.id).await.unwrap();
    assert!(matches!(caller.template(spring.id).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn changes_of_ones_own_rows_are_heard_and_a_bad_token_is_not_let_in() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let project = project(&deployment);
    let caller = project.person(&anna.token).unwrap();
    let change = Change { table: "image_generation_jobs".to_owned(), filter: Some(format!("user_id=eq.{}", anna.id)) };
    let mut changes = caller.changes(std::slice::from_ref(&change)).await.unwrap();
    let job = submit(&caller, &anna.photo().await, "heard").await;
    let event = tokio::time::timeout(Duration::from_secs(60), changes.next()).await.expect("it is heard").unwrap();
    assert_eq!(event.record["id"], job.id.to_string());

    let forged = project.person("eyJhbGciOiJFUzI1NiJ9.e30.c2ln").unwrap();
    assert!(matches!(forged.changes(&[change]).await, Err(Error::Unauthorized { .. })));
}

/// What a row has and its type has not would be missing in every answer.
#[tokio::test]
async fn a_row_has_every_column_of_its_table() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let caller = project(&deployment).person(&anna.token).unwrap();
    let job = submit(&caller, &anna.photo().await, "whole").await;
    let worker = deployment.worker();
    anna.over(&job.id.to_string()).await;
    worker.drain().await;
    let (jobs, images, templates) =
        ("image_generation_jobs", "generated_carousel_images", "image_generation_templates");
    // What may be long is left out where there are many rows.
    let texts: &[&str] = &["prompt", "slide_prompts", "source_paths", "style", "variables"];
    let of_template: &[&str] = &["prompt", "slide_prompts", "style", "variables"];
    let listed = caller.jobs(&JobList::default(), 10, None).await.unwrap().rows;
    let gallery = caller.templates(&TemplateList::default(), 10, None).await.unwrap().rows;
    let typed = [
        (jobs, json!(caller.job(job.id).await.unwrap()), &[] as &[&str]),
        (jobs, json!(listed[0]), texts),
        (jobs, json!(caller.progress(job.id).await.unwrap().0), texts),
        (images, json!(caller.images(job.id).await.unwrap()[0]), &["prompt"]),
        (images, json!(caller.job_with_images(job.id).await.unwrap().1[0]), &["prompt"]),
        ("generated_carousels", json!(caller.carousels_of(job.id).await.unwrap()[0]), &[]),
        (templates, json!(caller.template(job.template_id.unwrap()).await.unwrap()), &[]),
        (templates, json!(gallery[0]), of_template),
    ];
    for (table, typed, left_out) in typed {
        let mut rows: Vec<Value> = caller.rows(caller.from(table)).await.unwrap();
        rows[0].as_object_mut().unwrap().retain(|column, _| !left_out.contains(&column.as_str()));
        assert_eq!(rows[0], typed, "{table}");
    }
}
