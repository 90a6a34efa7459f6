//! Faults of nats-server with JetStream: all accepted alarms are in the stream, in order.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use tokio::time::Instant;

use crate::support::load::{Arrived, Load, Plan, Sent, long, picture, report, send};
use crate::support::{Bridge, Mode, Nats, NatsReader, Proxy, SOON, eventually, port};

const PATIENCE: Duration = Duration::from_secs(60);

fn config(port: u16, more: &str) -> String {
    format!("[nats]\nservers = [\"nats://127.0.0.1:{port}\"]\n{more}\n[time]\nreplay_after_seconds = 1\n")
}

/// A bridge behind a proxy, and cameras that send continuously.
struct Rig {
    server: Nats,
    proxy: Proxy,
    bridge: Bridge,
    load: Load,
}

impl Rig {
    async fn start() -> Self {
        let server = Nats::start().await;
        let proxy = Proxy::start(server.port()).await;
        let bridge = Bridge::start(&config(proxy.port(), "")).await;
        let load = Load::start(&bridge, Plan { per_second: 60, ..Plan::default() });
        let this = Self { server, proxy, bridge, load };
        this.more(30).await;
        this
    }

    /// Waits until the stream has this number of further messages.
    async fn more(&self, count: u64) {
        let reader =
            eventually(PATIENCE, "the server", async || async_nats::connect(self.server.url()).await.ok())
                .await;
        let context = jetstream::new(reader);
        let last = async || {
            let mut stream = context.get_stream("ALARMBUS").await.ok()?;
            stream.info().await.ok().map(|info| info.state.last_sequence)
        };
        let mut wanted = last().await.unwrap_or(0) + count;
        eventually(PATIENCE, "more messages in the stream", async || {
            let now = last().await?;
            // A stream that was created again begins at 1.
            wanted = wanted.min(now.saturating_add(count).max(count));
            (wanted <= now).then_some(())
        })
        .await;
    }

    /// Checks that everything answered is in the stream, once; returns the log of the bridge.
    async fn finish(mut self) -> String {
        self.more(30).await;
        let sent = self.load.stop().await;
        let arrived = stored(&self.server, &sent).await;
        arrived.check(&sent);
        assert_eq!((sent.unanswered, arrived.duplicates), (0, 0));
        let log = self.bridge.log();
        assert!(!log.contains("was parked"), "nothing is wrong with any message:\n{log}");
        assert!(self.bridge.terminate().await.success());
        log
    }
}

/// The events of the stream, once nothing that was answered is missing.
async fn stored(server: &Nats, sent: &Sent) -> Arrived {
    eventually(PATIENCE, "all answered alarms in the stream", async || {
        let arrived = events(server).await;
        (arrived.missing(sent) == 0).then_some(arrived)
    })
    .await
}

async fn events(server: &Nats) -> Arrived {
    read(&NatsReader::connect(&server.url()).await).await
}

/// The events of the stream, if it is there.
async fn read(reader: &NatsReader) -> Arrived {
    let mut arrived = Arrived::default();
    if jetstream::new(reader.client().clone()).get_stream("ALARMBUS").await.is_err() {
        return arrived;
    }
    for message in reader.stored("ALARMBUS").await {
        if message.subject.contains(".event.") {
            arrived.event(&serde_json::from_slice(&message.payload).unwrap());
        }
    }
    arrived
}

