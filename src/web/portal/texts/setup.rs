//! Setup links and the pages that their holders see: the steps at the identity provider, and mistakes of the mapping.

use super::formats::{count_groups, count_users};

pub(crate) const NOT_STARTED: &str = "Not started";
pub(crate) const SEND_THIS_LINK: &str = "Send this link";
pub(crate) const CHOOSE_PROVIDER_OR_NONE: &str = "Choose one of the providers, or none.";
pub(crate) const CHOOSE_PURPOSE: &str = "Choose what the link is for.";
pub(crate) const CLIENT_IN_USE: &str = "No token of this connection is in use: it uses an OAuth client. Choose to replace its secret; if the client has none, \
     change the client under Credentials.";
pub(crate) const CLIENT_NOT_USABLE: &str =
    "This OAuth client has no secret, or was deleted or disabled. Choose another purpose.";
pub(crate) const CREATE_LINKS: &str = "Create setup links";
pub(crate) const SEND_THESE_LINKS: &str = "Send these links";

/// What a link does that replaces the secret of a client with this label; `None` if the client is deleted.
pub(crate) fn describe_secret_purpose(label: Option<&str>) -> String {
    label.map_or_else(|| "Replace a client secret".to_owned(), |label| format!("Replace the secret of “{label}”"))
}

/// `reason` is a sentence.
pub(crate) fn say_no_link_created(reason: &str) -> String {
    format!("No link was created. {reason}")
}

pub(crate) const NO_TOKEN_TO_REPLACE: &str =
    "This connection has no token that works. Choose the setup as the purpose.";

/// The last step that is done, of `total`.
pub(crate) fn describe_progress(number: usize, total: usize, title: &str) -> String {
    format!("{number} of {total}: {title}")
}

pub(crate) const NEW_TOKEN_CREATED: &str = "New token created";
pub(crate) const NEW_TOKEN_USED: &str = "New token in use";
pub(crate) const TOKEN_NOT_ACCEPTED: &str = "Token not accepted";
pub(crate) const NEW_SECRET_CREATED: &str = "New secret created";
pub(crate) const NEW_SECRET_USED: &str = "New secret in use";

/// `names` are those of connections, each with `max` live links; they can have been changed meanwhile.
pub(crate) fn say_links_full(names: &[String], max: u32) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("“{name}”")).collect();
    match quoted.as_slice() {
        [] => format!("One of the connections had {max} live links. Try again."),
        [one] => format!("{one} has {max} live links. Revoke one of them first."),
        several => {
            format!("These connections have {max} live links each: {}. Revoke one of each first.", several.join(", "))
        }
    }
}

pub(crate) fn say_label_too_long(max: usize) -> String {
    format!("The label can have at most {max} characters, on one line.")
}

pub(crate) const LABEL_HAS_HIDDEN_CHARACTERS: &str =
    "The label has control characters or hidden characters. Type it again instead of pasting it.";

/// What a link does, for the e-mail with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkTask {
    Setup,
    ReplaceToken,
    ReplaceSecret,
}

/// Subject of the e-mail with a link. `product` is the application of the operator, and `account_name` that of the account, where
/// they are known; here and below.
pub(crate) fn write_mail_subject(task: LinkTask, product: Option<&str>, account_name: Option<&str>) -> String {
    let task = match task {
        LinkTask::Setup => "Set up user provisioning",
        LinkTask::ReplaceToken => "Replace the token of user provisioning",
        LinkTask::ReplaceSecret => "Replace the client secret of user provisioning",
    };
    format!("{task}{}{}", add_name(" for ", product), add_name(" – ", account_name))
}

/// Text of the e-mail. Lines end with CRLF (RFC 6068 section 5).
pub(crate) fn write_mail(task: LinkTask, product: Option<&str>, account_name: Option<&str>, address: &str) -> String {
    let provider = account_name
        .map_or_else(|| "your identity provider".to_owned(), |name| format!("the identity provider of {name}"));
    let purpose = match task {
        LinkTask::Setup => format!("connect {provider}{}", add_name(" to ", product)),
        LinkTask::ReplaceToken => {
            format!("replace the token with which {provider} sends users{}", add_name(" to ", product))
        }
        LinkTask::ReplaceSecret => {
            format!("replace the client secret with which {provider} sends users{}", add_name(" to ", product))
        }
    };
    format!(
        "Hello,\r\n\r\nwith this link you {purpose}:\r\n\r\n{address}\r\n\r\nThe page has the steps and checks the \
         connection. You need no account. Please do not forward the link: it can create credentials.\r\n"
    )
}

/// A name with the words before it, or nothing.
fn add_name(separator: &str, name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("{separator}{name}"))
}

