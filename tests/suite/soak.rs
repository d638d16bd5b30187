//! A long run in small: input that is rotated, a receiver that fails now and then and refuses some events for good, and a
//! reload every few moments, good ones and broken ones. Everything that went in comes out once, is dropped on purpose or
//! is rejected, and neither memory nor descriptors grow.
//!
//! `EVALTRAIL_SOAK_SECS=1200 EVALTRAIL_PROGRAM=target/release/evaltrail cargo test --test suite soak -- --nocapture` runs it
//! for twenty minutes with a program that is built otherwise, and prints its figures.

use crate::dice::{Dice, number};
use crate::harness::{Live, PROGRAM, Run, TIMEOUT, TempDir, until};
use crate::logs::*;
use crate::receiver::{Answer, OK, Receiver};
use crate::tools::free_address;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// One evaluation in so many is refused for good.
const POISON_EVERY: u64 = 997;
/// Rotated files that are there.
const KEPT: u64 = 40;
/// One record in so many is none of an evaluation.
const OTHER_EVERY: u64 = 5;

/// The config of a moment: what it is made of changes, and what comes out does not.
fn config(dice: &mut Dice, api: SocketAddr, uris: &[String]) -> String {
    let mut text = format!(
        "data_dir = \"data\"\nshutdown_timeout_secs = 30\n[api]\naddress = \"{api}\"\n\
         [sources.logs]\ntype = \"file\"\ninclude = [\"logs/*\"]\nrotate_wait_secs = 1\nglob_minimum_cooldown_ms = {}\n\
         [transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"logs\"]\ntwin_wait_ms = {}\n",
        100 + dice.within(0..=2),
        1000 + dice.within(0..=1),
    );
    let between = dice.chance(50);
    if between {
        let condition = dice.pick(&["true", "1 < 2"]);
        write!(
            text,
            "[transforms.between]\ntype = \"filter\"\ninputs = [\"parse\"]\ncondition = \"{condition}\"\n"
        )
        .unwrap();
    }
    let feed = if between { "between" } else { "parse" };
    write!(text, "[transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"{feed}\"]\n").unwrap();
    write!(
        text,
        "[sinks.siem]\ntype = \"http\"\ninputs = [\"policy\"]\nuri = \"{}\"\nbatch.max_events = {}\n\
         batch.timeout_secs = 0.2\nrequest.retry_initial_backoff_secs = 1\nbuffer.max_events = {}\n",
        uris[dice.below(uris.len())],
        dice.pick(&[20, 100]),
        dice.pick(&[200, 1000]),
    )
    .unwrap();
    if dice.chance(50) {
        let compression = dice.pick(&["none", "zstd"]);
        write!(
            text,
            "[sinks.copy]\ntype = \"file\"\ninputs = [\"policy\"]\npath = \"copy.jsonl\"\nrotation.max_bytes = 200000\n\
             rotation.keep = 2\nrotation.compression = \"{compression}\"\n"
        )
        .unwrap();
    }
    text
}

/// Which evaluations a receiver has taken, and how often.
type Taken = Arc<Mutex<BTreeMap<u64, u64>>>;

/// A receiver that does not work for a while now and then.
fn receiver(seed: u64, taken: &Taken) -> Receiver {
    let (taken, mut dice) = (Arc::clone(taken), Dice::new(seed));
    let mut fails_until = Instant::now();
    Receiver::start(move |_, request| {
        let now = Instant::now();
        if now < fails_until {
            return Answer::Status(503, "", "not now");
        }
        if dice.chance(1) {
            fails_until = now + Duration::from_millis(dice.within(100..=1500));
        }
        let numbers: Vec<u64> = request
            .events()
            .iter()
            .map(|event| event["metadata"]["code"].as_str().unwrap().parse().unwrap())
            .collect();
        if numbers.iter().any(|number| number % POISON_EVERY == 0) {
            return Answer::Status(400, "", "poison");
        }
        let mut taken = taken.lock().unwrap();
        numbers.into_iter().for_each(|number| *taken.entry(number).or_default() += 1);
        OK
    })
}

