//! The words of a session: chosen at its start, shown to the person before the agent runs, and repeated in every prompt of it.

/// Short words that are told apart easily, 128 of them.
const WORDS: [&str; 128] = [
    "acorn", "amber", "anchor", "apple", "arrow", "autumn", "badger", "bamboo", "basket", "beacon",
    "beetle", "birch", "bishop", "blanket", "bottle", "branch", "brick", "bridge", "bronze",
    "bucket", "butter", "button", "cactus", "camel", "candle", "canyon", "carrot", "castle",
    "cedar", "chalk", "cherry", "cinder", "circle", "clover", "cobalt", "comet", "copper", "coral",
    "cotton", "cradle", "crater", "cricket", "crystal", "dagger", "daisy", "desert", "dolphin",
    "donkey", "dragon", "eagle", "ember", "engine", "falcon", "feather", "fiddle", "forest",
    "fossil", "garden", "garlic", "ginger", "glacier", "goblet", "granite", "hammer", "harbor",
    "hazel", "helmet", "heron", "honey", "island", "ivory", "jacket", "jasmine", "jungle",
    "kettle", "kitten", "ladder", "lagoon", "lantern", "lemon", "lizard", "magnet", "maple",
    "marble", "meadow", "melon", "mirror", "monkey", "mountain", "needle", "nutmeg", "oasis",
    "olive", "orchid", "otter", "oyster", "paddle", "panther", "parrot", "pebble", "pepper",
    "pillow", "planet", "pocket", "prairie", "pumpkin", "quartz", "rabbit", "raven", "ribbon",
    "river", "rocket", "saddle", "salmon", "silver", "spider", "summer", "sunset", "temple",
    "thunder", "tiger", "timber", "tulip", "turtle", "velvet", "walnut", "willow", "window",
];

/// Three words, which the agent has no way to learn: one guess in two million is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phrase(String);

impl Phrase {
    /// Words of the kernel's randomness; none when there is none.
    pub(super) fn choose() -> Option<Self> {
        let mut bytes = [0; 3];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self::of(bytes))
    }

    pub(super) fn of(bytes: [u8; 3]) -> Self {
        let words = bytes.map(|byte| {
            WORDS
                .get(usize::from(byte & 0x7f))
                .copied()
                .unwrap_or_default()
        });
        Self(words.join(" "))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_different_and_chosen_anew() {
        let mut sorted = WORDS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 128);
        assert_eq!(Phrase::of([0, 1, 255]).as_str(), "acorn amber window");
        let chosen: Vec<_> = (0..4).map(|_| Phrase::choose().unwrap()).collect();
        assert!(chosen.iter().any(|one| *one != chosen[0]));
    }
}
