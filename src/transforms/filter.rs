//! `filter`: passes the events for which a condition holds.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `condition` | a program in VRL that is true or false, or `{ type = "vrl", source = "..." }`; it can't change the event | needed |
//!
//! An event on which the condition fails is dropped like one for which it does not hold. What is dropped is counted as
//! `filtered`, and failures are counted besides.
//!
//! ```toml
//! [transforms.apps]
//! type = "filter"
//! inputs = ["policy"]
//! condition = '.metadata.session_mode == "app"'
//! ```

use super::{Ports, Transform, TransformConfig};
use crate::event::{Batch, Demand, Invalid};
use crate::language::{Condition, ConditionOption, Holds};
use schemars::JsonSchema;
use serde::Deserialize;

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What passes.
    pub condition: ConditionOption,
}

impl TransformConfig for Filter {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        Ok(Box::new(Sifter(self.condition.build("condition")?)))
    }

    fn warnings(&self) -> Vec<Invalid> {
        let condition = self.condition.build("condition");
        condition.map(|condition| condition.warnings().to_vec()).unwrap_or_default()
    }

    fn demand(&self, downstream: Demand) -> Demand {
        downstream
    }
}

struct Sifter(Condition);

impl Transform for Sifter {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        let mut failed = 0;
        batch.retain("filtered", |event| {
            let holds = self.0.holds(event);
            failed += u64::from(holds == Holds::Failed);
            holds == Holds::Yes
        });
        batch.count_failed(failed);
    }
}
