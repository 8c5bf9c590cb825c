//! Pure: the known word that a mistyped one most likely meant.

/// Similarity (Jaro, 0 to 1) above which a word is suggested; what clap uses for its own suggestions, so that both faces
/// of a typing error look alike.
const SIMILAR_MIN: f64 = 0.7;

/// The known word that `word` most likely meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro(word, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > SIMILAR_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What to do about an unknown `word`.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    nearest(word, known).map_or_else(
        || format!("known here: {}", known.join(", ")),
        |known| format!("did you mean \"{known}\"?"),
    )
}