/// Writes records and rotates their file; gives the number of the last evaluation.
fn write_logs(folder: &std::path::Path, stop: &AtomicBool, written: &AtomicU64, bytes: &AtomicU64) {
    let (mut dice, mut number, mut rotated) = (Dice::new(7), 0u64, 0u64);
    let name = folder.join("app.log");
    let open = || std::fs::OpenOptions::new().create(true).append(true).open(&name).unwrap();
    let mut file = open();
    while !stop.load(Ordering::Relaxed) {
        let mut text = String::new();
        for _ in 0..dice.within(1..=10) {
            number += 1;
            if number % OTHER_EVERY == 0 {
                text += &other_json(1);
            }
            text += &structured_json((number % 50_000) as u32, &number.to_string());
        }
        file.write_all(text.as_bytes()).unwrap();
        written.store(number, Ordering::Relaxed);
        bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
        if dice.chance(1) {
            rotated += 1;
            std::fs::rename(&name, folder.join(format!("app.log.{rotated}"))).unwrap();
            if rotated > KEPT {
                std::fs::remove_file(folder.join(format!("app.log.{}", rotated - KEPT))).unwrap();
            }
            file = open();
        }
        thread::sleep(Duration::from_millis(15));
    }
}

/// Memory in KiB and open descriptors.
fn sample(live: &Live) -> (u64, u64) {
    let status = live.proc("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
    (kib, std::fs::read_dir(format!("/proc/{}/fd", live.pid())).unwrap().count() as u64)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// What does not balance, by component.
fn imbalance(api: SocketAddr) -> Result<BTreeMap<String, i64>, std::io::Error> {
    let mut stream = TcpStream::connect(api)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for line in answer.lines().filter(|line| line.starts_with("evaltrail_events_")) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let id = name.split("component_id=\"").nth(1).unwrap().split('"').next().unwrap();
        let value: i64 = value.parse().unwrap();
        *sums.entry(id.to_owned()).or_default() +=
            if name.contains("events_in_total") { value } else { -value };
    }
    sums.retain(|_, sum| *sum != 0);
    Ok(sums)
}

#[test]
fn a_long_run_with_reloads_loses_nothing_and_grows_nowhere() {
    let time = Duration::from_secs(number("EVALTRAIL_SOAK_SECS", 12));
    let program = std::env::var("EVALTRAIL_PROGRAM").unwrap_or_else(|_| PROGRAM.to_owned());
    let program = std::fs::canonicalize(program).unwrap();
    let (dir, taken, api) = (TempDir::new(), Taken::default(), free_address());
    let receivers = [receiver(1, &taken), receiver(2, &taken)];
    let uris: Vec<String> = receivers.iter().map(Receiver::uri).collect();
    let mut dice = Dice::new(number("EVALTRAIL_SEED", 1));
    dir.write("config.toml", &config(&mut dice, api, &uris));
    std::fs::create_dir(dir.path().join("logs")).unwrap();
    let run = Run::of(program.to_str().unwrap()).arg_all(&["-c", "config.toml"]).current_dir(dir.path());
    let mut live = run.live();
    live.is_ready();
    let (stop, written, bytes) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (folder, stop, written, bytes) =
            (dir.path().join("logs"), stop.clone(), written.clone(), bytes.clone());
        thread::spawn(move || write_logs(&folder, &stop, &written, &bytes))
    };
    let (begun, mut samples, mut reloads, mut broken) = (Instant::now(), Vec::new(), 0, 0);
    let mut reload_at = begun + Duration::from_secs(1);
    while begun.elapsed() < time {
        thread::sleep(Duration::from_millis(200));
        samples.push(sample(&live));
        if Instant::now() < reload_at {
            continue;
        }
        reload_at = Instant::now() + Duration::from_millis(dice.within(500..=3000));
        let text = config(&mut dice, api, &uris);
        if dice.chance(10) {
            broken += 1;
            dir.write("config.toml", &text.replace("[transforms.policy]", "[transforms.policy"));
        } else {
            reloads += 1;
            dir.write("config.toml", &text);
        }
        live.signal("HUP");
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let total = written.load(Ordering::Relaxed);
    let poisoned = total / POISON_EVERY;
    everything_has_arrived(&live, dir.path(), api, &taken, total);
    live.signal("TERM");
    let (status, stderr) = live.wait(TIMEOUT);
    assert_eq!(status.code(), Some(i32::from(poisoned > 0)), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let repeated: Vec<u64> =
        taken.lock().unwrap().iter().filter(|(_, times)| **times > 1).map(|(number, _)| *number).collect();
    assert!(repeated.is_empty(), "{} came more than once: {:?}", repeated.len(), ranges(&repeated));
    let summary = stderr.lines().rfind(|line| line.contains("records=")).unwrap();
    assert!(summary.contains(&format!("records={}", total + total / OTHER_EVERY)), "{summary}");
    let figures = grows_nowhere(&samples);
    eprintln!(
        "{} s, {reloads} reloads and {broken} broken ones: {total} evaluations ({} bytes) in, {} out, {poisoned} rejected; \
         {figures}",
        time.as_secs(),
        bytes.load(Ordering::Relaxed),
        total - poisoned,
    );
}

/// Waits until everything is where it should be, and the counters say so.
fn everything_has_arrived(live: &Live, dir: &std::path::Path, api: SocketAddr, taken: &Taken, total: u64) {
    let poisoned = total / POISON_EVERY;
    let arrived = || taken.lock().unwrap().len() as u64;
    let all = until(Duration::from_secs(120), || arrived() == total - poisoned);
    assert!(
        all,
        "{} of {} have arrived, {:?}\n{}",
        arrived(),
        total - poisoned,
        missing(taken, total),
        live.stderr()
    );
    let letters = dir.join("data/dead_letters/siem.jsonl");
    let letters = || std::fs::read_to_string(&letters).unwrap_or_default().lines().count() as u64;
    assert!(until(TIMEOUT, || letters() == poisoned), "{} of {poisoned} dead letters", letters());
    let balanced = until(TIMEOUT, || imbalance(api).is_ok_and(|sums| sums.is_empty()));
    assert!(balanced, "{:?}\n{}", imbalance(api), live.stderr());
}

/// Which evaluations have not come.
fn missing(taken: &Taken, total: u64) -> Vec<(u64, u64)> {
    let taken = taken.lock().unwrap();
    let missing: Vec<u64> =
        (1..=total).filter(|number| number % POISON_EVERY != 0 && !taken.contains_key(number)).collect();
    ranges(&missing)
}

/// The first and the last of numbers that follow each other.
fn ranges(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 2 >= *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

/// Compares the second fifth of a run with its last.
fn grows_nowhere(samples: &[(u64, u64)]) -> String {
    let part = samples.len() / 5;
    let (first, last) = (&samples[part..2 * part], &samples[4 * part..]);
    let memory = |part: &[(u64, u64)]| median(part.iter().map(|sample| sample.0).collect());
    let descriptors = |part: &[(u64, u64)]| part.iter().map(|sample| sample.1).max().unwrap();
    // What a part of a short run needs now and then is no growth.
    assert!(memory(last) < memory(first) * 5 / 4 + 8 * 1024, "{} KiB, then {}", memory(first), memory(last));
    // Files that are rotated stay open until they are deleted.
    assert!(
        descriptors(last) <= descriptors(first) + 8 + KEPT,
        "{} then {}",
        descriptors(first),
        descriptors(last)
    );
    format!(
        "memory (median) {} then {} KiB, descriptors (most) {} then {}",
        memory(first),
        memory(last),
        descriptors(first),
        descriptors(last)
    )
}
