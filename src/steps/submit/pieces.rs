//! Pieces: the patches of leased parts, one request each. A piece is at first as large as its
//! permits allow. If Intercom refuses a whole request because of one item, the piece is split into
//! halves.

use crate::domain::part::{Part, PartId};
use crate::domain::patch::Patch;
use crate::ledger::{Changes, ChangesOfPart};

/// Patches to send in one request, each with the index of its part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece(pub(super) Vec<(usize, Patch)>);

impl Piece {
    /// Returns the patches of these parts as a stack of pieces of at most `size`. The first piece
    /// is on top, which is the end of the vector.
    pub(super) fn stack<'a>(parts: impl Iterator<Item = &'a Part>, size: usize) -> Vec<Self> {
        let each = |(index, part): (usize, &'a Part)| part.patches.iter().map(move |patch| (index, patch.clone()));
        let all: Vec<_> = parts.enumerate().flat_map(each).collect();
        let mut pieces: Vec<Self> = all.chunks(size.max(1)).map(|patches| Self(patches.to_vec())).collect();
        pieces.reverse();
        pieces
    }

    /// Splits the piece into halves. Returns the patch as the error if there is only one.
    pub(super) fn halves(mut self) -> Result<(Self, Self), Patch> {
        if self.0.len() < 2 {
            return Err(self.0.remove(0).1);
        }
        let second = self.0.split_off(self.0.len() / 2);
        Ok((self, Self(second)))
    }

    /// Cuts the piece after `size` users, at least one. Returns the rest and the first users, in the
    /// order of a stack.
    pub(super) fn cut(mut self, size: usize) -> [Self; 2] {
        let rest = self.0.split_off(size.clamp(1, self.0.len()));
        [Self(rest), self]
    }

    /// Removes one user from a stack of pieces and returns it as a piece. `place` counts the users
    /// from the top, modulo their number.
    pub(super) fn one_alone(stack: &mut Vec<Self>, place: usize) -> Option<Self> {
        let users: usize = stack.iter().map(|piece| piece.0.len()).sum();
        let mut place = place.checked_rem(users)?;
        let alone = stack.iter_mut().rev().find_map(|piece| {
            let is_here = place < piece.0.len();
            place -= if is_here { 0 } else { piece.0.len() };
            is_here.then(|| piece.0.remove(place))
        })?;
        stack.retain(|piece| !piece.0.is_empty());
        Some(Self(vec![alone]))
    }

    /// Returns the patches of the request.
    pub(super) fn patches(&self) -> Vec<Patch> {
        self.0.iter().map(|(_, patch)| patch.clone()).collect()
    }

    /// Returns the patches as the ledger stores them, grouped by part.
    pub(super) fn changes(&self, parts: &[PartId]) -> Changes {
        let mut kept: Vec<ChangesOfPart> = Vec::new();
        for (index, patch) in &self.0 {
            let part = &parts[*index];
            match kept.last_mut().filter(|last| last.part == *part) {
                Some(last) => last.patches.push(patch.clone()),
                None => kept.push(ChangesOfPart { part: part.clone(), patches: vec![patch.clone()] }),
            }
        }
        Changes { parts: kept }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::part::cut;
    use crate::domain::run::RunId;
    use crate::domain::user::UserId;

    fn parts(users: usize, size: usize) -> Vec<Part> {
        let patch = |n| Patch { user: UserId::new(format!("u{n}")).unwrap(), changes: Vec::new() };
        cut(&RunId::of("p", 0), 1, 1, (0..users).map(patch).collect(), size)
    }

    #[test]
    fn pieces_keep_every_patch_and_its_part() {
        let parts = parts(90, 40);
        let pieces = Piece::stack(parts.iter(), 35);
        assert_eq!(pieces.iter().map(|piece| piece.0.len()).collect::<Vec<_>>(), [20, 35, 35]);
        let ids: Vec<PartId> = parts.iter().map(|part| part.id.clone()).collect();
        let changes = pieces[1].changes(&ids);
        assert_eq!(changes.parts.iter().map(|of| of.patches.len()).collect::<Vec<_>>(), [5, 30]);
    }

    #[test]
    fn halving_ends_at_one_user() {
        let piece = Piece::stack(parts(3, 3).iter(), 3).remove(0);
        let (first, second) = piece.halves().unwrap();
        assert_eq!((first.0.len(), second.0.len()), (1, 2));
        assert_eq!(first.halves().unwrap_err().user.as_str(), "u0");
    }

    #[test]
    fn a_cut_leaves_at_least_one_user_in_front() {
        for (size, lengths) in [(0, (1, 2)), (2, (2, 1)), (3, (3, 0)), (9, (3, 0))] {
            let [rest, first] = Piece::stack(parts(3, 3).iter(), 3).remove(0).cut(size);
            assert_eq!((first.0.len(), rest.0.len()), lengths, "{size}");
        }
    }

    #[test]
    fn one_user_is_taken_out_of_all_pieces() {
        let stack = || Piece::stack(parts(5, 5).iter(), 2);
        for (place, expected, left) in [(0, "u0", 3), (1, "u1", 3), (3, "u3", 3), (4, "u4", 2), (7, "u2", 3)] {
            let mut pieces = stack();
            let alone = Piece::one_alone(&mut pieces, place).unwrap();
            assert_eq!((alone.0.len(), alone.0[0].1.user.as_str(), pieces.len()), (1, expected, left));
            assert_eq!(pieces.iter().map(|piece| piece.0.len()).sum::<usize>(), 4);
        }
        assert_eq!(Piece::one_alone(&mut Vec::new(), 1), None);
    }

    #[test]
    fn two_probes_per_delivery_reach_every_user() {
        let name = |piece: Piece| piece.0[0].1.user.to_string();
        for (users, size) in (2..=30).flat_map(|users| (1..=users).map(move |size| (users, size))) {
            let mut reached = BTreeSet::new();
            for receives in 1..=users {
                let mut pieces = Piece::stack(parts(users, users).iter(), size);
                // A piece of one user that is sent first and fails becomes a suspect.
                if size == 1 {
                    reached.extend(pieces.pop().map(name));
                }
                for probe in 1..=2 {
                    reached.extend(Piece::one_alone(&mut pieces, receives * 2 + probe).map(name));
                }
            }
            assert_eq!(reached.len(), users, "{users} users in pieces of {size}");
        }
    }
}
