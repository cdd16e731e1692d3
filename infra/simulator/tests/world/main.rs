//! Tests of the world through its routes, under a paused clock. Only `socket` uses a socket.

#![expect(clippy::unwrap_used, reason = "clippy takes only `#[test]` functions for tests, not what they call")]

mod call;

mod attributes;
mod bulk;
mod calls;
mod choices;
mod contact_bulk;
mod contacts;
mod described;
mod faults;
mod gate;
mod items;
mod jobs;
mod kept;
mod people;
mod reads;
mod scroll;
mod search;
mod socket;
mod versions;
