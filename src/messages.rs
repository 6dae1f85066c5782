//! One sentence for each [`Reason`], for callers of the management API, the portal and the command line. A sentence names the
//! field and the fix. `{name}` is a parameter of the error, `{field}` its field.

mod notes;
#[cfg(test)]
mod tests;

pub use self::notes::{render_note, template_of_note};
use crate::error::{Error, Reason};

/// The sentence of an error, with its parameters filled in. The part of the request comes first: `Operations[2]: …`.
pub fn render_message(error: &Error) -> String {
    fill_template(error, template_of(error.reason()))
}

/// A template with the parameters of an error, after the part of the request: `Operations[2]: …`. The sentence of an
/// operator replaces the template.
pub(crate) fn fill_template(error: &Error, template: &str) -> String {
    let mut text = error.location().map(|location| format!("{location}: ")).unwrap_or_default();
    if let Some(sentence) = error.sentence() {
        return text + sentence;
    }
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, tail)) = after.split_once('}') else { break };
        let value = if name == "field" { error.field() } else { error.param(name) };
        text.push_str(value.unwrap_or_default());
        rest = tail;
    }
    text.push_str(rest);
    text
}

/// The text with a capital letter at its start.
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}

/// The sentence for the command line. Details of database errors are for the operator, who may read them on the terminal.
pub fn render_for_operator(error: &Error) -> String {
    match error.log_detail() {
        Some(detail) => format!("{} ({detail})", render_message(error)),
        None => render_message(error),
    }
}

