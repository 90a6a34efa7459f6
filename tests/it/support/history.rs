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

/// Adds a day of alarms before the present ones, made of them: few at night, many in the morning and the evening.
///
/// # Panics
/// When the bridge has no alarm yet, or runs.
pub(crate) fn fill_day(bridge: &Bridge) {
    let mut database = Connection::open(bridge.storage().join("outbox.db")).expect("the database is there");
    let change = database.transaction().expect("nobody else writes");
    change.execute("UPDATE entry SET at = at - 86400000", []).expect("there are some");
    let sql = "INSERT INTO entry (no, source, id, at, picture, event, again, run, mono, body)
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1400),
        moment AS (SELECT x, :from + x * 61000 AS at, x * 7919 % 1000 AS chance FROM n),
        kept AS (SELECT x, at FROM moment WHERE chance < CASE CAST(strftime('%H', at / 1000, 'unixepoch', 'localtime') AS INTEGER)
            WHEN 7 THEN 500 WHEN 8 THEN 420 WHEN 17 THEN 480 WHEN 18 THEN 520 WHEN 19 THEN 300
            WHEN 0 THEN 20 WHEN 1 THEN 10 WHEN 2 THEN 15 WHEN 3 THEN 10 WHEN 4 THEN 20 WHEN 5 THEN 60 ELSE 170 END),
        model AS (SELECT *, row_number() OVER (ORDER BY no) - 1 AS place, count(*) OVER () AS all_of_them
            FROM entry WHERE event IS NOT NULL)
        SELECT 1000 + x, source, randomblob(16), kept.at, picture, event, again, run, mono,
            json_set(body, '$.received_at', strftime('%Y-%m-%dT%H:%M:%SZ', kept.at / 1000, 'unixepoch'))
        FROM kept JOIN model ON model.place = kept.x * 31 % model.all_of_them";
    let from = jiff::Timestamp::now().as_millisecond() - 1_410 * 61_000;
    let made = change.execute(sql, named_params! {":from": from}).expect("they are made");
    assert!(100 < made, "{made}");
    change.execute("UPDATE sink SET log_low = (SELECT max(no) FROM entry)", []).expect("there is one");
    let written = "UPDATE note SET text = (SELECT max(no) FROM entry) WHERE key = 'written'";
    assert_eq!(change.execute(written, []), Ok(1));
    change.commit().expect("it is kept");
}
