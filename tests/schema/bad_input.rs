//! What a client can get wrong in a job: refused at insert, with a code, in words that name the fix.

use crate::client::{insert_job, run, value};
use crate::project::Project;

/// Column, value as SQL, and what the refusal is to be.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("source_paths", "array['00000000-0000-4000-8000-000000000000/sources/a.png']", "42501 source_path_foreign"),
    ("source_paths", "array['{user}/sources/a.png', 'sources/a.png']", "42501 source_path_foreign"),
    ("source_paths", "array['{user}/../00000000-0000-4000-8000-000000000000/a.png']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}/sources/..']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}/./a.png']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}//a.png']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}/sources/']", "23514 source_path_invalid"),
    ("source_paths", "array['/{user}/sources/a.png']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}']", "23514 source_path_invalid"),
    ("source_paths", "array['']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}/sources/a' || chr(10) || '.png']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}/sources/a.png' || chr(10)]", "23514 source_path_invalid"),
    ("source_paths", "array['{user}' || chr(10) || '/sources/a.png']", "42501 source_path_foreign"),
    ("source_paths", "array['{user}/sources/ä.png']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}/sources/%2e%2e/a.png']", "23514 source_path_invalid"),
    ("source_paths", "array['{user}/sources\\a.png']", "23514 source_path_invalid"),
    ("source_paths", "array[rpad('{user}/sources/', 513, 'a')]", "23514 source_path_invalid"),
    ("source_paths", "array['{user}/sources/a.png', null]", "23514 source_path_invalid"),
    ("source_paths", "array[array['{user}/sources/a.png']]", "23514 lists_are_flat"),
    ("source_paths", "'{}'", "23514 sources_missing"),
    ("source_paths", "null", "23514 sources_missing"),
    ("source_paths", "array_fill('{user}/sources/a.png'::text, array[17])", "23514 too_many_sources"),
    ("prompt", "repeat('a', 32001)", "23514 prompt_at_most_32000_characters"),
    ("prompt", "repeat('a', 32000)", "23514 prompt_too_long"),
    ("prompt", "''", "23514 prompt_missing"),
    ("prompt", "null", "23514 prompt_missing"),
    ("prompt", "e' \\t\\n'", "23514 prompt_missing"),
    ("slide_prompts", "array[repeat('a', 32001)]", "23514 prompt_too_long"),
    ("slide_prompts", "array['one', null]", "23514 slide_prompt_missing"),
    ("slide_prompts", "array[array['one', 'two'], array['three', 'four']]", "23514 lists_are_flat"),
    ("slide_prompts", "array_fill('one'::text, array[101])", "23514 too_many_images"),
    ("aspect_ratios", "'{}'", "23514 aspect_ratios_invalid"),
    ("slides_from", "'photos'", "23514 slides_from_invalid"),
    ("slides_from", "''", "23514 slides_from_invalid"),
    ("slide_sources", "'{}'", "23514 slide_sources_invalid"),
    ("slide_sources", "'\"1\"'", "23514 slide_sources_invalid"),
    ("slide_sources", "'1'", "23514 slide_sources_invalid"),
    ("slide_sources", "'true'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[1]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[null]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[{\"1\": 1}]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[1], [1]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[0]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[-1]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[2]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[1, 2]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[1, 1]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[[1]]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[1.5]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[1.0]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[1e300]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[1e131071]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[\"1\"]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[null]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "'[[true]]'", "23514 slide_sources_invalid"),
    ("slide_sources", "jsonb_build_array(to_jsonb(array_fill(1, array[17])))", "23514 slide_sources_invalid"),
    ("slide_sources", "(repeat('[', 3000) || repeat(']', 3000))::jsonb", "23514 slide_sources_invalid"),
    ("aspect_ratios", "'{2:1}'", "23514 aspect_ratios_invalid"),
    ("aspect_ratios", "'{auto,1:1,auto}'", "23514 aspect_ratios_invalid"),
    ("aspect_ratios", "'{Auto}'", "23514 aspect_ratios_invalid"),
    ("aspect_ratios", "'{1:1,square}'", "23514 aspect_ratios_invalid"),
    ("aspect_ratios", "'{1:1,4:5,1:1}'", "23514 aspect_ratios_invalid"),
    ("aspect_ratios", "array[null]::text[]", "23514 aspect_ratios_invalid"),
    ("aspect_ratios", "array['1:1', null]", "23514 aspect_ratios_invalid"),
    ("aspect_ratios", "array[array['1:1', '4:5']]", "23514 lists_are_flat"),
    ("variants", "0", "23514 variants_out_of_range"),
    ("variants", "-1", "23514 variants_out_of_range"),
    ("variants", "11", "23514 variants_out_of_range"),
    ("variants", "2147483647", "23514 variants_out_of_range"),
    ("style", "'[]'", "23514 style_is_a_small_object"),
    ("style", "'\"warm\"'", "23514 style_is_a_small_object"),
    ("style", "'null'", "23514 style_is_a_small_object"),
    ("style", "jsonb_build_object('mood', repeat('a', 8192))", "23514 style_is_a_small_object"),
    ("style", "'{\"mood\": 1e400}'", "23514 style_is_shallow_with_ordinary_numbers"),
    ("style", "'{\"mood\": [-1e400]}'", "23514 style_is_shallow_with_ordinary_numbers"),
    ("style", "'{\"mood\": [[[[[[[[[[[[\"warm\"]]]]]]]]]]]]}'", "23514 style_is_shallow_with_ordinary_numbers"),
    ("variables", "'[]'", "23514 variables_are_few_and_small"),
    ("variables", "'\"a\"'", "23514 variables_are_few_and_small"),
    ("variables", "'null'", "23514 variables_are_few_and_small"),
    ("variables", "jsonb_build_object('a', repeat('b', 16384))", "23514 variables_are_few_and_small"),
    (
        "variables",
        "(select jsonb_object_agg('a' || number, '') from generate_series(1, 51) as number)",
        "23514 variables_are_few_and_small",
    ),
    ("variables", "'{\"a\": 1}'", "23514 variables_are_texts"),
    ("variables", "'{\"a\": null}'", "23514 variables_are_texts"),
    ("variables", "'{\"a\": {\"b\": \"c\"}}'", "23514 variables_are_texts"),
    ("variables", "'{\"a\": [\"b\"]}'", "23514 variables_are_texts"),
    ("variables", "'{\"\": \"b\"}'", "23514 variables_have_plain_names"),
    ("variables", "'{\"Product\": \"b\"}'", "23514 variables_have_plain_names"),
    ("variables", "'{\"a\\n\": \"b\"}'", "23514 variables_have_plain_names"),
    ("variables", "'{\"a-b\": \"c\"}'", "23514 variables_have_plain_names"),
    ("variables", "jsonb_build_object(repeat('a', 51), 'b')", "23514 variables_have_plain_names"),
    ("background", "'blue'", "23514 background_known"),
    ("output_format", "'gif'", "23514 output_format_known"),
    ("partial_previews", "4", "23514 partial_previews_between_0_and_3"),
    ("partial_previews", "-1", "23514 partial_previews_between_0_and_3"),
    ("priority", "101", "23514 priority_between_minus_100_and_100"),
    ("priority", "-101", "23514 priority_between_minus_100_and_100"),
    ("model", "''", "23514 model_is_a_name"),
    ("model", "'gpt image'", "23514 model_is_a_name"),
    ("model", "'gpt-image-2\"; drop'", "23514 model_is_a_name"),
    ("model", "'gpt-image-2' || chr(10)", "23514 model_is_a_name"),
    ("model", "repeat('a', 101)", "23514 model_is_a_name"),
    ("quality", "'best'", "23514 quality_known"),
    ("title", "repeat('a', 201)", "23514 title_at_most_200_characters"),
    ("idempotency_key", "''", "23514 idempotency_key_1_to_200_characters"),
    ("idempotency_key", "repeat('a', 201)", "23514 idempotency_key_1_to_200_characters"),
    ("run_at", "'infinity'", "23514 run_at_finite"),
    ("run_at", "'-infinity'", "23514 run_at_finite"),
    ("template_id", "gen_random_uuid()", "42501 template_not_found"),
];

