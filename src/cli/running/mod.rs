//! Commands that ask or change the running bridge, through its control socket.

pub(super) mod alarms;
pub(super) mod cluster;
pub(super) mod control;
pub(super) mod devices;
pub(super) mod outbox;
pub(super) mod replay;
pub(super) mod watch;
pub(super) mod webhook;
