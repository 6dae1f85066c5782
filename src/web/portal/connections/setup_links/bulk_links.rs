//! Setup links for several connections at once: the form, and the page that shows each link once, with a file of all of them.

use askama::Template;
use serde::Deserialize;

use crate::auth::secret::BearerToken;
use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::management::accounts::account_names::AccountNames;
use crate::management::setup_links::{self, LIVE_LINKS_MAX, NewSetupLink};
use crate::management::{configurations, sessions};
use crate::model::audit_context::AccountScope;
use crate::model::ids;
use crate::model::setup_link::LinkPurpose;
use crate::providers;
use crate::store::{Snapshot, Tx};
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::connections::setup_links::{
    LIFETIME_DEFAULT, LIFETIMES, LinkMail, build_mail_url, find_lifetime_problem, find_note_problem,
};
use crate::web::portal::csv;
use crate::web::portal::forms::{FormError, PageRequest, find_field_error};
use crate::web::portal::layout::{NavigationEntry, PageError, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::list_pages::PER_PAGE;
use crate::web::portal::one_time_secrets;
use crate::web::portal::setup::brand::BrandView;
use crate::web::portal::sign_in::session::PermittedAdmin;
use crate::web::portal::sign_in::signed_in::SignedIn;
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::required_permission::{MintTokens, Tokens};

/// Context of the sealed links, different from that of the link of one connection.
const SECRET_CONTEXT: &str = "links of several connections";

/// Path of the form for these connections.
pub(crate) fn form_path(ids: &[String]) -> String {
    format!("/connections/links/new?ids={}", ids.join(","))
}

/// A connection that gets a link.
struct LinkTarget {
    id: String,
    name: String,
    account: AccountLabel,
    provider: &'static str,
}

/// Reads the connections with these ids, in their order. An id that is unknown or out of scope has none.
fn read_targets(at: &Snapshot<'_>, scope: &AccountScope, ids: &[String]) -> Result<Vec<LinkTarget>> {
    let mut found = Vec::new();
    for id in ids {
        match configurations::find_configuration(at, scope, id) {
            Ok(one) => found.push(one),
            Err(error) if error.reason() == Reason::ConfigurationNotFound => {}
            Err(error) => return Err(error),
        }
    }
    let names = AccountNames::read(at, found.iter().map(|one| &one.account))?;
    let targets = found.into_iter().map(|one| LinkTarget {
        account: AccountLabel::find(&names, &one.account),
        provider: providers::provider_of_configuration(&one).name,
        name: one.connection_name,
        id: one.id,
    });
    Ok(targets.collect())
}

#[derive(Template)]
#[template(path = "portal/new_setup_links.html")]
struct NewLinksPage {
    layout: PageLayout,
    targets: Vec<LinkTarget>,
    form: BulkLinksForm,
    problems: Vec<FormError>,
}

impl NewLinksPage {
    fn problem(&self, field: &str) -> Option<&str> {
        find_field_error(&self.problems, field)
    }

    fn lifetimes() -> [(&'static str, &'static str); 4] {
        LIFETIMES
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct BulkLinksForm {
    /// Ids of the connections, with commas between them.
    ids: String,
    life: String,
    note: String,
}

impl Default for BulkLinksForm {
    fn default() -> Self {
        Self { ids: String::new(), life: LIFETIME_DEFAULT.to_owned(), note: String::new() }
    }
}

impl BulkLinksForm {
    /// The ids, each once. Empty if there are more than the list has on a page, or one is no id.
    fn ids(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for id in self.ids.split(',').filter(|id| !id.is_empty()) {
            if !ids::is_id(id) || found.len() == PER_PAGE {
                return Vec::new();
            }
            if !found.iter().any(|one| one == id) {
                found.push(id.to_owned());
            }
        }
        found
    }
}

/// The connections of a form, or the address that a request is redirected to.
async fn find_targets(
    admin: &PermittedAdmin<MintTokens>,
    page_request: &PageRequest,
    form: &BulkLinksForm,
) -> std::result::Result<std::result::Result<Vec<LinkTarget>, &'static str>, PageError> {
    let (ids, scope) = (form.ids(), admin.context.scope.clone());
    if ids.is_empty() {
        return Ok(Err("/connections?done=none-selected"));
    }
    let number = ids.len();
    let targets = page_request.read(move |at| read_targets(at, &scope, &ids)).await?;
    // All or nothing: one of them can have been deleted since it was selected.
    Ok(if targets.len() == number { Ok(targets) } else { Err("/connections?done=connection-gone") })
}

fn render_form(
    signed: &SignedIn,
    targets: Vec<LinkTarget>,
    form: BulkLinksForm,
    problems: Vec<FormError>,
) -> actix_web::HttpResponse {
    let layout = PageLayout::new(texts::setup::CREATE_LINKS, Some(signed), NavigationEntry::Connections);
    let status = if problems.is_empty() { 200 } else { 422 };
    render_page(status, &NewLinksPage { layout, targets, form, problems })
}

/// `GET /connections/links/new`
pub(crate) async fn show_form(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let form: BulkLinksForm = page_request.query().unwrap_or_default();
    match find_targets(&admin, &page_request, &form).await? {
        Ok(targets) => Ok(render_form(&admin.signed, targets, form, Vec::new())),
        Err(address) => Ok(redirect_to(address).finish()),
    }
}

/// A new link: the connection, the link, and its URL.
struct LinkDraft {
    configuration: String,
    new: NewSetupLink,
    url: String,
}

/// Draws the secrets of the links.
fn draft_links(public_url: &str, ids: &[String], form: &BulkLinksForm) -> Result<Vec<LinkDraft>> {
    let draft = |id: &String| {
        let secret = BearerToken::generate_link().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
        let new = NewSetupLink {
            id: clock::new_id(),
            digest: secret.digest(),
            lifetime_seconds: form.life.parse().unwrap_or(setup_links::LIFETIME_DEFAULT_SECONDS),
            note: form.note.clone(),
            purpose: LinkPurpose::Setup,
            client: None,
            provider: None,
        };
        Ok(LinkDraft { configuration: id.clone(), new, url: format!("{public_url}/s/{}", secret.reveal()) })
    };
    ids.iter().map(draft).collect()
}

/// `POST /connections/links/new`: creates a link for each connection, or none.
pub(crate) async fn create_links(admin: PermittedAdmin<MintTokens>, page_request: PageRequest) -> PageResult {
    let form = page_request.form::<BulkLinksForm>(&admin.signed).await?;
    let targets = match find_targets(&admin, &page_request, &form).await? {
        Ok(targets) => targets,
        Err(address) => return Ok(redirect_to(address).finish()),
    };
    let problems: Vec<FormError> =
        [find_lifetime_problem(&form.life), find_note_problem(&form.note)].into_iter().flatten().collect();
    if !problems.is_empty() {
        return Ok(render_form(&admin.signed, targets, form, problems));
    }
    let server = &page_request.state.server;
    let drafts = draft_links(&server.public_url(), &form.ids(), &form)?;
    let lines: Vec<String> = drafts.iter().map(|draft| format!("{} {}", draft.configuration, draft.url)).collect();
    let (one_time, cookie) = one_time_secrets::seal_secret(server, &admin.signed, SECRET_CONTEXT, &lines.join("\n"))?;
    let context = admin.context.clone();
    let write = move |tx: &Tx<'_>| {
        sessions::create_with_one_time_secret(tx, &one_time, |tx| {
            drafts.iter().try_for_each(|draft| {
                let created = setup_links::create_link(tx, &context, &draft.configuration, &draft.new);
                created.map(|_| ())
            })
        })
    };
    match page_request.write(write).await {
        Ok(()) => Ok(redirect_to("/connections/links/made").cookie(cookie).finish()),
        Err(error) if error.reason() == Reason::ExpiryBeyondCaller => {
            let sentence = texts::setup::say_no_link_created(&render_sentence(&error));
            Ok(render_form(&admin.signed, targets, form, vec![FormError { field: "life", sentence }]))
        }
        Err(error) if error.reason() == Reason::TooManyLinks => {
            let names = list_full_targets(&admin, &page_request, &targets).await?;
            let sentence = texts::setup::say_no_link_created(&texts::setup::say_links_full(&names, LIVE_LINKS_MAX));
            Ok(render_form(&admin.signed, targets, form, vec![FormError { field: "connections", sentence }]))
        }
        Err(error) => Err(PageError::from(error)),
    }
}

/// Names of the connections that have no room for another link.
async fn list_full_targets(
    admin: &PermittedAdmin<MintTokens>,
    page_request: &PageRequest,
    targets: &[LinkTarget],
) -> std::result::Result<Vec<String>, PageError> {
    let all: Vec<(String, String)> = targets.iter().map(|one| (one.id.clone(), one.name.clone())).collect();
    let (scope, now) = (admin.context.scope.clone(), clock::current_millis());
    let read = move |at: &Snapshot<'_>| {
        let mut full = Vec::new();
        for (id, name) in all {
            if !setup_links::has_room_for_link(at, &scope, &id, now)? {
                full.push(name);
            }
        }
        Ok(full)
    };
    Ok(page_request.read(read).await?)
}

