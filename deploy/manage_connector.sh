#!/bin/sh
# Operates a connector.
#
#   manage_connector.sh status [NAME]    states of the connector and its tasks, of all without NAME; exit code 1 if one FAILED
#   manage_connector.sh stop [NAME]      the same as pause: moves no records, keeps its tasks and its place
#   manage_connector.sh start [NAME]     the same as resume: goes on where it was
#   manage_connector.sh restart [NAME]   the connector and its tasks begin anew
#   manage_connector.sh logs [NAME]      why something has failed; exit code 1 if something has
#   manage_connector.sh delete [NAME]    removes it; its offsets stay
#
# `stop` pauses, as operators of this script are used to. To end a connector's tasks until it is resumed, Kafka Connect's own
# STOPPED state, use `sluice connector stop NAME`.
#
# Without NAME: $CONNECTOR_NAME, or the only connector there is.
#
#   CONNECT_REST_URL   the worker, http://localhost:8083 if not set
#   SLUICE             the sluice binary; looked up in PATH if not set, curl alone if empty or not there
#   ENV_FILE           the file of variables: ./.env, then .env beside this script, if not set
set -eu
here=$(dirname "$0")
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

case $# in
    1 | 2) ;;
    *) fail "usage: manage_connector.sh status|pause|resume|stop|start|restart|logs|delete [NAME]" ;;
esac
action=$1 name=${2:-${CONNECTOR_NAME:-}}

names() {
    if [ -n "$sluice" ]; then
        # The exit code says whether something has failed; here only the names count.
        connector list --json >"$work" || [ -s "$work" ] || exit 1
        sed -n 's/^    "name": "\(.*\)",\{0,1\}$/\1/p' "$work"
    else
        listed=$(rest GET /connectors)
        case $listed in
            *[!A-Za-z0-9._,\"\[\]-]*) printf '%s: names of other characters are left out: they need the sluice binary\n' "$(basename "$0")" >&2 ;;
        esac
        printf '%s\n' "$listed" | sed 's/^\[//; s/\]$//' | tr ',' '\n' | sed -n 's/^"\([A-Za-z0-9._-]\{1,\}\)"$/\1/p'
    fi
}

only_name() {
    work=$(mktemp)
    trap 'rm -f "$work"' EXIT
    all=$(names)
    [ -n "$all" ] || fail "there is no connector"
    [ "$(printf '%s\n' "$all" | wc -l)" -eq 1 ] || fail "which one? $(printf '%s' "$all" | tr '\n' ' ')"
    printf '%s\n' "$all"
}

show_status() {
    status=$(rest GET "/connectors/$1/status")
    part=connector number=0
    for state in $(states_of "$status"); do
        printf '%s %s %s\n' "$1" "$part" "$state"
        part="task $number" number=$((number + 1))
        [ "$state" != FAILED ] || failed=1
    done
}

status_by_curl() {
    failed=0
    if [ -z "$name" ]; then
        all=$(names)
        for one in $all; do show_status "$one"; done
    else
        show_status "$name"
    fi
    return "$failed"
}

logs_by_curl() {
    status=$(rest GET "/connectors/$name/status")
    traces=$(traces_of "$status")
    printf '%s\n' "${traces:-nothing has failed}"
    [ -z "$traces" ]
}

by_curl() {
    [ -z "$name" ] || check_name "$name"
    case $action in
        status) status_by_curl ;;
        pause | resume) rest PUT "/connectors/$name/$action" >/dev/null ;;
        restart) rest POST "/connectors/$name/restart?includeTasks=true&onlyFailed=false" >/dev/null ;;
        logs) logs_by_curl ;;
        delete) rest DELETE "/connectors/$name" >/dev/null ;;
    esac
}

by_binary() {
    case $action in
        status) connector status ${name:+"$name"} ;;
        restart) connector restart "$name" --include-tasks ;;
        *) connector "$action" "$name" ;;
    esac
}

done=
case $action in
    status | logs) ;;
    stop | pause) action=pause done=paused ;;
    start | resume) action=resume done=resumed ;;
    restart) done=restarted ;;
    delete) done=deleted ;;
    *) fail "$action: must be status, pause, resume, stop, start, restart, logs or delete" ;;
esac
if [ -z "$name" ] && [ "$action" != status ]; then
    name=$(only_name)
fi
if [ -n "$sluice" ]; then by_binary; else by_curl; fi
[ -z "$done" ] || printf '%s: %s\n' "$name" "$done"
