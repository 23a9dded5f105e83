//! Inputs made from seeds by small changes; the same ones in every run.

/// What texts of this kind are made of: found by no bit flip.
const WORDS: [&[u8]; 28] = [
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"1e999",
    b"-0",
    b"\r\n",
    b"\n\n",
    b"data:",
    b"event: error\n",
    b"[DONE]",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xf0\x9f\x8c",
    b".",
    b"=",
    b"eyJ",
    b"__proto__",
    b" ",
    b"\0",
];

pub(crate) struct Mutations {
    seeds: &'static [&'static [u8]],
    state: u64,
    made: usize,
}

impl Mutations {
    pub(crate) fn new(name: &str, seeds: &'static [&'static [u8]]) -> Self {
        let state = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { seeds, state, made: 0 }
    }

    /// The seeds as they are, then changed.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        self.made += 1;
        if let Some(seed) = self.seeds.get(self.made - 1) {
            return seed.to_vec();
        }
        let mut bytes = self.seeds[self.below(self.seeds.len())].to_vec();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let to = (at + self.below(9)).min(bytes.len());
        match self.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 => drop(bytes.drain(at..to)),
            2 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
            3 => drop(bytes.splice(at..to, WORDS[self.below(WORDS.len())].iter().copied())),
            4 => {
                let piece = bytes[at..to].to_vec();
                drop(bytes.splice(at..at, piece.repeat(1 + self.below(30))));
            }
            5 => {
                let other = self.seeds[self.below(self.seeds.len())];
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let byte = self.below(256) as u8;
                bytes.insert(at, byte);
            }
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}
