/**
 * The configuration space: its contents, and whether the device behaves accordingly.
 *
 * @module
 */
import type { CryptoDriver } from "../../../driver/crypto_driver.ts";
import type { CryptoConfig } from "../../../driver/config.ts";
import { offers } from "../../../driver/config.ts";
import * as vu from "../../../wire/vhost_user.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group, Needs, Reference } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectStatus, expectThat, NotApplicable } from "../expect.ts";
import { KEY_LENS, sessionFor } from "../lengths.ts";
import { algorithmMask } from "../offer.ts";
import { algorithmsOf, allSamples, bytes, cipherSample, macSample } from "../samples.ts";
import { needsOf, V19_NUMBERS } from "./needs.ts";

const SECTION = "Device configuration layout";

const NEEDS: Needs = { wholeDevice: true, protocolFeatures: [vu.PROTOCOL_F_CONFIG] };

function at(v19: number): Reference {
  return { v19, ratified: SECTION };
}

function configOf({ config }: CryptoDriver): CryptoConfig {
  if (config === undefined) throw new NotApplicable("the configuration space cannot be read");
  return config;
}

async function checkServices(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const config = configOf(driver);
  // Service 4 is not v19's: it has opcodes of its own, and checks of its own.
  for (const service of [0, 1, 2, 3, 5]) {
    const mask = BigInt(service < 4 ? algorithmMask(config, service) : 0);
    const algo = w.bitsOf(Number(mask & 0xffff_ffffn), Number(mask >> 32n))[0] ?? 1;
    const opcode = service * 256 + w.OP_CREATE_SESSION;
    context.note(`creation of a session, opcode 0x${opcode.toString(16)}, algorithm ${algo}`);
    const { status } = await driver.tryCreateSession(sessionFor(Math.min(service, 3), algo), { opcode });
    const expected = offers(config.cryptoServices, service) ? w.STATUS_OK : w.STATUS_NOTSUPP;
    expectStatus({ status }, expected, `service ${service}`);
  }
}

async function checkMasks(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const config = configOf(driver);
  for (const service of [0, 1, 2, 3]) {
    for (let algo = 0; algo < 70; algo++) {
      const session = sessionFor(service, algo);
      context.note(`creation of a session of service ${service}, algorithm ${algo}`);
      const { status, sessionId } = await driver.tryCreateSession(session);
      const isOffered = offers(algorithmMask(config, service), algo);
      const about = `service ${service}, algorithm ${algo}, which is ${isOffered ? "" : "not "}offered`;
      expectStatus({ status }, isOffered ? w.STATUS_OK : w.STATUS_NOTSUPP, about);
      if (isOffered) await driver.destroySession(session.service, sessionId);
    }
  }
}

/** Maximum size of requests that are tried, in bytes. */
const MAX_SIZE_TRIED = 40 * 1024 * 1024;

async function checkMaxSize(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const maxSize = Number(configOf(driver).maxSize ?? 0n);
  if (maxSize > MAX_SIZE_TRIED) {
    throw new NotApplicable(`max_size is ${maxSize}, and at most ${MAX_SIZE_TRIED} bytes are tried`);
  }
  const session = { service: "cipher", algo: w.CIPHER_AES_CTR, key: bytes(16), op: w.OP_ENCRYPT } as const;
  const sessionId = await driver.createSession(session);
  const iv = bytes(16);
  const src = new Uint8Array(Math.floor((maxSize - iv.length) / 2));
  const request = { sessionId, op: w.OP_ENCRYPT, iv, src };
  // Guards would compare all of the memory, which is too slow and not the purpose of this check.
  const options = { guards: false };
  context.note(`AES-CTR: an IV of 16 bytes, source and destination of ${src.length} bytes each, max_size ${maxSize}`);
  expectStatus(await driver.cipher(request, options), w.STATUS_OK, "max_size bytes");
  context.note(`the same with a destination of ${maxSize - iv.length - src.length + 1} bytes`);
  const longer = { ...request, claims: { dstDataLen: maxSize - iv.length - src.length + 1 } };
  expectStatus(await driver.cipher(longer, options), w.STATUS_ERR, "one byte more");
  await driver.destroySession("cipher", sessionId);
}

async function checkCipherKeyLen(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const config = configOf(driver);
  const { maxCipherKeyLen } = config;
  if (maxCipherKeyLen === undefined) throw new NotApplicable("this layout of the configuration has no such field");
  for (const algo of w.bitsOf(Number(config.cipherAlgo))) {
    const longest = Math.max(...KEY_LENS.get(w.SERVICE_CIPHER)?.get(algo) ?? [0]);
    expectThat(
      longest <= maxCipherKeyLen || algo === w.CIPHER_ARC4,
      `max_cipher_key_len ${maxCipherKeyLen}, although cipher ${algo}, which is offered, has keys of ${longest} bytes`,
      `at least ${longest}`,
    );
    if (longest === 0) continue;
    const session = sessionFor(w.SERVICE_CIPHER, algo, bytes(maxCipherKeyLen + 1, 12));
    context.note(`creation of a session of cipher ${algo} with a key of ${maxCipherKeyLen + 1} bytes`);
    expectStatus(await driver.tryCreateSession(session), w.STATUS_ERR, `a longer key, cipher ${algo}`);
  }
}

