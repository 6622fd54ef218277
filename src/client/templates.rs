//! Templates, as rows of the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::job::{AspectRatio, SlidesFrom};
use crate::supabase::{Caller, Cursor, Error, Page, Stamped, quoted};

const TEMPLATES: &str = "image_generation_templates";
/// What lists are read with: all but the texts that a job takes.
const SHORT: &str = "id,user_id,name,description,source_paths,slides_from,slide_sources,aspect_ratios,variants,tags,is_favorite,version,use_count,last_used_at,\
     created_at,updated_at";

/// Source images with the settings they were used with. Times are RFC 3339. Lists leave out what a job takes of texts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// Primary key.
    pub id: Uuid,
    /// Owner.
    pub user_id: Uuid,
    /// What the gallery shows.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Objects in the bucket.
    pub source_paths: Vec<String>,
    /// Where the slides come from.
    pub slides_from: SlidesFrom,
    /// For each slide, which sources go along with it, by number from 1; null for all.
    pub slide_sources: Option<Vec<Vec<u32>>>,
    /// Prompt that a job takes when it brings none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// One text a slide; empty for a single slide, or for slides that share the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slide_prompts: Option<Vec<String>>,
    /// Ratios that a job takes when it brings none.
    pub aspect_ratios: Vec<AspectRatio>,
    /// Number of variants.
    pub variants: i32,
    /// Style options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<Map<String, Value>>,
    /// Default values for `{{name}}` in the prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<BTreeMap<String, String>>,
    /// Free words for search.
    pub tags: Vec<String>,
    /// Marked by its owner.
    pub is_favorite: bool,
    /// Counts the changes of what a job takes from it, from 1.
    pub version: i32,
    /// Number of jobs that were made from it.
    pub use_count: i32,
    /// When a job was last made from it.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl Stamped for Template {
    fn stamp(&self) -> (&str, Uuid) {
        (&self.created_at, self.id)
    }
}

/// Which templates a list has.
#[derive(Clone, Debug, Default)]
pub struct TemplateList {
    /// Only those with all of these words in name, description, tags and prompts, in any case.
    pub search: Option<String>,
    /// Only those that are marked, or only those that are not.
    pub is_favorite: Option<bool>,
    /// Only those with all of these tags.
    pub tags: Vec<String>,
}

impl Caller {
    /// Makes a template of the columns that a client may insert.
    ///
    /// # Errors
    /// `Refused` by a rule; else see [`Error`].
    pub async fn insert_template(&self, template: &impl Serialize) -> Result<Template, Error> {
        let template = serde_json::to_string(template).map_err(Error::not_understood)?;
        self.row(self.from(TEMPLATES).insert(template)).await
    }

    /// The template with this id.
    pub async fn template(&self, id: Uuid) -> Result<Template, Error> {
        self.row(self.from(TEMPLATES).eq("id", id.to_string())).await
    }

    /// A page of templates, newest first, without the texts that a job takes: each may be long.
    pub async fn templates(
        &self,
        list: &TemplateList,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Template>, Error> {
        let mut request = self.from(TEMPLATES).select(SHORT);
        if let Some(is_favorite) = list.is_favorite {
            request = request.is("is_favorite", if is_favorite { "true" } else { "false" });
        }
        if !list.tags.is_empty() {
            let tags: Vec<String> = list.tags.iter().map(|tag| quoted(tag)).collect();
            request = request.cs("tags", format!("{{{}}}", tags.join(",")));
        }
        for word in list.search.iter().flat_map(|search| search.split_whitespace()) {
            request = request.ilike("search_text", containing(word));
        }
        self.page(request, limit, after).await
    }

    /// Changes the columns of a template that a client may update.
    ///
    /// # Errors
    /// `Refused` by a rule; else see [`Error`].
    pub async fn change_template(&self, id: Uuid, change: &impl Serialize) -> Result<Template, Error> {
        let change = serde_json::to_string(change).map_err(Error::not_understood)?;
        self.row(self.from(TEMPLATES).eq("id", id.to_string()).update(change)).await
    }

    /// Deletes a template. Jobs that were made from it stay.
    pub async fn delete_template(&self, id: Uuid) -> Result<Template, Error> {
        self.row(self.from(TEMPLATES).eq("id", id.to_string()).delete()).await
    }
}

/// A pattern for texts with this one in them, whatever letters it has.
fn containing(text: &str) -> String {
    // PostgREST takes `*` for `%` and has no way to mean the letter: any letter stands for it.
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('*', "_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_could_mean_is_taken_as_text() {
        assert_eq!(containing("50%_a\\*"), "%50\\%\\_a\\\\_%");
    }
}
