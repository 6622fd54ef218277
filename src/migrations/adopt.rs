//! The way over from an app that had tables of our names before: they step aside, and their rows are carried into ours, in one transaction.

use std::fmt;

use anyhow::Context;
use tokio_postgres::{Client, Error};

use super::MIGRATIONS;
use super::apply::{LOCK, refused};

/// What is odd about the tables, a line each.
const RECOGNISE: &str = include_str!("../../supabase/adopt/recognise.sql");
/// Before a migration's text in the file for an app: that file has it.
pub(super) const MARK: &str = "-- The migration of carousel ";
/// Name of that file, behind its version.
pub(super) const FILE: &str = "carousel_adoption.sql";

/// Tables of our names that an app had before carousel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// What they hold: templates, jobs and images.
    pub rows: [i64; 3],
    /// Why they can't be carried over as they are, a line each.
    pub odd: Vec<String>,
}

/// What the app's owner has said.
#[derive(Clone, Debug, Default)]
pub struct Adoption {
    /// Its frontend goes on unchanged: its columns stand beside ours.
    pub frontend: bool,
    /// The bucket takes what carousel makes: 50 MiB a file.
    pub raise_limits: bool,
    /// What public addresses of the bucket's objects begin with, where no row tells it.
    pub public_address: Option<String>,
}

/// What became of the rows, each counted before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Templates there were, and templates of ours.
    pub templates: (i64, i64),
    /// Jobs there were, and those of them that are ours as well.
    pub jobs: (i64, i64),
    /// Images there were, and images of ours.
    pub images: (i64, i64),
}

impl fmt::Display for Before {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [templates, jobs, images] = self.rows;
        if self.odd.is_empty() {
            return write!(
                formatter,
                "this app has tables of carousel's names from before, with {templates} templates, {jobs} jobs and {images} images. \
                 `carousel migrate --adopt` keeps them under other names and carries their rows over, in one transaction \
                 (`--adopt --check` tries it and takes it back); `carousel init --adopt` writes the same for `supabase db push`"
            );
        }
        write!(formatter, "this app has tables of carousel's names, which are not those that --adopt knows:")?;
        self.odd.iter().try_for_each(|line| write!(formatter, "\n  {line}"))
    }
}

/// The tables that an app had before carousel; none where carousel is, or where nothing has these names.
pub async fn before(client: &Client) -> Result<Option<Before>, Error> {
    let there = "
        select count(*) = 3
        from pg_class
        where relnamespace = to_regnamespace('public') and relkind = 'r'
            and relname in ('image_generation_templates', 'image_generation_jobs', 'generated_carousel_images')
            and to_regnamespace('carousel_private') is null";
    if !client.query_one(there, &[]).await?.get::<_, bool>(0) {
        return Ok(None);
    }
    let odd: Vec<String> = client.query(RECOGNISE, &[]).await?.iter().map(|row| row.get(0)).collect();
    let count = "
        select (select count(*) from public.image_generation_templates), (select count(*) from public.image_generation_jobs),
            (select count(*) from public.generated_carousel_images)";
    let row = client.query_one(count, &[]).await?;
    Ok(Some(Before { rows: [row.get(0), row.get(1), row.get(2)], odd }))
}

/// Carries the rows of before over, as the role that `client` is connected as; `keep` false takes everything back, when all has gone well.
///
/// # Errors
/// When anything is odd: then nothing has happened.
pub async fn adopt(client: &mut Client, adoption: &Adoption, keep: bool) -> anyhow::Result<Carried> {
    let transaction = client.transaction().await?;
    let adopted = transaction.batch_execute(&text(adoption)).await;
    adopted.map_err(|error| refused(&error)).context("nothing was carried over, and nothing was changed")?;
    let counts = transaction.query_one("select counts::text from carousel_private.adoption", &[]).await?;
    let counts: serde_json::Value = serde_json::from_str(counts.get(0))?;
    let number = |name: &str| counts[name].as_i64().unwrap_or_default();
    let carried = Carried {
        templates: (number("templates"), number("templates_carried")),
        jobs: (number("jobs"), number("jobs_carried")),
        images: (number("images"), number("images_carried")),
    };
    if keep {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(carried)
}

/// Whether a migration of an app's makes a table of our names, as far as its words tell.
pub fn makes_our_tables(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> =
        text.split(|letter: char| letter.is_whitespace() || letter == '(').filter(|word| !word.is_empty()).collect();
    words.windows(2).enumerate().any(|(place, pair)| {
        let name = words[place + 2..].iter().find(|word| !["if", "not", "exists"].contains(word)).unwrap_or(&"");
        let name = name.trim_start_matches("public.").trim_start_matches("\"public\".").trim_matches('"');
        pair == ["create", "table"]
            && ["image_generation_templates", "image_generation_jobs", "generated_carousel_images"].contains(&name)
    })
}

/// Everything, one statement after the other.
fn text(adoption: &Adoption) -> String {
    let mut text = format!(
        "do $carousel$
declare
  found_odd text;
begin
  -- Another run may be at it.
  perform pg_advisory_xact_lock({LOCK});
  select string_agg(odd, e'\\n') into found_odd from (
{RECOGNISE}  ) as found;
  if found_odd is not null then
    raise exception 'nothing was changed: the tables of before are not those that are known' using errcode = '42710', detail = found_odd;
  end if;
end
$carousel$;
"
    );
    text.push_str(include_str!("../../supabase/adopt/move_aside.sql"));
    for (version, name, migration) in MIGRATIONS {
        text.push_str(&format!("\n{MARK}{name}, {version}.\n\n{migration}"));
    }
    text.push_str(include_str!("../../supabase/adopt/old_words.sql"));
    if let Some(address) = &adoption.public_address {
        let address = address.replace('\'', "''");
        text.push_str(&format!("\nupdate carousel_private.adoption set public_address = '{address}';\n"));
    }
    text.push_str(include_str!("../../supabase/adopt/carry_over.sql"));
    if adoption.raise_limits {
        text.push_str(include_str!("../../supabase/adopt/limits.sql"));
    }
    if adoption.frontend {
        text.push_str(include_str!("../../supabase/adopt/frontend.sql"));
    }
    text.push_str(include_str!("../../supabase/adopt/undo.sql"));
    text.push_str(include_str!("../../supabase/adopt/check.sql"));
    text
}

/// The file for an app's own migrations: it does nothing where carousel is already, whichever tool has brought it.
pub(super) fn file(adoption: &Adoption) -> String {
    format!(
        "-- Carousel comes to an app that had tables of its names before, written by `carousel init --adopt`. Leave it as it is.
do $carousel_file$
begin
  -- `carousel migrate` may be at it.
  perform pg_advisory_xact_lock({LOCK});
  if to_regclass('carousel_private.migrations') is not null then
    return;
  end if;
  execute $carousel_text$
{}$carousel_text$;
end
$carousel_file$;
",
        text(adoption)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_that_makes_a_table_of_our_names_is_known() {
        for text in [
            "create table image_generation_jobs (id uuid)",
            "-- theirs\nCREATE TABLE IF NOT EXISTS public.image_generation_templates(\n id uuid);",
            "create table \"public\".\"generated_carousel_images\" ()",
        ] {
            assert!(makes_our_tables(text), "{text}");
        }
        for text in
            ["alter table image_generation_jobs add column a int", "create table theirs (id uuid)", "create table"]
        {
            assert!(!makes_our_tables(text), "{text}");
        }
    }
}
