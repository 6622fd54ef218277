//! `carousel templates`: source images with the settings they were used with, to be used again.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;
use uuid::Uuid;

use super::acting::Acting;
use super::ending;
use super::jobs::{Page, moment, more, named, slides, values, whose};
use super::request::Request;
use super::terminal::{line, print, print_json, table};
use crate::client::{Template, TemplateList};

/// Longest name that a template takes, in characters.
const LONGEST: usize = 200;

/// List, show, mark, rename, copy, use and delete templates
///
/// A job with new photos makes its template by itself. A person sees their own templates, the operator everybody's.
#[derive(Args, Debug)]
#[command(after_long_help = ending::codes("Examples:
  carousel templates list --favorites --search lamp
  carousel templates use 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --variants 3 --wait --download pictures"))]
pub struct Templates {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(List),
    Show(One),
    /// Mark a template, or take the mark off
    Favorite(Favorite),
    /// Give a template another name
    Rename(Rename),
    /// Make a copy of a template, to change one of the two
    Duplicate(Duplicate),
    /// Insert a job from a template; each option replaces what the template says
    Use(Box<Use>),
    /// Delete a template with the photos that nothing else uses; jobs that were made from it stay
    Delete(One),
}

/// List templates, the newest first
#[derive(Args, Debug)]
struct List {
    /// Only those with this text in name, description or prompt
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// Only those that are marked
    #[arg(long)]
    favorites: bool,

    /// Only those with this tag; with all of them when repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    #[command(flatten)]
    page: Page,

    /// Print JSON: {"templates", "next"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    acting: Acting,
}

/// Show a template
#[derive(Args, Debug)]
struct One {
    /// The template's id
    #[arg(value_name = "TEMPLATE")]
    id: Uuid,

    /// Print JSON: {"template"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    acting: Acting,
}

#[derive(Args, Debug)]
struct Favorite {
    #[command(flatten)]
    one: One,

    /// Take the mark off
    #[arg(long)]
    off: bool,
}

#[derive(Args, Debug)]
struct Rename {
    #[command(flatten)]
    one: One,

    /// The new name, at most 200 characters
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Args, Debug)]
struct Duplicate {
    #[command(flatten)]
    one: One,

