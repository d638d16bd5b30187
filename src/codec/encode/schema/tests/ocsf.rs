//! The Open Cybersecurity Schema Framework.

use super::*;
use expect_test::{Expect, expect};

fn check(record: &str, expected: Expect) {
    expected.assert_eq(&lines(&map(Schema::Ocsf, &event(record))));
}

#[test]
fn a_sole_user() {
    check(
        SOLE,
        expect![[r#"
        activity_id 1
        activity_name "Execute"
        actor {"app_name":"Livebook"}
        category_name "System Activity"
        category_uid 1
        class_name "Script Activity"
        class_uid 1009
        device {"name":"livebook","type":"Unknown","type_id":0}
        message "Evaluating code"
        metadata {"event_code":"code.evaluate","log_level":"info","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"2025-10-03T17:48:22.238Z","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        script {"script_content":{"value":"1 + 1\n\"é\""},"type":"Livebook cell","type_id":99}
        severity "Informational"
        severity_id 1
        time 1759513702238
        type_name "Script Activity: Execute"
        type_uid 100901
        unmapped {"session_mode":"default","users":[{"email":"ada@example.org","id":"7","name":"Ada"}]}
    "#]],
    );
}

#[test]
fn a_sole_deployer() {
    check(
        DEPLOYER,
        expect![[r#"
        activity_id 1
        activity_name "Execute"
        actor {"app_name":"Livebook","user":{"email_addr":"ada@example.org","name":"Ada","uid":"7"}}
        category_name "System Activity"
        category_uid 1
        class_name "Script Activity"
        class_uid 1009
        device {"name":"livebook","type":"Unknown","type_id":0}
        message "Evaluating code"
        metadata {"event_code":"code.evaluate","log_level":"info","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"2025-10-03T17:48:22.238Z","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        script {"script_content":{"value":"2"},"type":"Livebook cell","type_id":99}
        severity "Informational"
        severity_id 1
        time 1759513702238
        type_name "Script Activity: Execute"
        type_uid 100901
        unmapped {"app_permanent":false,"session_mode":"app","users":[{"email":"ada@example.org","id":"7","name":"Ada"}]}
    "#]],
    );
}

#[test]
fn several_users() {
    check(
        SEVERAL,
        expect![[r#"
        activity_id 1
        activity_name "Execute"
        actor {"app_name":"Livebook"}
        category_name "System Activity"
        category_uid 1
        class_name "Script Activity"
        class_uid 1009
        device {"name":"livebook","type":"Unknown","type_id":0}
        message "Evaluating code"
        metadata {"event_code":"code.evaluate","log_level":"info","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"2025-10-03T17:48:22.238Z","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        script {"script_content":{"value":"3"},"type":"Livebook cell","type_id":99}
        severity "Informational"
        severity_id 1
        time 1759513702238
        type_name "Script Activity: Execute"
        type_uid 100901
        unmapped {"metadata":{"request_id":"r"},"session_mode":"app","users":[{"email":"ada@example.org","id":"7","name":"Ada"},{"id":"8","name":"Ada","name_base64":"Y+k="}],"users_incomplete":false}
    "#]],
    );
}

#[test]
fn nobody() {
    check(
        NOBODY,
        expect![[r#"
        activity_id 1
        activity_name "Execute"
        actor {"app_name":"Livebook"}
        category_name "System Activity"
        category_uid 1
        class_name "Script Activity"
        class_uid 1009
        device {"name":"livebook","type":"Unknown","type_id":0}
        metadata {"event_code":"code.evaluate","log_level":"info","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"2025-10-03T17:48:22.238Z","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        script {"script_content":{"value":"4"},"type":"Livebook cell","type_id":99}
        severity "Informational"
        severity_id 1
        time 1759513702238
        type_name "Script Activity: Execute"
        type_uid 100901
        unmapped {"session_mode":"app"}
    "#]],
    );
}

#[test]
fn a_digest_in_the_place_of_the_code() {
    check(
        DIGEST,
        expect![[r#"
        activity_id 1
        activity_name "Execute"
        actor {"app_name":"Livebook"}
        category_name "System Activity"
        category_uid 1
        class_name "Script Activity"
        class_uid 1009
        device {"name":"livebook","type":"Unknown","type_id":0}
        message "Evaluating code"
        metadata {"event_code":"code.evaluate","log_level":"info","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"2025-10-03T17:48:22.238Z","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        script {"hashes":[{"algorithm":"SHA-256 or HMAC-SHA-256","algorithm_id":99,"value":"4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"}],"script_content":{"is_truncated":true,"untruncated_size":2,"value":""},"type":"Livebook cell","type_id":99}
        severity "Informational"
        severity_id 1
        time 1759513702238
        type_name "Script Activity: Execute"
        type_uid 100901
        unmapped {"session_mode":"default","users":[]}
    "#]],
    );
}

#[test]
fn what_the_log_has_lost() {
    check(
        INCOMPLETE,
        expect![[r#"
        activity_id 1
        activity_name "Execute"
        actor {"app_name":"Livebook"}
        category_name "System Activity"
        category_uid 1
        class_name "Script Activity"
        class_uid 1009
        device {"name":"livebook","type":"Unknown","type_id":0}
        message "Evaluating code"
        metadata {"event_code":"code.evaluate","log_level":"info","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"2025-10-03T17:48:22.238Z","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        script {"script_content":{"is_truncated":true,"value":"5"},"type":"Livebook cell","type_id":99}
        severity "Informational"
        severity_id 1
        time 1759513702238
        type_name "Script Activity: Execute"
        type_uid 100901
        unmapped {"code_incomplete":true,"session_mode":"app","users":[{"id":"7"}],"users_incomplete":true}
    "#]],
    );
}

#[test]
fn a_source_that_is_not_utf8() {
    check(
        BASE64,
        expect![[r#"
        activity_id 1
        activity_name "Execute"
        actor {"app_name":"Livebook"}
        category_name "System Activity"
        category_uid 1
        class_name "Script Activity"
        class_uid 1009
        device {"name":"livebook","type":"Unknown","type_id":0}
        message "Evaluating code"
        metadata {"event_code":"code.evaluate","log_level":"info","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"2025-10-03T17:48:22.238Z","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        script {"script_content":{"value":"c�"},"type":"Livebook cell","type_id":99}
        severity "Informational"
        severity_id 1
        time 1759513702238
        type_name "Script Activity: Execute"
        type_uid 100901
        unmapped {"code_base64":"Y+k=","session_mode":"default"}
    "#]],
    );
}

#[test]
fn odd_members() {
    check(
        ODD,
        expect![[r#"
        activity_id 1
        activity_name "Execute"
        actor {"app_name":"Livebook"}
        category_name "System Activity"
        category_uid 1
        class_name "Script Activity"
        class_uid 1009
        device {"name":"livebook","type":"Unknown","type_id":0}
        message "m"
        metadata {"event_code":"code.evaluate","log_level":"loud","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"last Friday","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        script {"script_content":{"is_truncated":true,"value":""},"type":"Livebook cell","type_id":99}
        severity "loud"
        severity_id 99
        time 1795388400500
        type_name "Script Activity: Execute"
        type_uid 100901
        unmapped {"metadata":{"code_bytes":-1,"session_mode":3,"users":"[%{id: \"1\", ...}]"},"record":{"span":"b7ad6b7169203331","trace":"0af7651916cd43dd8448eb211c80319c"}}
    "#]],
    );
}

#[test]
fn another_event() {
    check(
        OTHER,
        expect![[r#"
        activity_id 0
        activity_name "Unknown"
        category_name "Uncategorized"
        category_uid 0
        class_name "Base Event"
        class_uid 0
        message "{\"report\":[\"a\",1,{\"b\":null}]}"
        metadata {"event_code":"x","log_level":"error","log_name":"/log/a.log","logged_time":1795388400500,"original_time":"2025-10-03T19:48:22+02:00","product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        severity "High"
        severity_id 4
        time 1759513702000
        type_name "Base Event: Unknown"
        type_uid 0
        unmapped {"metadata":{"request_id":"r"},"record":{"message":{"report":["a",1,{"b":null}]},"request":{"client":{"ip":"::1"},"n":[1.5,-2,12345678901234567890]},"span":"b7ad6b7169203331","trace":"nonsense"}}
    "#]],
    );
}

#[test]
fn a_fault() {
    expect![[r#"
        activity_id 0
        activity_name "Unknown"
        category_name "Uncategorized"
        category_uid 0
        class_name "Base Event"
        class_uid 0
        message "byte 3: expected a value"
        metadata {"log_name":"/log/a.log","logged_time":1795388400500,"product":{"name":"Livebook","vendor_name":"Livebook"},"uid":"59dcb978871c445ce570885c7b2a59a3","version":"1.5.0"}
        raw_data "{\"a\u001f"
        severity "Unknown"
        severity_id 0
        time 1795388400500
        type_name "Base Event: Unknown"
        type_uid 0
        unmapped {"record":{"reason":"broken_json","truncated":false}}
    "#]].assert_eq(&lines(&map(Schema::Ocsf, &fault())));
}

#[test]
fn what_the_classes_require_is_there() {
    let base = ["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"];
    for record in [SOLE, DEPLOYER, SEVERAL, NOBODY, DIGEST, INCOMPLETE, BASE64, ODD, OTHER, "{}"] {
        let mapped = map(Schema::Ocsf, &event(record));
        for name in base {
            assert!(mapped.get(name).is_some(), "{name}: {mapped}");
        }
        let number = |name: &str| mapped[name].as_u64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert!(mapped["metadata"]["version"].is_string() && mapped["metadata"]["product"].is_object());
        if number("class_uid") == 1009 {
            assert!(mapped["device"]["type_id"].is_u64() && mapped["device"]["name"].is_string());
            assert!(mapped["actor"]["app_name"].is_string());
            assert!(mapped["script"]["type_id"].is_u64());
            assert!(mapped["script"]["script_content"]["value"].is_string());
        }
    }
}

#[test]
fn only_a_sole_deployer_is_an_actor() {
    for record in [SOLE, SEVERAL, NOBODY, DIGEST, INCOMPLETE, BASE64, ODD] {
        let mapped = map(Schema::Ocsf, &event(record));
        assert_eq!(mapped["actor"], serde_json::json!({"app_name": "Livebook"}), "{record}");
    }
    let several = map(Schema::Ocsf, &event(SEVERAL));
    assert_eq!(several["unmapped"]["users"].as_array().unwrap().len(), 2);
}

#[test]
fn a_digest_of_another_form_is_no_hash() {
    let record = r#"{"metadata":{"event":"code.evaluate","code_sha256":"z"}}"#;
    let mapped = map(Schema::Ocsf, &event(record));
    assert_eq!(mapped["script"].get("hashes"), None);
    assert_eq!(mapped["unmapped"]["code_sha256"], "z");
}
