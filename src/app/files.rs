//! Limit on open files. Every connection needs one, and the usual soft limit is lower than `limits.connections`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Number of open files besides connections: the database and its readers, pictures, connections to brokers.
const OTHERS: u64 = 256;

/// Raises the soft limit to what the connections of both listeners need, at most to the hard limit.
pub(super) fn raise_limit(connections: usize) {
    let wanted = 2 * connections as u64 + OTHERS;
    let now = getrlimit(Resource::Nofile);
    let Some(soft) = now.current.filter(|soft| *soft < wanted) else { return };
    let possible = now.maximum.map_or(wanted, |hard| hard.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: now.maximum });
    if let Err(error) = raised {
        tracing::warn!("the limit on open files stays at {soft}: {error}");
    } else if possible < wanted {
        tracing::warn!(
            "the limit on open files is {possible}, and {wanted} may be needed: raise it (ulimit -Hn, LimitNOFILE=) or lower limits.connections"
        );
    }
}
