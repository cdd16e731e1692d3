//! Faults as text: `name=value`.

use std::str::FromStr;

use crate::contacts::fault::ContactFault;
use crate::fault::{Fault, FaultError};

/// A day: the default delay of a job object.
const LATE_JOB_OBJECT_S: u64 = 86_400;

/// A name and its unparsed value.
struct Words<'a> {
    name: &'a str,
    value: &'a str,
}

impl Words<'_> {
    fn wrong(&self, expected: &'static str) -> FaultError {
        FaultError::Value { name: self.name.to_owned(), value: self.value.to_owned(), expected }
    }

    fn count(&self) -> Result<u64, FaultError> {
        self.value.parse().ok().filter(|count| *count > 0).ok_or_else(|| self.wrong("a number from 1"))
    }

    fn seconds(&self) -> Result<u64, FaultError> {
        self.value.parse().map_err(|_| self.wrong("seconds"))
    }

    fn which_and_seconds(&self, expected: &'static str) -> Result<(u64, u64), FaultError> {
        self.value
            .split_once(':')
            .and_then(|(page, seconds)| Some((page.parse().ok()?, seconds.parse().ok()?)))
            .ok_or_else(|| self.wrong(expected))
    }

    fn percent(&self, text: &str) -> Result<f64, FaultError> {
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        number
            .parse()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent))
            .ok_or_else(|| self.wrong("a percentage from 0 to 100"))
    }

    fn rejected(&self) -> Result<Fault, FaultError> {
        if self.value.ends_with('%') {
            let percent = self.percent(self.value)?;
            return Ok(Fault::ItemError { percent, code: "invalid".into(), message: "user invalid".into() });
        }
        if self.value.is_empty() {
            return Err(self.wrong("a user's id or a percentage"));
        }
        Ok(Fault::RejectUser(self.value.to_owned()))
    }

    fn denied(&self) -> Result<Fault, FaultError> {
        let expected = "a status (400, 402, 403 or 404) and a number of requests";
        let (status, after) = self.which_and_seconds(expected)?;
        let status = u16::try_from(status).ok().filter(|status| matches!(status, 400 | 402..=404));
        status.map(|status| Fault::Denied { status, after }).ok_or_else(|| self.wrong(expected))
    }

    fn poison(&self) -> Result<Fault, FaultError> {
        let expected = "a status (404, 409, 410, 422, 423 or 500 to 599) and a percentage";
        let (status, percent) = self.value.split_once(':').ok_or_else(|| self.wrong(expected))?;
        let status = status.parse().ok().filter(|status| matches!(status, 404 | 409 | 410 | 422 | 423 | 500..=599));
        Ok(Fault::PoisonItem { status: status.ok_or_else(|| self.wrong(expected))?, percent: self.percent(percent)? })
    }

    fn alter(&self) -> Result<Fault, FaultError> {
        let parsed = self.value.rsplit_once(':').and_then(|(attribute, how)| Some((attribute, how.parse().ok()?)));
        let (attribute, how) = parsed
            .ok_or_else(|| self.wrong("ATTRIBUTE:FORM, a form being ignore, null, trim, cut, escape, text or whole"))?;
        Ok(Fault::AlterAttribute { attribute: attribute.to_owned(), how })
    }

    fn item_error(&self) -> Result<Fault, FaultError> {
        let mut parts = self.value.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(percent), Some(code), Some(message)) if !code.is_empty() => Ok(Fault::ItemError {
                percent: self.percent(percent)?,
                code: code.to_owned(),
                message: message.to_owned(),
            }),
            _ => Err(self.wrong("P%:CODE:MESSAGE")),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let words = Words { name: name.trim(), value: value.trim() };
        Ok(match words.name {
            "lose-page" => Self::LosePage(words.count()?),
            "error-page" => Self::ErrorPage(words.count()?),
            "error-page-keeps" => Self::ErrorPageKeeps(words.count()?),
            "empty-page" => Self::EmptyPage(words.count()?),
            "empty-503-page" => Self::Empty503Page(words.count()?),
            "forget-scroll" => Self::ForgetScroll(words.count()?),
            "foreign-scroll" => Self::ForeignScroll(words.seconds()?),
            "scroll-exists-forever" => Self::ScrollExistsForever,
            "slow-page" => {
                let (page, seconds) = words.which_and_seconds("a page and seconds")?;
                Self::SlowPage { page, seconds }
            }
            "steal-scroll" => {
                let (page, seconds) = words.which_and_seconds("a page and seconds")?;
                Self::StealScroll { page, seconds }
            }
            "slow-job" => {
                let (job, seconds) = words.which_and_seconds("a job and seconds")?;
                Self::SlowJob { job, seconds }
            }
            "slow-pages" => Self::SlowPages(words.seconds()?),
            "repeat-page" => Self::RepeatPage(words.count()?),
            "limit-page" => Self::LimitPage(words.count()?),
            "users-change" => Self::UsersChange,
            "limit-bulk" => Self::LimitBulk(words.count()?),
            "limit-bulk-bare" => Self::LimitBulkBare(words.count()?),
            "lose-bulk" => Self::LoseBulk(words.count()?),
            "error-bulk" => Self::ErrorBulk(words.count()?),
            "lose-job" => Self::LoseJob(words.count()?),
            "job-never-ends" => Self::JobNeverEnds(words.count()?),
            "job-fails" => Self::JobFails(words.count()?),
            "late-job-object" if words.value.is_empty() => Self::LateJobObject(LATE_JOB_OBJECT_S),
            "late-job-object" => Self::LateJobObject(words.seconds()?),
            "reject-user" => words.rejected()?,
            "item-error" => words.item_error()?,
            "item-limited" => Self::ItemLimited(words.percent(words.value)?),
            "bad-item" => Self::BadItem(words.percent(words.value)?),
            "alter-attribute" => words.alter()?,
            "others-write" => Self::OthersWrite(words.percent(words.value)?),
            "deny-me" => Self::DenyMe,
            "others-spend" => Self::OthersSpend(words.count()?),
            "poison-item" => words.poison()?,
            "cut-name" => Self::CutName(words.percent(words.value)?),
            "feed-page-size" => Self::FeedPageSize(words.count()?),
            "token-revoked-after" => Self::TokenRevokedAfter(words.seconds().map_err(|_| words.wrong("a number"))?),
            "denied" => words.denied()?,
            name => match ContactFault::parse(name, words.value) {
                Some(fault) => Self::Contacts(fault?),
                None => return Err(FaultError::Unknown { name: name.to_owned() }),
            },
        })
    }
}
