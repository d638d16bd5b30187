//! The log, record by record.
//!
//! Every process writes its own records at its own times, and the log is what comes of that in the order of time:
//! records that are still to come wait with the time when they will be written, so that requests overlap and the
//! twins of evaluations cross as they do on a busy server, without a rule that says when.

use super::Format;
use super::cells::Cells;
use super::evaluation::Evaluation;
use super::holes::{Facts, Hole};
use super::noise::{Cue, Noise};
use super::people::{Team, UsersId};
use super::prng::Prng;
use super::record::{Frame, RequestId};
use super::template::{Form, Template};

/// What log to write.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The shape of its records.
    pub format: Format,
    /// The share of its records that belong to an evaluation, 0 to 1. Each evaluation is two records.
    pub evaluations: f64,
    /// The same seed gives the same log.
    pub seed: u64,
    /// The time of the first record, in milliseconds since 1970, UTC.
    pub start_ms: u64,
}

/// An endless log.
#[derive(Debug)]
pub struct Generator {
    format: Format,
    /// How likely whoever writes next is to be an evaluation.
    evaluation_chance: f64,
    prng: Prng,
    cells: Cells,
    noise: Noise,
    team: Team,
    /// The boot line, until it is written.
    boot: Option<Template>,
    request: Option<Hole>,
    /// When the next evaluation or scene begins.
    next_ms: u64,
    /// Records of those that have begun, oldest first.
    waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    write_ms: u64,
    /// The time that the record will bear; a little before `write_ms` where a process was held up.
    time_ms: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Legacy(Evaluation),
    Structured(Evaluation),
    Noise { cue: Cue, seed: u64, user: UsersId, elapsed_ms: u64 },
}

const BOOT: &str = "[Livebook] Application running at http://0.0.0.0:8080/?token=‹id›\n";

impl Generator {
    /// A log from its beginning.
    pub fn new(settings: Settings) -> Self {
        let mut prng = Prng::new(settings.seed);
        let noise = Noise::new();
        let share = settings.evaluations.clamp(0.0, 1.0);
        let evaluation_weight = share * noise.records_mean();
        Generator {
            format: settings.format,
            evaluation_chance: evaluation_weight / (2.0 * (1.0 - share) + evaluation_weight),
            team: Team::new(&mut prng),
            prng,
            cells: Cells::new(),
            noise,
            boot: Some(Template::new(BOOT)),
            request: Hole::parse("request"),
            next_ms: settings.start_ms,
            waiting: Vec::new(),
        }
    }

