//! Puts lines into what stands around them on their way: put together here and not by the program under test.

use serde_json::json;

/// Who may stand between a server and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapper {
    Docker,
    Cri,
    Journald,
    Fly,
    FluentBit,
    Vector,
}

pub const WRAPPERS: [Wrapper; 6] =
    [Wrapper::Docker, Wrapper::Cri, Wrapper::Journald, Wrapper::Fly, Wrapper::FluentBit, Wrapper::Vector];

/// Container runtimes split a line behind so many bytes.
const PART_BYTES: usize = 16 * 1024;
const TIME: &str = "2025-10-06T09:00:00.123456789Z";

impl Wrapper {
    /// Whether a line may hold bytes that are no text; the others put U+FFFD in their place.
    pub fn keeps_bytes(self) -> bool {
        matches!(self, Wrapper::Cri | Wrapper::Journald)
    }

    /// A line, given without its newline, as one or several lines of the log.
    pub fn line(self, stream: &str, line: &[u8]) -> Vec<u8> {
        let mut wrapped = Vec::new();
        let mut rest = line;
        while self.splits() && rest.len() >= PART_BYTES {
            // Between two characters: Docker loses one that it splits.
            let at = (0..4).map(|back| PART_BYTES - back).find(|&at| rest[at] & 0xC0 != 0x80);
            let (part, behind) = rest.split_at(at.unwrap_or(PART_BYTES));
            wrapped.extend(self.part(stream, part, false));
            rest = behind;
        }
        wrapped.extend(self.part(stream, rest, true));
        wrapped
    }

    /// Whether a line may come in parts.
    pub fn splits(self) -> bool {
        matches!(self, Wrapper::Docker | Wrapper::Cri | Wrapper::Journald)
    }

    /// A part of a line.
    pub fn part(self, stream: &str, part: &[u8], is_last: bool) -> Vec<u8> {
        let text = String::from_utf8_lossy(part);
        let value = match self {
            Wrapper::Cri => {
                let tag = if is_last { "F" } else { "P" };
                return [format!("{TIME} {stream} {tag} ").as_bytes(), part, b"\n"].concat();
            }
            Wrapper::Docker => {
                json!({"log": format!("{text}{}", if is_last { "\n" } else { "" }), "stream": stream, "time": TIME})
            }
            Wrapper::Journald => {
                // What is not printable is written as its bytes.
                let is_plain = std::str::from_utf8(part).is_ok_and(|text| !text.contains(char::is_control));
                let message = if is_plain { json!(text) } else { json!(part) };
                let mut entry = json!({"MESSAGE": message, "CONTAINER_NAME": "livebook", "_HOSTNAME": "h",
                    "PRIORITY": if stream == "stdout" { "6" } else { "3" }, "_TRANSPORT": "journal"});
                if !is_last {
                    entry["CONTAINER_PARTIAL_MESSAGE"] = json!("true");
                }
                entry
            }
            Wrapper::Fly => json!({"event": {"provider": "app"}, "fly": {"app": {"instance": stream,
                "name": "livebook"}, "region": "ams"}, "host": "h", "log": {"level": "info"}, "message": text,
                "timestamp": TIME}),
            Wrapper::FluentBit => json!({"date": 1759741200.5, "log": text, "stream": stream}),
            Wrapper::Vector => json!({"container_name": "livebook", "message": text, "timestamp": TIME,
                "stream": stream, "source_type": "docker_logs"}),
        };
        format!("{value}\n").into_bytes()
    }

    /// A log whose last line may lack its newline.
    pub fn lines(self, stream: &str, log: &[u8]) -> Vec<Vec<u8>> {
        let log = log.strip_suffix(b"\n").unwrap_or(log);
        log.split(|&byte| byte == b'\n').map(|line| self.line(stream, line)).collect()
    }
}
