//! Rules: the first one of which all conditions hold decides.

use super::Level;
use crate::event::json::Json;
use crate::event::{Event, Invalid, Place};
use crate::language::{ConditionOption, Holds};
use crate::livebook::EVALUATE;
use crate::livebook::people::{By, GLOB_HELP, Globs, User};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A mode of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A notebook session.
    Default,
    /// An app, deployed or as a preview.
    App,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Default => "default",
            Mode::App => "app",
        }
    }
}

/// One of the `rules`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What its hits are counted by; by its place (`rule 1`), where it has none.
    #[serde(default)]
    pub name: Option<String>,
    /// How much of an evaluation it keeps.
    pub level: Level,
    /// The session is in one of these modes.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub session_modes: Option<Vec<Mode>>,
    /// Those who were connected fit one of these patterns, by id, name or email.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub users: Option<Vec<String>>,
    /// Likewise by their ids alone.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub user_ids: Option<Vec<String>>,
    /// Likewise by their emails alone.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub user_emails: Option<Vec<String>>,
    /// The app is a deployed one, or is not.
    #[serde(default)]
    pub app_permanent: Option<bool>,
    /// `metadata.event` fits one of these patterns.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub events: Option<Vec<String>>,
    /// A condition in VRL.
    #[serde(default)]
    pub when: Option<ConditionOption>,
}

impl Rule {
    /// Whether it can hold of events that are no evaluation.
    pub fn is_for_others(&self) -> bool {
        self.events.as_ref().is_some_and(|events| !events.iter().all(|pattern| pattern == EVALUATE))
    }
}

/// A rule, ready to be asked.
#[derive(Debug)]
pub struct Condition {
    pub name: String,
    pub level: Level,
    is_for_others: bool,
    modes: Option<Vec<Mode>>,
    /// Conditions about those who were connected, by their names.
    users: Vec<(&'static str, Globs, By)>,
    app_permanent: Option<bool>,
    events: Option<Globs>,
    when: Option<crate::language::Condition>,
}

/// What a rule says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It decides.
    Yes,
    /// It does not, because of this condition.
    No(&'static str),
    /// Its `when` has failed, so it can't say.
    Failed,
}

/// Makes the rules ready.
pub fn compile(rules: &[Rule]) -> Result<Vec<Condition>, Invalid> {
    let mut compiled: Vec<Condition> = Vec::with_capacity(rules.len());
    for (at, rule) in rules.iter().enumerate() {
        let key = |member: &str| format!("rules[{at}].{member}");
        if rule.session_modes.as_ref().is_some_and(Vec::is_empty) {
            return Err(nothing(&key("session_modes")));
        }
        if let Some(before) = compiled.last().filter(|before| before.is_always()) {
            let message =
                format!("`{}` has no condition: the rules behind it are never reached", before.name);
            return Err(Invalid::new(&format!("rules[{}]", at - 1), message).help("let it be the last"));
        }
        let name = rule.name.clone().unwrap_or_else(|| format!("rule {}", at + 1));
        if compiled.iter().any(|other| other.name == name) {
            let message = format!("another rule is called `{name}` too");
            return Err(Invalid::new(&key("name"), message).help("hits are counted by name: give it its own"));
        }
        compiled.push(Condition {
            name,
            level: rule.level,
            is_for_others: rule.is_for_others(),
            modes: rule.session_modes.clone(),
            users: users(rule, &key)?,
            app_permanent: rule.app_permanent,
            events: patterns(rule.events.as_deref(), &key("events"))?,
            when: rule.when.as_ref().map(|when| when.build(&key("when"))).transpose()?,
        });
    }
    Ok(compiled)
}

/// The conditions of a rule about those who were connected.
fn users(rule: &Rule, key: &dyn Fn(&str) -> String) -> Result<Vec<(&'static str, Globs, By)>, Invalid> {
    let all = [
        ("users", &rule.users, By::Any),
        ("user_ids", &rule.user_ids, By::Id),
        ("user_emails", &rule.user_emails, By::Email),
    ];
    let read = all.into_iter().map(|(name, texts, by)| {
        let globs = patterns(texts.as_deref(), &key(name))?;
        Ok(globs.map(|globs| (name, globs, by)))
    });
    read.filter_map(Result::transpose).collect()
}

fn patterns(texts: Option<&[String]>, key: &str) -> Result<Option<Globs>, Invalid> {
    let Some(texts) = texts else { return Ok(None) };
    if texts.is_empty() {
        return Err(nothing(key));
    }
    let invalid =
        |(at, why)| Invalid::new(&format!("{key}[{at}]"), format!("no pattern: {why}")).help(GLOB_HELP);
    Globs::read(texts).map(Some).map_err(invalid)
}

fn nothing(key: &str) -> Invalid {
    Invalid::new(key, "an empty list fits nothing").help("leave it out, or name what it is to fit")
}

impl Condition {
    /// Whether it holds of everything.
    fn is_always(&self) -> bool {
        self.conditions().is_empty()
    }

