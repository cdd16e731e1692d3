//! Pieces: the patches of leased parts, one request each. A piece is at first as large as its
//! permits allow. If Intercom refuses a whole request because of one item, the piece is split into
//! halves.

use super::leased::LeasedPart;
use crate::domain::patch::Patch;
use crate::ledger::{Changes, ChangesOfPart, PartOfJob};

/// A user's patch, with its place among the leased parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// The index of the part.
    pub(super) part: usize,
    /// The place of the user in the part.
    pub(super) user: usize,
    pub(super) patch: Patch,
}

/// Patches to send in one request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece(pub(super) Vec<Item>);

impl Piece {
    /// Returns the open patches of these parts as a stack of pieces of at most `size`. The first
    /// piece is on top, which is the end of the vector.
    pub(super) fn stack(parts: &[LeasedPart], size: usize) -> Vec<Self> {
        let mut all = Vec::new();
        for (part, leased) in parts.iter().enumerate() {
            let patches = leased.work.part.patches.iter().enumerate();
            let open = patches.filter(|(user, _)| leased.outcomes.of(*user).is_open());
            all.extend(open.map(|(user, patch)| Item { part, user, patch: patch.clone() }));
        }
        let mut pieces: Vec<Self> = all.chunks(size.max(1)).map(|items| Self(items.to_vec())).collect();
        pieces.reverse();
        pieces
    }

