/**
 * The decisions of this device if v19 leaves a choice or contradicts itself, one test per decision. This file: modes,
 * flags, structure sizes, statuses and used lengths. Names of tests begin with the line of the text.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { RefusedError } from "../../src/driver/errors.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { encodeCreateSession, encodeDestroySession } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";
import {
  aeadSample,
  allSamples,
  ask,
  askStateless,
  assertAnswer,
  assertStatus,
  bytes,
  chainSample,
  cipherSample,
  edited,
  FEATURES,
  hashSample,
  macSample,
  withDriver,
} from "./support.ts";

Deno.test("v19 line 951: without MUX_MODE, flag and algo of a data request's header are ignored", async () => {
  await withDriver("fixed", async (driver) => {
    for (const sample of allSamples()) {
      for (const flag of [0, 1, 2, 3, 0xffff_ffff]) {
        assertAnswer(await ask(driver, sample, { flag, algo: flag }), sample, `${sample.name}, flag ${flag}`);
      }
    }
  });
});

Deno.test("v19 line 1084: MUX_MODE without a stateless mode: flag 0 and 1 name a session, 2 is NOTSUPP, more is ERR", async () => {
  await withDriver("mux", async (driver) => {
    for (const sample of allSamples()) {
      for (const flag of [0, 1]) assertAnswer(await ask(driver, sample, { flag }), sample, `${sample.name} ${flag}`);
      assertStatus(await ask(driver, sample, { flag: 2 }), w.STATUS_NOTSUPP, sample.name);
      assertStatus(await askStateless(driver, sample, { flag: 2 }), w.STATUS_NOTSUPP, sample.name);
      for (const flag of [3, 0x8000_0001]) assertStatus(await ask(driver, sample, { flag }), w.STATUS_ERR, sample.name);
    }
  });
});

Deno.test("v19 line 1084: with a stateless mode: flag 1 names a session, 0 and 2 mean stateless, more is ERR", async () => {
  await withDriver("stateless", async (driver) => {
    for (const sample of allSamples()) {
      assertAnswer(await ask(driver, sample, { flag: 1 }), sample);
      for (const flag of [0, 2]) {
        const options = { mode: "stateless" } as const;
        assertAnswer(await askStateless(driver, sample, { flag }, options), sample, `${sample.name} ${flag}`);
      }
      for (const flag of [3, 0x8000_0000]) {
        assertStatus(await askStateless(driver, sample, { flag }), w.STATUS_ERR, sample.name);
      }
    }
  });
});

Deno.test("v19 line 295: stateless modes are negotiated service by service, and each requires MUX_MODE", async () => {
  await withDevice({ statelessServices: [w.SERVICE_HASH, w.SERVICE_AEAD] }, async (device) => {
    const driver = await device.connect({ features: FEATURES.stateless });
    assertEquals(driver.offeredFeatures & 0x1fn, 0b10101n);
    for (const sample of allSamples()) {
      const isStateless = sample.name === "HASH" || sample.name === "AEAD";
      const result = await askStateless(driver, sample, { flag: 2 });
      if (isStateless) assertAnswer(result, sample);
      else assertStatus(result, w.STATUS_NOTSUPP, sample.name);
    }
  });
  for (const bit of [1n, 2n, 3n, 4n]) {
    await withDevice({}, async (device) => {
      const connecting = device.connect({ features: FEATURES.fixed | 1n << bit });
      await assertRejects(() => connecting, RefusedError, "SET_FEATURES", `bit ${bit} without bit 0`);
    });
  }
  await withDevice({ mux: false }, async (device) => {
    const driver = await device.connect({ features: FEATURES.stateless });
    assertEquals(driver.offeredFeatures & 0x3fn, 0n);
    for (const sample of allSamples()) assertAnswer(await ask(driver, sample), sample);
  });
});

Deno.test("v19 line 615: a control body is padded to 56 bytes without MUX_MODE and has its own size with it", async () => {
  const sample = macSample();
  for (const mode of ["fixed", "mux"] as const) {
    await withDriver(mode, async (driver) => {
      assertAnswer(await ask(driver, sample), sample);
      // In the other form the key would be read from the padding or after the end of the request.
      const { status, sessionId } = await driver.tryCreateSession(sample.session, { mux: mode === "fixed" });
      if (status === w.STATUS_OK) {
        const { result } = await driver.request({ ...sample.request, sessionId });
        assert(`${result}` !== `${sample.result}`, "a session of the other form was understood");
      } else {
        assertStatus({ status }, w.STATUS_ERR);
      }
    });
  }
});

Deno.test("v19 line 586: unused bytes, flag and queue_id of a control request are ignored", async () => {
  await withDevice({ dataQueues: 2 }, async (device) => {
    const driver = await device.connect({ features: FEATURES.fixed, dataQueueCount: 2 });
    const sample = cipherSample();
    const options = { algo: 0xffff_ffff, flag: 0xdead_beef, queueId: 4711 };
    const request = edited(encodeCreateSession(sample.session, options), "para", (view) => {
      for (let at = 12; at < w.SYM_SESSION_OP_TYPE_OFFSET; at++) view.setUint8(at, 0xcc);
      view.setUint32(w.SYM_SESSION_OP_TYPE_OFFSET + 4, 0xcccc_cccc, true);
    });
    const { fields } = await driver.submitControl(request);
    const input = new DataView(fields["input"]!.buffer);
    assertEquals(input.getUint32(w.SESSION_INPUT_STATUS_OFFSET, true), w.STATUS_OK);
    const sessionId = Number(input.getBigUint64(0, true));
    for (const queue of [0, 1]) {
      assertAnswer(await driver.request({ ...sample.request, sessionId }, { queue }), sample, `queue ${queue}`);
    }
  });
});

Deno.test("v19 line 1468: stateless symmetric parameters have 80 bytes, or 76 without queue_id, which is ignored", async () => {
  await withDriver("stateless", async (driver) => {
    for (const sample of [cipherSample(), cipherSample(w.OP_DECRYPT), chainSample()]) {
      assertAnswer(await askStateless(driver, sample, { paraBytes: 80 }), sample, "80 bytes");
      assertAnswer(await askStateless(driver, sample, { paraBytes: 76 }), sample, "76 bytes");
      const request = encodeData(
        { ...sample.request, stateless: sample.session } as typeof sample.request,
        "stateless",
      );
      const strange = edited(request, "para", (view) => view.setUint32(76, 0xffff_ffff, true));
      assertAnswer(await driver.submitData(strange), sample, "a strange queue_id");
      // Without op_type, the bytes after the parameters are read as op_type.
      assertStatus(await askStateless(driver, sample, { paraBytes: 72 }), w.STATUS_NOTSUPP, "72 bytes");
    }
  });
});

Deno.test("v19 line 1390: of the two aad_len of a stateless chain the second counts; the first agrees or is 0", async () => {
  await withDriver("stateless", async (driver) => {
    const aad = bytes(12, 30);
    const sample = chainSample();
    const right = await askStateless(driver, sample, { aad });
    assertStatus(right, w.STATUS_OK);
    assertEquals(await askStateless(driver, sample, { aad, claims: { aadLenFirst: 0 } }), right);
    assertStatus(await askStateless(driver, sample, { aad, claims: { aadLenFirst: 11 } }), w.STATUS_ERR);
    assertStatus(await askStateless(driver, sample, { aad, claims: { aadLenFirst: 0xffff_ffff } }), w.STATUS_ERR);
    assertStatus(await askStateless(driver, sample, { claims: { aadLenFirst: 12 } }), w.STATUS_ERR);
  });
});

/** The status field of a destruction whose buffer has `inputBytes` bytes. */
async function destroyInto(driver: CryptoDriver, sessionId: number, inputBytes: number): Promise<[string, number]> {
  const request = encodeDestroySession("cipher", sessionId, { mux: driver.hasFeature(w.F_MUX_MODE), inputBytes });
  const { fields, usedLen } = await driver.submitControl(request);
  return [fields["input"]!.toHex(), usedLen];
}

