. /opt/before/common.sh
# Two machines: each has its data folder, its settings and the files of its user.
ssh() {
    local machine=$1
    shift
    (cd "/srv/$machine" && ROLLCALL_CONFIG=/srv/$machine/rollcall.toml "$@")
}
scp() {
    local target=${!#%:} file
    for file in "$@"; do
        case $file in
        -3 | *:) ;;
        *) cp "/srv/${file%%:*}/${file#*:}" "/srv/$target/" ;;
        esac
    done
}
for machine in old new; do
    mkdir -p "/srv/$machine"
    rollcall init --config "/srv/$machine/rollcall.toml" --data-dir "/srv/$machine/data" >/dev/null
done
ssh old start_server --listen 127.0.0.1:8080 --public-url https://scim.example.com
export ROLLCALL_CONFIG=/srv/old/rollcall.toml
create_configuration
unset ROLLCALL_CONFIG
echo "a passphrase of the operator" >/srv/old/key
chmod 600 /srv/old/key
