//! Operations for the holder of a setup link: open the link, create credentials, and finish the setup.

pub mod replaced_secret;

use serde_json::json;

use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::management::configuration_settings;
use crate::management::oauth::{self, ClientWithSecrets, NewOauthClient};
use crate::management::tokens::{self, StoredToken, TokenDraft};
use crate::model::audit_context::{AccountScope, Actor, ActorKind, AuditContext, Authority};
use crate::model::configuration::Configuration;
use crate::model::permission::Permissions;
use crate::model::rights::TokenState;
use crate::model::setup_link::LinkPurpose;
use crate::providers::{self, IdentityProvider};
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::setup_links as rows;
use crate::store::tables::setup_links::SetupLink;
use crate::store::tables::{accounts as account_rows, configurations as configuration_rows, tokens as token_rows};
use crate::store::{Snapshot, Tx};

/// Most tokens and OAuth clients that one link creates.
pub const TOKENS_MAX: u32 = 10;
/// Most addresses of one link and day that are recorded in the audit log.
pub const VISITS_MAX: u32 = 50;
/// Newest tokens that are read to find the live ones, of which there are two.
const TOKENS_READ: u32 = 100;
/// Milliseconds in a day.
const DAY: Millis = 24 * 60 * 60 * 1000;

/// Origin of a call that is authorized only by a setup link.
#[derive(Debug, Clone)]
pub struct LinkHolder {
    /// IP address.
    pub address: Option<String>,
    /// Request id.
    pub request_id: Option<String>,
}

/// A live setup link.
#[derive(Debug, Clone)]
pub struct OpenLink {
    /// The link.
    pub link: SetupLink,
    /// The configuration of the link.
    pub configuration: Configuration,
    /// The live tokens of the configuration, newest first.
    pub tokens: Vec<StoredToken>,
    /// The OAuth client that was created last with the link, or whose secret it replaces.
    pub client: Option<ClientWithSecrets>,
}

impl OpenLink {
    /// How many tokens and OAuth clients the link can still create.
    pub fn credentials_left(&self) -> u32 {
        TOKENS_MAX.saturating_sub(self.link.tokens_made)
    }

    /// Whether the holder may choose the identity provider: the link names none, and the configuration has no calls yet, or is for
    /// any SCIM client.
    pub fn may_choose_provider(&self) -> bool {
        let present = providers::provider_of_configuration(&self.configuration);
        self.link.provider.is_none()
            && self.link.purpose == LinkPurpose::Setup
            && (self.configuration.last_seen.is_none() || present.key == providers::CUSTOM_KEY)
    }

    /// The provider of the link, or that of the configuration.
    pub fn provider(&self) -> &'static IdentityProvider {
        let named = self.link.provider.as_deref().and_then(providers::find_provider);
        named.unwrap_or_else(|| providers::provider_of_configuration(&self.configuration))
    }

    /// The token that was created last with the link, while it is live.
    pub fn token(&self) -> Option<&StoredToken> {
        let id = self.link.token_made.as_deref()?;
        self.tokens.iter().find(|token| token.id == id)
    }

    /// The newest other token in use, while that of the link is in use next to it.
    pub fn replaced_token(&self) -> Option<&StoredToken> {
        let own = self.token().filter(|token| token.first_used_at.is_some())?;
        self.tokens.iter().find(|token| token.id != own.id && token.first_used_at.is_some())
    }

    /// The token that the next one replaces: that of the link, while it is not used.
    pub fn unused_token(&self) -> Option<&StoredToken> {
        self.token().filter(|token| token.first_used_at.is_none())
    }
}

