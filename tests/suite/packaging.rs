//! What is in `packaging/`, as far as it can be tried without the systems that it is for: the unit by systemd's own
//! judges, the configs in the manifests by the program, the pipe of the sidecar with both of its ends.

use crate::harness::{Live, PROGRAM, Run, TIMEOUT, TempDir, root, until};
use crate::logs::*;
use crate::receiver::{Answer, OK, Received, Receiver};
use crate::tools::has;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// What `systemd-analyze security` may say of the unit at most, on its scale from 0 to 100.
const EXPOSURE_MAX: u32 = 14;

fn packaged(name: &str) -> String {
    fs::read_to_string(root().join("packaging").join(name)).unwrap()
}

/// The texts that stand below a line that ends in `mark`, as far as they are indented deeper, without their indentation.
fn blocks(yaml: &str, mark: &str) -> Vec<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut blocks = Vec::new();
    let mut lines = yaml.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.ends_with(mark) {
            continue;
        }
        let indent = lines.peek().map(|line| depth(line)).unwrap();
        let mut block = String::new();
        while let Some(line) = lines.next_if(|line| line.is_empty() || depth(line) >= indent) {
            block += line.get(indent..).unwrap_or_default();
            block.push('\n');
        }
        blocks.push(block);
    }
    blocks
}

/// The config in a manifest.
fn config_of(manifest: &str) -> String {
    let configs = blocks(&packaged(manifest), "evaltrail.toml: |");
    assert_eq!(configs.len(), 1, "{manifest}");
    configs.concat()
}

/// The command lines of the unit under `key`.
fn commands(key: &str) -> Vec<Vec<String>> {
    let unit = packaged("evaltrail.service");
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

#[test]
fn systemd_accepts_the_unit_and_finds_little_exposed() {
    if !has("systemd-analyze") {
        return;
    }
    let dir = TempDir::new();
    // It wants the program to be there.
    dir.write("evaltrail.service", &packaged("evaltrail.service").replace("/usr/bin/evaltrail", PROGRAM));
    let unit = dir.path().join("evaltrail.service");
    let ask = |args: &[&str]| {
        let output = Command::new("systemd-analyze").args(args).arg(&unit).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    // A name or a value that it does not know is a line, and no failure.
    assert_eq!(ask(&["verify", "--man=no"]), (true, String::new()));
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let (is_well, said) = ask(&["security", "--no-pager", "--offline=true", &threshold]);
    assert!(is_well, "{said}");
    let (is_well, _) = ask(&["security", "--no-pager", "--offline=true", "--threshold=1"]);
    assert!(!is_well, "a threshold says something");
    // With each of the drop-ins at its end.
    let text = fs::read_to_string(&unit).unwrap();
    let (_, notes) = text.split_once("[Install]").unwrap();
    let drop_ins = notes.split("#     [Service]\n").skip(1);
    let drop_ins: Vec<String> = drop_ins
        .map(|note| {
            note.lines()
                .map_while(|line| line.strip_prefix("#     "))
                .fold(String::new(), |all, line| all + line + "\n")
        })
        .collect();
    assert!(text.contains("# Six of those are at the end") && drop_ins.len() == 6, "{drop_ins:?}");
    for drop_in in drop_ins {
        dir.write("evaltrail.service", &format!("{text}\n[Service]\n{drop_in}"));
        assert_eq!(ask(&["verify", "--man=no"]), (true, String::new()), "{drop_in}");
    }
}

#[test]
fn the_unit_runs_the_config_that_the_package_installs() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse::<toml::Table>().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let assets = package["assets"].as_array().unwrap();
    let (run, reload) = (commands("ExecStart").concat(), commands("ExecReload").concat());
    let config = run.iter().find(|word| word.ends_with(".toml")).unwrap();
    assert!(reload.contains(config), "{reload:?}");
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let assets = assets.iter().map(|asset| (text(&asset[0]), text(&asset[1])));
    let assets: Vec<(String, String)> = assets.collect();
    let source = |target: &str| {
        // A folder takes the name of what is put into it.
        let is_it = |(source, into): &&(String, String)| match into.ends_with('/') {
            true => target == format!("/{into}{}", source.rsplit('/').next().unwrap()),
            false => target == format!("/{into}"),
        };
        assets.iter().find(is_it).unwrap_or_else(|| panic!("no asset {target}")).0.clone()
    };
    assert_eq!(source(&run[0]), "target/release/evaltrail");
    let conffiles = package["conf-files"].as_array().unwrap();
    assert!(conffiles.iter().any(|file| file.as_str() == Some(config)), "{conffiles:?}");
    // The line for a reload, with the file that becomes that config.
    let config_here = root().join(source(config));
    let words = reload.iter().take_while(|word| !word.starts_with("/bin/")).skip(1);
    let words: Vec<&str> =
        words.map(|word| if word == config { config_here.to_str().unwrap() } else { word }).collect();
    Run::new(&words).run().exits(0);
    assert!(fs::read_to_string(config_here).unwrap().contains(":-/var/lib/evaltrail}"), "its state folder");
}

#[test]
fn what_the_package_takes_along_is_there() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse::<toml::Table>().unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let script = packaged("assets.sh");
    for source in assets.iter().map(|asset| asset[0].as_str().unwrap()) {
        match source.strip_prefix("target/release/assets/") {
            Some(made) => assert!(script.contains(&format!("\"$2/{made}\"")), "{source}"),
            None if source == "target/release/evaltrail" => {}
            None => {
                let pattern = root().join(source).display().to_string();
                assert!(glob::glob(&pattern).unwrap().flatten().any(|path| path.is_file()), "{source}");
            }
        }
    }
}

