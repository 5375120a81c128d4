//! Numbers, durations, rates and times as people write them: the same in the program's lines,
//! on the explorer's pages and on the dashboard.

/// A count with its noun: "1 payment", "3 payments", "1,500 payments".
pub fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// Digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in the words of a conversation: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds > 100.0 * 365.25 * 86_400.0 {
        return "more than a century".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole / 60 % 60),
        _ => format!("{} {} h", count(whole / 86_400, "day"), whole / 3_600 % 24),
    }
}

/// Hashes a second with the unit people compare by.
pub fn hash_rate(per_second: f64) -> String {
    match per_second {
        r if r >= 999.5e6 => format!("{:.2} GH/s", r / 1e9),
        r if r >= 999.5e3 => format!("{:.1} MH/s", r / 1e6),
        r if r >= 999.5 => format!("{:.1} kH/s", r / 1e3),
        r => format!("{r:.0} H/s"),
    }
}

/// A moment as UTC, "2026-11-22 17:51:21". The proleptic Gregorian calendar by Howard
/// Hinnant's days-to-civil algorithm; years past 9999 are told as what they are, far away.
pub fn utc(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    if days > 2_932_896 {
        return "after the year 9999".to_owned();
    }
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(1_usize, "payment"), "1 payment");
        assert_eq!(count(0_usize, "payment"), "0 payments");
        assert_eq!(count(1_234_567_u64, "block"), "1,234,567 blocks");
        assert_eq!(hash_rate(0.0), "0 H/s");
        assert_eq!(hash_rate(18_400_000.0), "18.4 MH/s");
        assert_eq!(hash_rate(1_250_000_000.0), "1.25 GH/s");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0.44, "0.4 s"),
            (9.94, "9.9 s"),
            (9.96, "10 s"),
            (59.6, "1 min 0 s"),
            (200.0, "3 min 20 s"),
            (7_500.0, "2 h 5 min"),
            (90_000.0, "1 day 1 h"),
            (f64::INFINITY, "more than a century"),
            (f64::NAN, "more than a century"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn times_are_utc_dates() {
        for (milliseconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (1_795_369_881_999, "2026-11-22 17:51:21"),
            (u64::MAX, "after the year 9999"),
        ] {
            assert_eq!(utc(milliseconds), text);
        }
    }
}
