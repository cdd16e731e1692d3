use super::*;
use proptest::prelude::*;

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

#[test]
fn paths_match_intercoms_documentation() {
    let job = JobId::new("job_v2_1").unwrap();
    let paths = [
        (get_page(None).unwrap(), "/users/scroll"),
        (get_page(Some("25b649f7-4d33")).unwrap(), "/users/scroll?scroll_param=25b649f7-4d33"),
        (get_user(&user("a1")), "/users/a1"),
        (get_job(&job), "/jobs/job_v2_1"),
        (get_job_errors(&job, 0), "/jobs/job_v2_1/error"),
        (get_job_errors(&job, 1), "/jobs/job_v2_1/error"),
        (get_job_errors(&job, 2), "/jobs/job_v2_1/error?page=2"),
        (get_counts(), "/counts"),
        (get_workspace(), "/me"),
    ];
    for (call, path) in paths {
        assert_eq!((call.method, call.path.as_str(), call.body.len()), (Method::GET, path, 0));
    }
}

#[test]
fn a_cursor_is_never_empty_or_long() {
    assert!(get_page(Some(&"x".repeat(CURSOR_BYTES_MAX))).is_ok());
    for cursor in [String::new(), "x".repeat(CURSOR_BYTES_MAX + 1)] {
        let error = get_page(Some(&cursor)).err().unwrap();
        assert!(matches!(error, Error::Invalid { reason: Invalid::Cursor, .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn a_cursor_cannot_leave_its_parameter(cursor in "\\PC{1,100}") {
        let path = get_page(Some(&cursor)).unwrap().path;
        let value = path.strip_prefix("/users/scroll?scroll_param=").unwrap();
        prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        let decoded = reqwest::Url::parse(&format!("http://localhost{path}")).unwrap();
        prop_assert_eq!(decoded.query_pairs().next().unwrap().1, cursor);
    }
}
