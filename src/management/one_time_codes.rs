//! One-time codes (TOTP) of admins, and recovery codes for a lost device. A password check that passed is a claim, which
//! one right code redeems. Wrong codes count for the admin, from any address.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::auth::secret::{self, TokenDigest};
use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::model::audit_context::AuditContext;
use crate::store::tables::admins as rows;
use crate::store::tables::audit::{self, NewAuditEntry};
use crate::store::tables::second_factor::{self, WrongCodes};
use crate::store::{Snapshot, Tx};

pub use crate::store::tables::admins::count_recovery_codes;

/// Longest time between the password and the code, in milliseconds.
pub const CLAIM_AGE_MAX: Millis = 5 * 60 * 1000;
/// Wrong codes after which the admin has to enter the password again, and no code is accepted for a time.
pub const WRONG_CODES_MAX: i64 = 5;
/// That time after the first five wrong codes, in milliseconds. It doubles with each further five.
const BLOCK_FIRST: Millis = 60 * 1000;
/// Longest of these times, in milliseconds.
const BLOCK_MAX: Millis = 60 * 60 * 1000;
/// Claims of one admin at the same time; further ones replace the oldest.
const CLAIMS_MAX: u32 = 10;

/// The confirmed one-time codes of an admin.
#[derive(Debug)]
pub struct CodesSetup<'a> {
    /// Encrypted secret.
    pub sealed_secret: &'a [u8],
    /// Time step whose code confirmed the device. The code cannot be used again.
    pub confirmed_step: i64,
    /// Digests of the recovery codes.
    pub recovery: &'a [TokenDigest],
    /// [`fingerprint_codes`] of the admin when the setup began.
    pub replaces: TokenDigest,
}

/// Returns a digest of the one-time codes that the admin has. It changes whenever codes are enabled or disabled.
pub fn fingerprint_codes(at: &Snapshot<'_>, id: &str) -> Result<TokenDigest> {
    let found = rows::find_credentials_by_id(at, id)?;
    let sealed = found.and_then(|found| found.totp_secret).unwrap_or_default();
    Ok(secret::digest_text(&URL_SAFE_NO_PAD.encode(sealed)))
}

/// Enables one-time codes for an admin, and ends the sign-ins that wait for a code of the previous ones.
///
/// # Errors
/// `Conflict` if the codes of the admin have changed since the setup began.
pub fn enable_codes(tx: &Tx<'_>, context: &AuditContext, id: &str, setup: &CodesSetup<'_>) -> Result<()> {
    if fingerprint_codes(tx, id)? != setup.replaces {
        return Err(Reason::CodesSetupUsed.into());
    }
    rows::set_totp_secret(tx, id, Some(setup.sealed_secret))?;
    second_factor::delete_admin_claims(tx, id)?;
    rows::consume_totp_step(tx, id, setup.confirmed_step)?;
    for digest in setup.recovery {
        rows::add_recovery_code(tx, id, digest)?;
    }
    append_audit_entry(tx, context, id, true)
}

/// Disables one-time codes for an admin and removes the recovery codes. Sign-ins that wait for a code end.
pub fn disable_codes(tx: &Tx<'_>, context: &AuditContext, id: &str) -> Result<()> {
    rows::set_totp_secret(tx, id, None)?;
    second_factor::delete_admin_claims(tx, id)?;
    let wrong = second_factor::read_wrong_codes(tx, id)?;
    if wrong.failures > 0 {
        second_factor::save_wrong_codes(tx, id, &WrongCodes { failures: 0, blocked_until: None, ..wrong })?;
    }
    append_audit_entry(tx, context, id, false)
}

/// Stores the claim of an admin whose password was right. Returns until when codes are refused, in that case without a
/// claim.
pub fn start_claim(tx: &Tx<'_>, digest: &TokenDigest, admin: &str) -> Result<Option<Millis>> {
    tx.allow_on_full_disk();
    let blocked = second_factor::read_wrong_codes(tx, admin)?.blocked_until.filter(|until| *until > tx.now);
    if blocked.is_none() {
        second_factor::insert_claim(tx, digest, admin, CLAIMS_MAX, tx.now - CLAIM_AGE_MAX)?;
    }
    Ok(blocked)
}

/// Whether the admin has a live claim with this digest at `now`.
pub fn is_live_claim(at: &Snapshot<'_>, digest: &TokenDigest, admin: &str, now: Millis) -> Result<bool> {
    let found = second_factor::find_claim(at, digest)?;
    Ok(found.is_some_and(|claim| claim.admin == admin && now - claim.created_at < CLAIM_AGE_MAX))
}

/// A code that an admin entered after the password.
#[derive(Debug)]
pub struct CodeAttempt {
    /// Id of the admin.
    pub admin: String,
    /// Digest of the claim.
    pub claim: TokenDigest,
    /// Time step of the one-time code, if it is one.
    pub step: Option<i64>,
    /// Digest of the code as a recovery code.
    pub recovery: TokenDigest,
}

