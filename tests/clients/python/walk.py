"""Walks one job's life through the generated client; tests/clients/run says what it needs."""

import hashlib
import os
import time
import uuid

from brizo_client import AuthenticatedClient
from brizo_client.api.gateway import get_backend
from brizo_client.api.jobs import (
    delete_job, get_job, list_jobs, list_outputs, read_log, read_output, start_job, stop_job,
)
from brizo_client.models import (
    Container, Job, JobRequest, LogStream, Phase, Plan, Problem, RawAlgorithm, RawAlgorithmType, ReasonExitCode,
    ReasonSignal,
)

client = AuthenticatedClient(
    base_url=os.environ["BRIZO_URL"], token=os.environ["BRIZO_TOKEN"], raise_on_unexpected_status=True
)


def request(code):
    container = Container(image="python", tag="3.11", entrypoint="python3 $ALGO")
    algorithm = RawAlgorithm(type_=RawAlgorithmType.RAW, code=code, container=container)
    return JobRequest(agreements=[os.environ["BRIZO_AGREEMENT"]], algorithm=algorithm)


def submit(code):
    key = str(uuid.uuid4())
    first = start_job.sync_detailed(client=client, body=request(code), idempotency_key=key)
    assert first.status_code == 201, first
    again = start_job.sync_detailed(client=client, body=request(code), idempotency_key=key)
    assert again.status_code == 200 and isinstance(again.parsed, Job) and again.parsed.id == first.parsed.id, again
    return first.parsed


def ended(id):
    until = time.monotonic() + 60
    while not (job := get_job.sync(id, client=client)).ended_at:
        assert time.monotonic() < until, job
        time.sleep(0.1)
    return job


backend = get_backend.sync(client=client)
assert backend is not None and not isinstance(backend, Problem), backend

plan = start_job.sync(client=client, body=request("print()"), dry_run=True)
assert isinstance(plan, Plan) and any(limit.name == "memory" for limit in plan.limits), plan

TEXT = b"from python\n"
job = submit(
    "import os, sys\n"
    "place = os.path.join(os.environ['OUTPUTS'], 'folder')\n"
    "os.makedirs(place)\n"
    f"open(os.path.join(place, 'one file.txt'), 'wb').write({TEXT!r})\n"
    "print('hello')\n"
    "print('oh', file=sys.stderr)\n"
)
listed = list_jobs.sync(client=client, limit=5)
assert job.id in [item.id for item in listed.items], listed
job = ended(job.id)
assert job.phase == Phase.SUCCEEDED, job

for stream, text in ((LogStream.STDOUT, b"hello\n"), (LogStream.STDERR, b"oh\n")):
    log = read_log.sync_detailed(job.id, client=client, stream=stream)
    assert log.content == text, log

outputs = list_outputs.sync(job.id, client=client)
(output,) = outputs.items
assert output.path == "folder/one file.txt", output
content = read_output.sync(job.id, output.path, client=client).payload.read()
assert content == TEXT and hashlib.sha256(content).hexdigest() == output.sha256, content
part = read_output.sync_detailed(job.id, output.path, client=client, range_="bytes=5-10")
assert part.status_code == 206 and part.content == TEXT[5:11], part

# Each failure decodes to a type of its own.
failures = [ended(submit(code).id) for code in ("raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)")]
exit_code, signal = (failure.reason for failure in failures)
assert isinstance(exit_code, ReasonExitCode) and exit_code.exit_code == 3, failures[0]
assert isinstance(signal, ReasonSignal) and signal.signal == 9, failures[1]

endless = submit("import time\nwhile True: time.sleep(1)")
assert isinstance(stop_job.sync(endless.id, client=client), Job)
endless = ended(endless.id)
assert endless.phase == Phase.STOPPED, endless

for gone in (job, *failures, endless):
    assert delete_job.sync_detailed(gone.id, client=client).status_code == 204
missing = get_job.sync_detailed(job.id, client=client)
assert missing.status_code == 404 and isinstance(missing.parsed, Problem), missing
print("python: the whole flow passed")
