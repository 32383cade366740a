//! In which order views can be planned, and which read themselves.

use std::collections::BTreeMap;

/// The order of views, and what is wrong with it. Numbers are indexes of views.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Views that can be planned, each after those that it reads.
    pub ordered: Vec<usize>,
    /// Views that read each other in a ring, each ring once, in the order of reading.
    pub rings: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    /// On the path from the view we started with.
    Open,
    Done,
    /// In a ring, or above one.
    Lost,
}

/// Orders views, given what each reads.
pub(super) fn order(names: &[&str], reads: &[Vec<String>]) -> Order {
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let edges: Vec<Vec<usize>> =
        reads.iter().map(|names| names.iter().filter_map(|n| index.get(n.as_str()).copied()).collect()).collect();
    let mut order = Order::default();
    let mut marks = vec![Mark::Unseen; names.len()];
    for start in 0..names.len() {
        if marks[start] == Mark::Unseen {
            visit(start, &edges, &mut marks, &mut order);
        }
    }
    order
}

/// Depth first, on a path of our own: a chain of views may be longer than a thread's stack is deep.
fn visit(start: usize, edges: &[Vec<usize>], marks: &mut [Mark], order: &mut Order) {
    // View and the next of its edges.
    let mut path = vec![(start, 0)];
    marks[start] = Mark::Open;
    while let Some((view, next)) = path.last_mut() {
        let view = *view;
        let Some(&below) = edges[view].get(*next) else {
            path.pop();
            let is_lost = edges[view].iter().any(|&b| marks[b] == Mark::Lost);
            if is_lost || marks[view] == Mark::Lost {
                marks[view] = Mark::Lost;
            } else {
                marks[view] = Mark::Done;
                order.ordered.push(view);
            }
            continue;
        };
        *next += 1;
        let on_path = path.iter().position(|&(v, _)| v == below);
        match (marks[below], on_path) {
            (_, Some(at)) => {
                let ring: Vec<usize> = path[at..].iter().map(|&(v, _)| v).collect();
                ring.iter().for_each(|&v| marks[v] = Mark::Lost);
                order.rings.push(ring);
            }
            (Mark::Unseen, None) => {
                marks[below] = Mark::Open;
                path.push((below, 0));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reads: &[(&str, &[&str])]) -> (Vec<String>, Vec<String>) {
        let names: Vec<&str> = reads.iter().map(|r| r.0).collect();
        let edges: Vec<Vec<String>> = reads.iter().map(|r| r.1.iter().map(|n| (*n).to_owned()).collect()).collect();
        let order = order(&names, &edges);
        let named = |indexes: &[usize]| indexes.iter().map(|&i| names[i]).collect::<Vec<_>>().join(" ");
        (order.ordered.iter().map(|&i| names[i].to_owned()).collect(), order.rings.iter().map(|r| named(r)).collect())
    }

    #[test]
    fn what_is_read_comes_first() {
        let (ordered, rings) = of(&[("d", &["b", "c"]), ("c", &["a", "table"]), ("b", &["a"]), ("a", &[])]);
        assert_eq!((ordered.join(" ").as_str(), rings.len()), ("a b c d", 0));
    }

    #[test]
    fn each_ring_is_named_once_and_what_reads_it_waits() {
        let (ordered, rings) = of(&[
            ("above", &["x"]),
            ("x", &["y"]),
            ("y", &["z", "fine"]),
            ("z", &["x"]),
            ("fine", &[]),
            ("me", &["me"]),
        ]);
        assert_eq!((ordered.join(" "), rings), ("fine".to_owned(), vec!["x y z".to_owned(), "me".to_owned()]));
    }

    #[test]
    fn a_long_chain_is_no_trouble() {
        let names: Vec<String> = (0..20_000).map(|i| format!("v{i}")).collect();
        let reads: Vec<Vec<String>> = (0..20_000).map(|i| vec![format!("v{}", i + 1)]).collect();
        let order = order(&names.iter().map(String::as_str).collect::<Vec<_>>(), &reads);
        assert_eq!((order.ordered.len(), order.ordered[0]), (20_000, 19_999));
    }
}
