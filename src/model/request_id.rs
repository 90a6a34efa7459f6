//! Identifiers of requests and of their alarms: an identifier of one leads to the others, in log, page and event.

use uuid::Uuid;

/// Mask of the last five digits, which number the alarms of a request.
const NUMBER: u128 = 0xf_ffff;

/// Identifier for a request, from a fresh UUID: it ends in 00000.
#[must_use]
pub fn request(fresh: Uuid) -> Uuid {
    Uuid::from_u128(fresh.as_u128() & !NUMBER)
}

/// Identifier of a request's alarm (counted from 0): that of the request with other last five digits.
#[must_use]
pub fn alarm(request: Uuid, number: usize) -> Uuid {
    let number = u128::try_from(number).unwrap_or(NUMBER).saturating_add(1).min(NUMBER);
    Uuid::from_u128(request.as_u128() & !NUMBER | number)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    #[test]
    fn the_alarms_of_a_request_differ_from_it_in_their_last_digits_only() {
        let request = super::request(Uuid::now_v7());
        let first = super::alarm(request, 0);
        let stem = |id: Uuid| id.to_string().chars().take(31).collect::<String>();
        assert_eq!(stem(request), stem(first));
        assert!(request.to_string().ends_with("00000") && first.to_string().ends_with("00001"));
        assert!(
            first < super::alarm(request, 1) && super::alarm(request, 1) < super::alarm(request, usize::MAX)
        );
        assert_eq!((first.get_version_num(), first.get_timestamp()), (7, request.get_timestamp()));
    }
}
