//! Faults of API 2.x by name. Requests of an operation are counted from 1 over the world's
//! lifetime.

use std::str::FromStr;

use strum::IntoStaticStr;

use crate::chance::chosen;
use crate::contacts::gone::Gone;
use crate::contacts::route::Operation;
use crate::contacts::{Contacts, Scene};
use crate::fault::{Fault, FaultError};
use crate::options::Options;
use crate::user::Id;
use crate::wire::{Answer, Content, RateHeaders, Refusal};
use crate::workspace::Workspace;

/// One request of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nth {
    /// The operation.
    pub operation: Operation,
    /// The number of the request, from 1.
    pub number: u64,
}

/// One fault of API 2.x. [`ContactFault::NAMES_HELP`] lists them.
#[derive(Clone, Debug, PartialEq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "a variant says what its fields mean")]
pub enum ContactFault {
    /// The request is carried out, and the connection closes without an answer.
    LoseCall(Nth),
    /// The connection closes, and the request is not carried out.
    DropCall(Nth),
    /// 500, and the request is not carried out.
    ErrorCall(Nth),
    /// The request is carried out and answered 500.
    LateErrorCall(Nth),
    /// 429 with rate headers; the request is not carried out.
    LimitCall(Nth),
    /// The same without rate headers.
    LimitCallBare(Nth),
    /// The request is carried out and answered 200 with an empty body.
    EmptyCall(Nth),
    /// 503 with an empty body; the request is not carried out.
    UnavailableCall(Nth),
    /// Every request of the operation is refused: 403, the token lacks the permission.
    ForbidCall(Operation),
    /// The answer takes this long.
    SlowCall { nth: Nth, seconds: u64 },
    /// The list's page has the cursor that was sent as its next one.
    RepeatCursor(u64),
    /// A contact of an earlier page is deleted, and the list's page skips one contact.
    ShiftList(u64),
    /// The list ends with this page, though there are more contacts.
    EndList(u64),
    /// The list refuses this cursor: 400.
    RefuseCursor(u64),
    /// The attribute is removed after so many writes.
    RemoveAttribute { attribute: String, after: u64 },
    /// The bulk request is refused: its job is closed.
    CloseBulk(u64),
    /// This share of the contacts (in percent) goes right before the first write to each.
    GoneContact { how: Gone, percent: f64 },
}

impl ContactFault {
    /// An example and the effect of every fault of API 2.x, one a line.
    pub const NAMES_HELP: &str = "\
lose-call=write:3      write 3: carried out, the connection closes without an answer; for write also
                       me, list, read, create, search, attributes, add-attribute, bulk and poll
drop-call=write:3      write 3: the connection closes, nothing is carried out
error-call=write:3     write 3: 500, nothing is carried out
late-error-call=write:3
                       write 3: carried out, and 500
limit-call=write:3     write 3: 429 with rate headers
limit-call-bare=write:3
                       write 3: 429 without rate headers
empty-call=list:3      list 3: carried out, and 200 with an empty body
unavailable-call=list:3
                       list 3: 503 with an empty body
forbid-call=attributes
                       every request of that operation: 403, the token lacks the permission
slow-call=read:3:70    read 3 takes 70 seconds
repeat-cursor=3        list 3: its next cursor is the one that was sent
shift-list=3           list 3: a contact of an earlier page is deleted, the page skips one contact
end-list=3             list 3: no next cursor, though there are more contacts
refuse-cursor=3        list 3: 400, the cursor is invalid
remove-attribute=plan price:9
                       that custom attribute no longer exists after 9 writes
close-bulk=2           PUT /contacts/bulk 2: 403, the job is closed
gone-contact=merged:5%
                       5 % of the contacts are merged right before their first write; or archived, deleted, blocked";

