//! All rules together: one search for keywords, then the regexes whose keywords are there.

use super::allow::{Allow, Candidate, Check, entropy};
use super::rule::Rule;
use super::view::View;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Levels of escapes that are undone: a JSON document in a string literal of a line of JSON has three.
const LEVELS_MAX: usize = 3;

/// A longer match that is spared is not searched for others: or a text of nothing but beginnings would be searched as
/// often as it is long.
const SPARED_BYTES_MAX: usize = 512;

/// Rules, ready to search.
pub struct RuleSet {
    rules: Vec<Rule>,
    keywords: AhoCorasick,
    /// The rules of each keyword.
    of_keyword: Vec<SmallVec<[u16; 4]>>,
    /// Rules without a keyword.
    always: Vec<u16>,
    /// What all rules spare.
    allows: Vec<Allow>,
}

/// A secret that was found.
pub struct Found {
    /// Where in the source it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The rule that gives it its name.
    pub rule: u16,
    /// The secret as it reads.
    pub secret: Vec<u8>,
}

/// A bit for each rule.
type Bits = SmallVec<[u64; 8]>;

fn set(bits: &mut Bits, rule: u16) {
    if let Some(word) = bits.get_mut(usize::from(rule / 64)) {
        *word |= 1 << (rule % 64);
    }
}

impl RuleSet {
    /// Rules in the order in which they give names; none where there are too many of them, or too many keywords.
    pub fn new(rules: Vec<Rule>, allows: Vec<Allow>) -> Option<RuleSet> {
        let mut words: BTreeMap<String, SmallVec<[u16; 4]>> = BTreeMap::new();
        let mut always = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            let at = u16::try_from(at).ok()?;
            if rule.keywords.iter().all(String::is_empty) {
                always.push(at);
            }
            for word in rule.keywords.iter().filter(|word| !word.is_empty()) {
                words.entry(word.to_ascii_lowercase()).or_default().push(at);
            }
        }
        let keywords = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(words.keys())
            .ok()?;
        Some(RuleSet { rules, keywords, of_keyword: words.into_values().collect(), always, allows })
    }

    /// The name of a rule.
    pub fn id(&self, rule: u16) -> Option<&Arc<str>> {
        self.rules.get(usize::from(rule)).map(|rule| &rule.id)
    }

    /// The secrets in `source`, in its order, none of them over another.
    pub fn find(&self, source: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        self.search(source, None, &mut found);
        let mut view = View::of(source);
        for _ in 0..LEVELS_MAX {
            let Some(now) = view.take() else { break };
            self.search(&now.bytes, Some(&now), &mut found);
            view = now.deeper();
        }
        if found.len() > 1 {
            self.join(&mut found);
        }
        found
    }

    fn search(&self, text: &[u8], view: Option<&View>, found: &mut Vec<Found>) {
        let mut due = Bits::from_elem(0, self.rules.len().div_ceil(64));
        let mut any = !self.always.is_empty();
        self.always.iter().for_each(|&rule| set(&mut due, rule));
        for word in self.keywords.find_overlapping_iter(text) {
            any = true;
            let rules = self.of_keyword.get(word.pattern().as_usize());
            rules.into_iter().flatten().for_each(|&rule| set(&mut due, rule));
        }
        if !any {
            return;
        }
        for (at, word) in due.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                let number = at * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                if let Some(rule) = self.rules.get(number) {
                    self.try_rule(rule, number as u16, text, view, found);
                }
            }
        }
    }

    fn try_rule(&self, rule: &Rule, number: u16, text: &[u8], view: Option<&View>, found: &mut Vec<Found>) {
        let Some(regex) = rule.pattern.regex() else { return };
        let mut at = 0;
        while at <= text.len()
            && let Some(groups) = regex.captures_at(text, at)
        {
            let Some(whole) = groups.get(0) else { return };
            // In a rule of a file any group counts; those of ours that are not the secret have a name.
            let counts =
                |name: Option<&str>| name.is_none_or(|name| name == "secret") || rule.check == Check::Nothing;
            let first = || {
                let numbered = regex.capture_names().enumerate().skip(1);
                let of = |(at, name)| counts(name).then(|| groups.get(at)).flatten();
                numbered.filter_map(of).find(|group| !group.is_empty())
            };
            let secret = match rule.group {
                Some(group) => groups.get(group),
                None => first().or(Some(whole)),
            };
            let step = whole.end().max(whole.start() + 1);
            let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
                at = step;
                continue;
            };
            let name = groups.name("name").map(|name| name.as_bytes()).unwrap_or_default();
            let candidate = Candidate {
                text,
                whole: whole.range(),
                secret: secret.range(),
                is_listed: groups.name("comma").is_some(),
                name,
            };
            // What is spared may hold the beginning of another match: the search goes on inside it.
            if !self.is_secret(rule, &candidate) {
                at = if whole.len() <= SPARED_BYTES_MAX {
                    secret.start().max(whole.start() + 1)
                } else {
                    step
                };
                continue;
            }
            at = step;
            let (start, end) = whole_chars(text, secret.start(), secret.end());
            let secret = text.get(start..end).unwrap_or_default().to_vec();
            let (start, end) = view.map_or((start, end), |view| view.place(start, end));
            found.push(Found { start, end, rule: number, secret });
        }
    }

    fn is_secret(&self, rule: &Rule, candidate: &Candidate<'_>) -> bool {
        let secret = candidate.secret();
        (rule.entropy <= 0.0 || entropy(secret) > rule.entropy)
            && rule.check.holds(candidate)
            && !self.allows.iter().chain(&rule.allows).any(|allow| allow.spares(&rule.id, candidate))
    }

    /// Makes one of those that lie over each other. A known format tells more than a form does, then the longer one,
    /// then the earlier rule.
    fn join(&self, found: &mut Vec<Found>) {
        found.sort_by_key(|one| (one.start, one.end, one.rule));
        let rank = |one: &Found| {
            let is_form = self.rules.get(usize::from(one.rule)).is_some_and(|rule| rule.check.is_form());
            (!is_form, one.end - one.start, std::cmp::Reverse(one.rule))
        };
        let mut joined: Vec<(Found, usize)> = Vec::with_capacity(found.len());
        for one in found.drain(..) {
            match joined.last_mut() {
                Some((best, end)) if one.start < *end => {
                    let (start, reach) = (best.start.min(one.start), one.end.max(*end));
                    if rank(&one) > rank(best) {
                        *best = one;
                    }
                    best.start = best.start.min(start);
                    *end = reach;
                }
                _ => {
                    let end = one.end;
                    joined.push((one, end));
                }
            }
        }
        found.extend(joined.into_iter().map(|(one, end)| Found { end, ..one }));
    }
}

/// Takes in the characters of which a part is in `start..end`: regexes without Unicode go by bytes.
fn whole_chars(text: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    while start > 0 && is_inside(start) {
        start -= 1;
    }
    while is_inside(end) {
        end += 1;
    }
    (start, end)
}
