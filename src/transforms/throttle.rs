//! `throttle`: drops what comes faster than it may.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `threshold` | how many events may pass in a window, for each key | needed |
//! | `window_secs` | length of the window in seconds, which may have a fraction | needed |
//! | `key_field` | a template such as `{{ metadata.session_mode }}`: events with different texts are counted apart | all together |
//! | `exclude` | a condition in VRL; the events for which it holds pass and do not count | none |
//!
//! As in Vector, `threshold` events may come at once, and then one for each part of the window that it takes to make
//! room for it. Time is when events were received, not what they tell. Events in which a field of `key_field` is missing
//! are counted together. What is dropped is counted as `throttled`: an audit trail with such gaps is none, so send what
//! has to be whole around this.
//!
//! ```toml
//! [transforms.slow]
//! type = "throttle"
//! inputs = ["livebook"]
//! threshold = 100
//! window_secs = 1
//! key_field = "{{ metadata.users[0].id }}"
//! exclude = '.metadata.event == "code.evaluate"'
//! ```

use super::{Ports, Transform, TransformConfig};
use crate::event::{Batch, Demand, Invalid, Notes, Tree};
use crate::language::{Condition, ConditionOption, Field, Holds, Template};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::num::NonZeroU32;

/// Keys that are kept apart at most. One that has not come for a window is forgotten at no loss; beyond this, the ones
/// nearest to that are, and may pass a little more than they should.
const KEYS_MAX: usize = 100_000;
/// Characters of a key that are looked at.
const KEY_CHARS_MAX: usize = 256;
const WINDOW_SECS_MAX: f64 = 86_400.0 * 366.0;

/// The options; see the [module](self).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// How many events may pass in a window.
    pub threshold: NonZeroU32,
    /// Length of the window in seconds.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = WINDOW_SECS_MAX))]
    pub window_secs: f64,
    /// What events are told apart by.
    pub key_field: Option<String>,
    /// What passes in any case.
    pub exclude: Option<ConditionOption>,
}

impl TransformConfig for Throttle {
    fn build(&self) -> Result<Box<dyn Transform>, Invalid> {
        if !(self.window_secs > 0.0 && self.window_secs <= WINDOW_SECS_MAX) {
            let help = "give it in seconds, more than 0 and at most a year";
            return Err(Invalid::new("window_secs", "no length for a window").help(help));
        }
        let exclude = self.exclude.as_ref().map(|option| option.build("exclude")).transpose()?;
        let key = self.key_field.as_deref().map(|text| Template::parse("key_field", text)).transpose()?;
        let window_ms = self.window_secs * 1000.0;
        let step_ms = window_ms / f64::from(self.threshold.get());
        Ok(Box::new(Throttler {
            exclude,
            key,
            window_ms,
            step_ms,
            full_at: HashMap::new(),
            notes: Notes::default(),
        }))
    }

    fn warnings(&self) -> Vec<Invalid> {
        let exclude = self.exclude.as_ref().and_then(|option| option.build("exclude").ok());
        let mut warnings = exclude.map(|condition| condition.warnings().to_vec()).unwrap_or_default();
        let template = |text: &&str| Template::parse("key_field", text).is_ok_and(|key| key.is_constant());
        if let Some(text) = self.key_field.as_deref().filter(template) {
            let field =
                if Field::parse("key_field", text).is_ok() { text.trim() } else { "metadata.session_mode" };
            let help = format!(
                "a field stands in braces, `{{{{ {field} }}}}`; without `key_field` all count together"
            );
            let message = "without a field in it, all events are counted together";
            warnings.push(Invalid::new("key_field", message).help(help));
        }
        warnings
    }

    fn demand(&self, downstream: Demand) -> Demand {
        // Every event counts.
        if downstream == Demand::Nothing { Demand::Nothing } else { Demand::Everything }
    }
}

struct Throttler {
    exclude: Option<Condition>,
    key: Option<Template>,
    window_ms: f64,
    /// How long an event takes up room.
    step_ms: f64,
    /// When there will be room for a whole window again, by key.
    full_at: HashMap<Option<String>, f64>,
    notes: Notes,
}

impl Throttler {
    /// Whether there is room for one more event of `key`, which takes it.
    fn take(&mut self, key: Option<String>, now_ms: f64) -> bool {
        let full_at = self.full_at.get(&key).copied().unwrap_or(now_ms).max(now_ms);
        // A rounding error of many steps must not cost an event.
        if full_at + self.step_ms > now_ms + self.window_ms + self.step_ms / 1000.0 {
            return false;
        }
        if self.full_at.len() >= KEYS_MAX && !self.full_at.contains_key(&key) {
            self.forget(now_ms);
        }
        self.full_at.insert(key, full_at + self.step_ms);
        true
    }

