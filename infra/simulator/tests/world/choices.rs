//! The workspace follows the choices for behaviour that Intercom does not document.

use std::collections::{BTreeMap, BTreeSet};

use intercom_simulator::{Choice, ChoiceError, Options, World};
use serde_json::{Value, json};

use crate::call::{get, id, ids, items, options, pass, post};

fn chosen(choices: &[&str]) -> World {
    chosen_of(choices, options(&[]))
}

fn chosen_of(choices: &[&str], options: Options) -> World {
    World::new(choices.iter().fold(options, |options, text| options.with(text.parse().unwrap())))
}

/// Returns the pages of one scroll, without the empty one.
async fn pages(world: &World) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut path = "/users/scroll".to_owned();
    loop {
        let page = get(world, &path).await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        path = format!("/users/scroll?scroll_param={}", page.body["scroll_param"].as_str().unwrap());
        match ids(&page.body) {
            empty if empty.is_empty() => return pages,
            ids => pages.push(ids),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn users_follow_the_chosen_order() {
    let of = |order: &str| chosen(&[&format!("scroll-order={order}")]);
    let oldest = pages(&of("oldest")).await.concat();
    let newest = pages(&of("newest")).await.concat();
    assert!(oldest.iter().eq(newest.iter().rev()) && oldest.is_sorted());
    let random = pages(&of("random")).await.concat();
    assert!(random != oldest && random != newest);
    assert_eq!(random.iter().collect::<BTreeSet<_>>(), oldest.iter().collect());
    let changing = Options { users: 1_000, ..options(&["users-change"]) };
    let world = chosen_of(&["scroll-order=random"], changing);
    let seen = pages(&world).await.concat();
    let state = world.state();
    assert!(state.users_added.len() > 1);
    assert!(!seen.contains(state.users_added.last().unwrap()), "who came after the opening does not come");
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
}

#[tokio::test(start_paused = true)]
async fn the_rate_headers_have_two_forms() {
    for (choices, remaining, reset) in [
        (&[][..], ["1667", "1666", "1665"], "1480550412"),
        (&["rate-reset=exact", "rate-remaining=after"], ["1666", "1665", "1655"], "1480550410"),
    ] {
        let world = chosen(choices);
        let data: Vec<_> = (0..10).map(|number| json!({"id": id(&world, number)})).collect();
        let answers =
            [get(&world, "/counts").await, get(&world, "/me").await, post(&world, "/bulk/users", &items(&data)).await];
        let of = |name: &str| answers.iter().map(|answer| answer.header(name).unwrap()).collect::<Vec<_>>();
        assert_eq!((of("x-ratelimit-remaining"), of("x-ratelimit-reset")), (remaining.to_vec(), vec![reset; 3]));
    }
}

#[tokio::test(start_paused = true)]
async fn job_can_be_invisible_at_first() {
    let world = chosen(&["job-visible-after-s=40"]);
    let made = post(&world, "/bulk/users", &items(&[json!({"id": id(&world, 0)})])).await;
    let job = format!("/jobs/{}", made.body["id"].as_str().unwrap());
    pass(39).await;
    assert_eq!(get(&world, &job).await.error(), (404, "job_not_found"));
    pass(1).await;
    assert_eq!(get(&world, &job).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn user_can_be_on_two_pages() {
    let pages = pages(&chosen(&["scroll-overlap=3"])).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 56]);
    assert_eq!((&pages[0][97..], &pages[1][97..]), (&pages[1][..3], &pages[2][..3]));
    let mut times: BTreeMap<&String, usize> = BTreeMap::new();
    pages.iter().flatten().for_each(|id| *times.entry(id).or_default() += 1);
    assert_eq!((times.len(), times.values().filter(|times| **times == 2).count()), (250, 6));
}

#[tokio::test(start_paused = true)]
async fn scrolls_share_a_place_or_have_their_own() {
    for (slot, second) in [("scroll-slot=shared", 400), ("scroll-slot=own", 200)] {
        let world = chosen(&[slot]);
        let companies = get(&world, "/companies/scroll").await;
        assert_eq!((companies.status, companies.body["type"].as_str()), (200, Some("company.list")));
        assert_eq!(companies.body["companies"].as_array().unwrap().len(), 13);
        assert_eq!(get(&world, "/companies/scroll").await.error(), (400, "scroll_exists"), "{slot}");
        assert_eq!(get(&world, "/users/scroll").await.status, second, "{slot}");
        assert_eq!(get(&world, "/contacts/scroll").await.status, second, "{slot}");
        pass(61).await;
        assert_eq!(get(&world, "/users/scroll").await.status, 200, "after its minute");
        assert_eq!(get(&world, "/companies/scroll").await.status, second, "{slot}");
        assert_eq!(world.state().second_scrolls, 0, "the users' scroll was opened once");
    }
    let world = chosen(&[]);
    let companies = get(&world, "/companies/scroll").await;
    let next = format!("/companies/scroll?scroll_param={}", companies.body["scroll_param"].as_str().unwrap());
    assert_eq!(get(&world, &next).await.body["companies"], json!([]));
    assert_eq!(get(&world, &next).await.error(), (404, "not_found"));
    assert_eq!(get(&world, "/users/scroll").await.status, 200, "the empty page frees the place");
}

#[tokio::test(start_paused = true)]
async fn items_follow_the_chosen_charge() {
    // A request of 10 items after 85 of 90, and the operations that remain in the window.
    for (charge, status, left) in
        [("bulk-charge=after", 202, "0"), ("bulk-charge=before", 429, "5"), ("bulk-charge=request", 202, "88")]
    {
        let world = chosen_of(&[charge, "rate-remaining=after"], Options { rate_limit_per_10s: 90, ..options(&[]) });
        let bodies =
            |count: usize| -> Vec<Value> { (0..count).map(|number| json!({"id": id(&world, number)})).collect() };
        assert_eq!(post(&world, "/bulk/users", &items(&bodies(85))).await.status, 202, "{charge}");
        let second = post(&world, "/bulk/users", &items(&bodies(10))).await;
        assert_eq!((second.status, second.header("x-ratelimit-remaining")), (status, Some(left)), "{charge}");
        assert_eq!(world.state().over_limit, u64::from(status == 429), "{charge}");
        pass(10).await;
        assert_eq!(post(&world, "/bulk/users", &items(&bodies(90))).await.status, 202, "{charge}");
    }
}

#[tokio::test(start_paused = true)]
async fn job_can_be_forgotten() {
    let world = chosen(&["job-life-s=60"]);
    let job = post(&world, "/bulk/users", &items(&[json!({"id": id(&world, 0)})])).await;
    let path = format!("/jobs/{}", job.body["id"].as_str().unwrap());
    pass(59).await;
    assert_eq!(get(&world, &path).await.status, 200);
    pass(1).await;
    assert_eq!(get(&world, &path).await.error(), (404, "job_not_found"));
    assert_eq!(get(&world, &format!("{path}/error")).await.status, 404);
    assert_eq!(world.state().jobs[0].tasks, ["completed"], "its items were carried out");
}

#[tokio::test(start_paused = true)]
async fn scroll_param_and_null_follow_the_choice() {
    let world = chosen(&["scroll-param=rotating", "null-attribute=removed"]);
    let user = id(&world, 0);
    for value in [json!(true), json!(null)] {
        post(&world, "/users", &json!({"id": user, "custom_attributes": {"mine": value}})).await;
    }
    assert_eq!(world.user(&user).unwrap()["custom_attributes"].get("mine"), None);
    let first = get(&world, "/users/scroll").await.body["scroll_param"].as_str().unwrap().to_owned();
    let second = get(&world, &format!("/users/scroll?scroll_param={first}")).await;
    assert_ne!(second.body["scroll_param"], json!(first));
}

#[test]
fn unknown_choice_lists_all_choices() {
    let parse = |text: &str| text.parse::<Choice>();
    assert!(matches!(parse("scroll-orders=oldest"), Err(ChoiceError::Unknown { name }) if name == "scroll-orders"));
    let wrong = parse("scroll-order=alphabetical").unwrap_err().to_string();
    assert_eq!(wrong, "the option `scroll-order` takes oldest, newest or random, not `alphabetical`");
    assert!(parse("scroll-overlap=100").is_err() && parse("job-life-s").is_err());
    // Each line of the help is an option, and each of its values is taken.
    let lines = Choice::NAMES_HELP.lines().filter(|line| !line.starts_with(' '));
    for line in lines {
        let (name, rest) = line.split_once('=').unwrap();
        let values = rest.split(' ').next().unwrap().replace("SECONDS", "60");
        values.split('|').for_each(|value| assert!(parse(&format!("{name}={value}")).is_ok(), "{name}={value}"));
    }
}
