//! Faults of mosquitto: all accepted alarms arrive, in order, without a restart of the bridge.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::load::{Arrived, Load, Plan, Sent};
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Login;
use crate::support::{Bridge, Mode, Mosquitto, Proxy, SOON, Subscriber, eventually};

/// Settings of a broker whose subscribers receive everything, whatever their pace.
const ROOMY: &str = "max_inflight_messages 0\nmax_queued_messages 0";
/// Maximum time in which the bridge notices a silent broker, reconnects, and sends the backlog.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bridge behind a proxy, a subscriber at the broker, and cameras that send continuously.
struct Rig {
    broker: Mosquitto,
    proxy: Proxy,
    bridge: Bridge,
    subscriber: Subscriber,
    load: Load,
    arrived: Arrived,
}

impl Rig {
    async fn start(settings: Settings) -> Self {
        Self::with(settings, false).await
    }

    async fn with(settings: Settings, overhears: bool) -> Self {
        let broker = Mosquitto::with(Settings { extra: ROOMY, ..settings }).await;
        let proxy = if overhears {
            Proxy::overhearing(broker.port()).await
        } else {
            Proxy::start(broker.port()).await
        };
        let login = Login { session: Some("counter"), ..Login::default() };
        let subscriber = Subscriber::login(broker.port(), "alarmbus/+/event/+", login).await;
        let bridge = Bridge::start(&config(&proxy)).await;
        let load = Load::start(&bridge, Plan::default());
        let mut this = Self { broker, proxy, bridge, subscriber, load, arrived: Arrived::default() };
        this.more(50).await;
        this
    }

    /// Waits until this number of further alarms has arrived.
    async fn more(&mut self, count: usize) {
        let wanted = self.arrived.alarms.len() + count;
        eventually(PATIENCE, "more alarms", async || {
            self.arrived.take(&mut self.subscriber);
            (wanted <= self.arrived.alarms.len()).then_some(())
        })
        .await;
    }

    /// Waits until no more messages arrive.
    async fn quiet(&mut self) {
        let mut before = usize::MAX;
        while std::mem::replace(&mut before, self.arrived.alarms.len()) != self.arrived.alarms.len() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.arrived.take(&mut self.subscriber);
        }
    }

    /// Restarts the broker without its state; the proxy lets the bridge reconnect only after the subscriber, which
    /// has no stored session, is back.
    async fn restart_broker(&mut self) {
        self.proxy.set(Mode::Refuse);
        self.broker.restart().await;
        eventually(SOON, "the subscriber to be back", async || {
            self.broker.log().contains("Sending SUBACK to counter").then_some(())
        })
        .await;
        self.proxy.set(Mode::Pass);
    }

    /// Checks that everything answered has arrived; returns the log of the bridge.
    async fn finish(mut self) -> (Sent, Arrived, String) {
        self.more(50).await;
        let sent = self.load.stop().await;
        self.arrived.complete(&mut self.subscriber, &sent, PATIENCE).await;
        self.arrived.check(&sent);
        assert_eq!(sent.unanswered, 0, "the answer never waits for a broker");
        let log = self.bridge.log();
        assert!(self.bridge.terminate().await.success());
        (sent, self.arrived, log)
    }
}

fn config(proxy: &Proxy) -> String {
    format!(
        "[mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\nclient_id = \"the-bridge\"\nkeep_alive_seconds = 5\n\
         [homeassistant]\nenabled = false\n[time]\nreplay_after_seconds = 1\n",
        proxy.port()
    )
}

