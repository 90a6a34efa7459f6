//! Random changes to inputs.

/// A small generator (splitmix64): the same seed gives the same run on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// From a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this (0 for 0).
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).expect("it fits");
        usize::try_from(self.next() % end).expect("it fits")
    }
}

/// An input made of others: one to eight changes.
pub(crate) fn mutated(random: &mut Random, corpus: &[Vec<u8>], words: &[&[u8]], longest: usize) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(8) {
        change(random, &mut input, corpus, words);
    }
    input.truncate(longest);
    input
}

/// One change.
fn change(random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]]) {
    let at = random.below(input.len() + 1);
    let end = at + random.below((input.len() - at).min(64) + 1);
    match random.below(9) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.next().to_le_bytes()[0],
        2 => drop(input.drain(at..end)),
        3 => input.truncate(at),
        4 => {
            let copy = input[at..end].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        5 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            let piece = other[from..(from + random.below(256)).min(other.len())].to_vec();
            input.splice(at..end, piece);
        }
        6 => {
            // One thing many times over: nests, lists, boundaries.
            let piece = words[random.below(words.len())].repeat(1 + random.below(300));
            input.splice(at..at, piece);
        }
        _ => {
            let word = words[random.below(words.len())].to_vec();
            input.splice(at..end, word);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let corpus = [b"{\"a\":1}".to_vec(), b"xyz".to_vec()];
    let run = |seed| {
        let mut random = Random::new(seed);
        (0..100).map(|_| mutated(&mut random, &corpus, &[b"[", b"null"], 4_096)).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
