//! Faults by name. Pages, bulk requests and jobs are counted from 1 over the world's lifetime.

use strum::IntoStaticStr;
use thiserror::Error;

use crate::alter::Alteration;
use crate::contacts::fault::ContactFault;

/// One fault. Several can be given, also of the same kind. Each is also parsed from `name=value`;
/// [`Fault::NAMES_HELP`] lists them.
#[derive(Clone, Debug, PartialEq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "a variant says what its fields mean")]
pub enum Fault {
    /// The cursor moves, and the connection closes without an answer.
    LosePage(u64),
    /// 500 "Please restart the scroll operation."; the cursor has moved.
    ErrorPage(u64),
    /// The same 500, and the cursor has not moved.
    ErrorPageKeeps(u64),
    /// 200 with an empty body; the cursor has moved.
    EmptyPage(u64),
    /// 503 with an empty body, as a load balancer sends it; the cursor has moved.
    #[strum(serialize = "empty-503-page")]
    Empty503Page(u64),
    /// The scroll no longer exists: 404.
    ForgetScroll(u64),
    /// Another client's scroll is open for the world's first seconds.
    ForeignScroll(u64),
    /// The scroll no longer exists (404), and another client's scroll is open for this time
    /// from then on.
    StealScroll { page: u64, seconds: u64 },
    /// `scroll_exists` for every request.
    ScrollExistsForever,
    /// One page takes this long.
    SlowPage { page: u64, seconds: u64 },
    /// Every page takes this many seconds.
    SlowPages(u64),
    /// Sends the page before once more; the cursor stays.
    RepeatPage(u64),
    /// 429 without rate headers; the cursor stays.
    LimitPage(u64),
    /// Refuses the bulk request with 429 and rate headers.
    LimitBulk(u64),
    /// Refuses the bulk request with 429 and no rate headers.
    LimitBulkBare(u64),
    /// The job is created, and the connection closes without an answer.
    LoseBulk(u64),
    /// The bulk request is answered 500, and no job is created.
    ErrorBulk(u64),
    /// The job is created and carried out, but a request for it returns 404.
    LoseJob(u64),
    /// The job's tasks stay running.
    JobNeverEnds(u64),
    /// The job's tasks end this much later than others.
    SlowJob { job: u64, seconds: u64 },
    /// The job and its tasks end as failed; none of its items is applied.
    JobFails(u64),
    /// The job object ends this many seconds after its tasks. This overrides the options.
    LateJobObject(u64),
    /// Items of this user (by id) end as errors.
    RejectUser(String),
    /// A share of the users (in percent) ends as item errors with this code and message.
    ItemError { percent: f64, code: String, message: String },
    /// A share of the users ends as "Exceeded rate limit" the first time they are submitted.
    ItemLimited(f64),
    /// Refuses a bulk request that contains one of this share of users: 400 `parameter_invalid`.
    BadItem(f64),
    /// Refuses a bulk request that contains one of this share of users with this status: 404, 409,
    /// 410, 422, 423, or 500 and above. No job is created.
    PoisonItem { status: u16, percent: f64 },
    /// The names of this share of the users end with half a surrogate pair, which no text can hold.
    CutName(f64),
    /// Items in a page of a job's error feed.
    FeedPageSize(u64),
    /// 401 from the request after this many.
    TokenRevokedAfter(u64),
    /// Refuses every request with this status, after the first `after` requests: 402, 403 or 404, or
    /// 400 for an API version without the resource.
    Denied { status: u16, after: u64 },
    /// Users are changed, deleted and added with every requested page.
    UsersChange,
    /// Values of this custom attribute are accepted and stored in another form.
    AlterAttribute { attribute: String, how: Alteration },
    /// For a share of the users (in percent), another program sets the custom attributes that a write
    /// sets to another value, right after the first write.
    OthersWrite(f64),
    /// Refuses `GET /me` with 403.
    DenyMe,
    /// Other programs use this many operations of each rate window, in its first two seconds.
    OthersSpend(u64),
    /// A fault of API 2.x.
    Contacts(ContactFault),
}

