//! The sink against a real file system, without a pipeline around it.

use super::*;
use crate::event::Origin;
use bytes::Bytes;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const NOON: u64 = 1_795_348_800_000;
const HOUR: u64 = 3_600_000;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("evaltrail-file-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A sink; `@` in its options stands for the folder.
    fn sink(&self, options: &str) -> Box<dyn Sink> {
        let options = options.replace('@', self.0.to_str().unwrap());
        match toml::from_str::<File>(&options).unwrap().build().unwrap() {
            Work::Writing(sink) => sink,
            Work::Requests(..) => unreachable!(),
        }
    }

    /// The names in it, in order.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn received(record: &str, received_ms: u64) -> Event {
    let origin = Origin::new(Arc::default(), 0, received_ms);
    Event::from_json(Bytes::copy_from_slice(record.as_bytes()), origin).unwrap()
}

fn numbered(number: usize) -> Event {
    received(&format!("{{\"n\":{number}}}"), NOON)
}

fn wait<T>(future: BoxFuture<'_, T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn try_put(sink: &mut Box<dyn Sink>, events: &[Event]) -> Result<(), String> {
    wait(sink.write(events)).unwrap();
    try_flush(sink)
}

fn try_flush(sink: &mut Box<dyn Sink>) -> Result<(), String> {
    wait(sink.flush()).map_err(|e| match e {
        WriteError::Transient(why) => why,
        other => panic!("{other:?}"),
    })
}

#[track_caller]
fn put(sink: &mut Box<dyn Sink>, events: &[Event]) {
    try_put(sink, events).unwrap();
}

