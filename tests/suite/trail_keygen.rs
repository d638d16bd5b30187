//! Keys of trails, through the program: who can read them, and what is refused.

use crate::harness::{PROGRAM, Run, TempDir};
use std::os::unix::fs::{PermissionsExt, symlink};

const ORIGIN: &str = "example.com/livebook/audit";

fn keygen(dir: &TempDir, args: &[&str]) -> Run {
    Run::new(&["trail", "keygen"]).arg_all(args).current_dir(dir.path())
}

fn read(dir: &TempDir, name: &str) -> String {
    std::fs::read_to_string(dir.path().join(name)).unwrap()
}

#[test]
fn a_key_is_for_its_owner_alone_whatever_the_umask() {
    for umask in ["000", "022", "777"] {
        let dir = TempDir::new();
        let script = format!("umask {umask}; exec \"$0\" trail keygen {ORIGIN}");
        let run = Run::of("bash").arg("-c").arg(&script).arg(PROGRAM).current_dir(dir.path());
        let outcome = run.env("PATH", "/usr/bin:/bin").run().exits(0);
        let mode = std::fs::metadata(dir.path().join("trail.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "umask {umask}");
        let (public, secret) = (outcome.stdout, read(&dir, "trail.key"));
        assert!(public.starts_with(&format!("{ORIGIN}+")) && public.lines().count() == 1, "{public}");
        // Both name the key by the origin and the same id.
        let id = public.split('+').nth(1).unwrap();
        assert!(secret.starts_with(&format!("PRIVATE+KEY+{ORIGIN}+{id}+")) && secret.ends_with('\n'));
        assert!(!public.contains(secret.splitn(5, '+').nth(4).unwrap().trim()) && outcome.stderr.is_empty());
    }
}

#[test]
fn two_keys_are_never_the_same_and_the_machine_is_the_origin() {
    let dir = TempDir::new();
    let one = keygen(&dir, &["--key-file", "one.key"]).run().exits(0).stdout;
    let two = keygen(&dir, &["--key-file", "two.key"]).run().exits(0).stdout;
    assert_ne!(one, two);
    assert!(one.split('+').next().unwrap().ends_with("/evaltrail"), "{one}");
}

#[test]
fn what_checks_can_be_had_again() {
    let dir = TempDir::new();
    let pubkey = |args: &[&str]| Run::new(&["trail", "pubkey"]).arg_all(args).current_dir(dir.path()).run();
    let printed = keygen(&dir, &[ORIGIN]).run().exits(0).stdout;
    assert_eq!(pubkey(&[]).exits(0).stdout, printed);
    std::fs::write(dir.path().join("public"), &printed).unwrap();
    std::fs::write(dir.path().join("bytes"), b"PRIVATE+KEY+\xff\n").unwrap();
    let refused = [
        ("none", "No such file"),
        ("public", "no key that signs"),
        ("bytes", "no key that signs"),
        (".", "no regular file"),
    ];
    for (name, why) in refused {
        let outcome = pubkey(&["--key-file", name]).exits(2);
        assert!(outcome.stderr.starts_with(&format!("evaltrail: {name}: ")), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn nothing_is_overwritten() {
    let dir = TempDir::new();
    keygen(&dir, &[ORIGIN]).run().exits(0);
    let before = read(&dir, "trail.key");
    symlink("nowhere", dir.path().join("dangling.key")).unwrap();
    for name in ["trail.key", "dangling.key", "."] {
        let outcome = keygen(&dir, &[ORIGIN, "--key-file", name]).run().exits(1);
        assert!(outcome.stderr.starts_with(&format!("evaltrail: {name}: ")), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
    let again = keygen(&dir, &[ORIGIN]).run().exits(1).stderr;
    assert!(again.contains("`evaltrail trail pubkey --key-file trail.key` prints what checks"), "{again}");
    assert_eq!(read(&dir, "trail.key"), before);
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn what_can_not_be_written_is_said() {
    let dir = TempDir::new();
    let outcome = keygen(&dir, &[ORIGIN, "--key-file", "keys/trail.key"]).run().exits(1);
    assert!(outcome.stderr.contains("keys/trail.key: its folder is not there: make it first"));
    assert_eq!(outcome.stdout, "");
}

#[test]
fn an_origin_that_no_trail_can_have_is_bad_usage() {
    let long = "x".repeat(201);
    for origin in ["", "a b", "a+b", "a\nb", "\u{a0}", &long] {
        let dir = TempDir::new();
        let outcome = keygen(&dir, &["--", origin]).run().exits(2);
        assert!(
            outcome.stderr.contains("the origin ") && outcome.stderr.contains("example.com"),
            "{origin:?}"
        );
        assert!(!dir.path().join("trail.key").exists(), "{origin:?}");
    }
}
