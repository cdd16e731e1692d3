//! The address of a user's page in Intercom's web interface.

use intercom_bulk::domain::run::WorkspaceBinding;
use intercom_bulk::domain::user::UserId;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The host of the API in each region, and of the web interface there. Intercom documents those of the API. Those
/// of the web interface, and the path of a user's page, are the ones that a browser shows.
const HOSTS: [(&str, &str); 3] = [
    ("api.intercom.io", "app.intercom.com"),
    ("api.eu.intercom.io", "app.eu.intercom.com"),
    ("api.au.intercom.io", "app.au.intercom.com"),
];

/// Returns the address of a user's page. `None` if the run did not store its workspace, if the workspace is
/// simulated, or if `user` is no id of a user (an unreadable entry of a page has none).
pub(crate) fn contact_link(workspace: Option<&WorkspaceBinding>, user: &str) -> Option<String> {
    let workspace = workspace?;
    let (_, host) = HOSTS.iter().find(|(api, _)| *api == workspace.host)?;
    let app_id = utf8_percent_encode(workspace.app_id.as_deref()?, NON_ALPHANUMERIC);
    let user = UserId::new(user)?;
    Some(format!("https://{host}/a/apps/{app_id}/users/{user}/all-conversations"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_needs_a_known_region_and_an_id() {
        let link = |host: &str, app_id: Option<&str>, user: &str| {
            let workspace = WorkspaceBinding { host: host.to_owned(), app_id: app_id.map(ToOwned::to_owned) };
            contact_link(Some(&workspace), user).unwrap_or_default()
        };
        for (host, app_id, user, expected) in [
            ("api.intercom.io", Some("ab12"), "57", "https://app.intercom.com/a/apps/ab12/users/57/all-conversations"),
            ("api.eu.intercom.io", Some("ab"), "5", "https://app.eu.intercom.com/a/apps/ab/users/5/all-conversations"),
            (
                "api.au.intercom.io",
                Some("a/b"),
                "5",
                "https://app.au.intercom.com/a/apps/a%2Fb/users/5/all-conversations",
            ),
            ("127.0.0.1:4000", Some("ab12"), "57", ""),
            ("api.intercom.io", None, "57", ""),
            ("api.intercom.io", Some("ab12"), "page 12", ""),
        ] {
            assert_eq!(link(host, app_id, user), expected);
        }
        assert_eq!(contact_link(None, "57"), None);
    }
}
