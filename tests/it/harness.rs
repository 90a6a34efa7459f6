//! Tests of the test support itself.

use std::time::Duration;

use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Login;
use crate::support::{
    Bridge, Camera, Mode, Mosquitto, Nats, NatsReader, Proxy, SOON, Subscriber, eventually, nats_client,
};

/// Time in which an unwanted message would have arrived.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn messages_pass_the_proxy() {
    let broker = Mosquitto::start().await;
    let proxy = Proxy::start(broker.port()).await;
    let mut subscriber = Subscriber::connect(broker.port(), "a/#").await;
    let publisher = Subscriber::connect(proxy.port(), "none").await;
    assert_eq!(publisher.publish("a/b", b"{\"x\":1}", false).await, "Success");
    let message = subscriber.topic("a/b").await;
    assert_eq!((message.text(), message.retain), ("{\"x\":1}", false));
    assert_eq!(message.json()["x"], 1);
    assert_eq!((message.property("id"), &message.content_type), (None, &None));
    assert!(broker.url().starts_with("mqtt://"));
    // The log comes by another way than the message.
    eventually(SOON, "the broker's log", async || broker.log().contains("Received PUBLISH").then_some(()))
        .await;
}

/// Waits until the broker has sent so many messages to its subscribers.
async fn passed_on(broker: &Mosquitto, count: usize) {
    eventually(SOON, "the broker's log", async || {
        (count <= broker.log().matches("Sending PUBLISH").count()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_proxy_freezes_drops_cuts_and_refuses() {
    let broker = Mosquitto::start().await;
    let proxy = Proxy::start(broker.port()).await;
    let mut behind = Subscriber::connect(proxy.port(), "a").await;
    let direct = Subscriber::connect(broker.port(), "none").await;

    proxy.set(Mode::Freeze);
    direct.publish("a", b"frozen", false).await;
    passed_on(&broker, 1).await;
    assert!(behind.drain().is_empty());
    proxy.set(Mode::Pass);
    assert_eq!(behind.topic("a").await.text(), "frozen");

    proxy.set(Mode::DropDown);
    direct.publish("a", b"lost", false).await;
    passed_on(&broker, 2).await;
    proxy.cut();
    proxy.set(Mode::Pass);
    eventually(SOON, "the way through", async || {
        direct.publish("a", b"again", false).await;
        behind.drain().iter().any(|message| message.text() == "again").then_some(())
    })
    .await;

    let before = proxy.connections();
    proxy.cut_after(1);
    eventually(SOON, "a cut and a new connection", async || {
        let _published_or_cut =
            tokio::time::timeout(A_WHILE, async { behind.publish("b", b"x", false).await }).await;
        (proxy.connections() > before).then_some(())
    })
    .await;

    proxy.set(Mode::Refuse);
    let before = proxy.connections();
    eventually(SOON, "refused attempts", async || (proxy.connections() > before + 1).then_some(())).await;
    proxy.set(Mode::DropUp);
    behind.drain();
}

#[tokio::test]
async fn a_broker_keeps_its_port_and_its_retained_messages() {
    let mut broker = Mosquitto::with(Settings { persistence: true, ..Settings::default() }).await;
    let login = Login { session: Some("kept"), ..Login::default() };
    let mut subscriber = Subscriber::login(broker.port(), "r/#", login).await;
    subscriber.publish("r/1", b"one", true).await;
    subscriber.topic("r/1").await;
    broker.stop().await;
    broker.restart().await;
    assert!(subscriber.wait_for(SOON, |message| message.retain).await.topic == "r/1");
    broker.freeze();
    broker.thaw();
    broker.kill();
    assert!(std::net::TcpStream::connect(("127.0.0.1", broker.port())).is_err());
}

#[tokio::test]
async fn a_broker_refuses_by_password_and_access_list() {
    let broker = Mosquitto::with(Settings {
        users: vec![("bridge", "secret")],
        acl: Some("user bridge\ntopic readwrite a/#\n"),
        max_packet_size: Some(100_000),
        extra: "max_keepalive 60",
        ..Settings::default()
    })
    .await;
    let login = Login { user: Some(("bridge", "secret")), ..Login::default() };
    let client = Subscriber::login(broker.port(), "a/#", login).await;
    assert_eq!(client.publish("a/1", b"", false).await, "Success");
    assert_eq!(client.publish("b/1", b"", false).await, "NotAuthorized");
}

#[tokio::test]
async fn nats_keeps_its_stream_over_a_restart() {
    let mut server = Nats::start().await;
    let reader = NatsReader::connect(&server.url()).await;
    let context = async_nats::jetstream::new(reader.client().clone());
    let config = async_nats::jetstream::stream::Config {
        name: "S".into(),
        subjects: vec!["s.>".into()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    let mut live = reader.subscribe("s.>").await;
    context.publish("s.a", "one".into()).await.unwrap().await.unwrap();
    assert_eq!(nats_client::next(&mut live).await.payload, "one");
    assert!(nats_client::is_silent(&mut live, A_WHILE).await);
    server.stop().await;
    server.restart().await;
    let reader = NatsReader::connect(&server.url()).await;
    let stored = reader.stored("S").await;
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].subject.as_str(), stored[0].sequence, &stored[0].id), ("s.a", 1, &None));
    assert_eq!(reader.last("S", "s.a").await.unwrap(), stored[0].payload);
    server.freeze();
    server.thaw();
    assert!(server.log().contains("Server is ready"));
    assert!(server.url().ends_with(&server.port().to_string()));
    server.kill();
    assert!(async_nats::connect(server.url()).await.is_err());
}

#[tokio::test]
async fn a_bridge_answers_a_camera_and_survives_a_kill() {
    let mut bridge = Bridge::start("[log]\nlevel = \"debug\"\n").await;
    assert!(
        bridge.ingest().starts_with("http://127.0.0.1:") && bridge.admin().starts_with("http://127.0.0.1:")
    );
    assert!(bridge.mqtt().is_some_and(|url| url.starts_with("mqtt://")), "{}", bridge.log());
    let webhook = bridge.webhook().rsplit_once('/').unwrap().1.to_owned();
    let camera = bridge.camera();
    let alarm = serde_json::json!({"mac": "02-1a-2b-3c-4d-5e",
        "event_list": [{"dateTime": "20261005150501", "event_type": ["MOTION"]}]});
    let answer = camera.json(&alarm).await;
    assert_eq!((answer.status, answer.json()["durable"].as_bool()), (200, Some(true)), "{}", answer.head);
    assert_eq!(camera.multipart(&alarm, b"\xff\xd8\xff\xdb").await.status, 200);
    assert_eq!(camera.get().await.status, 200);
    camera.test_button().await;
    camera.cut_after(b"POST / HT").await;
    bridge.kill();
    bridge.restart().await;
    assert!(bridge.webhook().ends_with(&webhook), "the generated webhook is kept");
    bridge.configure("");
    let (status, _) = bridge.command(&["check", "--print"]).await;
    assert!(status.success());
    assert!(bridge.terminate().await.success());
    assert!(bridge.storage().try_exists().unwrap());
}

#[tokio::test]
async fn a_recorded_request_is_sent_as_it_is_but_for_path_and_host() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let camera = Camera::new(&format!("http://{}/alarm/s", listener.local_addr().unwrap()));
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("one.http");
    std::fs::write(
        &file,
        b"POST /alarm HTTP/1.1\r\nHOST: 192.0.2.5:8000\r\nContent-Length: 2\r\n\r\n\xff\x00",
    )
    .unwrap();
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\xff\x00") {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        let end = stream.read_buf(&mut bytes).await;
        (bytes, end.unwrap_err().kind())
    });
    assert_eq!(camera.file(&file).await.status, 200);
    let (bytes, end) = server.await.unwrap();
    let host = format!("POST /alarm/s HTTP/1.1\r\nHost: {}\r\nContent-Length: 2\r\n\r\n", camera.authority);
    assert_eq!(bytes, [host.as_bytes(), b"\xff\x00"].concat());
    assert_eq!(end, std::io::ErrorKind::ConnectionReset);
    assert!(camera.try_raw(b"").await.is_err());
}
