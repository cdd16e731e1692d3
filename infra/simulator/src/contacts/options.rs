//! The options of contacts: behaviour of API 2.x that Intercom does not document, or that depends
//! on the workspace.

use strum::{EnumString, VariantNames};

use crate::contacts::attributes::Attribute;
use crate::version::{Families, Unserved, Version};

/// The order of contacts in a list. In all recorded lists it is the age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum ListOrder {
    /// Oldest first.
    #[default]
    Oldest,
    /// In an order of its own that never changes.
    Shuffled,
}

/// The position in a list's cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum ListCursor {
    /// The last contact of the page. A deletion moves no other contact.
    #[default]
    Contact,
    /// The number of the page. A deletion moves all later contacts one place.
    Page,
}

/// The effect of a value or parameter for which Intercom documents no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// The request, or the item of a bulk job, is refused.
    Refused,
    /// It is accepted; a parameter without a meaning is ignored.
    Accepted,
}

/// The effect of a null in an item of `PUT /contacts/bulk`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum BulkNull {
    /// As in a PUT of one contact.
    #[default]
    Kept,
    /// The old value stays.
    Ignored,
    /// The item is refused.
    Refused,
}

/// The states that show the errors of a bulk job's items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum BulkErrors {
    /// Those of the task and of the job.
    #[default]
    Task,
    /// That of the job alone: the task ends as if each item was carried out.
    Job,
}

/// The answer to a write to a merged contact, which Intercom does not document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum MergedWrite {
    /// From 2.16 on 410, like a read; before, 404.
    #[default]
    Gone,
    /// 404.
    Missing,
    /// The contact that took its place is written and returned.
    Canonical,
}

/// The answer to a token whose workspace is hosted in another region. Intercom does not document it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Region {
    /// The workspace is hosted here.
    #[default]
    Own,
    /// 401, as for a token that does not exist.
    Unauthorized,
    /// 403 with a message that names the region.
    Forbidden,
    /// 404, whatever is requested.
    Missing,
    /// A redirect to the other region.
    Redirected,
}

/// The relationship with a custom object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomObject {
    /// Its name in the custom attributes.
    pub name: String,
    /// Its type in the list of attributes. Intercom does not document it.
    pub listed_as: String,
}

/// The options of contacts. Every field has a default.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an unrelated question about Intercom")]
pub struct ContactOptions {
    /// The version that serves a request without a header.
    pub app_version: Version,
    /// The families that the workspace serves.
    pub families: Families,
    /// The answer to a version that it does not serve.
    pub unserved: Unserved,
    /// Answers name the version that served them. Each recorded answer does.
    pub version_named: bool,
    /// The region of the workspace, relative to the requested host.
    pub hosted: Region,
    /// The first version with `/contacts/bulk`.
    pub bulk_from: Version,
    /// The number of leads at the start.
    pub leads: usize,
    /// The order of a list.
    pub list_order: ListOrder,
    /// The position in a list's cursor.
    pub list_cursor: ListCursor,
    /// The time after which lists and searches show a change. A read by id always shows it.
    pub index_lag_s: u64,
    /// Archived contacts stay in lists.
    pub archived_listed: bool,
    /// `per_page` above 150: refused, or 150 contacts.
    pub larger_page: Verdict,
    /// A write to a merged contact.
    pub merged_write: MergedWrite,
    /// The status of a write to a blocked contact.
    pub blocked_status: u16,
    /// A cleared e-mail address reads as an empty text by id.
    pub email_null_empty: bool,
    /// An e-mail address of another contact.
    pub email_taken: Verdict,
    /// An unknown field at the top of a contact.
    pub unknown_field: Verdict,
    /// A value of another type than its attribute's.
    pub value_type: Verdict,
    /// A value that a list attribute does not have.
    pub list_option: Verdict,
    /// Attributes besides those that some user has.
    pub attributes: Vec<Attribute>,
    /// The time after which a new attribute exists for lists and writes.
    pub attribute_after_s: u64,
    /// A null in an item of a bulk request.
    pub bulk_null: BulkNull,
    /// The states that show errors of a bulk job's items.
    pub bulk_errors: BulkErrors,
    /// The time between the end of a bulk job's task and the end of the job.
    pub bulk_job_delay_s: u64,
    /// A custom object: each contact has a relationship of this name in its custom attributes, and the
    /// attributes of contacts list it.
    pub custom_object: Option<CustomObject>,
    /// Ids that `owner_id` accepts.
    pub teammates: Vec<i64>,
    /// The region in `GET /me`.
    pub region: String,
    /// Answers take the times recorded in 2021, in addition to the latency.
    pub recorded_times: bool,
}

impl Default for ContactOptions {
    fn default() -> Self {
        Self {
            app_version: Version::V1_4,
            families: Families::default(),
            unserved: Unserved::default(),
            version_named: true,
            hosted: Region::default(),
            bulk_from: Version::PREVIEW,
            leads: 0,
            list_order: ListOrder::default(),
            list_cursor: ListCursor::default(),
            index_lag_s: 0,
            archived_listed: false,
            larger_page: Verdict::Refused,
            merged_write: MergedWrite::default(),
            blocked_status: 400,
            email_null_empty: true,
            email_taken: Verdict::Refused,
            unknown_field: Verdict::Accepted,
            value_type: Verdict::Accepted,
            list_option: Verdict::Refused,
            attributes: Vec::new(),
            attribute_after_s: 0,
            bulk_null: BulkNull::default(),
            bulk_errors: BulkErrors::default(),
            bulk_job_delay_s: 0,
            custom_object: None,
            teammates: vec![4_518_167],
            region: "US".to_owned(),
            recorded_times: false,
        }
    }
}
