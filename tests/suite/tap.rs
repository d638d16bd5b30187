//! `evaltrail tap`: what is shown is what passes, nobody waits for who looks, and not everybody may.

use crate::api::{ask_with, metrics, of, start};
use crate::harness::{Live, Run, TIMEOUT, TempDir, until};
use crate::logs::*;
use crate::receiver::{Answer, Receiver};
use crate::tools::free_address;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// From standard input to nowhere, with a transform that drops and one that has ports only.
const CONFIG: &str = "[sources.livebook]\ntype = \"stdin\"\n\
    [transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"livebook\"]\n\
    [transforms.modes]\ntype = \"route\"\ninputs = [\"parse\"]\nroute.apps = '.metadata.session_mode == \"app\"'\n\
    [sinks.out]\ntype = \"blackhole\"\ninputs = [\"parse\", \"modes.apps\", \"modes._unmatched\"]\n";
/// As much as can be made.
const FLOOD: &str = "[sources.demo]\ntype = \"demo_logs\"\ninterval_secs = 0\n\
    [sinks.out]\ntype = \"blackhole\"\ninputs = [\"demo\"]\n";

/// A tap that is open.
fn tap(address: SocketAddr, args: &[&str]) -> Live {
    let live = Run::new(&["tap"]).arg_all(args).arg("--address").arg(&address.to_string()).live();
    live.says("what passes");
    live
}

/// One that comes to nothing: its exit code and what it says.
fn no_tap(address: SocketAddr, args: &[&str]) -> (Option<i32>, String) {
    let outcome = Run::new(&["tap"]).arg_all(args).arg("--address").arg(&address.to_string()).run();
    assert_eq!(outcome.stdout, "");
    (outcome.code, outcome.stderr)
}

fn stop(mut live: Live) {
    live.signal("TERM");
    assert!(until(TIMEOUT, || !live.is_running()));
}

#[test]
fn it_shows_what_leaves_a_component_and_what_a_sink_takes_in() {
    let address = free_address();
    let mut live = start(address, CONFIG);
    let mut source = tap(address, &["livebook", "--limit", "3", "--origin"]);
    let mut transform = tap(address, &["parse", "--limit", "1"]);
    let mut pretty = tap(address, &["parse", "--limit", "1", "--pretty"]);
    let mut sink = tap(address, &["out"]);
    let mut faults = tap(address, &["livebook.faults"]);
    let mut port = tap(address, &["modes._unmatched"]);
    let log = twins_json(1, "1 + 1") + "{\"message\":\"torn\n" + &other_json(2);
    live.write(log.as_bytes());
    let first = source.event(TIMEOUT);
    assert_eq!((&first["%"]["source"], &first["%"]["offset"]), (&json!("livebook"), &json!(0)), "{first}");
    assert!(source.event(TIMEOUT)["%"]["id"].is_string());
    assert!(source.event(TIMEOUT)["message"].is_string());
    let event = transform.event(TIMEOUT);
    assert_eq!((&event["metadata"]["code"], event.get("%")), (&json!("1 + 1"), None), "{event}");
    assert_eq!(sink.event(TIMEOUT)["metadata"]["code"], "1 + 1");
    assert_eq!(port.event(TIMEOUT)["metadata"]["code"], "1 + 1");
    assert_eq!(faults.event(TIMEOUT)["reason"], "broken_json");
    let shown = String::from_utf8(pretty.rest()).unwrap();
    assert!(shown.contains("default  connected: ") && shown.ends_with("\n    1 + 1\n"), "{shown}");
    for ended in [source, transform, pretty] {
        let (status, said) = ended.wait(TIMEOUT);
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(!said.contains("not shown"), "{said}");
    }
    // Who stops looking, stops it; the others see the end.
    sink.signal("INT");
    assert_eq!(sink.wait(TIMEOUT).0.code(), Some(0));
    stop(live);
    for ended in [faults, port] {
        let (status, said) = ended.wait(TIMEOUT);
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("the tap has ended: "), "{said}");
    }
}

