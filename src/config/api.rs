//! The section `[api]`: who may ask a running pipeline how it goes, and see what passes there.

use super::diagnostic::{Diagnostic, Place};
use super::environment::Environment;
use super::tree::{Item, Value};
use super::{Collected, SECTIONS, Severity, Source, diagnostic, syntax};
use crate::delivery::Exclusive;
use crate::net::Address;
use crate::topology::TapPolicy;
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where `[api]` listens unless it says otherwise.
pub const API_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8686);

/// The options of `[api]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Api {
    /// IP address and port to listen on.
    pub address: Address,
    /// Who may see events by `GET /tap/<id>`: `loopback` (who connects from this machine), `everyone`, `off`.
    pub tap: TapPolicy,
}

impl Default for Api {
    fn default() -> Api {
        Api { address: Address(API_ADDRESS), tap: TapPolicy::default() }
    }
}

/// Where it listens; none where that is up to a variable.
pub(super) fn claims(api: &Api, table: Option<&Item>) -> Option<Exclusive> {
    let is_known = table.and_then(|table| table.get("address")).is_none_or(|entry| !entry.item.is_opaque());
    is_known.then_some(Exclusive::Address(api.address.0))
}

/// Warns where events are shown to whoever can connect, and others than this machine can.
pub(super) fn check(api: &Api, table: Option<&Item>, file: usize, diagnostics: &mut Vec<Diagnostic>) {
    let option = |name| table.and_then(|table| table.get(name)).map(|entry| &entry.item);
    let is_known = |name| option(name).is_none_or(|item| !item.is_opaque());
    let is_open = api.tap == TapPolicy::Everyone && !api.address.0.ip().to_canonical().is_loopback();
    let Some(tap) = option("tap").filter(|_| is_open && is_known("address") && is_known("tap")) else {
        return;
    };
    let title = format!("whoever can connect to {} can see events", api.address.0);
    let label = "everyone may open a tap: code, and secrets that stand in front of a `redact`";
    let help = "leave it out, and open taps on the machine itself, or let a firewall choose who can connect";
    let place = Place::new(file, tap.span.clone());
    diagnostics.push(Diagnostic::warning(title).at(place, label).help(help.to_owned()));
}

/// Where the pipeline of `files` tells how it goes; none where they have no `[api]`. Nothing else in them is looked at, so
/// that neither a mistake elsewhere nor a variable that only the pipeline has keeps anybody from asking.
///
/// # Errors
///
/// What is wrong with the section, or keeps the files from being read; at least one is an error.
pub fn api_address(
    files: &[Source],
    environment: Environment<'_>,
) -> Result<Option<SocketAddr>, Vec<Diagnostic>> {
    let mut collected = Collected::default();
    let mut others = SECTIONS.to_vec();
    others.extend(["data_dir", "shutdown_timeout_secs", "acknowledgements"]);
    for (file, source) in files.iter().enumerate() {
        let parsed = syntax::parse(file, source, environment, &others);
        collected.diagnostics.extend(parsed.diagnostics);
        let Some(root) = parsed.root else { continue };
        let (_, mut top) = root.split(&others);
        if let Value::Table(entries) = &mut top.value {
            entries.retain(|entry| entry.name == "api");
        }
        collected.top(file, &top, &others);
    }
    let Collected { top, mut diagnostics, .. } = collected;
    diagnostic::sort(&mut diagnostics);
    match diagnostics.iter().any(|one| one.severity == Severity::Error) {
        true => Err(diagnostics),
        false => Ok(top.api.map(|api| api.address.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<Option<SocketAddr>, Vec<Diagnostic>> {
        let files = [Source { name: "x.toml".to_owned(), text: text.to_owned() }];
        api_address(&files, Environment::Of(&|name| (name == "PORT").then(|| "9".to_owned())))
    }

    #[test]
    fn the_address_is_found_whatever_else_is_wrong() {
        let rest = "nonsense = 1\n[sources.in]\ntype = \"nope\"\npath = \"${MISSING}\"\n";
        assert_eq!(address("data_dir = 5\n"), Ok(None));
        assert_eq!(address("[api]\n"), Ok(Some(API_ADDRESS)));
        let loopback = |port| Ok(Some(SocketAddr::from(([127, 0, 0, 1], port))));
        assert_eq!(address("[api]\naddress = \"127.0.0.1:${PORT}\"\n"), loopback(9));
        assert_eq!(address(&format!("{rest}[api]\naddress = \"127.0.0.1:1\"\n")), loopback(1));
        assert!(address("[api]\naddress = \"nowhere\"\n").unwrap_err()[0].label.contains("no address"));
        assert!(address("[api\n").is_err());
    }
}
