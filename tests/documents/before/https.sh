. /opt/before/common.sh
install -m 600 /opt/certificate/privkey.pem /opt/certificate/fullchain.pem /etc/rollcall
RENEWED_LINEAGE=/opt/certificate
