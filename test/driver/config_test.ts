/**
 * The configuration space in the layouts of three documents, and how the driver distinguishes them: offsets and numbers
 * are literals here, as the documents print them.
 */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type ConfigLayout, type CryptoConfig, parseConfig } from "../../src/driver/config.ts";
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { DriverError, RefusedError } from "../../src/driver/errors.ts";
import { withDevice } from "../device/harness.ts";
import { FakeBackend } from "./fake_backend.ts";

const GET_CONFIG = 24;

/** `sizeBytes` bytes with le32 at offsets. */
function space(sizeBytes: number, le32: Record<number, number>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeBytes);
  for (const [offset, value] of Object.entries(le32)) new DataView(bytes.buffer).setUint32(+offset, value, true);
  return bytes;
}

/** Status, data queues, services, ciphers, hashes and MACs, whose offsets all three layouts share. */
const COMMON = { 0: 1, 4: 2, 8: 0xf, 12: 0x7ffe, 20: 0x1ffe, 24: 0x7e, 28: 0x200 };
const COMMON_FIELDS = {
  status: 1,
  maxDataqueues: 2,
  cipherAlgo: 0x7ffen,
  hashAlgo: 0x1ffe,
  macAlgo: 0x200_0000_007en,
};
const NO_MASKS = { akcipherAlgo: 0, asymAlgo: 0, rsaPadding: 0 };

interface Space {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly config: CryptoConfig;
}

const SPACES: readonly Space[] = [
  {
    name: "v19",
    bytes: space(56, { ...COMMON, 32: 0xe, 36: 64, 40: 512, 48: 0x40_0000 }),
    config: {
      ...COMMON_FIELDS,
      ...NO_MASKS,
      layout: "ratified",
      cryptoServices: 0xf,
      aeadAlgo: 0xe,
      maxCipherKeyLen: 64,
      maxAuthKeyLen: 512,
      maxSize: 0x40_0000n,
    },
  },
  {
    name: "ratified, with key lengths that the RFC could have as masks",
    bytes: space(56, { ...COMMON, 8: 0x1f, 32: 0xe, 36: 32, 40: 32, 44: 6, 48: 0x40_0000 }),
    config: {
      ...COMMON_FIELDS,
      ...NO_MASKS,
      layout: "ratified",
      cryptoServices: 0x1f,
      aeadAlgo: 0xe,
      akcipherAlgo: 6,
      maxCipherKeyLen: 32,
      maxAuthKeyLen: 32,
      maxSize: 0x40_0000n,
    },
  },
  {
    name: "RFC v3",
    bytes: space(64, { ...COMMON, 8: 0x1f, 32: 0xe, 36: 0x3e, 40: 0x3b, 44: 64, 48: 512, 56: 0x40_0000 }),
    config: {
      ...COMMON_FIELDS,
      ...NO_MASKS,
      layout: "rfc3",
      cryptoServices: 0x1f,
      aeadAlgo: 0xe,
      asymAlgo: 0x3e,
      rsaPadding: 0x3b,
      maxCipherKeyLen: 64,
      maxAuthKeyLen: 512,
      maxSize: 0x40_0000n,
    },
  },
  {
    name: "RFC v3 without RSA, and a request size above 4 GiB",
    bytes: space(64, { ...COMMON, 8: 0x1f, 36: 0x30, 44: 32, 48: 64, 60: 1 }),
    config: {
      ...COMMON_FIELDS,
      ...NO_MASKS,
      layout: "rfc3",
      cryptoServices: 0x1f,
      aeadAlgo: 0,
      asymAlgo: 0x30,
      maxCipherKeyLen: 32,
      maxAuthKeyLen: 64,
      maxSize: 0x1_0000_0000n,
    },
  },
  {
    name: "v5",
    bytes: space(48, { ...COMMON, 40: 0xe }),
    config: {
      ...COMMON_FIELDS,
      ...NO_MASKS,
      layout: "v5",
      cryptoServices: 0xf,
      aeadAlgo: 0xe,
      maxCipherKeyLen: undefined,
      maxAuthKeyLen: undefined,
      maxSize: undefined,
    },
  },
];

/** The configuration that the driver decodes from a backend with the space `bytes`, and the sizes that it requested. */
async function read(
  bytes: Uint8Array<ArrayBuffer>,
  fillsUp: boolean,
  options: CryptoDriverOptions = {},
): Promise<{ config: CryptoConfig | undefined; sizes: number[] }> {
  const backend = new FakeBackend();
  backend.config = bytes;
  const sizes: number[] = [];
  backend.hook = ({ request, payload }) => {
    if (request !== GET_CONFIG) return undefined;
    const size = payload.length - 12;
    sizes.push(size);
    return size > bytes.length && !fillsUp ? { payload: new Uint8Array() } : undefined;
  };
  try {
    await using driver = await CryptoDriver.connect(backend.frontendFd, options);
    return { config: driver.config, sizes };
  } finally {
    await backend.close();
  }
}

for (const { name, bytes, config } of SPACES) {
  for (const fillsUp of [false, true]) {
    const how = fillsUp ? "fills up" : "refuses";
    Deno.test(`configuration of ${name}, of a backend that ${how} reads past its end`, async () => {
      assertEquals((await read(bytes, fillsUp)).config, config);
      assertEquals((await read(bytes, fillsUp, { configLayout: config.layout })).config, config);
    });
  }
}

Deno.test("56 bytes are requested once from a backend with the usual key lengths", async () => {
  assertEquals((await read(SPACES[0]!.bytes, true)).sizes, [56]);
  assertEquals((await read(SPACES[2]!.bytes, false)).sizes, [56, 64]);
  assertEquals((await read(SPACES[4]!.bytes, false)).sizes, [56, 48]);
  assertEquals((await read(SPACES[2]!.bytes, false, { configLayout: "rfc3" })).sizes, [64]);
});

Deno.test("a space that is shorter than its layout is refused", async () => {
  for (const [layout, sizeBytes] of [["ratified", 56], ["rfc3", 64], ["v5", 48]] as [ConfigLayout, number][]) {
    assertEquals(parseConfig(new Uint8Array(sizeBytes), layout).layout, layout);
    assertThrows(() => parseConfig(new Uint8Array(sizeBytes - 1), layout), DriverError, `has ${sizeBytes} bytes`);
  }
  await assertRejects(() => read(new Uint8Array(40), false), RefusedError, "GET_CONFIG of 48 bytes");
});

for (const asymmetric of ["akcipher", "rfc3", "off"] as const) {
  Deno.test(`this device's own configuration space with the asymmetric service ${asymmetric}`, () =>
    withDevice({ asymmetric }, async (device) => {
      const { layout, maxCipherKeyLen, maxAuthKeyLen, maxSize, akcipherAlgo, asymAlgo, rsaPadding } =
        (await device.connect({})).config!;
      assertEquals([maxCipherKeyLen, maxAuthKeyLen, maxSize], [64, 512, 0x40_0000n]);
      assertEquals(layout, asymmetric === "rfc3" ? "rfc3" : "ratified");
      assertEquals(akcipherAlgo, asymmetric === "akcipher" ? 0xe : 0);
      assertEquals([asymAlgo !== 0, rsaPadding !== 0], asymmetric === "rfc3" ? [true, true] : [false, false]);
    }));
}