#[test]
fn rejected_events_say_why() {
    let address = free_address();
    let receiver = Receiver::start(|_, _| Answer::Status(422, "", "no such field"));
    let dir = TempDir::new();
    let config = format!(
        "data_dir = \"{}\"\n[sources.in]\ntype = \"stdin\"\n\
         [sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{}\"\nbatch.timeout_secs = 0.01\n",
        dir.path().display(),
        receiver.uri()
    );
    let mut live = start(address, &config);
    let mut rejected = tap(address, &["siem.rejected", "--origin", "--limit", "1"]);
    live.write(b"no\n");
    let event = rejected.event(TIMEOUT);
    assert_eq!(event["message"], "no");
    let why = |name: &str| event["%"][name].clone();
    assert_eq!((why("reject_reason"), why("reject_status")), (json!("refused"), json!(422)));
    assert!(why("reject_answer").as_str().unwrap().contains("no such field"), "{event}");
    live.close_stdin();
    assert!(until(TIMEOUT, || !live.is_running()));
}

#[test]
fn nothing_waits_for_who_looks_and_what_is_missed_is_told() {
    let address = free_address();
    let live = start(address, FLOOD);
    let mut slow = tap(address, &["demo", "--limit", "30000"]);
    let passed = || of(&metrics(address), "events_out_total", "out");
    slow.event(TIMEOUT);
    // It reads nothing, and is far behind; the pipeline goes on.
    let before = passed();
    assert!(until(TIMEOUT, || passed() > before + 100_000.0), "{} after {before}", passed());
    let shown = String::from_utf8(slow.rest()).unwrap();
    assert_eq!(shown.lines().count(), 29_999);
    assert!(shown.lines().all(|line| serde_json::from_str::<Value>(line).unwrap().is_object()));
    let (status, said) = slow.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{said}");
    let count = said.split_once(" events were not shown").unwrap_or_else(|| panic!("{said}")).0;
    assert!(count.rsplit(' ').next().unwrap().parse::<u64>().unwrap() > 0, "{said}");
    stop(live);
}

#[test]
fn a_tap_stays_open_when_other_connections_are_closed() {
    let address = free_address();
    let mut live = start(address, CONFIG);
    let mut source = tap(address, &["livebook"]);
    // Longer than a connection lives that has none.
    source.silent_for(Duration::from_millis(10_500));
    live.write(other_json(1).as_bytes());
    source.event(TIMEOUT);
    drop(source);
    stop(live);
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let address = free_address();
    let live = start(address, CONFIG);
    for (output, help) in [
        ("pares", "nothing passes at `pares`: did you mean `parse`?"),
        ("livebook.fault", "did you mean `livebook.faults`?"),
        (
            "something",
            "there are `livebook`, `livebook.faults`, `modes.apps`, `modes._unmatched`, `parse`, `out`",
        ),
        ("modes", "nothing passes at `modes`: "),
        ("a b/../%", "nothing passes at `a b/../%`: "),
    ] {
        let (code, said) = no_tap(address, &[output]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(help), "{said}");
    }
    let (status, _, body) = ask_with(address, "GET", "/tap/pares", "Host: localhost\r\n");
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, said["outputs"].as_array().unwrap().len()), (404, 6), "{body}");
    for limit in ["0", "-1", "x"] {
        Run::new(&["tap", "parse", &format!("--limit={limit}")]).run().exits(2);
    }
    stop(live);
    let (code, said) = no_tap(address, &["parse"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("can't ask {address}: ")) && said.contains("[api]"), "{said}");
}

