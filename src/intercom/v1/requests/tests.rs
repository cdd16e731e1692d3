use super::*;
use proptest::prelude::*;

fn after(param: &str) -> Position {
    Position::Scroll { param: param.to_owned() }
}

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

#[test]
fn paths_match_intercoms_documentation() {
    let job = JobId::new("job_v2_1").unwrap();
    let paths = [
        (get_page(&Position::First).unwrap(), "/users/scroll"),
        (get_page(&after("25b649f7-4d33")).unwrap(), "/users/scroll?scroll_param=25b649f7-4d33"),
        (get_user(&user("a1")), "/users/a1"),
        (get_job(&job), "/jobs/job_v2_1"),
        (get_job_errors(&job, 0), "/jobs/job_v2_1/error"),
        (get_job_errors(&job, 1), "/jobs/job_v2_1/error"),
        (get_job_errors(&job, 2), "/jobs/job_v2_1/error?page=2"),
        (get_counts(), "/counts"),
    ];
    for (call, path) in paths {
        assert_eq!((call.method, call.path.as_str(), call.body.len()), (Method::GET, path, 0));
    }
}

#[test]
fn a_parameter_is_never_empty_or_long() {
    assert!(get_page(&after(&"x".repeat(CURSOR_BYTES_MAX))).is_ok());
    let list = Position::Ids { pages: 1, users: 0 };
    for position in [after(""), after(&"x".repeat(CURSOR_BYTES_MAX + 1)), list] {
        let error = get_page(&position).err().unwrap();
        assert!(matches!(error, Error::Invalid { reason: Invalid::Position, .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn a_parameter_cannot_leave_its_place(param in "\\PC{1,100}") {
        let path = get_page(&after(&param)).unwrap().path;
        let value = path.strip_prefix("/users/scroll?scroll_param=").unwrap();
        prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        let decoded = reqwest::Url::parse(&format!("http://localhost{path}")).unwrap();
        prop_assert_eq!(decoded.query_pairs().next().unwrap().1, param);
    }
}
