. /opt/before/common.sh
start_https_server
create_key
