//! Mutates inputs of a corpus: changes bytes and numbers, inserts dictionary words, moves pieces.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// The maximum length of an input. Longer ones find nothing new and cost executions.
const BYTES_MAX: usize = 16 * 1024;
/// Boundary values of numbers.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1e999",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "0.1",
    "1e-320",
    "99999999999999999999999999",
    "-0.0",
    "65536",
];

/// Parses a dictionary in libFuzzer's form: a quoted word a line, `\x` and `\\` as in C.
pub(crate) fn dictionary(text: &str) -> Vec<Vec<u8>> {
    text.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"').map(unescaped)).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (_, true) => match rest.next() {
                Some(b'x') => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).unwrap()
                }
                Some(other) => other,
                None => b'\\',
            },
            (byte, false) => byte,
        });
    }
    bytes
}

/// Generates inputs. The same seed generates the same inputs.
pub(crate) struct Mutator<'c> {
    rng: SmallRng,
    corpus: &'c [Vec<u8>],
    words: &'c [Vec<u8>],
}

impl<'c> Mutator<'c> {
    pub(crate) fn new(seed: u64, corpus: &'c [Vec<u8>], words: &'c [Vec<u8>]) -> Self {
        assert!(!corpus.is_empty() && !words.is_empty());
        Self { rng: SmallRng::seed_from_u64(seed), corpus, words }
    }

    /// Returns the next input: one of the corpus after a few changes.
    pub(crate) fn input(&mut self) -> Vec<u8> {
        let mut input = self.any();
        for _ in 0..self.rng.random_range(1..=6) {
            self.change(&mut input);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn any(&mut self) -> Vec<u8> {
        self.corpus.choose(&mut self.rng).unwrap().clone()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let place = self.rng.random_range(0..=input.len());
        let piece = self.piece(input.len(), place);
        match self.rng.random_range(0..8) {
            0 => input.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << self.rng.random_range(0..8)),
            1 => drop(input.drain(piece)),
            2 => {
                let copied = input[piece].repeat(self.rng.random_range(1..=8));
                input.splice(place..place, copied);
            }
            3 => {
                let other = self.any();
                let from = self.rng.random_range(0..=other.len());
                let taken = self.piece(other.len(), from);
                input.splice(piece, other[taken].iter().copied());
            }
            4 => self.number(input, place),
            5 => {
                let word = self.words.choose(&mut self.rng).unwrap();
                input.splice(piece, word.iter().copied());
            }
            _ => {
                let word = self.words.choose(&mut self.rng).unwrap();
                input.splice(place..place, word.iter().copied());
            }
        }
    }

    /// Returns a short range from `place` on.
    fn piece(&mut self, length: usize, place: usize) -> std::ops::Range<usize> {
        let most = (length - place).min(1 << self.rng.random_range(0..8));
        place..place + self.rng.random_range(0..=most)
    }

    /// Replaces the next number after `place`.
    fn number(&mut self, input: &mut Vec<u8>, place: usize) {
        let Some(start) = input.iter().skip(place).position(u8::is_ascii_digit).map(|at| at + place) else { return };
        let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = NUMBERS.choose(&mut self.rng).unwrap();
        input.splice(start..start + digits, number.bytes());
    }
}
