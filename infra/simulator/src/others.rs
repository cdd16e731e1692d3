//! The scrolls of companies and leads. They exist because they may share a place with the scroll of
//! users.

use rand::rngs::SmallRng;
use serde_json::json;

use crate::chance::uuid;
use crate::options::{Options, Slot};
use crate::people::People;
use crate::wire::{Answer, Refusal};

/// The kinds of scrolls besides users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Companies,
    /// Called contacts in the API; this workspace has none.
    Leads,
}

/// The places of both.
#[derive(Default)]
pub(crate) struct Others {
    open: [Option<OpenOther>; 2],
}

struct OpenOther {
    param: String,
    shown: usize,
    used_at_ms: i64,
}

impl Others {
    /// Returns whether a scroll other than that of `except` is open.
    pub(crate) fn are_open(&mut self, except: Option<Kind>, options: &Options, now_ms: i64) -> bool {
        for open in &mut self.open {
            open.take_if(|open| now_ms - open.used_at_ms > options.scroll_ttl_s as i64 * 1000);
        }
        let except = except.map(|kind| kind as usize);
        self.open.iter().enumerate().any(|(place, open)| open.is_some() && Some(place) != except)
    }

    /// Answers one request for a page. `taken`: the users' scroll occupies the shared place.
    pub(crate) fn turn(
        &mut self,
        kind: Kind,
        param: Option<&str>,
        taken: bool,
        (people, rng, options, now_ms): (&People, &mut SmallRng, &Options, i64),
    ) -> Result<Answer, Refusal> {
        let taken = taken || (self.are_open(Some(kind), options, now_ms) && options.scroll_slot == Slot::Shared);
        let place = &mut self.open[kind as usize];
        let mut open = match (param, place.take()) {
            (Some(param), Some(open)) if open.param == param => open,
            (None, None) if !taken => OpenOther { param: uuid(rng, 4, '-'), shown: 0, used_at_ms: now_ms },
            (None, open) => {
                *place = open;
                return Err(Refusal::ScrollExists);
            }
            (Some(_), open) => {
                *place = open;
                return Err(Refusal::ScrollNotFound);
            }
        };
        open.used_at_ms = now_ms;
        let (list, collection, found) = match kind {
            Kind::Companies => ("company.list", "companies", people.companies(open.shown, options.page_size)),
            Kind::Leads => ("contact.list", "contacts", Vec::new()),
        };
        open.shown += found.len();
        let body = json!({"type": list, collection: found, "scroll_param": open.param});
        // The empty page ends the scroll.
        *place = (!found.is_empty()).then_some(open);
        Ok(Answer::json(200, body))
    }
}
