//! What a receiver refuses for good: found by halving, kept, handed to its port, sent again.

use crate::harness::{Run, TIMEOUT, until};
use crate::http_sink::{HASTY, LETTERS, Site, numbered, piped, taken};
use crate::receiver::{Answer, OK, Received, Receiver};
use serde_json::{Value, json};

#[test]
fn of_a_thousand_events_one_bad_is_kept_and_sent_again_later() {
    let bad = |request: &Received| request.messages().iter().any(|message| message == "n123");
    for status in [400, 413, 422] {
        let receiver = Receiver::start(move |_, request| match bad(request) {
            true => Answer::Status(status, "", "{\"error\":\"n123 is not for us\"}"),
            false => OK,
        });
        let site = Site::new();
        let config = piped(&receiver.uri(), "").replace("timeout_secs = 0.05", "timeout_secs = 60");
        let said = site.run(&config).stdin(numbered(1000)).run().exits(1).stderr;
        assert!(said.contains("delivered=999") && said.contains("rejected=1"), "{said}");
        let expected: Vec<String> = (0..1000).filter(|n| *n != 123).map(|n| format!("n{n}")).collect();
        assert_eq!(taken(&receiver.received(), bad), expected, "in order, and each of them once");
        let [letter] = &site.letters().1[..] else { panic!("{said}") };
        assert_eq!(letter["event"], json!({"message": "n123"}));
        assert_eq!(letter["reason"], "refused");
        assert_eq!(letter["status"], status);
        assert_eq!(letter["answer"], "{\"error\":\"n123 is not for us\"}");
        assert_eq!(letter["origin"]["source"], "in");
        assert!(!said.contains("not for us"), "an answer may repeat what was sent: {said}");
        assert!(said.contains("dead_letters/siem.jsonl"), "{said}");
        drop(receiver);
        if status == 400 {
            replay(&site);
        }
    }
}

/// Sends the letter again, to a receiver that refuses it once more, and to one that does not.
fn replay(site: &Site) {
    let again = |receiver: &Receiver| {
        site.0.write("again.toml", &piped(&receiver.uri(), HASTY));
        site.with(&["replay", LETTERS, "-c", "again.toml", "--sink", "siem"]).run()
    };
    let strict = Receiver::start(|_, _| Answer::Status(422, "", "still not"));
    let outcome = again(&strict).exits(1);
    assert!(outcome.stderr.contains("delivered to `siem`: 0; rejected again: 1"), "{}", outcome.stderr);
    let [letter] = &site.letters().1[..] else { panic!("the letter stays, once") };
    assert_eq!((&letter["status"], &letter["answer"]), (&json!(422), &json!("still not")));
    let kind = Receiver::start(|_, _| OK);
    let outcome = again(&kind).exits(0);
    assert!(outcome.stderr.contains("delivered to `siem`: 1; rejected again: 0"), "{}", outcome.stderr);
    assert_eq!(kind.received()[0].messages(), ["n123"]);
    assert!(!site.0.path().join(LETTERS).exists(), "nothing is left to be sent");
}

#[test]
fn letters_that_can_not_be_read_stay_where_they_are() {
    let receiver = Receiver::start(|_, _| OK);
    let letter = |text: &str| {
        format!(
            r#"{{"time":"2026-11-23T00:00:00.000Z","sink":"siem","reason":"refused","answer":"","origin":{{"source":"in","fingerprint":"00000000000000ff","offset":3,"received_ms":5}},"event":{{"message":"{text}"}}}}"#
        )
    };
    let file =
        format!("{}\nnot json\n{{\"event\":1}}\n{}\n{}", letter("a"), letter("b"), letter("without its end"));
    let site = Site::new();
    site.0.write("l.jsonl", &file);
    site.0.write("c.toml", &piped(&receiver.uri(), ""));
    let args = ["replay", "l.jsonl", "-c", "c.toml", "--sink", "siem"];
    let said = site.with(&args).run().exits(1).stderr;
    let left = std::fs::read_to_string(site.0.path().join("l.jsonl")).unwrap();
    assert!(
        said.contains("l.jsonl:2: no dead letter") && said.contains("l.jsonl:3: no dead letter"),
        "{said}"
    );
    assert_eq!(left, "not json\n{\"event\":1}\n");
    let sent: Vec<String> = receiver.received().iter().flat_map(Received::messages).collect();
    assert_eq!(sent, ["a", "b", "without its end"]);
}

