#!/usr/bin/env python3
"""A whole job with Python's standard library.

    BRIZO_TOKEN=$(brizo token) ./run_job.py --agreement 0x… train.py --output results

The agreement comes from `brizo order DID`. For a typed client, generate one from openapi/brizo.json with
openapi-python-client.
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid


def main():
    parser = argparse.ArgumentParser(description="Runs an algorithm next to the data, and fetches what it wrote.")
    parser.add_argument("algorithm", type=pathlib.Path)
    parser.add_argument("--agreement", required=True)
    parser.add_argument("--gateway", default=os.environ.get("BRIZO_GATEWAY", "http://127.0.0.1:8030"))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("output"))
    options = parser.parse_args()
    jobs = f"{options.gateway}/api/v1/jobs"
    token = os.environ["BRIZO_TOKEN"]

    def call(method, url, body=None, **headers):
        headers = {"Authorization": f"Bearer {token}", **headers}
        if body is not None:
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method))

    try:
        request = {
            "agreements": [options.agreement],
            "algorithm": {
                "type": "raw",
                "code": options.algorithm.read_text(),
                "container": {"image": "python", "tag": "3.11", "entrypoint": "python3 $ALGO"},
            },
        }
        job = json.load(call("POST", jobs, request, **{"Idempotency-Key": str(uuid.uuid4())}))
        url = f"{jobs}/{job['id']}"

        # Server-sent events: a phase as it begins, and at last the job as it ended.
        event = None
        for line in call("GET", f"{url}/events", Accept="text/event-stream"):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "data" and event == "phase":
                print(json.loads(value)["phase"], file=sys.stderr)
            elif name == "data" and event == "end":
                job = json.loads(value)
                break

        sys.stdout.buffer.write(call("GET", f"{url}/logs", Accept="text/plain").read())
        sys.stdout.flush()
        cursor = ""
        while cursor is not None:
            page = json.load(call("GET", f"{url}/outputs?{urllib.parse.urlencode({'cursor': cursor} if cursor else {})}"))
            for output in page["items"]:
                file = options.output / output["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                digest = hashlib.sha256()
                with call("GET", f"{url}/outputs/{urllib.parse.quote(output['path'])}") as body, file.open("wb") as disk:
                    while piece := body.read(1 << 16):
                        digest.update(piece)
                        disk.write(piece)
                if digest.hexdigest() != output["sha256"]:
                    raise SystemExit(f"{file} is not what the job published")
                print(file, file=sys.stderr)
            cursor = page.get("next")
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{error.code}: {json.load(error).get('detail')}") from error
    if job["phase"] != "succeeded":
        raise SystemExit(f"{job['phase']}: {job.get('reason', {}).get('message', '')}")


if __name__ == "__main__":
    main()
