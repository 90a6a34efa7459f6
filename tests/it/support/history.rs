//! A store with a long history, written by the database itself: as large as a real one, within seconds.

use rusqlite::{Connection, named_params};

use super::Bridge;

/// Alarms of one week, in milliseconds.
const WEEK: i64 = 7 * 86_400_000;

/// The number of the one alarm of kind `tamper`, with the plate `RARE17`, among those of [`fill`].
pub(crate) const RARE: i64 = 5_000;

/// Adds alarms after the present ones, all delivered, made of one of them: of every device in turn, of four kinds,
/// over the last week.
///
/// # Panics
/// When the bridge has no alarm yet, or runs.
pub(crate) fn fill(bridge: &Bridge, count: i64) {
    let mut database = Connection::open(bridge.storage().join("outbox.db")).expect("the database is there");
    let change = database.transaction().expect("nobody else writes");
    let sql = "INSERT INTO entry (no, source, id, at, picture, event, again, run, mono, body)
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < :count)
        SELECT 1000 + x, 1 + x % (SELECT count(*) FROM device), randomblob(16), :from + x * :week / :count, picture,
            CASE x % 4 WHEN 0 THEN 'person' WHEN 1 THEN 'motion' WHEN 2 THEN 'vehicle' ELSE 'doorbell' END,
            again, run, mono, body
        FROM n JOIN (SELECT * FROM entry WHERE event IS NOT NULL LIMIT 1)";
    let from = jiff::Timestamp::now().as_millisecond() - WEEK;
    let made = change.execute(sql, named_params! {":count": count, ":from": from, ":week": WEEK});
    assert_eq!(i64::try_from(made.expect("they are made")), Ok(count));
    let rare = "UPDATE entry SET event = 'tamper', body = json_set(body, '$.event', 'tamper', '$.details', json('{\"plate\": \"RARE17\"}')) WHERE no = ?1";
    change.execute(rare, [RARE]).expect("there is one");
    change.execute("UPDATE sink SET log_low = (SELECT max(no) FROM entry)", []).expect("there is one");
    // What follows from them is taken for written, or the next start would bring it up to them.
    let written = "UPDATE note SET text = (SELECT max(no) FROM entry) WHERE key = 'written'";
    assert_eq!(change.execute(written, []), Ok(1));
    change.commit().expect("it is kept");
}