#[test]
fn replay_says_what_it_can_not_do() {
    let config = piped("http://127.0.0.1:9/", "");
    let refused = |file: &str, sink: &str| {
        let args = ["replay", file, "-c", "c.toml", "--sink", sink];
        Run::new(&args).file("c.toml", &config).file("l.jsonl", "").run().exits(2).stderr
    };
    assert!(refused("none.jsonl", "siem").contains("can't read none.jsonl: No such file"));
    assert!(refused("/dev/null", "siem").contains("/dev/null is no regular file"));
    assert!(refused("l.jsonl", "seim").contains("has no sink `seim`; its sinks are `siem`"));
}

#[test]
fn letters_that_are_refused_again_are_not_read_again() {
    let letters = |count: usize| -> String {
        let letter = |n: usize| {
            format!(
                r#"{{"time":"2026-11-23T00:00:00.000Z","sink":"siem","reason":"refused","answer":"","origin":{{"source":"in","fingerprint":"00000000000000ff","offset":{n},"received_ms":5}},"event":{{"message":"n{n}"}}}}"#
            )
        };
        (0..count).map(|n| letter(n) + "\n").collect()
    };
    let receiver = Receiver::start(|_, _| Answer::Status(400, "", "never"));
    let site = Site::new();
    site.0.write(LETTERS, &letters(300));
    site.0.write("c.toml", &piped(&receiver.uri(), "batch.max_events = 10\nrequest.concurrency = 1"));
    let args = ["replay", LETTERS, "-c", "c.toml", "--sink", "siem"];
    // A second one that comes while the first is at work is sent away.
    let first = site.with(&args).live();
    assert!(until(TIMEOUT, || receiver.count() > 0), "{}", first.stderr());
    let second = site.with(&args).run().exits(2);
    assert!(second.stderr.contains("wait for its end"), "{}", second.stderr);
    let (status, said) = first.wait(TIMEOUT);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("delivered to `siem`: 0; rejected again: 300"), "{said}");
    assert_eq!(receiver.count(), 30 * 19, "once over all of them");
    let kept = site.letters().1;
    let texts: Vec<&str> = kept.iter().map(|letter| letter["event"]["message"].as_str().unwrap()).collect();
    assert_eq!(texts, (0..300).map(|n| format!("n{n}")).collect::<Vec<_>>());
}

#[test]
fn what_was_tried_often_enough_is_kept_too() {
    let receiver = Receiver::start(|_, _| Answer::Status(503, "", "down for good"));
    let site = Site::new();
    let options = format!("{HASTY}request.retry_attempts = 2\nbatch.max_events = 2");
    site.run(&piped(&receiver.uri(), &options)).stdin("a\nb\nc\n").run().exits(1);
    let kept = site.letters().1;
    assert_eq!(receiver.count(), 6, "each request once, and repeated twice");
    let texts: Vec<&Value> = kept.iter().map(|letter| &letter["event"]["message"]).collect();
    assert_eq!(texts, ["a", "b", "c"]);
    assert!(kept.iter().all(|letter| letter["reason"] == "given_up" && letter["status"] == 503));
}

#[test]
fn rejected_events_leave_by_their_port_where_somebody_takes_them() {
    let receiver = Receiver::start(|_, request| match request.messages().contains(&"b".to_owned()) {
        true => Answer::Status(400, "", "no b please"),
        false => OK,
    });
    let rest = "[transforms.why]\ntype = \"metadata_projection\"\ninputs = [\"siem.rejected\"]\n\
        keys = [\"%reject_reason\", \"%reject_status\", \"%reject_answer\", \"%source\"]\n\
        [sinks.out]\ntype = \"console\"\ninputs = [\"why\"]\n";
    let site = Site::new();
    let outcome = site.run(&piped(&receiver.uri(), rest)).stdin("a\nb\nc\n").run().exits(1);
    let [rejected] = &outcome.events()[..] else { panic!("{}", outcome.stderr) };
    assert_eq!(rejected["message"], "b");
    assert_eq!(
        rejected["metadata"],
        json!({"reject_reason": "refused", "reject_status": 400, "reject_answer": "no b please", "source": "in"})
    );
    assert!(!site.0.path().join("data/dead_letters").exists());
}
