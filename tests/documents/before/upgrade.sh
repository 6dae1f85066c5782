. /opt/before/common.sh
install_package
rollcall init --force --config /etc/rollcall/rollcall.toml --data-dir /var/lib/rollcall >/dev/null
systemctl start rollcall
# The copy that an upgrade makes.
rollcall backup /var/lib/rollcall/rollcall.db.before-v2-20260714T093000Z >/dev/null
