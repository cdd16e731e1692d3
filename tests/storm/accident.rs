//! What may strike at any moment, by name, and how often.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

macro_rules! accidents {
    ($($(#[doc = $doc:literal])+ $name:ident = $base:literal $text:literal,)+) => {
        /// An accident. Those of the simulated workspace that are planned by page, request or job are its `Fault`s.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Accident {
            $($(#[doc = $doc])+ $name,)+
        }

        /// All of them, with the rate (of a thousand) that is common.
        const ALL: &[(Accident, u32)] = &[$((Accident::$name, $base),)+];

        impl Accident {
            /// Its name in the table of what struck.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

accidents! {
    /// The process dies at an await point.
    Death = 4 "process dies",
    /// The process hangs at an await point until its time-out.
    Hang = 1 "process hangs",
    /// The process does nothing for a while at an await point, and goes on.
    Freeze = 2 "process freezes",
    /// DynamoDB or SQS throttles a call.
    Throttled = 6 "AWS throttles",
    /// AWS answers 500, and did nothing.
    AwsError = 4 "AWS answers 500",
    /// A call to AWS does not arrive.
    AwsUnsent = 3 "AWS is not reached",
    /// A call to AWS was carried out and its answer is lost.
    AwsLost = 6 "AWS did it, answer lost",
    /// A call to AWS takes longer than an attempt may.
    AwsSlow = 2 "AWS takes seconds",
    /// DynamoDB and SQS do nothing at all for some seconds.
    Outage = 1 "AWS is down for a while",
    /// AWS refuses a call for good, as where a role was changed: the SDK does not repeat it.
    AwsDenied = 3 "AWS refuses",
    /// A transaction meets another one.
    Conflict = 10 "transaction conflicts",
    /// The index does not show what was written yet.
    IndexLag = 100 "index lags",
    /// A message is taken twice, with two ids.
    SentTwice = 25 "message sent twice",
    /// A message is delivered twice, with one id.
    DeliveredTwice = 25 "message delivered twice",
    /// A message comes late.
    Late = 20 "message late",
    /// A message can be seen again before its time.
    Early = 20 "message seen early",
    /// A message can be seen again after its time.
    Overdue = 20 "message seen overdue",
    /// Not the oldest message comes first.
    Reordered = 300 "message out of order",
    /// A deleted message comes again.
    Kept = 15 "deleted message kept",
    /// An entry of a batch is refused, the others are taken.
    EntryRefused = 30 "batch entry refused",
    /// Intercom is not reached.
    Unsent = 8 "Intercom not reached",
    /// A request to Intercom is lost on its way.
    LostBefore = 5 "request lost",
    /// Intercom's answer is lost.
    LostAfter = 10 "answer lost",
    /// Intercom's answer is cut off or no JSON.
    Garbled = 5 "answer garbled",
    /// 5xx before anything was done.
    ServerError = 8 "5xx, not done",
    /// 429 with headers.
    Limited = 6 "429",
    /// 429 without headers.
    LimitedBare = 6 "429 without headers",
    /// Intercom's answer takes long.
    SlowAnswer = 8 "answer slow",
    /// A schedule fires late.
    TickLate = 150 "schedule late",
    /// A schedule fires twice.
    TickTwice = 80 "schedule twice",
    /// A schedule does not fire.
    TickMissed = 120 "schedule missed",
}

/// How often each accident strikes, of a thousand.
#[derive(Clone, Debug)]
pub(crate) struct Rates(Vec<u32>);

impl Rates {
    /// Rates for one story: most stories know some accidents only, so that rare ones are not drowned by the others.
    pub(crate) fn draw(rng: &mut SmallRng, strength: u32) -> Self {
        // What came later draws from a source of its own: seeds that are kept tell the same stories.
        let mut later = rng.clone();
        let mut last = SmallRng::from_rng(&mut later.clone());
        let one = |&(accident, base): &(Accident, u32)| {
            let rng = match accident {
                Accident::AwsDenied => &mut later,
                Accident::Freeze => &mut last,
                _ => &mut *rng,
            };
            match rng.random_range(0..6) {
                0..3 => 0,
                3 | 4 => base * strength,
                _ => base * strength * 3,
            }
        };
        Self(ALL.iter().map(one).map(|rate| rate.min(700)).collect())
    }

    /// The names of all accidents.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(accident, _)| accident.name())
    }

    /// Makes an accident at least that common.
    pub(crate) fn raise(&mut self, accident: Accident, least: u32) {
        let rate = &mut self.0[accident as usize];
        *rate = least.max(*rate);
    }

    /// Never strikes at all.
    pub(crate) fn calm() -> Self {
        Self(vec![0; ALL.len()])
    }

    pub(crate) fn per_mille(&self, accident: Accident) -> u32 {
        self.0[accident as usize]
    }
}