    /// Splits the piece into halves. Returns the patch as the error if there is only one.
    pub(super) fn halves(mut self) -> Result<(Self, Self), Patch> {
        if self.0.len() < 2 {
            return Err(self.0.remove(0).patch);
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
        self.0.iter().map(|item| item.patch.clone()).collect()
    }

    /// Returns the patches as the ledger stores them in a run of format 1, grouped by part.
    pub(super) fn changes(&self, parts: &[LeasedPart]) -> Changes {
        let of_part = |(index, items): (usize, Vec<&Item>)| ChangesOfPart {
            part: parts[index].work.part.id.clone(),
            patches: items.into_iter().map(|item| item.patch.clone()).collect(),
        };
        Changes { parts: self.by_part().into_iter().map(of_part).collect() }
    }

    /// Returns the parts of the request, with the places of their users unless all are in it.
    pub(super) fn parts_of_job(&self, parts: &[LeasedPart]) -> Vec<PartOfJob> {
        let of_part = |(index, items): (usize, Vec<&Item>)| {
            let part = &parts[index].work.part;
            let is_whole = items.len() == part.patches.len();
            let users = (!is_whole).then(|| items.iter().map(|item| item.user as u32).collect());
            PartOfJob { part: part.id.clone(), users, repeated: false }
        };
        self.by_part().into_iter().map(of_part).collect()
    }

    fn by_part(&self) -> Vec<(usize, Vec<&Item>)> {
        let mut by_part: Vec<(usize, Vec<&Item>)> = Vec::new();
        for item in &self.0 {
            match by_part.last_mut().filter(|(part, _)| *part == item.part) {
                Some((_, items)) => items.push(item),
                None => by_part.push((item.part, vec![item])),
            }
        }
        by_part
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::api::Way;
    use crate::domain::part::{Outcomes, PageRead, UserOutcome, cut};
    use crate::domain::run::RunId;
    use crate::domain::user::UserId;
    use crate::queue::Message;
    use crate::steps::submit::Work;

    fn parts(users: usize, size: usize) -> Vec<LeasedPart> {
        let patch = |n| Patch { user: UserId::new(format!("u{n}")).unwrap(), changes: Vec::new() };
        let read = PageRead { generation: 1, page: 1, reading: None };
        let parts = cut(&RunId::of("p", 0), read, (0..users).map(patch).collect(), size, |_| Way::Job);
        let message = Message { id: String::new(), receipt: String::new(), body: String::new(), receives: 1 };
        let leased = |part: crate::domain::part::Part| {
            let outcomes = Outcomes::open(part.patches.len());
            LeasedPart::new(Work { message: message.clone(), part }, outcomes, 1)
        };
        parts.into_iter().map(leased).collect()
    }

    fn names(piece: &Piece) -> Vec<String> {
        piece.0.iter().map(|item| item.patch.user.to_string()).collect()
    }

    #[test]
    fn pieces_keep_every_patch_and_its_part() {
        let parts = parts(90, 40);
        let pieces = Piece::stack(&parts, 35);
        assert_eq!(pieces.iter().map(|piece| piece.0.len()).collect::<Vec<_>>(), [20, 35, 35]);
        let changes = pieces[1].changes(&parts);
        assert_eq!(changes.parts.iter().map(|of| of.patches.len()).collect::<Vec<_>>(), [5, 30]);
        let of_job = pieces[1].parts_of_job(&parts);
        assert_eq!(of_job[0].users, Some((35..40).collect()));
        assert_eq!(
            (&of_job[1].part, of_job[1].users.as_deref()),
            (&parts[1].work.part.id, Some(&(0..30).collect::<Vec<_>>()[..]))
        );
        let whole = Piece::stack(&parts, 100)[0].parts_of_job(&parts);
        assert!(whole.iter().all(|of| of.users.is_none()), "{whole:?}");
    }

    #[test]
    fn users_with_an_outcome_are_not_sent_again() {
        let mut parts = parts(5, 3);
        parts[0].outcomes.set(1, UserOutcome::InJob);
        parts[1].outcomes.set(0, UserOutcome::Refused);
        parts[1].outcomes.set(1, UserOutcome::Unknown);
        let piece = Piece::stack(&parts, 100).remove(0);
        assert_eq!(names(&piece), ["u0", "u2", "u4"]);
        let of_job = piece.parts_of_job(&parts);
        assert_eq!([&of_job[0].users, &of_job[1].users], [&Some(vec![0, 2]), &Some(vec![1])]);
    }

    #[test]
    fn halving_ends_at_one_user() {
        let piece = Piece::stack(&parts(3, 3), 3).remove(0);
        let (first, second) = piece.halves().unwrap();
        assert_eq!((first.0.len(), second.0.len()), (1, 2));
        assert_eq!(first.halves().unwrap_err().user.as_str(), "u0");
    }

    #[test]
    fn a_cut_leaves_at_least_one_user_in_front() {
        for (size, lengths) in [(0, (1, 2)), (2, (2, 1)), (3, (3, 0)), (9, (3, 0))] {
            let [rest, first] = Piece::stack(&parts(3, 3), 3).remove(0).cut(size);
            assert_eq!((first.0.len(), rest.0.len()), lengths, "{size}");
        }
    }

    #[test]
    fn one_user_is_taken_out_of_all_pieces() {
        let stack = || Piece::stack(&parts(5, 5), 2);
        for (place, expected, left) in [(0, "u0", 3), (1, "u1", 3), (3, "u3", 3), (4, "u4", 2), (7, "u2", 3)] {
            let mut pieces = stack();
            let alone = Piece::one_alone(&mut pieces, place).unwrap();
            assert_eq!((names(&alone), pieces.len()), (vec![expected.to_owned()], left));
            assert_eq!(pieces.iter().map(|piece| piece.0.len()).sum::<usize>(), 4);
        }
        assert_eq!(Piece::one_alone(&mut Vec::new(), 1), None);
    }

    #[test]
    fn two_probes_per_delivery_reach_every_user() {
        for (users, size) in (2..=30).flat_map(|users| (1..=users).map(move |size| (users, size))) {
            let mut reached = BTreeSet::new();
            for receives in 1..=users {
                let mut pieces = Piece::stack(&parts(users, users), size);
                // A piece of one user that is sent first and fails becomes a suspect.
                if size == 1 {
                    reached.extend(pieces.pop().iter().flat_map(names));
                }
                for probe in 1..=2 {
                    reached.extend(Piece::one_alone(&mut pieces, receives * 2 + probe).iter().flat_map(names));
                }
            }
            assert_eq!(reached.len(), users, "{users} users in pieces of {size}");
        }
    }
}
