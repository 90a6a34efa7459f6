//! Checks of the sinks and the embedded broker.

use super::Check;
use crate::config::address::Address;
use crate::config::sinks::{MqttVersion, REFUSALS_INVISIBLE};
use crate::config::{Broker, Cluster, Mqtt, Nats, Secret};
use crate::model::template::Template;

impl Mqtt {
    /// Checks the address, the topic and related keys.
    pub(in crate::config) fn check(&self, check: &mut Check<'_>) {
        if let Err(problem) = Template::topic(&self.base_topic) {
            check.wrong("mqtt.base_topic", format!("{:?} is not a topic: {problem}", self.base_topic));
        }
        check.within("mqtt.keep_alive_seconds", self.keep_alive_seconds, 1, 3_600);
        check.filled("mqtt.client_id", self.client_id.as_deref());
        check.filled("mqtt.server_name", self.server_name.as_deref());
        check.both_or_neither(("mqtt.cert", self.cert.is_some()), ("mqtt.key", self.key.is_some()));
        let password_alone = self.password.is_some() && self.user.is_none();
        if password_alone && self.version == MqttVersion::V311 && check.is_sound("mqtt.user") {
            check.wrong("mqtt.user", "it is missing: MQTT 3.1.1 takes no password without a user");
        }
        if self.version == MqttVersion::V311 && 0 < self.expire_seconds {
            check.warn(&"mqtt.expire_seconds".into(), "it does nothing: MQTT 3.1.1 messages do not expire");
        }
        if self.version == MqttVersion::V311 && self.cloudevents {
            check.warn(&"mqtt.cloudevents".into(), "it does nothing: MQTT 3.1.1 messages have no properties");
        }
        if self.refuses_silently() {
            check.warn(&"mqtt.version".into(), REFUSALS_INVISIBLE);
        }
        let Some(server) = &self.server else { return self.check_idle(check) };
        match Address::mqtt(server) {
            Err(problem) => check.wrong("mqtt.server", problem),
            Ok(address) if !address.tls && (self.ca.is_some() || self.cert.is_some() || self.insecure) => {
                let text = "settings of TLS are given, but it is not a TLS address: write mqtts:// or wss://";
                check.wrong("mqtt.server", text);
            }
            Ok(_) => {}
        }
    }

    /// Warns of settings without a server, which have no effect.
    fn check_idle(&self, check: &mut Check<'_>) {
        let given = self.user.is_some() || self.password.is_some() || self.client_id.is_some();
        if given && check.is_sound("mqtt.server") {
            check
                .warn(&"mqtt.server".into(), "it is missing, so the MQTT sink is off: write \"mqtt://host\"");
        }
    }
}

impl Nats {
    /// Checks the addresses, the prefix and that there is one way to log in.
    pub(in crate::config) fn check(&self, check: &mut Check<'_>) {
        for server in &self.servers {
            if let Err(problem) = Address::nats(server) {
                check.wrong("nats.servers", problem);
            }
        }
        if let Some(problem) = subject_problem(&self.subject_prefix) {
            check.wrong(
                "nats.subject_prefix",
                format!("{:?} is not a prefix: {problem}", self.subject_prefix),
            );
        }
        check.within("nats.replicas", self.replicas, 1, 5);
        check.both_or_neither(("nats.cert", self.cert.is_some()), ("nats.key", self.key.is_some()));
        check.both_or_neither(("nats.user", self.user.is_some()), ("nats.password", self.password.is_some()));
        let logins = [
            ("nats.user", self.user.is_some()),
            ("nats.token", self.token.is_some()),
            ("nats.nkey", self.nkey.is_some()),
            ("nats.credentials", self.credentials.is_some()),
        ];
        let given: Vec<&str> = logins.into_iter().filter_map(|(key, given)| given.then_some(key)).collect();
        if let [first, second, ..] = given.as_slice() {
            check.wrong(second, format!("{first} is given too: choose one way to log in"));
        }
    }
}

impl Cluster {
    /// Checks the addresses, the prefix, the login, and that the instance has a name.
    pub(in crate::config) fn check(&self, instance: Option<&str>, check: &mut Check<'_>) {
        for server in &self.servers {
            if let Err(problem) = Address::nats(server) {
                check.wrong("cluster.servers", problem);
            }
        }
        if let Some(problem) = subject_problem(&self.prefix)
            .or_else(|| self.prefix.contains('.').then_some("it is one token, so it has no dot"))
        {
            check.wrong("cluster.prefix", format!("{:?} is not a prefix: {problem}", self.prefix));
        }
        check.within("cluster.partitions", self.partitions, 1, 256);
        check.within("cluster.streams", self.streams, 1, 64);
        if self.partitions < self.streams {
            let why = format!(
                "{} streams cannot be shared by {} partitions: at most as many streams as partitions",
                self.streams, self.partitions
            );
            check.wrong("cluster.streams", why);
        }
        if 0 < self.copies {
            let why = "0 is the only value so far: every instance keeps every partition";
            check.wrong("cluster.copies", why);
        }
        check.within("cluster.ack_ms", self.ack_ms, 1, 60_000);
        check.within("cluster.replicas", self.replicas, 1, 5);
        check.within("cluster.lease_seconds", self.lease_seconds, 5, 300);
        check.both_or_neither(("cluster.cert", self.cert.is_some()), ("cluster.key", self.key.is_some()));
        let login = ("cluster.user", self.user.is_some());
        check.both_or_neither(login, ("cluster.password", self.password.is_some()));
        let others = [
            ("cluster.token", self.token.is_some()),
            ("cluster.nkey", self.nkey.is_some()),
            ("cluster.credentials", self.credentials.is_some()),
        ];
        let given: Vec<&str> =
            std::iter::once(login).chain(others).filter_map(|(key, given)| given.then_some(key)).collect();
        if let [first, second, ..] = given.as_slice() {
            check.wrong(second, format!("{first} is given too: choose one way to log in"));
        }
        if self.is_on() && instance.is_none() && check.is_sound("instance") {
            let why = "each instance of a cluster needs a name of its own: write instance = \"a\" at the top of the file";
            check.wrong("cluster.servers", why);
        }
    }
}

/// Reason why a text cannot be the prefix of all subjects.
fn subject_problem(prefix: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if prefix.split('.').any(str::is_empty) {
        return Some("it has an empty token: write one such as \"alarmbus\" or \"site.alarmbus\"");
    }
    let right = prefix.split('.').all(|token| token.chars().all(fits));
    (!right).then_some("use letters, digits, _ and -, tokens separated by dots")
}

impl Broker {
    /// Checks that a broker on the network requires a password.
    pub(in crate::config) fn check(&self, check: &mut Check<'_>) {
        check.filled("broker.user", self.user.as_deref());
        check.filled("broker.password", self.password.as_ref().map(Secret::expose));
        let open = !self.bind.ip().is_loopback();
        if open && (self.user.is_none() || self.password.is_none()) {
            for (key, given) in
                [("broker.user", self.user.is_some()), ("broker.password", self.password.is_some())]
            {
                if !given && check.is_sound(key) {
                    let bind = self.bind;
                    check.wrong(
                        key,
                        format!("it is missing: {bind} is open to the network; set it, or bind 127.0.0.1"),
                    );
                }
            }
            return;
        }
        check.both_or_neither(
            ("broker.user", self.user.is_some()),
            ("broker.password", self.password.is_some()),
        );
    }
}