    /// Makes room for more keys.
    fn forget(&mut self, now_ms: f64) {
        self.full_at.retain(|_, full_at| *full_at > now_ms);
        if self.full_at.len() < KEYS_MAX {
            return;
        }
        let mut times: Vec<f64> = self.full_at.values().copied().collect();
        let (_, median, _) = times.select_nth_unstable_by(KEYS_MAX / 2, f64::total_cmp);
        let median = *median;
        self.full_at.retain(|_, full_at| *full_at > median);
    }
}

impl Transform for Throttler {
    fn apply(&mut self, batch: &mut Batch, _: &mut Ports) {
        // What was delivered before a restart takes no room from what comes after it.
        if batch.replayed {
            return;
        }
        let now_ms = batch.now_ms as f64;
        let mut failed = 0;
        batch.retain("throttled", |event| {
            match self.exclude.as_mut().map(|condition| condition.holds(event)) {
                Some(Holds::Yes) => return true,
                Some(Holds::Failed) => failed += 1,
                Some(Holds::No) | None => {}
            }
            let mut key =
                self.key.as_ref().and_then(|template| template.render(&Tree::new(event, &mut self.notes)));
            if let Some(key) = &mut key
                && let Some((end, _)) = key.char_indices().nth(KEY_CHARS_MAX)
            {
                key.truncate(end);
            }
            self.take(key, now_ms)
        });
        self.notes.clear();
        batch.count_failed(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Acks, Event, Origin};
    use bytes::Bytes;

    fn event(text: &str) -> Event {
        Event::from_json(Bytes::copy_from_slice(text.as_bytes()), Origin::nowhere()).unwrap()
    }

    /// How many of `counts.1` equal events pass at each time `counts.0`.
    fn passed(options: &str, counts: &[(u64, usize)]) -> Vec<usize> {
        let mut throttler = toml::from_str::<Throttle>(options).unwrap().build().unwrap();
        let pass = |&(now_ms, count): &(u64, usize)| {
            let mut batch = Batch::new(vec![event("{}"); count], now_ms, Acks::default());
            throttler.apply(&mut batch, &mut Ports::default());
            batch.events.len()
        };
        counts.iter().map(pass).collect()
    }

    #[test]
    fn a_burst_passes_and_then_one_for_each_step() {
        let options = "threshold = 4\nwindow_secs = 1";
        let counts = [(0, 10), (249, 1), (250, 9), (1250, 9), (99_000, 9)];
        assert_eq!(passed(options, &counts), [4, 0, 1, 4, 4]);
        assert_eq!(passed("threshold = 3\nwindow_secs = 0.1", &[(7, 9), (107, 9)]), [3, 3]);
    }

    #[test]
    fn keys_are_counted_apart_and_what_is_excluded_does_not_count() {
        let options = "threshold = 1\nwindow_secs = 1\nkey_field = '{{ k }}'\nexclude = '.free == true'";
        let mut throttler = toml::from_str::<Throttle>(options).unwrap().build().unwrap();
        let records =
            [r#"{"k":1}"#, r#"{"k":1}"#, r#"{"k":2}"#, "{}", r#"{"x":1}"#, r#"{"k":2,"free":true}"#];
        let mut batch = Batch::new(records.iter().map(|text| event(text)).collect(), 5, Acks::default());
        throttler.apply(&mut batch, &mut Ports::default());
        let kept: Vec<bool> =
            batch.events.iter().map(|event| event.has(crate::event::Place::Top, "k")).collect();
        assert_eq!(kept, [true, true, false, true]);
        assert_eq!(batch.take_drops().into_iter().collect::<Vec<_>>(), [("throttled", 2)]);
    }

    #[test]
    fn keys_are_forgotten_beyond_the_limit() {
        let options: Throttle = toml::from_str("threshold = 1\nwindow_secs = 1000").unwrap();
        let mut throttler = Throttler {
            exclude: None,
            key: None,
            window_ms: 1000.0,
            step_ms: 1000.0,
            full_at: HashMap::new(),
            notes: Notes::default(),
        };
        for key in 0..KEYS_MAX + 10 {
            assert!(throttler.take(Some(key.to_string()), key as f64 / 1000.0));
        }
        assert!(throttler.full_at.len() <= KEYS_MAX);
        assert!(!throttler.take(Some((KEYS_MAX + 9).to_string()), 500.0));
        assert!(options.build().is_ok());
    }

    #[test]
    fn a_window_needs_a_length() {
        for secs in ["0", "-1.5", "nan", "inf"] {
            let options =
                format!("threshold = 1\nwindow_secs = {secs}.0").replace("n.0", "n").replace("f.0", "f");
            let options = options.replace("1.5.0", "1.5");
            let invalid = toml::from_str::<Throttle>(&options).unwrap().build().map(drop).unwrap_err();
            assert_eq!(invalid.key, "window_secs");
        }
    }
}
