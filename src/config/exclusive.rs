//! What two parts of a config want and only one can have: found here, and not when the second one can't start, or worse,
//! when both have started.

use super::component::{Component, Options};
use super::diagnostic::{Diagnostic, Place};
use crate::delivery::Exclusive;

/// Reports it. `api` is the address of `[api]`, and where it stands.
pub(super) fn check(
    components: &[Component],
    api: Option<(Exclusive, Place)>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let api = api.map(|(claim, place)| (claim, "[api]", place));
    let claims = components.iter().filter(|one| !one.is_opaque).filter_map(|one| {
        let claim = match &one.options {
            Options::Source(_, config) => config.claims(),
            Options::Sink(_, config) => config.claims(),
            _ => None,
        };
        Some((claim?, one.id.as_str(), one.header.clone()))
    });
    let mut known: Vec<(Exclusive, &str, Place)> = api.into_iter().collect();
    for (claim, id, place) in claims {
        if let Some((first, other, before)) = known.iter().find(|(other, ..)| other.collides(&claim)) {
            let title = format!("`{other}` and `{id}` both {claim}");
            let first = format!("to {first} is for one alone");
            let diagnostic = Diagnostic::error(title).at(place.clone(), "it can't as well");
            diagnostics.push(diagnostic.also(before.clone(), first).help(claim.advice().to_owned()));
        }
        known.push((claim, id, place));
    }
}
