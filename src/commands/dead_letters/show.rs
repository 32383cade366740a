//! `tidewatch dead-letters show`.

use super::{advice, pretty};
use crate::cli::ShowLetter;
use crate::commands::sql::open;
use anyhow::{Result, bail};
use chrono::{DateTime, SecondsFormat};
use std::io::Write;
use std::process::ExitCode;
use tidewatch_ingest::dead_letter::REJECTED;
use tidewatch_ingest::letters::{LetterId, Letters, StoredLetter, repair};
use tidewatch_ingest::source::JOURNAL_TOPIC;

pub async fn show(options: ShowLetter) -> Result<ExitCode> {
    let (_, store, _) = open(options.tables.config.as_deref(), options.tables.data.as_deref())?;
    let letters = Letters::open(&store).await?;
    let found = letters.of(&options.letter).await?;
    let Some(first) = found.first() else {
        bail!("{}: there is no such letter\n  hint: `tidewatch dead-letters list` names them", options.letter);
    };
    let mut text = String::new();
    for letter in &found {
        text.push_str(&about(letter));
        text.push('\n');
    }
    if let Some((_, sequence)) = first.redriven {
        let again = LetterId::new(JOURNAL_TOPIC, 0, sequence);
        if !letters.of(&again).await?.is_empty() {
            text.push_str(&format!("refused again as the letter {again}\n\n"));
        }
    }
    text.push_str(&payload(first));
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn about(letter: &StoredLetter) -> String {
    let mut lines = vec![
        ("letter", letter.id.to_string()),
        ("reason", letter.reason.clone()),
        ("detail", letter.detail.clone()),
        ("disposition", letter.disposition.clone()),
        ("event type", letter.event_type.clone().unwrap_or_else(|| "not known".to_owned())),
        ("event id", letter.event_id.clone().unwrap_or_else(|| "not known".to_owned())),
        ("record time", letter.record_time_us.map_or_else(|| "none".to_owned(), instant)),
        ("arrival time", instant(letter.arrival_time_us)),
    ];
    match letter.redriven {
        Some((at_us, sequence)) => {
            lines.push(("redriven", format!("{}, number {sequence} in the journal", instant(at_us))));
        }
        None if letter.disposition == REJECTED => {
            let advice = advice::advice(&letter.reason).unwrap_or("See what the detail says.");
            lines.push(("what to do", advice.to_owned()));
            let id = &letter.id;
            let (export, repaired) = (
                format!("tidewatch dead-letters redrive --letter {id} --export FILE"),
                "edit FILE, and redrive --repaired FILE",
            );
            lines.push(("", format!("{export}; {repaired}")));
        }
        None => lines.push(("what to do", "Nothing has to be: it counts, with one value read as other.".to_owned())),
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().map(|(name, value)| format!("{name:width$}  {}\n", pretty::plain(value))).collect()
}

fn payload(letter: &StoredLetter) -> String {
    let kept = letter.payload.len();
    let mut text = match letter.is_cut_off() {
        true => format!("payload, {kept} bytes of {}\n", letter.payload_bytes),
        false => format!("payload, {kept} bytes\n"),
    };
    match repair::object(&letter.payload).filter(|_| !letter.is_cut_off()) {
        Some(json) => text.push_str(&pretty::json(json)),
        None => text.push_str(&pretty::plain(&String::from_utf8_lossy(&letter.payload))),
    }
    text.push('\n');
    text
}

fn instant(us: i64) -> String {
    let time = DateTime::from_timestamp_micros(us);
    time.map_or_else(|| format!("{us} µs"), |t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
