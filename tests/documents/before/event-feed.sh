. /opt/before/common.sh
start_https_server
create_key
create_configuration
SERVER=https://scim.example.com
ID=$(scim "$SCIM_URL/Groups" -d '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Analysts"}' | jq -r .id)
# The identity provider creates a user every second, so that a request that waits for an event gets one.
(for number in $(seq 30); do sleep 1; create_user "user-$number@example.com"; done) >/dev/null 2>&1 &
