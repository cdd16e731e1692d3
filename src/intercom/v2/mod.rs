//! The wire format of Intercom's API 2.x: paths, bodies, answers. Users are contacts there.

mod answers;
mod contact;
mod refusals;
mod requests;
mod update;

pub(super) use answers::{
    attributes, count_users, created_attribute, is_list, page, user, workspace_of_users, written,
};
pub(super) use refusals::{advice, no_user, page_failure};
pub(super) use requests::{
    get_any_user, get_attributes, get_count, get_first_users, get_page, get_user, post_attribute, put_patch,
};
pub(super) use update::{contact_fields, shows_alike};

/// The most bytes of a list's cursor. Intercom's are Base64 of about 50 bytes.
const CURSOR_BYTES_MAX: usize = 1024;
