//! The description of the API, OpenAPI 3.1, made from the handlers that serve it.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// What no handler says.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "carousel",
        description = "Carousels of generated images, as jobs of a Supabase project. Every request acts with the caller's own access token: \
            the project's policies decide what it may see and do. Failures are problem documents (RFC 9457) with a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "Jobs", description = "Requests for carousels, and how far they have come."),
        (name = "Templates", description = "Photos with the settings they were used with."),
        (name = "Operation", description = "For what watches the service."),
    ),
    modifiers(&Tokens),
)]
pub(super) struct Description;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer = |words: &str| {
            let mut scheme = Http::new(HttpAuthScheme::Bearer);
            scheme.description = Some(words.to_owned());
            SecurityScheme::Http(scheme)
        };
        let components = description.components.get_or_insert_default();
        components
            .add_security_scheme("token", bearer("The access token of a person who has signed in to the project."));
        components.add_security_scheme("metrics", bearer("CAROUSEL_METRICS_TOKEN, where the operator has set it."));
    }
}
