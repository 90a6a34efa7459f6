//! The catalogue of findings: code, severity, title, cause and remedy of each.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{FindingKind, Severity};

/// Declares the codes and the catalogue; each row is a kind of finding.
macro_rules! catalogue {
    ($($name:ident $code:literal $severity:ident $title:literal, $cause:literal, $remedy:literal;)*) => {
        /// Stable code of a kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[schemars(rename = "finding_code")]
        pub enum FindingCode {
            $(#[doc = $title] #[serde(rename = $code)] $name,)*
        }

        impl FindingCode {
            /// The code as it is published and logged.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// Its row of the catalogue.
            #[must_use]
            pub const fn kind(self) -> FindingKind {
                match self {
                    $(Self::$name => FindingKind {
                        code: Self::$name,
                        severity: Severity::$severity,
                        title: $title,
                        cause: $cause,
                        remedy: $remedy,
                    }),*
                }
            }
        }

        /// All kinds of findings.
        pub static CATALOGUE: &[FindingKind] = &[$(FindingCode::$name.kind()),*];
    };
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

catalogue! {
    NoRequest "no_request" Info "A connection without a request",
        "The Test button of the camera opens a connection and closes it without sending anything; so do port scanners.",
        "If this was the Test button: the address and port are right. Now tick \"Send to Alarm Server\" on each event of the camera and walk past the camera.";
    WrongPath "wrong_path" Warning "Right port, wrong path",
        "The URL typed into the camera differs from the webhook's path.",
        "Type the path exactly as the start of alarmbus (or its Setup page) prints it, upper and lower case included.";
    QueryNotUnderstood "query_not_understood" Warning "A query that is not an alarm",
        "A request without a body has a query in its URL whose parameters no maker uses, so it became no alarm.",
        "Write the URL with known names, such as ?camera=yard&event=motion&state=start: camera, event, state, time, plate, channel, message.";
    WrongPort "wrong_port" Warning "Right path, wrong port",
        "The camera's port is set to the port of these pages, not to the port for cameras.",
        "Type the port that the start of alarmbus (or its Setup page) prints, with the protocol that goes with it.";
    TlsOnPlainPort "tls_on_plain_port" Warning "The camera used HTTPS on the HTTP port",
        "The camera is set to HTTPS but the port is the one for HTTP.",
        "Set the protocol to HTTP in the camera, or configure [https] and use its port.";
    WrongMethod "wrong_method" Warning "Right path, wrong method",
        "The request is neither POST or PUT (an alarm) nor GET or HEAD (a person looking).",
        "Set the sender to POST.";
    PlainOnTlsPort "plain_on_tls_port" Warning "The camera used HTTP on the HTTPS port",
        "The camera is set to HTTP but the port is the one for HTTPS.",
        "Set the protocol to HTTPS in the camera, or use the port of [http].";
    TlsHandshake "tls_handshake" Warning "A TLS handshake failed",
        "The peer does not support TLS 1.2 or newer, shares no cipher with alarmbus, or rejects the certificate.",
        "Give [https] a certificate the camera accepts, or use plain HTTP on a network of its own.";
    ClusterUnreachable "cluster_unreachable" Error "The cluster cannot be reached",
        "No server of [cluster] answers, JetStream has no quorum, or a stream is full. Alarms are kept in the spool and delivered later.",
        "Check the NATS servers: two of three must run with JetStream. The detail has the error.";
    ClusterBehind "cluster_behind" Error "This instance missed decisions of the cluster",
        "This instance was away for longer than the log of the cluster is kept (seven days). It accepts alarms and forwards them to the cluster, but cannot publish.",
        "When its alarms are forwarded (no finding `cluster_unreachable`), stop it, move its storage folder away, and start it with an empty one.";
    ClusterCutOff "cluster_cut_off" Warning "This instance cannot reach a broker",
        "A broker does not answer this instance, so another instance of the cluster publishes, if one reaches it. This instance tries again every few seconds.",
        "Check the network between this machine and the broker, and the settings of the sink: `alarmbus check` tries the same. The detail has the error.";
    ClusterUnreadable "cluster_unreadable" Error "A message of the cluster is not understood",
        "A message in the spool or in the streams of the cluster was left out: it is of a newer version, damaged, too large for the NATS servers, or was written by something else. If it was a report, its alarms are not published.",
        "Run the same version of alarmbus on all machines of the cluster, and let nothing else write to subjects under cluster.prefix. The detail names the message.";
    ClusterServerOld "cluster_server_old" Warning "A NATS server of the cluster is old",
        "The server is older than 2.11.",
        "Run nats-server 2.11 or newer on all servers of [cluster].";
    ClusterClock "cluster_clock" Warning "The clock differs from that of the cluster",
        "The clock of this machine is more than two seconds away from that of the NATS servers. Times of alarms, and the order of those that arrive late, follow it.",
        "Run a time service (NTP) on all machines of the cluster.";
    ClusterSettings "cluster_settings" Warning "Instances of the cluster differ",
        "Settings that are to be equal at all instances are not, or another one runs a newer version that this one does not understand. The owner's settings count.",
        "Give all instances the same [devices] with their MAC addresses, and the same version of alarmbus.";
    ClusterSpoolDropped "cluster_spool_dropped" Error "Alarms for the cluster were dropped",
        "The cluster was away for so long that the alarms on the disk of this instance passed the bounds of the backlog (storage.backlog_max_days, storage.backlog_max_bytes). The oldest were dropped.",
        "Repair the cluster (problem `cluster_unreachable`), or raise the bounds.";
    Certificate "certificate" Error "A certificate cannot be used",
        "The files of a listener's certificate are missing, damaged, or do not belong together; the last valid one stays in use.",
        "Write certificate chain and key as PEMand replace both files together; they are read within seconds, or at once on SIGHUP.";
    ReloadRefused "reload_refused" Warning "The configuration was not reloaded",
        "At the last reload (SIGHUP) the configuration file was gone, unreadable, empty, without its webhooks, or wrong; alarmbus keeps the configuration it had.",
        "Fix what the detail names, check it with `alarmbus check`, and reload again.";
    BadRequestHead "bad_request_head" Warning "A request head that is not HTTP",
        "The first lines of the request are not valid HTTP, are too long, or are incomplete.",
        "Check that the sender uses HTTP/1.1, and that no proxy cuts or rewrites its requests.";
    BytesBehindRequest "bytes_behind_request" Warning "Bytes after a complete request",
        "The request was answered, and the bytes after it were ignored: its Content-Length is smaller than its body, or another request followed although the connection was to be closed.",
        "Make the sender announce the length of the whole body, and open a new connection or leave out Connection: close for the next request.";
    BodyWithoutLength "body_without_length" Warning "A report without a length",
        "Its head has neither Content-Length nor Transfer-Encoding, so by HTTP it has no body; the bytes after it, up to the end of the connection, were read as its body.",
        "Make the sender announce the length of the body: Content-Length, or chunked coding with HTTP/1.1.";
    AcceptFailed "accept_failed" Error "Connections cannot be accepted",
        "The process has no file descriptor left, or the system no memory for sockets.",
        "Raise the limit on open files (ulimit -n, LimitNOFILE=) above limits.connections.";
    HandlerFailed "handler_failed" Error "A report could not be processed",
        "A bug in alarmbus; the log has the details.",
        "Keep the request from the Requests page and report it.";
    NotUnderstood "not_understood" Warning "Not an alarm",
        "The bytes are neither JSON nor multipart with JSON or a JPEG in it.",
        "Check that the sender is a supported camera; keep the request from the Requests page for a report.";
    MultipartRepaired "multipart_repaired" Info "A multipart body with mistakes",
        "Boundary, line ends or part headers are malformed; the parts were read nevertheless.",
        "Nothing to do. If pictures are missing, please report it.";
    BodyTruncated "body_truncated" Warning "A body that ended early",
        "The camera closed the connection, or the network dropped it, before the body was complete.",
        "Check the network between camera and bridge. The detail says whether the alarm itself was kept.";
    NotAJpeg "not_a_jpeg" Warning "A picture part that is not a JPEG",
        "The camera sent an empty or damaged picture.",
        "The alarm was published without it. Switch \"Attach image\" off and on again in the camera.";
    ContentTypeWrong "content_type_wrong" Info "Content-Type does not match the body",
        "The Content-Type does not match the body.",
        "Nothing to do: the content is used, not the header.";
    ContentEncodingWrong "content_encoding_wrong" Info "Content-Encoding does not match the body",
        "The body is not encoded as the Content-Encoding says, or the encoding is neither gzip nor deflate.",
        "Nothing to do if alarms arrive: the content is used, not the header. Otherwise switch compression off in the device.";
    PartIgnored "part_ignored" Info "A part of a report that was not used",
        "A part of a multipart body is neither a document of a known maker, nor a picture, nor a named text field.",
        "Look at the request on the Requests page; if the part matters, write a mapping that reads it.";
    MakerUnknown "maker_unknown" Warning "A report of an unknown maker",
        "The document matches no known maker, or the webhook's pointer to the kind of event finds nothing, so it became an alarm `unknown`.",
        "Open the request on the Requests page and assign its values there, which makes a mapping file. Or set the webhook's pointers.";
    MakerNotUsed "maker_not_used" Warning "A known maker's report is read as generic",
        "The document is one of a known maker, but the webhook's vendor or pointers have it read as generic.",
        "Set the webhook's vendor to \"auto\" and remove its pointers.";
    KindUnknown "kind_unknown" Warning "A kind of event that the maker's mapping does not know",
        "The mapping has no entry for the device's name of the event, so it was published under that name.",
        "Add the line in the detail to a mapping of your own, with the kind it stands for.";
    KindMissing "kind_missing" Warning "A report without a kind of event",
        "The report has nothing where the maker's mapping expects the kind of event, so it became an alarm `unknown`.",
        "Open the request on the Requests page and assign the value that is the kind, which makes a mapping file.";
    IdentityMissing "identity_missing" Info "A report that does not identify its device",
        "The report has no MAC address or identifier where the maker's mapping expects one; the device is identified by its address.",
        "Give each such camera a path of its own: add a [[webhooks]] entry with a path for it.";
    TimeNotUnderstood "time_not_understood" Info "A time that cannot be read",
        "The device's time is not a date, or is far from the present; the time of receipt is used.",
        "Set the camera's clock (NTP). If its format is unusual, keep the request from the Requests page for a report.";
    NoEvents "no_events" Info "A request without an event",
        "The request is empty, or a valid report with no event in it.",
        "Nothing to do if this was a test or a sign of life.";
    EndWithoutStart "end_without_start" Info "An end without a start",
        "A device reported the end of an event whose start is unknown: it was lost, or sent before alarmbus started.",
        "Nothing to do if it is rare; otherwise check that the device also sends the start of this event.";
    NamelessDevices "nameless_devices" Warning "Several devices without identifiers share an address",
        "Reports without MAC address and identifier come from one address and name different cameras: a relay, NAT or a script sends for several.",
        "Give each camera a path of its own: `alarmbus webhook add NAME --device NAME` makes one, or add a [[webhooks]] entry.";
    BoundaryMismatch "boundary_mismatch" Info "A multipart boundary that differs from the announced one",
        "The boundary in the Content-Type is not the one in the body, or is missing.",
        "Nothing to do: the body's own boundary is used.";
    CharsetRepaired "charset_repaired" Info "Text that is not UTF-8",
        "The device writes names in another encoding, or damaged ones.",
        "If a name looks wrong, give the camera a name in plain letters, or set one under [devices].";
    JsonRepaired "json_repaired" Info "JSON, XML or fields with mistakes",
        "The document is surrounded by other bytes, has malformed values, is cut, or has more values than are kept.",
        "Nothing to do. If an alarm lacks something, please report it.";
    JsonIgnored "json_ignored" Info "An additional JSON document",
        "The body holds a document that is not a report besides one that is.",
        "Nothing to do. If it holds something useful, please report it.";
    VendorMismatch "vendor_mismatch" Warning "A report of a vendor other than the webhook's",
        "The webhook's vendor is set, but the report is one of another vendor and was decoded as that.",
        "Set the webhook's `vendor` to \"auto\".";
    ReportCut "report_cut" Warning "Too many alarms in one report",
        "One alarm `unknown` stands for those past limits.alarms_per_report.",
        "If this is a real device, raise limits.alarms_per_report.";
    BodyTooLarge "body_too_large" Warning "A request is too large",
        "The request is larger than limits.body_bytes, mostly because of its picture.",
        "Raise limits.body_bytes, or lower the camera's picture quality. The detail says whether the alarm itself was kept.";
    PictureUnmatched "picture_unmatched" Info "A picture that belongs to no alarm",
        "The report holds more pictures than its alarms refer to.",
        "Nothing to do. Please report it: no device is known to send such.";
    PeerNotAllowed "peer_not_allowed" Warning "A peer outside the allow-list",
        "The webhook's `allow` does not contain the peer's address.",
        "Add the address or its network to `allow` of the webhook.";
    Limited "limited" Warning "A limit was reached",
        "A peer sent more than the limits allow.",
        "If this is a camera, raise the limit that is named in [limits].";
    SharedAddress "shared_address" Info "Several devices behind one address",
        "Three or more devices push from one address: a recorder, a proxy or NAT.",
        "Nothing to do for a recorder. Behind a proxy, list it under http.proxies.";
    NobodyListens "nobody_listens" Warning "Published, but nobody subscribes",
        "The broker accepted the event and has no subscriber for its topic.",
        "Subscribe to alarmbus/+/event/+, or check the topic in your client.";
    DeviceClock "device_clock" Warning "A device's clock or time zone is wrong",
        "The device's time differs from the time of receipt in every time zone, or in the configured one.",
        "Set the camera's clock (NTP) and the `timezone` of the device.";
    SourcesFull "sources_full" Warning "Too many sources",
        "More devices, or more new devices in an hour, than the limits allow; their alarms go to source `unlisted`.",
        "Raise limits.sources or limits.new_sources_per_hour, or check which host (address) sends them.";
    UnknownDevice "unknown_device" Warning "An unknown device",
        "limits.known_devices_only is on, and this device is neither under [devices] nor known; its alarms go to source `unlisted`.",
        "If it is yours, add it under [devices], or turn limits.known_devices_only off; otherwise check which host (address) sends it.";
    KindsFull "kinds_full" Warning "Too many kinds from one source",
        "A source sent more kinds of event than limits.kinds_per_source; further ones become `other`.",
        "Raise the limit, or check which host (address) sends them.";
    Disk "disk" Error "Cannot write to the storage folder",
        "The storage folder is full, read-only, gone or failing; alarms are held in memory.",
        "Free space or fix the permissions of the folder; the bridge recovers by itself.";
    DiskLow "disk_low" Warning "The disk is nearly full",
        "Free space is below twice storage.min_free_bytes; below once that, history is deleted, and alarms may be held in memory only.",
        "Free space, or lower storage.history_max_bytes.";
    MemoryDropped "memory_dropped" Error "Alarms held in memory were dropped",
        "Alarms are held in memory while the storage folder cannot be written, and there were more than fit.",
        "Fix the storage folder; the dropped alarms are lost.";
    DeviceSilent "device_silent" Warning "A device has been silent for longer than usual",
        "It sent alarms at shorter intervals before, or `expected_every_seconds` of the device has passed.",
        "Check its power, its network and its alarm server settings; walk past it.";
    PictureMissing "picture_missing" Info "Pictures of a device are missing",
        "It attached pictures before, and none to this alarm: it was busy, or \"Attach image\" was switched off.",
        "If it persists, tick \"Attach image\" in the alarm server settings of the camera.";
    TestNoAlarm "test_no_alarm" Warning "A connection test without an alarm since",
        "A peer connected without a request, as the Test button does, and no alarm came for minutes: \"Send to Alarm Server\" is probably not ticked, or the event has no region or schedule.",
        "Tick \"Send to Alarm Server\" on each event of the camera, check region and schedule, and walk past the camera.";
    BacklogGrowing "backlog_growing" Warning "The backlog of a sink is growing",
        "The broker is down, or accepts alarms more slowly than they arrive.",
        "Fix the connection to the broker; nothing is lost before the bounds storage.backlog_max_days and storage.backlog_max_bytes.";
    NotCommitting "not_committing" Error "Alarms cannot be stored",
        "The disk does not answer, or the thread that writes the outbox has ended by a bug.",
        "Check the disk of the storage folder (a hanging network share, a failing drive); restart alarmbus.";
    SinkStalled "sink_stalled" Error "Broker confirms nothing",
        "Alarms have waited for minutes, and the broker acknowledged none.",
        "Check that the broker runs, is reachable, and lets the user publish. Alarms are kept meanwhile.";
    DatabaseSetAside "database_set_aside" Error "The database was damaged",
        "SQLite found the file corrupt; it was renamed, and a new one was created.",
        "Run `alarmbus outbox recover FILE` on the file named, and check the disk.";
    DatabaseEntryDamaged "database_entry_damaged" Error "An alarm in the database is damaged",
        "The text of an entry was changed on the disk, so that it cannot be read: it is not published.",
        "Check the disk. The request of that time may still be on the page Requests.";
    DatabaseOlder "database_older" Error "The database is older than what was published",
        "It was deleted, truncated, restored from a backup, or lost its -wal: alarms answered since then are not in it, and those not yet delivered are lost.",
        "Numbers continue after those already used, and states are corrected. If the newer files still exist, run `alarmbus outbox recover FILE` on the newer outbox.db; if you restored a backup on purpose, there is nothing to do.";
    DatabaseForeign "database_foreign" Error "The database is not the one used before",
        "The file outbox.db in the storage folder was replaced by that of another installation.",
        "If you did not put it there, stop alarmbus and put the right one back, or move it away with its -wal and -shm. Meanwhile it is used as it is.";
    SecretNotKept "secret_not_kept" Error "A generated secret cannot be stored",
        "The storage folder cannot be written, so alarmbus generates a new secret at each start.",
        "Make the storage folder writable, or set storage.path to another one. The detail says what changes at each start, and the key that avoids it where there is one.";
    BrokerUnreachable "broker_unreachable" Error "The broker cannot be reached",
        "Nothing listens at its address, or the network is down.",
        "Check address and port of the sink, and that the broker runs. Alarms are kept meanwhile.";
    BrokerRefused "broker_refused" Error "The broker refuses the connection",
        "User, password, client id or protocol version is not accepted.",
        "Check user and password of the sink. Alarms are kept meanwhile.";
    BrokerTls "broker_tls" Error "TLS to the broker fails",
        "The certificate is expired, for another name, or from an unknown authority.",
        "Set `ca` or `server_name` of the sink, or renew the broker's certificate.";
    BrokerTakenOver "broker_taken_over" Error "Another client uses alarmbus's client id",
        "The broker closes alarmbus's connection each time the other client connects.",
        "Give each instance its own mqtt.client_id.";
    BrokerBusy "broker_busy" Warning "The broker rejects messages for now",
        "The broker or its stream is full, without a leader, or over a quota, or the server of notifications fails, or refuses address or login; what it did not take is sent again.",
        "See the detail: free room in the stream, raise the quota, fix the cluster, or correct [notify].";
    MessageTooLarge "message_too_large" Warning "A message exceeds the broker's limit",
        "The broker closed the connection because of it; the message was parked, and the others are not held up.",
        "Raise the broker's limit (mosquitto: message_size_limit), or the camera's compression.";
    MessageRefused "message_refused" Warning "The broker closed the connection because of a message",
        "It does not permit the topic; the message was parked, and the others are not held up.",
        "Give the user permission to publish the topic.";
    SinkBlocked "sink_blocked" Error "Broker rejects everything",
        "The broker accepts the connection but rejects every message, so nothing is delivered.",
        "Give the user permission to publish the topics.";
    Parked "parked" Warning "A message was parked",
        "The broker, or the server of notifications, takes others and never this one. It was set aside, and the others are not held up.",
        "See `alarmbus outbox ls`; retry it when the cause is fixed.";
    ParkedDropped "parked_dropped" Error "Parked messages were dropped",
        "More messages were parked for one sink than are kept, so the oldest were dropped.",
        "Fix the cause of the rejections; the alarms are still in history and can be replayed.";
    ValueRefused "value_refused" Warning "The broker rejects a state topic",
        "The broker does not permit the topic, or the message is too large for it.",
        "Give the user permission for the topic, or raise the broker's limit.";
    PictureTooLarge "picture_too_large" Warning "A picture is too large for the broker",
        "The broker's maximum packet or message size is smaller than the picture.",
        "Raise the broker's limit (mosquitto: max_packet_size), or the camera's compression.";
    PictureNotDrawn "picture_not_drawn" Warning "A variant of a picture cannot be made",
        "The picture is damaged, of a form that is not decoded, or has too many pixels.",
        "The alarm and its own picture are published. See the detail; lower the resolution in the camera, or take small and boxes out of `pictures` of the sink.";
    RetainedUnreadable "retained_unreadable" Info "Retained topics cannot be read back",
        "The user may not subscribe, so alarmbus cannot notice that the broker lost its retained messages.",
        "Permit subscribing to alarmbus/bridge/token.";
    BusRequestRefused "bus_request_refused" Warning "A request over the broker was refused",
        "The message that a client published to a mute topic names no known device, or cannot be read.",
        "Publish ON, OFF, a number of seconds or a JSON object there, as docs/topics.md says.";
    SubscriptionRefused "subscription_refused" Info "The broker refuses a subscription",
        "The user may not subscribe to Home Assistant's birth or discovery topics, or to those of requests and mutes.",
        "Permit subscribing to the topic named. Until then restarts and deletions in Home Assistant go unnoticed, or requests and mutes are not received.";
    StreamMissing "stream_missing" Error "JetStream or its stream is missing",
        "The server has JetStream switched off, or the stream was deleted, or the user may not create it.",
        "Start nats-server with JetStream (-js), or set nats.jetstream = false for best effort.";
    BacklogDropped "backlog_dropped" Error "Undelivered alarms were dropped",
        "The backlog exceeded its limit in age or bytes.",
        "Fix the connection to the broker; raise storage.backlog_max_days or storage.backlog_max_bytes.";
}
