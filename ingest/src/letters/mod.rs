//! Dead letters read back, and put back into their windows, each at most once.
//!
//! ```text
//! dead_letters ─▶ select ─▶ judge ─▶ journal ───────▶ source::journal ─▶ worker ─▶ committer
//! read            filter    fate     table redriven                      like every other source
//! ```
//!
//! What is put back is first written down: a journal, append only, whose rows are numbered. Its end is
//! fenced like the offsets of a partition, so a letter enters it once, whoever else writes at the same
//! time. The journal is then a partition like any other: each table records how far it has counted it, so
//! a redrive that was killed goes on where each table stands.
//!
//! | to understand | read |
//! |---|---|
//! | which letters are meant | [`filter`] |
//! | listing, summing up, reading one | [`read`] |
//! | what would become of a letter now | [`fate`] |
//! | copies of events that were counted | `counted` |
//! | repaired payloads, from and to a file | [`repair`] |
//! | why a letter is put back once | [`journal`] |
//! | how the journal is counted | [`count`], [`crate::source::JournalSource`] |

pub mod count;
mod counted;
mod error;
pub mod fate;
pub mod filter;
mod id;
pub mod journal;
pub mod read;
pub mod repair;
mod rows;
#[cfg(test)]
pub(crate) mod testing;

pub use count::{RedriveError, count_journal, journal_positions};
pub use error::LettersError;
pub use fate::{Fate, Judge};
pub use filter::LetterFilter;
pub use id::{LetterId, LetterIdError};
pub use journal::{Entry, Journal, JournalReader, REDRIVEN, journal_schema};
pub use read::{Letters, Page, StoredLetter};
pub use repair::{RepairError, Repairs};