    /// Whether it can hold of events that are no evaluation.
    pub fn is_for_others(&self) -> bool {
        self.is_for_others
    }

    /// What is hardly as meant.
    pub fn warnings(&self) -> &[Invalid] {
        self.when.as_ref().map_or(&[], |when| when.warnings())
    }

    /// Whether it decides about `event`.
    pub fn ask(&mut self, event: &Event) -> Answer {
        let text = |name| event.get(Place::Metadata, name).and_then(Json::string);
        let mode_fits = self.modes.as_ref().is_none_or(|modes| {
            let mode = event.get(Place::Metadata, "session_mode");
            mode.is_some_and(|mode| modes.iter().any(|known| mode.is(known.name())))
        });
        if !mode_fits {
            return Answer::No("session_modes");
        }
        let permanent_fits = self.app_permanent.is_none_or(|wanted| {
            let flag = event.get(Place::Metadata, "app_permanent");
            flag.is_some_and(|flag| flag.text() == b"true") == wanted
        });
        if !permanent_fits {
            return Answer::No("app_permanent");
        }
        let event_fits = self.events.as_ref().is_none_or(|patterns| {
            let name = text("event");
            let name = name.as_deref().map(String::from_utf8_lossy);
            name.is_some_and(|name| patterns.fit(&name))
        });
        if !event_fits {
            return Answer::No("events");
        }
        // The dearest questions come last.
        if let Some(condition) = self.users_against(event) {
            return Answer::No(condition);
        }
        match self.when.as_mut().map(|when| when.holds(event)) {
            None | Some(Holds::Yes) => Answer::Yes,
            Some(Holds::No) => Answer::No("when"),
            Some(Holds::Failed) => Answer::Failed,
        }
    }

    /// The names of its conditions.
    pub fn conditions(&self) -> Vec<&'static str> {
        let Condition { modes, users, app_permanent, events, when, .. } = self;
        let first = [
            ("session_modes", modes.is_some()),
            ("app_permanent", app_permanent.is_some()),
            ("events", events.is_some()),
        ];
        let first = first.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name);
        first.chain(users.iter().map(|(name, ..)| *name)).chain(when.is_some().then_some("when")).collect()
    }

    /// The condition that those who were connected don't fit, if there is one. Each of them may be the one who pressed the
    /// key: a rule that keeps all asks for one who fits, a rule that keeps less for nobody who does not.
    fn users_against(&self, event: &Event) -> Option<&'static str> {
        let (last, ..) = self.users.last()?;
        let users = event.get(Place::Metadata, "users");
        let users = users.and_then(|users| serde_json::from_slice::<Vec<Value>>(users.text()).ok());
        let users: Vec<User> = users.unwrap_or_default().iter().map(User::read).collect();
        let keeps_all = self.level == Level::Code;
        if !keeps_all && (event.has(Place::Metadata, "users_incomplete") || users.is_empty()) {
            return Some(last);
        }
        for (name, patterns, by) in &self.users {
            let mut fits = users.iter().map(|user| user.fits(patterns, *by));
            let is_fine = if keeps_all { fits.any(|fits| fits) } else { fits.all(|fits| fits) };
            if !is_fine {
                return Some(name);
            }
        }
        // The one who fits is the same for all of them.
        let fits_all = |user: &User| self.users.iter().all(|(_, patterns, by)| user.fits(patterns, *by));
        if keeps_all && !users.iter().any(fits_all) { Some(last) } else { None }
    }
}