Deno.test("v19 line 677: the status of a destruction is a byte, a le32, a padded one or a session_input, by the length of its buffer", async () => {
  for (const mode of ["fixed", "mux"] as const) {
    await withDriver(mode, async (driver) => {
      // Bytes that the device does not write contain 0xee.
      const rooms: [number, (status: string) => string, number][] = [
        [1, (status) => status, 1],
        [2, (status) => `${status}ee`, 1],
        [3, (status) => `${status}eeee`, 1],
        [4, (status) => `${status}000000`, 4],
        [8, (status) => `${status}${"00".repeat(7)}`, 8],
        [16, (status) => `${status}${"00".repeat(7)}${status}${"00".repeat(7)}`, 16],
        [88, (status) => `${status}${"00".repeat(7)}${status}${"00".repeat(7)}${"ee".repeat(72)}`, 16],
      ];
      for (const [room, image, usedLen] of rooms) {
        const sessionId = await driver.createSession(cipherSample().session);
        assertEquals(await destroyInto(driver, sessionId, room), [image("00"), usedLen], `${room} bytes, OK`);
        assertEquals(await destroyInto(driver, sessionId, room), [image("01"), usedLen], `${room} bytes, ERR`);
      }
    });
  }
});

Deno.test("v19 line 821, DPDK op_type 3 to 255: op_type NONE and unknown ones are NOTSUPP, in sessions and in requests", async () => {
  await withDriver("stateless", async (driver) => {
    for (const opType of [w.SYM_OP_NONE, 3, 7, 255, 0xffff_ffff]) {
      const { session } = cipherSample();
      assertStatus(await driver.tryCreateSession(session, { claims: { opType } }), w.STATUS_NOTSUPP, "creation");
      const changes = { claims: { opType } };
      assertStatus(await ask(driver, cipherSample(), { flag: 1, ...changes }), w.STATUS_NOTSUPP, "request");
      assertStatus(await askStateless(driver, cipherSample(), changes), w.STATUS_NOTSUPP, "stateless request");
    }
  });
});

