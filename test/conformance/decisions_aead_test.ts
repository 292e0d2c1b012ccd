/**
 * This device's interpretation of v19 on AEAD: nonces, counter blocks, tags, and the position of the tag.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CryptoDriver, DstResult } from "../../src/driver/crypto_driver.ts";
import type { SubmitOptions } from "../../src/driver/submit_options.ts";
import type { AeadSession } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { aes, gcm, gcmJ0 } from "../vectors/models.ts";
import { concat } from "../bytes.ts";
import { aeadSample, ask, askStateless, assertStatus, bytes, expected, keyOf, withDriver } from "./support.ts";

interface Question {
  readonly algo: number;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly tagLen: number;
}

/** Seals or opens a question's `src` in a stateless request. */
function run(
  driver: CryptoDriver,
  { algo, key, iv, aad, tagLen, src }: Question & { readonly src: Uint8Array },
  op: number,
  options: SubmitOptions = {},
): Promise<DstResult> {
  const stateless: AeadSession = { service: "aead", algo, key, tagLen, op };
  return driver.aead({ stateless, op, iv, aad, src, tagLen }, options);
}

/** Fails unless `src` becomes `sealed` and back. */
async function assertBothWays(
  driver: CryptoDriver,
  question: Question,
  { src, sealed }: { readonly src: Uint8Array; readonly sealed: Uint8Array<ArrayBuffer> },
  about: string,
): Promise<void> {
  const sealing = await run(driver, { ...question, src }, w.OP_ENCRYPT);
  assertStatus(sealing, w.STATUS_OK, about);
  assertEquals(sealing.dst, sealed, about);
  const opening = await run(driver, { ...question, src: sealed }, w.OP_DECRYPT);
  assertStatus(opening, w.STATUS_OK, about);
  assertEquals(opening.dst, new Uint8Array(src), about);
}

Deno.test("v19 line 1580: GCM accepts nonces of any length from 1; 12 bytes are the counter's start, others are hashed", async () => {
  await withDriver("stateless", async (driver) => {
    const [aad, src] = [bytes(13, 2), bytes(45, 3)];
    for (const keyLen of [16, 24, 32]) {
      const key = keyOf(keyLen);
      for (let ivLen = 1; ivLen <= 64; ivLen++) {
        if (ivLen === 16) continue;
        const question = { algo: w.AEAD_GCM, key, iv: bytes(ivLen, ivLen), aad, tagLen: 16 };
        const { dst, tag } = gcm(aes(key), true, gcmJ0(aes(key), question.iv), aad, src);
        await assertBothWays(
          driver,
          question,
          { src, sealed: concat(dst, tag) },
          `key of ${keyLen}, nonce of ${ivLen} bytes`,
        );
      }
    }
    const question = { algo: w.AEAD_GCM, key: keyOf(16), iv: new Uint8Array(), aad, tagLen: 16 };
    assertStatus(await run(driver, { ...question, src }, w.OP_ENCRYPT), w.STATUS_ERR, "no nonce");
  });
});

Deno.test("v19 line 1580: GCM with 16 bytes of IV: they are the counter block J0 itself", async () => {
  await withDriver("stateless", async (driver) => {
    for (const keyLen of [16, 24, 32]) {
      for (const length of [0, 1, 15, 16, 17, 100, 5000]) {
        const [key, nonce, aad, src] = [keyOf(keyLen), bytes(12, length), bytes(length % 31, 4), bytes(length, 5)];
        const j0 = concat(nonce, Uint8Array.of(0, 0, 0, 1));
        const common = { algo: w.AEAD_GCM, key, aad, tagLen: 16 };
        const usual = await run(driver, { ...common, iv: nonce, src }, w.OP_ENCRYPT);
        assertStatus(usual, w.STATUS_OK);
        await assertBothWays(
          driver,
          { ...common, iv: j0 },
          { src, sealed: usual.dst },
          `${length} bytes from nonce and 1`,
        );
        const other = bytes(16, 60 + length);
        const { dst, tag } = gcm(aes(key), true, other, aad, src);
        await assertBothWays(
          driver,
          { ...common, iv: other },
          { src, sealed: concat(dst, tag) },
          `${length} bytes from any J0`,
        );
      }
    }
  });
});

Deno.test("v19 line 1581: the low 32 bits of J0 wrap around without a carry", async () => {
  await withDriver("stateless", async (driver) => {
    const [key, aad, src] = [keyOf(32), bytes(20, 4), bytes(150, 5)];
    for (const low of [0xffff_ffff, 0xffff_fffe, 0xffff_fff8, 0xffff_fff5, 0]) {
      const iv = new Uint8Array(16).fill(0xff);
      new DataView(iv.buffer).setUint32(12, low);
      const { dst, tag } = gcm(aes(key), true, iv, aad, src);
      const question = { algo: w.AEAD_GCM, key, iv, aad, tagLen: 16 };
      await assertBothWays(driver, question, { src, sealed: concat(dst, tag) }, `from ${low.toString(16)} on`);
      for (const tagLen of [4, 12]) {
        const short = concat(dst, tag.subarray(0, tagLen));
        await assertBothWays(driver, { ...question, tagLen }, { src, sealed: short }, `a tag of ${tagLen} bytes`);
      }
    }
  });
});