#[test]
fn purging_removes_what_it_can_and_tells_of_the_rest() {
    let dir = TempDir::new();
    let folder = dir.path().display().to_string();
    let script = packaged("debian/postrm").replace("/var/", &format!("{folder}/var/"));
    for name in ["lib", "log"] {
        dir.write(&format!("var/{name}/private/evaltrail/a"), "");
        std::os::unix::fs::symlink("private/evaltrail", dir.path().join(format!("var/{name}/evaltrail")))
            .unwrap();
    }
    // What has a file system of its own here, and what can't be removed.
    fs::create_dir(dir.path().join("bin")).unwrap();
    let stub = |name: &str, text: &str| {
        let path = dir.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    stub("mountpoint", "case $2 in */log/private/evaltrail) exit 0 ;; esac; exit 1");
    let postrm = |what: &str| {
        let run = Run::of("/bin/sh").arg_all(&["-c", &script, "postrm", what]);
        run.env("PATH", &format!("{folder}/bin:/usr/bin:/bin")).run().exits(0)
    };
    let is_there = |name: &str| fs::symlink_metadata(dir.path().join(name)).is_ok();
    postrm("remove");
    assert!(is_there("var/lib/private/evaltrail/a") && is_there("var/log/evaltrail"));
    let said = postrm("purge");
    assert!(!is_there("var/lib/private/evaltrail") && !is_there("var/lib/evaltrail"), "{said:?}");
    assert!(is_there("var/log/private/evaltrail/a") && !is_there("var/log/evaltrail"), "{said:?}");
    assert!(said.stderr.contains("a file system of its own"), "{said:?}");
    stub("mountpoint", "exit 1");
    stub("rm", "exit 1");
    let said = postrm("purge");
    assert!(said.stdout.contains(&format!("removes {folder}/var/log/private/evaltrail\n")), "{said:?}");
    assert!(said.stderr.contains("could not be removed"), "{said:?}");
}

#[test]
fn the_config_in_the_image_can_be_asked_whether_it_lives() {
    let dockerfile = packaged("Dockerfile");
    let lines = dockerfile.lines().find_map(|line| line.trim().strip_prefix("&& printf ")).unwrap();
    let (lines, into) = lines.split_once(" >> /out").unwrap();
    assert!(dockerfile.contains(&format!(" configs/files.toml /out{into} ")), "{into}");
    let lines = Run::of("/bin/sh").arg("-c").arg(&format!("printf {lines}")).run().exits(0).stdout;
    let config = fs::read_to_string(root().join("configs/files.toml")).unwrap() + &lines;
    assert!(config.parse::<toml::Table>().unwrap().contains_key("api"), "{lines}");
    Run::new(&["validate"]).config(&config).run().exits(0);
}

#[test]
fn the_configs_in_the_manifests_are_valid_and_pass_their_tests() {
    for manifest in ["kubernetes/daemonset.yaml", "kubernetes/sidecar.yaml"] {
        let config = config_of(manifest);
        let run = |command: &[&str]| {
            let run = Run::new(command).config(&config).env("SIEM_URI", "http://127.0.0.1:9/");
            run.env("SIEM_TOKEN", "a-token-of-the-siem").run().exits(0)
        };
        run(&["validate", "--deny-warnings"]);
        let said = run(&["test"]);
        assert!(!said.stdout.contains("\n0 passed"), "{manifest}: {said:?}");
    }
}

#[test]
fn the_daemonset_reads_livebooks_and_not_itself() {
    let dir = TempDir::new();
    let logs = dir.path().display().to_string();
    let line = |text: &str| format!("2025-10-06T09:02:41.120669794Z stdout F {text}");
    dir.write("livebook_livebook-0_9c1d/livebook/0.log", &line(&structured_json(1, "1 + 1")));
    dir.write("default_livebook-7d9f-abcde_9c1e/livebook/1.log", &line(&structured_json(2, "2 + 2")));
    dir.write("livebook_evaltrail-x2x4z_9c1f/evaltrail/0.log", &line(&structured_json(3, "3 + 3")));
    // What the kubelet packs is there twice for a while.
    let old = "livebook_livebook-0_9c1d/livebook/0.log.20251006-090301";
    dir.write(old, &line(&structured_json(4, "4 + 4")));
    dir.write(&format!("{old}.tmp"), &line(&structured_json(4, "4 + 4")));
    let config = config_of("kubernetes/daemonset.yaml")
        .replace("/var/log/pods", &logs)
        .replace("/var/lib/evaltrail", &format!("{logs}/data"))
        .replace("0.0.0.0:8686", "127.0.0.1:0");
    let outcome = Run::new(&["--once"]).config(&config).run().exits(0);
    let events = outcome.events();
    let mut codes = codes(&events);
    codes.sort();
    assert_eq!(codes, ["1 + 1", "2 + 2", "4 + 4"]);
}

/// The pod of the sidecar, with its two scripts and their pipe.
struct Pod {
    dir: TempDir,
    siem: Receiver,
}

impl Pod {
    fn new() -> Pod {
        let dir = TempDir::new();
        fs::create_dir(dir.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(PROGRAM, dir.path().join("bin/evaltrail")).unwrap();
        let config = config_of("kubernetes/sidecar.yaml")
            .replace("/var/lib/evaltrail", &dir.path().join("data").display().to_string())
            .replace("0.0.0.0:8686", "127.0.0.1:0");
        dir.write("config.toml", &config);
        Pod { dir, siem: Receiver::start(|_, _| OK) }
    }

    /// Starts one of its containers; `livebook` is what the server does, in shell.
    fn container(&self, number: usize, livebook: &str) -> Live {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        self.dir.write("server", &format!("#!/bin/sh\n{livebook}"));
        let script = blocks(&packaged("kubernetes/sidecar.yaml"), "- |")[number]
            .replace("/pipe/log", &path("log"))
            .replace("/etc/evaltrail/evaltrail.toml", &path("config.toml"))
            .replace("/app/bin/server", &format!("sh {}", path("server")));
        let path = format!("{}:/usr/bin:/bin", path("bin"));
        let run = Run::of("/bin/sh").arg("-c").arg(&script).env("PATH", &path);
        run.env("SIEM_URI", &self.siem.uri()).env("SIEM_TOKEN", "a-token-of-the-siem").live()
    }

    fn waits_for(&self, expected: &[&str]) {
        let events = || self.siem.received().iter().flat_map(Received::events).collect::<Vec<Value>>();
        assert!(until(TIMEOUT, || events().len() >= expected.len()), "{:?}", events());
        assert_eq!(codes(&events()), expected);
    }
}

#[test]
fn the_sidecar_reads_what_livebook_writes_whichever_of_them_restarts() {
    let pod = Pod::new();
    let says = |at: u32, code: &str| format!("cat <<'END'\n{}END\n", structured_json(at, code));
    // It writes when it is let, and says that it has.
    let flag = |name: &str| pod.dir.path().join(name);
    let wait = |name: &str| format!("until [ -e {} ]; do sleep 0.01; done\n", flag(name).display());
    let wrote = format!("touch {}\n", flag("wrote").display());
    let server = [says(1, "1"), wait("more"), says(2, "2"), wrote, wait("end")].concat();
    let trail = pod.container(0, &server);
    let livebook = pod.container(1, &server);
    pod.waits_for(&["1"]);
    trail.signal("TERM");
    let (status, stderr) = trail.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    // What Livebook writes meanwhile waits in the pipe.
    fs::write(flag("more"), "").unwrap();
    assert!(until(TIMEOUT, || flag("wrote").exists()));
    let mut trail = pod.container(0, &server);
    pod.waits_for(&["1", "2"]);
    fs::write(flag("end"), "").unwrap();
    let (status, stderr) = livebook.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    // The next Livebook has the same reader.
    let (status, stderr) = pod.container(1, &says(3, "3")).wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
    pod.waits_for(&["1", "2", "3"]);
    assert!(trail.is_running(), "{}", trail.stderr());
    trail.signal("TERM");
    let (status, stderr) = trail.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn a_livebook_that_restarts_while_the_siem_is_away_does_not_wait() {
    let away = Receiver::start(|_, _| Answer::Status(503, "", ""));
    let pod = Pod { siem: away, ..Pod::new() };
    // Each of them writes more than a pipe holds, and ends when it could.
    let much = structured_json(1, &"x".repeat(1_000)).repeat(200);
    let server = format!("cat <<'END'\n{much}END\n");
    let mut trail = pod.container(0, &server);
    for _ in 0..2 {
        let (status, stderr) = pod.container(1, &server).wait(TIMEOUT);
        assert_eq!(status.code(), Some(0), "{stderr}");
    }
    assert!(trail.is_running(), "{}", trail.stderr());
    trail.kill();
}

/// Only who can read the trail anyway may be shown what passes, and only who serves users may be asked whether it is ready.
#[test]
fn the_sidecar_shows_nothing_to_its_neighbours_and_keeps_nobody_from_livebook() {
    let manifest = packaged("kubernetes/sidecar.yaml");
    let config = config_of("kubernetes/sidecar.yaml").parse::<toml::Table>().unwrap();
    assert_eq!(config["api"]["tap"].as_str(), Some("off"));
    let (sidecar, livebook) = manifest.split_once("\n      containers:\n").unwrap();
    assert!(!sidecar.contains("readinessProbe:\n") && livebook.contains("readinessProbe:\n"));
}
