import { assert } from "@std/assert";
import { JobPoolMemory, JobPoolView } from "../../src/device/job_memory.ts";
import { JOB_INPUT_BYTES_MAX, JOBS_PER_QUEUE_MAX } from "../../src/device/limits.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";

Deno.test("a pool of jobs costs V8 its words only, not the input and output of its slots", () => {
  const submittedFd = createEventFd();
  const before = Deno.memoryUsage().external;
  const pools = Array.from({ length: 16 }, () => new JobPoolMemory(submittedFd));
  const views = pools.map(({ location }) => new JobPoolView(location));
  const grown = Deno.memoryUsage().external - before;
  assert(grown < views.length * 64 << 10, `${grown} bytes for ${views.length} pools`);
  assert(JOBS_PER_QUEUE_MAX * JOB_INPUT_BYTES_MAX > 1 << 20, "which is less than their data");
  for (const pool of pools) pool.release();
  closeFd(submittedFd);
});
