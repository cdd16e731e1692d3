//! Generates users from a seed, with the variety of a real workspace: odd names and outdated
//! values.

use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::{Map, Value, json};

use crate::user::{Avatar, Company, Id, User};

/// The first user was created on 1 January 2014, the last on 24 November 2016.
const BORN_S: std::ops::Range<i64> = 1_388_534_400..1_479_945_600;
/// Number of users per company.
const USERS_PER_COMPANY: usize = 20;

const FIRST: &[&str] =
    &["Ada", "Björn", "Chloé", "Đặng", "Efua", "Fatima", "Grace", "Hiro", "İlker", "José", "Zoë", "Linus"];
const LAST: &[&str] =
    &["Lovelace", "O'Neil", "Nguyễn", "Müller", "van der Berg", "Smith", "Åkesson", "Tanaka", "Okafor"];
const ODD: &[&str] =
    &["", " ", "张伟", "👩‍🚀 Mo", "Robert'); DROP TABLE users;--", "{{ user.name }}", "مريم", "null", "a\tb\nc"];
const DOMAINS: &[&str] =
    &["acme.com", "example.org", "gmail.com", "serenity.example", "initech.example", "mail.example.co.uk"];
const TRADES: &[&str] = &["Works", "Labs", "Partners", "& Söhne", "Inc"];

/// Creates a workspace's companies, some of them with an outdated name.
pub(crate) fn companies(rng: &mut SmallRng, users: usize) -> Vec<Company> {
    (0..users.div_ceil(USERS_PER_COMPANY))
        .map(|number| {
            let name = format!("{} {}", pick(rng, LAST), pick(rng, TRADES));
            let name = if rng.random_ratio(1, 6) { format!("{name} (old)") } else { name };
            Company { id: Id::new(BORN_S.start, rng.random()), company_id: (300 + number).to_string(), name }
        })
        .collect()
}

/// Returns the second at which a user was created.
pub(crate) fn birthday_s(rng: &mut SmallRng) -> i64 {
    rng.random_range(BORN_S)
}

/// Creates one user.
pub(crate) fn user(rng: &mut SmallRng, number: u32, companies: usize, created_at: i64) -> User {
    let avatar = avatar(rng);
    let domain = pick(rng, DOMAINS);
    User {
        number,
        user_id: rng.random_ratio(19, 20).then(|| number.to_string().into()),
        email: email(rng, number, domain),
        name: name(rng).map(Into::into),
        phone: rng.random_ratio(1, 3).then(|| format!("+3531555{number:04}").into()),
        companies: memberships(rng, companies),
        custom_attributes: attributes(rng, &avatar, domain),
        avatar,
        created_at,
        updated_at: created_at + rng.random_range(0..600_000),
        unsubscribed: rng.random_ratio(1, 10),
        given: None,
        odd: None,
    }
}

/// Applies one day's worth of random changes to a user.
pub(crate) fn change(rng: &mut SmallRng, user: &mut User, now_s: i64) {
    match rng.random_range(0..3) {
        0 => user.avatar = avatar(rng),
        1 => drop(user.custom_attributes.insert("plan".into(), pick(rng, &["starter", "Pro Plus", "free"]).into())),
        _ => user.name = name(rng).map(Into::into),
    }
    user.updated_at = now_s;
}

fn pick<'a>(rng: &mut SmallRng, words: &[&'a str]) -> &'a str {
    words[rng.random_range(0..words.len())]
}

fn avatar(rng: &mut SmallRng) -> Avatar {
    match rng.random_range(0..100) {
        0..40 => Avatar::Upload,
        40..65 => Avatar::Identicon,
        65..92 => Avatar::NoUrl,
        92..97 => Avatar::Null,
        _ => Avatar::Absent,
    }
}

fn name(rng: &mut SmallRng) -> Option<String> {
    match rng.random_range(0..200) {
        0..8 => None,
        8..16 => Some(pick(rng, ODD).to_owned()),
        16 => Some("Wolfeschlegelsteinhausenbergerdorff ".repeat(40)),
        _ => Some(format!("{} {}", pick(rng, FIRST), pick(rng, LAST))),
    }
}

fn email(rng: &mut SmallRng, number: u32, domain: &str) -> Option<Box<str>> {
    match rng.random_range(0..100) {
        0..4 => None,
        4..6 => Some(format!("user{number}.{domain}").into()),
        6..10 => Some(format!("USER{number}@{}", domain.to_uppercase()).into()),
        10..13 => Some(format!("user{number}+news@{domain}").into()),
        _ => Some(format!("user{number}@{domain}").into()),
    }
}

fn memberships(rng: &mut SmallRng, companies: usize) -> Vec<u32> {
    let count = match rng.random_range(0..10) {
        0..3 => 0,
        3..9 => 1,
        _ => 2,
    };
    let mut places: Vec<u32> = (0..count.min(companies)).map(|_| rng.random_range(0..companies) as u32).collect();
    places.dedup();
    places
}

fn attributes(rng: &mut SmallRng, avatar: &Avatar, domain: &str) -> Map<String, Value> {
    let mut attributes = Map::new();
    let plan = match rng.random_range(0..100) {
        0..30 => Some("starter"),
        30..55 => Some("Pro Plus"),
        55..80 => Some("free"),
        80..88 => Some("legacy"),
        _ => None,
    };
    if let Some(plan) = plan {
        attributes.insert("plan".into(), plan.into());
    }
    if rng.random_ratio(1, 4) {
        let right = matches!(avatar, Avatar::Upload);
        attributes.insert("has avatar".into(), (right == rng.random_ratio(2, 3)).into());
    }
    if rng.random_ratio(1, 4) {
        let prices = [json!(49), json!(49.0), json!("49"), json!(99)];
        attributes.insert("plan_price".into(), prices[rng.random_range(0..prices.len())].clone());
    }
    if rng.random_ratio(1, 5) {
        attributes.insert("account".into(), if rng.random_ratio(1, 2) { domain } else { "Acme Inc" }.into());
    }
    if rng.random_ratio(1, 10) {
        attributes.insert("last_order_at".into(), birthday_s(rng).into());
    }
    attributes
}