Deno.test("v19 line 1582: CCM accepts nonces of 7 to 13 bytes, without flags and counter, and even tag lengths of 4 to 16", async () => {
  await withDriver("stateless", async (driver) => {
    const [key, aad, src] = [keyOf(24), bytes(30, 2), bytes(41, 3)];
    for (let ivLen = 0; ivLen <= 17; ivLen++) {
      for (let tagLen = 0; tagLen <= 17; tagLen++) {
        const question = { algo: w.AEAD_CCM, key, iv: bytes(ivLen, 7), aad, tagLen };
        const about = `nonce of ${ivLen}, tag of ${tagLen} bytes`;
        if (ivLen >= 7 && ivLen <= 13 && tagLen >= 4 && tagLen <= 16 && tagLen % 2 === 0) {
          const parts = { key, iv: question.iv, aad, src };
          const sealed = expected(w.SERVICE_AEAD, w.AEAD_CCM, w.OP_ENCRYPT, {
            ...parts,
            resultLen: src.length + tagLen,
          });
          await assertBothWays(driver, question, { src, sealed }, about);
        } else {
          assertStatus(await run(driver, { ...question, src }, w.OP_ENCRYPT), w.STATUS_ERR, about);
          assertStatus(await run(driver, { ...question, src: bytes(60) }, w.OP_DECRYPT), w.STATUS_ERR, about);
        }
      }
    }
  });
});

Deno.test("v19 line 1582: CCM with a nonce of 13 bytes has a 2-byte length field: at most 65535 bytes of data", async () => {
  await withDriver("stateless", async (driver) => {
    for (
      const [ivLen, length, status] of [
        [13, 65535, w.STATUS_OK],
        [13, 65536, w.STATUS_ERR],
        [12, 65536, w.STATUS_OK],
      ] as const
    ) {
      const question = { algo: w.AEAD_CCM, key: keyOf(16), iv: bytes(ivLen), aad: bytes(3), tagLen: 8 };
      const src = bytes(length, 6);
      const sealed = await run(driver, { ...question, src }, w.OP_ENCRYPT, { guards: false });
      assertStatus(sealed, status, `nonce of ${ivLen}, ${length} bytes`);
      if (status !== w.STATUS_OK) continue;
      const opened = await run(driver, { ...question, src: sealed.dst }, w.OP_DECRYPT, { guards: false });
      assertEquals(opened.dst.findIndex((byte, i) => byte !== src[i]), -1);
    }
  });
});

Deno.test("v19 line 1593: tag lengths: GCM 4, 8 and 12 to 16 bytes (SP 800-38D), ChaCha20-Poly1305 all 16 with 12 of nonce", async () => {
  await withDriver("stateless", async (driver) => {
    const [aad, src] = [bytes(5, 2), bytes(33, 3)];
    for (const tagLen of [...Array(18).keys(), 32, 255]) {
      const question = { algo: w.AEAD_GCM, key: keyOf(16), iv: bytes(12), aad, tagLen };
      if ([4, 8, 12, 13, 14, 15, 16].includes(tagLen)) {
        const parts = { key: question.key, iv: question.iv, aad, src };
        const sealed = expected(w.SERVICE_AEAD, w.AEAD_GCM, w.OP_ENCRYPT, { ...parts, resultLen: src.length + tagLen });
        await assertBothWays(driver, question, { src, sealed }, `a tag of ${tagLen} bytes`);
      } else {
        assertStatus(await run(driver, { ...question, src }, w.OP_ENCRYPT), w.STATUS_ERR, `GCM, tag of ${tagLen}`);
        assertStatus(
          await run(driver, { ...question, src: bytes(300) }, w.OP_DECRYPT),
          w.STATUS_ERR,
          `GCM, tag of ${tagLen}`,
        );
        const fromJ0 = { ...question, iv: bytes(16) };
        assertStatus(
          await run(driver, { ...fromJ0, src }, w.OP_ENCRYPT),
          w.STATUS_ERR,
          `GCM from J0, tag of ${tagLen}`,
        );
      }
    }
    for (const [ivLen, tagLen] of [[12, 16], [12, 15], [12, 12], [12, 0], [12, 17], [8, 16], [16, 16]] as const) {
      const question = { algo: w.AEAD_CHACHA20_POLY1305, key: keyOf(32), iv: bytes(ivLen), aad, tagLen };
      const status = ivLen === 12 && tagLen === 16 ? w.STATUS_OK : w.STATUS_ERR;
      assertStatus(await run(driver, { ...question, src }, w.OP_ENCRYPT), status, `ChaCha20, ${ivLen} and ${tagLen}`);
    }
  });
});

