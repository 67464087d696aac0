//! "Did you mean": the nearest of the words that would have been right.

/// The one of `known` that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wanted, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= (wanted.len().min(name.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A hint: the nearest of `known`, or all of them behind `introduction`.
pub(crate) fn hint(word: &str, known: &[&str], introduction: &str) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("{introduction}: none"),
        None => format!("{introduction}: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_a_stranger_is_not() {
        let known = || ["vault", "account", "secrets", "op"];
        assert_eq!(nearest("vualt", known()), Some("vault"));
        assert_eq!(nearest("Secret", known()), Some("secrets"));
        assert_eq!(nearest("OP", known()), Some("op"));
        assert_eq!(nearest("x", known()), None);
        assert_eq!(nearest("password", known()), None);
    }

    #[test]
    fn without_a_near_one_the_hint_names_all() {
        assert_eq!(hint("tt", &["ttl"], "known keys"), "did you mean `ttl`?");
        assert_eq!(hint("zzz", &["a", "bc"], "known keys"), "known keys: a, bc");
        assert_eq!(
            hint("zzz", &[], "the profiles are"),
            "the profiles are: none"
        );
    }
}