Deno.test("v19 line 1310: a request of another kind than its session's is ERR", async () => {
  await withDriver("fixed", async (driver) => {
    const samples = [cipherSample(), hashSample(), macSample(), aeadSample(), chainSample()];
    for (const owner of samples) {
      const sessionId = await driver.createSession(owner.session);
      for (const other of samples) {
        const result = await driver.request({ ...other.request, sessionId });
        if (other === owner) assertAnswer(result, owner);
        else assertStatus(result, w.STATUS_ERR, `${other.name} with a session of ${owner.name}`);
      }
    }
  });
});

Deno.test("v19 line 757: an undefined direction, or one that contradicts the opcode, is ERR", async () => {
  await withDriver("stateless", async (driver) => {
    for (const sample of [cipherSample(), aeadSample(), chainSample()]) {
      for (const op of [0, 3, 0xffff_ffff]) {
        assertStatus(await driver.tryCreateSession(sample.session, { claims: { op } }), w.STATUS_ERR, "creation");
      }
      for (const op of [0, w.OP_DECRYPT, 3]) {
        assertStatus(await askStateless(driver, sample, { claims: { op } }), w.STATUS_ERR, "stateless request");
      }
      const opcode = sample.name === "AEAD" ? w.AEAD_DECRYPT : w.CIPHER_DECRYPT;
      assertStatus(await ask(driver, sample, { opcode, flag: 1 }), w.STATUS_ERR, "request of a session");
    }
  });
});

Deno.test("v19 line 785: nested hashing is NOTSUPP, an undefined order is ERR", async () => {
  await withDriver("stateless", async (driver) => {
    const sample = chainSample();
    for (
      const [name, value, status] of [
        ["hashMode", w.HASH_MODE_NESTED, w.STATUS_NOTSUPP],
        ["hashMode", 0, w.STATUS_NOTSUPP],
        ["hashMode", 4, w.STATUS_NOTSUPP],
        ["algChainOrder", 0, w.STATUS_ERR],
        ["algChainOrder", 3, w.STATUS_ERR],
      ] as const
    ) {
      const changes = { claims: { [name]: value } };
      assertStatus(await driver.tryCreateSession(sample.session, changes), status, `${name} ${value}`);
      assertStatus(await askStateless(driver, sample, changes), status, `${name} ${value}, stateless`);
    }
  });
});

Deno.test("v19 line 947: algo of the header is ignored: a stateless request's parameters contain it", async () => {
  await withDriver("stateless", async (driver) => {
    for (const sample of allSamples()) {
      for (const algo of [0, 2, 9999]) assertAnswer(await askStateless(driver, sample, { algo }), sample);
    }
  });
});

Deno.test("v19 line 1007: the status byte is the last writable byte, even if the buffers are longer than needed", async () => {
  await withDriver("fixed", async (driver) => {
    for (const [extra, split] of [[1, "one"], [7, "fields"], [100, "random"]] as const) {
      const sample = cipherSample();
      const result = await ask(driver, sample, { dstBytes: 48 + extra }, { split });
      assertStatus(result, w.STATUS_OK, `${extra} bytes more`);
      assertEquals(result.dst.subarray(0, 48), sample.dst);
      assertEquals(result.dst.subarray(48), new Uint8Array(extra).fill(0xee), "the room between is left alone");
    }
  });
});