#[test]
fn what_is_flushed_is_there() {
    let folder = Folder::new();
    let mut sink = folder.sink("path = '@/a/b/audit.jsonl'");
    wait(sink.write(&[numbered(1), numbered(2)])).unwrap();
    assert!(folder.names().is_empty(), "nothing is written before the flush");
    try_flush(&mut sink).unwrap();
    put(&mut sink, &[numbered(3)]);
    assert_eq!(folder.read("a/b/audit.jsonl"), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(fs::metadata(folder.join("a/b")).unwrap().permissions().mode() & 0o027, 0, "0750 at most");
}

#[test]
fn modes_are_octal_and_leave_the_owner_in() {
    for (text, bits) in [("0640", 0o640), ("600", 0o600), ("0o777", 0o777)] {
        assert_eq!(Mode::try_from(text.to_owned()), Ok(Mode(bits)));
    }
    for text in ["", "0", "648", "rw-r-----", "0o", "+640", "1777", "0440", "0240"] {
        assert!(Mode::try_from(text.to_owned()).unwrap_err().contains(&format!("`{text}`")));
    }
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    for (options, key) in [
        ("rotation.keep = 3", "rotation.keep"),
        ("rotation.compression = 'gzip'", "rotation.compression"),
        ("rotation.max_bytes = 1023", "rotation.max_bytes"),
        ("encoding.only_fields = ['a.b']", "encoding.only_fields[0]"),
    ] {
        let options: File = toml::from_str(&format!("path = 'x'\n{options}")).unwrap();
        assert_eq!(options.build().err().unwrap().key, key);
    }
}

#[test]
fn a_torn_line_is_cut_and_whole_ones_stay() {
    let long = "x".repeat(200_000);
    for (before, after) in [
        ("{\"a\":1}\n{\"b\":", "{\"a\":1}\n"),
        ("{\"a\":1}\n", "{\"a\":1}\n"),
        ("{\"a\"", ""),
        ("", ""),
        (&format!("{{}}\n{long}"), "{}\n"),
        (&format!("{long}\n"), &format!("{long}\n")),
    ] {
        let folder = Folder::new();
        fs::write(folder.join("a"), before).unwrap();
        let mut sink = folder.sink("path = '@/a'");
        // What a crash has left is put in order before anything comes.
        assert_eq!(sink.wake_at(), Some(0));
        wait(sink.wake());
        assert_eq!(folder.read("a"), after);
        put(&mut sink, &[numbered(1)]);
        assert_eq!(folder.read("a"), format!("{after}{{\"n\":1}}\n"));
    }
}

#[test]
fn a_line_that_is_too_long_to_be_ours_is_ended_not_cut() {
    let folder = Folder::new();
    let len = 64 * 1024 * 1024 + 70_000;
    let file = fs::File::create(folder.join("a")).unwrap();
    file.set_len(len).unwrap();
    put(&mut folder.sink("path = '@/a'"), &[numbered(1)]);
    assert_eq!(fs::metadata(folder.join("a")).unwrap().len(), len + 9);
    let mut end = [0; 10];
    std::os::unix::fs::FileExt::read_exact_at(&fs::File::open(folder.join("a")).unwrap(), &mut end, len - 1)
        .unwrap();
    assert_eq!(&end, b"\0\n{\"n\":1}\n");
}

#[test]
fn a_file_that_is_moved_removed_or_replaced_is_made_anew() {
    let folder = Folder::new();
    let mut sink = folder.sink("path = '@/a'");
    put(&mut sink, &[numbered(1)]);
    fs::rename(folder.join("a"), folder.join("moved")).unwrap();
    put(&mut sink, &[numbered(2)]);
    assert_eq!((folder.read("moved"), folder.read("a")), ("{\"n\":1}\n".into(), "{\"n\":2}\n".into()));
    fs::remove_file(folder.join("a")).unwrap();
    put(&mut sink, &[numbered(3)]);
    assert_eq!(folder.read("a"), "{\"n\":3}\n");
    fs::write(folder.join("new"), "theirs\n").unwrap();
    fs::rename(folder.join("new"), folder.join("a")).unwrap();
    put(&mut sink, &[numbered(4)]);
    assert_eq!(folder.read("a"), "theirs\n{\"n\":4}\n");
}

#[test]
fn a_file_that_somebody_cuts_is_continued_at_its_new_end() {
    let folder = Folder::new();
    let mut sink = folder.sink("path = '@/a'");
    put(&mut sink, &[numbered(1), numbered(2)]);
    let file = fs::OpenOptions::new().write(true).open(folder.join("a")).unwrap();
    file.set_len(0).unwrap();
    put(&mut sink, &[numbered(3)]);
    assert_eq!(folder.read("a"), "{\"n\":3}\n");
    file.set_len(4).unwrap();
    put(&mut sink, &[numbered(4)]);
    assert_eq!(folder.read("a"), "{\"n\"\n{\"n\":4}\n", "ours are on lines of their own");
}

#[test]
fn a_second_writer_waits_and_says_why() {
    let folder = Folder::new();
    let (mut first, mut second) = (folder.sink("path = '@/a'"), folder.sink("path = '@/a'"));
    put(&mut first, &[numbered(1)]);
    fs::write(folder.join("torn"), "").unwrap();
    let why = try_put(&mut second, &[numbered(2)]).unwrap_err();
    assert!(why.contains("/a: another evaltrail"), "{why}");
    put(&mut first, &[numbered(3)]);
    wait(first.close());
    try_flush(&mut second).unwrap();
    assert_eq!(folder.read("a"), "{\"n\":1}\n{\"n\":3}\n{\"n\":2}\n");
}

#[test]
fn what_is_in_the_way_is_named_and_can_be_taken_away() {
    let folder = Folder::new();
    let mut sink = folder.sink("path = '@/a/b'");
    fs::write(folder.join("a"), "").unwrap();
    let why = try_put(&mut sink, &[numbered(1)]).unwrap_err();
    assert!(why.contains("/a/b: ") && why.contains("a file is in the place of a folder"), "{why}");
    fs::remove_file(folder.join("a")).unwrap();
    fs::create_dir_all(folder.join("a/b")).unwrap();
    let why = try_flush(&mut sink).unwrap_err();
    assert!(why.contains("a folder is in the place of the file"), "{why}");
    fs::remove_dir(folder.join("a/b")).unwrap();
    symlink("/dev/null", folder.join("a/b")).unwrap();
    let why = try_flush(&mut sink).unwrap_err();
    assert!(why.contains("no regular file"), "{why}");
    fs::remove_file(folder.join("a/b")).unwrap();
    try_flush(&mut sink).unwrap();
    assert_eq!(folder.read("a/b"), "{\"n\":1}\n");
}

#[test]
fn one_file_that_can_t_be_written_does_not_keep_the_others() {
    let folder = Folder::new();
    let mut sink = folder.sink("path = '@/{{ n }}'");
    fs::create_dir(folder.join("2")).unwrap();
    try_put(&mut sink, &[numbered(1), numbered(2), numbered(3)]).unwrap_err();
    assert_eq!((folder.read("1"), folder.read("3")), ("{\"n\":1}\n".into(), "{\"n\":3}\n".into()));
    fs::remove_dir(folder.join("2")).unwrap();
    try_flush(&mut sink).unwrap();
    assert_eq!(["1", "2", "3"].map(|name| folder.read(name)), [1, 2, 3].map(|n| format!("{{\"n\":{n}}}\n")));
}

#[test]
fn links_are_followed_only_where_no_value_is_in_the_path() {
    let folder = Folder::new();
    fs::create_dir(folder.join("outside")).unwrap();
    symlink(folder.join("outside"), folder.join("1")).unwrap();
    symlink(folder.join("outside/x"), folder.join("2")).unwrap();
    for (path, link) in [("@/{{ n }}/x", "/1"), ("@/{{ m }}", "/2"), ("@/1/{{ n }}", "")] {
        let mut sink = folder.sink(&format!("path = '{path}'"));
        let put = try_put(&mut sink, &[received("{\"n\":1,\"m\":2}", NOON)]);
        match put {
            Ok(()) => assert_eq!(link, "", "the prefix is the operator's own"),
            Err(why) => assert!(why.contains(&format!("{link}: it is a symbolic link")), "{why}"),
        }
    }
    assert_eq!(fs::read_dir(folder.join("outside")).unwrap().count(), 1);
    put(&mut folder.sink("path = '@/2'"), &[numbered(7)]);
    assert_eq!(folder.read("outside/x"), "{\"n\":7}\n");
}

#[test]
fn a_linked_file_is_rotated_where_it_is() {
    let folder = Folder::new();
    fs::create_dir(folder.join("disk")).unwrap();
    symlink(folder.join("disk/a"), folder.join("a")).unwrap();
    let mut sink = folder.sink("path = '@/a'\nrotation.interval = 'hourly'");
    put(&mut sink, &[numbered(1), received("{}", NOON + HOUR)]);
    assert_eq!((folder.names(), folder.read("a")), (vec!["a".into(), "disk".into()], "{}\n".into()));
    assert_eq!(fs::read_dir(folder.join("disk")).unwrap().count(), 2);
}

#[test]
fn many_files_are_never_open_at_once() {
    let folder = Folder::new();
    let mut sink = folder.sink("path = '@/{{ n }}'\nfsync = 'never'");
    let open = || {
        let fds = fs::read_dir("/proc/self/fd").unwrap();
        let links = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        links.filter(|path| path.starts_with(&folder.0)).count()
    };
    for round in 0..2 {
        put(&mut sink, &(0..600).map(numbered).collect::<Vec<_>>());
        assert_eq!(open(), OPEN_MAX, "round {round}");
    }
    assert_eq!(folder.names().len(), 600);
    assert!(folder.names().iter().all(|n| folder.read(n) == format!("{{\"n\":{n}}}\n").repeat(2)));
}

#[test]
fn a_file_that_gets_nothing_is_closed() {
    let folder = Folder::new();
    let mut sink = folder.sink("path = '@/a'\nidle_timeout_secs = 1");
    let before = clock::now_ms();
    put(&mut sink, &[numbered(1)]);
    let wake_at = sink.wake_at().unwrap();
    assert!((before + 1_000..=clock::now_ms() + 1_000).contains(&wake_at));
    wait(sink.wake());
    if clock::now_ms() < wake_at {
        assert_eq!(sink.wake_at(), Some(wake_at), "it is not time yet");
    }
    while clock::now_ms() < wake_at {
        std::thread::sleep(std::time::Duration::from_millis(wake_at.saturating_sub(clock::now_ms())));
    }
    wait(sink.wake());
    assert_eq!(sink.wake_at(), None);
    put(&mut sink, &[numbered(2)]);
    assert_eq!(folder.read("a"), "{\"n\":1}\n{\"n\":2}\n");
}

/// The lines of all files of a path, oldest rotation first.
fn all_lines(folder: &Folder, name: &str) -> String {
    let path = folder.join(name);
    let mut all = String::new();
    for suffix in rotated::list(&path).unwrap() {
        let file = fs::File::open(target::with_suffix(&path, &suffix)).unwrap();
        let mut unpacked: Box<dyn Read> = match suffix.compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(flate2::read::GzDecoder::new(file)),
            Compression::Zstd => Box::new(zstd::Decoder::new(file).unwrap()),
        };
        unpacked.read_to_string(&mut all).unwrap();
    }
    all + &folder.read(name)
}

