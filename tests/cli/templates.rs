//! `carousel templates`.

use serde_json::{Value, json};

use crate::acting::{json, operator, person, refused};
use crate::deployment::Deployment;
use crate::ended;

#[tokio::test]
async fn a_template_is_found_marked_renamed_copied_and_deleted() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let template = json!({
        "name": "Desk", "prompt": "calm {{product}}", "variables": { "product": "desk" }, "slide_prompts": ["one"], "aspect_ratios": ["4:5"], "variants": 2,
        "style": { "mood": "warm" }, "tags": ["office", "a,b"], "source_paths": [me.photo().await],
    });
    let (_, rows) = me.rest("POST", "image_generation_templates", Some(&template)).await;
    let id = rows[0]["id"].as_str().unwrap();
    let mine = |arguments: &[&str]| json(person(&me, &[arguments, &["--json"]].concat()), 0);

    for (filter, found) in [
        (&["--search", "DES"][..], 1),
        (&["--search", "lamp"], 0),
        (&["--tag", "office", "--tag", "a,b"], 1),
        (&["--tag", "b"], 0),
        (&["--favorites"], 0),
    ] {
        let listed = mine(&[&["templates", "list"], filter].concat()).await;
        assert_eq!(listed["templates"].as_array().unwrap().len(), found, "{filter:?}");
    }
    assert_eq!(mine(&["templates", "favorite", id]).await["template"]["is_favorite"], true);
    assert_eq!(mine(&["templates", "list", "--favorites"]).await["templates"][0]["id"], id);
    assert_eq!(mine(&["templates", "favorite", id, "--off"]).await["template"]["is_favorite"], false);
    assert_eq!(mine(&["templates", "rename", id, "Table"]).await["template"]["name"], "Table");
    let (_, said, _) = ended(person(&me, &["templates", "show", id])).await;
    assert!(said.contains("Name       Table") && said.contains("Ratios     4:5"), "{said}");

    let copy = mine(&["templates", "duplicate", id]).await["template"].take();
    assert_eq!(copy["name"], "Table (copy)");
    for column in ["prompt", "variables", "slide_prompts", "aspect_ratios", "variants", "style", "tags", "source_paths"]
    {
        assert_eq!(copy[column], template[column], "{column}");
    }
    let by_operator = json(operator(&deployment, &["templates", "duplicate", id, "--name", "Ours", "--json"]), 0).await;
    assert_eq!(
        (&by_operator["template"]["user_id"], &by_operator["template"]["name"]),
        (&json!(me.id), &json!("Ours"))
    );
    assert_eq!(mine(&["templates", "delete", id]).await["template"]["id"], id);
    refused(person(&me, &["templates", "show", id]), 6).await;
    let left: Value = mine(&["templates", "list"]).await["templates"].take();
    assert_eq!(left.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn another_persons_template_is_not_found_by_any_command() {
    let deployment = Deployment::new().await;
    let (me, other) = (deployment.person().await, deployment.person().await);
    let job = me.submit(&json!({ "prompt": "calm", "source_paths": [me.photo().await] })).await;
    let template = me.job(&job).await["template_id"].as_str().unwrap().to_owned();
    for arguments in
        [&["show"][..], &["favorite"], &["rename", "mine now"], &["duplicate"], &["delete"]].map(<[&str]>::to_vec)
    {
        let (command, rest) = arguments.split_first().unwrap();
        let arguments = [&["templates", command, template.as_str()], rest].concat();
        refused(person(&other, &arguments), 6).await;
    }
    let (_, rows) = me.rest("GET", "image_generation_templates", None).await;
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["name"]), (1, &json!("calm")));
    let error = refused(person(&me, &["templates", "rename", &template, " "]), 1).await;
    assert!(error.contains("name_1_to_200_characters"), "{error}");
}

#[tokio::test]
async fn a_variable_gets_its_value_from_the_command_line_and_one_without_is_named() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let template = json!({
        "name": "Any", "prompt": "a {{product}} in {{place}}", "variables": { "place": "a room" }, "source_paths": [me.photo().await],
    });
    let (_, rows) = me.rest("POST", "image_generation_templates", Some(&template)).await;
    let id = rows[0]["id"].as_str().unwrap();
    let error = refused(person(&me, &["templates", "use", id]), 1).await;
    assert!(error.contains("product") && error.contains("has no value"), "{error}");
    let told = json(person(&me, &["templates", "use", id, "--var", "product=lamp = light", "--json"]), 0).await;
    assert_eq!(told["job"]["prompt"], "a lamp = light in a room");
    let (_, said, _) = ended(person(&me, &["jobs", "show", told["job"]["id"].as_str().unwrap()])).await;
    assert!(said.contains("place=a room, product=lamp = light") && said.contains("version 1"), "{said}");
}
