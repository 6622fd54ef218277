//! Rows of `auth.users`: made, found, changed, and shown as the auth server shows them.

use deadpool_postgres::{GenericClient, Transaction};
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::refusal::Refusal;

/// A user as JSON, for a query over `auth.users as u`. Moments that haven't come are left out.
pub(super) const SHOWN: &str = "
    jsonb_build_object(
        'id', u.id, 'aud', u.aud, 'role', u.role, 'email', u.email, 'phone', coalesce(u.phone, ''),
        'app_metadata', u.raw_app_meta_data, 'user_metadata', u.raw_user_meta_data,
        'identities', coalesce((
            select jsonb_agg(jsonb_build_object(
                'identity_id', i.id, 'id', i.provider_id, 'user_id', i.user_id, 'identity_data', i.identity_data,
                'provider', i.provider, 'last_sign_in_at', i.last_sign_in_at, 'created_at', i.created_at,
                'updated_at', i.updated_at, 'email', i.email))
            from auth.identities i where i.user_id = u.id), '[]'),
        'created_at', u.created_at, 'updated_at', u.updated_at, 'is_anonymous', u.is_anonymous)
    || jsonb_strip_nulls(jsonb_build_object(
        'email_confirmed_at', u.email_confirmed_at, 'confirmed_at', u.confirmed_at,
        'last_sign_in_at', u.last_sign_in_at, 'banned_until', u.banned_until))";

/// A user that isn't there yet.
pub(super) struct NewUser {
    pub(super) email: String,
    pub(super) password: String,
    pub(super) confirmed: bool,
    pub(super) user_metadata: Value,
    pub(super) app_metadata: Value,
}

impl NewUser {
    /// Makes the user and its e-mail identity. `taken` is the refusal when somebody has the address already.
    pub(super) async fn insert(self, transaction: &Transaction<'_>, taken: Refusal) -> Result<Uuid, Refusal> {
        let (id, email) = (Uuid::new_v4(), checked_email(&self.email)?);
        let app_metadata = merged(json!({ "provider": "email", "providers": ["email"] }), self.app_metadata);
        // Four rounds of bcrypt's cost are plenty for a project on one machine, and sign-ups stay quick.
        let user = "insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, \
                    raw_app_meta_data, raw_user_meta_data, created_at, updated_at) \
                    values ('00000000-0000-0000-0000-000000000000', $1, 'authenticated', 'authenticated', $2, \
                    extensions.crypt($3, extensions.gen_salt('bf', 4)), case when $4 then now() end, $5, $6, now(), now())";
        let inserted = transaction
            .execute(user, &[&id, &email, &self.password, &self.confirmed, &app_metadata, &self.user_metadata])
            .await;
        match inserted {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => return Err(taken),
            inserted => inserted?,
        };
        let identity = "insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, \
                        created_at, updated_at) values ($1::uuid::text, $1, $2, 'email', now(), now(), now())";
        let data = json!({ "sub": id, "email": email, "email_verified": false, "phone_verified": false });
        transaction.execute(identity, &[&id, &data]).await?;
        Ok(id)
    }
}

/// The user as it is shown, if there is one.
pub(super) async fn show(client: &impl GenericClient, id: Uuid) -> Result<Option<Value>, Refusal> {
    let query = format!("select {SHOWN} from auth.users u where u.id = $1");
    Ok(client.query_opt(&query, &[&id]).await?.map(|row| row.get(0)))
}

/// The user with this address and password.
pub(super) async fn with_password(client: &impl GenericClient, email: &str, password: &str) -> Result<Uuid, Refusal> {
    let query = "select id, email_confirmed_at is not null, coalesce(banned_until > now(), false) from auth.users \
                 where email = $1 and encrypted_password = extensions.crypt($2, encrypted_password)";
    let row =
        client.query_opt(query, &[&email.trim().to_lowercase(), &password]).await?.ok_or_else(Refusal::credentials)?;
    if row.get(2) {
        return Err(Refusal::new(400, "user_banned", "User is banned"));
    }
    if !row.get::<_, bool>(1) {
        return Err(Refusal::new(400, "email_not_confirmed", "Email not confirmed"));
    }
    Ok(row.get(0))
}

/// What is to be changed; `None` stays as it is. Metadata is merged, and a null in it removes its key.
#[derive(Default, serde::Deserialize)]
pub(super) struct Changes {
    pub(super) email: Option<String>,
    pub(super) password: Option<String>,
    #[serde(alias = "user_metadata")]
    pub(super) data: Option<Value>,
}

impl Changes {
    pub(super) async fn apply(self, transaction: &Transaction<'_>, id: Uuid) -> Result<(), Refusal> {
        if let Some(password) = &self.password {
            checked_password(password)?;
            let same = "select exists (select from auth.users where id = $1 \
                        and encrypted_password = extensions.crypt($2, encrypted_password))";
            if transaction.query_one(same, &[&id, password]).await?.get(0) {
                let words = "New password should be different from the old password.";
                return Err(Refusal::new(422, "same_password", words));
            }
        }
        let email = self.email.as_deref().map(checked_email).transpose()?;
        let data = self.data.unwrap_or_else(|| json!({}));
        let update = "update auth.users set email = coalesce($2, email), updated_at = now(), \
                      encrypted_password = coalesce(extensions.crypt($3, extensions.gen_salt('bf', 4)), encrypted_password), \
                      raw_user_meta_data = coalesce((select jsonb_object_agg(key, value) \
                        from jsonb_each(coalesce(raw_user_meta_data, '{}') || $4) where value <> 'null'), '{}') \
                      where id = $1";
        match transaction.execute(update, &[&id, &email, &self.password, &data]).await {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                let words = "A user with this email address has already been registered";
                Err(Refusal::new(422, "email_exists", words))
            }
            updated => {
                updated?;
                Ok(())
            }
        }
    }
}

/// Refuses what the auth server refuses with its usual settings.
pub(super) fn checked_password(password: &str) -> Result<(), Refusal> {
    if password.len() > 72 {
        return Err(Refusal::new(400, "validation_failed", "Password cannot be longer than 72 characters"));
    }
    if password.chars().count() < 6 {
        return Err(Refusal::new(422, "weak_password", "Password should be at least 6 characters."));
    }
    Ok(())
}

fn checked_email(email: &str) -> Result<String, Refusal> {
    let email = email.trim().to_lowercase();
    match email.split_once('@') {
        Some((name, host)) if !name.is_empty() && host.contains('.') && !email.contains(char::is_whitespace) => {
            Ok(email)
        }
        _ => Err(Refusal::new(400, "validation_failed", "Unable to validate email address: invalid format")),
    }
}

/// The fields of both objects; `over` wins, and counts for nothing when it is no object.
pub(super) fn merged(mut under: Value, over: Value) -> Value {
    if let (Some(under), Value::Object(over)) = (under.as_object_mut(), over) {
        under.extend(over);
    }
    under
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_lower_case_and_need_a_host() {
        assert_eq!(checked_email(" Ada@Example.COM ").unwrap(), "ada@example.com");
        for wrong in ["", "ada", "@example.com", "ada@localhost", "a da@example.com"] {
            assert!(checked_email(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_has_six_characters_at_least_and_72_bytes_at_most() {
        assert!(checked_password("sixsix").is_ok());
        assert!(checked_password(&"x".repeat(72)).is_ok());
        let refused = |password: &str| checked_password(password).unwrap_err().code;
        assert_eq!(refused("five5"), "weak_password");
        assert_eq!(refused(&"x".repeat(73)), "validation_failed");
    }
}
