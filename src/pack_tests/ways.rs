//! In which ways the events of a test come together. Numbers must be the same in all of them.

/// Cuts that are tried at most.
const CUTS_MAX: usize = 12;

/// One way: pieces, each of events by their index in the order they are counted in.
#[derive(Debug, PartialEq, Eq)]
pub struct Way {
    /// For messages, as in "with events …".
    pub name: String,
    /// What is frozen together.
    pub pieces: Vec<Vec<usize>>,
}

/// All ways for so many events; the first is the plain one.
pub fn ways(events: usize) -> Vec<Way> {
    let way = |name: &str, pieces: Vec<Vec<usize>>| Way { name: name.to_owned(), pieces };
    let all: Vec<usize> = (0..events).collect();
    let mut ways = vec![way("in order", vec![all.clone()])];
    if events < 2 {
        return ways;
    }
    ways.push(way("in reverse", vec![all.iter().rev().copied().collect()]));
    // Far apart first: what depends on cuts shows most where nothing is left together.
    ways.push(way("each in a piece of its own, in reverse", all.iter().rev().map(|&e| vec![e]).collect()));
    let cuts = (events - 1).min(CUTS_MAX);
    for cut in 1..=cuts {
        let after = (cut * (events - 1)).div_ceil(cuts);
        let (first, second) = all.split_at(after);
        ways.push(way(&format!("cut after number {after}"), vec![first.to_vec(), second.to_vec()]));
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_every_event_once() {
        for events in [0, 1, 2, 3, 12, 13, 14, 40] {
            let ways = ways(events);
            for way in &ways {
                let mut seen: Vec<usize> = way.pieces.concat();
                seen.sort_unstable();
                assert_eq!(seen, (0..events).collect::<Vec<_>>(), "{}", way.name);
            }
            let cuts = ways.iter().filter(|w| w.name.starts_with("cut")).count();
            assert_eq!(cuts, events.saturating_sub(1).min(12), "{events} events");
        }
        assert_eq!(ways(0).len() + ways(1).len(), 2);
        let names: Vec<String> = ways(3).into_iter().map(|w| w.name).collect();
        assert_eq!(names[3..], ["cut after number 1", "cut after number 2"]);
    }
}
