//! A prompt that the database takes can be made: its bound, and what the worker composes, held together.

use carousel::job::{Format, Image, Job, Size, SlidesFrom};
use carousel::pipeline::compose;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::client::{Refusal, insert_job};
use crate::project::Project;

/// What the provider takes.
const MOST: usize = 32_000;
const RATIOS: [&str; 8] = ["1:1", "4:5", "9:16", "3:4", "16:9", "3:2", "2:3", "auto"];
/// An own shape as long as one can be in words.
const FRAME: Size = Size { width: 1024, height: 1024 };

/// What a client asks for, as far as it goes into a prompt.
#[derive(Clone, Debug)]
struct Asked {
    prompt: String,
    slides: Vec<String>,
    style: Map<String, Value>,
    variants: i32,
    ratios: Vec<&'static str>,
    /// Photos that are a slide each; one that all slides share where this is 0.
    photos: usize,
}

impl Asked {
    fn one(prompt: String) -> Self {
        Self { prompt, slides: Vec::new(), style: Map::new(), variants: 1, ratios: vec!["1:1"], photos: 0 }
    }

    /// The longest prompt among those of its images, in characters.
    fn longest(&self, style: Map<String, Value>) -> usize {
        let job = Job {
            id: Uuid::nil(),
            user_id: Uuid::nil(),
            attempt: 1,
            prompt: self.prompt.clone(),
            slide_prompts: self.slides.clone(),
            source_paths: vec![String::new(); self.photos],
            slides_from: if self.photos == 0 { SlidesFrom::Prompts } else { SlidesFrom::Sources },
            slide_sources: None,
            style,
            variants: self.variants,
            model: None,
            quality: None,
            format: Format::Png,
            background: None,
            partial_previews: 0,
            total_images: 1,
        };
        let slides = 1..=i32::try_from(job.slides()).unwrap();
        let all = slides.flat_map(|slide| (1..=self.variants).map(move |variant| (slide, variant)));
        let length = |(slide, variant)| {
            let of = |ratio: &&str| {
                let image = Image { id: Uuid::nil(), variant, slide, ratio: ratio.parse().unwrap() };
                compose(&job, &image, FRAME).chars().count()
            };
            self.ratios.iter().map(of).max().unwrap()
        };
        all.map(length).max().unwrap()
    }

    async fn insert(&self, client: &Client, user: Uuid) -> Result<Uuid, Refusal> {
        let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let list = |list: &[&str]| {
            format!("array[{}]::text[]", list.iter().map(|one| text(one)).collect::<Vec<_>>().join(", "))
        };
        let slides: Vec<&str> = self.slides.iter().map(String::as_str).collect();
        let style = text(&Value::from(self.style.clone()).to_string());
        let photos = format!("array_fill('{user}/sources/a.png'::text, array[{}])", self.photos.max(1));
        let columns = [
            ("source_paths", &photos),
            ("slides_from", &text(if self.photos == 0 { "prompts" } else { "sources" })),
            ("prompt", &text(&self.prompt)),
            ("slide_prompts", &list(&slides)),
            ("style", &style),
            ("variants", &self.variants.to_string()),
            ("aspect_ratios", &list(&self.ratios)),
        ];
        insert_job(client, user, &columns.map(|(name, value)| (name, value.as_str()))).await
    }
}

/// Texts of every length that a letter can have in bytes, with what is cut off at the ends.
fn words(chance: &mut StdRng, characters: usize) -> String {
    const LETTERS: [char; 12] = ['a', 'ä', '日', '👧', '\u{301}', '"', '\\', '\t', ' ', '\n', '\u{a0}', '{'];
    (0..characters).map(|_| LETTERS[chance.random_range(0..LETTERS.len())]).collect()
}

