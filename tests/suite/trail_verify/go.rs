//! Trails, notes and proofs, held against Go's packages golang.org/x/mod/sumdb/note and tlog, which share no line with ours.

use super::maker::{Key, Made, ORIGIN, records};
use crate::harness::{Outcome, Run, TempDir, root};
use crate::tools::{has, skip};
use evaltrail::trail::key::{SignerKey, VerifierKey};
use evaltrail::trail::note::Checkpoint;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where Debian's golang-golang-x-mod-dev puts the packages.
const PACKAGES: &str = "/usr/share/gocode";

/// The checker, built once; none where Go or the packages are missing.
fn checker() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    if !has("go") {
        return None;
    }
    if !Path::new(PACKAGES).join("src/golang.org/x/mod/sumdb/tlog").is_dir() {
        skip("no golang-golang-x-mod-dev on this machine");
        return None;
    }
    let build = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = folder.join(format!("trailcheck-{}", std::process::id()));
        let mut command = Command::new("go");
        command.args(["build", "-o"]).arg(&program).arg("main.go");
        command.current_dir(root().join("tests/go/trailcheck"));
        command.env("GO111MODULE", "off").env("GOPATH", PACKAGES).env("GOFLAGS", "");
        command.env("GOCACHE", folder.join("go-cache"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Under one name for all runs, so that none leaves a file of its own; a run that is at work keeps what it started.
        let built = folder.join("trailcheck");
        std::fs::rename(program, &built).unwrap();
        Some(built)
    };
    BUILT.get_or_init(build).as_deref()
}

fn go(checker: &Path, args: &[&str], stdin: &[u8]) -> Outcome {
    Run::of(checker.to_str().unwrap()).arg_all(args).stdin(stdin).run()
}

#[test]
fn go_reads_a_trail_as_we_do() {
    let Some(checker) = checker() else { return };
    let key = Key::new();
    for (size, per_file) in
        [(0, 10), (1, 10), (255, 100), (256, 256), (257, 50), (700, 100), (66_000, 20_000)]
    {
        let made = Made::new(&key, records(size), per_file, &[size / 2]);
        let folder = made.folder();
        let outcome = go(checker, &["trail", folder.to_str().unwrap(), &key.text], b"").exits(0);
        assert_eq!(outcome.stdout, format!("{ORIGIN} {size} {}\n", made.stored.root(size)));
        Run::new(&["trail", "verify", folder.to_str().unwrap(), "--key", &key.text]).run().exits(0);
    }
    let made = Made::new(&key, records(300), 100, &[]);
    let path = made.folder().join("records/00000000000000000100.jsonl");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replacen("Evaluating", "evaluating", 1))
        .unwrap();
    go(checker, &["trail", made.folder().to_str().unwrap(), &key.text], b"").exits(1);
}

#[test]
fn go_checks_our_proofs() {
    let Some(checker) = checker() else { return };
    let key = Key::new();
    let made = Made::new(&key, records(700), 100, &[]);
    let folder = made.folder();
    for index in [0, 1, 255, 256, 511, 512, 699] {
        let number = index.to_string();
        let proof = Run::new(&["trail", "prove", folder.to_str().unwrap(), &number, "--key", &key.text])
            .run()
            .exits(0);
        let outcome = go(checker, &["proof", &key.text], proof.stdout.as_bytes()).exits(0);
        assert_eq!(outcome.stdout, format!("{index} {}\n", made.records[index]));
        let other = proof.stdout.replace(&format!("index {index}\n"), &format!("index {}\n", index + 1));
        go(checker, &["proof", &key.text], other.as_bytes()).exits(1);
    }
}

#[test]
fn notes_and_keys_pass_between_go_and_us() {
    let Some(checker) = checker() else { return };
    let key = Key::new();
    let made = Made::new(&key, records(9), 100, &[]);
    let opened = go(checker, &["open", &key.text], &made.note(&key, 9)).exits(0);
    assert_eq!(opened.stdout, format!("{ORIGIN}\n9\n{}\n", made.stored.root(9)));
    // A key that Go makes signs for Go and for us.
    let made_keys = go(checker, &["key", ORIGIN], b"").exits(0);
    let [secret, public] = made_keys.lines()[..] else { panic!("{}", made_keys.stdout) };
    let verifier = VerifierKey::parse(public).unwrap();
    let text = format!("{ORIGIN}\n9\n{}\n", made.stored.root(9));
    let note = go(checker, &["sign", secret], text.as_bytes()).exits(0);
    let checkpoint = Checkpoint::open(note.stdout.as_bytes(), &verifier).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (9, made.stored.root(9)));
    let dir = TempDir::new();
    dir.write("key", secret);
    let signer = SignerKey::read(&dir.path().join("key")).unwrap();
    assert_eq!(signer.verifier_text(), public);
    let ours = Checkpoint::sign(9, made.stored.root(9), &signer).unwrap();
    assert_eq!(ours.note, note.stdout.as_bytes(), "Ed25519 leaves no choice");
}
