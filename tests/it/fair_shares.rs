//! A quiet tenant is served while another one loads the server: no call of it fails. The times are measured by
//! `cargo bench --bench fair_shares`, because they depend on the machine.

#[path = "../../benches/fair_shares/scenarios.rs"]
mod scenarios;

use self::scenarios::{BusyTenant, LoadSize, SCENARIOS, Scenario, Tenant, run_scenario};
use crate::app::{App, Client};

/// Smaller than in the benchmark: tests run without optimization.
const SIZE: LoadSize =
    LoadSize { users: 1_000, members: 1_000, groups_per_user: 50, emails: 200, users_of_others: 200 };
/// Further configurations of the busy account.
const OTHERS: usize = 12;
const ROUNDS: usize = 5;

fn tenant(client: &Client) -> Tenant {
    Tenant { address: client.address, base: client.base.clone(), token: client.token.clone() }
}

#[test]
fn no_call_of_a_quiet_tenant_fails_under_the_load_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let others = (0..OTHERS).map(|_| tenant(&app.configuration_of("busy", "other"))).collect();
    let busy = BusyTenant::create(tenant(&app.configuration_of("busy", "other")), others, SIZE).unwrap();
    let quiet = tenant(&app.configuration_of("quiet", "other"));
    for scenario in SCENARIOS {
        let result = run_scenario(scenario, &busy, &quiet, ROUNDS).unwrap();
        assert!(result.failed.is_empty(), "{}: {:?}", scenario.label(), result.failed);
        assert_eq!(result.times.len(), 3 * ROUNDS, "{}", scenario.label());
        assert!(result.percentile(50) <= result.percentile(99) && result.livez_max.as_secs() < 30, "{result:?}");
        let answered: usize = result.busy_answers.iter().sum();
        assert!(answered > 0 || scenario == Scenario::Idle, "{}: the load had no response", scenario.label());
    }
}
