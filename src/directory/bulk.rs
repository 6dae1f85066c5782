//! Creates of one bulk job that name each other in a circle: all of them, or none (RFC 7644 section 3.7.1).

use std::collections::HashSet;
use std::sync::Arc;

use super::Scope;
use super::resources::{self, Prepared};
use super::shown::Shown;
use crate::error::{Error, Result};
use crate::scim;
use crate::scim::dialect::Notes;
use crate::scim::members::{MemberEdit, MemberRef};
use crate::scim::patch::{Edit, Patch};
use crate::scim::schema::ResourceType;
use crate::scim::validate::Draft;
use crate::store::Tx;

/// A resource to be made, under an id that the others of its circle name already.
#[derive(Debug)]
pub struct Making {
    /// Its type.
    pub of: Arc<ResourceType>,
    /// Its id.
    pub id: String,
    /// What it is to hold.
    pub draft: Draft,
}

/// Makes the resources of a circle: each without the members that are not there yet, which join once all are made.
/// Runs in a savepoint: after an error some of them have been written.
///
/// # Errors
/// What [`resources::create`] says, with the number of the resource that it is about.
pub fn create_circle(
    tx: &Tx<'_>,
    scope: &Scope,
    circle: &[Making],
) -> std::result::Result<Vec<(Shown, Notes)>, (usize, Error)> {
    let mut pending: HashSet<&str> = circle.iter().map(|making| making.id.as_str()).collect();
    let mut joining = Vec::with_capacity(circle.len());
    let mut notes = Vec::with_capacity(circle.len());
    for (number, making) in circle.iter().enumerate() {
        // A group in itself is nothing to wait for: it is refused.
        pending.remove(making.id.as_str());
        let (draft, later) = without(&making.draft, &pending);
        notes.push(create(tx, scope, making, draft).map_err(|error| (number, error))?);
        joining.push(later);
    }
    for (number, (making, later)) in circle.iter().zip(joining).enumerate() {
        join(tx, scope, making, later).map_err(|error| (number, error))?;
    }
    let shown = |(number, (making, notes)): (usize, (&Making, Notes))| {
        let shown = resources::read(tx, scope, &making.of, &making.id, -1).map_err(|error| (number, error))?;
        Ok((shown, notes))
    };
    circle.iter().zip(notes).enumerate().map(shown).collect()
}

/// The draft without the members that are not there yet, and those.
fn without(draft: &Draft, pending: &HashSet<&str>) -> (Draft, Vec<MemberRef>) {
    let mut draft = draft.clone();
    let Some(members) = draft.members.take() else { return (draft, Vec::new()) };
    let (later, now) = members.into_iter().partition(|member| pending.contains(member.id.as_str()));
    draft.members = Some(now);
    (draft, later)
}

fn create(tx: &Tx<'_>, scope: &Scope, making: &Making, draft: Draft) -> Result<Notes> {
    let prepared = Prepared::new(draft, &making.of);
    let done = resources::create(tx, scope, &making.of, &making.id, &prepared, -1)?;
    if done.shown.stored.id != making.id {
        // The others name an id that this one did not get.
        let detail = "an inactive resource of that name exists, which cannot be taken up in a circle of references";
        return Err(scim::Error::plain(409, detail).into());
    }
    Ok(done.notes)
}

fn join(tx: &Tx<'_>, scope: &Scope, making: &Making, later: Vec<MemberRef>) -> Result<()> {
    if later.is_empty() {
        return Ok(());
    }
    let patch =
        Patch { edits: vec![Edit::Members(0, MemberEdit::Add(later))], password: None, notes: Notes::default() };
    resources::patch(tx, scope, &making.of, &making.id, None, &patch, -1).map(drop)
}
