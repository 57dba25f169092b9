//! A queue that always knows the fold over everything in it, in O(1) amortised and without ever subtracting.
//!
//! Two stacks in one buffer: the leading `front` cells hold the fold from themselves to the end of that part,
//! the others are raw and folded into `back`. When the front is used up, one pass turns the raw cells into
//! it. Nothing is subtracted, so no rounding error outlives the sample that brought it, and minimum, maximum,
//! sums and regressions share one implementation (Tangwongsan et al., "In-order sliding-window aggregation in
//! worst-case constant time", 2021).

use std::collections::VecDeque;

/// An associative summary of consecutive samples.
pub trait Fold: Copy {
    /// The summary of `self` followed by `later`.
    fn join(self, later: Self) -> Self;
}

/// Cells in order of their keys, with the fold over all of them.
#[derive(Clone, Debug)]
pub struct Ring<F> {
    cells: VecDeque<(i64, F)>,
    front: usize,
    back: Option<F>,
}

impl<F> Default for Ring<F> {
    fn default() -> Self {
        Self { cells: VecDeque::new(), front: 0, back: None }
    }
}

impl<F: Fold> Ring<F> {
    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// The key of the oldest cell.
    pub fn oldest(&self) -> Option<i64> {
        self.cells.front().map(|(key, _)| *key)
    }

    /// The key of the newest cell.
    pub fn newest(&self) -> Option<i64> {
        self.cells.back().map(|(key, _)| *key)
    }

    /// Appends a cell; keys never fall.
    pub fn push(&mut self, key: i64, fold: F) {
        self.cells.push_back((key, fold));
        self.back = Some(self.back.map_or(fold, |back| back.join(fold)));
    }

    /// Joins `fold` to the newest cell, which takes over `key`; appends when there is no raw cell to join to.
    pub fn extend(&mut self, key: i64, fold: F) {
        if self.cells.len() == self.front {
            return self.push(key, fold);
        }
        if let Some(cell) = self.cells.back_mut() {
            *cell = (key, cell.1.join(fold));
        }
        self.back = Some(self.back.map_or(fold, |back| back.join(fold)));
    }

    /// Drops every cell whose key is at or below `bound`.
    pub fn evict(&mut self, bound: i64) {
        while self.oldest().is_some_and(|key| key <= bound) {
            if self.front == 0 {
                self.turn();
            }
            self.cells.pop_front();
            self.front -= 1;
        }
    }

    /// Makes all raw cells the front part.
    fn turn(&mut self) {
        for i in (1..self.cells.len()).rev() {
            self.cells[i - 1].1 = self.cells[i - 1].1.join(self.cells[i].1);
        }
        self.front = self.cells.len();
        self.back = None;
    }

    /// The fold over all cells.
    pub fn total(&self) -> Option<F> {
        let front = if self.front > 0 { self.cells.front().map(|(_, fold)| *fold) } else { None };
        join(front, self.back)
    }
}

/// Joins two summaries either of which may be missing.
pub fn join<F: Fold>(a: Option<F>, b: Option<F>) -> Option<F> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.join(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Span(i64, i64, i64);

    impl Fold for Span {
        fn join(self, later: Self) -> Self {
            Span(self.0, later.1, self.2 + later.2)
        }
    }

    #[test]
    fn the_total_is_the_fold_over_what_is_left() {
        let mut ring = Ring::default();
        for key in 1..=200_i64 {
            ring.push(key, Span(key, key, 1));
            ring.evict(key - 7);
            let first = (key - 6).max(1);
            assert_eq!(ring.total(), Some(Span(first, key, key - first + 1)), "after {key}");
        }
        ring.evict(500);
        assert_eq!((ring.total(), ring.cells()), (None, 0));
    }

    #[test]
    fn a_cell_is_extended_on_both_sides_of_a_turn() {
        let mut ring = Ring::default();
        ring.push(1, Span(1, 1, 1));
        ring.push(2, Span(2, 2, 1));
        ring.extend(2, Span(3, 3, 1));
        assert_eq!(ring.cells(), 2);
        ring.evict(1);
        ring.extend(2, Span(4, 4, 1));
        assert_eq!(ring.total(), Some(Span(2, 4, 3)));
    }
}