/// Columns that are wrong together.
const COMBINATIONS: &[(&[(&str, &str)], &str)] = &[
    (&[("variants", "10"), ("slide_prompts", "array_fill('one'::text, array[11])")], "23514 too_many_images"),
    (
        &[("variants", "7"), ("slide_prompts", "'{one,two,three}'"), ("aspect_ratios", "'{1:1,4:5,9:16,3:4,16:9}'")],
        "23514 too_many_images",
    ),
    (
        &[("slides_from", "'sources'"), ("source_paths", "array_fill('{user}/sources/a.png'::text, array[101])")],
        "23514 too_many_sources",
    ),
    (
        &[
            ("slides_from", "'sources'"),
            ("source_paths", "array_fill('{user}/sources/a.png'::text, array[51])"),
            ("variants", "2"),
        ],
        "23514 too_many_images",
    ),
    (
        &[
            ("slides_from", "'sources'"),
            ("source_paths", "array_fill('{user}/sources/a.png'::text, array[2])"),
            ("slide_prompts", "'{one}'"),
        ],
        "23514 slide_prompts_mismatched",
    ),
    (&[("slides_from", "'sources'"), ("slide_prompts", "'{one,two}'")], "23514 slide_prompts_mismatched"),
    (&[("slides_from", "'sources'"), ("slide_sources", "'[[1]]'")], "23514 slide_sources_invalid"),
    (
        &[("source_paths", "array_fill('{user}/sources/a.png'::text, array[2])"), ("slide_sources", "'[[1]]'")],
        "23514 slide_sources_invalid",
    ),
    (
        &[("source_paths", "array_fill('{user}/sources/a.png'::text, array[17])"), ("slide_sources", "'[[1]]'")],
        "23514 slide_sources_invalid",
    ),
    (
        &[("source_paths", "array_fill('{user}/sources/a.png'::text, array[101])"), ("slide_sources", "'[[1]]'")],
        "23514 too_many_sources",
    ),
    (&[("background", "'transparent'"), ("output_format", "'jpeg'")], "23514 transparent_needs_png_or_webp"),
    (&[("prompt", "' '"), ("slide_prompts", "'{one,\" \"}'")], "23514 prompt_missing"),
];

