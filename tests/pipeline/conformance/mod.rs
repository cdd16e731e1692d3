//! One suite of the steps over the three APIs. A scenario is a function of the API that it plays on,
//! and a test of each API to which it applies. [`SUITE`] declares all of them, with the reason where a
//! scenario does not apply; ARCHITECTURE.md shows the list as a table.

mod answers;
mod api;
mod cancels;
mod crashes;
mod errors;
mod limits;
mod outages;
mod pauses;
mod privacy;
mod queues;
mod retries;
mod saved;
mod settling;
mod table;
mod undone;

use api::On;

/// A scenario of the suite.
struct Scenario {
    name: &'static str,
    /// The APIs on which it is played.
    on: &'static [On],
    /// The other APIs, and why it does not apply to them.
    not: &'static [(On, &'static str)],
}

/// All scenarios, by the module that plays them.
const SUITE: [&[Scenario]; 13] = [
    settling::SCENARIOS,
    limits::SCENARIOS,
    pauses::SCENARIOS,
    cancels::SCENARIOS,
    crashes::SCENARIOS,
    outages::SCENARIOS,
    queues::SCENARIOS,
    answers::SCENARIOS,
    errors::SCENARIOS,
    privacy::SCENARIOS,
    retries::SCENARIOS,
    saved::SCENARIOS,
    undone::SCENARIOS,
];

/// Declares the scenarios of a module, and creates a test of each API on which one is played:
/// `settling::limit_reads_exactly_that_many_users::v2_17`.
macro_rules! scenarios {
    (
        on_each_api: [$($name:ident),+ $(,)?];
        $($some:ident on [$($api:ident),+] not [$($other:ident $why:literal),+];)*
    ) => {
        $crate::conformance::scenarios! {
            $($name on [v1_4, v2_17, preview] not [];)+
            $($some on [$($api),+] not [$($other $why),+];)*
        }
    };
    ($($name:ident on [$($api:ident),+] not [$($other:ident $why:literal),*];)+) => {
        pub(super) const SCENARIOS: &[$crate::conformance::Scenario] = &[$(
            $crate::conformance::Scenario {
                name: stringify!($name),
                on: &[$($crate::conformance::On::$api()),+],
                not: &[$(($crate::conformance::On::$other(), $why)),*],
            }
        ),+];
        $(mod $name {
            $(#[tokio::test(start_paused = true)]
            async fn $api() {
                super::$name($crate::conformance::On::$api()).await;
            })+
        })+
    };
}
use scenarios;
