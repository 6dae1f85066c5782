. /opt/before/common.sh
install_package
systemctl start rollcall
create_key
