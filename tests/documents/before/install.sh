. /opt/before/common.sh
install_package
# A certificate that the server has obtained before.
store=/var/lib/rollcall/tls/acme-v02.api.letsencrypt.org
install -d -m 700 /var/lib/rollcall/tls "$store"
(umask 077 && cat /opt/certificate/privkey.pem /opt/certificate/fullchain.pem >"$store/certificate.pem")
