//! Calendars as people write them: opening hours in the notation of OpenStreetMap's `opening_hours`, holidays as dates.
//!
//! | text | is |
//! |---|---|
//! | `Mo-Fr 09:00-17:00; Sa 10:00-14:00` | rules, of which the last one that names a day holds for it; other days are closed |
//! | `09:00-12:00,13:00-17:00` | every day |
//! | `Mo,We-Fr 22:00-02:00` | from the evening until the next morning |
//! | `Mo-Su 08:00-20:00; We off` | every day but Wednesday |
//! | `24/7`, or nothing | always |
//! | `2026-12-25, 2026-12-26` | holidays: local days on which it is closed |
//!
//! Of the notation only this much is read. Public holidays by name (`PH`), months, weeks and sunrise are refused.

use super::{Calendar, Hours, MINUTES_OF_DAY};
use chrono::NaiveDate;
use std::collections::BTreeSet;

const DAYS: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];

/// A text that is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// Opening hours that cannot be read.
    #[error("expected opening hours such as 'Mo-Fr 09:00-17:00; Sa 10:00-14:00', found '{0}'{1}")]
    Hours(String, &'static str),
    /// Holidays that are no dates.
    #[error("expected holidays as dates such as '2026-12-25, 2026-12-26', found '{0}'")]
    Holidays(String),
}

impl Calendar {
    /// Sets the opening hours. Nothing but blanks is always open.
    ///
    /// # Errors
    /// [`BadText::Hours`] with the part that cannot be read.
    pub fn set_hours(&mut self, text: &str) -> Result<(), BadText> {
        self.week = week(text)?;
        Ok(())
    }

    /// Sets the holidays: dates with commas or blanks between them.
    ///
    /// # Errors
    /// [`BadText::Holidays`] with the part that is no date.
    pub fn set_holidays(&mut self, text: &str) -> Result<(), BadText> {
        let dates = text.split([',', ' ']).filter(|date| !date.is_empty());
        let date = |text: &str| text.parse::<NaiveDate>().map_err(|_| BadText::Holidays(text.to_owned()));
        self.holidays = dates.map(date).collect::<Result<BTreeSet<_>, _>>()?;
        Ok(())
    }
}

/// Minutes of a day, from inclusive; an end that is not after the start is one of the next day.
type Span = (u16, u16);

fn week(text: &str) -> Result<Option<[Vec<Hours>; 7]>, BadText> {
    if matches!(text.trim(), "" | "24/7") {
        return Ok(None);
    }
    let mut rules: [Vec<Span>; 7] = Default::default();
    for rule in text.split(';').map(str::trim).filter(|rule| !rule.is_empty()) {
        let (days, spans) = read_rule(rule)?;
        for (kept, _) in rules.iter_mut().zip(days).filter(|(_, named)| *named) {
            kept.clone_from(&spans);
        }
    }
    let mut week: [Vec<Hours>; 7] = Default::default();
    for (day, spans) in rules.iter().enumerate() {
        for &(from_minute, to_minute) in spans {
            let ends_today = to_minute > from_minute;
            let mut open = |day: usize, from_minute: u16, to_minute: u16| {
                if let Some(hours) = week.get_mut(day % DAYS.len()).filter(|_| from_minute < to_minute) {
                    hours.push(Hours { from_minute, to_minute });
                }
            };
            open(day, from_minute, if ends_today { to_minute } else { MINUTES_OF_DAY });
            if !ends_today {
                open(day + 1, 0, to_minute);
            }
        }
    }
    Ok(Some(week.map(joined)))
}

/// In order, none overlapping.
fn joined(mut hours: Vec<Hours>) -> Vec<Hours> {
    hours.sort_by_key(|hours| hours.from_minute);
    let mut joined: Vec<Hours> = Vec::with_capacity(hours.len());
    for next in hours {
        match joined.last_mut() {
            Some(last) if next.from_minute <= last.to_minute => last.to_minute = last.to_minute.max(next.to_minute),
            _ => joined.push(next),
        }
    }
    joined
}

/// Which days, and when they are open.
fn read_rule(rule: &str) -> Result<([bool; 7], Vec<Span>), BadText> {
    let bad = |hint| BadText::Hours(rule.to_owned(), hint);
    let times = rule.find(|character: char| character.is_ascii_digit());
    let (days, times) = match times {
        Some(at) => rule.split_at(at),
        None => {
            let days = rule.strip_suffix("off").or_else(|| rule.strip_suffix("closed"));
            (days.ok_or_else(|| bad(": hours are missing, or 'off'"))?, "")
        }
    };
    let named = match days.trim() {
        "" => [true; 7],
        days => read_days(days).ok_or_else(|| bad(": days are Mo, Tu, We, Th, Fr, Sa, Su; holidays are dates"))?,
    };
    let spans = times.split(',').map(str::trim).filter(|span| !span.is_empty());
    let spans: Option<Vec<Span>> = spans.map(read_span).collect();
    Ok((named, spans.ok_or_else(|| bad(": times are from 00:00 to 24:00, as in 09:00-17:00"))?))
}

fn read_days(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name.trim()));
    let mut named = [false; 7];
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (day(first)?, day(last)?);
        let days = (last + DAYS.len() - first) % DAYS.len();
        (first..=first + days).for_each(|day| named.iter_mut().skip(day % DAYS.len()).take(1).for_each(|d| *d = true));
    }
    Some(named)
}

fn read_span(text: &str) -> Option<Span> {
    let minute = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let hours = digits(hours).then(|| hours.parse::<u16>().ok())??;
        let minutes = digits(minutes).then(|| minutes.parse::<u16>().ok())?.filter(|minutes| *minutes < 60)?;
        Some(hours * 60 + minutes).filter(|minute| *minute <= MINUTES_OF_DAY)
    };
    let (from, to) = text.split_once('-')?;
    Some((minute(from)?, minute(to)?)).filter(|(from, to)| from != to && *from < MINUTES_OF_DAY)
}