/// The sentence of a reason with its placeholders.
#[expect(clippy::too_many_lines, reason = "a table with one line per reason")]
pub fn template_of(reason: Reason) -> &'static str {
    match reason {
        // Load and storage.
        Reason::ServerBusy => "the server is busy; try again in a few seconds",
        Reason::ResourceChanging => "a large change of this resource is running; try again in a few seconds",
        Reason::AccountMoving => {
            "the account is moving to another instance; nothing was changed; try again in a few seconds"
        }
        Reason::AccountMoved => "the account has moved to another instance; use the address of that instance",
        Reason::AccountImporting => "the account is being imported from another instance; try again later",
        Reason::AccountStateWrong => "the account is {state}; this needs an account that is {expected}",
        Reason::AccountBusy => "{work} of the account is still running; wait until it has ended, and try again",
        Reason::DiskFull => "the disk of the server is full; nothing was changed",
        Reason::WriteTooLong => "the change takes too long; nothing was changed; split it into smaller requests",
        Reason::BulkJobsLimited => "too many bulk requests of this configuration are waiting; try again later",
        Reason::QuotaExceeded => {
            "the {owner} has reached its quota of {limit} {quota}; remove some, or ask the operator for a higher limit"
        }
        Reason::ActiveUserLimitReached => {
            "the {owner} has reached its limit of {limit} active users; deactivate or delete some, or ask the operator for a higher limit"
        }
        Reason::QuotaMessageInvalid => "message must have at most {max} characters and no control characters",
        Reason::QueryTooLong => "the query takes too long; restrict it, or filter by an indexed attribute",
        Reason::DatabaseUnavailable => "the server cannot use its database at present; nothing was changed",
        Reason::DatabaseDamaged => "the database of the server is damaged and accepts no changes; nothing was changed",
        Reason::DatabaseFileMissing => "the database file of the server was moved away; nothing was changed",
        Reason::DatabaseFileReplaced => "the database file of the server was replaced; nothing was changed",
        Reason::DiskStalled => "the disk of the server does not respond; nothing was changed; try again later",
        Reason::LeaseLost => {
            "this server does not hold the lease of its replica; nothing was changed; try again in a few seconds"
        }
        Reason::CheckpointFailing => {
            "the server cannot complete changes on its disk at present; nothing was changed; try again later"
        }
        Reason::WriteOutcomeUnknown => {
            "the disk of the server failed, and it is unknown whether the change was made; read the resource, and then repeat the request if needed"
        }
        Reason::NotReplicated => {
            "the change was made on this server, but the replica has not confirmed it; repeat the request: the same request has the same result"
        }
        Reason::ReplicaUnavailable => {
            "the replica of the server does not confirm changes; nothing was changed; try again later"
        }
        Reason::ServerStopping => "the server is stopping",
        Reason::ServerNotReady => "the server is not ready",
        Reason::RandomnessUnavailable => "the server cannot generate random numbers at present",
        Reason::SigningUnavailable => "the server cannot sign tokens at present",
        Reason::HashingQueueFull => "too many passwords are waiting to be hashed; try again later",
        Reason::CallAborted => "the call was aborted",
        Reason::ResponseLost => "the response was lost",
        Reason::ResponseNotEncrypted => "the response could not be encrypted",
        Reason::DocumentUnavailable => "the document cannot be generated at present",
        Reason::ReferenceUnavailable => "the page cannot be generated; /openapi.json has the same content as JSON",
        // HTTP.
        Reason::BodyTooLarge => "the body is larger than {max} bytes; split the request",
        Reason::DocumentTooLarge => "the body needs more memory than one request may use; split the request",
        Reason::BodyMemoryExhausted => "there are too many large bodies at the same time; try again in a few seconds",
        Reason::BodyTimeout => "the body did not arrive in time",
        Reason::ClientDisconnected => "the client closed the connection before the query ended",
        Reason::BodyIncomplete => "the body is incomplete or its framing is not valid",
        Reason::BodyCompressed => "compressed bodies are not accepted: leave out Content-Encoding",
        Reason::BodyNotObject => "the body must be a JSON object",
        Reason::BodyMissing => "the request needs a JSON body",
        Reason::BodyFieldFixed => "{name} cannot be changed: {fix}",
        Reason::BodyFieldInvalid | Reason::SsoProviderUnusable | Reason::TokenRequestInvalid => "{problem}",
        Reason::ContentLengthInvalid => "Content-Length is not a number",
        Reason::ContentTypeUnsupported => "the content type must be {expected}",
        Reason::QueryStringTooLong => "the query is longer than {max} bytes",
        Reason::QueryParameterUnknown => "there is no query parameter {name}; {fix}",
        Reason::QueryInvalid => "the query is not valid: {problem}",
        Reason::MethodNotAllowed => "{method} is not allowed here; use {allowed}",
        Reason::RouteNotFound => {
            "there is nothing at this URL; provisioning URLs begin with /directory/resources/scim/v2.0/, the management API with /directory/resources/v1/"
        }
        // JSON.
        Reason::JsonInvalid => "the body is not valid JSON (line {line}, column {column})",
        Reason::JsonTooDeep => "the body is nested deeper than {max} levels",
        Reason::JsonTooManyValues => "the body holds more than {max} values",
        Reason::JsonStringTooLong => "a string is longer than {max} bytes",
        Reason::JsonNulCharacter => "a string contains the character NUL; remove it",
        Reason::JsonDuplicateName => "the name {name} occurs twice in one object",
        // Credentials and rights.
        Reason::ScimTokenRequired => "the request needs the bearer token of this provisioning URL",
        Reason::ConfigurationDeleted => "the configuration is deleted",
        Reason::WrongTokensLimited => "too many requests with a wrong token came from this address",
        Reason::RequestsLimited => "too many requests to this provisioning URL; slow down",
        Reason::QueriesLimited => {
            "too many queries are waiting; send fewer at once, or filter by userName, externalId or id"
        }
        Reason::TokenReadOnly => "this token is read-only; use one with the right to write",
        Reason::TokenTypeForbidden => "this token is for {rights} only and has no access to {endpoint}",
        Reason::CredentialRequired => "the request needs a valid environment token, API key or user token",
        Reason::WrongCredentialsLimited => "too many requests with wrong credentials came from this address",
        Reason::PasswordChecksLimited => "the password of this user was checked too often; try again later",
        Reason::UserTokenKeysUnavailable => {
            "the keys of the identity system could not be fetched yet; try again in a few seconds"
        }
        Reason::OperatorOnly => "only the operator's own credentials may do this",
        Reason::PermissionMissing => "the caller lacks the permission {permission}",
        Reason::SelfServiceOff => "self-service is switched off; ask the operator",
        Reason::AccountHeaderMissing => "the header frontegg-tenant-id must name the account",
        Reason::AccountHeaderInvalid => {
            "frontegg-tenant-id must be the id of one account, in UTF-8; leave the header out to select none"
        }
        Reason::AccountHeaderForbidden => "the caller has no access to the account in frontegg-tenant-id",
        Reason::AccountMismatch => "accountId is not the account in frontegg-tenant-id",
        Reason::PermissionOfOperator => "permissions: the key of an account cannot have {permission}",
        Reason::PermissionsNotHeld => "permissions: a key can only have permissions that the caller has",
        Reason::AuthorityExceeded => "this needs permissions that the caller lacks",
        Reason::ExpiryBeyondCaller => "{field}: must not be after the expiry of the caller's own credential",
        // Parameters of the management API.
        Reason::CursorNotIssued => "cursor must be the unchanged nextCursor of the previous page",
        Reason::TimestampInvalid => "{field} must be a timestamp in RFC 3339 format, such as 2026-07-14T09:30:00Z",
        Reason::SearchTextLength => "text must have 1 to {max} characters",
        Reason::StatusFilterInvalid => "status must be ok, failed, a class such as 4xx, or a number",
        Reason::DomainsInvalid => {
            "domains must be a list of at most {max} domains such as example.com, separated by commas"
        }
        Reason::EventPositionInvalid => {
            "after must be the nextAfter of the previous page, or latest for the current end of the feed"
        }
        Reason::PositionInvalid => "{field} must be a position of the event feed: a nextAfter",
        Reason::EventKindUnknown => {
            "kind must be a list of event kinds, separated by commas: {kinds}, or user.* and the like"
        }
        Reason::EventNotFound => "there is no event with this seq, or it is not stored any more",
        Reason::EventsExpired => {
            "the events after this position are not available: they have expired, or a restored backup does not contain them; read all users and groups of the account again, then continue with after={restartFrom}"
        }
        Reason::AccountReplaced => {
            "the account was deleted and created again after this position: users and groups from before belong to another account; read all users and groups of the account again, then continue with after={restartFrom}"
        }
        Reason::EventPositionUnknown => {
            "this is not a position of this feed: it is after the newest event, or it is of another database; read all users and groups of the account again, then continue with after={restartFrom}"
        }
        Reason::IdempotencyKeyInvalid => "Idempotency-Key must have 8 to 255 visible characters, such as a new UUID",
        Reason::IdempotencyKeyReused => "Idempotency-Key was used for another request: use a new key for a new request",
        Reason::IdempotencyInProgress => "the first request with this Idempotency-Key is still running",
        Reason::IdempotencyInterrupted => {
            "the first request with this Idempotency-Key was interrupted: check whether it took effect, then use a new key"
        }
        // SCIM routes.
        Reason::ProvisioningUrlUnknown => "no provisioning URL begins with this path",
        Reason::ScimVersionUnsupported => "only version 2 of the protocol is supported: use v2 or no version",
        Reason::ScimPathUnknown => "no endpoint has this path; see /ResourceTypes",
        Reason::MeNotSupported => "/Me is not supported: a provisioning token belongs to no user",
        Reason::BulkNotSupported => "Bulk is not supported; see ServiceProviderConfig",
        Reason::DiscoveryDocumentNotFound => "there is no such discovery document; see the list of documents",
        Reason::DiscoveryFilterForbidden => "discovery documents cannot be filtered",
        Reason::ScimResourceNotFound => "there is no user or group with this id in this configuration",
        Reason::EntityTagInvalid => "If-Match and If-None-Match take entity tags such as W/\"3\", a list of them, or *",
        Reason::VersionMismatch => "the resource has changed: its version is now {version}; read it again",
        Reason::VersionExcluded => "the resource has the version {version}, which If-None-Match excludes",
        // SCIM values.
        Reason::ResourceNotObject => "the body must be a JSON object that describes one resource",
        Reason::AttributeRequired => "{field} is required and must not be empty",
        Reason::ExtensionRequired => "the extension {field} is required",
        Reason::ExtensionAttributeRequired => "{field} is required",
        Reason::SchemasInvalid => "schemas must be an array of URIs",
        Reason::SchemasNotUris => "schemas must contain only URIs",
        Reason::SchemasForeign => "schemas names a schema that {resource_type} does not have",
        Reason::SchemasIncomplete => "schemas must name {schema}",
        Reason::AttributeUnknown => "no schema of this resource has an attribute {name}",
        Reason::ExtensionNotObject => "{field} must be an object",
        Reason::PrimaryNotUnique => "{field} has more than one primary value",
        Reason::ValueNotCanonical => "{field} must be one of {allowed}",
        Reason::BooleanWrong => "{field} must be true or false, found {found}",
        Reason::ValueTypeWrong => "{field} must be {expected}, found {found}",
        Reason::TooManyValues => "{field} may have at most {max} values",
        Reason::IndexedTextTooLarge => {
            "the indexed values of a resource may have at most {max} KiB of text that is not ASCII"
        }
        Reason::ResourceTooLarge => "a resource may have at most {max} KiB; remove values that are not needed",
        Reason::ScimPasswordEmpty => "password must not be empty; remove it instead",
        Reason::ScimPasswordTooLong => "password must not be longer than {max} bytes",
        Reason::UserNameTaken => "userName is taken by the {state} resource {id}",
        Reason::GroupNameTaken => "displayName is taken by the group {id}",
        // SCIM members.
        Reason::TooManyMembers => "one request may name at most {max} members",
        Reason::MemberReferenceInvalid => "members.$ref does not contain a resource id",
        Reason::MemberValueEmpty => "members.value must not be empty",
        Reason::MemberValueMissing => "each member needs a value: the id of a user or group",
        Reason::MemberUnknown => "members.value {id} is no user or group of this configuration",
        Reason::MembersAllUnknown => {
            "none of the members exists here, so the group was not emptied; create the members first, or send an empty list"
        }
        Reason::MemberOfItself => "a group cannot be a member of itself",
        Reason::MemberImmutable => "a member cannot be changed; remove it and add another",
        Reason::MemberAttributeImmutable => "{field} cannot be changed; remove the member and add another",
        // SCIM PATCH.
        Reason::OperationsBodyNotObject => "the body must be a JSON object with Operations",
        Reason::OperationsMissing => "the body must have Operations",
        Reason::OperationsEmpty => "Operations must not be empty",
        Reason::OperationsNotArray => "Operations must be an array",
        Reason::TooManyOperations => "one request may hold at most {max} operations",
        Reason::RequestTooExpensive => {
            "the request compares or copies too much; split it into requests with fewer operations, terms or values"
        }
        Reason::OperationNotObject => "an operation must be an object",
        Reason::OpMissing => "op is required: add, replace or remove",
        Reason::OpUnknown => "op must be add, replace or remove",
        Reason::AddWithoutValue => "add needs a value",
        Reason::ReplaceWithoutValue => "replace needs a value; send null to clear the attribute",
        Reason::PathNotText => "path must be text",
        Reason::PathMissing => "an operation needs a path",
        Reason::RemoveWithoutPath => "remove needs a path",
        Reason::ValueNotObject => "without a path the value must be an object of attributes",
        Reason::AttributeReadOnly => "{field} is read-only",
        Reason::AttributeNotRemovable => "{field} is required and cannot be removed",
        Reason::SchemasImmutable => "schemas must contain {schema}",
        Reason::PathNeedsSubAttribute => "a path with a filter must end in a sub-attribute",
        Reason::FilterSelectsSeveral => "the filter of {field} selects more than one value",
        Reason::PathSelectsNothing => "the path {field} selects nothing",
        // SCIM paths.
        Reason::PathEmpty => "the attribute path is empty; name an attribute",
        Reason::PathTooLong => "the path is longer than {max} bytes",
        Reason::PathCharacter => "\"{path}\" is not an attribute path: it cannot contain {character}",
        Reason::PathColon => "\"{path}\" is not an attribute path: a URN is followed by a colon and a name",
        Reason::PathTooManyParts => {
            "\"{path}\" is not an attribute path: a name has at most one sub-attribute, as in name.familyName"
        }
        Reason::PathNameInvalid => {
            "\"{path}\" is not an attribute path: a name starts with a letter and continues with letters, digits, - or _"
        }
        Reason::PathWholeSchema => "\"{path}\" is the whole base schema; name an attribute",
        Reason::PathBracketOpen => "the bracket of \"{path}\" is not closed",
        Reason::PathBracketSuffix => "only .name may follow the bracket of \"{path}\"",
        Reason::PathBracketName => "the brackets of {field} may name only its sub-attributes, not \"{name}\"",
        Reason::PathBracketUnsupported => "{field} has no sub-attributes, so it takes no brackets",
        Reason::PathAttributeUnknown => "{resource_type} has no attribute \"{path}\"; see /Schemas for the names",
        Reason::PathSubAttributeUnknown => "{field} has no sub-attribute \"{name}\"",
        // SCIM filters.
        Reason::FilterTooLong => "the filter is longer than {max} bytes",
        Reason::FilterEmpty => "the filter is empty; omit the parameter to get every resource",
        Reason::FilterTooDeep => "the filter is nested deeper than {max} levels",
        Reason::FilterTooManyTerms => "the filter has more than {max} comparisons",
        Reason::FilterTokenUnexpected => "expected {expected}, found {found}",
        Reason::FilterBracketUnmatched => "this \")\" has no matching \"(\"",
        Reason::FilterBracketsNested => "brackets cannot be nested",
        Reason::FilterOperatorUnknown => {
            "\"{operator}\" is not an operator; use eq, ne, co, sw, ew, pr, gt, ge, lt or le"
        }
        Reason::FilterTextUnquoted => "text must be in double quotes: write \"{text}\"",
        Reason::FilterQuotesWrong => "strings must be in double quotes, as in userName eq \"ada\"",
        Reason::FilterCharacter => "{character} is not allowed here",
        Reason::FilterNumberInvalid => "\"{text}\" is not a number; text must be in double quotes",
        Reason::FilterStringOpen => "this string has no closing quote",
        Reason::FilterStringNul => "this string contains the character NUL",
        Reason::FilterStringInvalid => "this string is not a JSON string; check its escapes and control characters",
        Reason::FilterNullOrdered => "{field} {operator} null has no meaning; use eq or ne",
        Reason::FilterComplex => "{field} is complex; compare one of its sub-attributes{example}",
        Reason::FilterNeverReturned => "{field} is never returned and cannot be filtered on",
        Reason::FilterWholeExtension => {
            "{field} is a whole extension; name one of its attributes, or use schemas eq \"{field}\""
        }
        Reason::FilterOperandType => "{field} must be compared with {expected}",
        Reason::FilterOperatorType => "{operator} cannot be used with {field}, which is a {data_type}",
        // SCIM queries.
        Reason::ProjectionFiltered => {
            "attributes and excludedAttributes are names of attributes, without a filter in brackets"
        }
        Reason::ProjectionConflict => "attributes and excludedAttributes cannot be combined; use one of them",
        Reason::SortOrderInvalid => "sortOrder must be ascending or descending",
        Reason::SortNeverReturned => "{field} is never returned and cannot be sorted by",
        Reason::SortComplex => "{field} is complex; name one of its sub-attributes{example}",
        Reason::PagingConflict => "cursor and startIndex cannot be combined; use one of them",
        Reason::SearchBodyInvalid => "the body must be a search request",
        Reason::ParameterType => "{field} must be {expected}",
        Reason::ParameterTwice => "the parameter {field} is given twice",
        Reason::ParameterNotNumber => "{field} must be a whole number",
        Reason::CursorCountChanged => "count must be the same for all pages; it was {count} for the first page",
        Reason::CursorForeign => {
            "the cursor was not issued for this query; repeat the query that issued it, or start with an empty cursor"
        }
        Reason::CursorExpired => "the cursor can no longer be used; start again with an empty cursor",
        // SCIM Bulk.
        Reason::BulkTooManyOperations => "a job may hold at most {max} operations, not {given}",
        Reason::FailOnErrorsInvalid => {
            "failOnErrors must be a whole number of at least 1; omit it to run the whole job"
        }
        Reason::BulkOperationInvalid => "an operation must be an object with method and path",
        Reason::BulkMethodInvalid => "method must be POST, PUT, PATCH or DELETE",
        Reason::BulkMethodMissing => "method is missing",
        Reason::BulkIdInvalid => "bulkId must be text that is not empty",
        Reason::BulkIdMissing => "POST needs a bulkId, which the result repeats",
        Reason::BulkIdTwice => "an earlier POST of this job has the same bulkId; each needs its own",
        Reason::BulkPathMissing => "path is required: /Users, /Users/ID, /Groups or /Groups/ID",
        Reason::BulkPathForeign => "path must be relative, as in /Users/ID, or begin with {base}",
        Reason::BulkVersionInvalid => "version must be text, an entity tag such as W/\"3\"",
        Reason::BulkDataMissing => "{method} needs data, the body of the single call",
        Reason::BulkReferenceUnknown => "no POST of this job has the bulkId {bulk_id}",
        Reason::BulkReferenceLater => {
            "the bulkId {bulk_id} is created by a later operation, which cannot run earlier without changing the result; put it first"
        }
        Reason::BulkReferenceFailed => "the POST with the bulkId {bulk_id} did not create a resource",
        Reason::BulkCycleRejected => "the operation is in a cycle of references with another one that was refused",
        Reason::BulkCycleUnsupported => {
            "an inactive resource with this name exists; circular references cannot reactivate it"
        }
        Reason::BulkNested => "a bulk request cannot contain another bulk request; list its operations here",
        Reason::BulkPathUnsupported => "a bulk request supports users and groups only",
        Reason::BulkMethodPath => "{method} does not match the path: {rule}",
        // Schema documents.
        Reason::SchemaNotObject => "a schema must be a JSON object; see RFC 7643 section 7",
        Reason::SchemaIdNotUrn => {
            "the schema's id must be a URN such as urn:example:params:scim:schemas:Badge:1.0:User"
        }
        Reason::SchemaNamespaceReserved => {
            "{id} is the URN of a standard schema or message, or inside one; choose another URN"
        }
        Reason::SchemaAttributesMissing => "the schema needs attributes: an array that is not empty",
        Reason::SchemaTooManyAttributes => "the schema has more than {max} attributes",
        Reason::SchemaAttributeTwice => "the attribute {field} occurs twice",
        Reason::SchemaAttributeNotObject => "each attribute must be an object",
        Reason::SchemaAttributeName => {
            "{name} is not an attribute name: use a letter, then letters, digits, '-', '_' or '$'"
        }
        Reason::SchemaNestedComplex => "{field} must not be complex: it is a sub-attribute",
        Reason::SchemaSubAttributesMissing => "{field} is complex and needs subAttributes",
        Reason::SchemaSubAttributesForbidden => "{field} is not complex and cannot have subAttributes",
        Reason::SchemaUniquenessUnsupported => "{field}: uniqueness is supported only for userName; use none",
        Reason::SchemaImmutableUnsupported => {
            "{field}: immutable is not supported for attributes of extensions; use readWrite"
        }
        Reason::SchemaIndexNotText => "{field}: only text can be indexed",
        Reason::SchemaWriteOnlyReturned => "{field}: a writeOnly attribute must have returned never",
        Reason::SchemaKeyword => "{field}: {member} must be one of {allowed}",
        Reason::SchemaMemberTooLong => "{member} of {field} is longer than {max} bytes",
        Reason::SchemaMemberType => "{member} of {field} must be {expected}",
        Reason::SchemaMemberMissing => "{field} needs a member {member}",
        Reason::SchemaMemberTexts => "{member} of {field} must contain only short texts",
        // Names and values.
        Reason::NameLength => "{field} must have 1 to {max} characters",
        Reason::NameControlCharacters => "{field} must not contain control characters or hidden characters",
        Reason::AdminNameLength => "the name must have 1 to {max} characters",
        Reason::EmailInvalid => "the e-mail address must look like name@example.com",
        Reason::PasswordTooShort => "use at least {min} characters",
        Reason::PasswordTooLong => "the password can have at most {max} characters",
        Reason::PasswordTooCommon => {
            "the password is too common; choose several unrelated words, such as a sentence of your own"
        }
        Reason::NoteInvalid => "note must have at most {max} characters, and no control or hidden characters",
        Reason::NumberOutOfRange => "{field} must be a number from {min} to {max}",
        Reason::SecondsOutOfRange => "{field} must be a number of seconds from {min} to {max}",
        Reason::ExpiryPast => "expiresAt is in the past: give a time in the future",
        Reason::ResponseInvalid => "the request cannot be processed: {problem}",
        // Accounts.
        Reason::AccountIdLength => "an account id has 1 to {max} characters",
        Reason::AccountIdCharacters => {
            "an account id must not contain control characters, or a space at its start or end"
        }
        Reason::AccountIdForeign => "id: frontegg-tenant-id names another account; leave it out",
        Reason::AccountNotFound => "there is no account with this id",
        Reason::AccountExists => "there is an account with this id already",
        Reason::AccountHasConfigurations => "the account has {count} configurations; delete them first",
        Reason::AccountHasLeftovers => {
            "deleted configurations of the account still have users and groups; purge them with the account"
        }
        // Configurations.
        Reason::ConfigurationNotFound => "there is no configuration {id}",
        Reason::ConfigurationNoLongerExists => "the configuration no longer exists",
        Reason::ConfigurationNotDeleted => "{id} is not deleted: it has no leftovers",
        Reason::StagedWithSync => {
            "a staged configuration is paused until it goes live: leave out syncToUserManagement, or set it to false"
        }
        Reason::SimulatedNotLive => {
            "a temporary connection with invented users does not go live: remove its data instead"
        }
        Reason::ConnectionNameTaken => "connectionName {name} is taken in this account: choose another",
        Reason::PageDefaultAboveMax => "switches.pageDefault ({default}) must not be above pageMax ({max})",
        Reason::StoredAttributeUnknown => {
            "switches.wantedAttributes: users and groups have no attribute {name} to store"
        }
        Reason::ConfigurationNotHeld => "the configuration is not held, or a decision is being carried out",
        Reason::ReversalTimeInvalid => "since must be a time between {oldest} and now",
        Reason::ReversalRunning => "an undo of this configuration is running; wait until it has ended",
        Reason::ReversalNotFound => "nothing of this configuration was undone",
        Reason::ProtectedUsersInvalid => "protectedUsers takes at most {max} names of at most {length} characters",
        Reason::HoldMinutesMissing => "minutes is required with allow-for: a number from 1 to 1440",
        Reason::HoldMinutesUnused => "minutes is for the decision allow-for only; leave it out",
        Reason::GroupNamesShared => {
            "switches.uniqueGroupNames: several have the same name: {names}; rename or remove them first"
        }
        Reason::PasswordsNotStored => {
            "the configuration does not store passwords: set passwords to verify in its settings; passwords are stored from then on"
        }
        Reason::CallNotFound => "there is no such call in the log of this configuration",
        Reason::ReplayUnauthenticated => {
            "the request had no valid token, so it cannot be sent again: any client can send such a request"
        }
        Reason::ReplayBodyNotStored => {
            "the body of the request was not stored, so it cannot be sent again; let the identity provider repeat it"
        }
        Reason::ReplayCut => {
            "only the beginning of the request was stored, so it cannot be sent again; let the identity provider repeat it"
        }
        Reason::ReplayRedacted => {
            "a secret or unreadable text was removed from the request before it was stored, so it cannot be sent again; let the identity provider repeat it"
        }
        Reason::ReplayUnsupported => "this entry of the log is not a SCIM request that can be sent again",
        Reason::ResourceNotFound => "there is no such {resource_type}",
        Reason::DeletedResourceNotFound => {
            "the configuration has no deleted user or group with this id that can be restored"
        }
        // Personal data.
        Reason::PersonalDataSubjectInvalid => "give either userId, the id of a user, or email, an e-mail address",
        Reason::PersonalDataAccountMissing => "accountId must name the account",
        Reason::PersonalDataRequestNotFound => "there is no such request, or it was an export and has been removed",
        Reason::PersonalDataLimit => "{max} requests of this account run already: try again later",
        Reason::PersonalDataExportsLimit => "the account has {max} exports: each is removed after 7 days",
        Reason::PersonalDataNotReady => "the export is not complete yet: try again when its state is done",
        Reason::PersonalDataNoFile => "an erasure has no file: only an export has one",
        // Schemas.
        Reason::SchemaNotFound => "the configuration has no schema with this URN",
        Reason::SchemaExists => "the configuration already has a schema {id}",
        Reason::SchemaInUse => "resources have values under {id}; purge them with it, or remove them first",
        Reason::SchemaTooLarge => "a schema may be at most {max} bytes long",
        Reason::TooManySchemas => "a configuration may have at most {max} schemas of its own",
        Reason::DeclarationEmpty => "name at least one attribute to declare",
        Reason::DeclarationSchemaFixed => "{name} is sent with the URN {schema}: declare it there",
        Reason::DeclarationSchemaMissing => "{name} is sent without a URN: name the schema to declare it in",
        Reason::UndeclaredImpossible => "{name} cannot be declared: {obstacle}",
        Reason::UndeclaredNotListed => "{name} is not among the undeclared attributes of the configuration",
        Reason::ResourceTypeUnknown => "there is no resource type {name}: use User or Group",
        // Tokens and setup links.
        Reason::TokenNotFound => "the configuration has no live token with this id; list its tokens to see the ids",
        Reason::TokenNotLive => "the token is revoked or expired and cannot be changed: create a new one",
        Reason::LinkNotFound => "the configuration has no such link, or it has ended",
        Reason::LinkUnknown => "there is no such setup link; open the complete link that you received",
        Reason::LinkEnded => "this setup link has ended; ask its sender for a new one",
        Reason::LinkExpired => "this setup link has expired; ask its sender for a new one",
        Reason::LinkActionNotAllowed => "this setup link does not allow this; ask its sender for another one",
        Reason::LinkClientWithoutPurpose => "only a link with the purpose replace-token can name an OAuth client",
        Reason::LinkTokensSpent => "{max} tokens were created with this link; ask the sender for a new link",
        Reason::TooManyLinks => "the configuration has {max} live links: revoke one first",
        Reason::TooManyInvites => "there are {max} open invitations: revoke one first",
        // API keys and permissions.
        Reason::OauthClientNotFound => "there is no such OAuth client",
        Reason::OauthSecretNotFound => "the client has no such secret",
        Reason::TooManyOauthClients => "a configuration can have at most {max} OAuth clients; delete one first",
        Reason::TooManyClientSecrets => "a client can have at most {max} valid secrets; delete one first",
        Reason::ClientWithoutSecrets => "this client does not authenticate with secrets",
        Reason::OauthFieldUnexpected => {
            "{field} does not belong to a client with the authentication {authentication}; leave it out"
        }
        Reason::OauthFieldMissing => "{field} is required for a client with the authentication {authentication}",
        Reason::OauthFieldInvalid => "{field} must have 1 to {max} bytes and no control characters",
        Reason::OauthUrlRefused => "{field} cannot be called: {problem}",
        Reason::OauthKeysInvalid => "jwks cannot be used: {problem}",
        Reason::OauthScopeUnknown => "scope must be names with spaces between them, of: {scopes}",
        Reason::GrantTypeUnsupported => "grant_type must be one of: {grants}",
        Reason::ClientCredentialsTwice => {
            "the request has more than one credential: send the header Authorization, or client_secret, or client_assertion"
        }
        Reason::ClientCredentialsMissing => {
            "the request has no client credentials: send them in the header Authorization, or client_id with client_secret or client_assertion"
        }
        Reason::OauthClientUnknown => "there is no OAuth client with this client id at this token URL",
        Reason::OauthClientDisabled => "the OAuth client is disabled",
        Reason::ClientAuthenticationOther => "the OAuth client authenticates in another way: {authentication}",
        Reason::ClientSecretWrong => "the client secret is wrong",
        Reason::ClientSecretExpired => "the client secret has expired",
        Reason::AssertionMalformed => "the assertion cannot be used: {problem}",
        Reason::AssertionIssuerWrong => "the issuer of the assertion is {found}, and {expected} is expected",
        Reason::AssertionSubjectWrong => "the subject of the assertion is {found}, and {expected} is expected",
        Reason::AssertionAudienceWrong => "the audience of the assertion is {found}, and {expected} is expected",
        Reason::AssertionKeyUnknown => "no key of the issuer matches the assertion (kid {kid})",
        Reason::AssertionSignatureWrong => "the signature of the assertion does not match the key",
        Reason::AssertionExpired => "the assertion expired {seconds} seconds ago",
        Reason::AssertionNotYetValid => "the assertion is valid only in {seconds} seconds",
        Reason::AssertionTooLong => "the assertion expires later than in {hours} hours",
        Reason::AssertionIdMissing => "the assertion has no jti",
        Reason::AssertionUsed => "the assertion was used before; each works once",
        Reason::IssuerKeysUnavailable => "the keys of the issuer could not be fetched: {problem}",
        Reason::OauthScopeRefused => "the client may request at most this scope: {scope}",
        Reason::AccessTokensLimited => {
            "the client has too many access tokens: at most {max}; use a token until it expires"
        }
        Reason::ScopeInsufficient => "the scope of the access token does not include to {action} {endpoint}",
        Reason::ApiKeyNotFound => "there is no API key {id}",
        Reason::ApiKeyNameInvalid => "name must have 1 to {max} characters and no control characters",
        Reason::PermissionsEmpty => "permissions must name at least one permission",
        // Admins and roles.
        Reason::AdminNotFound => "there is no admin with this id",
        Reason::AdminEmailNotFound => "no admin has this e-mail address",
        Reason::CodesSetupUsed => "this setup of one-time codes was used or has expired: start it again in the profile",
        Reason::AdminEmailTaken => "another admin already has this e-mail address",
        Reason::AdminExists => {
            "an admin already exists; use `rollcall admin create` or `rollcall admin reset-password`"
        }
        Reason::SetupUrlExpired => "this setup URL is already used or expired",
        Reason::SessionEnded => "the session has ended, so nothing was created; sign in again",
        Reason::LastOwner => "at least one owner who can sign in must remain",
        Reason::RoleNotFound => "there is no role with this id",
        Reason::RoleUnknown => "there is no such role",
        Reason::RoleAccountUnknown => "there is no such account to limit the role to",
        Reason::RoleBuiltIn => "this role is built in and cannot be changed",
        Reason::RoleNameTaken => "a role with this name already exists",
        Reason::RoleInUse => "this role is assigned to an admin or built in",
        // Single sign-on.
        Reason::SsoIssuerInvalid => "the issuer must not have a user, a query or a fragment",
        Reason::SsoTextTooLong => "{field} is too long",
        Reason::SsoClientIdMissing => "enter the client id that the provider shows",
        Reason::SsoLabelLength => "the button needs a text of 1 to {max} characters",
        Reason::SsoScopesInvalid => "enter scopes in ASCII, separated by spaces",
        Reason::SsoDomainsInvalid => "enter at most {max} domains such as example.com, separated by spaces",
        Reason::SsoClaimValuesInvalid => "enter at most {max} values, separated by spaces, such as mfa or phr",
        Reason::SsoLinkOutdated => "the settings or the links changed in the meantime; sign in again",
        Reason::SsoDomainMissing => "enter the e-mail domains of admins to add; without a domain, no admin is added",
        Reason::SsoOwnerRole => "the owner role cannot be assigned on sign-in; assign it in the list of admins",
        Reason::SsoTooManyRoles => "the table has at most {max} lines",
        Reason::SsoRoleClaimMissing => "enter the claim that the table of roles reads",
        Reason::SsoRoleMissing => "choose the role of added admins",
        Reason::SsoRoleUnknown => "there is no role “{role}”",
        Reason::SsoOwnerPassword => "set a password for at least one owner first, in case the provider is unavailable",
        Reason::SsoSecretSealed => "the client secret was encrypted with another key; enter it again",
        // Webhooks.
        Reason::WebhookNotFound => "there is no webhook {id}",
        Reason::WebhookUrlInvalid => {
            "url must look like https://app.example.com/events: with a host, without spaces, port 0 and a fragment (#), and with at most {max} ASCII characters"
        }
        Reason::WebhookUrlRefused => "url cannot be called: {problem}",
        Reason::WebhookDescriptionInvalid => "description must have at most {max} characters and no control characters",
        Reason::WebhookTooManyHeaders => "a webhook may have at most {max} headers",
        Reason::WebhookHeaderName => {
            "headers: {name} is not allowed; use each name once, and no header that the server sets (host, content-*, webhook-*)"
        }
        Reason::WebhookHeaderValue => {
            "headers: the value of {name} must have 1 to {max} printable ASCII characters, without spaces at its ends"
        }
        Reason::WebhookBackfillStart => "a webhook with backfill starts at latest; leave start out",
        Reason::WebhookOverlapInvalid => "overlap must be a time from 0 to 7d, such as 24h, 30m or 0",
        Reason::WebhookKeyNotFound => "the webhook has no key with this id that is valid",
        Reason::WebhookLastKey => "this is the current key, and the others end: rotate it first",
        Reason::WebhookKeySealed => {
            "the keys of the webhook were encrypted with another signing-key.pem; rotate its key and enter its headers again"
        }
        Reason::WebhookAttemptNotFound => "the webhook has no such attempt, or it is no longer stored",
        Reason::WebhookRangeInvalid => "fromSeq must be a number from 1 to toSeq",
        Reason::WebhookRangeEmpty => {
            "no event of this range was delivered to the webhook: undelivered events are sent by themselves"
        }
        Reason::TestEventLimited => "the account had a test event in the last {seconds} seconds; wait, and try again",
        Reason::WebhookSendingBusy => "a test or repetition of this webhook is running; try again when it has ended",
        Reason::TooManyWebhooks => "a server may have at most {max} webhooks; delete one first",
        Reason::AccountWebhooksOff => "the operator has not allowed webhooks of accounts (setting accountWebhooks)",
    }
}
