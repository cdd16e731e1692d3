//! The cost of a run on AWS, from its calls and the us-east-1 list prices of late 2026, no free
//! tiers.

use serde::Serialize;

/// Lambda on arm64: the price of a GB-second, and of a request.
const LAMBDA_GB_S: f64 = 0.000_013_333_4;
const LAMBDA_REQUEST: f64 = 0.20 / 1e6;
/// SQS standard: the price of a request of up to 64 KB.
const SQS_REQUEST: f64 = 0.40 / 1e6;
/// DynamoDB on demand: the price of a write request unit, and of a read request unit.
const DYNAMODB_WRITE: f64 = 0.625 / 1e6;
const DYNAMODB_READ: f64 = 0.125 / 1e6;
/// The memory of the scroll function in the template, in MB.
pub const SCROLL_MB: u64 = 256;
/// The memory of the other functions, in MB.
pub const OTHERS_MB: u64 = 128;

/// The resources that a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Used {
    /// Invocations of all functions.
    pub invocations: f64,
    /// Seconds of all invocations times the functions' memory in GB.
    pub gb_seconds: f64,
    /// SQS requests.
    pub sqs_requests: f64,
    /// DynamoDB write request units.
    pub write_units: f64,
    /// DynamoDB read request units.
    pub read_units: f64,
}

impl Used {
    /// Returns the cost in US dollars.
    pub fn dollars(&self) -> f64 {
        self.invocations * LAMBDA_REQUEST
            + self.gb_seconds * LAMBDA_GB_S
            + self.sqs_requests * SQS_REQUEST
            + self.write_units * DYNAMODB_WRITE
            + self.read_units * DYNAMODB_READ
    }

    /// Estimates a run's resources from its pages, its bulk jobs and its seconds of submitting.
    ///
    /// The units per page and per job are those of runs of 2,000 and of 10,000 users on the emulated
    /// AWS (`tests/deploy`), on API 1.4. On API 2.17, smaller jobs need fewer units each.
    pub fn estimate(pages: f64, jobs: f64, submit_seconds: f64) -> Self {
        let (scroll_s, others_s) = (pages * 0.3, submit_seconds * 2.0 + jobs * 0.3);
        Self {
            invocations: pages + jobs,
            gb_seconds: (scroll_s * SCROLL_MB as f64 + others_s * OTHERS_MB as f64) / 1024.0,
            sqs_requests: pages * 3.1 + jobs * 1.5,
            write_units: pages * 2.3 + jobs * 18.6,
            read_units: pages * 1.3 + jobs * 4.4,
        }
    }
}
