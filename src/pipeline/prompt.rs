//! The words that are sent to the provider.

use serde_json::{Map, Value};

use crate::job::{AspectRatio, Image, Job, Size};

/// Composes what is sent for one image from the job's prompt, the slide's own words and the style options, in this order:
///
/// 1. the job's prompt;
/// 2. with more than one slide, `Slide 2 of 3`, and the slide's words;
/// 3. with style options, `Style:` and a line for each, keys in alphabetical order, `_` read as a space;
/// 4. with more than one variant, `Variation 1 of 2` and the wish that variants differ;
/// 5. the shape of the frame, with `auto` by the size that is asked for.
///
/// The same job always gives the same words, so an image that is made again is asked for in the same way.
pub fn compose(job: &Job, image: &Image, size: Size) -> String {
    let mut parts = Vec::new();
    if !job.prompt.trim().is_empty() {
        parts.push(job.prompt.trim().to_owned());
    }
    let words = usize::try_from(image.slide - 1).ok().and_then(|index| job.slide_prompts.get(index));
    let words = words.map_or("", |words| words.trim());
    match (job.slides(), words) {
        (1, "") => {}
        (1, words) => parts.push(words.to_owned()),
        (slides, "") => parts.push(format!("Slide {} of {slides} of one carousel.", image.slide)),
        (slides, words) => parts.push(format!("Slide {} of {slides} of one carousel: {words}", image.slide)),
    }
    if let Some(style) = style(&job.style) {
        parts.push(style);
    }
    if job.variants > 1 {
        parts.push(format!(
            "Variation {} of {}: keep the subject, and choose a composition of your own.",
            image.variant, job.variants
        ));
    }
    parts.push(match image.ratio {
        AspectRatio::Auto => format!("Compose it for a frame of {size}."),
        ratio => format!("Compose it for a frame of {ratio}."),
    });
    parts.join("\n\n")
}

fn style(options: &Map<String, Value>) -> Option<String> {
    let mut lines: Vec<String> = options
        .iter()
        .filter_map(|(name, value)| Some(format!("- {}: {}", name.replace('_', " "), words(value)?)))
        .collect();
    lines.sort();
    (!lines.is_empty()).then(|| format!("Style:\n{}", lines.join("\n")))
}

/// A value as a person would say it; nothing for what says nothing.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some("yes".to_owned()),
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().filter_map(words).collect();
            (!values.is_empty()).then(|| values.join(", "))
        }
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use crate::job::{AspectRatio, Format, Image, Job, Size, SlidesFrom};

    fn compose(job: &Job, image: &Image) -> String {
        super::compose(job, image, Size { width: 1184, height: 736 })
    }

    fn job() -> Job {
        Job {
            id: Uuid::nil(),
            user_id: Uuid::nil(),
            attempt: 1,
            prompt: "A cup of coffee".to_owned(),
            slide_prompts: Vec::new(),
            source_paths: Vec::new(),
            slides_from: SlidesFrom::Prompts,
            slide_sources: None,
            style: serde_json::Map::new(),
            variants: 1,
            model: None,
            quality: None,
            format: Format::Png,
            background: None,
            partial_previews: 0,
            total_images: 1,
        }
    }

    fn image(variant: i32, slide: i32) -> Image {
        Image { id: Uuid::nil(), variant, slide, ratio: AspectRatio::Portrait }
    }

    #[test]
    fn a_single_image_is_asked_for_in_the_owners_words() {
        assert_eq!(compose(&job(), &image(1, 1)), "A cup of coffee\n\nCompose it for a frame of 4:5.");
    }

    #[test]
    fn slide_style_and_variant_are_added_in_this_order() {
        let job = Job {
            slide_prompts: vec!["beans".to_owned(), " steam ".to_owned(), String::new()],
            style: json!({"tone": "warm", "brand_colors": ["#fff", "#000"], "grain": true, "text": "", "none": null})
                .as_object()
                .unwrap()
                .clone(),
            variants: 2,
            ..job()
        };
        assert_eq!(
            compose(&job, &image(2, 2)),
            "A cup of coffee\n\nSlide 2 of 3 of one carousel: steam\n\nStyle:\n- brand colors: #fff, #000\n- grain: yes\n- tone: warm\n\n\
             Variation 2 of 2: keep the subject, and choose a composition of your own.\n\nCompose it for a frame of 4:5."
        );
        assert!(compose(&job, &image(1, 3)).contains("Slide 3 of 3 of one carousel.\n"));
    }

    #[test]
    fn one_slide_prompt_stands_for_itself() {
        let job = Job { prompt: String::new(), slide_prompts: vec!["only this".to_owned()], ..job() };
        assert_eq!(compose(&job, &image(1, 1)), "only this\n\nCompose it for a frame of 4:5.");
    }

    #[test]
    fn a_slide_for_each_photo_has_its_own_words_or_those_of_all() {
        let photos = vec!["a".to_owned(), "b".to_owned()];
        let job = Job { source_paths: photos, slides_from: SlidesFrom::Sources, ..job() };
        let auto = Image { ratio: AspectRatio::Auto, ..image(1, 2) };
        let frame = "Compose it for a frame of 1184x736.";
        assert_eq!(compose(&job, &auto), format!("A cup of coffee\n\nSlide 2 of 2 of one carousel.\n\n{frame}"));
        let job = Job { slide_prompts: vec!["beans".to_owned(), "steam".to_owned()], ..job };
        assert_eq!(compose(&job, &auto), format!("A cup of coffee\n\nSlide 2 of 2 of one carousel: steam\n\n{frame}"));
    }
}
