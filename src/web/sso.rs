//! The OpenID provider that people sign in through, ready to be asked.

use std::sync::{Arc, PoisonError, RwLock};

use super::state::State;
use crate::error::{Error, Result};
use crate::model::sso::Agreement;
use crate::oidc::{Registration, RelyingParty};
use crate::secret::sealed::Sealer;
use crate::settings::SsoSettings;
use crate::store::sso::{self as rows, Kept};

/// What the client's secret is sealed as.
const SECRET: &str = "client secret of single sign-on";

/// The client of the present provider, made anew when something was agreed anew.
#[derive(Default)]
pub struct Sso(RwLock<Option<(i64, Arc<RelyingParty>)>>);

/// A provider, and the client that asks it.
#[derive(Clone)]
pub struct Provider {
    /// What is agreed.
    pub agreement: Agreement,
    /// Moves with every change of it.
    pub revision: i64,
    /// The client.
    pub party: Arc<RelyingParty>,
}

/// Seals the client's secret: for that issuer only, with the key in the data folder.
pub fn sealer(state: &State, issuer: &str) -> Sealer {
    state.callers.signing_key.sealer(SECRET, issuer)
}

/// What is agreed, where there is a provider. Where the settings name it, it is that one, and in use.
pub fn kept(state: &State) -> Result<Option<Kept>> {
    let kept = state.store.read_inline(rows::provider)?;
    let Some(given) = &state.callers.provider else { return Ok(kept) };
    let kept = kept.unwrap_or_else(|| Kept { agreement: Agreement::suggested(), client_secret: None, revision: 0 });
    Ok(Some(Kept { agreement: with_given(kept.agreement, given), client_secret: None, revision: kept.revision }))
}

/// What the settings say of an agreement.
pub fn with_given(agreement: Agreement, given: &SsoSettings) -> Agreement {
    Agreement { is_on: true, issuer: given.issuer.clone(), client_id: given.client_id.clone(), ..agreement }
}

/// The provider, where there is one; whether people may sign in through it, the agreement says.
pub fn provider(state: &State) -> Result<Option<Provider>> {
    let Some(Kept { agreement, client_secret, revision }) = kept(state)? else { return Ok(None) };
    let present = state.sso.0.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((_, party)) = present.filter(|(known, _)| *known == revision) {
        return Ok(Some(Provider { agreement, revision, party }));
    }
    let opened = client_secret.map(|sealed| {
        let opened = sealer(state, &agreement.issuer).open(&sealed).and_then(|bytes| String::from_utf8(bytes).ok());
        opened.ok_or_else(|| Error::Refused("the client secret is sealed with another key; give it again".to_owned()))
    });
    let given = state.callers.provider.as_ref().and_then(|given| given.client_secret.clone());
    let registration = Registration {
        issuer: agreement.issuer.clone(),
        client_id: agreement.client_id.clone(),
        client_secret: opened.transpose()?.or(given),
        scopes: agreement.scopes.clone(),
        role_claim: agreement.role_claim.clone(),
    };
    let party = RelyingParty::new(registration).map_err(|problem| Error::Refused(problem.to_string()))?;
    let party = Arc::new(party);
    *state.sso.0.write().unwrap_or_else(PoisonError::into_inner) = Some((revision, Arc::clone(&party)));
    Ok(Some(Provider { agreement, revision, party }))
}