#[test]
fn files_rotate_before_they_get_too_long_and_lose_nothing() {
    for compression in ["none", "gzip", "zstd"] {
        let folder = Folder::new();
        let options =
            format!("path = '@/a'\nrotation = {{ max_bytes = 1024, compression = '{compression}' }}");
        let mut expected = String::new();
        let mut number = 0;
        // Restarts, and flushes of different sizes.
        for events in [1, 10, 100, 1_000] {
            let mut sink = folder.sink(&options);
            for _ in 0..3 {
                let batch: Vec<Event> = (number..number + events).map(numbered).collect();
                expected.extend((number..number + events).map(|n| format!("{{\"n\":{n}}}\n")));
                number += events;
                put(&mut sink, &batch);
            }
            wait(sink.close());
        }
        assert_eq!(all_lines(&folder, "a"), expected, "{compression}");
        let ending = match compression {
            "gzip" => ".gz",
            "zstd" => ".zst",
            _ => "",
        };
        for name in folder.names().iter().filter(|name| *name != "a") {
            assert!(name.ends_with(ending) && name.contains('Z'), "{name}");
            assert_eq!(fs::metadata(folder.join(name)).unwrap().mode() & 0o777, 0o640);
        }
        assert!(fs::metadata(folder.join("a")).unwrap().len() <= 1_024);
    }
}