#[tokio::test]
async fn every_mistake_is_refused_with_its_code_and_leaves_nothing() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let single: Vec<_> = MISTAKES.iter().map(|(column, value, refusal)| (vec![(*column, *value)], *refusal)).collect();
    let combined = COMBINATIONS.iter().map(|(columns, refusal)| (columns.to_vec(), *refusal));
    for (columns, expected) in single.into_iter().chain(combined) {
        let Err(refusal) = insert_job(&client, user, &columns).await else { panic!("accepted: {columns:?}") };
        assert_eq!(refusal.to_string(), expected, "{columns:?}: {refusal:?}");
        // What the client wrote to is named, and what we refuse in our own words says what to do.
        if refusal.message.contains("violates check constraint") {
            assert!(refusal.message.contains("\"image_generation_jobs\""), "{refusal:?}");
        } else {
            assert!(!refusal.hint.is_empty(), "{refusal:?}");
        }
    }
    for table in ["public.image_generation_jobs", "public.image_generation_templates", "carousel_private.queue"] {
        assert_eq!(value(&project.owner, &format!("select count(*) from {table}")).await, "0", "{table}");
    }
}

#[tokio::test]
async fn what_is_just_within_the_bounds_is_taken() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let bounds: &[&[(&str, &str)]] = &[
        &[("source_paths", "array[rpad('{user}/sources/', 512, 'a')]")],
        &[("source_paths", "array['{user}/sources/folder/a (1) & b''s..photo!.png', '{user}/jobs/x/1-1-1x1.png']")],
        &[("source_paths", "array_fill('{user}/sources/a.png'::text, array[16])")],
        &[("slides_from", "'sources'"), ("source_paths", "array_fill('{user}/sources/a.png'::text, array[100])")],
        &[
            ("slides_from", "'sources'"),
            ("source_paths", "array_fill('{user}/sources/b.png'::text, array[17])"),
            ("slide_prompts", "array_fill('one'::text, array[17])"),
        ],
        &[("slides_from", "null"), ("slide_sources", "null")],
        &[("slide_sources", "'null'")],
        &[("slide_sources", "'[[1]]'")],
        &[
            ("source_paths", "array_fill('{user}/sources/c.png'::text, array[100])"),
            ("slide_prompts", "array_fill(''::text, array[7])"),
            (
                "slide_sources",
                "(select jsonb_agg(numbers) from (select jsonb_agg(number) as numbers from generate_series(1, 100) as number
                  group by (number - 1) / 16) as slides)",
            ),
        ],
        &[
            ("source_paths", "array_fill('{user}/sources/d.png'::text, array[2])"),
            ("slide_prompts", "'{one,two,three}'"),
            ("slide_sources", "'[[2, 1], [2], [1]]'"),
        ],
        &[("aspect_ratios", "'{1:1,4:5,9:16,3:4,16:9,3:2,2:3,auto}'")],
        &[("prompt", "repeat('ä', 31968)")],
        &[("prompt", "''"), ("slide_prompts", "'{one,two}'")],
        &[("prompt", "null"), ("slide_prompts", "'{one}'")],
        &[("slide_prompts", "'{one,\"\"}'")],
        &[("slide_prompts", "array_fill('one'::text, array[100])")],
        &[("variants", "10"), ("slide_prompts", "'{one,two}'"), ("aspect_ratios", "'{1:1,4:5,9:16,3:4,16:9}'")],
        &[("style", "'{\"mood\": {\"a\": [1, -1e300, true, null, \"x\"]}}'")],
        &[(
            "variables",
            "(select jsonb_object_agg(rpad('a' || number, 50, '_'), 'ä') from generate_series(1, 50) as number)",
        )],
        &[("variables", "jsonb_build_object('a', repeat('b', 16375))")],
        &[
            ("model", "'models/gpt-image-2:2026_01.a'"),
            ("quality", "'max'"),
            ("partial_previews", "3"),
            ("priority", "-100"),
        ],
        &[("background", "'transparent'"), ("output_format", "'webp'")],
        &[("background", "'transparent'"), ("title", "repeat('ä', 200)")],
        &[("run_at", "now() + interval '30 years'"), ("priority", "100"), ("title", "e' \\n'")],
    ];
    for columns in bounds {
        if let Err(refusal) = insert_job(&client, user, columns).await {
            panic!("{columns:?}: {refusal:?}");
        }
    }
}

