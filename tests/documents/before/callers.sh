. /opt/before/common.sh
start_server
create_key
create_configuration
SERVER=http://127.0.0.1:8080