#[tokio::test]
async fn a_broker_that_is_down_at_our_start_gets_everything_when_it_comes() {
    let mut broker =
        Mosquitto::with(Settings { extra: ROOMY, persistence: true, ..Settings::default() }).await;
    let login = Login { session: Some("counter"), ..Login::default() };
    let mut subscriber = Subscriber::login(broker.port(), "alarmbus/+/event/+", login).await;
    broker.stop().await;
    let proxy = Proxy::start(broker.port()).await;
    let bridge = Bridge::start(&config(&proxy)).await;
    let load = Load::start(&bridge, Plan::default());
    eventually(SOON, "a reason in the log", async || {
        bridge.log().contains("broker_unreachable").then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    broker.restart().await;
    let mut arrived = Arrived::default();
    eventually(PATIENCE, "the first alarms", async || {
        arrived.take(&mut subscriber);
        (100 < arrived.alarms.len()).then_some(())
    })
    .await;
    let sent = load.stop().await;
    arrived.complete(&mut subscriber, &sent, PATIENCE).await;
    arrived.check(&sent);
    assert!(0 < arrived.replayed && arrived.replayed < arrived.alarms.len(), "{} are late", arrived.replayed);
}

#[tokio::test]
async fn a_broker_killed_and_restarted_without_persistence_misses_nothing() {
    let mut rig = Rig::start(Settings::default()).await;
    for _ in 0..2 {
        // A client that is writing to a killed broker loses what it has not read yet: so the bridge is cut off while
        // it sends, and the subscriber after it has received everything.
        rig.proxy.set(Mode::Refuse);
        rig.quiet().await;
        rig.broker.kill();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        rig.restart_broker().await;
        rig.more(50).await;
    }
    rig.finish().await;
}

/// A broker without persistence, killed while messages are sent: only messages that it had acknowledged and not
/// passed on are lost.
#[tokio::test]
async fn a_broker_killed_in_mid_traffic_takes_only_what_it_acknowledged() {
    let mut rig = Rig::with(Settings::default(), true).await;
    let mut kills = Vec::new();
    for _ in 0..4 {
        rig.broker.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        // Acknowledged messages of the killed broker have been received by now; the next one has not started.
        kills.push(Instant::now());
        rig.restart_broker().await;
        rig.more(50).await;
    }
    let Rig { proxy, bridge, mut subscriber, load, mut arrived, broker: _broker } = rig;
    let sent = load.stop().await;
    assert_eq!(sent.unanswered, 0, "the answer never waits for a broker");
    let (mut missing, last) = (Vec::new(), kills[kills.len() - 1]);
    eventually(PATIENCE, "all that no broker acknowledged before it died", async || {
        arrived.take(&mut subscriber);
        let acknowledged = proxy.acknowledged();
        let all = sent.of.values().flatten();
        missing = all.filter(|(id, _)| !arrived.alarms.contains_key(id)).map(|(id, _)| id.clone()).collect();
        let died = |id: &String| acknowledged.get(id).is_some_and(|at| *at < last);
        missing.iter().all(died).then_some(())
    })
    .await;
    let acknowledged = proxy.acknowledged();
    let before_death = |id: &String| {
        let at = acknowledged[id];
        let death = kills.iter().find(|kill| at <= **kill).expect("one of them followed");
        death.duration_since(at)
    };
    println!(
        "{} of {} went down with the brokers, acknowledged at most {:?} before; {} came twice",
        missing.len(),
        sent.count(),
        missing.iter().map(before_death).max().unwrap_or_default(),
        arrived.duplicates
    );
    assert!(sent.count() / 2 < acknowledged.len(), "{} acknowledgements were seen", acknowledged.len());
    assert!(missing.len() < sent.count() / 4, "{} are too many to be bad luck", missing.len());
    for (source, order) in &arrived.order {
        assert!(order.is_sorted(), "{source}: {order:?}");
    }
    drop(bridge);
}

#[tokio::test]
async fn a_broker_stopped_and_restarted_with_persistence_misses_nothing() {
    let mut rig = Rig::start(Settings { persistence: true, ..Settings::default() }).await;
    for _ in 0..2 {
        rig.broker.stop().await;
        rig.broker.restart().await;
        rig.more(50).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_broker_frozen_for_ten_seconds_is_waited_for() {
    let mut rig = Rig::start(Settings::default()).await;
    rig.broker.freeze();
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.broker.thaw();
    rig.more(500).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_network_that_refuses_cuts_and_freezes_costs_nothing() {
    let mut rig = Rig::start(Settings::default()).await;
    rig.proxy.set(Mode::Refuse);
    eventually(PATIENCE, "a reason in the log", async || {
        rig.arrived.take(&mut rig.subscriber);
        rig.bridge.log().contains("broker_unreachable").then_some(())
    })
    .await;
    rig.proxy.set(Mode::Pass);
    rig.more(50).await;
    // Each in another place of a packet.
    for bytes in [1, 700, 4_321, 20_000, 77_777] {
        let before = rig.proxy.connections();
        rig.proxy.cut_after(bytes);
        eventually(PATIENCE, "the cut and the next connection", async || {
            rig.arrived.take(&mut rig.subscriber);
            (before < rig.proxy.connections()).then_some(())
        })
        .await;
        rig.more(20).await;
    }
    rig.proxy.set(Mode::Freeze);
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.proxy.set(Mode::Pass);
    let (_, _, log) = rig.finish().await;
    assert!(!log.contains("was parked"), "nothing is wrong with any message:\n{log}");
}

#[tokio::test]
async fn swallowed_acknowledgements_are_waited_for_and_then_sent_again() {
    let mut rig = Rig::start(Settings::default()).await;
    rig.proxy.set(Mode::DropDown);
    let before = rig.proxy.connections();
    eventually(PATIENCE, "the bridge to give that connection up", async || {
        rig.arrived.take(&mut rig.subscriber);
        (before < rig.proxy.connections()).then_some(())
    })
    .await;
    rig.proxy.set(Mode::Pass);
    // Half-open connections continue when the network does.
    rig.proxy.cut();
    let (_, arrived, log) = rig.finish().await;
    assert!(0 < arrived.duplicates, "what was not acknowledged is sent again");
    assert!(!log.contains("was parked"), "nothing is wrong with any message:\n{log}");
}

#[tokio::test]
async fn a_second_client_with_our_id_is_named_and_outlived() {
    let mut rig = Rig::start(Settings::default()).await;
    let login = Login { session: Some("the-bridge"), ..Login::default() };
    let other = Subscriber::login(rig.broker.port(), "none", login).await;
    // mosquitto 2.0 closes the connection without a reason, later versions send one.
    eventually(PATIENCE, "the finding", async || {
        rig.arrived.take(&mut rig.subscriber);
        rig.bridge.log().contains("client id \"the-bridge\"").then_some(())
    })
    .await;
    // The other client reconnects for a while, as another bridge would.
    let before = rig.proxy.connections();
    eventually(PATIENCE, "two more connections", async || {
        rig.arrived.take(&mut rig.subscriber);
        (before + 2 <= rig.proxy.connections()).then_some(())
    })
    .await;
    drop(other);
    let (_, _, log) = rig.finish().await;
    assert!(!log.contains("was parked"), "nothing is wrong with any message:\n{log}");
}

#[tokio::test]
async fn a_wrong_password_is_named_and_the_right_one_delivers_all() {
    let broker = Mosquitto::with(Settings {
        users: vec![("bridge", "right"), ("reader", "r")],
        extra: ROOMY,
        ..Settings::default()
    })
    .await;
    let login = Login { user: Some(("reader", "r")), session: Some("counter") };
    let mut subscriber = Subscriber::login(broker.port(), "alarmbus/+/event/+", login).await;
    let config = |password: &str| {
        format!(
            "[mqtt]\nserver = \"{}\"\nuser = \"bridge\"\npassword = \"{password}\"\n[homeassistant]\nenabled = false\n",
            broker.url()
        )
    };
    let mut bridge = Bridge::start(&config("wrong")).await;
    let load = Load::start(&bridge, Plan::default());
    eventually(SOON, "the refusal in the log", async || {
        bridge.log().contains("broker_refused").then_some(())
    })
    .await;
    assert!(!bridge.log().contains("wrong"), "a password is in the log:\n{}", bridge.log());
    bridge.configure(&config("right"));
    bridge.restart().await;
    load.aim(&bridge);
    let mut arrived = Arrived::default();
    eventually(PATIENCE, "the first alarms", async || {
        arrived.take(&mut subscriber);
        (50 < arrived.alarms.len()).then_some(())
    })
    .await;
    let sent = load.stop().await;
    arrived.complete(&mut subscriber, &sent, PATIENCE).await;
    arrived.check(&sent);
}
