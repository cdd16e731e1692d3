//! The calls that write values, and those about bulk jobs.

use std::time::Duration;

use super::transport::error::{Error, Invalid, route};
use super::transport::headers::Reply;
use super::{CALL_TIMEOUT, ErrorFeed, Intercom, WRITE_TIMEOUT, bulk_jobs, preview, v1, v2};
use crate::domain::api::{Api, JobState, Submitted, Written};
use crate::domain::job::JobId;
use crate::domain::patch::Patch;

impl Intercom {
    /// Submits the patches in one write, as a bulk job. Invalid patches return [`Error::Invalid`]
    /// before a request is sent. A family without jobs has no such write.
    pub async fn submit(&self, patches: &[Patch]) -> Result<Reply<Submitted>, Error> {
        match self.api() {
            Api::V1 => self.request(v1::post_patches(patches)?, CALL_TIMEOUT, bulk_jobs::submitted).await,
            Api::Preview => {
                let call = preview::put_patches(patches, self.bulk_charge)?;
                self.request(call, CALL_TIMEOUT, bulk_jobs::submitted).await
            }
            Api::V2 => Err(Error::Invalid { route: route::SUBMIT, reason: Invalid::NotOfThisApi }),
        }
    }

    /// Writes the patch of one user, whose answer is the result. An invalid patch returns
    /// [`Error::Invalid`] before a request is sent. A family with jobs has no such write.
    pub async fn write(&self, patch: &Patch) -> Result<Reply<Written>, Error> {
        self.write_unless(patch, std::future::pending()).await
    }

    /// Like [`Self::write`], but `abandoned` also ends the wait for an answer that has not arrived, as a
    /// time-out would, and returns its duration.
    pub async fn write_unless(
        &self,
        patch: &Patch,
        abandoned: impl Future<Output = Duration>,
    ) -> Result<Reply<Written>, Error> {
        match self.api() {
            Api::V1 => Err(Error::Invalid { route: route::SUBMIT, reason: Invalid::NotOfThisApi }),
            Api::V2 | Api::Preview => {
                let read = |body: &[u8]| v2::written(body, patch);
                self.request_unless(v2::put_patch(patch)?, WRITE_TIMEOUT, abandoned, read).await
            }
        }
    }

    /// Returns the state of a bulk job.
    pub async fn job(&self, id: &JobId) -> Result<Reply<JobState>, Error> {
        match self.api() {
            Api::V1 => self.request(v1::get_job(id), CALL_TIMEOUT, |body| v1::job_state(body, id)).await,
            Api::Preview => self.request(preview::get_job(id), CALL_TIMEOUT, |body| preview::job_state(body, id)).await,
            Api::V2 => Err(Error::Invalid { route: route::JOB, reason: Invalid::NotOfThisApi }),
        }
    }

    /// Returns one page of a bulk job's error feed, counted from 1.
    pub async fn job_errors(&self, id: &JobId, page: u32) -> Result<Reply<ErrorFeed>, Error> {
        match self.api() {
            Api::V1 => self.request(v1::get_job_errors(id, page), CALL_TIMEOUT, v1::job_errors).await,
            Api::V2 | Api::Preview => Err(Error::Invalid { route: route::JOB_ERRORS, reason: Invalid::NotOfThisApi }),
        }
    }
}
