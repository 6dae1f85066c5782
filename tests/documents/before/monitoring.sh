. /opt/before/common.sh
install_package
systemctl start rollcall
rollcall admin create --email ada@example.com --role owner >/dev/null