    /// The copy's name; the first one's with "(copy)" when left out
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_long_help = ending::codes("Example:
  carousel templates use 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --var product=lamp --ratio 9:16 --wait"))]
struct Use {
    /// The template's id
    #[arg(value_name = "TEMPLATE")]
    id: Uuid,

    #[command(flatten)]
    request: Request,
}

impl Templates {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(list) => list.run().await?,
            Command::Show(one) => {
                let template = one.acting.caller()?.template(one.id).await?;
                if one.json { one.tell(&template, "")? } else { describe(&template)? }
            }
            Command::Favorite(Favorite { one, off }) => {
                let template = one.change(&json!({ "is_favorite": !off })).await?;
                one.tell(&template, if off { "is not marked any more" } else { "is marked" })?;
            }
            Command::Rename(Rename { one, name }) => {
                let template = one.change(&json!({ "name": name })).await?;
                one.tell(&template, &format!("is called {}", line(&template.name)))?;
            }
            Command::Duplicate(duplicate) => duplicate.run().await?,
            Command::Use(used) => return used.request.send(Some(used.id), &[]).await,
            Command::Delete(one) => {
                let template = one.acting.caller()?.delete_template(one.id).await?;
                one.tell(&template, "is deleted")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let caller = self.acting.caller()?;
        let list = TemplateList { search: self.search, is_favorite: self.favorites.then_some(true), tags: self.tags };
        let page = caller.templates(&list, self.page.limit(), self.page.after.as_ref()).await?;
        let next = page.next.map(|next| next.to_string());
        if self.json {
            print_json(&json!({ "templates": page.rows, "next": next }))?;
            return Ok(());
        }
        let cells = |template: &Template| {
            vec![
                template.id.to_string(),
                if template.is_favorite { "*" } else { "" }.to_owned(),
                template.use_count.to_string(),
                template.source_paths.len().to_string(),
                moment(&template.created_at),
                named(&caller, template.user_id, &template.name),
            ]
        };
        let rows: Vec<Vec<String>> = page.rows.iter().map(cells).collect();
        table(&["ID", "FAVORITE", "USED", "PHOTOS", "MADE", whose(&caller)], &rows)?;
        more(next.as_deref());
        Ok(())
    }
}

impl One {
    async fn change(&self, change: &Value) -> anyhow::Result<Template> {
        Ok(self.acting.caller()?.change_template(self.id, change).await?)
    }

    fn tell(&self, template: &Template, words: &str) -> anyhow::Result<()> {
        if self.json {
            print_json(&json!({ "template": template }))?;
        } else {
            print(format!("{} {words}", template.id))?;
        }
        Ok(())
    }
}

impl Duplicate {
    async fn run(self) -> anyhow::Result<()> {
        let caller = self.one.acting.caller()?;
        let template = caller.template(self.one.id).await?;
        let copied = " (copy)";
        let name = self.name.unwrap_or_else(|| {
            let begin = beginning(&template.name, LONGEST - copied.len());
            format!("{begin}{copied}")
        });
        let mut row = json!({
            "name": name,
            "description": template.description,
            "source_paths": template.source_paths,
            "prompt": template.prompt,
            "slide_prompts": template.slide_prompts,
            "slides_from": template.slides_from,
            "slide_sources": template.slide_sources,
            "aspect_ratios": template.aspect_ratios,
            "variants": template.variants,
            "style": template.style,
            "variables": template.variables,
            "tags": template.tags,
        });
        // The operator names the owner; a person can only be it.
        if caller.claimed_user().is_none() {
            row["user_id"] = json!(template.user_id);
        }
        let copy = caller.insert_template(&row).await?;
        self.one.tell(&copy, &format!("is called {}", line(&copy.name)))
    }
}

/// As much of a text as has at most so many characters, cut between two of what a person takes for letters.
fn beginning(text: &str, characters: usize) -> &str {
    let mut left = characters;
    let fits = |letter: &&str| {
        let fits = letter.chars().count() <= left;
        left -= letter.chars().count().min(left);
        fits
    };
    &text[..text.graphemes(true).take_while(fits).map(str::len).sum()]
}

fn describe(template: &Template) -> anyhow::Result<()> {
    let ratios: Vec<&str> = template.aspect_ratios.iter().map(|ratio| ratio.as_str()).collect();
    let style = template.style.as_ref().filter(|style| !style.is_empty());
    let style = style.map(|style| Value::from(style.clone()).to_string()).unwrap_or_default();
    for (name, value) in [
        ("Template", format!("{}, version {}", template.id, template.version)),
        ("Name", template.name.clone()),
        ("About", template.description.clone().unwrap_or_default()),
        ("Favorite", if template.is_favorite { "yes" } else { "no" }.to_owned()),
        ("Prompt", template.prompt.clone().unwrap_or_default()),
        ("Slides", slides(template.slide_prompts.as_deref(), template.slides_from, template.slide_sources.as_deref())),
        ("Variants", template.variants.to_string()),
        ("Ratios", ratios.join(", ")),
        ("Style", style),
        ("Values", values(template.variables.as_ref())),
        ("Tags", template.tags.join(", ")),
        ("Photos", template.source_paths.join(", ")),
        (
            "Used",
            format!(
                "{} times, last {}",
                template.use_count,
                template.last_used_at.as_deref().map_or("never".to_owned(), moment)
            ),
        ),
        ("Owner", template.user_id.to_string()),
        ("Made", moment(&template.created_at)),
    ] {
        if !value.is_empty() {
            print(format!("{name:<10} {}", line(&value)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_has_at_most_so_many_characters_and_no_torn_letter() {
        let family = "👩\u{200d}👩\u{200d}👧";
        for (text, characters, expected) in [
            ("abc", 2, "ab"),
            ("abc", 3, "abc"),
            ("ae\u{301}b", 2, "a"),
            ("ae\u{301}b", 3, "ae\u{301}"),
            (family, 4, ""),
            (family, 5, family),
            ("", 3, ""),
        ] {
            assert_eq!(beginning(text, characters), expected, "{text:?} {characters}");
        }
        assert_eq!(beginning(&format!("a{family}b"), 3), "a", "nothing follows what did not fit");
    }
}
