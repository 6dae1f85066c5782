//! From the path of an item to what it works on.

use std::sync::Arc;

use crate::directory::Scope;
use crate::scim::Error;
use crate::scim::bulk::Method;
use crate::scim::bulk::references::{self, Made};
use crate::scim::schema::ResourceType;
use crate::web::scim::address::Address;
use crate::web::scim::route::Route;

/// What an item works on.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) of: Arc<ResourceType>,
    /// Id of the resource, or a reference to one that the job makes; nothing for a create.
    pub(super) id: Option<String>,
}

impl Target {
    /// Reads a path below the base.
    ///
    /// # Errors
    /// 405 where the method does not fit the path, 400 invalidValue for a job within the job and for what is no
    /// resource, else what a single call answers.
    pub(super) fn read(method: Method, path: &str, types: &[Arc<ResourceType>]) -> Result<Self, Error> {
        let route = Route::read(path).on(types);
        match route {
            Route::Collection(of) if method == Method::Post => Ok(Self { of, id: None }),
            Route::Resource(of, id) if method != Method::Post => Ok(Self { of, id: Some(id) }),
            Route::Collection(_) | Route::Resource(..) => {
                let fits = if method == Method::Post {
                    "POST takes /Users"
                } else {
                    "only POST works on /Users; the others take /Users/ID"
                };
                Err(Error::plain(405, format!("{} does not fit the path: {fits}", method.as_str())))
            }
            Route::Bulk => Err(Error::value("a job cannot hold another job; put its operations here")),
            other => {
                let refusal = other.refusal();
                Err(refusal.unwrap_or_else(|| Error::value("a job works on users and groups only")))
            }
        }
    }

    /// Puts an id in the place of a reference.
    ///
    /// # Errors
    /// The name, where `made` does not know it.
    pub(super) fn resolve<'m>(&mut self, made: &impl Fn(&str) -> Option<&'m Made>) -> Result<(), String> {
        let Some(name) = self.id.as_deref().and_then(references::name) else { return Ok(()) };
        let found = made(name).ok_or_else(|| name.to_owned())?;
        self.id = Some(found.id.clone());
        Ok(())
    }

    /// URL of the resource, where there is one already.
    pub(super) fn location(&self, base: &str) -> Option<String> {
        self.id.as_deref().filter(|id| references::name(id).is_none()).map(|id| self.location_of(base, id))
    }

    /// URL of a resource of this type.
    pub(super) fn location_of(&self, base: &str, id: &str) -> String {
        format!("{base}{}/{id}", self.of.endpoint)
    }
}

/// The path of an item without what stands before it and after it: it may be a whole URL of the configuration, under
/// any address, and a query says nothing here.
///
/// # Errors
/// 400 invalidValue for the URL of anything else.
pub(super) fn path_below(path: &str, public_url: &str, base: &str, scope: &Scope) -> Result<String, Error> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let elsewhere = || Error::value(format!("path must be relative, as in /Users/ID, or begin with {base}"));
    let (rest, is_url) = path.strip_prefix(public_url).map_or((path, false), |rest| (rest, true));
    match Address::read(rest) {
        Ok(address) if address.configuration.is_none_or(|id| *id == *scope.configuration_id) => {
            Ok(address.below.to_owned())
        }
        Ok(_) => Err(elsewhere()),
        Err(_) if is_url || path.contains("://") => Err(elsewhere()),
        Err(_) => Ok(path.to_owned()),
    }
}