pub(crate) const CHOOSE_YOUR_PROVIDER: &str = "Choose your identity provider";
pub(crate) const YOUR_CLIENT: &str = "your SCIM client";
pub(crate) const FINISH_SETUP: &str = "Finish setup";
pub(crate) const SETUP_FINISHED: &str = "Setup finished";
pub(crate) const FINISH_TOKEN_ROTATION: &str = "Finish token rotation";
pub(crate) const FINISH_SECRET_ROTATION: &str = "Finish secret rotation";
/// What a rotation replaces, within a sentence.
pub(crate) const TOKEN: &str = "token";
pub(crate) const SECRET: &str = "client secret";
pub(crate) const ROTATION_FINISHED: &str = "Rotation finished";
/// Label of a token.
pub(crate) const FROM_SETUP_LINK: &str = "from a setup link";

pub(crate) fn title_connect_provider(product: &str) -> String {
    format!("Connect your identity provider to {product}")
}

/// `name` is that of an identity provider.
pub(crate) fn title_replace_token(name: &str) -> String {
    format!("Replace the token in {name}")
}

pub(crate) fn title_replace_secret(name: &str) -> String {
    format!("Replace the client secret in {name}")
}

pub(crate) const SECRET_NEVER_USED: &str = "never used";
pub(crate) const CHOOSE_EARLIER_END: &str =
    "Choose an earlier expiry: the link cannot create a secret that is valid so long.";

/// `ago` is the time since then.
pub(crate) fn say_last_used(ago: &str) -> String {
    format!("last used {ago}")
}

pub(crate) fn title_connect(name: &str, product: Option<&str>) -> String {
    product.map_or_else(|| format!("Connect {name}"), |product| format!("Connect {name} to {product}"))
}

/// How many users and groups have arrived.
pub(crate) fn describe_arrived(users: i64, groups: i64) -> String {
    let users = count_users(users);
    if groups == 0 { users } else { format!("{users}, {}", count_groups(groups)) }
}

pub(crate) const URL_IS_LOCAL: &str = "leads to the server’s own machine only";
pub(crate) const URL_IS_NOT_HTTPS: &str = "does not begin with https://";

/// A rejected request. `cause` is a sentence without its capital letter, and `hint` the end of its token.
pub(crate) fn describe_mistake(provider: &str, cause: &str, hint: Option<&str>, ago: &str) -> String {
    let hint = hint.map_or_else(String::new, |hint| format!(" (…{hint})"));
    format!("{provider} sent a request, but {cause}{hint}, {ago}")
}

pub(crate) const DECLARE_OR_REMOVE: &str =
    "Remove them from the mapping. If your application needs them, ask the sender of this link to declare them.";
pub(crate) const CHOOSE_EMAIL: &str = "Choose the e-mail address, unless your application expects another name.";
pub(crate) const MAP_EXTERNAL_ID: &str = "Map it, so that a user is found again after a change of the user name.";

/// Attributes with these names are not stored, and `others` more.
pub(crate) fn say_attributes_not_stored(provider: &str, names: &[String], others: usize) -> String {
    let more = if others == 0 { String::new() } else { format!(" and {others} more") };
    format!("{provider} sends attributes that are not stored: {}{more}", names.join(", "))
}

/// `number` of the `examined` users have a user name of another kind.
pub(crate) fn say_user_names_differ(number: usize, examined: usize) -> String {
    format!("The userName of {number} of {examined} users is not an e-mail address")
}

pub(crate) fn say_external_ids_absent(number: usize, examined: usize) -> String {
    format!("{number} of {examined} users have no externalId")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mail_with_a_link_names_the_product_and_the_account() {
        let subject = |task, product, account| write_mail_subject(task, product, account);
        assert_eq!(
            subject(LinkTask::Setup, Some("Northlight"), Some("Acme Inc.")),
            "Set up user provisioning for Northlight – Acme Inc."
        );
        assert_eq!(subject(LinkTask::ReplaceToken, None, None), "Replace the token of user provisioning");
        let text = write_mail(LinkTask::Setup, Some("Northlight"), Some("Acme Inc."), "https://x/s/1");
        assert!(
            text.contains("you connect the identity provider of Acme Inc. to Northlight:\r\n\r\nhttps://x/s/1"),
            "{text}"
        );
        let text = write_mail(LinkTask::ReplaceSecret, None, None, "https://x/s/1");
        assert!(
            text.contains("you replace the client secret with which your identity provider sends users:"),
            "{text}"
        );
    }

    #[test]
    fn the_connections_without_room_are_named() {
        let names = ["Acme".to_owned(), "Zeta".to_owned()];
        assert_eq!(say_links_full(&names[..1], 20), "“Acme” has 20 live links. Revoke one of them first.");
        assert!(say_links_full(&names, 20).contains("“Acme”, “Zeta”"));
    }
}