#[tokio::test]
async fn a_server_that_is_down_at_our_start_gets_everything_when_it_comes() {
    let mut server = Nats::start().await;
    server.stop().await;
    let bridge = Bridge::start(&config(server.port(), "")).await;
    let load = Load::start(&bridge, Plan { per_second: 60, ..Plan::default() });
    eventually(SOON, "a reason in the log", async || {
        bridge.log().contains("broker_unreachable").then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.restart().await;
    let sent = load.stop().await;
    let arrived = stored(&server, &sent).await;
    arrived.check(&sent);
    assert!(0 < arrived.replayed, "what waited is marked");
}

#[tokio::test]
async fn a_server_killed_stopped_and_restarted_misses_nothing() {
    let mut rig = Rig::start().await;
    rig.server.kill();
    tokio::time::sleep(Duration::from_millis(700)).await;
    rig.server.restart().await;
    rig.more(30).await;
    rig.server.stop().await;
    rig.server.restart().await;
    rig.finish().await;
}

#[tokio::test]
async fn a_server_frozen_for_ten_seconds_is_waited_for() {
    let rig = Rig::start().await;
    rig.server.freeze();
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.server.thaw();
    rig.finish().await;
}

#[tokio::test]
async fn a_network_that_refuses_cuts_and_swallows_costs_nothing() {
    let rig = Rig::start().await;
    rig.proxy.set(Mode::Refuse);
    eventually(PATIENCE, "a reason in the log", async || {
        rig.bridge.log().contains("broker_unreachable").then_some(())
    })
    .await;
    rig.proxy.set(Mode::Pass);
    rig.more(30).await;
    for bytes in [1, 900, 12_345] {
        let before = rig.proxy.connections();
        rig.proxy.cut_after(bytes);
        eventually(PATIENCE, "the cut and the next connection", async || {
            (before < rig.proxy.connections()).then_some(())
        })
        .await;
        rig.more(10).await;
    }
    // Acknowledgements are dropped until each message was sent again at least once.
    rig.proxy.set(Mode::DropDown);
    tokio::time::sleep(Duration::from_secs(7)).await;
    rig.proxy.set(Mode::Pass);
    rig.proxy.cut();
    rig.finish().await;
}

#[tokio::test]
async fn a_wrong_password_is_named_and_the_right_one_delivers_all() {
    let server = Nats::with(true, "authorization { user: bridge, password: right }").await;
    let login = |password: &str| format!("user = \"bridge\"\npassword = \"{password}\"");
    let mut bridge = Bridge::start(&config(server.port(), &login("wrong"))).await;
    let load = Load::start(&bridge, Plan { per_second: 60, ..Plan::default() });
    eventually(SOON, "the refusal in the log", async || {
        bridge.log().contains("broker_refused").then_some(())
    })
    .await;
    assert!(!bridge.log().contains("\"wrong\""), "a password is in the log:\n{}", bridge.log());
    bridge.configure(&config(server.port(), &login("right")));
    bridge.restart().await;
    load.aim(&bridge);
    let sent = load.stop().await;
    let reader = NatsReader::login(&server.url(), "bridge", "right").await;
    let arrived = eventually(PATIENCE, "all alarms", async || {
        let arrived = read(&reader).await;
        (arrived.missing(&sent) == 0).then_some(arrived)
    })
    .await;
    arrived.check(&sent);
}

#[tokio::test]
async fn deleted_streams_are_made_again_and_filled() {
    let rig = Rig::start().await;
    let reader = NatsReader::connect(&rig.server.url()).await;
    let context = jetstream::new(reader.client().clone());
    let jpeg = picture(1, 3_000);
    let answer = rig.bridge.camera().multipart(&report("02-00-00-00-00-ff", "PEOPLE", 9, 1), &jpeg).await;
    assert_eq!(answer.status, 200);
    let subject = "alarmbus.0200000000ff.snapshot";
    eventually(SOON, "the picture", async || reader.last("ALARMBUS_LAST", subject).await).await;
    context.delete_stream("ALARMBUS_LAST").await.unwrap();
    context.delete_stream("ALARMBUS").await.unwrap();
    rig.more(60).await;
    let sent = rig.load.stop().await;
    // Messages stored before the deletion are lost with the stream; later ones are not.
    let mut new = Sent::default();
    for number in 0..Plan::default().sources {
        assert!(send(&rig.bridge.camera(), number, "PEOPLE", 7, 1, None, &mut new).await);
    }
    assert_eq!(sent.unanswered, 0);
    stored(&rig.server, &new).await.check_order();
    let back = eventually(PATIENCE, "the picture in the new stream", async || {
        reader.last("ALARMBUS_LAST", subject).await
    })
    .await;
    assert_eq!(back, jpeg, "a stream that lost its values gets them back");
    assert!(rig.bridge.log().contains("stream_missing"), "and it is said");
}

#[tokio::test]
async fn a_full_stream_is_waited_for() {
    let server = Nats::start().await;
    let reader = NatsReader::connect(&server.url()).await;
    let context = jetstream::new(reader.client().clone());
    let full = stream::Config {
        name: "ALARMBUS".into(),
        subjects: ["event.*", "activity.*", "picture.>"].map(|rest| format!("alarmbus.*.{rest}")).to_vec(),
        max_messages: 40,
        discard: stream::DiscardPolicy::New,
        ..stream::Config::default()
    };
    let stream = context.create_stream(full).await.unwrap();
    let bridge = Bridge::start(&config(server.port(), "")).await;
    let load = Load::start(&bridge, Plan { per_second: 60, sources: 10, ..Plan::default() });
    eventually(PATIENCE, "the finding", async || bridge.log().contains("broker_busy").then_some(())).await;
    let sent = load.stop().await;
    let mut arrived = Arrived::default();
    eventually(PATIENCE * 2, "all alarms, forty at a time", async || {
        let stored = reader.stored("ALARMBUS").await;
        let now = stored.iter().filter(|message| message.subject.contains(".event."));
        now.for_each(|message| arrived.event(&serde_json::from_slice(&message.payload).unwrap()));
        if stored.len() == 40 {
            stream.purge().await.unwrap();
        }
        (arrived.missing(&sent) == 0).then_some(())
    })
    .await;
    arrived.check(&sent);
}

#[tokio::test]
async fn a_picture_over_the_largest_payload_goes_to_the_object_store() {
    let server = Nats::with(true, "max_payload: 100000").await;
    let bridge = Bridge::start(&config(server.port(), "")).await;
    let camera = bridge.camera();
    let sent = Instant::now();
    camera.multipart(&report("02-00-00-00-00-01", "PEOPLE", 1, 1), &picture(1, 300_000)).await;
    camera.json(&report("02-00-00-00-00-02", "PEOPLE", 2, 1)).await;
    let reader = NatsReader::connect(&server.url()).await;
    let event = async |source: &str| {
        let subject = format!("alarmbus.{source}.event.person");
        eventually(SOON, "an event", async || {
            jetstream::new(reader.client().clone()).get_stream("ALARMBUS").await.ok()?;
            let payload = reader.last("ALARMBUS", &subject).await?;
            serde_json::from_slice::<serde_json::Value>(&payload).ok()
        })
        .await
    };
    event("020000000002").await;
    println!("the rest came after {:?}", sent.elapsed());
    let poisoned = event("020000000001").await;
    let key = poisoned["snapshot"]["object"].as_str().unwrap_or_else(|| panic!("no object: {poisoned}"));
    let context = jetstream::new(reader.client().clone());
    let bucket = context.get_object_store("ALARMBUS_SNAPSHOTS").await.unwrap();
    assert_eq!(bucket.info(key).await.unwrap().size, 300_000);
}

/// Three servers of one cluster, with the ports of their routes.
async fn cluster() -> Vec<Nats> {
    let routes: Vec<u16> = (0..3).map(|_| port::free()).collect();
    let list: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    let mut servers = Vec::new();
    for (number, port) in routes.iter().enumerate() {
        let extra = format!(
            "server_name: n{number}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{}] }}",
            list.join(", ")
        );
        servers.push(Nats::with(true, &extra).await);
    }
    servers
}

/// The place in the list of the server that leads a stream.
async fn leader(servers: &[Nats], at: usize) -> Option<usize> {
    let client = async_nats::connect(servers[at].url()).await.ok()?;
    let mut stream = jetstream::new(client).get_stream("ALARMBUS").await.ok()?;
    let name = stream.info().await.ok()?.cluster.clone()?.leader?;
    name.strip_prefix('n')?.parse().ok()
}

#[tokio::test]
async fn a_cluster_of_three_loses_its_leader_and_nothing_else() {
    let mut servers = cluster().await;
    let urls: Vec<String> = servers.iter().map(|server| format!("{:?}", server.url())).collect();
    let config = format!("[nats]\nservers = [{}]\nreplicas = 3\n", urls.join(", "));
    let bridge = Bridge::start(&config).await;
    let load = Load::start(&bridge, Plan { per_second: 60, ..Plan::default() });
    for _ in 0..if long() { 9 } else { 1 } {
        let leader = eventually(PATIENCE, "a leader", async || leader(&servers, 0).await).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        servers[leader].kill();
        tokio::time::sleep(Duration::from_secs(5)).await;
        servers[leader].restart().await;
    }
    let sent = load.stop().await;
    println!("{} answered", sent.count());
    let arrived = eventually(PATIENCE * 3, "all alarms in the stream", async || {
        let arrived = events(&servers[0]).await;
        (arrived.missing(&sent) == 0).then_some(arrived)
    })
    .await;
    arrived.check(&sent);
    assert_eq!((sent.unanswered, arrived.duplicates), (0, 0));
}