#[tokio::test]
async fn a_template_is_held_to_the_same_rules() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let mistakes = [
        ("name", "' '", "23514 name_1_to_200_characters"),
        ("name", "repeat('a', 201)", "23514 name_1_to_200_characters"),
        ("description", "repeat('a', 2001)", "23514 description_at_most_2000_characters"),
        ("source_paths", "array['other/sources/a.png']", "42501 source_path_foreign"),
        ("source_paths", "'{}'", "23514 source_paths_1_to_100"),
        ("source_paths", "array[array['{user}/sources/a.png']]", "23514 lists_are_flat"),
        ("source_paths", "array_fill('{user}/sources/a.png'::text, array[17])", "23514 too_many_sources"),
        ("slides_from", "'photos'", "23514 slides_from_invalid"),
        ("slide_sources", "'[[2]]'", "23514 slide_sources_invalid"),
        ("slide_sources", "'[[1.0]]'", "23514 slide_sources_invalid"),
        ("slide_sources", "'{}'", "23514 slide_sources_invalid"),
        ("slides_from", "'sources', slide_prompts = '{one,two}'", "23514 slide_prompts_mismatched"),
        ("slide_prompts", "array['one', null]", "23514 slide_prompt_missing"),
        ("slide_prompts", "array_fill('one'::text, array[101])", "23514 slide_prompts_at_most_100"),
        ("aspect_ratios", "array['1:1', null]", "23514 aspect_ratios_known_and_distinct"),
        ("aspect_ratios", "'{1:1,1:1}'", "23514 aspect_ratios_known_and_distinct"),
        ("aspect_ratios", "array[array['1:1']]", "23514 lists_are_flat"),
        ("variants", "11", "23514 variants_between_1_and_10"),
        ("style", "'{\"mood\": 1e400}'", "23514 style_is_shallow_with_ordinary_numbers"),
        ("variables", "'[]'", "23514 variables_are_few_and_small"),
        ("variables", "'{\"a\": [\"b\"]}'", "23514 variables_are_texts"),
        ("variables", "'{\"A\": \"b\"}'", "23514 variables_have_plain_names"),
        ("tags", "array_fill('a'::text, array[51])", "23514 tags_at_most_50"),
        ("tags", "array['a', null]", "23514 tags_at_most_50"),
        ("tags", "array[array['a']]", "23514 lists_are_flat"),
    ];
    let good = format!(
        "insert into public.image_generation_templates (name, source_paths) values ('one', array['{user}/sources/a.png'])"
    );
    run(&client, &good).await.unwrap();
    for (column, wrong, expected) in mistakes {
        let wrong = wrong.replace("{user}", &user.to_string());
        let statement = format!("update public.image_generation_templates set {column} = {wrong}");
        let Err(refusal) = run(&client, &statement).await else { panic!("accepted: {statement}") };
        assert_eq!(refusal.to_string(), expected, "{statement}: {refusal:?}");
    }
}
