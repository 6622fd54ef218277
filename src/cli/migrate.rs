//! `carousel migrate`: the schema.

use clap::Args;

use crate::{config, migrations};

/// Apply the schema to the project's database
///
/// Applies the same files as `supabase db push`, and each of the two knows what the other has applied. Connect as `postgres`, the role
/// that owns a project's database.
#[derive(Args, Debug)]
pub struct Migrate {
    #[command(flatten)]
    database: config::Database,

    /// Only say what is missing; end with 1 if something is
    #[arg(long)]
    check: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut client = self.database.settings()?.connect_for_long().await?;
        if self.check {
            let missing = migrations::missing(&client).await?;
            self.tell("missing", &missing);
            anyhow::ensure!(missing.is_empty(), "the schema is not up to date: run `carousel migrate`");
            return Ok(());
        }
        let applied = migrations::apply(&mut client).await?;
        self.tell("applied", &applied);
        Ok(())
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
