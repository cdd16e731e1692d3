//! The options of contacts as text: `name=value`.

use std::str::FromStr;

use crate::choice::{either, word};
use crate::contacts::options::{ContactOptions, CustomObject};

impl ContactOptions {
    /// All options of API 2.x, one a line: values (the default first) and their meaning.
    pub const NAMES_HELP: &str = "\
families=all|1.x|2.x              the API versions that the workspace serves
unserved-version=refused|missing|other
                                  another version is 400, or 404, or served as the app's version
app-version=1.4                   the version of a request without a header
version-header=sent|missing       answers name the version that served them, or do not
hosted=own|unauthorized|forbidden|missing|redirected
                                  the workspace is here, or in another region: 401, 403, 404 or 307
bulk-from=Preview                 the first version with PUT /contacts/bulk
leads=0                           so many leads
contact-order=oldest|shuffled     contacts by age, or in an order of their own
contact-cursor=contact|page       a deletion moves no contact, or all later ones
index-lag-s=0                     lists and searches show a change so long after it
archived=hidden|listed            archived contacts stay in lists
larger-page=refused|accepted      per_page above 150: refused, or 150 contacts
merged-write=gone|missing|canonical
                                  a write to a merged contact: 410 from 2.16 on, or 404, or it writes
                                  the contact that took its place
blocked-status=400                the status of a write to a blocked contact
email-null=empty|null             a cleared e-mail address reads as \"\" by id, or as null
email-taken=refused|accepted      an e-mail address of another contact
unknown-field=accepted|refused    an unknown field of a contact is ignored, or refused
value-type=accepted|refused       a value of another type than its attribute's
list-option=refused|accepted      a value that a list attribute does not have
attribute=NAME:TYPE               one more attribute; :archived, :read-only, or :A|B for a list
attribute-after-s=0               a new attribute exists so long after its creation
bulk-null=kept|ignored|refused    a null in an item of PUT /contacts/bulk
bulk-errors=task|job              errors of its items show in the states of task and job, or of the job alone
bulk-job-delay-s=0                the job of PUT /contacts/bulk ends so long after its task
custom-object=NAME[:TYPE]         each contact has a relationship of this name, listed with this type
teammate=4518167                  one more id that owner_id accepts
region=US                         the region in GET /me
server-times=none|recorded        answers take the times recorded in 2021, in addition to the latency";

    /// Sets one option. Returns false if there is no such option, and an error that describes the
    /// accepted values.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "families" => self.families = word(value)?,
            "unserved-version" => self.unserved = word(value)?,
            "app-version" => self.app_version = value.parse()?,
            "version-header" => self.version_named = !either(value, ["sent", "missing"])?,
            "hosted" => self.hosted = word(value)?,
            "bulk-from" => self.bulk_from = value.parse()?,
            "leads" => self.leads = number(value, "a number of leads")?,
            "contact-order" => self.list_order = word(value)?,
            "contact-cursor" => self.list_cursor = word(value)?,
            "index-lag-s" => self.index_lag_s = number(value, "seconds")?,
            "archived" => self.archived_listed = either(value, ["hidden", "listed"])?,
            "larger-page" => self.larger_page = word(value)?,
            "merged-write" => self.merged_write = word(value)?,
            "blocked-status" => {
                let status = value.parse().ok().filter(|status| (400..500).contains(status));
                self.blocked_status = status.ok_or("a status from 400 to 499")?;
            }
            "email-null" => self.email_null_empty = !either(value, ["empty", "null"])?,
            "email-taken" => self.email_taken = word(value)?,
            "unknown-field" => self.unknown_field = word(value)?,
            "value-type" => self.value_type = word(value)?,
            "list-option" => self.list_option = word(value)?,
            "attribute" => self.attributes.push(value.parse()?),
            "attribute-after-s" => self.attribute_after_s = number(value, "seconds")?,
            "bulk-null" => self.bulk_null = word(value)?,
            "bulk-errors" => self.bulk_errors = word(value)?,
            "bulk-job-delay-s" => self.bulk_job_delay_s = number(value, "seconds")?,
            "custom-object" if !value.is_empty() => {
                let (name, listed_as) = value.split_once(':').unwrap_or((value, "relationship"));
                self.custom_object = Some(CustomObject { name: name.to_owned(), listed_as: listed_as.to_owned() });
            }
            "custom-object" => return Err("a name, and :TYPE".to_owned()),
            "teammate" => self.teammates.push(number(value, "an id")?),
            "region" => value.clone_into(&mut self.region),
            "server-times" => self.recorded_times = either(value, ["none", "recorded"])?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns these options with one set. A name or value that does not exist changes nothing.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        drop(self.set(name, value));
        self
    }
}

fn number<T: FromStr>(value: &str, expected: &str) -> Result<T, String> {
    value.parse().map_err(|_| expected.to_owned())
}
