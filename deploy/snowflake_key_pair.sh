#!/bin/sh
# Makes a key pair for the Snowflake sink, and prints the statement that gives Snowflake the public half. Needs openssl.
#
#   snowflake_key_pair.sh USER [FOLDER]
#
# FOLDER, ./snowflake-key if not given, gets, readable for this user alone:
#   rsa_key.p8   the private key, PKCS#8, not encrypted
#   rsa_key.pub  the public key
#   env          lines for .env
# A key that is there already is never replaced.
set -eu

fail() {
    echo "snowflake_key_pair: $*" >&2
    exit 1
}

case $# in
    1 | 2) ;;
    *) fail "usage: snowflake_key_pair.sh USER [FOLDER]" ;;
esac
user=$1 folder=${2:-snowflake-key}
private=$folder/rsa_key.p8 public=$folder/rsa_key.pub
[ ! -e "$private" ] || fail "$private is there already"

umask 077
mkdir -p "$folder"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$private" 2>/dev/null ||
    fail "openssl cannot make a key"
openssl pkey -in "$private" -pubout -out "$public"

# The text between the first and the last line, in one line.
bare() {
    grep -v -e '-----' "$1" | tr -d '\n'
}

printf 'SNOWFLAKE_USER=%s\nSNOWFLAKE_PRIVATE_KEY=%s\n' "$user" "$(bare "$private")" >"$folder/env"

echo "In Snowflake, as a role that may change the user:"
echo "  ALTER USER $user SET RSA_PUBLIC_KEY='$(bare "$public")';"
echo "Then: cat $folder/env >>.env"