/// The reason that a fault cannot be parsed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum FaultError {
    #[error("there is no fault `{name}`; there are:\n{}\n{}", Fault::NAMES_HELP, ContactFault::NAMES_HELP)]
    Unknown { name: String },
    #[error("the fault `{name}` needs {expected}, not `{value}`; write for example `{}`", Fault::example(name))]
    Value { name: String, value: String, expected: &'static str },
}

impl Fault {
    /// An example and the effect of every fault, one a line.
    pub const NAMES_HELP: &str = "\
lose-page=3            page 3: the cursor moves, the connection closes without an answer
error-page=3           page 3: 500 \"restart the scroll operation\", the cursor has moved
error-page-keeps=3     page 3: the same 500, the cursor has not moved
empty-page=3           page 3: 200 with an empty body, the cursor has moved
empty-503-page=3       page 3: 503 with an empty body, the cursor has moved
forget-scroll=3        page 3: the scroll is gone, 404
foreign-scroll=90      scroll_exists for the first 90 seconds: another client holds the scroll
steal-scroll=3:90      page 3: the scroll is gone, and another client holds one for 90 seconds
scroll-exists-forever  scroll_exists, always
slow-page=3:70         page 3 takes 70 seconds
slow-pages=5           every page takes 5 seconds
repeat-page=3          page 3 repeats the page before; no user is skipped
limit-page=3           page 3: 429 without rate headers, the cursor stays
users-change           with every page some users are changed, deleted and added
limit-bulk=2           bulk request 2: 429 with rate headers
limit-bulk-bare=2      bulk request 2: 429 without rate headers
lose-bulk=2            bulk request 2: the job is made, the connection closes without an answer
error-bulk=2           bulk request 2: 500, no job is made
lose-job=2             job 2 is done, but asking for it gives 404
job-never-ends=2       job 2: its tasks stay running
slow-job=2:600         job 2: its tasks end 600 seconds later than those of others
job-fails=2            job 2 ends as failed, nothing is applied
late-job-object=86400  every job object ends that many seconds after its tasks
reject-user=ID         items of that user end as errors; with 5% instead of an id: of that share of the users
item-error=5%:invalid:email invalid
                       items of 5 % of the users end as that error
item-limited=5%        items of 5 % of the users end as \"Exceeded rate limit\" the first time
bad-item=1%            a bulk request with one of 1 % of the users: 400 for the whole request
poison-item=500:1%     a bulk request with one of 1 % of the users: 500, no job is made; 404, 409, 410, 422, 423 too
cut-name=2%            the names of 2 % of the users end with half a surrogate pair: \"Zo\\ud83d\"
feed-page-size=10      10 items in a page of a job's error feed
token-revoked-after=9  401 from the tenth request on
alter-attribute=plan price:text
                       that custom attribute is stored otherwise: ignore, null, trim, cut, escape, text or whole
others-write=5%        after the first write to 5 % of the users another program sets the same attributes
deny-me                GET /me: 403, the token may not read its own workspace
others-spend=20        other programs spend 20 operations of each window of the rate limit
denied=403:9           403 from the tenth request on; 402 and 404 too, and 400 for a version without users";

    /// Returns the fault's name, as in [`Fault::NAMES_HELP`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Contacts(fault) => fault.name(),
            fault => fault.into(),
        }
    }

    /// Returns the help's example of a fault, without its explanation.
    fn example(name: &str) -> &'static str {
        let mut lines = Self::NAMES_HELP.lines().chain(ContactFault::NAMES_HELP.lines());
        lines
            .find(|line| line.strip_prefix(name).is_some_and(|rest| !rest.starts_with('-')))
            .map_or("", |line| line.split("  ").next().unwrap_or(line))
    }
}
