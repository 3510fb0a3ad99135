#!/usr/bin/env bash
# Makes a key pair for Snowflake and prints the statement that gives the user its public half.
#   deploy/snowflake_key_pair.sh USER [FOLDER]
# The private key (PKCS#8, PEM) goes to FOLDER/rsa_key.p8, readable by its owner alone; it is encrypted if
# SNOWFLAKE_PRIVATE_KEY_PASSPHRASE is set. Nothing that is there already is overwritten.
set -euo pipefail

user="${1:-}"
folder="${2:-.}"
if [ -z "$user" ] || [ "$#" -gt 2 ] || [ "${user#-}" != "$user" ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
case "$user" in
    *[!A-Za-z0-9_$]*)
        echo "snowflake_key_pair: $user: only letters, digits, _ and \$ are expected in a user's name" >&2
        exit 2
        ;;
esac
if ! command -v openssl >/dev/null; then
    echo "snowflake_key_pair: openssl is needed (Debian: apt-get install openssl)" >&2
    exit 1
fi

private="$folder/rsa_key.p8"
public="$folder/rsa_key.pub"
for file in "$private" "$public"; do
    if [ -e "$file" ]; then
        echo "snowflake_key_pair: $file is there already: move it away or name another folder" >&2
        exit 1
    fi
done

umask 077
mkdir -p "$folder"
encrypt=()
if [ -n "${SNOWFLAKE_PRIVATE_KEY_PASSPHRASE:-}" ]; then
    encrypt=(-aes-256-cbc -pass env:SNOWFLAKE_PRIVATE_KEY_PASSPHRASE)
fi
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 "${encrypt[@]}" -out "$private" 2>/dev/null ||
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 "${encrypt[@]}" -out "$private" 2>/dev/null
decrypt=()
if [ -n "${SNOWFLAKE_PRIVATE_KEY_PASSPHRASE:-}" ]; then
    decrypt=(-passin env:SNOWFLAKE_PRIVATE_KEY_PASSPHRASE)
fi
openssl pkey -in "$private" "${decrypt[@]}" -pubout -out "$public"

echo "$private: the private key, for snowflake.private.key" >&2
echo "Run this in Snowflake as a user who may alter $user:" >&2
echo "ALTER USER $user SET RSA_PUBLIC_KEY='$(grep -v -e '-----' "$public" | tr -d '\n')';"
