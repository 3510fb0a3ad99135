# shellcheck shell=sh
# What the scripts beside this file share: settings from .env, and REST calls by curl where the binary is not there.
#
# Sourced, with `here` set to this folder. Sets `url` (the worker's) and `sluice` (the binary, or empty).

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Reads KEY=VALUE lines. Nothing in them is run, and a variable that is set already wins over the file.
load_env() {
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line%"$(printf '\r')"}
        case $line in
            '' | '#'*) continue ;;
            [A-Za-z_]*=*) ;;
            *) fail "$1: a line is neither KEY=VALUE nor a comment" ;;
        esac
        key=${line%%=*} value=${line#*=}
        case $key in *[!A-Za-z0-9_]*) fail "$1: $key is no name of a variable" ;; esac
        case $value in
            \"*\") value=${value#\"} value=${value%\"} ;;
            \'*\') value=${value#\'} value=${value%\'} ;;
        esac
        eval "is_set=\${$key+yes}"
        # shellcheck disable=SC2154 # set by eval
        [ -n "$is_set" ] || export "$key=$value"
    done <"$1"
}

# The first that is there: $ENV_FILE, ./.env, .env beside the scripts.
load_env_file() {
    for file in "${ENV_FILE:-}" ./.env "${here:?}/.env"; do
        [ -n "$file" ] || continue
        if [ -f "$file" ]; then
            load_env "$file"
            return
        fi
        [ "$file" != "${ENV_FILE:-}" ] || fail "ENV_FILE=$file is not there"
    done
}

load_env_file
url=${CONNECT_REST_URL:-http://localhost:8083}
url=${url%/}
sluice=${SLUICE-$(command -v sluice || true)}
if [ -n "$sluice" ]; then
    command -v "$sluice" >/dev/null 2>&1 || fail "SLUICE=$sluice is not there"
else
    command -v curl >/dev/null 2>&1 || fail "neither sluice nor curl is there"
fi

connector() {
    "$sluice" connector --url "$url" "$@"
}

# request METHOD PATH [CURL ARGUMENT...]: the answer's body, and in a last line its status code.
request() {
    method=$1 path=$2
    shift 2
    curl -sS --connect-timeout 5 --max-time 95 -X "$method" -H 'Content-Type: application/json' \
        -w '\n%{http_code}' "$@" "$url$path" ||
        fail "no worker answers at $url: is it running? Another address: CONNECT_REST_URL"
}

# rest METHOD PATH [CURL ARGUMENT...]: the answer's body; ends with the worker's message if it refuses.
rest() {
    answer=$(request "$@")
    body=$(printf '%s\n' "$answer" | sed '$d')
    case $(printf '%s\n' "$answer" | tail -n 1) in
        2??) printf '%s\n' "$body" ;;
        *) fail "$(refusal "$body")" ;;
    esac
}

refusal() {
    message=$(printf '%s\n' "$1" | member message | text)
    printf '%s\n' "${message:-$1}"
}

# Names go into URLs as they are.
check_name() {
    case $1 in
        '') fail "the connector has no name" ;;
        *[!A-Za-z0-9._-]*) fail "$1: without the sluice binary only letters, digits, dots, dashes and underscores" ;;
    esac
}

# member KEY: the value of the top-level KEY of the JSON object on standard input, as it is spelled; nothing if not there.
member() {
    awk -v wanted="\"$1\"" '
        { all = all $0 "\n" }
        END {
            for (i = 1; i <= length(all); i++) {
                c = substr(all, i, 1)
                if (quoted) {
                    if (c == "\\") i++
                    else if (c == "\"") {
                        quoted = 0
                        if (depth == 1 && !from) key = substr(all, start, i - start + 1)
                    }
                    continue
                }
                if (c == "\"") { quoted = 1; start = i }
                else if (c == "{" || c == "[") depth++
                else if (c == "}" || c == "]") depth--
                else if (c == ":" && depth == 1) from = i + 1
                if (from && ((c == "," && depth == 1) || depth == 0)) {
                    if (key == wanted) { print substr(all, from, i - from); exit }
                    from = 0
                }
            }
        }'
}

# JSON text to plain text.
text() {
    awk '
        { all = all $0 }
        END {
            sub(/^[ \t]*"/, "", all); sub(/"[ \t]*$/, "", all)
            for (i = 1; i <= length(all); i++) {
                c = substr(all, i, 1)
                if (c == "\\") {
                    c = substr(all, ++i, 1)
                    if (c == "n") c = "\n"
                    if (c == "t") c = "\t"
                }
                printf "%s", c
            }
            if (length(all) > 0) print ""
        }'
}

# The states in a status: first the connector, then its tasks in order.
states_of() {
    printf '%s' "$1" | tr ',{}' '[\n*]' | sed -n 's/^ *"state" *: *"\([A-Z]*\)".*/\1/p'
}

# The traces in a status.
traces_of() {
    printf '%s' "$1" | tr -d '\n' | awk '
        {
            rest = $0
            while (match(rest, /"trace" *: *"([^"\\]|\\.)*"/)) {
                trace = substr(rest, RSTART, RLENGTH)
                sub(/^"trace" *: */, "", trace)
                print trace
                rest = substr(rest, RSTART + RLENGTH)
            }
        }' | while IFS= read -r trace; do printf '%s\n' "$trace" | text; done
}