Deno.test("v19 line 1007: the used length counts bytes written from the first one on, up to the first gap", async () => {
  await withDriver("fixed", async (driver) => {
    const [cipher, chain, seal] = [cipherSample(), chainSample(), aeadSample()];
    assertEquals((await ask(driver, cipher)).usedLen, 49, "all of it");
    assertEquals((await ask(driver, cipher, { dstBytes: 50 })).usedLen, 48, "the status is in a buffer of its own");
    assertEquals((await ask(driver, cipher, { claims: { ivLen: 3 } })).usedLen, 0, "a status and no result");
    assertEquals((await ask(driver, chain)).usedLen, 81);
    assertEquals(
      (await ask(driver, chain, { claims: { dstDataLen: 49 } })).usedLen,
      48,
      "the digest is in a buffer of its own",
    );
    assertEquals((await ask(driver, seal, { claims: { dstDataLen: 67 } })).usedLen, 66);
    assertEquals((await ask(driver, cipher, { claims: { srcDataLen: 99 }, dstBytes: 0 })).usedLen, 1, "status alone");
  });
});

Deno.test("v19 line 932: readable bytes after the last part of a request are ignored", async () => {
  for (const mode of ["fixed", "mux", "stateless"] as const) {
    await withDriver(mode, async (driver) => {
      for (const sample of allSamples()) {
        const sessionId = await driver.createSession(sample.session);
        const parts = { ...sample.request, ...(mode === "stateless" ? { stateless: sample.session } : { sessionId }) };
        const request = encodeData(parts as typeof sample.request, mode);
        const longer = { ...request, readable: [...request.readable, { name: "tail", bytes: bytes(4096) }] };
        assertAnswer(await driver.submitData(longer), sample, `${sample.name}, ${mode}`);
      }
    });
  }
});

Deno.test("v19 line 305, QEMU 15b11a1da6: services that are not offered are NOTSUPP, for sessions and for requests", async () => {
  await withDriver("fixed", async (driver) => {
    const { session } = cipherSample();
    for (const opcode of [0x0402, 0x0502, 0xff02, 0x0002_0002]) {
      assertStatus(await driver.tryCreateSession(session, { opcode }), w.STATUS_NOTSUPP, `creation ${opcode}`);
    }
    for (const opcode of [0x0002, 0x0500, 0xffff, 0x0001_0000, 0xffff_ff00]) {
      assertStatus(await ask(driver, cipherSample(), { opcode }), w.STATUS_NOTSUPP, `request ${opcode}`);
    }
  });
});

Deno.test("v19 line 908: a session is destroyed by the destruction of any service: its id alone counts", async () => {
  for (const mode of ["fixed", "mux"] as const) {
    await withDriver(mode, async (driver) => {
      for (const { session, request } of [cipherSample(), hashSample(), macSample(), aeadSample(), chainSample()]) {
        for (const service of ["cipher", "hash", "mac", "aead", "akcipher"] as const) {
          const sessionId = await driver.createSession(session);
          assertEquals(
            await driver.destroySession(service, sessionId),
            w.STATUS_OK,
            `${session.service} by ${service}`,
          );
          assertStatus(await driver.request({ ...request, sessionId }), w.STATUS_INVSESS, "it is gone");
          assertEquals(await driver.destroySession(service, sessionId), w.STATUS_ERR, "once");
        }
      }
    });
  }
});

Deno.test("v19 line 1453: additional data precedes the source, but follows it in a chain's session under MUX_MODE and in AEAD", async () => {
  const aad = bytes(16, 31);
  for (const mode of ["fixed", "mux", "stateless"] as const) {
    await withDriver(mode, async (driver) => {
      for (const sample of [chainSample(), aeadSample()]) {
        const sessionId = await driver.createSession(sample.session);
        const session = mode === "stateless" ? { stateless: sample.session } : { sessionId };
        const request = encodeData({ ...sample.request, aad, ...session } as typeof sample.request, mode);
        const order = request.readable.map(({ name }) => name).filter((name) => name === "src" || name === "aad");
        const aadLast = sample.name === "AEAD" || mode === "mux";
        assertEquals(order, aadLast ? ["src", "aad"] : ["aad", "src"]);
        const right = await driver.submitData(request);
        assertStatus(right, w.STATUS_OK);
        const [src, other] = ["src", "aad"].map((name) => request.readable.findIndex((field) => field.name === name));
        const readable = request.readable.slice();
        [readable[src!], readable[other!]] = [readable[other!]!, readable[src!]!];
        const swapped = await driver.submitData({ ...request, readable });
        assert(`${swapped.dst}` !== `${right.dst}`, "the other order makes no difference");
      }
    });
  }
});