#[test]
fn web_pages_and_strangers_see_nothing() {
    let address = free_address();
    let live = start(address, CONFIG);
    let host = format!("Host: {address}\r\n");
    let asked = |headers: &str| ask_with(address, "GET", "/tap/livebook?limit=1", headers);
    for headers in [
        "Host: page.example.org\r\n".to_owned(),
        format!("{host}Origin: http://{address}\r\n"),
        format!("{host}Sec-Fetch-Site: cross-site\r\n"),
        format!("{host}X-Forwarded-For: 10.0.0.7\r\n"),
        "Host: 10.0.0.7\r\n".to_owned(),
    ] {
        let (status, _, body) = asked(&headers);
        assert_eq!(status, 403, "{headers}: {body}");
        assert!(body.contains("see events") || body.contains("events are shown"), "{body}");
    }
    assert_eq!(ask_with(address, "POST", "/tap/livebook", &host).0, 405);
    assert_eq!(ask_with(address, "HEAD", "/tap/livebook", &host).0, 405);
    assert_eq!(ask_with(address, "GET", "/tap/livebook?limit=none", &host).0, 400);
    stop(live);
    let off =
        Run::new(&[]).config(&format!("{CONFIG}\n[api]\naddress = \"{address}\"\ntap = \"off\"\n")).live();
    off.says("API: ");
    let (code, said) = no_tap(address, &["livebook"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("`tap = \"off\"`"), "{said}");
    stop(off);
}

#[test]
fn there_are_sixteen_taps_and_one_that_is_gone_makes_room() {
    let address = free_address();
    let live = start(address, CONFIG);
    let open = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        write!(stream, "GET /tap/livebook HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (stream, String::from_utf8(head.to_vec()).unwrap())
    };
    let mut taps: Vec<TcpStream> = Vec::new();
    for _ in 0..16 {
        let (stream, head) = open();
        assert_eq!(head, "HTTP/1.1 200");
        taps.push(stream);
    }
    let (code, said) = no_tap(address, &["livebook"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("16 taps are open"), "{said}");
    taps.pop();
    assert!(until(TIMEOUT, || open().1 == "HTTP/1.1 200"));
    stop(live);
}

#[test]
fn another_config_ends_what_it_does_not_have_or_does_not_show() {
    let (address, dir) = (free_address(), TempDir::new());
    let api = |tap: &str| format!("[api]\naddress = \"{address}\"\ntap = \"{tap}\"\n");
    let without = "[sources.livebook]\ntype = \"stdin\"\n\
                   [sinks.out]\ntype = \"blackhole\"\ninputs = [\"livebook\"]\n";
    let config = dir.path().join("evaltrail.toml");
    let reload = |live: &Live, text: String, said: &str| {
        std::fs::write(&config, text).unwrap();
        live.signal("HUP");
        live.says(said);
    };
    std::fs::write(&config, api("loopback") + CONFIG).unwrap();
    let mut live = Run::new(&["-c", config.to_str().unwrap()]).live();
    live.says("API: ");
    let (gone, mut stays) = (tap(address, &["parse"]), tap(address, &["livebook"]));
    reload(&live, api("loopback") + without, "removed=\"modes parse\"");
    let (status, said) = gone.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("another config has no such component"), "{said}");
    live.write(other_json(1).as_bytes());
    stays.event(TIMEOUT);
    reload(&live, api("off") + without, "no component has changed");
    let said = stays.wait(TIMEOUT).1;
    assert!(said.contains("another config shows events to nobody"), "{said}");
    assert_eq!(no_tap(address, &["livebook"]).0, Some(1));
    stop(live);
}

#[test]
fn validate_warns_where_everybody_is_let_in() {
    let run = |api: &str| {
        let config = format!("[api]\n{api}\n{CONFIG}");
        Run::new(&["validate"]).config(&config).run()
    };
    let outcome = run("address = \"0.0.0.0:8686\"\ntap = \"everyone\"").exits(0);
    for said in [
        "warning: whoever can connect to 0.0.0.0:8686 can see events",
        "evaltrail.toml:3:7",
        "everyone may open a tap",
    ] {
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
    assert_eq!(run("tap = \"everyone\"").exits(0).stderr, "");
    assert_eq!(run("address = \"0.0.0.0:8686\"").exits(0).stderr, "");
    let outcome = run("tap = \"everybody\"").exits(2);
    assert!(outcome.stderr.contains("did you mean `everyone`?"), "{}", outcome.stderr);
}
