//! The credentials of the connection of a setup link: which token is in use, and what a new one does to it.

use std::borrow::Cow;

use crate::clock::Millis;
use crate::diagnosis::connection_status::format_ago;
use crate::management::setup_link_holder::OpenLink;
use crate::management::tokens::{LIVE_TOKENS_MAX, StoredToken};
use crate::web::portal::texts;

/// What the page of a link shows about credentials.
pub(super) struct LinkCredentials {
    /// How many the link can still create.
    pub(super) left: u32,
    /// The token that the link has created last, while it is live.
    created: Option<StoredToken>,
    /// The other live tokens, newest first.
    others: Vec<StoredToken>,
    /// Whether the OAuth client of the link is in use.
    is_client_used: bool,
    now: Millis,
}

impl LinkCredentials {
    pub(super) fn new(found: &OpenLink, now: Millis) -> Self {
        let created = found.token().cloned();
        let is_other = |token: &&StoredToken| created.as_ref().is_none_or(|own| own.id != token.id);
        Self {
            left: found.credentials_left(),
            others: found.tokens.iter().filter(is_other).cloned().collect(),
            is_client_used: found.client.as_ref().is_some_and(|found| found.client.last_used_at.is_some()),
            created,
            now,
        }
    }

    /// The new token, if another one is in use: the link rotates the token.
    pub(super) fn new_token(&self) -> Option<&StoredToken> {
        self.created.as_ref().filter(|_| self.old_token().is_some())
    }

    /// Whether the token of the link is in use next to another one.
    pub(super) fn is_new_used(&self) -> bool {
        self.new_token().is_some_and(|token| token.first_used_at.is_some())
    }

    /// The newest other token that is in use.
    pub(super) fn old_token(&self) -> Option<&StoredToken> {
        self.others.iter().find(|token| token.first_used_at.is_some())
    }

    /// Whether a token works that the link has not created.
    pub(super) fn has_other(&self) -> bool {
        !self.others.is_empty()
    }

    /// Whether what the link has created is in use, so that another one does not replace it.
    pub(super) fn is_used(&self) -> bool {
        self.is_client_used || self.created.as_ref().is_some_and(|token| token.first_used_at.is_some())
    }

    /// The token in use that ends when the link creates another one.
    pub(super) fn ends_next(&self) -> Option<&StoredToken> {
        let is_counted = |token: &&StoredToken| token.first_used_at.is_some();
        let own = self.created.as_ref().filter(is_counted);
        let mut rest: Vec<&StoredToken> = own.into_iter().chain(&self.others).collect();
        rest.sort_by_key(|token| std::cmp::Reverse((token.created_at, token.id.clone())));
        let oldest = rest.get(LIVE_TOKENS_MAX as usize - 1)?;
        Some(*oldest).filter(|token| token.first_used_at.is_some())
    }

    /// Time since the last use of a token, or `never`.
    pub(super) fn last_used(&self, token: &StoredToken) -> Cow<'static, str> {
        token.last_used_at.map_or(Cow::Borrowed(texts::labels::NEVER), |at| Cow::Owned(format_ago(self.now - at)))
    }

    /// Time since the first use of a token; `None` if it is not used.
    pub(super) fn first_used(&self, token: &StoredToken) -> Option<String> {
        token.first_used_at.map(|at| format_ago(self.now - at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rights::TokenRights;

    fn token(id: &str, created_at: Millis, used: Option<Millis>) -> StoredToken {
        StoredToken {
            id: id.to_owned(),
            label: id.to_owned(),
            hint: id.to_owned(),
            rights: TokenRights::All,
            created_at,
            first_used_at: used,
            last_used_at: used,
            expires_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_third_token_ends_the_oldest_one_unless_it_replaces_an_unused_one_of_the_link() {
        let ends = |created: Option<StoredToken>, others: Vec<StoredToken>| {
            let credentials = LinkCredentials { left: 1, created, others, is_client_used: false, now: 100 };
            credentials.ends_next().map(|token| token.id.clone())
        };
        assert_eq!(ends(None, vec![token("a", 1, Some(2))]), None);
        assert_eq!(ends(Some(token("b", 3, None)), vec![token("a", 1, Some(2))]), None);
        assert_eq!(ends(Some(token("b", 3, Some(4))), vec![token("a", 1, Some(2))]).as_deref(), Some("a"));
        assert_eq!(ends(Some(token("b", 3, Some(4))), vec![token("a", 1, None)]), None);
        assert_eq!(ends(None, vec![token("b", 3, None), token("a", 1, Some(2))]).as_deref(), Some("a"));
    }

    #[test]
    fn a_token_of_the_link_is_a_rotation_if_another_one_is_in_use() {
        let new = |others| LinkCredentials {
            left: 1,
            created: Some(token("b", 3, None)),
            others,
            is_client_used: false,
            now: 100,
        };
        assert!(new(vec![token("a", 1, None)]).new_token().is_none());
        let rotation = new(vec![token("a", 1, Some(40))]);
        assert_eq!(rotation.new_token().map(|token| token.id.as_str()), Some("b"));
        assert!(!rotation.is_used() && rotation.first_used(&token("b", 3, None)).is_none());
        assert_eq!(rotation.last_used(&token("b", 3, None)), "never");
    }
}