    pub(crate) fn name(&self) -> &'static str {
        self.into()
    }

    /// Parses a fault; `None` if there is none of this name.
    pub(crate) fn parse(name: &str, value: &str) -> Option<Result<Self, FaultError>> {
        const NTH: &str = "an operation and a number from 1 (write:3)";
        const COUNT: &str = "a number from 1";
        let wrong = |expected| FaultError::Value { name: name.to_owned(), value: value.to_owned(), expected };
        let nth = |text: &str| Nth::from_str(text).map_err(|()| wrong(NTH));
        let count = || value.parse().ok().filter(|count| *count > 0).ok_or_else(|| wrong(COUNT));
        Some(match name {
            "lose-call" => nth(value).map(Self::LoseCall),
            "drop-call" => nth(value).map(Self::DropCall),
            "error-call" => nth(value).map(Self::ErrorCall),
            "late-error-call" => nth(value).map(Self::LateErrorCall),
            "limit-call" => nth(value).map(Self::LimitCall),
            "limit-call-bare" => nth(value).map(Self::LimitCallBare),
            "empty-call" => nth(value).map(Self::EmptyCall),
            "unavailable-call" => nth(value).map(Self::UnavailableCall),
            "forbid-call" => {
                let operation = value.parse().map(Self::ForbidCall);
                operation.map_err(|_| wrong("an operation (attributes)"))
            }
            "slow-call" => {
                let parts = value.rsplit_once(':').and_then(|(nth, seconds)| Some((nth, seconds.parse().ok()?)));
                match parts {
                    Some((text, seconds)) => nth(text).map(|nth| Self::SlowCall { nth, seconds }),
                    None => Err(wrong("an operation, a number and seconds (read:3:70)")),
                }
            }
            "repeat-cursor" => count().map(Self::RepeatCursor),
            "shift-list" => count().map(Self::ShiftList),
            "end-list" => count().map(Self::EndList),
            "refuse-cursor" => count().map(Self::RefuseCursor),
            "close-bulk" => count().map(Self::CloseBulk),
            "remove-attribute" => {
                let parts =
                    value.rsplit_once(':').and_then(|(name, after)| Some((name.to_owned(), after.parse().ok()?)));
                let parts = parts.ok_or_else(|| wrong("an attribute and a number of writes"));
                parts.map(|(attribute, after)| Self::RemoveAttribute { attribute, after })
            }
            "gone-contact" => {
                let parts = value.split_once(':').and_then(|(how, percent)| {
                    let percent: f64 = percent.strip_suffix('%').unwrap_or(percent).parse().ok()?;
                    Some((how.parse().ok()?, Some(percent).filter(|percent| (0.0..=100.0).contains(percent))?))
                });
                let parts = parts.ok_or_else(|| wrong("merged, archived, deleted or blocked, and a percentage"));
                parts.map(|(how, percent)| Self::GoneContact { how, percent })
            }
            _ => return None,
        })
    }
}

impl FromStr for Nth {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (operation, number) = text.split_once(':').ok_or(())?;
        let number = number.parse().ok().filter(|number| *number > 0).ok_or(())?;
        Ok(Self { operation: operation.parse().map_err(|_| ())?, number })
    }
}

/// The times of answers recorded in 2021, in milliseconds: the median, and the longest for one
/// request in a hundred.
fn recorded_ms(operation: Operation, number: u64) -> u64 {
    let (median, longest) = match operation {
        Operation::Me | Operation::Poll | Operation::Read => (70, 1_800),
        Operation::List => (150, 650),
        Operation::Write => (110, 270),
        Operation::Create | Operation::Bulk => (250, 1_050),
        Operation::Search => (140, 1_340),
        Operation::Attributes | Operation::AddAttribute => (170, 460),
    };
    if number.is_multiple_of(100) { longest } else { median }
}

impl Contacts {
    /// Returns whether the answer to this request does not arrive.
    pub(crate) fn unanswered(options: &Options, nth: Nth) -> bool {
        [ContactFault::LoseCall(nth), ContactFault::LateErrorCall(nth), ContactFault::EmptyCall(nth)]
            .into_iter()
            .any(|fault| options.has(&Fault::Contacts(fault)))
    }
}

