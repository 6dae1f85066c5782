//! Invitations of admins, for the inviter: create, show the link once, revoke.

use askama::Template;
use serde::Deserialize;

use crate::auth::secret::BearerToken;
use crate::clock;
use crate::error::{Error, Reason};
use crate::management::accounts::account_names::AccountNames;
use crate::management::admins::invites::{self, AdminInvite, InviteDraft};
use crate::management::{roles, sessions};
use crate::model::admin::normalize_email;
use crate::web::portal::account_label::AccountLabel;
use crate::web::portal::forms::{FormError, PageRequest, encode_query};
use crate::web::portal::layout::{NavigationEntry, PageLayout, PageResult, redirect_to, render_page};
use crate::web::portal::one_time_secrets;
use crate::web::portal::settings::admins::{
    AdminForm, AdminPage, SystemAdmin, check_within_own_permissions, form_error,
};
use crate::web::portal::texts;
use crate::web::portal::texts::errors::render_sentence;
use crate::web::portal::timestamps::PageTime;

/// `GET /settings/people/new`
pub(crate) async fn show_invite_form(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let fields = AdminForm { role: "viewer".to_owned(), ..AdminForm::default() };
    Ok(render_page(200, &AdminPage::read(&admin, &page_request.state.store, None, fields, Vec::new())?))
}

/// `POST /settings/people/new`
pub(crate) async fn create_invite(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let fields = page_request.form::<AdminForm>(&admin.signed).await?;
    let store = &page_request.state.store;
    if let Err(error) = normalize_email(&fields.email) {
        let problems = vec![FormError { field: "email", sentence: render_sentence(&error) }];
        return Ok(render_page(422, &AdminPage::read(&admin, store, None, fields, problems)?));
    }
    if let Ok(role) = page_request.read_inline(|at| roles::find_role(at, &fields.role)) {
        check_within_own_permissions(&admin, &role)?;
    }
    let secret = BearerToken::generate_session().map_err(|_| Error::new(Reason::RandomnessUnavailable))?;
    let draft = InviteDraft {
        id: clock::new_id(),
        digest: secret.digest(),
        email: fields.email.clone(),
        role: fields.role.clone(),
        account: fields.account(),
    };
    let url = format!("{}/invite/{}", page_request.state.server.public_url(), secret.reveal());
    let path = invite_path(&draft.id);
    let (one_time, cookie) = one_time_secrets::seal_secret(&page_request.state.server, &admin.signed, &path, &url)?;
    let context = admin.context.clone();
    let written = page_request.write(move |tx| {
        sessions::create_with_one_time_secret(tx, &one_time, |tx| invites::create_invite(tx, &context, &draft))
    });
    match written.await {
        Ok(_) => Ok(redirect_to(&path).cookie(cookie).finish()),
        Err(error) => {
            let problems = vec![form_error(error)?];
            Ok(render_page(422, &AdminPage::read(&admin, store, None, fields, problems)?))
        }
    }
}

/// Path of the page of an invitation, which is the context of its secret too.
fn invite_path(id: &str) -> String {
    format!("/settings/people/invites/{id}")
}

#[derive(Template)]
#[template(path = "portal/invite.html")]
struct InvitePage {
    layout: PageLayout,
    tab: &'static str,
    invite: AdminInvite,
    /// Name of the role.
    role: String,
    /// The account that the role is limited to.
    account: Option<AccountLabel>,
    /// Whether the admin has all permissions of the role.
    may_revoke: bool,
    expires: PageTime,
    /// Name of the admin who reads the page, for the e-mail.
    inviter: String,
    /// The link, while it can be shown.
    address: Option<String>,
}

impl InvitePage {
    fn is_expired(&self) -> bool {
        self.invite.expires_at <= clock::current_millis()
    }

    /// An e-mail with the link, for the mail program of the inviter.
    fn mail_address(&self) -> String {
        let address = self.address.as_deref().unwrap_or_default();
        let text = texts::admins::write_mail(&self.inviter, address);
        let subject = encode_query(texts::admins::MAIL_SUBJECT);
        format!("mailto:{}?subject={subject}&body={}", encode_query(&self.invite.email), encode_query(&text))
    }
}

/// `GET /settings/people/invites/{invite}`: an invitation, with its link for five minutes after it was created.
pub(crate) async fn show_invite(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("invite");
    let (invite, role, account) = page_request.read_inline(|at| {
        let invite = invites::find_invite(at, &id)?;
        let role = roles::find_role(at, &invite.role).ok();
        let names = AccountNames::read(at, &invite.account)?;
        let account = invite.account.as_ref().map(|account| AccountLabel::find(&names, account));
        Ok((invite, role, account))
    })?;
    let may_revoke = role.as_ref().is_none_or(|role| admin.signed.permissions.contains_all(role.permissions));
    let role = role.map_or_else(|| texts::labels::NONE.to_owned(), |role| role.name);
    let address = match invite.ended_at {
        None => one_time_secrets::reveal_secret(&page_request, &admin.signed, &invite_path(&id))?,
        Some(_) => None,
    };
    let layout = PageLayout::new(texts::admins::INVITATION, Some(&admin.signed), NavigationEntry::Settings);
    let expires = PageTime::from_millis(invite.expires_at);
    let inviter = admin.signed.name.clone();
    let page = InvitePage { layout, tab: "people", invite, role, account, may_revoke, expires, inviter, address };
    Ok(render_page(200, &page))
}

#[derive(Deserialize)]
struct EmptyInviteForm {}

/// `POST /settings/people/invites/{invite}/revoke`
pub(crate) async fn revoke_invite(admin: SystemAdmin, page_request: PageRequest) -> PageResult {
    let id = page_request.path_parameter("invite");
    page_request.form::<EmptyInviteForm>(&admin.signed).await?;
    let context = admin.context;
    page_request.write(move |tx| invites::revoke_invite(tx, &context, &id)).await?;
    Ok(redirect_to("/settings/people?done=invite-revoked").finish())
}
