//! Every reason for which an operation can fail, one row each. The codes are part of the management API and of the request
//! log: they are listed in `docs/errors.md`, and a published code never changes its meaning.

use std::borrow::Cow;
use std::fmt;

use super::{Error, ErrorKind};
use crate::named_enum::named_enum;

named_enum! {
    /// The `scimType` of an error (RFC 7644 table 9, RFC 9865 section 2.1).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ScimType {
        /// The filter cannot be parsed, or its comparison does not fit the attribute type.
        InvalidFilter = "invalidFilter",
        /// The query is more expensive than the server allows.
        TooMany = "tooMany",
        /// A value that must be unique is already in use.
        Uniqueness = "uniqueness",
        /// A read-only or immutable attribute would change.
        Mutability = "mutability",
        /// The body does not have the structure that the operation requires.
        InvalidSyntax = "invalidSyntax",
        /// A PATCH path cannot be parsed, or the schema does not have the attribute.
        InvalidPath = "invalidPath",
        /// A PATCH path selects nothing.
        NoTarget = "noTarget",
        /// A required value is absent, or a value has the wrong type.
        InvalidValue = "invalidValue",
        /// The protocol version in the URL is not served.
        InvalidVers = "invalidVers",
        /// The cursor was not issued for this query.
        InvalidCursor = "invalidCursor",
        /// The cursor has expired.
        ExpiredCursor = "expiredCursor",
        /// The page size changed between pages, or is not a number.
        InvalidCount = "invalidCount",
    }
}

/// One row: `Variant "code" Kind:ScimType ["field"] (parameters)`. The SCIM type and the field are optional; the field is the
/// one that the reason is usually about.
macro_rules! reasons {
    (@scim_type $scim_type:ident) => { Some(ScimType::$scim_type) };
    (@scim_type) => { None };
    (@field $field:literal) => { Some($field) };
    (@field) => { None };
    ($($variant:ident $code:literal $kind:ident $(: $scim_type:ident)? $([$field:literal])? ($($param:literal),*);)+) => {
        /// Why an operation was refused. `messages` has the sentence of each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = concat!("`", $code, "`")] $variant,)+
        }

        impl Reason {
            /// All reasons, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The reason with this code.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The class.
            pub fn kind(self) -> ErrorKind {
                match self { $(Self::$variant => ErrorKind::$kind),+ }
            }

            /// The argument that the reason is usually about, in the spelling of the management API.
            pub fn field(self) -> Option<&'static str> {
                match self { $(Self::$variant => reasons!(@field $($field)?)),+ }
            }

            /// The `scimType` of its SCIM error.
            pub(super) fn scim_type(self) -> Option<ScimType> {
                match self { $(Self::$variant => reasons!(@scim_type $($scim_type)?)),+ }
            }

            /// Names of the parameters of its message.
            pub fn params(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($param),*]),+ }
            }
        }
    };
}

