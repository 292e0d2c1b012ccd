/**
 * What is refused of the asymmetric service: opcodes, flags, lengths, sessions of another kind, sessions too many.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { type DataRequest, encodeData } from "../../src/driver/requests.ts";
import { encodeCreateSession } from "../../src/driver/sessions.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { ask, assertAnswer, assertStatus, cipherSample } from "../conformance/support.ts";
import { withDevice } from "./harness.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
const session = {
  service: "akcipher",
  algo: ak.AKCIPHER_RSA,
  keyType: ak.AKCIPHER_KEY_PUBLIC,
  key: new Uint8Array(rsa.publicKey.export({ type: "pkcs1", format: "der" })),
  para0: ak.RSA_RAW_PADDING,
} as const;
const request = { service: "akcipher", opcode: w.AKCIPHER_ENCRYPT, src: new Uint8Array(16), dstDataLen: 128 } as const;
const MODES = { fixed: 0n, mux: 1n, stateless: 0x3fn } as const;

Deno.test("opcodes beyond VERIFY are not supported, of sessions that are not asymmetric are ERR, cut-off requests too", () =>
  withDevice({}, async (device) => {
    for (const [mode, features] of Object.entries(MODES)) {
      const driver = await device.connect({ features: FEATURES_USUAL | features });
      const sessionId = await driver.createSession(session);
      const other = await driver.createSession(cipherSample().session);
      const flag = mode === "stateless" ? 1 : 0;
      assertStatus(await driver.request({ ...request, sessionId, flag }), w.STATUS_OK, mode);
      for (const opcode of [0x0404, 0x0405, 0x04ff]) {
        assertStatus(
          await driver.request({ ...request, sessionId, flag, opcode }),
          w.STATUS_NOTSUPP,
          `${mode}, ${opcode}`,
        );
      }
      assertStatus(await driver.request({ ...request, sessionId: other, flag }), w.STATUS_ERR, mode);
      assertStatus(
        await driver.request({ ...request, sessionId: sessionId ^ 0x4000_0000, flag }),
        w.STATUS_INVSESS,
        mode,
      );
      const whole = encodeData({ ...request, sessionId, flag }, mode === "fixed" ? "fixed" : "mux");
      const [header, para] = whole.readable;
      for (let length = 0; length < para!.bytes.length; length++) {
        const cut = { ...whole, readable: [header!, { name: "para", bytes: para!.bytes.subarray(0, length) }] };
        assertStatus(await driver.submitData(cut), w.STATUS_ERR, `${mode}, ${length} bytes of parameters`);
      }
      await driver.close();
    }
  }));

Deno.test("flags: stateless without its feature bit is not supported, unknown flags are ERR, cut-off parameters too", () =>
  withDevice({}, async (device) => {
    const stateless = { ...request, stateless: session } as DataRequest;
    const mux = await device.connect({ features: FEATURES_USUAL | 1n });
    const sessionId = await mux.createSession(session);
    for (
      const [flag, status] of [[0, w.STATUS_OK], [1, w.STATUS_OK], [2, w.STATUS_NOTSUPP], [3, w.STATUS_ERR]] as const
    ) {
      assertStatus(await mux.request({ ...request, sessionId, flag }), status, `flag ${flag} without stateless mode`);
    }
    await mux.close();
    const driver = await device.connect({ features: FEATURES_USUAL | 0x3fn });
    for (const [flag, status] of [[0, w.STATUS_OK], [2, w.STATUS_OK], [3, w.STATUS_ERR], [9, w.STATUS_ERR]] as const) {
      assertStatus(await driver.request({ ...stateless, flag } as DataRequest), status, `flag ${flag}, stateless`);
    }
    const whole = encodeData(stateless, "stateless");
    const [header, para] = whole.readable;
    for (let length = 0; length < para!.bytes.length; length++) {
      const cut = { ...whole, readable: [header!, { name: "para", bytes: para!.bytes.subarray(0, length) }] };
      assertStatus(await driver.submitData(cut), w.STATUS_ERR, `${length} bytes of parameters`);
    }
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
  }));

Deno.test("sessions: other operations are not supported, cut-off ones are ERR, and one too many is told as what it is", async () => {
  for (const [features, full] of [[0n, w.STATUS_ERR], [1n, w.STATUS_NOSPC]] as const) {
    await withDevice({ maxSessions: 2 }, async (device) => {
      const driver = await device.connect({ features: FEATURES_USUAL | features });
      const mux = features === 1n;
      for (const opcode of [0x0402, 0x0403, 0x0406, 0x04ff]) {
        assertStatus(await driver.tryCreateSession(session, { opcode }), w.STATUS_NOTSUPP, `operation ${opcode}`);
      }
      const whole = encodeCreateSession(session, { mux });
      const all = whole.readable.reduce((sum, { bytes }) => sum + bytes.length, 0);
      for (const length of [15, 16, 17, 40, 71, 72, 73, all - 1]) {
        let left = length;
        const readable = whole.readable.map(({ name, bytes }) => {
          const part = bytes.subarray(0, left);
          left -= part.length;
          return { name, bytes: part };
        });
        const { fields } = await driver.submitControl({ ...whole, readable });
        assertEquals(new DataView(fields["input"]!.buffer).getUint32(8, true), w.STATUS_ERR, `${length} bytes`);
      }
      const id = await driver.createSession(session);
      await driver.createSession(session);
      assertStatus(await driver.tryCreateSession(session), full);
      assertEquals(await driver.destroySession("akcipher", id), w.STATUS_OK);
      assertStatus(await driver.tryCreateSession(session), w.STATUS_OK);
    });
  }
});