fn option(chance: &mut StdRng, depth: u32) -> Value {
    let numbers = [
        "0",
        "-0.0",
        "7",
        "1.50",
        "1e-7",
        "0.00001",
        "12345678901234567.8",
        "123456789012345678.9",
        "18446744073709551616",
        "-9223372036854775809",
        "1e300",
        "-1.7976931348623157e299",
        "1e16",
        "123456789.123456789012345",
    ];
    match chance.random_range(0..if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => json!(chance.random_bool(0.5)),
        2..4 => {
            let number = numbers[chance.random_range(0..numbers.len())];
            serde_json::from_str(number).unwrap()
        }
        4..7 => {
            let length = chance.random_range(0..40);
            json!(words(chance, length))
        }
        7 => (0..chance.random_range(0..4)).map(|_| option(chance, depth - 1)).collect(),
        _ => (0..chance.random_range(0..3))
            .map(|at| (format!("k{at}"), option(chance, depth - 1)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

#[tokio::test]
async fn whatever_is_taken_is_composed_to_no_more_than_the_provider_takes() {
    let project = Project::new().await;
    // More is asked for here than a person may have in a day.
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let seed = rand::rng().random_range(0..1_000_000);
    let chance = &mut StdRng::seed_from_u64(seed);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..300 {
        let slides = [0, 0, 1, 2, 9, 10, 12][chance.random_range(0..7)];
        let mut asked = Asked {
            prompt: String::new(),
            slides: (0..slides).map(|_| words(chance, round % 7)).collect(),
            style: (0..chance.random_range(0..6)).map(|at| (format!("a_name_{at}"), option(chance, 3))).collect(),
            variants: [1, 1, 2, 4][chance.random_range(0..4)],
            ratios: RATIOS.sample(chance, 2).copied().collect(),
            photos: [0, if slides == 0 { 11 } else { slides }][chance.random_range(0..2)],
        };
        // Near the bound, on either side of it: by its prompt, by the words of one slide, or by both.
        let near = MOST - asked.longest(asked.style.clone()) + chance.random_range(0..40) - 36;
        let of_slide = match slides {
            0 => 0,
            _ => [0, near / 2, near][chance.random_range(0..3)],
        };
        asked.prompt = format!("x{}x", words(chance, near.saturating_sub(of_slide + 2)));
        if slides > 0 {
            asked.slides[chance.random_range(0..slides)] = format!("x{}x", words(chance, of_slide.saturating_sub(2)));
        }
        match asked.insert(&client, user).await {
            Ok(job) => {
                taken += 1;
                let stored = "select prompt, slide_prompts, style from public.image_generation_jobs where id = $1";
                let row = client.query_one(stored, &[&job]).await.unwrap();
                let style: Value = row.get("style");
                let stored = Asked { prompt: row.get("prompt"), slides: row.get("slide_prompts"), ..asked.clone() };
                let longest = stored.longest(style.as_object().unwrap().clone());
                assert!(longest <= MOST, "seed {seed}, round {round}: {longest} characters");
            }
            Err(refusal) => {
                refused += 1;
                assert_eq!(refusal.to_string(), "23514 prompt_too_long", "seed {seed}, round {round}: {refusal:?}");
                // It is a bound: as JSON an option is longer than in words, and the database writes numbers out. Without options it is exact.
                let longest = asked.longest(asked.style.clone());
                let text = "select 2 * char_length($1::jsonb::text)";
                let text = client.query_one(text, &[&Value::from(asked.style.clone())]).await.unwrap();
                let margin = if asked.style.is_empty() { 0 } else { text.get::<_, i32>(0) as usize };
                assert!(longest + margin > MOST, "seed {seed}, round {round}: {longest} would do, {refusal:?}");
            }
        }
    }
    assert!(taken > 50 && refused > 50, "seed {seed}: {taken} taken, {refused} refused");
}

#[tokio::test]
async fn who_is_refused_is_told_how_many_characters_are_left_and_has_them() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let style = json!({ "mood": "warm and calm", "brand_colors": " amber, teal ", "none": null, "text": "" })
        .as_object()
        .unwrap()
        .clone();
    let many = (1..=10).map(|slide| format!("slide {slide}")).collect::<Vec<_>>();
    for asked in [
        Asked::one("ä".repeat(31_969)),
        Asked::one("ä".repeat(32_000)),
        Asked { style, variants: 2, ..Asked::one("日".repeat(31_900)) },
        Asked { slides: many, ratios: RATIOS[..5].to_vec(), ..Asked::one("👧".repeat(31_930)) },
        Asked { photos: 10, ratios: vec!["auto"], ..Asked::one("👧".repeat(31_960)) },
        Asked { slides: vec!["b".repeat(16_000)], ..Asked::one("a".repeat(16_000)) },
    ] {
        let refusal = asked.insert(&client, user).await.unwrap_err();
        assert_eq!(refusal.to_string(), "23514 prompt_too_long", "{refusal:?}");
        let number = |text: &str| text.split(' ').filter_map(|word| word.parse::<usize>().ok()).next_back().unwrap();
        assert_eq!(number(&refusal.message), asked.longest(asked.style.clone()), "{refusal:?}");
        let words = asked.slides.iter().map(|words| words.chars().count()).max().unwrap_or(0);
        let room = number(&refusal.hint) - words;
        let with =
            |characters: usize| Asked { prompt: asked.prompt.chars().take(characters).collect(), ..asked.clone() };
        with(room + 1).insert(&client, user).await.unwrap_err();
        with(room).insert(&client, user).await.unwrap();
    }
}

#[tokio::test]
async fn values_of_variables_count_as_the_words_that_they_become() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    for (length, fits) in [(7_992, true), (7_993, false)] {
        let variables = format!("jsonb_build_object('a', repeat('ä', {length}))");
        let columns = [("prompt", "repeat('{{a}}', 4)"), ("variables", variables.as_str())];
        let outcome = insert_job(&client, user, &columns).await.map_err(|refusal| refusal.to_string());
        assert_eq!(outcome.is_ok(), fits, "{length}: {outcome:?}");
        assert!(outcome.is_ok() || outcome == Err("23514 prompt_too_long".to_owned()));
    }
}