/// Result of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOutcome {
    /// The code is right. It and the claim are used up.
    Right,
    /// The code is wrong or was used before.
    Wrong,
    /// The claim has ended, or ends with this wrong code: the password is required again.
    PasswordRequired,
}

/// Checks a code, and uses up the code and the claim if it is right. A wrong code counts for the admin: after
/// [`WRONG_CODES_MAX`] all claims of the admin end, codes are refused for a time, and an entry is added to the audit log.
pub fn redeem_code(tx: &Tx<'_>, context: &AuditContext, attempt: &CodeAttempt) -> Result<CodeOutcome> {
    // An admin must be able to sign in and to delete. Without the count of wrong codes, codes could be tried out.
    tx.allow_on_full_disk();
    let CodeAttempt { admin, claim, step, recovery } = attempt;
    if !is_live_claim(tx, claim, admin, tx.now)? {
        return Ok(CodeOutcome::PasswordRequired);
    }
    let is_right = match step {
        Some(step) => rows::consume_totp_step(tx, admin, *step)?,
        None => rows::consume_recovery_code(tx, admin, recovery)?,
    };
    let wrong = second_factor::read_wrong_codes(tx, admin)?;
    if is_right {
        second_factor::delete_claim(tx, claim)?;
        if wrong.failures > 0 {
            second_factor::save_wrong_codes(tx, admin, &WrongCodes { failures: 0, blocked_until: None, ..wrong })?;
        }
        return Ok(CodeOutcome::Right);
    }
    let failures = wrong.failures + 1;
    let block = block_after(failures);
    let counted = WrongCodes {
        failures,
        blocked_until: block.map(|block| tx.now + block).or(wrong.blocked_until),
        unseen: wrong.unseen + 1,
        unseen_since: if wrong.unseen == 0 { tx.now } else { wrong.unseen_since },
    };
    second_factor::save_wrong_codes(tx, admin, &counted)?;
    let Some(block) = block else { return Ok(CodeOutcome::Wrong) };
    second_factor::delete_admin_claims(tx, admin)?;
    let after = json!({"wrongCodes": failures, "blockedSeconds": block / 1000});
    let entry = NewAuditEntry {
        action: "admin.codes_blocked",
        subject_id: Some(admin),
        after: Some(after),
        ..NewAuditEntry::default()
    };
    audit::append_entry(tx, context, &entry)?;
    Ok(CodeOutcome::PasswordRequired)
}

/// How long codes are refused after that many wrong codes in a row, or `None` if they are not.
fn block_after(failures: i64) -> Option<Millis> {
    let rounds = failures / WRONG_CODES_MAX;
    let is_round = rounds > 0 && failures % WRONG_CODES_MAX == 0;
    let doublings = u32::try_from(rounds - 1).unwrap_or(0).min(16);
    is_round.then(|| BLOCK_MAX.min(BLOCK_FIRST << doublings))
}

/// Records that the admin has seen how many wrong codes there were.
pub fn confirm_wrong_codes(tx: &Tx<'_>, admin: &str) -> Result<()> {
    let wrong = second_factor::read_wrong_codes(tx, admin)?;
    if wrong.unseen == 0 {
        return Ok(());
    }
    second_factor::save_wrong_codes(tx, admin, &WrongCodes { unseen: 0, unseen_since: 0, ..wrong })
}

