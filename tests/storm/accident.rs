//! Accidents that may strike at any moment, with their names and rates.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

macro_rules! accidents {
    ($($(#[doc = $doc:literal])+ $name:ident = $base:literal $text:literal,)+) => {
        /// An accident. Accidents of the simulated workspace by page, request or job are its
        /// `Fault`s.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Accident {
            $($(#[doc = $doc])+ $name,)+
        }

        /// All accidents, with their common rates per thousand.
        const ALL: &[(Accident, u32)] = &[$((Accident::$name, $base),)+];

        impl Accident {
            /// Returns its name in the table of accidents.
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
    /// The process freezes at an await point for a while, and continues.
    Freeze = 2 "process freezes",
    /// DynamoDB or SQS throttles a call.
    Throttled = 6 "AWS throttles",
    /// AWS answers 500, without an effect.
    AwsError = 4 "AWS answers 500",
    /// A call to AWS does not reach it.
    AwsUnsent = 3 "AWS is not reached",
    /// AWS carries out a call, and its answer is lost.
    AwsLost = 6 "AWS did it, answer lost",
    /// A call to AWS takes longer than an attempt's time-out.
    AwsSlow = 2 "AWS takes seconds",
    /// DynamoDB and SQS are down for some seconds.
    Outage = 1 "AWS is down for a while",
    /// AWS permanently refuses a call, as after a change of a role: the SDK does not retry it.
    AwsDenied = 3 "AWS refuses",
    /// A transaction conflicts with another one.
    Conflict = 10 "transaction conflicts",
    /// The index does not contain a recent write yet.
    IndexLag = 100 "index lags",
    /// A message is accepted twice, with two ids.
    SentTwice = 25 "message sent twice",
    /// A message is delivered twice, with one id.
    DeliveredTwice = 25 "message delivered twice",
    /// A message comes late.
    Late = 20 "message late",
    /// A message becomes visible before its time.
    Early = 20 "message seen early",
    /// A message becomes visible after its time.
    Overdue = 20 "message seen overdue",
    /// A message that is not the oldest comes first.
    Reordered = 300 "message out of order",
    /// The message of a part is lost, as by a purge of the queue.
    MessageLost = 25 "message lost",
    /// A deleted message is delivered again.
    Kept = 15 "deleted message kept",
    /// An entry of a batch is refused, the others are accepted.
    EntryRefused = 30 "batch entry refused",
    /// A request does not reach Intercom.
    Unsent = 8 "Intercom not reached",
    /// A request to Intercom is lost in transit.
    LostBefore = 5 "request lost",
    /// Intercom's answer is lost.
    LostAfter = 10 "answer lost",
    /// Intercom's answer is truncated or not JSON.
    Garbled = 5 "answer garbled",
    /// Intercom answers 5xx, without an effect.
    ServerError = 8 "5xx, not done",
    /// Intercom carries out a bulk request after its sender gave up, within a minute.
    LateEffect = 2 "bulk request carried out late",
    /// 429 with headers.
    Limited = 6 "429",
    /// 429 without headers.
    LimitedBare = 6 "429 without headers",
    /// Intercom's answer is slow.
    SlowAnswer = 8 "answer slow",
    /// A schedule fires late.
    TickLate = 150 "schedule late",
    /// A schedule fires twice.
    TickTwice = 80 "schedule twice",
    /// A schedule does not fire.
    TickMissed = 120 "schedule missed",
}

/// The rates of the accidents, per thousand.
#[derive(Clone, Debug)]
pub(crate) struct Rates(Vec<u32>);

impl Rates {
    /// Draws the rates of one story. Most stories have few accidents, so that frequent ones do not
    /// hide rare ones.
    pub(crate) fn draw(rng: &mut SmallRng, strength: u32) -> Self {
        // Later additions draw from their own source, so that the kept seeds repeat their stories.
        let mut later = rng.clone();
        let mut last = SmallRng::from_rng(&mut later.clone());
        let mut latest = SmallRng::from_rng(&mut last.clone());
        let mut newest = SmallRng::from_rng(&mut latest.clone());
        let one = |&(accident, base): &(Accident, u32)| {
            let rng = match accident {
                Accident::AwsDenied => &mut later,
                Accident::Freeze => &mut last,
                Accident::LateEffect => &mut latest,
                Accident::MessageLost => &mut newest,
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

    /// Returns the names of all accidents.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(accident, _)| accident.name())
    }

    /// Makes an accident at least that common.
    pub(crate) fn raise(&mut self, accident: Accident, least: u32) {
        let rate = &mut self.0[accident as usize];
        *rate = least.max(*rate);
    }

    /// Returns rates of zero.
    pub(crate) fn calm() -> Self {
        Self(vec![0; ALL.len()])
    }

    pub(crate) fn per_mille(&self, accident: Accident) -> u32 {
        self.0[accident as usize]
    }
}