    /// Appends the next record with its final newline: one line of JSON, one line of text or several. The first is
    /// the line that Livebook prints when it has started, which is no log record and has no time.
    pub fn next_record(&mut self, out: &mut Vec<u8>) {
        if let Some(boot) = self.boot.take() {
            return boot.write(Form::Raw, &Facts::of_seed(self.prng.draw()), out);
        }
        let first = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| waiting.write_ms);
        let record = match first {
            Some((at, waiting)) if waiting.write_ms <= self.next_ms => self.waiting.remove(at),
            _ => self.begin(),
        };
        self.write(record, out);
    }

    /// Somebody does something.
    fn begin(&mut self) -> Waiting {
        let time_ms = self.next_ms;
        self.next_ms += self.gap_ms();
        let what = if self.prng.unit() < self.evaluation_chance {
            What::Legacy(Evaluation::new(&self.cells, &mut self.team, &mut self.prng))
        } else {
            What::Noise {
                cue: self.noise.opening(self.prng.below(self.noise.weights())),
                seed: self.prng.draw(),
                user: Team::anyone(&mut self.prng),
                elapsed_ms: 0,
            }
        };
        Waiting { write_ms: time_ms, time_ms, what }
    }

    /// How long until somebody does the next thing: people and browsers come in bursts.
    fn gap_ms(&mut self) -> u64 {
        match self.prng.below(16) {
            0..=2 => self.prng.below(3),
            3..=9 => 3 + self.prng.below(120),
            10..=14 => 100 + self.prng.below(1500),
            _ => 1000 + self.prng.below(9000),
        }
    }

    fn write(&mut self, record: Waiting, out: &mut Vec<u8>) {
        let (format, time_ms) = (self.format, record.time_ms);
        match record.what {
            What::Legacy(evaluation) => {
                evaluation.write_legacy(format, time_ms, &self.cells, &self.team, out);
                self.expect_twin(evaluation, record.write_ms);
            }
            What::Structured(evaluation) => {
                evaluation.write_structured(format, time_ms, &self.cells, &self.team, out);
            }
            What::Noise { cue, seed, user, elapsed_ms } => {
                let facts = Facts { seed, name: Team::name(user), elapsed_ms };
                self.write_noise(cue, facts, time_ms, user, out);
                self.expect_line(What::Noise { cue: cue.next(), seed, user, elapsed_ms }, record.write_ms);
            }
        }
    }

    /// Mostly at once. No twin is so late, or so early beside what was written before it, that 15 ms would not
    /// reach: that is what real logs show.
    fn expect_twin(&mut self, evaluation: Evaluation, now_ms: u64) {
        let delay_ms = match self.prng.below(16) {
            0..=9 => 0,
            10..=14 => 1 + self.prng.below(2),
            _ => 3 + self.prng.below(6),
        };
        let time_ms = now_ms + delay_ms;
        let held_up_ms = if self.prng.once_in(20) { 1 + self.prng.below(6) } else { 0 };
        let what = What::Structured(evaluation);
        self.waiting.push(Waiting { write_ms: time_ms + held_up_ms, time_ms, what });
    }

    fn write_noise(&self, cue: Cue, facts: Facts<'_>, time_ms: u64, user: UsersId, out: &mut Vec<u8>) {
        let Some((scene, line, template)) = self.noise.line(cue) else { return };
        let form = match self.format {
            Format::LivebookJson => Form::Json,
            Format::LivebookText => Form::Raw,
        };
        let request = self.request.as_ref().filter(|_| scene.is_request);
        let frame = Frame {
            time_ms,
            severity: line.severity,
            users: self.team.users(user).filter(|_| line.has_user),
            request: request.map(|hole| RequestId { hole, seed: facts.seed }),
            structured: None,
        };
        frame.write(self.format, &|out| template.write(form, &facts, out), out);
    }

    /// Lets the scene go on, where it does.
    fn expect_line(&mut self, next: What, now_ms: u64) {
        let What::Noise { cue, seed, user, elapsed_ms } = next else { return };
        let Some((_, line, _)) = self.noise.line(cue) else { return };
        let (shortest, longest) = line.pause_ms;
        let unit = self.prng.unit();
        let pause_ms = shortest + ((longest - shortest) as f64 * unit * unit * unit) as u64;
        let time_ms = now_ms + pause_ms;
        let what = What::Noise { cue, seed, user, elapsed_ms: elapsed_ms + pause_ms };
        self.waiting.push(Waiting { write_ms: time_ms, time_ms, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livebook::inspect::{is_string_printable, write_literal};
    use serde_json::Value;

    const START_MS: u64 = 1_759_513_702_238;

    fn records(format: Format, evaluations: f64, seed: u64, count: usize) -> Vec<String> {
        let mut generator = Generator::new(Settings { format, evaluations, seed, start_ms: START_MS });
        let mut next = || {
            let mut out = Vec::new();
            generator.next_record(&mut out);
            String::from_utf8(out).unwrap()
        };
        (0..count).map(|_| next()).collect()
    }

    fn json(evaluations: f64, seed: u64, count: usize) -> Vec<Value> {
        let records = records(Format::LivebookJson, evaluations, seed, count);
        records[1..].iter().map(|record| serde_json::from_str(record).unwrap()).collect()
    }

    fn time_ms(text: &str) -> i64 {
        let time =
            chrono::NaiveDateTime::parse_from_str(&text[..23].replace(' ', "T"), "%Y-%m-%dT%H:%M:%S%.3f");
        time.unwrap().and_utc().timestamp_millis()
    }

    /// What both records of an evaluation say: the legacy message, and the users as they are written.
    #[derive(Debug)]
    struct Said {
        is_legacy: bool,
        message: String,
        users: String,
        time_ms: i64,
    }

    /// The legacy message that goes with `code`; unless `code` is already what `inspect` prints.
    fn legacy_message(mode: &str, code: &str) -> String {
        let mut literal = Vec::new();
        if code.starts_with("<<") {
            literal.extend_from_slice(code.as_bytes());
        } else if is_string_printable(code.as_bytes()) {
            write_literal(code.as_bytes(), &mut literal);
        } else {
            let bytes: Vec<String> = code.bytes().take(200).map(|byte| byte.to_string()).collect();
            let more = if code.len() > 200 { ", ..." } else { "" };
            literal.extend_from_slice(format!("<<{}{more}>>", bytes.join(", ")).as_bytes());
        }
        format!("Evaluating code\n  Session mode: {mode}\n  Code: {}", String::from_utf8(literal).unwrap())
    }

    fn said_in_json(record: &Value) -> Option<Said> {
        let (message, metadata) = (record["message"].as_str()?, &record["metadata"]);
        let is_legacy = message.starts_with("Evaluating code\n");
        let message = match metadata["event"].as_str() {
            Some("code.evaluate") => {
                legacy_message(metadata["session_mode"].as_str()?, metadata["code"].as_str()?)
            }
            _ if is_legacy => message.to_owned(),
            _ => return None,
        };
        let users = metadata["users"].to_string();
        Some(Said { is_legacy, message, users, time_ms: time_ms(record["time"].as_str()?) })
    }

    fn said_in_text(record: &str) -> Option<Said> {
        let time_ms = time_ms(record);
        let users = |rest: &str| rest[24..].strip_prefix("users=").unwrap().to_owned();
        if let Some((before, message)) = record.split_once(" [info] Evaluating code\n  Session") {
            let message = format!("Evaluating code\n  Session{}", message.strip_suffix('\n').unwrap());
            return Some(Said { is_legacy: true, message, users: users(before), time_ms });
        }
        let (before, code) = record
            .strip_suffix(" event=code.evaluate [info] Evaluating code\n")?
            .split_once(" code=")
            .unwrap();
        let (before, mode) = before.split_once(" session_mode=").unwrap();
        let mut message = legacy_message(mode, code);
        if message.len() > 8_096 {
            let end = (0..=8_096).rev().find(|&end| message.is_char_boundary(end)).unwrap();
            message.truncate(end);
            message.push_str(" (truncated)");
        }
        Some(Said { is_legacy: false, message, users: users(before), time_ms })
    }

    /// Pairs every evaluation's records; gives how many pairs crossed another's, or had a record in between.
    fn assert_twins(said: impl Iterator<Item = Option<Said>>) -> (usize, usize) {
        let mut open: Vec<(usize, Said)> = Vec::new();
        let (mut crossed, mut parted) = (0, 0);
        for (number, said) in said.enumerate() {
            let Some(said) = said else { continue };
            if said.is_legacy {
                open.push((number, said));
                continue;
            }
            let at = open.iter().position(|(_, legacy)| {
                (&legacy.message, &legacy.users) == (&said.message, &said.users)
                    && said.time_ms.abs_diff(legacy.time_ms) <= 15
            });
            let at = at.unwrap_or_else(|| panic!("no twin of {said:#?}"));
            crossed += usize::from(at > 0);
            parted += usize::from(open.remove(at).0 + 1 < number);
        }
        assert!(open.len() < 5, "without a twin: {open:#?}");
        (crossed, parted)
    }

    #[test]
    fn a_seed_is_a_log() {
        for format in [Format::LivebookJson, Format::LivebookText] {
            assert_eq!(records(format, 0.3, 7, 500), records(format, 0.3, 7, 500));
            assert_ne!(records(format, 0.3, 7, 500), records(format, 0.3, 8, 500));
            assert!(records(format, 0.3, 7, 1)[0].starts_with("[Livebook] Application running at http://"));
        }
    }

    #[test]
    fn json_records_have_the_members_of_livebooks() {
        for record in json(0.2, 1, 5000) {
            let mut members: Vec<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            assert_eq!(members, ["message", "metadata", "severity", "time"]);
            assert!(record["metadata"].is_object() && record["message"].is_string());
            assert_eq!(record["time"].as_str().unwrap().len(), "2025-10-03T17:48:22.238Z".len());
        }
    }

    #[test]
    fn a_record_is_one_line_of_json_and_begins_with_its_time_in_text() {
        for record in &records(Format::LivebookJson, 0.5, 2, 3000)[1..] {
            assert_eq!(record.find('\n'), Some(record.len() - 1));
        }
        for record in &records(Format::LivebookText, 0.5, 2, 3000)[1..] {
            assert!(record.ends_with('\n') && time_ms(record) >= START_MS as i64);
        }
    }

    #[test]
    fn every_evaluation_has_its_twin() {
        let (crossed, parted) = assert_twins(json(1.0, 3, 20_000).iter().map(said_in_json));
        assert!(crossed > 20 && parted > 500, "{crossed} {parted}");
        let (_, parted) = assert_twins(json(0.2, 4, 20_000).iter().map(said_in_json));
        assert!(parted > 50, "{parted}");
        let text = records(Format::LivebookText, 1.0, 3, 20_000);
        assert_twins(text[1..].iter().map(|record| said_in_text(record)));
        let cut = text.iter().filter(|record| record.ends_with(" (truncated)\n")).count();
        let unprintable = text.iter().filter(|record| record.contains("  Code: <<")).count();
        assert!(cut > 5 && unprintable > 5, "{cut} {unprintable}");
    }

    #[test]
    fn both_formats_tell_the_same_story() {
        let text = records(Format::LivebookText, 0.4, 9, 2000);
        let text = text[1..].iter().map(|record| said_in_text(record).map(|said| said.time_ms));
        assert!(
            json(0.4, 9, 2000).iter().map(|record| said_in_json(record).map(|said| said.time_ms)).eq(text)
        );
    }

    #[test]
    fn the_share_of_evaluations_is_as_asked() {
        for (asked, tolerance) in [(0.0, 0.0), (0.05, 0.01), (0.5, 0.02), (1.0, 0.0)] {
            let records = json(asked, 5, 20_000);
            let told = records.iter().filter(|record| said_in_json(record).is_some()).count();
            let share = told as f64 / records.len() as f64;
            assert!((share - asked).abs() <= tolerance, "{share} for {asked}");
        }
    }

    #[test]
    fn time_starts_as_asked_and_never_goes_far_back() {
        for evaluations in [0.05, 1.0] {
            let records = json(evaluations, 6, 20_000);
            let times: Vec<i64> = records.iter().map(|r| time_ms(r["time"].as_str().unwrap())).collect();
            assert_eq!(times[0], START_MS as i64);
            assert!(times.windows(2).all(|pair| pair[1] >= pair[0] - 15));
            assert!(times.iter().zip(&times[1..]).any(|(before, after)| after < before));
        }
    }

    #[test]
    fn noise_is_as_long_as_livebooks() {
        let records = records(Format::LivebookJson, 0.0, 1, 20_000);
        let mean = records.iter().map(String::len).sum::<usize>() / records.len();
        assert!((190..270).contains(&mean), "{mean}");
    }
}
