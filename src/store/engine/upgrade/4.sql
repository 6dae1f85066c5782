-- Why a call failed: an error code of docs/errors.md, and the attribute it is about. NULL for successful calls, and for
-- calls of earlier versions.
ALTER TABLE requests ADD COLUMN reason TEXT;
ALTER TABLE requests ADD COLUMN reason_field TEXT;

-- Calls of earlier versions have the sentence only. These are the reasons that are explained.
UPDATE requests SET
    reason = CASE
        WHEN detail LIKE 'userName is taken%' THEN 'user_name_taken'
        WHEN detail LIKE '%userName is required%' THEN 'attribute_required'
        WHEN detail LIKE '%is not valid JSON%' THEN 'json_invalid'
        WHEN detail LIKE '%must be true or false%' THEN 'boolean_wrong'
        WHEN detail LIKE '%is no user or group of this configuration%' THEN 'member_unknown'
        WHEN detail LIKE 'emails must be %' THEN 'value_type_wrong'
        WHEN detail LIKE 'schemas names%' THEN 'schemas_foreign'
        WHEN detail LIKE 'schemas must name%' THEN 'schemas_incomplete'
        WHEN detail LIKE 'schemas must%' THEN 'schemas_invalid'
        WHEN detail LIKE 'no endpoint has this path%' THEN 'scim_path_unknown'
        WHEN detail LIKE 'no provisioning URL%' THEN 'provisioning_url_unknown'
        WHEN detail LIKE '%has no attribute "%' THEN 'path_attribute_unknown'
        WHEN detail LIKE '%has no sub-attribute "%' THEN 'path_sub_attribute_unknown'
    END,
    reason_field = CASE
        WHEN detail LIKE '%userName%' THEN 'userName'
        WHEN detail LIKE 'emails must be %' THEN 'emails'
    END
WHERE status >= 400 AND detail IS NOT NULL;
UPDATE requests SET notes = replace(replace(replace(notes,
    '"members: unknown id skipped"', '"unknown_member_skipped"'),
    '"schemas: base schema assumed"', '"base_schema_assumed"'),
    '"schemas: PatchOp assumed"', '"patch_op_assumed"')
WHERE notes <> '[]';

-- The cause of the last failed call: the reason why a token was refused, or an error code.
ALTER TABLE configurations ADD COLUMN last_cause TEXT;
