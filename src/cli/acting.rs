//! As whom a command acts on the project: a person by their token, or the operator by the secret key.

use anyhow::{Context, ensure};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::config;
use crate::supabase::Caller;

/// The project, and who one is there.
#[derive(Args, Clone, Debug)]
pub(super) struct Acting {
    #[command(flatten)]
    supabase: config::Supabase,

    /// Access token of a signed-in person, to act as they (with the publishable key); without one, the secret key acts as the operator
    #[arg(
        long,
        env = "SUPABASE_ACCESS_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Supabase"
    )]
    token: Option<SecretString>,
}

impl Acting {
    /// The caller. Nothing is asked of the project.
    ///
    /// # Errors
    /// When there is neither a token with a publishable key nor a secret key.
    pub(super) fn caller(&self) -> anyhow::Result<Caller> {
        self.supabase.url()?;
        let Some(token) = self.person_token() else {
            let key = self.supabase.secret_key().context(
                "nobody to act as: set SUPABASE_SECRET_KEY to act as the operator, or SUPABASE_ACCESS_TOKEN to act as a person",
            )?;
            return Ok(self.supabase.project_by(key)?.key_holder());
        };
        let key = self.supabase.publishable_key()?;
        ensure!(
            !key.starts_with("sb_secret_"),
            "SUPABASE_PUBLISHABLE_KEY holds a secret key: use the one that begins with sb_publishable_"
        );
        let project = self.supabase.project_by(key.into())?;
        project.person(token).context("SUPABASE_ACCESS_TOKEN (or --token)")
    }

    /// The person's token. The Supabase CLI keeps its own tokens under the same name; those are nobody's of the project.
    fn person_token(&self) -> Option<&str> {
        let token = self.token.as_ref()?.expose_secret().trim();
        (!token.is_empty() && !token.starts_with("sbp_")).then_some(token)
    }
}

/// In whose folder and for whom something is made: the person who acts, or whom the operator names.
pub(super) fn owner(caller: &Caller, named: Option<Uuid>) -> anyhow::Result<Uuid> {
    match (caller.claimed_user(), named) {
        (Some(me), None) => Ok(me),
        (Some(me), Some(named)) => {
            ensure!(me == named, "--user is for the operator: the token is that of {me}");
            Ok(me)
        }
        (None, Some(named)) => Ok(named),
        (None, None) => anyhow::bail!("the operator acts for somebody: name the user's id with --user"),
    }
}