/// Returns the live link whose secret has this digest.
///
/// # Errors
/// `NotFound` if there is none, `Gone` if it has ended or expired. 503 while the account moves.
pub fn find_open_link(at: &Snapshot<'_>, digest: &TokenDigest, now: Millis) -> Result<OpenLink> {
    let link = rows::find_link_by_digest(at, digest)?.ok_or(Reason::LinkUnknown)?;
    if link.ended_at.is_some() {
        return Err(Reason::LinkEnded.into());
    }
    if !link.is_live(now) {
        return Err(Reason::LinkExpired.into());
    }
    let configuration =
        configuration_rows::find_configuration_by_key(at, link.configuration)?.ok_or(Reason::LinkEnded)?;
    account_rows::find_state(at, configuration.account.key)?.check_active()?;
    let mut tokens = token_rows::list_tokens(at, configuration.key, None, TOKENS_READ)?;
    tokens.retain(|token| token.state(now) == TokenState::Live);
    let scope = AccountScope::Account(configuration.account.clone());
    let client = match link.client_made.as_deref() {
        Some(client_id) => find_created_client(at, &scope, (&configuration.id, client_id))?,
        None => None,
    };
    Ok(OpenLink { link, configuration, tokens, client })
}

/// Returns a client that a link has created; `None` if it was deleted since.
fn find_created_client(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    (configuration_id, client_id): (&str, &str),
) -> Result<Option<ClientWithSecrets>> {
    match oauth::find_client(at, scope, configuration_id, client_id) {
        Err(error) if error.reason() == Reason::OauthClientNotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Records that a link was opened: in the audit log once for each address and day.
///
/// # Errors
/// Those of [`find_open_link`].
pub fn record_opened(tx: &Tx<'_>, holder: &LinkHolder, digest: &TokenDigest) -> Result<()> {
    let found = find_open_link(tx, digest, tx.now)?;
    rows::record_link_opened(tx, &found.link.id)?;
    let address = holder.address.as_deref().unwrap_or("unknown");
    if rows::record_visit(tx, &found.link.id, tx.now.div_euclid(DAY), address, VISITS_MAX)? {
        append_audit_entry(tx, holder, &found, "link.opened")?;
    }
    Ok(())
}

/// Stores the identity provider that the holder of the link has chosen, see [`OpenLink::may_choose_provider`].
///
/// # Errors
/// Those of [`find_open_link`]. 403 if the holder may not choose. It can fail after its first change: run it with `Store::write`.
pub fn choose_provider(
    tx: &Tx<'_>,
    holder: &LinkHolder,
    digest: &TokenDigest,
    provider: &IdentityProvider,
) -> Result<()> {
    let found = find_open_link(tx, digest, tx.now)?;
    if !found.may_choose_provider() {
        return Err(Reason::LinkActionNotAllowed.into());
    }
    let context = build_audit_context(holder, &found);
    configuration_settings::change_provider(tx, &context, &found.configuration.id, provider)
}

/// Creates a token for the configuration of the link, like [`tokens::rotate_token`].
///
/// # Errors
/// Those of [`find_open_link`]. `Conflict` if the link has created [`TOKENS_MAX`]. 403 if the link is for a client secret. It can fail after its first change: run it with `Store::write`.
pub fn create_token(tx: &Tx<'_>, holder: &LinkHolder, digest: &TokenDigest, draft: &TokenDraft) -> Result<()> {
    let (found, context) = begin_credential(tx, holder, digest)?;
    let draft = TokenDraft { expires_at: context.authority.limit_expiry(draft.expires_at), ..draft.clone() };
    tokens::rotate_token(tx, &context, &found.configuration.id, &draft, None)?;
    rows::set_link_token(tx, &found.link.id, &draft.id)
}

/// Creates an OAuth client for the configuration of the link.
///
/// # Errors
/// Those of [`create_token`]. `Invalid` names an invalid argument. 403 if the link is only for a token, or without an end of the
/// client that the creator of the link must set. It can fail after its first change: run it with `Store::write`.
pub fn create_client(tx: &Tx<'_>, holder: &LinkHolder, digest: &TokenDigest, new: &NewOauthClient) -> Result<()> {
    if find_open_link(tx, digest, tx.now)?.link.purpose == LinkPurpose::ReplaceToken {
        return Err(Reason::LinkActionNotAllowed.into());
    }
    let (found, context) = begin_credential(tx, holder, digest)?;
    let created = oauth::create_client(tx, &context, &found.configuration.id, new)?;
    rows::set_link_client(tx, &found.link.id, Some(&created.client.client_id))
}

/// Checks that the link may create another credential and counts it. What the link created before and is not used yet is
/// revoked or deleted: the new credential replaces it. So a lost token does not end the one that is in use.
fn begin_credential(tx: &Tx<'_>, holder: &LinkHolder, digest: &TokenDigest) -> Result<(OpenLink, AuditContext)> {
    let found = find_open_link(tx, digest, tx.now)?;
    if found.replaces_secret() {
        return Err(Reason::LinkActionNotAllowed.into());
    }
    if found.link.tokens_made >= TOKENS_MAX {
        return Err(Reason::LinkTokensSpent.with("max", TOKENS_MAX));
    }
    let context = build_audit_context(holder, &found);
    rows::count_token(tx, &found.link.id)?;
    if let Some(before) = found.unused_token() {
        tokens::revoke_token(tx, &context, &found.configuration.id, &before.id)?;
    }
    if let Some(before) = found.client.as_ref().filter(|found| found.client.last_used_at.is_none()) {
        oauth::delete_client(tx, &context, (&found.configuration.id, &before.client.client_id))?;
        rows::set_link_client(tx, &found.link.id, None)?;
    }
    Ok((found, context))
}

/// Revokes the token that the one of the link has replaced, see [`OpenLink::replaced_token`], or deletes the secret that the one of
/// the link has replaced.
///
/// # Errors
/// Those of [`find_open_link`]. 403 if there is none.
pub fn revoke_replaced(tx: &Tx<'_>, holder: &LinkHolder, digest: &TokenDigest) -> Result<()> {
    let found = find_open_link(tx, digest, tx.now)?;
    if found.replaces_secret() {
        return replaced_secret::delete_old_secret(tx, holder, &found);
    }
    let replaced = found.replaced_token().ok_or(Reason::LinkActionNotAllowed)?;
    let context = build_audit_context(holder, &found);
    tokens::revoke_token(tx, &context, &found.configuration.id, &replaced.id)
}

/// Ends a link because its holder has finished the setup.
///
/// # Errors
/// Those of [`find_open_link`].
pub fn finish_setup(tx: &Tx<'_>, holder: &LinkHolder, digest: &TokenDigest) -> Result<()> {
    tx.allow_on_full_disk();
    let found = find_open_link(tx, digest, tx.now)?;
    rows::end_link(tx, &found.link.id)?;
    append_audit_entry(tx, holder, &found, "link.ended")
}

/// The authority that the creator of a link has passed on: to create tokens that end when the creator's does.
fn holder_authority(link: &SetupLink) -> Authority {
    Authority { permissions: Permissions::MINT_TOKENS, expires_at: link.tokens_end_at }
}

fn build_audit_context(holder: &LinkHolder, found: &OpenLink) -> AuditContext {
    let name = if found.link.note.is_empty() { "setup link" } else { &found.link.note };
    AuditContext {
        actor: Actor { kind: ActorKind::SetupLink, id: found.link.id.clone(), name: name.to_owned() },
        scope: AccountScope::Account(found.configuration.account.clone()),
        authority: holder_authority(&found.link),
        address: holder.address.clone(),
        request_id: holder.request_id.clone(),
    }
}

fn append_audit_entry(tx: &Tx<'_>, holder: &LinkHolder, found: &OpenLink, action: &str) -> Result<()> {
    let entry = NewAuditEntry {
        action,
        account: Some(&found.configuration.account),
        configuration_id: Some(&found.configuration.id),
        subject_id: Some(&found.link.id),
        before: None,
        after: Some(json!({
            "note": found.link.note,
            "purpose": found.link.purpose,
            "clientId": found.link.replaced_client(),
        })),
    };
    audit::append_entry(tx, &build_audit_context(holder, found), &entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret::BearerToken;
    use crate::clock;
    use crate::error::Error;
    use crate::management::configuration_lifecycle::{NewConfiguration, create_configuration};
    use crate::management::setup_links::{NewSetupLink, create_link};
    use crate::model::configuration::{ConfigurationSource, InitialSync};
    use crate::model::oauth::scope::OauthScope;
    use crate::model::oauth::{AssertionSource, ClientAuthentication};
    use crate::model::permission::{Permission, Permissions};
    use crate::store::Store;
    use crate::store::recent_use::TokenUse;

    /// A link that lives for 50 minutes.
    fn sample_link(purpose: LinkPurpose) -> NewSetupLink {
        NewSetupLink {
            id: clock::new_id(),
            digest: [7; 32],
            lifetime_seconds: 3_000,
            note: String::new(),
            provider: None,
            purpose,
            client: None,
        }
    }

    fn new_token() -> TokenDraft {
        TokenDraft::new(clock::new_id(), &BearerToken::generate().unwrap(), "token")
    }

    #[test]
    fn a_token_of_a_link_ends_when_the_creator_of_the_link_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let end = clock::current_millis() + 3_600_000;
        let id = clock::new_id();
        let creator = AuditContext {
            authority: Authority { permissions: Permissions::MINT_TOKENS, expires_at: Some(end) },
            ..AuditContext::server()
        };
        let without_reading = AuditContext {
            authority: Authority {
                permissions: Permissions::from_iter([Permission::ProvisioningTokens]),
                expires_at: None,
            },
            ..AuditContext::server()
        };
        let (target, token) = (id.clone(), new_token());
        let new_link = sample_link(LinkPurpose::Setup);
        let refused = store.write_blocking(move |tx| {
            let new = NewConfiguration {
                id: target.clone(),
                account: "acme".to_owned(),
                connection_name: None,
                source: ConfigurationSource::Okta,
                provider: None,
                preset: None,
                sync: InitialSync::On,
                token: new_token(),
            };
            create_configuration(tx, &AuditContext::server(), &new)?;
            create_link(tx, &creator, &target, &new_link)?;
            let other = NewSetupLink { id: clock::new_id(), digest: [8; 32], ..new_link.clone() };
            Ok(create_link(tx, &without_reading, &target, &other).unwrap_err().reason())
        });
        assert_eq!(refused.unwrap(), Reason::AuthorityExceeded);
        let token_id = token.id.clone();
        store
            .write_blocking(move |tx| {
                create_token(tx, &LinkHolder { address: None, request_id: None }, &[7; 32], &token)
            })
            .unwrap();
        let found = store.read_inline(|at| tokens::find_token(at, &AccountScope::AllAccounts, &id, &token_id)).unwrap();
        assert_eq!(found.expires_at, Some(end));
    }

    #[test]
    fn unknown_expired_and_ended_links_have_their_own_reason() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let found = store.write_blocking(|tx| {
            let created = create_configuration(tx, &AuditContext::server(), &NewConfiguration::sample("acme"))?;
            let new_link = sample_link(LinkPurpose::Setup);
            create_link(tx, &AuditContext::server(), &created.id, &new_link)?;
            let reason = |digest, now| find_open_link(tx, digest, now).map_err(|error| error.reason()).err();
            let holder = LinkHolder { address: None, request_id: None };
            let before = [reason(&[8; 32], tx.now), reason(&[7; 32], tx.now), reason(&[7; 32], tx.now + 3_000_000)];
            finish_setup(tx, &holder, &[7; 32])?;
            Ok((before, reason(&[7; 32], tx.now), reason(&[7; 32], tx.now + 3_000_000)))
        });
        let (before, ended, later) = found.unwrap();
        assert_eq!(before, [Some(Reason::LinkUnknown), None, Some(Reason::LinkExpired)]);
        assert_eq!((ended, later), (Some(Reason::LinkEnded), Some(Reason::LinkEnded)));
    }

    #[test]
    fn a_link_rotates_the_token_in_use_and_replaces_its_own_unused_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let holder = LinkHolder { address: None, request_id: None };
        let found = store.write_blocking(move |tx| {
            let new = NewConfiguration::sample("acme");
            let created = create_configuration(tx, &AuditContext::server(), &new)?;
            let used = TokenUse { first: tx.now, last: tx.now };
            token_rows::record_token_use(tx, &new.token.id, used)?;
            let new_link = sample_link(LinkPurpose::ReplaceToken);
            create_link(tx, &AuditContext::server(), &created.id, &new_link)?;
            let mut live = Vec::new();
            let drafts = [new_token(), new_token(), new_token()];
            for (at, draft) in drafts.iter().enumerate() {
                create_token(tx, &holder, &[7; 32], draft)?;
                let open = find_open_link(tx, &[7; 32], tx.now)?;
                let mut ids: Vec<String> = open.tokens.into_iter().map(|token| token.id).collect();
                ids.sort_unstable();
                live.push(ids);
                if at == 1 {
                    token_rows::record_token_use(tx, &draft.id, used)?;
                }
            }
            Ok((new.token.id, drafts.map(|draft| draft.id), live))
        });
        let (first, [second, third, fourth], live) = found.unwrap();
        let both = |one: &String, other: &String| {
            let mut ids = vec![one.clone(), other.clone()];
            ids.sort_unstable();
            ids
        };
        assert_eq!(live, [both(&first, &second), both(&first, &third), both(&third, &fourth)]);
    }

    #[test]
    fn a_later_credential_of_a_link_replaces_its_oauth_client() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let holder = LinkHolder { address: None, request_id: None };
        let creator = AuditContext::server();
        let id = clock::new_id();
        let target = id.clone();
        let new_client = |client_id: &str| NewOauthClient {
            client_id: client_id.to_owned(),
            label: "link".to_owned(),
            authentication: ClientAuthentication::Secret,
            scope: OauthScope::full(),
            token_lifetime: 3_600,
            assertions: AssertionSource::default(),
            secret: None,
        };
        let found = store.write_blocking(move |tx| {
            let new = NewConfiguration {
                id: target.clone(),
                account: "acme".to_owned(),
                connection_name: None,
                source: ConfigurationSource::Okta,
                provider: None,
                preset: None,
                sync: InitialSync::On,
                token: new_token(),
            };
            create_configuration(tx, &AuditContext::server(), &new)?;
            let new_link = sample_link(LinkPurpose::Setup);
            create_link(tx, &creator, &target, &new_link)?;
            oauth::create_client(tx, &creator, &target, &new_client("rcc_operator"))?;
            let list = |tx: &Tx<'_>| {
                let found = oauth::list_clients(tx, &AccountScope::AllAccounts, &target)?;
                Ok::<_, Error>(found.into_iter().map(|one| one.client.client_id).collect::<Vec<_>>())
            };
            create_client(tx, &holder, &[7; 32], &new_client("rcc_first"))?;
            create_client(tx, &holder, &[7; 32], &new_client("rcc_second"))?;
            let after_two = list(tx)?;
            let linked = find_open_link(tx, &[7; 32], tx.now)?.client.map(|found| found.client.client_id);
            create_token(tx, &holder, &[7; 32], &new_token())?;
            let open = find_open_link(tx, &[7; 32], tx.now)?;
            Ok((after_two, linked, list(tx)?, open.client.is_none(), open.link.tokens_made))
        });
        let (after_two, linked, after_token, is_gone, made) = found.unwrap();
        assert_eq!(after_two, ["rcc_operator", "rcc_second"]);
        assert_eq!(linked.as_deref(), Some("rcc_second"));
        assert_eq!(after_token, ["rcc_operator"]);
        assert!(is_gone && made == 3);
    }
}