/// A new link with its connection.
struct MadeLink {
    target: LinkTarget,
    url: String,
    /// A `mailto:` URL with a text that contains the link.
    mail: String,
}

/// The links that this browser has created, while they can be shown.
async fn read_made(
    admin: &PermittedAdmin<Tokens>,
    page_request: &PageRequest,
) -> std::result::Result<Vec<MadeLink>, PageError> {
    let Some(text) = one_time_secrets::reveal_secret(page_request, &admin.signed, SECRET_CONTEXT)? else {
        return Ok(Vec::new());
    };
    let made: Vec<(String, String)> =
        text.lines().filter_map(|line| line.split_once(' ')).map(|(id, url)| (id.to_owned(), url.to_owned())).collect();
    let (ids, scope) = (made.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), admin.context.scope.clone());
    let targets = page_request.read(move |at| read_targets(at, &scope, &ids)).await?;
    let brand = BrandView::read(&page_request.state)?;
    let with_url = targets.into_iter().filter_map(|target| {
        let url = made.iter().find(|(id, _)| *id == target.id)?.1.clone();
        let mail = build_mail_url(&LinkMail::of_setup(&brand, &target.account), &url);
        Some(MadeLink { target, url, mail })
    });
    Ok(with_url.collect())
}

#[derive(Template)]
#[template(path = "portal/made_setup_links.html")]
struct MadeLinksPage {
    layout: PageLayout,
    links: Vec<MadeLink>,
}

