/**
 * The entry point of public-key operations: runs a job to its end in the calling thread.
 *
 * @module
 */
import { OwnedMemory } from "../../os/owned_memory.ts";
import { AkcipherService } from "./akcipher.ts";
import { AsymmetricJob, FORM_AKCIPHER } from "./job.ts";
import { Rfc3Service } from "./rfc3/service.ts";
import { AsymmetricTools } from "./tools.ts";

/** Runs the jobs of one thread. */
export class JobExecutor {
  /** The job to run, for the caller to fill in. */
  readonly job: AsymmetricJob = new AsymmetricJob();
  /** Owns the memory that jobs work in. */
  readonly memory: OwnedMemory = new OwnedMemory();
  /** The objects that operations use. */
  readonly tools: AsymmetricTools = new AsymmetricTools(this.memory);
  /** Prepares keys of AKCIPHER sessions. */
  readonly akcipher: AkcipherService = new AkcipherService(this.tools);
  readonly #rfc3 = new Rfc3Service(this.tools);

  /** Runs `job`; its outcome and the length of its output are left in it. Never throws. */
  run(job: AsymmetricJob = this.job): void {
    if (job.form === FORM_AKCIPHER) this.akcipher.run(job);
    else this.#rfc3.run(job);
  }

  /** Frees all native memory. No job follows. */
  close(): void {
    this.tools.close();
    this.memory.close();
  }
}
