//! Version and shape of a message.

use serde_json::json;

use super::*;

fn message(body: &serde_json::Value, receives: u32) -> Message {
    Message { id: "m".to_owned(), receipt: "r".to_owned(), body: body.to_string(), receives }
}

#[test]
fn a_newer_message_is_not_malformed_whatever_its_shape() {
    let newer = FORMAT + 1;
    for body in [
        json!({"v": newer, "run": "a.20161101T110033Z", "turn": 3}),
        json!({"v": newer, "run": "a.20161101T110033Z", "step": {"turn": 3}}),
        json!({"v": newer, "plan": "has-avatar"}),
    ] {
        assert_eq!(message(&body, 1).pages_message(), Err(UnreadableMessage::Newer(newer.into())), "{body}");
    }
    let origin = json!({"page": {"page": 1, "part": 0}});
    for body in [
        json!({"v": newer, "run": "a.20161101T110033Z", "generation": 1, "origin": origin, "patches": []}),
        json!({"v": newer, "reference": "elsewhere"}),
    ] {
        assert_eq!(message(&body, 1).part(), Err(UnreadableMessage::Newer(newer.into())), "{body}");
    }
    for body in [json!({"v": FORMAT}), json!({"v": "2"}), json!({"v": -1}), json!([])] {
        assert!(matches!(message(&body, 1).pages_message(), Err(UnreadableMessage::Malformed(_))), "{body}");
        assert!(matches!(message(&body, 1).part(), Err(UnreadableMessage::Malformed(_))), "{body}");
    }
}

#[test]
fn a_newer_message_survives_a_deployment_in_its_queue() {
    let rest_ms = |receives| message(&json!({}), receives).rest_for_newer_ms();
    assert_eq!([rest_ms(1), rest_ms(2), rest_ms(99)], [60_000, 120_000, 900_000]);
    let in_all_ms: i64 = (1..100).map(rest_ms).sum();
    assert!(in_all_ms > 20 * 3_600_000, "{in_all_ms}");
}
