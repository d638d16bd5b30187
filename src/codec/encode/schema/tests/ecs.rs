//! The Elastic Common Schema.

use super::*;
use expect_test::{Expect, expect};

fn check(record: &str, expected: Expect) {
    expected.assert_eq(&lines(&map(Schema::Ecs, &event(record))));
}

#[test]
fn a_sole_user() {
    check(
        SOLE,
        expect![[r#"
        @timestamp "2025-10-03T17:48:22.238Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"code.evaluate","category":["process"],"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.evaluation","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook","type":["info"]}
        livebook {"code":"1 + 1\n\"é\"","session_mode":"default","users":[{"email":"ada@example.org","id":"7","name":"Ada"}]}
        log {"file":{"path":"/log/a.log"},"level":"info"}
        message "Evaluating code"
        related {"user":["7","Ada","ada@example.org"]}
        service {"type":"livebook"}
        user {"email":"ada@example.org","id":"7","name":"Ada"}
    "#]],
    );
}

#[test]
fn a_sole_deployer() {
    check(
        DEPLOYER,
        expect![[r#"
        @timestamp "2025-10-03T17:48:22.238Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"code.evaluate","category":["process"],"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.evaluation","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook","type":["info"]}
        livebook {"app_permanent":false,"code":"2","session_mode":"app","users":[{"email":"ada@example.org","id":"7","name":"Ada"}]}
        log {"file":{"path":"/log/a.log"},"level":"info"}
        message "Evaluating code"
        related {"user":["7","Ada","ada@example.org"]}
        service {"type":"livebook"}
        user {"email":"ada@example.org","id":"7","name":"Ada"}
    "#]],
    );
}

#[test]
fn several_users() {
    check(
        SEVERAL,
        expect![[r#"
        @timestamp "2025-10-03T17:48:22.238Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"code.evaluate","category":["process"],"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.evaluation","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook","type":["info"]}
        livebook {"code":"3","metadata":{"request_id":"r"},"session_mode":"app","users":[{"email":"ada@example.org","id":"7","name":"Ada"},{"id":"8","name":"Ada","name_base64":"Y+k="}],"users_incomplete":false}
        log {"file":{"path":"/log/a.log"},"level":"info"}
        message "Evaluating code"
        related {"user":["7","Ada","ada@example.org","8"]}
        service {"type":"livebook"}
    "#]],
    );
}

#[test]
fn nobody() {
    check(
        NOBODY,
        expect![[r#"
        @timestamp "2025-10-03T17:48:22.238Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"code.evaluate","category":["process"],"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.evaluation","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook","type":["info"]}
        livebook {"code":"4","session_mode":"app"}
        log {"file":{"path":"/log/a.log"},"level":"info"}
        service {"type":"livebook"}
    "#]],
    );
}

#[test]
fn a_digest_in_the_place_of_the_code() {
    check(
        DIGEST,
        expect![[r#"
        @timestamp "2025-10-03T17:48:22.238Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"code.evaluate","category":["process"],"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.evaluation","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook","type":["info"]}
        livebook {"code_bytes":2,"code_sha256":"4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c","session_mode":"default","users":[]}
        log {"file":{"path":"/log/a.log"},"level":"info"}
        message "Evaluating code"
        related {"hash":["4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"]}
        service {"type":"livebook"}
    "#]],
    );
}

#[test]
fn what_the_log_has_lost() {
    check(
        INCOMPLETE,
        expect![[r#"
        @timestamp "2025-10-03T17:48:22.238Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"code.evaluate","category":["process"],"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.evaluation","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook","type":["info"]}
        livebook {"code":"5","code_incomplete":true,"session_mode":"app","users":[{"id":"7"}],"users_incomplete":true}
        log {"file":{"path":"/log/a.log"},"level":"info"}
        message "Evaluating code"
        related {"user":["7"]}
        service {"type":"livebook"}
    "#]],
    );
}

#[test]
fn a_source_that_is_not_utf8() {
    check(
        BASE64,
        expect![[r#"
        @timestamp "2025-10-03T17:48:22.238Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"code.evaluate","category":["process"],"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.evaluation","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook","type":["info"]}
        livebook {"code_base64":"Y+k=","session_mode":"default"}
        log {"file":{"path":"/log/a.log"},"level":"info"}
        message "Evaluating code"
        service {"type":"livebook"}
    "#]],
    );
}

#[test]
fn odd_members() {
    check(
        ODD,
        expect![[r#"
        @timestamp "2026-11-22T23:00:00.500Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"code.evaluate","category":["process"],"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.evaluation","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook","type":["info"]}
        livebook {"metadata":{"code_bytes":-1,"session_mode":3,"users":"[%{id: \"1\", ...}]"},"record":{"time":"last Friday"}}
        log {"file":{"path":"/log/a.log"},"level":"loud"}
        message "m"
        service {"type":"livebook"}
        span {"id":"b7ad6b7169203331"}
        trace {"id":"0af7651916cd43dd8448eb211c80319c"}
    "#]],
    );
}

#[test]
fn another_event() {
    check(
        OTHER,
        expect![[r#"
        @timestamp "2025-10-03T17:48:22Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        event {"action":"x","created":"2026-11-22T23:00:00.500Z","dataset":"livebook.log","id":"59dcb978871c445ce570885c7b2a59a3","kind":"event","module":"livebook"}
        livebook {"metadata":{"request_id":"r"},"record":{"message":{"report":["a",1,{"b":null}]},"request":{"client":{"ip":"::1"},"n":[1.5,-2,12345678901234567890]},"time":"2025-10-03T19:48:22+02:00"}}
        log {"file":{"path":"/log/a.log"},"level":"error"}
        message "{\"report\":[\"a\",1,{\"b\":null}]}"
        service {"type":"livebook"}
        span {"id":"b7ad6b7169203331"}
        trace {"id":"nonsense"}
    "#]],
    );
}

#[test]
fn a_fault() {
    expect![[r#"
        @timestamp "2026-11-22T23:00:00.500Z"
        agent {"type":"evaltrail","version":"*"}
        ecs {"version":"8.17.0"}
        error {"message":"byte 3: expected a value","type":"broken_json"}
        event {"created":"2026-11-22T23:00:00.500Z","dataset":"livebook.fault","id":"59dcb978871c445ce570885c7b2a59a3","kind":"pipeline_error","module":"livebook","original":"{\"a\u001f"}
        livebook {"record":{"truncated":false}}
        log {"file":{"path":"/log/a.log"}}
        message "byte 3: expected a value"
        service {"type":"livebook"}
    "#]].assert_eq(&lines(&map(Schema::Ecs, &fault())));
}

#[test]
fn who_is_not_told_for_sure_is_no_user() {
    for record in [SEVERAL, NOBODY, DIGEST, INCOMPLETE, BASE64, ODD] {
        assert_eq!(map(Schema::Ecs, &event(record)).get("user"), None, "{record}");
    }
    let related = &map(Schema::Ecs, &event(SEVERAL))["related"]["user"];
    assert_eq!(*related, serde_json::json!(["7", "Ada", "ada@example.org", "8"]));
}
