//! Cursors of a session: answers that are fetched in pieces. They stay until they are closed, or declared anew,
//! and all of a session together are no larger than one answer may be.

use super::errors::{error, state};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidewatch_query::Answer;

/// Cursors that one session may have.
const CURSORS_MAX: usize = 32;

/// The cursors of a session.
#[derive(Debug, Default)]
pub(super) struct Cursors(Mutex<BTreeMap<String, Cursor>>);

#[derive(Debug)]
struct Cursor {
    schema: SchemaRef,
    left: VecDeque<RecordBatch>,
}

impl Cursors {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Cursor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer under a name.
    pub fn declare(&self, name: &str, answer: Answer, bytes_max: usize) -> PgWireResult<()> {
        let mut all = self.all();
        all.remove(name);
        let bytes = |batches: &mut dyn Iterator<Item = &RecordBatch>| -> usize {
            batches.map(RecordBatch::get_array_memory_size).sum()
        };
        let kept = bytes(&mut all.values().flat_map(|c| &c.left)) + bytes(&mut answer.batches.iter());
        if all.len() >= CURSORS_MAX || kept > bytes_max {
            let message = format!("more than {CURSORS_MAX} cursors, or {bytes_max} bytes of them, in one session");
            return Err(error(state::LIMIT, message));
        }
        all.insert(name.to_owned(), Cursor { schema: answer.schema, left: answer.batches.into() });
        Ok(())
    }

    /// The columns of a cursor.
    pub fn schema(&self, name: &str) -> PgWireResult<SchemaRef> {
        let all = self.all();
        all.get(name).map(|c| SchemaRef::clone(&c.schema)).ok_or_else(|| missing(name))
    }

    /// The next rows, at most so many.
    pub fn fetch(&self, name: &str, rows: usize) -> PgWireResult<Answer> {
        let mut all = self.all();
        let cursor = all.get_mut(name).ok_or_else(|| missing(name))?;
        let (mut batches, mut wanted) = (Vec::new(), rows);
        while wanted > 0
            && let Some(batch) = cursor.left.pop_front()
        {
            let taken = wanted.min(batch.num_rows());
            wanted -= taken;
            batches.push(batch.slice(0, taken));
            if taken < batch.num_rows() {
                cursor.left.push_front(batch.slice(taken, batch.num_rows() - taken));
            }
        }
        Ok(Answer { schema: SchemaRef::clone(&cursor.schema), batches })
    }

    /// Forgets one, or all.
    pub fn close(&self, name: Option<&str>) {
        let mut all = self.all();
        match name {
            Some(name) => {
                all.remove(name);
            }
            None => all.clear(),
        }
    }
}

fn missing(name: &str) -> PgWireError {
    error("34000", format!("cursor \"{name}\" does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn cursors_are_fetched_in_pieces() {
        use datafusion::arrow::array::{Array, Int64Array};
        let column: Arc<dyn Array> = Arc::new(Int64Array::from_iter_values(0..10));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let cursors = Cursors::default();
        let found = Answer { schema: batch.schema(), batches: vec![batch.slice(0, 4), batch.slice(4, 6)] };
        cursors.declare("c", found, 1 << 20).unwrap();
        let pieces: Vec<usize> = [3, 3, 3, 3, 3].map(|n| cursors.fetch("c", n).unwrap().row_count()).into();
        assert_eq!(pieces, [3, 3, 3, 1, 0]);
        assert!(cursors.fetch("d", 1).is_err());
        cursors.close(Some("c"));
        assert!(cursors.schema("c").is_err());
    }
}