#[test]
fn an_event_that_is_longer_than_a_file_gets_one_of_its_own() {
    let folder = Folder::new();
    let mut sink = folder.sink("path = '@/a'\nrotation.max_bytes = 1024");
    let long = format!("{{\"l\":\"{}\"}}", "x".repeat(5_000));
    put(&mut sink, &[numbered(1), received(&long, NOON), numbered(2)]);
    let lens: Vec<u64> =
        folder.names().iter().map(|name| fs::metadata(folder.join(name)).unwrap().len()).collect();
    assert_eq!(lens, [8, 8, long.len() as u64 + 1], "{:?}", folder.names());
    assert_eq!(all_lines(&folder, "a"), format!("{{\"n\":1}}\n{long}\n{{\"n\":2}}\n"));
}

#[test]
fn files_rotate_when_their_time_is_over() {
    let folder = Folder::new();
    let options = "path = '@/a'\nrotation.interval = 'daily'";
    let mut sink = folder.sink(options);
    let at = |n: u64, ms| received(&format!("{{\"n\":{n}}}"), ms);
    // Noon, just before midnight, midnight; then one that was held back from before midnight.
    let midnight = NOON + 12 * HOUR;
    put(&mut sink, &[at(1, NOON), at(2, midnight - 1), at(3, midnight), at(4, NOON)]);
    assert_eq!(folder.read("a"), "{\"n\":3}\n{\"n\":4}\n");
    wait(sink.close());
    // A file of an earlier day that is there at the start.
    let file = fs::OpenOptions::new().append(true).open(folder.join("a")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_millis(midnight)).unwrap();
    drop(file);
    let mut sink = folder.sink(options);
    put(&mut sink, &[at(5, midnight + HOUR)]);
    assert_eq!(folder.read("a"), "{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n");
    put(&mut sink, &[at(6, midnight + 24 * HOUR)]);
    assert_eq!((folder.read("a"), folder.names().len()), ("{\"n\":6}\n".into(), 3));
}

