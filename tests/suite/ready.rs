//! `/ready` before the first event: a sink that is known not to work is not ready until it works.

use crate::api::ask;
use crate::harness::{Run, TIMEOUT, TempDir, until};
use crate::receiver::{Answer, Receiver};
use crate::tools::free_address;
use crate::trail::Ground;
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;

/// The components that are not ready, each with its reason.
fn reasons(address: SocketAddr) -> Vec<(String, String)> {
    let (status, _, body) = ask(address, "GET", "/ready");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status == 200, body["ready"] == true, "{body}");
    let text = |reason: &Value, name: &str| reason[name].as_str().unwrap().to_owned();
    let all = body["reasons"].as_array().into_iter().flatten();
    all.map(|reason| (text(reason, "component"), text(reason, "reason"))).collect()
}

#[test]
fn a_sink_that_can_not_begin_is_not_ready_until_it_can() {
    let (ground, address) = (Ground::new(""), free_address());
    ground.log(0..4);
    ground.once().exits(0);
    ground.configure(&format!(
        "[sinks.copy]\ntype = \"file\"\ninputs = [\"project\"]\npath = \"blocked/copy.jsonl\"\n\n\
         [sinks.siem]\ntype = \"http\"\ninputs = [\"project\"]\nuri = \"https://127.0.0.1:1/\"\n\
         tls.ca_file = \"ca.pem\"\n\n[api]\naddress = \"{address}\"\n"
    ));
    fs::write(ground.path("blocked"), "in the way").unwrap();
    fs::rename(ground.path("trail"), ground.path("elsewhere")).unwrap();
    // Nothing to write: nothing has gone wrong.
    ground.once().exits(0);
    let live = ground.live();
    live.says("API: /health, /ready and /metrics");
    let ids = || reasons(address).into_iter().map(|(id, _)| id).collect::<Vec<String>>();
    assert!(until(TIMEOUT, || ids() == ["copy", "evidence", "siem"]), "{:?}", reasons(address));
    let told = reasons(address);
    for (at, words) in ["blocked", "signed with 4 records, and holds 0", "ca.pem"].iter().enumerate() {
        assert!(told[at].1.contains(words), "{told:?}");
    }
    let said = live.stderr();
    let line = said.lines().find(|line| line.contains("blocked/copy.jsonl")).unwrap();
    assert!(line.contains("the first event will have to wait") && line.contains("sink=\"copy\""), "{line}");
    // What is mended is seen without an event.
    fs::remove_dir_all(ground.path("trail")).unwrap();
    fs::rename(ground.path("elsewhere"), ground.path("trail")).unwrap();
    fs::remove_file(ground.path("blocked")).unwrap();
    assert!(until(TIMEOUT, || ids() == ["siem"]), "{:?}", reasons(address));
    live.says("the trail can be written now");
    live.says("the file can be written now");
    live.kill();
    // A key that is missing, and an event that waits: one trouble, not two.
    ground.configure(&format!("[api]\naddress = \"{address}\"\n"));
    fs::rename(ground.path("trail.key"), ground.path("key")).unwrap();
    ground.log(4..5);
    let live = ground.live();
    live.says("can't write");
    let told = reasons(address);
    assert!(told.len() == 1 && told[0].1.starts_with("the key: ") && !told[0].1.contains("more"), "{told:?}");
    fs::rename(ground.path("key"), ground.path("trail.key")).unwrap();
    assert!(until(TIMEOUT, || reasons(address).is_empty()), "{:?}", reasons(address));
    assert!(until(TIMEOUT, || ground.size() == 5), "{}", live.stderr());
    live.kill();
    ground.holds(5);
}

#[test]
fn a_sink_that_can_not_keep_what_is_rejected_is_not_ready_until_it_can() {
    let (receiver, address, dir) =
        (Receiver::start(|_, _| Answer::Status(400, "", "")), free_address(), TempDir::new());
    dir.write("data/dead_letters", "in the way");
    let config = format!(
        "data_dir = \"{}/data\"\n[api]\naddress = \"{address}\"\n[sources.in]\ntype = \"stdin\"\n\n\
         [sinks.siem]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"{}\"\n",
        dir.path().display(),
        receiver.uri()
    );
    let mut live = Run::new(&[]).config(&config).live();
    live.write(b"{\"a\":1}\n");
    live.says("ERROR can't keep a rejected event until somebody sees to it: ");
    assert!(live.stderr().contains("sink=\"siem\""), "{}", live.stderr());
    let told = reasons(address);
    assert!(told.len() == 1 && told[0].0 == "siem" && told[0].1.contains("dead_letters"), "{told:?}");
    fs::remove_file(dir.path().join("data/dead_letters")).unwrap();
    live.says("can keep rejected events again");
    assert!(reasons(address).is_empty());
    live.close_stdin();
    let (_, said) = live.wait(TIMEOUT);
    assert!(said.contains("rejected=1"), "{said}");
}
