. /opt/before/common.sh
start_server
create_key
create_configuration
URL=http://127.0.0.1:8080
create_user ann@example.com >/dev/null