fn append_audit_entry(tx: &Tx<'_>, context: &AuditContext, id: &str, on: bool) -> Result<()> {
    let after = Some(json!({"oneTimeCodes": on}));
    audit::append_entry(
        tx,
        context,
        &NewAuditEntry { action: "admin.updated", subject_id: Some(id), after, ..NewAuditEntry::default() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::admins::{self, AdminDraft};
    use crate::model::admin::OWNER;
    use crate::store::Store;

    const ADMIN: &str = "admin";

    fn store_with_admin() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let draft = AdminDraft {
            id: ADMIN.to_owned(),
            email: "a@x.example".to_owned(),
            name: "Test Admin".to_owned(),
            role: OWNER.to_owned(),
            account: None,
            password_digest: None,
        };
        let setup = |tx: &Tx<'_>| {
            let replaces = fingerprint_codes(tx, ADMIN)?;
            let setup = CodesSetup { sealed_secret: b"sealed", confirmed_step: 1, recovery: &[[9; 32]], replaces };
            enable_codes(tx, &AuditContext::server(), ADMIN, &setup)
        };
        store
            .write_blocking(move |tx| {
                admins::create_admin(tx, &AuditContext::server(), &draft)?;
                setup(tx)
            })
            .unwrap();
        (store, folder)
    }

    fn claim(store: &Store, number: u8) -> Option<Millis> {
        store.write_blocking(move |tx| start_claim(tx, &[number; 32], ADMIN)).unwrap()
    }

    fn redeem(store: &Store, number: u8, step: Option<i64>, recovery: u8) -> CodeOutcome {
        let attempt = CodeAttempt { admin: ADMIN.to_owned(), claim: [number; 32], step, recovery: [recovery; 32] };
        store.write_blocking(move |tx| redeem_code(tx, &AuditContext::server(), &attempt)).unwrap()
    }

    fn end_block(store: &Store) {
        store
            .write_blocking(|tx| {
                let wrong = second_factor::read_wrong_codes(tx, ADMIN)?;
                second_factor::save_wrong_codes(tx, ADMIN, &WrongCodes { blocked_until: Some(tx.now), ..wrong })
            })
            .unwrap();
    }

    #[test]
    fn a_claim_and_a_code_work_once() {
        let (store, _folder) = store_with_admin();
        assert_eq!((claim(&store, 1), claim(&store, 2)), (None, None));
        assert_eq!(redeem(&store, 1, Some(1), 0), CodeOutcome::Wrong, "the code that confirmed the device");
        assert_eq!(redeem(&store, 1, Some(7), 0), CodeOutcome::Right);
        assert_eq!(redeem(&store, 1, Some(8), 0), CodeOutcome::PasswordRequired, "the claim is used up");
        assert_eq!(redeem(&store, 2, Some(7), 0), CodeOutcome::Wrong, "the code is used up");
        assert_eq!(redeem(&store, 2, Some(6), 0), CodeOutcome::Wrong, "an earlier code");
        assert_eq!(redeem(&store, 2, None, 9), CodeOutcome::Right);
        claim(&store, 3);
        assert_eq!(redeem(&store, 3, None, 9), CodeOutcome::Wrong, "a recovery code is used up");
        assert_eq!(redeem(&store, 9, Some(20), 0), CodeOutcome::PasswordRequired, "no such claim");
    }

    #[test]
    fn five_wrong_codes_end_every_claim_and_the_block_doubles() {
        let (store, _folder) = store_with_admin();
        for round in 0..3 {
            assert_eq!((claim(&store, 1), claim(&store, 2)), (None, None));
            // The claims take turns, as from two addresses.
            for number in 0..4_u8 {
                assert_eq!(redeem(&store, 1 + number % 2, None, 0), CodeOutcome::Wrong);
            }
            assert_eq!(redeem(&store, 1, None, 0), CodeOutcome::PasswordRequired);
            assert_eq!(redeem(&store, 2, Some(7), 0), CodeOutcome::PasswordRequired, "a right code is not read");
            let until = claim(&store, 3).unwrap();
            let now = crate::clock::current_millis();
            let expected = BLOCK_FIRST << round;
            assert!((expected - 30_000..=expected + 1_000).contains(&(until - now)), "{round}: {}", until - now);
            assert_eq!(redeem(&store, 3, Some(7), 0), CodeOutcome::PasswordRequired);
            end_block(&store);
        }
        let (wrong, entries) = store
            .read_inline(|at| {
                let entries = audit::list_entries(
                    at,
                    &audit::AuditQuery::default(),
                    audit::AuditLimit { count: 50, bytes: usize::MAX },
                )?
                .0;
                Ok((second_factor::read_wrong_codes(at, ADMIN)?, entries))
            })
            .unwrap();
        assert_eq!((wrong.failures, wrong.unseen), (15, 15));
        assert_eq!(entries.iter().filter(|entry| entry.action == "admin.codes_blocked").count(), 3);
        claim(&store, 1);
        assert_eq!(redeem(&store, 1, Some(7), 0), CodeOutcome::Right);
        let wrong = || store.read_inline(|at| second_factor::read_wrong_codes(at, ADMIN)).unwrap();
        assert_eq!((wrong().failures, wrong().blocked_until, wrong().unseen), (0, None, 15));
        store.write_blocking(|tx| confirm_wrong_codes(tx, ADMIN)).unwrap();
        assert_eq!(wrong(), WrongCodes::default());
    }

    #[test]
    fn the_block_has_an_upper_limit() {
        let blocks: Vec<i64> = (0..=60).filter_map(block_after).map(|block| block / 60_000).collect();
        assert_eq!(blocks, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]);
        assert_eq!(block_after(5_000_000), Some(BLOCK_MAX));
    }

    #[test]
    fn claims_are_limited_and_expire() {
        let (store, _folder) = store_with_admin();
        for number in 1..=30 {
            claim(&store, number);
        }
        let live = |now| {
            let live = (1..=30)
                .filter(|number| store.read_inline(|at| is_live_claim(at, &[*number; 32], ADMIN, now)).unwrap());
            live.collect::<Vec<u8>>()
        };
        let now = crate::clock::current_millis();
        assert_eq!(live(now).len(), 10);
        assert!(live(now).contains(&30));
        assert_eq!(live(now + CLAIM_AGE_MAX), [] as [u8; 0]);
        let context = AuditContext::server();
        store.write_blocking(move |tx| disable_codes(tx, &context, ADMIN)).unwrap();
        assert_eq!(live(now), [] as [u8; 0]);
    }
}
