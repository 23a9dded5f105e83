//! Moments and limits, in milliseconds.

/// A moment, on two clocks: the wall clock may be set, the monotonic one may stop while the machine sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moment {
    /// Since the Unix epoch.
    pub(crate) wall: f64,
    /// Since some fixed moment in the past.
    pub(crate) monotonic: f64,
}

impl Moment {
    /// The time from `earlier` to here: the larger of both clocks' answers, so that neither a clock set back nor a
    /// sleeping machine makes it too short.
    pub(crate) fn since(self, earlier: Moment) -> f64 {
        (self.wall - earlier.wall).max(self.monotonic - earlier.monotonic).max(0.0)
    }
}

/// No limit, or a moment that never comes.
pub(crate) const NEVER: f64 = f64::INFINITY;

/// A limit for each kind of wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) session: f64,
    pub(crate) token: f64,
    pub(crate) first_byte: f64,
    pub(crate) idle: f64,
    pub(crate) content: f64,
    pub(crate) total: f64,
}

/// Ids and jitter: a stream of numbers from one seed that the platform drew. Nothing secret comes of it.
pub(crate) struct Random(u128);

impl Random {
    pub(crate) fn new(seed: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(seed))
    }

    /// SplitMix64 over both halves of the seed.
    fn next(&mut self) -> u64 {
        let (high, low) = ((self.0 >> 64) as u64, (self.0 as u64).wrapping_add(0x9E37_79B9_7F4A_7C15));
        self.0 = u128::from(high) << 64 | u128::from(low);
        let mut mixed = low ^ high;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Between zero and one.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A random id.
    pub(crate) fn uuid(&mut self) -> String {
        crate::wire::uuid_v4((u128::from(self.next()) << 64 | u128::from(self.next())).to_le_bytes())
    }
}
