//! What workers of any process counted late, for the rules of this one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidewatch_ingest::clock::Clock;
use tidewatch_ingest::late::{LateEvents, LateFollower, LateNotes};
use tidewatch_storage::Store;

/// How often the table is looked at.
const POLL: Duration = Duration::from_secs(5);
/// What was noted so long before the start is looked at as well, microseconds: nobody may have been there to hear of it.
/// What was looked at before the start gives the same verdicts again, and they are written down once.
const LOOK_BACK_US: i64 = 86_400_000_000;

/// Stretches that the rules have not taken yet; bounded by its notes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LateInbox(Arc<Mutex<LateNotes>>);

impl LateInbox {
    /// All there is.
    pub fn take(&self) -> Vec<LateEvents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Fills it from the store for as long as somebody else holds it.
    pub fn follow(&self, store: Store, clock: Arc<dyn Clock>) {
        let inbox = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut follower = LateFollower::new(store, clock.now_us().saturating_sub(LOOK_BACK_US));
            while let Some(notes) = inbox.upgrade() {
                match follower.poll().await {
                    Ok(late) => {
                        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
                        late.iter().for_each(|one| notes.note_stretch(one));
                    }
                    Err(error) => tracing::warn!(%error, "what came late is not known; it is looked at again"),
                }
                drop(notes);
                tokio::time::sleep(POLL).await;
            }
        });
    }
}
