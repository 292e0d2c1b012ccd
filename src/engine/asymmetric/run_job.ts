/**
 * The door to public-key operations: runs a job to its end, in the isolate that calls.
 *
 * @module
 */
import { runAkcipher } from "./akcipher.ts";
import { type AsymmetricJob, FORM_AKCIPHER } from "./job.ts";
import { runRfc3 } from "./rfc3/service.ts";

/** Runs `job`; its outcome and the length of its output are left in it. Never throws. */
export function runJob(job: AsymmetricJob): void {
  if (job.form === FORM_AKCIPHER) runAkcipher(job);
  else runRfc3(job);
}
