#!/bin/sh
# Sends the changes on standard input to a Tidings publisher: sh tell.sh <changes. The script needs curl. Each line is
#
#     ACCOUNT EVENT [STATES]        alice MessageNew {"Email": "s1042", "Mailbox": "s77"}
#
# TIDINGS_INGEST_URL is the publisher, by default http://127.0.0.1:8081. TIDINGS_INGEST_TOKEN is one of its tokens. The
# script gives the token to curl through a pipe, because every user of the machine can read the arguments of a program.
#
# The script repeats each change until the publisher answers for it, also while the publisher is away. Then the script
# sends the next change, so the changes of an account keep their order. If the publisher refuses a change, the script
# reports it and goes on, and the exit code is 1. Events go in CloudEvents' binary mode: their attributes are headers, so
# the script makes no JSON.
set -eu
export LC_ALL=C

url=${TIDINGS_INGEST_URL:-http://127.0.0.1:8081}
source=/tidings-shell
longest_pause=5
longest_wait=60

case $url in
    http://?* | https://?*) ;;
    *) echo "TIDINGS_INGEST_URL is not the http or https URL of a publisher: $url" >&2 && exit 2 ;;
esac
case ${TIDINGS_INGEST_TOKEN:-} in
    *[!!-~]*) echo "TIDINGS_INGEST_TOKEN has a character that tokens may not have" >&2 && exit 2 ;;
esac

answer=$(mktemp -d)
trap 'rm -rf "$answer"' EXIT
trap 'exit 1' HUP INT TERM

random() { od -A n -v -t x1 -N 16 /dev/urandom | tr -d ' \n'; }

# Percent-encoded, every byte: then no name can break out of its header.
encoded() { printf %s "$1" | od -A n -v -t x1 | tr -d '\n' | sed 's/ /%/g'; }

headers() {
    printf '%s\n' "ce-specversion: 1.0" "ce-id: $id" "ce-source: $source" "ce-type: mail.$(encoded "$event")" \
        "ce-subject: $(encoded "$account")" "Content-Type: application/json"
    if [ -n "${TIDINGS_INGEST_TOKEN:-}" ]; then
        printf 'Authorization: Bearer %s\n' "$TIDINGS_INGEST_TOKEN"
    fi
}

# The status, or 000 without an answer. The answer is in files.
post() {
    : >"$answer/head"
    : >"$answer/body"
    headers | curl --disable --silent --show-error --connect-timeout 5 --max-time 10 --header @- --data-raw "$data" \
        --dump-header "$answer/head" --output "$answer/body" --write-out '%{http_code}' \
        "${url%/}/v1/changes" 2>"$answer/error" || true
}

retry_after() {
    seconds=$(tr -d '\r' <"$answer/head" | sed -n 's/^[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]: *0*\([0-9]\{1,6\}\)$/\1/p')
    seconds=${seconds:-0}
    [ "$seconds" -le "$longest_wait" ] || seconds=$longest_wait
    echo "$seconds"
}

# Sends until the publisher answers for the event. The id is made once, so the event keeps its id.
tell() {
    id=$(random)
    bound=1
    while status=$(post); do
        case $status in
            202) return 0 ;;
            000 | 408 | 429 | 502 | 503 | 504) ;;
            *)
                echo "refused: $account $event: $status $(cat "$answer/body")" >&2
                return 1
                ;;
        esac
        # The pause is random, so that not all senders come at once when a publisher is back.
        pause=$(($(retry_after) + 0x$(random | cut -c 1-4) % (bound + 1)))
        echo "not taken, told again in $pause s: $status $(cat "$answer/error" "$answer/body")" >&2
        sleep "$pause"
        bound=$((bound * 2 < longest_pause ? bound * 2 : longest_pause))
    done
}

code=0
while read -r account event states || [ -n "$account" ]; do
    [ -n "$event" ] || { echo "not ACCOUNT EVENT [STATES]: $account" >&2 && exit 2; }
    data="{}"
    [ -z "$states" ] || data="{\"changed\":$states}"
    tell || code=1
done
exit "$code"
