//! The Elastic Common Schema.
//!
//! Field names, allowed values and levels are those of the ECS field reference, version 8.17.0
//! (<https://www.elastic.co/guide/en/ecs/8.17/>). An evaluation is categorised as Elastic's own collector does it with
//! PowerShell's script blocks (Winlogbeat, event 4104): category `process`, type `info`. ECS has no field for a source
//! text, so that and all else without a field stands below `livebook`, a name of our own as the ECS guidelines want it.
//!
//! `user.*` is filled only where the log names one user and has lost none. It says who was there, not who pressed the
//! key; `related.user` holds everybody.

use super::object::Object;
use super::record::{Kind, Record, Users, rfc3339};
use crate::event::Place;
use crate::livebook::EVALUATE;

const VERSION: &str = "8.17.0";

/// Appends the record as one object.
pub fn write(mut record: Record<'_>, out: &mut Vec<u8>) {
    let record = &mut record;
    let users = record.users();
    Object::write(out, |top| {
        let time = record.time_ns().unwrap_or_else(|| record.received_ns());
        record.take_time(time);
        top.string("@timestamp", &rfc3339(time));
        record.write_message(top);
        top.object("ecs", |ecs| ecs.string("version", VERSION));
        top.object("agent", |agent| {
            agent.string("type", "evaltrail");
            agent.string("version", env!("CARGO_PKG_VERSION"));
        });
        top.object("service", |service| service.string("type", "livebook"));
        top.object("log", |log| {
            if let Some(level) = record.take_string(Place::Top, "severity") {
                log.json("level", level);
            }
            log.object("file", |file| file.string_if("path", record.file()));
        });
        top.object("event", |event| write_event(record, event));
        if record.kind() == Kind::Fault {
            write_error(record, top);
        }
        for (field, member) in [("trace", "trace"), ("span", "span")] {
            if let Some(id) = record.take_string(Place::Top, member) {
                top.object(field, |object| object.json("id", id));
            }
        }
        write_users(&users, record, top);
        top.object("livebook", |livebook| record.write_rest(livebook));
    });
}

fn write_event(record: &mut Record<'_>, event: &mut Object<'_>) {
    let (kind, dataset) = match record.kind() {
        Kind::Evaluation => ("event", "livebook.evaluation"),
        Kind::Fault => ("pipeline_error", "livebook.fault"),
        Kind::Other => ("event", "livebook.log"),
    };
    event.string("kind", kind);
    if record.kind() == Kind::Evaluation {
        event.strings("category", &["process"]);
        event.strings("type", &["info"]);
        record.pass_over(Place::Metadata, "event");
        event.string("action", EVALUATE);
    } else if let Some(action) = record.take_string(Place::Metadata, "event") {
        event.json("action", action);
    }
    event.string("module", "livebook");
    event.string("dataset", dataset);
    event.string_if("id", record.id().as_deref());
    event.string("created", &rfc3339(record.received_ns()));
    if record.kind() == Kind::Fault
        && let Some(raw) = record.take_string(Place::Top, "raw")
    {
        event.json("original", raw);
    }
}

fn write_error(record: &mut Record<'_>, top: &mut Object<'_>) {
    top.object("error", |error| {
        if let Some(reason) = record.take_string(Place::Top, "reason") {
            error.json("type", reason);
        }
        if let Some(detail) = record.see(Place::Top, "detail") {
            error.json("message", detail);
        }
    });
}

fn write_users(users: &Users, record: &Record<'_>, top: &mut Object<'_>) {
    if let Some(user) = users.sole() {
        top.object("user", |object| {
            object.string_if("id", user.id.as_deref());
            object.string_if("name", user.name.as_deref());
            object.string_if("email", user.email.as_deref());
        });
    }
    top.object("related", |related| {
        related.strings("user", &users.words());
        let digest = record.see(Place::Metadata, "code_sha256").and_then(|digest| digest.string());
        if let Some(digest) = digest.as_deref().and_then(|digest| std::str::from_utf8(digest).ok()) {
            related.strings("hash", &[digest]);
        }
    });
}
