//! `carousel migrate`: the schema.

use clap::Args;

use crate::config;
use crate::migrations::{self, Adoption, Carried};

/// What an app's owner says to an adoption.
#[derive(Args, Debug)]
pub(super) struct AdoptionArgs {
    /// The app's frontend from before goes on unchanged: its columns stand beside carousel's
    #[arg(long, requires = "adopt")]
    frontend: bool,

    /// Let the app's bucket take files of 50 MiB, as carousel makes them
    #[arg(long, requires = "adopt")]
    raise_limits: bool,

    /// What public addresses of the bucket begin with (for --frontend, where no row of the app tells it)
    #[arg(long, requires = "frontend", value_name = "URL")]
    public_address: Option<String>,
}

impl AdoptionArgs {
    pub(super) fn adoption(&self) -> Adoption {
        let public_address = self.public_address.as_ref().map(|address| format!("{}/", address.trim_end_matches('/')));
        Adoption { frontend: self.frontend, raise_limits: self.raise_limits, public_address }
    }
}

/// Apply the schema to the project's database
///
/// Applies the same files as `supabase db push`, and each of the two knows what the other has applied. Connect as `postgres`, the role
/// that owns a project's database.
#[derive(Args, Debug)]
pub struct Migrate {
    #[command(flatten)]
    database: config::Database,

    /// Only say what is missing; end with 1 if something is. With --adopt: try it, say what would come over, and take it back
    #[arg(long)]
    check: bool,

    /// Carry the rows of an app over that had tables of carousel's names before; they are kept under other names
    #[arg(long)]
    adopt: bool,

    #[command(flatten)]
    adoption: AdoptionArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut client = self.database.settings()?.connect_for_long().await?;
        let before = migrations::before(&client).await?;
        if self.adopt && before.is_some() {
            let carried = migrations::adopt(&mut client, &self.adoption.adoption(), !self.check).await?;
            self.tell_carried(&carried);
            if self.check {
                return Ok(());
            }
        } else if self.adopt {
            eprintln!("There are no tables from before carousel: nothing is to be carried over.");
        }
        if self.check {
            let missing = migrations::missing(&client).await?;
            self.tell("missing", &missing);
            if let Some(before) = before {
                anyhow::bail!("the schema is not there: {before}");
            }
            anyhow::ensure!(missing.is_empty(), "the schema is not up to date: run `carousel migrate`");
            return Ok(());
        }
        let applied = migrations::apply(&mut client).await?;
        // All of it came with the rows.
        if !(self.adopt && before.is_some()) {
            self.tell("applied", &applied);
        }
        Ok(())
    }

    fn tell_carried(&self, carried: &Carried) {
        let Carried { templates, jobs, images } = carried;
        let parts = [("templates", templates), ("jobs", jobs), ("images", images)];
        if self.json {
            let parts =
                parts.map(|(name, (found, carried))| (name, serde_json::json!({ "found": found, "carried": carried })));
            println!(
                "{}",
                serde_json::json!({ "kept": !self.check, "rows": serde_json::Map::from_iter(parts.map(|(name, part)| (name.to_owned(), part))) })
            );
            return;
        }
        for (name, (found, came)) in parts {
            let left = if came < found {
                "; the others name nothing in their owner's folder of the bucket, or their owner is gone"
            } else {
                ""
            };
            println!("{came} of {found} {name}{left}");
        }
        if self.check {
            println!("All went well, and was taken back: nothing was changed");
        } else {
            println!(
                "The tables from before are kept as ..._before_carousel; to go back: select carousel_private.undo_adoption();"
            );
        }
    }

    fn tell(&self, what: &str, names: &[String]) {
        if self.json {
            println!("{}", serde_json::json!({ what: names }));
        } else if names.is_empty() {
            println!("nothing {what}: the schema is up to date");
        } else {
            for name in names {
                println!("{what} {name}");
            }
        }
    }
}