reasons! {
    // Load and storage.
    ServerBusy "server_busy" Unavailable ();
    ResourceChanging "resource_changing" Unavailable ();
    AccountMoving "account_moving" Unavailable ();
    AccountMoved "account_moved" Unavailable ();
    AccountImporting "account_importing" Unavailable ();
    AccountStateWrong "account_state_wrong" Conflict ("state", "expected");
    AccountBusy "account_busy" Conflict ("work");
    DiskFull "disk_full" DiskFull ();
    QuotaExceeded "quota_exceeded" Forbidden ("owner", "limit", "quota");
    ActiveUserLimitReached "active_user_limit_reached" Forbidden ["active"] ("owner", "limit");
    QuotaMessageInvalid "quota_message_invalid" Invalid ["message"] ("max");
    QueryTooLong "query_too_long" Invalid:TooMany ();
    WriteTooLong "write_too_long" Invalid:TooMany ();
    BulkJobsLimited "bulk_jobs_limited" RateLimited ();
    DatabaseUnavailable "database_unavailable" Unavailable ();
    DatabaseDamaged "database_damaged" Unavailable ();
    DatabaseFileMissing "database_file_missing" Unavailable ();
    DatabaseFileReplaced "database_file_replaced" Unavailable ();
    DiskStalled "disk_stalled" Unavailable ();
    CheckpointFailing "checkpoint_failing" Unavailable ();
    LeaseLost "lease_lost" Unavailable ();
    WriteOutcomeUnknown "write_outcome_unknown" Unavailable ();
    NotReplicated "not_replicated" Unavailable ();
    ReplicaUnavailable "replica_unavailable" Unavailable ();
    ServerStopping "server_stopping" Unavailable ();
    ServerNotReady "server_not_ready" Unavailable ();
    RandomnessUnavailable "randomness_unavailable" Unavailable ();
    SigningUnavailable "signing_unavailable" Unavailable ();
    HashingQueueFull "hashing_queue_full" Unavailable ();
    CallAborted "call_aborted" Unavailable ();
    ResponseLost "response_lost" Unavailable ();
    ResponseNotEncrypted "response_not_encrypted" Unavailable ();
    DocumentUnavailable "document_unavailable" Unavailable ();
    ReferenceUnavailable "reference_unavailable" Unavailable ();
    // HTTP.
    BodyTooLarge "body_too_large" TooLarge ("max");
    DocumentTooLarge "document_too_large" TooLarge ();
    BodyMemoryExhausted "body_memory_exhausted" Unavailable ();
    BodyTimeout "request_timeout" Timeout ();
    ClientDisconnected "client_disconnected" Timeout ();
    BodyIncomplete "body_incomplete" Invalid:InvalidSyntax ();
    BodyCompressed "body_compressed" UnsupportedMediaType ();
    BodyNotObject "body_not_object" Invalid:InvalidSyntax ();
    BodyMissing "body_missing" Invalid:InvalidSyntax ();
    BodyFieldFixed "body_field_fixed" Invalid ("name", "fix");
    BodyFieldInvalid "body_field_invalid" Invalid:InvalidSyntax ("problem");
    ContentLengthInvalid "content_length_invalid" Invalid:InvalidSyntax ();
    ContentTypeUnsupported "unsupported_media_type" UnsupportedMediaType ("expected");
    QueryStringTooLong "url_too_long" UrlTooLong ("max");
    QueryInvalid "query_invalid" Invalid ("problem");
    QueryParameterUnknown "query_parameter_unknown" Invalid ("name", "fix");
    MethodNotAllowed "method_not_allowed" MethodNotAllowed ("method", "allowed");
    RouteNotFound "route_not_found" NotFound ();
    // JSON.
    JsonInvalid "json_invalid" Invalid:InvalidSyntax ("line", "column");
    JsonTooDeep "json_too_deep" Invalid:InvalidSyntax ("max");
    JsonTooManyValues "json_too_many_values" TooLarge ("max");
    JsonStringTooLong "json_string_too_long" TooLarge ("max");
    JsonNulCharacter "json_nul_character" Invalid:InvalidValue ();
    JsonDuplicateName "json_duplicate_name" Invalid:InvalidSyntax ("name");
    // Credentials and rights.
    ScimTokenRequired "scim_token_required" Unauthenticated ();
    ConfigurationDeleted "configuration_deleted" Unauthenticated ();
    WrongTokensLimited "wrong_tokens_limited" RateLimited ();
    RequestsLimited "requests_limited" RateLimited ();
    QueriesLimited "queries_limited" RateLimited ();
    TokenReadOnly "token_read_only" Forbidden ();
    TokenTypeForbidden "token_type_forbidden" Forbidden ("rights", "endpoint");
    CredentialRequired "unauthenticated" Unauthenticated ();
    WrongCredentialsLimited "rate_limited" RateLimited ();
    PasswordChecksLimited "password_checks_limited" RateLimited ();
    UserTokenKeysUnavailable "user_token_keys_unavailable" Unavailable ();
    OperatorOnly "operator_only" Forbidden ();
    PermissionMissing "permission_missing" Forbidden ("permission");
    SelfServiceOff "self_service_off" Forbidden ();
    AccountHeaderMissing "account_header_missing" Invalid ();
    AccountHeaderInvalid "account_header_invalid" Invalid ();
    AccountHeaderForbidden "account_header_forbidden" Forbidden ();
    AccountMismatch "account_mismatch" Forbidden ["accountId"] ();
    PermissionOfOperator "permission_of_operator" Forbidden ["permissions"] ("permission");
    PermissionsNotHeld "permissions_not_held" Forbidden ["permissions"] ();
    AuthorityExceeded "authority_exceeded" Forbidden ();
    ExpiryBeyondCaller "expiry_beyond_caller" Forbidden ["expiresAt"] ();
    // Parameters of the management API.
    CursorNotIssued "cursor_not_issued" Invalid ["cursor"] ();
    TimestampInvalid "timestamp_invalid" Invalid ();
    SearchTextLength "search_text_length" Invalid ["text"] ("max");
    StatusFilterInvalid "status_filter_invalid" Invalid ["status"] ();
    DomainsInvalid "domains_invalid" Invalid ["domains"] ("max");
    EventPositionInvalid "event_position_invalid" Invalid ["after"] ();
    PositionInvalid "position_invalid" Invalid ["since"] ();
    EventKindUnknown "event_kind_unknown" Invalid ["kind"] ("kinds");
    EventNotFound "event_not_found" NotFound ();
    EventsExpired "events_expired" Gone ["after"] ("restartFrom");
    EventPositionUnknown "event_position_unknown" Gone ["after"] ("restartFrom");
    AccountReplaced "account_replaced" Gone ["after"] ("restartFrom");
    IdempotencyKeyInvalid "idempotency_key_invalid" Invalid ["Idempotency-Key"] ();
    IdempotencyKeyReused "idempotency_key_reused" Unprocessable ["Idempotency-Key"] ();
    IdempotencyInProgress "idempotency_in_progress" Conflict ["Idempotency-Key"] ();
    IdempotencyInterrupted "idempotency_interrupted" Conflict ["Idempotency-Key"] ();
    // SCIM routes.
    ProvisioningUrlUnknown "provisioning_url_unknown" NotFound ();
    ScimVersionUnsupported "scim_version_unsupported" Invalid:InvalidVers ();
    ScimPathUnknown "scim_path_unknown" NotFound ();
    MeNotSupported "me_not_supported" NotImplemented ();
    BulkNotSupported "bulk_not_supported" NotImplemented ();
    DiscoveryDocumentNotFound "discovery_document_not_found" NotFound ();
    DiscoveryFilterForbidden "discovery_filter_forbidden" Forbidden ();
    ScimResourceNotFound "scim_resource_not_found" NotFound ();
    EntityTagInvalid "entity_tag_invalid" Invalid:InvalidValue ();
    VersionMismatch "version_mismatch" PreconditionFailed ("version");
    VersionExcluded "version_excluded" PreconditionFailed ("version");
    // SCIM values.
    ResourceNotObject "resource_not_object" Invalid:InvalidSyntax ();
    AttributeRequired "attribute_required" Invalid:InvalidValue ();
    ExtensionRequired "extension_required" Invalid:InvalidValue ();
    ExtensionAttributeRequired "extension_attribute_required" Invalid:InvalidValue ();
    SchemasInvalid "schemas_invalid" Invalid:InvalidValue ["schemas"] ();
    SchemasNotUris "schemas_not_uris" Invalid:InvalidValue ["schemas"] ();
    SchemasForeign "schemas_foreign" Invalid:InvalidSyntax ["schemas"] ("resource_type");
    SchemasIncomplete "schemas_incomplete" Invalid:InvalidSyntax ["schemas"] ("schema");
    AttributeUnknown "attribute_unknown" Invalid:InvalidSyntax ("name");
    ExtensionNotObject "extension_not_object" Invalid:InvalidValue ();
    PrimaryNotUnique "primary_not_unique" Invalid:InvalidValue ();
    ValueNotCanonical "value_not_canonical" Invalid:InvalidValue ("allowed");
    BooleanWrong "boolean_wrong" Invalid:InvalidValue ("found");
    ValueTypeWrong "value_type_wrong" Invalid:InvalidValue ("expected", "found");
    TooManyValues "too_many_values" TooLarge ("max");
    ResourceTooLarge "resource_too_large" TooLarge ("max");
    IndexedTextTooLarge "indexed_text_too_large" TooLarge ("max");
    ScimPasswordEmpty "scim_password_empty" Invalid:InvalidValue ["password"] ();
    ScimPasswordTooLong "scim_password_too_long" Invalid:InvalidValue ["password"] ("max");
    UserNameTaken "user_name_taken" Conflict:Uniqueness ["userName"] ("id", "state");
    GroupNameTaken "group_name_taken" Conflict:Uniqueness ["displayName"] ("id");
    // SCIM members.
    TooManyMembers "too_many_members" TooLarge ["members"] ("max");
    MemberReferenceInvalid "member_reference_invalid" Invalid:InvalidValue ["members.$ref"] ();
    MemberValueEmpty "member_value_empty" Invalid:InvalidValue ["members.value"] ();
    MemberValueMissing "member_value_missing" Invalid:InvalidValue ["members.value"] ();
    MemberUnknown "member_unknown" Invalid:InvalidValue ["members"] ("id");
    MembersAllUnknown "members_all_unknown" Invalid:InvalidValue ["members"] ();
    MemberOfItself "member_of_itself" Invalid:InvalidValue ["members"] ();
    MemberImmutable "member_immutable" Invalid:Mutability ["members"] ();
    MemberAttributeImmutable "member_attribute_immutable" Invalid:Mutability ();
    // SCIM PATCH.
    OperationsBodyNotObject "operations_body_not_object" Invalid:InvalidSyntax ["Operations"] ();
    OperationsMissing "operations_missing" Invalid:InvalidSyntax ["Operations"] ();
    OperationsEmpty "operations_empty" Invalid:InvalidSyntax ["Operations"] ();
    OperationsNotArray "operations_not_array" Invalid:InvalidSyntax ["Operations"] ();
    TooManyOperations "too_many_operations" TooLarge ["Operations"] ("max");
    RequestTooExpensive "request_too_expensive" Invalid:TooMany ();
    OperationNotObject "operation_not_object" Invalid:InvalidSyntax ();
    OpMissing "op_missing" Invalid:InvalidSyntax ["op"] ();
    OpUnknown "op_unknown" Invalid:InvalidSyntax ["op"] ();
    AddWithoutValue "add_without_value" Invalid:InvalidValue ["value"] ();
    ReplaceWithoutValue "replace_without_value" Invalid:InvalidValue ["value"] ();
    PathNotText "path_not_text" Invalid:InvalidPath ["path"] ();
    PathMissing "path_missing" Invalid:InvalidSyntax ["path"] ();
    RemoveWithoutPath "remove_without_path" Invalid:NoTarget ["path"] ();
    ValueNotObject "value_not_object" Invalid:InvalidValue ["value"] ();
    AttributeReadOnly "attribute_read_only" Invalid:Mutability ();
    AttributeNotRemovable "attribute_not_removable" Invalid:Mutability ();
    SchemasImmutable "schemas_immutable" Invalid:Mutability ["schemas"] ("schema");
    PathNeedsSubAttribute "path_needs_sub_attribute" Invalid:InvalidPath ["path"] ();
    FilterSelectsSeveral "filter_selects_several" Invalid:InvalidFilter ();
    PathSelectsNothing "path_selects_nothing" Invalid:NoTarget ();
    // SCIM paths.
    PathEmpty "path_empty" Invalid:InvalidPath ();
    PathTooLong "path_too_long" Invalid:InvalidPath ("max");
    PathCharacter "path_character" Invalid:InvalidPath ("path", "character");
    PathColon "path_colon" Invalid:InvalidPath ("path");
    PathTooManyParts "path_too_many_parts" Invalid:InvalidPath ("path");
    PathNameInvalid "path_name_invalid" Invalid:InvalidPath ("path");
    PathWholeSchema "path_whole_schema" Invalid:InvalidPath ("path");
    PathBracketOpen "path_bracket_open" Invalid:InvalidPath ("path");
    PathBracketSuffix "path_bracket_suffix" Invalid:InvalidPath ("path");
    PathBracketName "path_bracket_name" Invalid:InvalidPath ("name");
    PathBracketUnsupported "path_bracket_unsupported" Invalid:InvalidPath ();
    PathAttributeUnknown "path_attribute_unknown" Invalid:InvalidPath ("resource_type", "path");
    PathSubAttributeUnknown "path_sub_attribute_unknown" Invalid:InvalidPath ("name");
    // SCIM filters.
    FilterTooLong "filter_too_long" Invalid:InvalidFilter ["filter"] ("max");
    FilterEmpty "filter_empty" Invalid:InvalidFilter ["filter"] ();
    FilterTooDeep "filter_too_deep" Invalid:InvalidFilter ["filter"] ("max");
    FilterTooManyTerms "filter_too_many_terms" Invalid:InvalidFilter ["filter"] ("max");
    FilterTokenUnexpected "filter_token_unexpected" Invalid:InvalidFilter ["filter"] ("expected", "found");
    FilterBracketUnmatched "filter_bracket_unmatched" Invalid:InvalidFilter ["filter"] ();
    FilterBracketsNested "filter_brackets_nested" Invalid:InvalidFilter ["filter"] ();
    FilterOperatorUnknown "filter_operator_unknown" Invalid:InvalidFilter ["filter"] ("operator");
    FilterTextUnquoted "filter_text_unquoted" Invalid:InvalidFilter ["filter"] ("text");
    FilterQuotesWrong "filter_quotes_wrong" Invalid:InvalidFilter ["filter"] ();
    FilterCharacter "filter_character" Invalid:InvalidFilter ["filter"] ("character");
    FilterNumberInvalid "filter_number_invalid" Invalid:InvalidFilter ["filter"] ("text");
    FilterStringOpen "filter_string_open" Invalid:InvalidFilter ["filter"] ();
    FilterStringNul "filter_string_nul" Invalid:InvalidFilter ["filter"] ();
    FilterStringInvalid "filter_string_invalid" Invalid:InvalidFilter ["filter"] ();
    FilterNullOrdered "filter_null_ordered" Invalid:InvalidFilter ("operator");
    FilterComplex "filter_complex" Invalid:InvalidFilter ("example");
    FilterNeverReturned "filter_never_returned" Invalid:InvalidFilter ();
    FilterWholeExtension "filter_whole_extension" Invalid:InvalidFilter ();
    FilterOperandType "filter_operand_type" Invalid:InvalidFilter ("expected");
    FilterOperatorType "filter_operator_type" Invalid:InvalidFilter ("operator", "data_type");
    // SCIM queries.
    ProjectionFiltered "projection_filtered" Invalid:InvalidValue ["attributes"] ();
    ProjectionConflict "projection_conflict" Invalid:InvalidValue ["attributes"] ();
    SortOrderInvalid "sort_order_invalid" Invalid:InvalidValue ["sortOrder"] ();
    SortNeverReturned "sort_never_returned" Invalid:InvalidPath ();
    SortComplex "sort_complex" Invalid:InvalidPath ("example");
    PagingConflict "paging_conflict" Invalid:InvalidValue ["cursor"] ();
    SearchBodyInvalid "search_body_invalid" Invalid:InvalidSyntax ();
    ParameterType "parameter_type" Invalid:InvalidValue ("expected");
    ParameterTwice "parameter_twice" Invalid:InvalidValue ();
    ParameterNotNumber "parameter_not_number" Invalid:InvalidValue ();
    CursorCountChanged "cursor_count_changed" Invalid:InvalidCount ["count"] ("count");
    CursorForeign "cursor_foreign" Invalid:InvalidCursor ["cursor"] ();
    CursorExpired "cursor_expired" Invalid:ExpiredCursor ["cursor"] ();
    // SCIM Bulk.
    BulkTooManyOperations "bulk_too_many_operations" TooLarge ["Operations"] ("max", "given");
    FailOnErrorsInvalid "fail_on_errors_invalid" Invalid:InvalidValue ["failOnErrors"] ();
    BulkOperationInvalid "bulk_operation_invalid" Invalid:InvalidSyntax ();
    BulkMethodInvalid "bulk_method_invalid" Invalid:InvalidSyntax ["method"] ();
    BulkMethodMissing "bulk_method_missing" Invalid:InvalidSyntax ["method"] ();
    BulkIdInvalid "bulk_id_invalid" Invalid:InvalidSyntax ["bulkId"] ();
    BulkIdMissing "bulk_id_missing" Invalid:InvalidSyntax ["bulkId"] ();
    BulkIdTwice "bulk_id_twice" Invalid:InvalidSyntax ["bulkId"] ();
    BulkPathMissing "bulk_path_missing" Invalid:InvalidSyntax ["path"] ();
    BulkPathForeign "bulk_path_foreign" Invalid:InvalidValue ["path"] ("base");
    BulkVersionInvalid "bulk_version_invalid" Invalid:InvalidValue ["version"] ();
    BulkDataMissing "bulk_data_missing" Invalid:InvalidSyntax ["data"] ("method");
    BulkReferenceUnknown "bulk_reference_unknown" Conflict ["bulkId"] ("bulk_id");
    BulkReferenceLater "bulk_reference_later" Conflict ["bulkId"] ("bulk_id");
    BulkReferenceFailed "bulk_reference_failed" Conflict ["bulkId"] ("bulk_id");
    BulkCycleRejected "bulk_cycle_rejected" Conflict ["bulkId"] ();
    BulkCycleUnsupported "bulk_cycle_unsupported" Conflict ["bulkId"] ();
    BulkNested "bulk_nested" Invalid:InvalidValue ["path"] ();
    BulkPathUnsupported "bulk_path_unsupported" Invalid:InvalidValue ["path"] ();
    BulkMethodPath "bulk_method_path" MethodNotAllowed ["method"] ("method", "rule");
    // Schema documents.
    SchemaNotObject "schema_not_object" Invalid:InvalidSyntax ();
    SchemaIdNotUrn "schema_id_not_urn" Invalid:InvalidValue ["id"] ();
    SchemaNamespaceReserved "schema_namespace_reserved" Invalid:InvalidValue ["id"] ("id");
    SchemaAttributesMissing "schema_attributes_missing" Invalid:InvalidValue ["attributes"] ();
    SchemaTooManyAttributes "schema_too_many_attributes" Invalid:InvalidValue ["attributes"] ("max");
    SchemaAttributeTwice "schema_attribute_twice" Invalid:InvalidValue ();
    SchemaAttributeNotObject "schema_attribute_not_object" Invalid:InvalidValue ["attributes"] ();
    SchemaAttributeName "schema_attribute_name" Invalid:InvalidValue ("name");
    SchemaNestedComplex "schema_nested_complex" Invalid:InvalidValue ();
    SchemaSubAttributesMissing "schema_sub_attributes_missing" Invalid:InvalidValue ();
    SchemaSubAttributesForbidden "schema_sub_attributes_forbidden" Invalid:InvalidValue ();
    SchemaUniquenessUnsupported "schema_uniqueness_unsupported" Invalid:InvalidValue ();
    SchemaImmutableUnsupported "schema_immutable_unsupported" Invalid:InvalidValue ();
    SchemaIndexNotText "schema_index_not_text" Invalid:InvalidValue ();
    SchemaWriteOnlyReturned "schema_write_only_returned" Invalid:InvalidValue ();
    SchemaKeyword "schema_keyword" Invalid:InvalidValue ("member", "allowed");
    SchemaMemberTooLong "schema_member_too_long" Invalid:InvalidValue ("member", "max");
    SchemaMemberType "schema_member_type" Invalid:InvalidValue ("member", "expected");
    SchemaMemberMissing "schema_member_missing" Invalid:InvalidValue ("member");
    SchemaMemberTexts "schema_member_texts" Invalid:InvalidValue ("member");
    // Names and values.
    NameLength "name_length" Invalid ("max");
    NameControlCharacters "name_control_characters" Invalid ();
    AdminNameLength "admin_name_length" Invalid ["name"] ("max");
    EmailInvalid "email_invalid" Invalid ["email"] ();
    PasswordTooShort "password_too_short" Invalid ["password"] ("min");
    PasswordTooLong "password_too_long" Invalid ["password"] ("max");
    PasswordTooCommon "password_too_common" Invalid ["password"] ();
    NoteInvalid "note_invalid" Invalid ["note"] ("max");
    NumberOutOfRange "number_out_of_range" Invalid ("min", "max");
    SecondsOutOfRange "seconds_out_of_range" Invalid ("min", "max");
    ExpiryPast "expiry_past" Conflict ["expiresAt"] ();
    ResponseInvalid "response_invalid" Invalid ("problem");
    // Accounts.
    AccountIdLength "account_id_length" Invalid ["id"] ("max");
    AccountIdCharacters "account_id_characters" Invalid ["id"] ();
    AccountIdForeign "account_id_foreign" Invalid ["id"] ();
    AccountNotFound "account_not_found" NotFound ();
    AccountExists "account_exists" Conflict ["id"] ();
    AccountHasConfigurations "account_has_configurations" Conflict ("count");
    AccountHasLeftovers "account_has_leftovers" Conflict ["purge"] ();
    // Configurations.
    ConfigurationNotFound "configuration_not_found" NotFound ("id");
    ConfigurationNoLongerExists "configuration_no_longer_exists" NotFound ();
    ConfigurationNotDeleted "configuration_not_deleted" NotFound ("id");
    StagedWithSync "staged_with_sync" Invalid ["staged"] ();
    SimulatedNotLive "simulated_not_live" Conflict ["syncToUserManagement"] ();
    ConnectionNameTaken "connection_name_taken" Conflict ["connectionName"] ("name");
    PageDefaultAboveMax "page_default_above_max" Conflict ["switches.pageDefault"] ("default", "max");
    StoredAttributeUnknown "stored_attribute_unknown" Conflict ["switches.wantedAttributes"] ("name");
    GroupNamesShared "group_names_shared" Conflict ["switches.uniqueGroupNames"] ("names");
    PasswordsNotStored "passwords_not_stored" Conflict ();
    ConfigurationNotHeld "configuration_not_held" Conflict ();
    ReversalTimeInvalid "undo_time_invalid" Invalid ["since"] ("oldest");
    ReversalRunning "undo_running" Conflict ();
    ReversalNotFound "undo_not_found" NotFound ();
    ProtectedUsersInvalid "protected_users_invalid" Invalid ["protectedUsers"] ("max", "length");
    HoldMinutesMissing "hold_minutes_missing" Invalid ["minutes"] ();
    HoldMinutesUnused "hold_minutes_unused" Invalid ["minutes"] ();
    CallNotFound "call_not_found" NotFound ();
    ReplayUnauthenticated "replay_unauthenticated" Conflict ();
    ReplayBodyNotStored "replay_body_not_stored" Conflict ();
    ReplayCut "replay_cut" Conflict ();
    ReplayRedacted "replay_redacted" Conflict ();
    ReplayUnsupported "replay_unsupported" Conflict ();
    ResourceNotFound "resource_not_found" NotFound ("resource_type");
    DeletedResourceNotFound "deleted_resource_not_found" NotFound ();
    // Personal data.
    PersonalDataSubjectInvalid "personal_data_subject_invalid" Invalid ();
    PersonalDataAccountMissing "personal_data_account_missing" Invalid ["accountId"] ();
    PersonalDataRequestNotFound "personal_data_request_not_found" NotFound ();
    PersonalDataLimit "personal_data_limit" Conflict ("max");
    PersonalDataExportsLimit "personal_data_exports_limit" Conflict ("max");
    PersonalDataNotReady "personal_data_not_ready" Conflict ();
    PersonalDataNoFile "personal_data_no_file" NotFound ();
    // Schemas.
    SchemaNotFound "schema_not_found" NotFound ();
    SchemaExists "schema_exists" Conflict ("id");
    SchemaInUse "schema_in_use" Conflict ["purge"] ("id");
    SchemaTooLarge "schema_too_large" Invalid ("max");
    TooManySchemas "too_many_schemas" Invalid ("max");
    DeclarationEmpty "declaration_empty" Invalid ["attributes"] ();
    DeclarationSchemaFixed "declaration_schema_fixed" Invalid ["schema"] ("name", "schema");
    DeclarationSchemaMissing "declaration_schema_missing" Invalid ["schema"] ("name");
    UndeclaredImpossible "undeclared_impossible" Invalid ["attributes"] ("name", "obstacle");
    UndeclaredNotListed "undeclared_not_listed" Conflict ["attributes"] ("name");
    ResourceTypeUnknown "resource_type_unknown" Invalid ["resourceType"] ("name");
    // Tokens and setup links.
    TokenNotFound "token_not_found" NotFound ();
    TokenNotLive "token_not_live" Conflict ();
    LinkNotFound "link_not_found" NotFound ();
    LinkUnknown "link_unknown" NotFound ();
    LinkEnded "link_ended" Gone ();
    LinkExpired "link_expired" Gone ();
    LinkActionNotAllowed "link_action_not_allowed" Forbidden ();
    LinkTokensSpent "link_tokens_spent" Conflict ("max");
    LinkClientWithoutPurpose "link_client_without_purpose" Invalid ["clientId"] ();
    TooManyLinks "too_many_links" Conflict ("max");
    TooManyInvites "too_many_invites" Conflict ("max");
    // OAuth clients.
    OauthClientNotFound "oauth_client_not_found" NotFound ();
    OauthSecretNotFound "oauth_secret_not_found" NotFound ();
    TooManyOauthClients "too_many_oauth_clients" Conflict ("max");
    TooManyClientSecrets "too_many_client_secrets" Conflict ("max");
    ClientWithoutSecrets "client_without_secrets" Conflict ();
    OauthFieldUnexpected "oauth_field_unexpected" Invalid ("authentication");
    OauthFieldMissing "oauth_field_missing" Invalid ("authentication");
    OauthFieldInvalid "oauth_field_invalid" Invalid ("max");
    OauthUrlRefused "oauth_url_refused" Invalid ("problem");
    OauthKeysInvalid "oauth_keys_invalid" Invalid ["jwks"] ("problem");
    OauthScopeUnknown "oauth_scope_unknown" Invalid ["scope"] ("scopes");
    // Requests for access tokens.
    TokenRequestInvalid "token_request_invalid" Invalid ("problem");
    GrantTypeUnsupported "grant_type_unsupported" Invalid ["grant_type"] ("grants");
    ClientCredentialsTwice "client_credentials_twice" Invalid ();
    ClientCredentialsMissing "client_credentials_missing" Unauthenticated ();
    OauthClientUnknown "oauth_client_unknown" Unauthenticated ();
    OauthClientDisabled "oauth_client_disabled" Unauthenticated ();
    ClientAuthenticationOther "client_authentication_other" Unauthenticated ("authentication");
    ClientSecretWrong "client_secret_wrong" Unauthenticated ();
    ClientSecretExpired "client_secret_expired" Unauthenticated ();
    AssertionMalformed "assertion_malformed" Unauthenticated ("problem");
    AssertionIssuerWrong "assertion_issuer_wrong" Unauthenticated ("expected", "found");
    AssertionSubjectWrong "assertion_subject_wrong" Unauthenticated ("expected", "found");
    AssertionAudienceWrong "assertion_audience_wrong" Unauthenticated ("expected", "found");
    AssertionKeyUnknown "assertion_key_unknown" Unauthenticated ("kid");
    AssertionSignatureWrong "assertion_signature_wrong" Unauthenticated ();
    AssertionExpired "assertion_expired" Unauthenticated ("seconds");
    AssertionNotYetValid "assertion_not_yet_valid" Unauthenticated ("seconds");
    AssertionTooLong "assertion_too_long" Unauthenticated ("hours");
    AssertionIdMissing "assertion_id_missing" Unauthenticated ();
    AssertionUsed "assertion_used" Unauthenticated ();
    IssuerKeysUnavailable "issuer_keys_unavailable" Unauthenticated ("problem");
    OauthScopeRefused "oauth_scope_refused" Invalid ["scope"] ("scope");
    AccessTokensLimited "access_tokens_limited" RateLimited ("max");
    ScopeInsufficient "insufficient_scope" Forbidden ("action", "endpoint");
    // API keys and permissions.
    ApiKeyNotFound "api_key_not_found" NotFound ("id");
    ApiKeyNameInvalid "api_key_name_invalid" Invalid ["name"] ("max");
    PermissionsEmpty "permissions_empty" Invalid ["permissions"] ();
    // Admins and roles.
    AdminNotFound "admin_not_found" NotFound ();
    AdminEmailNotFound "admin_email_not_found" NotFound ["email"] ();
    CodesSetupUsed "codes_setup_used" Conflict ();
    AdminEmailTaken "admin_email_taken" Conflict ["email"] ();
    AdminExists "admin_exists" Conflict ();
    SetupUrlExpired "setup_url_expired" NotFound ();
    SessionEnded "session_ended" NotFound ();
    LastOwner "last_owner" Conflict ["role"] ();
    RoleNotFound "role_not_found" NotFound ();
    RoleUnknown "role_unknown" Invalid ["role"] ();
    RoleAccountUnknown "role_account_unknown" Invalid ["account"] ();
    RoleBuiltIn "role_built_in" Conflict ["name"] ();
    RoleNameTaken "role_name_taken" Conflict ["name"] ();
    RoleInUse "role_in_use" Conflict ["name"] ();
    // Single sign-on.
    SsoIssuerInvalid "sso_issuer_invalid" Invalid ["issuer"] ();
    SsoTextTooLong "sso_text_too_long" Invalid ();
    SsoClientIdMissing "sso_client_id_missing" Invalid ["client_id"] ();
    SsoLabelLength "sso_label_length" Invalid ["label"] ("max");
    SsoScopesInvalid "sso_scopes_invalid" Invalid ["scopes"] ();
    SsoDomainsInvalid "sso_domains_invalid" Invalid ["domains"] ("max");
    SsoClaimValuesInvalid "sso_claim_values_invalid" Invalid ("max");
    SsoLinkOutdated "sso_link_outdated" Conflict ();
    SsoDomainMissing "sso_domain_missing" Invalid ["domains"] ();
    SsoOwnerRole "sso_owner_role" Invalid ();
    SsoTooManyRoles "sso_too_many_roles" Invalid ["roles"] ("max");
    SsoRoleClaimMissing "sso_role_claim_missing" Invalid ["role_claim"] ();
    SsoRoleMissing "sso_role_missing" Invalid ["default_role"] ();
    SsoRoleUnknown "sso_role_unknown" Invalid ("role");
    SsoOwnerPassword "sso_owner_password" Invalid ["only"] ();
    SsoSecretSealed "sso_secret_sealed" Invalid ["client_secret"] ();
    SsoProviderUnusable "sso_provider_unusable" Invalid ("problem");
    // Webhooks.
    WebhookNotFound "webhook_not_found" NotFound ("id");
    WebhookUrlInvalid "webhook_url_invalid" Invalid ["url"] ("max");
    WebhookUrlRefused "webhook_url_refused" Invalid ["url"] ("problem");
    WebhookDescriptionInvalid "webhook_description_invalid" Invalid ["description"] ("max");
    WebhookTooManyHeaders "webhook_too_many_headers" Invalid ["headers"] ("max");
    WebhookHeaderName "webhook_header_name" Invalid ["headers"] ("name");
    WebhookHeaderValue "webhook_header_value" Invalid ["headers"] ("name", "max");
    WebhookBackfillStart "webhook_backfill_start" Invalid ["start"] ();
    WebhookOverlapInvalid "webhook_overlap_invalid" Invalid ["overlap"] ();
    WebhookKeyNotFound "webhook_key_not_found" NotFound ();
    WebhookLastKey "webhook_last_key" Conflict ();
    WebhookKeySealed "webhook_key_sealed" Conflict ();
    WebhookAttemptNotFound "webhook_attempt_not_found" NotFound ();
    WebhookRangeInvalid "webhook_range_invalid" Invalid ["fromSeq"] ();
    WebhookRangeEmpty "webhook_range_empty" Conflict ["fromSeq"] ();
    WebhookSendingBusy "webhook_sending_busy" RateLimited ();
    TestEventLimited "test_event_limited" RateLimited ("seconds");
    TooManyWebhooks "too_many_webhooks" Conflict ("max");
    AccountWebhooksOff "account_webhooks_off" Forbidden ();
}

impl Reason {
    /// An error with one parameter: `Reason::TooManyLinks.with("max", 20)`.
    pub fn with(self, name: &'static str, value: impl fmt::Display) -> Error {
        Error::new(self).with(name, value)
    }

    /// An error about a field: `Reason::NameControlCharacters.on_field("label")`.
    pub fn on_field(self, field: impl Into<Cow<'static, str>>) -> Error {
        Error::new(self).on_field(field)
    }
}
