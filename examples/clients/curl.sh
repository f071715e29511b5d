#!/usr/bin/env bash
# A whole job with curl: what Swagger UI sends, in the order that a person would press the buttons.
#
#   BRIZO_GATEWAY=http://127.0.0.1:8030 BRIZO_TOKEN=$(brizo token) BRIZO_AGREEMENT=0x… examples/clients/curl.sh FILE.py
#
# Needs curl and python3 (for JSON). The agreement comes from `brizo order DID`.
set -euo pipefail
algorithm=${1:?which Python program?}
gateway=${BRIZO_GATEWAY:-http://127.0.0.1:8030}
api() { curl -sS --fail-with-body -H "Authorization: Bearer ${BRIZO_TOKEN:?}" "$@"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

body=$(python3 - "$algorithm" "${BRIZO_AGREEMENT:?}" <<'PYTHON'
import json, sys
print(json.dumps({
    "agreements": [sys.argv[2]],
    "algorithm": {
        "type": "raw",
        "code": open(sys.argv[1]).read(),
        "container": {"image": "python", "tag": "3.11", "entrypoint": "python3 $ALGO"},
    },
}))
PYTHON
)

# What would happen, and what the job's walls and limits would be: nothing is made.
api "$gateway/api/v1/jobs?dry_run=true" --json "$body"
echo

# The key makes a retry harmless: the same request again is answered with the job that it made.
key=$(python3 -c 'import uuid; print(uuid.uuid4())')
job=$(api "$gateway/api/v1/jobs" -H "Idempotency-Key: $key" --json "$body" | field id)
echo "job $job"

# The log as it grows; the stream ends with the job.
api -N -H "Accept: text/plain" "$gateway/api/v1/jobs/$job/logs?follow=true"
until api "$gateway/api/v1/jobs/$job" | grep -q '"ended_at"'; do sleep 0.2; done
api "$gateway/api/v1/jobs/$job"
echo

# Every output has a link of its own, good for some minutes without a token: for browsers, and for big files.
api "$gateway/api/v1/jobs/$job/outputs" |
    python3 -c 'import json, sys; [print(o["path"], o["link"], sep="\t") for o in json.load(sys.stdin)["items"]]' |
    while IFS=$'\t' read -r path link; do
        mkdir -p "output/$(dirname "$path")"
        curl -sS --fail-with-body -o "output/$path" "$link"
        echo "output/$path"
    done

api -X DELETE "$gateway/api/v1/jobs/$job"
echo "deleted $job"
