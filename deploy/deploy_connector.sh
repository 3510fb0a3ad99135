#!/bin/sh
# Creates or updates a connector and waits until it runs. Safe to repeat: run it again after each edit of the file.
#
#   deploy_connector.sh FILE [NAME]
#
# FILE is JSON, {"name": …, "config": {…}} or flat; with the sluice binary .properties too. NAME wins over the file's name.
# ${NAME} in a JSON file, in upper case, is replaced by the variable NAME of the environment or of .env (see .env.example).
#
#   CONNECT_REST_URL   the worker, http://localhost:8083 if not set
#   DEPLOY_TIMEOUT     seconds to wait until it runs, 60 if not set
#   SLUICE             the sluice binary; looked up in PATH if not set, curl alone if empty or not there
#   ENV_FILE           the file of variables: ./.env, then .env beside this script, if not set
set -eu
here=$(dirname "$0")
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

case $# in
    1 | 2) ;;
    *) fail "usage: deploy_connector.sh FILE [NAME]" ;;
esac
file=$1 name=${2:-}
timeout=${DEPLOY_TIMEOUT:-60}
[ -f "$file" ] || fail "$file is not there"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Values are escaped as JSON text; the copy, which may hold secrets, is readable for this user alone.
fill_in() {
    umask 077
    awk '
        function escaped(value,    i, c, out) {
            for (i = 1; i <= length(value); i++) {
                c = substr(value, i, 1)
                if (c == "\\" || c == "\"") c = "\\" c
                else if (c == "\n") c = "\\n"
                else if (c == "\t") c = "\\t"
                out = out c
            }
            return out
        }
        {
            out = ""; rest = $0
            while (match(rest, /[$][{][A-Z][A-Z0-9_]*[}]/)) {
                name = substr(rest, RSTART + 2, RLENGTH - 3)
                if (!(name in ENVIRON)) missing = missing " " name
                out = out substr(rest, 1, RSTART - 1) escaped(ENVIRON[name])
                rest = substr(rest, RSTART + RLENGTH)
            }
            print out rest
        }
        END { if (missing != "") { print "not set:" missing | "cat >&2"; exit 1 } }' \
        "$file" >"$work/connector.json" || fail "$file needs variables: set them in the environment or in .env"
}

# The config alone, under its name: of equal keys the last one counts.
config_of() {
    member config <"$work/connector.json" >"$work/inner.json"
    case $(tr -d ' \t\r\n' <"$work/inner.json") in
        '{'*) ;;
        *) cp "$work/connector.json" "$work/inner.json" ;;
    esac
    awk -v name="$1" '
        { all = all $0 "\n" }
        END { sub(/}[ \t\r\n]*$/, "", all); printf "%s,\"name\":\"%s\"}\n", all, name }' "$work/inner.json"
}

deploy_by_curl() {
    case $file in *.properties) fail "$file: .properties need the sluice binary" ;; esac
    [ -n "$name" ] || name=$(member name <"$work/connector.json" | text)
    check_name "$name"
    config_of "$name" >"$work/config.json"
    rest PUT "/connectors/$name/config" --data-binary "@$work/config.json" >/dev/null
    wait_until_running
}

wait_until_running() {
    until=$(($(date +%s) + timeout))
    while :; do
        # A new connector may have no status yet, and a worker that rebalances answers later.
        status=$(request GET "/connectors/$name/status")
        states=$(states_of "$status" | tr '\n' ' ')
        case $states in
            *FAILED*)
                traces_of "$status" >&2
                fail "$name does not run: $states"
                ;;
            PAUSED* | STOPPED*) break ;;
            *UNASSIGNED* | *RESTARTING* | *PAUSED*) ;;
            'RUNNING RUNNING'*) break ;;
        esac
        [ "$(date +%s)" -lt "$until" ] || fail "$name does not run after $timeout s: ${states:-no status}"
        sleep 1
    done
    printf '%s: %s\n' "$name" "${states%% *}"
}

case $file in
    *.properties) copy=$file ;;
    *) fill_in && copy=$work/connector.json ;;
esac
if [ -n "$sluice" ]; then
    connector deploy "$copy" ${name:+"$name"} --timeout "$timeout"
else
    deploy_by_curl
fi
