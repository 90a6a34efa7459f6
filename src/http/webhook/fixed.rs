//! Paths that a manufacturer fixed in its devices. They are not secret.

use std::net::IpAddr;

use super::secret::RequestedPath;
use crate::http::connection::target;

/// Folders of such paths with their manufacturer. A webhook with one as its path accepts everything below it.
const FOLDERS: [(&str, &str); 2] = [("/LAPI", "Uniview"), ("/NotificationInfo", "traffic cameras of Dahua")];
/// Paths of Dahua's keep-alive requests, which do not depend on the configured path.
const KEEP_ALIVES: [&str; 2] = ["/EventHttpUpload/keepalive", "/PictureHttpUpload/keepalive"];

/// Folder that a configured path equals.
pub(in crate::http) fn folder(path: &str) -> Option<&'static str> {
    let normal = target::normalized(path);
    FOLDERS.iter().map(|(folder, _)| *folder).find(|folder| folder.as_bytes() == normal)
}

/// Returns whether a request is a device's keep-alive.
pub(in crate::http) fn is_keep_alive(requested: &RequestedPath) -> bool {
    KEEP_ALIVES.iter().any(|path| requested.is_plain(path))
}

/// Advice for a request to a manufacturer's fixed path for which there is no webhook.
pub(in crate::http) fn advice(requested: &RequestedPath, peer: IpAddr) -> Option<String> {
    let (folder, maker) = FOLDERS.iter().find(|(folder, _)| requested.below(folder))?;
    Some(format!(
        "this is a path of {maker}, which cannot be changed in the device: add a [[webhooks]] entry with path = \"{folder}\" and allow = [\"{peer}\"]"
    ))
}
