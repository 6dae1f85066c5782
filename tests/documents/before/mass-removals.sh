. /opt/before/common.sh
start_server
create_key
create_configuration
SERVER=http://127.0.0.1:8080
ID=$CONFIGURATION
api() { curl -sS -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" "$@"; echo; }
# The identity provider removes many of its users. No user is so new that its removal does not count.
api -X PATCH "$SERVER/directory/resources/v1/configurations/scim2/$ID/settings" -d '{"hold": {"graceHours": 0}}' >/dev/null
users=()
for number in $(seq 40); do users+=("$(create_user "user-$number@example.com")"); done
for user in "${users[@]:0:30}"; do scim -X DELETE "$SCIM_URL/Users/$user" >/dev/null; done
