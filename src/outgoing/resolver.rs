//! Resolves names for calls to other servers, and leaves out the addresses that must not be reached.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::outgoing::{OutgoingRules, RefusedCall};

/// Scheme of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallScheme {
    /// Public addresses and allowed networks.
    Https,
    /// Allowed networks only.
    Http,
}

impl CallScheme {
    pub(super) fn of_url(url: &Url) -> Option<Self> {
        match url.scheme() {
            "https" => Some(Self::Https),
            "http" => Some(Self::Http),
            _ => None,
        }
    }
}

/// The resolver of one client.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub(super) rules: OutgoingRules,
    pub(super) scheme: CallScheme,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, scheme) = (self.rules.clone(), self.scheme);
        Box::pin(async move {
            // The port is that of the URL.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let reachable = select_reachable(&rules, scheme, name.as_str(), found)?;
            Ok(Box::new(reachable.into_iter()) as Addrs)
        })
    }
}

/// Returns the addresses that may be reached.
///
/// # Errors
/// There is none; contains the reason of the first one.
fn select_reachable(
    rules: &OutgoingRules,
    scheme: CallScheme,
    name: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, RefusedCall> {
    let mut refused = None;
    let mut reachable = Vec::new();
    for address in found {
        let checked = if rules.trusts(name) { Ok(()) } else { rules.check_address(address.ip(), scheme) };
        match checked {
            Ok(()) => reachable.push(address),
            Err(reason) => drop(refused.get_or_insert(reason)),
        }
    }
    if reachable.is_empty() { refused.map_or(Ok(reachable), Err) } else { Ok(reachable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(rules: &OutgoingRules, scheme: CallScheme, found: &[&str]) -> Result<Vec<String>, RefusedCall> {
        let found = found.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443));
        let reachable = select_reachable(rules, scheme, "hook.example.com", found)?;
        Ok(reachable.iter().map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn only_public_addresses_of_a_name_are_connected() {
        let rules = OutgoingRules::default();
        assert_eq!(select(&rules, CallScheme::Https, &["10.0.0.1", "8.8.8.8", "::1"]), Ok(vec!["8.8.8.8".to_owned()]));
        let refused = select(&rules, CallScheme::Https, &["10.0.0.1", "::1"]).unwrap_err();
        assert!(refused.to_string().contains("10.0.0.1"), "{refused}");
        assert_eq!(select(&rules, CallScheme::Https, &[]), Ok(Vec::new()));
    }

    #[test]
    fn http_reaches_allowed_networks_only() {
        let rules = OutgoingRules::new(&["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(select(&rules, CallScheme::Http, &["10.0.0.1", "8.8.8.8"]), Ok(vec!["10.0.0.1".to_owned()]));
        assert!(matches!(select(&rules, CallScheme::Http, &["8.8.8.8"]), Err(RefusedCall::Plain(_))));
        assert_eq!(select(&rules, CallScheme::Https, &["10.0.0.1"]).unwrap().len(), 1);
    }

    #[test]
    fn a_host_of_the_settings_may_resolve_to_any_address() {
        let url = "https://hook.example.com/".parse().unwrap();
        let rules = OutgoingRules::default().with_trusted_host(&url);
        assert_eq!(select(&rules, CallScheme::Https, &["10.0.0.1"]).unwrap().len(), 1);
        assert_eq!(select(&rules, CallScheme::Http, &["127.0.0.1"]).unwrap().len(), 1);
    }

    #[actix_web::test]
    async fn a_name_of_this_machine_is_refused_when_it_is_resolved() {
        let resolver = GuardedResolver { rules: OutgoingRules::default(), scheme: CallScheme::Https };
        let error = resolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(error.to_string().contains("--outgoing-allow-networks"), "{error}");
    }
}