impl Workspace {
    /// Carries out a request with the faults that strike it.
    pub(crate) fn struck(
        &mut self,
        operation: Operation,
        options: &Options,
        act: impl FnOnce(&mut Self, u64) -> Result<Answer, Refusal>,
    ) -> Result<Answer, Refusal> {
        let number = self.contacts.count(operation);
        let nth = Nth { operation, number };
        let mut strikes =
            |fault: fn(Nth) -> ContactFault| self.counts.fired.strikes(options, &Fault::Contacts(fault(nth)));
        let limited = || Answer::from(Refusal::RateLimited { limit: options.rate_limit_per_10s });
        let [lose, late, empty] =
            [ContactFault::LoseCall, ContactFault::LateErrorCall, ContactFault::EmptyCall].map(&mut strikes);
        if self.contact_fault(options, ContactFault::ForbidCall(operation)) {
            return Err(Refusal::Forbidden);
        }
        if strikes(ContactFault::DropCall) {
            return Ok(Answer::lost());
        }
        if strikes(ContactFault::LimitCall) {
            return Ok(limited().with_rate_headers(RateHeaders::Spent));
        }
        if strikes(ContactFault::LimitCallBare) {
            return Ok(limited().with_rate_headers(RateHeaders::Missing));
        }
        if strikes(ContactFault::UnavailableCall) {
            return Ok(Answer::new(503, Content::Empty).with_rate_headers(RateHeaders::Missing));
        }
        if strikes(ContactFault::ErrorCall) {
            return Err(Refusal::Internal);
        }
        let mut answer = act(self, number).unwrap_or_else(Answer::from);
        if lose {
            answer = Answer::lost();
        } else if late {
            answer = Answer::from(Refusal::Internal);
        } else if empty {
            answer = Answer::new(200, Content::Empty);
        }
        let is_slow =
            |fault: &&Fault| matches!(fault, Fault::Contacts(ContactFault::SlowCall { nth: slow, .. }) if *slow == nth);
        for fault in options.faults.iter().filter(is_slow) {
            self.counts.fired.note(fault);
            if let Fault::Contacts(ContactFault::SlowCall { seconds, .. }) = fault {
                answer.delay_ms += seconds * 1000;
            }
        }
        if options.contacts.recorded_times {
            answer.delay_ms += recorded_ms(operation, number);
        }
        Ok(answer)
    }

    /// Lets a contact go right before its first write, if it is one of the share.
    pub(crate) fn goes(&mut self, id: &str, options: &Options) {
        for fault in &options.faults {
            let Fault::Contacts(ContactFault::GoneContact { how, percent }) = fault else { continue };
            let is_chosen = chosen(options.seed, how.name(), id, *percent);
            let Some(known) = Id::parse(id).filter(|_| is_chosen) else { continue };
            if !self.contacts.state.gone.iter().any(|gone| gone == id) && self.lose_contact(known, *how) {
                self.counts.fired.note(fault);
                self.contacts.state.gone.push(id.to_owned());
                if *how != Gone::Blocked {
                    self.counts.lives[1].push(known);
                }
            }
        }
    }

    /// Removes the attributes whose number of writes is reached.
    pub(crate) fn remove_attributes(&mut self, scene: Scene<'_>) {
        for fault in &scene.options.faults {
            if let Fault::Contacts(ContactFault::RemoveAttribute { attribute, after }) = fault
                && self.contacts.state.written >= *after
                && self.contacts.attributes.remove(attribute)
            {
                self.counts.fired.note(fault);
            }
        }
    }

    /// Returns whether a fault of a list or a bulk request strikes.
    pub(crate) fn contact_fault(&self, options: &Options, fault: ContactFault) -> bool {
        self.counts.fired.strikes(options, &Fault::Contacts(fault))
    }
}
