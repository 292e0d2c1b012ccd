/**
 * Submits samples: with a session created for the request, or without a session.
 *
 * @module
 */
import type { CryptoDriver, DataResult } from "../../driver/crypto_driver.ts";
import type { EncodedRequest } from "../../driver/fields.ts";
import type { DataRequest } from "../../driver/requests.ts";
import type { SubmitOptions } from "../../driver/submit_options.ts";
import * as w from "../../wire/virtio_crypto.ts";
import { expectStatus } from "./expect.ts";
import type { Sample } from "./samples.ts";

/** Fields of a request to set or replace. */
export type Changes = Readonly<Record<string, unknown>>;

/** Submits `sample` with a session created for it, which is destroyed afterwards. */
export async function ask(
  driver: CryptoDriver,
  sample: Sample,
  changes: Changes = {},
  options: SubmitOptions = {},
): Promise<DataResult> {
  const sessionId = await driver.createSession(sample.session);
  const result = await driver.request({ ...sample.request, sessionId, ...changes } as DataRequest, options);
  expectStatus(
    { status: await driver.destroySession(sample.session.service, sessionId) },
    w.STATUS_OK,
    `destroying the ${sample.name} session`,
  );
  return result;
}

/** Submits `sample` as a stateless request, regardless of the negotiated features. */
export function askStateless(
  driver: CryptoDriver,
  sample: Sample,
  changes: Changes = {},
  options: SubmitOptions = {},
): Promise<DataResult> {
  const request = { ...sample.request, stateless: sample.session, ...changes } as DataRequest;
  return driver.request(request, { mode: "stateless", ...options });
}

/** `request` with the bytes of field `name` changed by `edit`. */
export function edited(request: EncodedRequest, name: string, edit: (view: DataView) => void): EncodedRequest {
  return {
    ...request,
    readable: request.readable.map((field) => {
      if (field.name !== name) return field;
      const copy = new Uint8Array(field.bytes);
      edit(new DataView(copy.buffer));
      return { name, bytes: copy };
    }),
  };
}