Deno.test("v19 line 1593: a request's tag_len applies; if it is 0, the session's does", async () => {
  await withDriver("fixed", async (driver) => {
    const sample = aeadSample();
    // Drivers that do not know tag_len of a request set it to 0, and have a buffer for the session's tag.
    const zero = await ask(driver, sample, { tagLen: 0, claims: { dstDataLen: sample.dst.length } });
    assertStatus(zero, w.STATUS_OK);
    assertEquals(zero.dst, sample.dst);
    const shorter = await ask(driver, sample, { tagLen: 12 });
    assertEquals(shorter.dst, sample.dst.slice(0, sample.dst.length - 4));
    const open = aeadSample(w.OP_DECRYPT);
    const opened = await ask(driver, open, { tagLen: 0, claims: { dstDataLen: open.dst.length } });
    assertStatus(opened, w.STATUS_OK);
    assertEquals(opened.dst, open.dst);
    const none = { ...sample, session: { ...sample.session, tagLen: 0 } as AeadSession };
    const claims = { dstDataLen: sample.dst.length };
    assertStatus(await ask(driver, none, { tagLen: 0, claims }), w.STATUS_ERR, "no tag_len anywhere");
    assertStatus(await ask(driver, none), w.STATUS_OK, "the request's alone");
  });
});

Deno.test("v19 line 1587: an aad_len of the session, unless 0, has to be the request's", async () => {
  for (const mode of ["fixed", "mux"] as const) {
    await withDriver(mode, async (driver) => {
      const sample = aeadSample();
      for (
        const [aadLen, status] of [
          [0, w.STATUS_OK],
          [21, w.STATUS_OK],
          [20, w.STATUS_ERR],
        ] as const
      ) {
        const session = { ...sample.session, aadLen } as AeadSession;
        assertStatus(await ask(driver, { ...sample, session }), status, `aad_len ${aadLen}`);
      }
      // No request could have so much.
      const session = { ...sample.session, aadLen: 0xffff_ffff } as AeadSession;
      assertStatus(await driver.tryCreateSession(session), w.STATUS_ERR);
    });
  }
});

Deno.test("v19 line 1590: decryption: the tag is at the end of the source, and the destination needs the plaintext's length only", async () => {
  for (const mode of ["fixed", "mux", "stateless"] as const) {
    await withDriver(mode, async (driver) => {
      const put = mode === "stateless" ? askStateless : ask;
      const sample = aeadSample(w.OP_DECRYPT);
      const exact = await put(driver, sample);
      assertEquals(exact, { status: w.STATUS_OK, dst: sample.dst, result: new Uint8Array(), usedLen: 51 });
      // A destination as long as the text requires: the bytes after the plaintext do not change.
      const large = await put(driver, sample, { claims: { dstDataLen: 50 + 16 + 16 } });
      assertStatus(large, w.STATUS_OK);
      assertEquals(large.dst, concat(sample.dst, new Uint8Array(32).fill(0xee)));
      assertStatus(await put(driver, sample, { claims: { dstDataLen: 49 } }), w.STATUS_ERR, "no room");
      for (const length of [0, 1, 15]) {
        const changes = { src: bytes(length), claims: { dstDataLen: 100 } };
        assertStatus(await put(driver, sample, changes), w.STATUS_ERR, `a source of ${length} bytes has no tag`);
      }
    });
  }
});

Deno.test("v19 line 569: after a wrong tag no plaintext is left, in place or not, in any descriptor layout", async () => {
  await withDriver("stateless", async (driver) => {
    let count = 0;
    const [aad, src] = [bytes(9, 2), bytes(300, 3)];
    for (
      const [algo, ivLen, keyLen] of [
        [w.AEAD_GCM, 12, 16],
        [w.AEAD_GCM, 16, 32],
        [w.AEAD_GCM, 20, 24],
        [w.AEAD_CCM, 11, 16],
        [w.AEAD_CHACHA20_POLY1305, 12, 32],
      ] as const
    ) {
      const question = { algo, key: keyOf(keyLen), iv: bytes(ivLen, 8), aad, tagLen: 16 };
      const { dst: sealed } = await run(driver, { ...question, src }, w.OP_ENCRYPT);
      assertEquals(sealed.length, 316);
      for (const at of [0, 150, 299, 300, 315]) {
        const broken = sealed.slice();
        broken[at]! ^= 0x80;
        for (const split of ["one", "fields", "bytes", "random"] as const) {
          for (const inPlace of [false, true]) {
            const result = await run(driver, { ...question, src: broken }, w.OP_DECRYPT, { split, inPlace, seed: at });
            assertStatus(result, w.STATUS_BADMSG, `AEAD ${algo}, ${split}, byte ${at}`);
            assert(result.dst.every((byte) => byte === 0), `AEAD ${algo}, ${split}: something is left`);
            count++;
          }
        }
      }
      // The session's context works correctly afterwards.
      assertStatus(await run(driver, { ...question, src: sealed }, w.OP_DECRYPT), w.STATUS_OK);
    }
    assertEquals(count, 200);
  });
});
