# Functions of the other files in this folder. They run in the terminal of the reader, in front of the first block.

# Starts a server on the data folder of this one, with these flags, and waits until it listens.
start_server() {
    rollcall serve "$@" >/tmp/server.out 2>&1 &
    SERVER_PROCESS=$!
    for _ in $(seq 200); do
        grep -qs 'listening on' /tmp/server.out && return
        sleep 0.05
    done
    cat /tmp/server.out
    return 1
}

# The same at https://scim.example.com.
start_https_server() {
    start_server --listen 0.0.0.0:443 --public-url https://scim.example.com \
        --tls-cert /opt/certificate/fullchain.pem --tls-key /opt/certificate/privkey.pem
}

# Sets KEY and KEY_ID to those of an API key of the operator.
create_key() {
    local created
    created=$(rollcall api-key create --name "First steps" --output json)
    KEY=$(jq -r .secret <<<"$created") KEY_ID=$(jq -r .clientId <<<"$created")
}

# Sets CONFIGURATION, TOKEN and SCIM_URL to those of a configuration.
create_configuration() {
    local created
    created=$(rollcall configuration create --account acme --source okta --output json)
    CONFIGURATION=$(jq -r .id <<<"$created") TOKEN=$(jq -r .token <<<"$created")
    SCIM_URL=$(jq -r .provisioningUrl <<<"$created")
}

# Calls the provisioning URL as an identity provider.
scim() {
    curl -sS -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/scim+json" "$@"
}

# Creates a user with this name, and prints its id.
create_user() {
    scim "$SCIM_URL/Users" -d "{\"schemas\": [\"urn:ietf:params:scim:schemas:core:2.0:User\"], \"userName\": \"$1\"}" | jq -r .id
}

# Installs what the package installs, without starting the service.
install_package() {
    install -m 640 /repository/packaging/debian/rollcall.toml /etc/rollcall/rollcall.toml
}