async function checkAuthKeyLen(context: CheckContext): Promise<void> {
  const maxAuthKeyLen = configOf(await context.driver()).maxAuthKeyLen;
  if (maxAuthKeyLen === undefined) throw new NotApplicable("this layout of the configuration has no such field");
  const sample = macSample();
  const withKey = (length: number) => ({ ...sample, session: { ...sample.session, authKey: bytes(length, 12) } });
  expectStatus(await context.ask(withKey(maxAuthKeyLen)), w.STATUS_OK, `a key of ${maxAuthKeyLen} bytes`);
  context.note(`creation of an HMAC session with a key of ${maxAuthKeyLen + 1} bytes`);
  const driver = await context.driver();
  const longer = await driver.tryCreateSession(withKey(maxAuthKeyLen + 1).session);
  expectStatus(longer, w.STATUS_ERR, "a longer key");
}

const CLAUSES: readonly Clause[] = [
  {
    id: "max-dataqueues",
    duty: "max_dataqueues is between 1 and 65535",
    reference: at(494),
    run: async (context) => {
      const { maxDataqueues } = configOf(await context.driver());
      const isGood = maxDataqueues >= 1 && maxDataqueues <= 65535;
      expectThat(isGood, `max_dataqueues ${maxDataqueues}`, "1 to 65535");
    },
  },
  {
    id: "every-queue",
    duty: "each of the max_dataqueues data queues serves requests",
    reference: at(494),
    needs: { ...NEEDS, ...needsOf(cipherSample()) },
    run: async (context) => {
      const { maxDataqueues } = configOf(await context.driver());
      const dataQueueCount = Math.min(maxDataqueues, 64);
      const driver = await context.driver({ dataQueueCount, queueSize: 16 });
      for (let queue = 0; queue < dataQueueCount; queue++) {
        expectAnswer(await context.askWith(driver, cipherSample(), {}, { queue }), cipherSample(), `queue ${queue}`);
      }
    },
  },
  {
    id: "status-ready",
    level: "SHOULD",
    duty: "status has S_HW_READY when the device is started and idle",
    reference: at(495),
    run: async (context) => {
      const { status } = configOf(await context.driver());
      expectThat((status & w.S_HW_READY) !== 0, `status ${status}`, "bit 0 set");
    },
  },
  {
    id: "status-flags",
    duty: "no undefined bit of status is set",
    reference: at(496),
    run: async (context) => {
      const { status } = configOf(await context.driver());
      expectThat((status & ~w.S_HW_READY) === 0, `status ${status}`, "no bit but bit 0");
    },
  },
  ...allSamples().map((sample): Clause => ({
    id: `accepts-${sample.name.toLowerCase()}${"op" in sample.request ? `-${sample.request.op}` : ""}`,
    duty: `a device that is ready accepts and handles requests of the service: ${sample.name}`,
    reference: at(497),
    needs: { ...NEEDS, algorithms: algorithmsOf(sample.session) },
    run: async (context) => {
      const { status } = configOf(await context.driver());
      if ((status & w.S_HW_READY) === 0) throw new NotApplicable("the device is not ready");
      expectAnswer(await context.ask(sample), sample);
    },
  })),
  {
    id: "services",
    duty: "crypto_services lists the offered services: these accept sessions, others are NOTSUPP",
    reference: at(498),
    run: checkServices,
  },
  {
    id: "masks",
    duty: "the masks list the offered algorithms: these can be used, every other number is NOTSUPP",
    reference: at(499),
    run: checkMasks,
  },
  {
    id: "defined-algorithms",
    duty: "no bit of a mask is set without an algorithm",
    reference: at(500),
    run: async (context) => {
      const { cipherAlgo, hashAlgo, macAlgo, aeadAlgo } = configOf(await context.driver());
      for (const [service, mask] of [cipherAlgo, hashAlgo, macAlgo, aeadAlgo].entries()) {
        const defined = V19_NUMBERS[service]!.reduce((bits, algo) => bits | 1n << BigInt(algo), 0n);
        expectEqual(BigInt(mask) & ~defined, 0n, `undefined bits of service ${service}`);
      }
    },
  },
  {
    id: "max-size",
    duty: "max_size is the size up to which requests are served: exactly that many bytes are, one more is ERR",
    reference: at(501),
    needs: { ...NEEDS, algorithms: [{ service: w.SERVICE_CIPHER, algo: w.CIPHER_AES_CTR }] },
    run: checkMaxSize,
  },
  {
    id: "max-cipher-key-len",
    duty: "max_cipher_key_len is the longest cipher key: no offered algorithm has longer keys, and a longer key is ERR",
    reference: at(502),
    run: checkCipherKeyLen,
  },
  {
    id: "max-auth-key-len",
    duty: "max_auth_key_len is the longest authentication key: one of that length is accepted, a longer one is ERR",
    reference: at(504),
    needs: { ...NEEDS, ...needsOf(macSample()) },
    run: checkAuthKeyLen,
  },
];

/** Device configuration layout. */
export const CONFIGURATION: Group = {
  name: "configuration",
  title: "Configuration space",
  clauses: CLAUSES.map((clause) => ({ ...clause, needs: clause.needs ?? NEEDS })),
};
