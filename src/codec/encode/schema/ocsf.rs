//! The Open Cybersecurity Schema Framework: Script Activity for evaluations, Base Event for all else.
//!
//! Classes, attributes, their requirements and numbers are those of the OCSF schema, version 1.5.0
//! (<https://schema.ocsf.io/1.5.0/classes/script_activity>; the class and `long_string` came with 1.4.0). What Script
//! Activity requires and the log does not tell is filled with what is true: `device` is unknown and goes by the name of
//! the source component; `actor` is the application, Livebook; a source that was left out by the policy is a
//! `script_content` cut to nothing. The type of the script is Other: the log does not say which language a cell is in.
//!
//! An actor is who initiated an activity, or in whose context it ran. In a notebook session the log names everyone who
//! is connected, so nobody is made an actor there, not even a user who is alone. In an app it names who deployed it, in
//! whose context its code runs: a sole one is `actor.user`. `unmapped.users` holds everybody in any case.

use super::object::Object;
use super::record::{Kind, Record};
use crate::event::Place;
use crate::event::json::Json;
use crate::livebook::EVALUATE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const VERSION: &str = "1.5.0";
const NS_PER_MS: i64 = 1_000_000;
/// The length of a SHA-256 in hexadecimal digits.
const SHA256_DIGITS: usize = 64;

/// Appends the record as one object.
pub fn write(mut record: Record<'_>, out: &mut Vec<u8>) {
    let record = &mut record;
    Object::write(out, |top| {
        write_class(record, top);
        let time = record.time_ns().unwrap_or_else(|| record.received_ns());
        top.scalar("time", time / NS_PER_MS);
        write_severity(record, top);
        record.write_message(top);
        top.object("metadata", |metadata| write_metadata(record, metadata));
        if record.kind() == Kind::Evaluation {
            top.object("device", |device| write_device(record, device));
            top.object("actor", |actor| write_actor(record, actor));
            top.object("script", |script| write_script(record, script));
        }
        if record.kind() == Kind::Fault
            && let Some(raw) = record.take_string(Place::Top, "raw")
        {
            top.json("raw_data", raw);
        }
        top.object("unmapped", |unmapped| record.write_rest(unmapped));
    });
}

/// A number of the schema and its caption.
type Named = (u32, &'static str);

fn write_class(record: &Record<'_>, top: &mut Object<'_>) {
    let [category, class, activity]: [Named; 3] = match record.kind() {
        Kind::Evaluation => [(1, "System Activity"), (1009, "Script Activity"), (1, "Execute")],
        Kind::Fault | Kind::Other => [(0, "Uncategorized"), (0, "Base Event"), (0, "Unknown")],
    };
    top.scalar("category_uid", category.0);
    top.string("category_name", category.1);
    top.scalar("class_uid", class.0);
    top.string("class_name", class.1);
    top.scalar("activity_id", activity.0);
    top.string("activity_name", activity.1);
    top.scalar("type_uid", class.0 * 100 + activity.0);
    top.string("type_name", &format!("{}: {}", class.1, activity.1));
}

/// Elixir's levels are those of syslog. One that is not among them is Other, by its own name.
fn write_severity(record: &Record<'_>, top: &mut Object<'_>) {
    let level = record.see(Place::Top, "severity").filter(|level| level.is_string());
    let (id, caption): Named = match level.map(|level| level.inner().unwrap_or_default()) {
        None => (0, "Unknown"),
        Some(b"debug" | b"info" | b"notice") => (1, "Informational"),
        Some(b"warning" | b"warn") => (3, "Medium"),
        Some(b"error") => (4, "High"),
        Some(b"critical" | b"alert") => (5, "Critical"),
        Some(b"emergency") => (6, "Fatal"),
        Some(_) => (99, "Other"),
    };
    top.scalar("severity_id", id);
    match level.filter(|_| id == 99) {
        Some(level) => top.json("severity", level),
        None => top.string("severity", caption),
    }
}

fn write_metadata(record: &mut Record<'_>, metadata: &mut Object<'_>) {
    metadata.string("version", VERSION);
    metadata.object("product", |product| {
        product.string("name", "Livebook");
        product.string("vendor_name", "Livebook");
    });
    metadata.string("log_name", record.file().unwrap_or(record.source()));
    if let Some(level) = record.take_string(Place::Top, "severity") {
        metadata.json("log_level", level);
    }
    if record.kind() == Kind::Evaluation {
        record.pass_over(Place::Metadata, "event");
        metadata.string("event_code", EVALUATE);
    } else if let Some(code) = record.take_string(Place::Metadata, "event") {
        metadata.json("event_code", code);
    }
    if let Some(time) = record.take_string(Place::Top, "time") {
        metadata.json("original_time", time);
    }
    metadata.scalar("logged_time", record.received_ns() / NS_PER_MS);
    metadata.string_if("uid", record.id().as_deref());
}

fn write_device(record: &Record<'_>, device: &mut Object<'_>) {
    device.scalar("type_id", 0);
    device.string("type", "Unknown");
    device.string("name", if record.source().is_empty() { "unknown" } else { record.source() });
}

fn write_actor(record: &Record<'_>, actor: &mut Object<'_>) {
    actor.string("app_name", "Livebook");
    if !record.see(Place::Metadata, "session_mode").is_some_and(|mode| mode.is("app")) {
        return;
    }
    let users = record.users();
    // A user of OCSF has a name or an id; an address alone is none.
    if let Some(deployer) = users.sole().filter(|user| user.id.is_some() || user.name.is_some()) {
        actor.object("user", |user| {
            user.string_if("uid", deployer.id.as_deref());
            user.string_if("name", deployer.name.as_deref());
            user.string_if("email_addr", deployer.email.as_deref());
        });
    }
}

fn write_script(record: &mut Record<'_>, script: &mut Object<'_>) {
    script.scalar("type_id", 99);
    script.string("type", "Livebook cell");
    let is_cut = record.see(Place::Metadata, "code_incomplete").is_some_and(|flag| flag.text() == b"true");
    script.object("script_content", |content| {
        if let Some(code) = record.take_string(Place::Metadata, "code") {
            content.json("value", code);
        } else if let Some(text) = record.see(Place::Metadata, "code_base64").and_then(readable) {
            // The attribute is UTF-8 by definition. The exact bytes stay in `unmapped`.
            content.string("value", &text);
        } else {
            content.string("value", "");
            content.scalar("is_truncated", true);
            if let Some(bytes) = record.take_count(Place::Metadata, "code_bytes") {
                content.json("untruncated_size", bytes);
            }
            return;
        }
        if is_cut {
            content.scalar("is_truncated", true);
        }
    });
    let is_digest = |digest: &Json<'_>| {
        digest
            .inner()
            .is_some_and(|text| text.len() == SHA256_DIGITS && text.iter().all(u8::is_ascii_hexdigit))
    };
    if record.see(Place::Metadata, "code_sha256").filter(is_digest).is_some()
        && let Some(digest) = record.take_string(Place::Metadata, "code_sha256")
    {
        let out = script.member(b"hashes");
        out.push(b'[');
        Object::write(out, |hash| {
            // Other: with a `digest_key` it is an HMAC, and an event does not say which.
            hash.scalar("algorithm_id", 99);
            hash.string("algorithm", "SHA-256 or HMAC-SHA-256");
            hash.json("value", digest);
        });
        out.push(b']');
    }
}

/// What of a source that is not UTF-8 can be read.
fn readable(base64: Json<'_>) -> Option<String> {
    let bytes = STANDARD.decode(base64.string()?).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
