//! Simulated devices: cameras and recorders with realistic identities.

use crate::model::Mac;

use super::random::Random;

/// A camera, with its data as reported by a recorder of the same site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedDevice {
    /// The camera's name; free text.
    pub name: String,
    /// MAC address in lower case with dashes, as known VIGI cameras write it.
    pub mac: String,
    /// The camera's own address, as it reports it.
    pub ip: String,
    /// The recorder's opaque identifier: 40 hex digits in upper case.
    pub recorder_id: String,
    /// Channel of the camera at the recorder.
    pub channel: u16,
}

/// User's settings for the devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The identity of the only device; else made from the seed.
    pub mac: Option<Mac>,
    /// The name; with several devices, they are numbered.
    pub name: Option<String>,
    /// The same seed gives the same devices.
    pub seed: u64,
}

/// Number of cameras per recorder.
const CHANNELS_PER_RECORDER: u16 = 8;

/// Makes `count` devices; at least one.
#[must_use]
pub fn fleet(wishes: &Wishes, count: u16) -> Vec<SimulatedDevice> {
    (0..count.max(1)).map(|number| device(wishes, number, count > 1)).collect()
}

/// The device of this number.
fn device(wishes: &Wishes, number: u16, numbered: bool) -> SimulatedDevice {
    let hex = wishes.mac.map_or_else(|| local_mac(wishes.seed, number), |mac| mac.hex());
    let tail = hex.get(8..).unwrap_or_default().to_uppercase();
    let name = match &wishes.name {
        Some(name) if numbered => format!("{name} {}", number + 1),
        Some(name) => name.clone(),
        // The factory default name of a real camera.
        None => format!("InSight S445 1.0_{tail}"),
    };
    let mut recorder = Random::new(!wishes.seed ^ u64::from(number / CHANNELS_PER_RECORDER));
    let recorder_id =
        format!("8021{:016X}{:016X}{:04X}", recorder.bits(), recorder.bits(), number / CHANNELS_PER_RECORDER);
    let ip = format!("192.168.{}.{}", number / 250, number % 250 + 2);
    SimulatedDevice { name, mac: dashes(&hex), ip, recorder_id, channel: number % CHANNELS_PER_RECORDER + 1 }
}

/// Twelve hex digits of a locally administered address.
fn local_mac(seed: u64, number: u16) -> String {
    let bits = Random::new(seed.wrapping_mul(0x1_0000).wrapping_add(u64::from(number))).bits();
    format!("02{:010x}", bits >> 24)
}

/// Puts dashes between the pairs.
fn dashes(hex: &str) -> String {
    let digits: Vec<char> = hex.chars().collect();
    digits.chunks(2).map(|pair| pair.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Wishes, fleet};

    #[test]
    fn a_thousand_devices_have_a_thousand_identities() {
        let devices = fleet(&Wishes::default(), 1_000);
        let macs: HashSet<&str> = devices.iter().map(|device| device.mac.as_str()).collect();
        assert_eq!(macs.len(), 1_000);
        assert!(macs.iter().all(|mac| mac.starts_with("02-") && mac.len() == 17));
        assert!(devices.iter().all(|device| device.recorder_id.len() == 40));
        assert_eq!(devices, fleet(&Wishes::default(), 1_000));
    }

    #[test]
    fn channels_of_one_recorder_share_its_identity() {
        let devices = fleet(&Wishes::default(), 9);
        assert_eq!(devices[0].recorder_id, devices[7].recorder_id);
        assert_ne!(devices[0].recorder_id, devices[8].recorder_id);
        assert_eq!((devices[7].channel, devices[8].channel), (8, 1));
    }

    #[test]
    fn the_wished_identity_is_spelled_as_cameras_do() {
        let mac = "98:BA:5F:8B:10:03".parse().ok();
        let wishes = Wishes { mac, ..Wishes::default() };
        let device = fleet(&wishes, 1).remove(0);
        assert_eq!(
            (device.mac.as_str(), device.name.as_str()),
            ("98-ba-5f-8b-10-03", "InSight S445 1.0_1003")
        );
    }
}