#[test]
fn only_the_newest_rotated_files_stay_and_no_others_go() {
    for compression in ["none", "zstd"] {
        let folder = Folder::new();
        let others =
            ["a.1", "a.20261122T120000Z.bak", "b.20001122T120000Z", "a.2000", "a.20001122T120000Z-0"];
        others.iter().for_each(|name| fs::write(folder.join(name), "theirs").unwrap());
        for name in ["a.20001122T120000Z", "a.20001122T120000Z-1.gz", "a.20001123T120000Z.zst.tmp"] {
            fs::write(folder.join(name), "old").unwrap();
        }
        let rotation = format!("{{ max_bytes = 1024, keep = 2, compression = '{compression}' }}");
        let mut sink = folder.sink(&format!("path = '@/a'\nrotation = {rotation}"));
        for round in 0..10 {
            put(&mut sink, &(round * 200..(round + 1) * 200).map(numbered).collect::<Vec<_>>());
        }
        wait(sink.close());
        let names = folder.names();
        assert!(others.iter().all(|other| names.contains(&(*other).to_owned())), "{names:?}");
        assert_eq!(names.len(), others.len() + 3, "{names:?}");
        assert!(all_lines(&folder, "a").ends_with("{\"n\":1999}\n"));
        let kept: Vec<String> = all_lines(&folder, "a").lines().map(str::to_owned).collect();
        let first = 2_000 - kept.len();
        let expected: Vec<String> = (first..2_000).map(|n| format!("{{\"n\":{n}}}")).collect();
        assert_eq!(kept, expected, "the newest, without a hole");
    }
}

#[test]
fn a_compression_that_was_interrupted_is_finished() {
    let folder = Folder::new();
    let stamp = "a.20201122T120000Z";
    fs::write(folder.join(stamp), "one\n").unwrap();
    fs::write(folder.join(&format!("{stamp}.gz.tmp")), "half").unwrap();
    // Interrupted between the last two steps.
    fs::write(folder.join(&format!("{stamp}-1")), "two\n").unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, b"two\n").unwrap();
    fs::write(folder.join(&format!("{stamp}-1.gz")), packed.finish().unwrap()).unwrap();
    // And one that is in the way with something else in it.
    fs::write(folder.join(&format!("{stamp}-2")), "three\n").unwrap();
    fs::write(folder.join(&format!("{stamp}-2.gz")), "theirs").unwrap();
    fs::write(folder.join(&format!("{stamp}-3")), "four\n").unwrap();
    let mut sink = folder.sink("path = '@/a'\nrotation = { interval = 'daily', compression = 'gzip' }");
    wait(sink.wake());
    wait(sink.close());
    let expected = ["", ".gz", "-1.gz", "-2", "-2.gz", "-3.gz"].map(|end| format!("{stamp}{end}"));
    let expected = expected.into_iter().enumerate().filter(|(at, _)| *at > 0).map(|(_, name)| name);
    let mut expected: Vec<String> = expected.chain(["a".to_owned()]).collect();
    expected.sort();
    assert_eq!(folder.names(), expected);
    assert_eq!(folder.read(&format!("{stamp}-2")), "three\n");
    assert_eq!(folder.read(&format!("{stamp}-2.gz")), "theirs");
}

#[test]
fn a_path_that_is_long_for_its_folder_is_named() {
    let folder = Folder::new();
    let deep = "x".repeat(150) + "/";
    let mut sink = folder.sink(&format!("path = '@/{}a'", deep.repeat(30)));
    assert!(try_put(&mut sink, &[numbered(1)]).unwrap_err().contains("too long"));
    assert!(Path::new(&folder.0).exists());
}
