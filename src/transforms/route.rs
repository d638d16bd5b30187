//! `route`: sends events to ports by conditions.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `route` | a table of names and conditions; an event goes to each port `<id>.<name>` whose condition holds | needed |
//! | `reroute_unmatched` | whether an event for which none holds leaves by the port `_unmatched` | `true` |
//!
//! There is no other output: name ports in `inputs` (`routes.apps`). A condition is a program in VRL that is true or
//! false, or `{ type = "vrl", source = "..." }`; one that fails does not hold, and is counted. What no port takes is
//! counted as `unmatched`, and what leaves by a port that nobody consumes as `port_unwired`.
//!
//! ```toml
//! [transforms.routes]
//! type = "route"
//! inputs = ["policy"]
//! route.apps = '.metadata.session_mode == "app"'
//! route.long = 'length(string(.metadata.code) ?? "") > 10000'
//!
//! [sinks.apps]
//! type = "console"
//! inputs = ["routes.apps"]
//!
//! [sinks.rest]
//! type = "blackhole"
//! inputs = ["routes.long", "routes._unmatched"]
//! ```

use super::{Ports, Transform, TransformConfig};
use crate::event::{Batch, Demand, Invalid};
use crate::language::{Condition, ConditionOption, Holds};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The port of events for which no condition holds.
const UNMATCHED: &str = "_unmatched";

/// What the name of another port looks like.
const NAME_PATTERN: &str = "^[A-Za-z0-9_-]+$";

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Conditions by the names of their ports.
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"pattern": NAME_PATTERN, "not": {"const": UNMATCHED}}))]
    pub route: BTreeMap<String, ConditionOption>,
    /// Whether events for which none holds leave by a port.
    #[serde(default = "yes")]
    pub reroute_unmatched: bool,
}

fn yes() -> bool {
    true
}

impl Route {
    fn conditions(&self) -> Result<Vec<(String, Condition)>, Invalid> {
        let key = |name: &str| format!("route.{name}");
        let build =
            |(name, option): (&String, &ConditionOption)| Ok((name.clone(), option.build(&key(name))?));
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if let Some(name) =
            self.route.keys().find(|name| name.is_empty() || !is_name(name) || *name == UNMATCHED)
        {
            let help = format!("a name has letters, digits, `_` and `-`; `{UNMATCHED}` is taken");
            return Err(Invalid::new(&key(name), format!("`{name}` can't be the name of a port")).help(help));
        }
        if self.route.is_empty() {
            return Err(Invalid::new("route", "no conditions").help("write `route.<name> = '<condition>'`"));
        }
        self.route.iter().map(build).collect()
    }
}

impl TransformConfig for Route {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        Ok(Box::new(Router { conditions: self.conditions()?, reroute_unmatched: self.reroute_unmatched }))
    }

    fn warnings(&self) -> Vec<Invalid> {
        let conditions = self.conditions().unwrap_or_default();
        conditions.iter().flat_map(|(_, condition)| condition.warnings().to_vec()).collect()
    }

    fn has_main_output(&self) -> bool {
        false
    }

    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }

    fn ports(&self) -> Vec<String> {
        let unmatched = self.reroute_unmatched.then(|| UNMATCHED.to_owned());
        self.route.keys().cloned().chain(unmatched).collect()
    }
}

struct Router {
    conditions: Vec<(String, Condition)>,
    reroute_unmatched: bool,
}

impl Transform for Router {
    fn apply(&mut self, batch: &mut Batch, ports: &mut Ports) {
        for event in std::mem::take(&mut batch.events) {
            let mut taken: Option<&str> = None;
            for (name, condition) in &mut self.conditions {
                match condition.holds(&event) {
                    Holds::No => continue,
                    Holds::Failed => batch.count_failed(1),
                    // The last port gets the event itself, the others a copy.
                    Holds::Yes => {
                        if let Some(before) = taken.replace(name) {
                            ports.send(before, event.clone());
                        }
                    }
                }
            }
            match taken {
                Some(name) => ports.send(name, event),
                None if self.reroute_unmatched => ports.send(UNMATCHED, event),
                None => batch.count_dropped("unmatched", 1),
            }
        }
    }
}
