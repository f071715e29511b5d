// Walks one job's life through the generated types; tests/clients/run says what it needs.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./brizo.js";

type Job = components["schemas"]["Job"];
type JobRequest = components["schemas"]["JobRequest"];

function env(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

const client = createClient<paths>({
  baseUrl: env("BRIZO_URL"),
  headers: { Authorization: `Bearer ${env("BRIZO_TOKEN")}` },
});

function request(code: string): JobRequest {
  return {
    agreements: [env("BRIZO_AGREEMENT")],
    algorithm: {
      type: "raw",
      code,
      container: { image: "python", tag: "3.11", entrypoint: "python3 $ALGO" },
    },
  };
}

async function submit(code: string): Promise<Job> {
  const params = { header: { "Idempotency-Key": randomUUID() } };
  const first = await client.POST("/api/v1/jobs", { params, body: request(code) });
  assert.equal(first.response.status, 201, JSON.stringify(first.error));
  const again = await client.POST("/api/v1/jobs", { params, body: request(code) });
  assert.equal(again.response.status, 200, "the same key and body is answered with the job it made");
  const job = first.data as Job;
  assert.equal((again.data as Job).id, job.id);
  return job;
}

async function ended(id: string): Promise<Job> {
  const until = Date.now() + 60_000;
  for (;;) {
    const { data, error } = await client.GET("/api/v1/jobs/{id}", { params: { path: { id } } });
    assert(data, JSON.stringify(error));
    if (data.ended_at) return data;
    assert(Date.now() < until, `job ${id} is still ${data.phase}`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

const text = "from typescript\n";
const code = [
  "import os",
  "place = os.path.join(os.environ['OUTPUTS'], 'folder')",
  "os.makedirs(place)",
  `open(os.path.join(place, 'one file.txt'), 'w').write(${JSON.stringify(text)})`,
  "print('hello')",
].join("\n");

const { id } = await submit(code);
const listed = await client.GET("/api/v1/jobs", { params: { query: { limit: 5 } } });
assert(listed.data?.items.some((job) => job.id === id), "a submitted job is listed");

const job = await ended(id);
assert.equal(job.phase, "succeeded", JSON.stringify(job.reason));

const path = { id };
const log = await client.GET("/api/v1/jobs/{id}/logs", {
  params: { path, query: { stream: "stdout" } },
  headers: { Accept: "text/plain" },
  parseAs: "text",
});
assert.equal(log.data, "hello\n");

const outputs = await client.GET("/api/v1/jobs/{id}/outputs", { params: { path } });
const [output] = outputs.data?.items ?? [];
assert(output, JSON.stringify(outputs.error));
assert.equal(output.path, "folder/one file.txt");

const download = await client.GET("/api/v1/jobs/{id}/outputs/{path}", {
  params: { path: { id, path: output.path } },
  parseAs: "arrayBuffer",
});
assert(download.data, JSON.stringify(download.error));
const bytes = Buffer.from(download.data as unknown as ArrayBuffer);
assert.equal(bytes.toString(), text);
assert.equal(createHash("sha256").update(bytes).digest("hex"), output.sha256);

// The tag of the reason leads to a type of its own: the compiler knows that only exit_code has an exit code.
const failed = await ended((await submit("raise SystemExit(3)")).id);
assert.equal(failed.phase, "failed");
assert(failed.reason?.type === "exit_code", JSON.stringify(failed.reason));
assert.equal(failed.reason.exit_code, 3);

for (const gone of [id, failed.id]) {
  const removed = await client.DELETE("/api/v1/jobs/{id}", { params: { path: { id: gone } } });
  assert.equal(removed.response.status, 204);
}
const missing = await client.GET("/api/v1/jobs/{id}", { params: { path } });
assert.equal(missing.response.status, 404);
assert.equal(missing.error?.code, "not_found");
console.log("typescript: the whole flow passed");