/// `GET /connections/links/made`: the new links, while they can be shown.
pub(crate) async fn show_made(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let links = read_made(&admin, &page_request).await?;
    let mut layout = PageLayout::new(texts::setup::SEND_THESE_LINKS, Some(&admin.signed), NavigationEntry::Connections);
    if !links.is_empty() {
        layout.visible_until = one_time_secrets::find_end(&page_request, &admin.signed)?;
    }
    Ok(render_page(200, &MadeLinksPage { layout, links }))
}

const CSV_COLUMNS: [&str; 6] = ["connection_id", "connection", "customer", "account", "provider", "setup_link"];

/// `GET /connections/links/made.csv`: the new links as a file, while they can be shown.
pub(crate) async fn export_made(admin: PermittedAdmin<Tokens>, page_request: PageRequest) -> PageResult {
    let links = read_made(&admin, &page_request).await?;
    if links.is_empty() {
        return Ok(redirect_to("/connections/links/made").finish());
    }
    let mut text = csv::build_header(&CSV_COLUMNS);
    for MadeLink { target, url, .. } in links {
        let account_id = target.account.id.unwrap_or_else(|| target.account.name.clone());
        let provider = target.provider.to_owned();
        text.push_str(&csv::build_row(&[target.id, target.name, target.account.name, account_id, provider, url]));
    }
    Ok(csv::attach("setup-links.csv", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_once_each_up_to_a_page() {
        let read = |ids: String| BulkLinksForm { ids, ..BulkLinksForm::default() }.ids();
        let (one, other) = (clock::new_id(), clock::new_id());
        assert_eq!(read(format!("{one},{other},,{one}")), [one.clone(), other.clone()]);
        assert_eq!(form_path(&[one.clone(), other.clone()]), format!("/connections/links/new?ids={one},{other}"));
        let many = |number| (0..number).map(|_| clock::new_id()).collect::<Vec<_>>().join(",");
        assert_eq!((read(many(PER_PAGE)).len(), read(many(PER_PAGE + 1)).len()), (PER_PAGE, 0));
        for invalid in [String::new(), ",".to_owned(), "x".to_owned(), format!("{one},../etc")] {
            assert!(read(invalid.clone()).is_empty(), "{invalid}");
        }
    }
}
