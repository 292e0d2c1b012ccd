/**
 * Limits of public-key operations, each one below, at and above it.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { generatePrimeSync } from "node:crypto";
import { AkcipherKey } from "../../src/engine/asymmetric/akcipher.ts";
import * as limits from "../../src/engine/asymmetric/limits.ts";
import * as wire from "../../src/wire/asym_rfc3.ts";
import { STATUS_BADMSG, STATUS_ERR, STATUS_NOTSUPP, STATUS_OK } from "../../src/wire/virtio_crypto.ts";
import { bytes } from "../conformance/support.ts";
import { element, integer } from "./keys.ts";
import * as request from "./rfc3_requests.ts";
import { executor, prepare } from "./support.ts";

const { run, hex } = request;
const [SIGN, VERIFY] = [wire.ASYM_SIGN, wire.ASYM_VERIFY];
const [KEYGEN, EXCHANGE] = [wire.ASYM_KEY_GEN, wire.ASYM_KEY_EXCHG];
const AROUND = [-1, 0, 1];

/** An odd number of exactly `bits` bits, none of them zero. */
function odd(bits: number): Uint8Array {
  const number = new Uint8Array(Math.ceil(bits / 8)).fill(0xff);
  number[0] = 0xff >>> (8 * number.length - bits);
  return number;
}

/** OK if a public RSA key with this modulus and exponent is taken, or the refusal. */
function publicKey(modulus: Uint8Array, exponent: Uint8Array): number {
  const key = prepare({ algo: 1, keyType: 1, para0: 1 }, element(0x30, integer(modulus), integer(exponent)));
  if (!(key instanceof AkcipherKey)) return key;
  key.free();
  return STATUS_OK;
}

/** What `of` says of a limit's neighbours. */
function around(limit: number, of: (value: number) => number): number[] {
  return AROUND.map((beyond) => of(limit + beyond));
}

Deno.test("RSA moduli: 511 and 8193 bits are refused, 512 to 8192 are not", () => {
  const of = (bits: number) => publicKey(odd(bits), hex("010001"));
  assertEquals(around(limits.RSA_MODULUS_BITS_MIN, of), [STATUS_ERR, STATUS_OK, STATUS_OK]);
  assertEquals(around(limits.RSA_MODULUS_BITS_MAX, of), [STATUS_OK, STATUS_OK, STATUS_ERR]);
});

Deno.test("RSA public exponents: 64 bits are accepted, 65 bits and the exponent 1 are not", () => {
  const of = (bits: number) => publicKey(odd(1024), odd(bits));
  assertEquals(around(limits.RSA_PUBLIC_EXPONENT_BITS_MAX, of), [STATUS_OK, STATUS_OK, STATUS_ERR]);
  assertEquals([of(1), of(2)], [STATUS_ERR, STATUS_OK]);
});

Deno.test("RFC, RSA moduli: 511 and 8193 bits are refused, 512 to 8192 are not", () => {
  const message = new Uint8Array(20).fill(5);
  const of = (bits: number): number => {
    const signature = new Uint8Array(Math.ceil(bits / 8)).fill(1);
    const made = run(VERIFY, wire.ASYM_RSA, request.rsaVerify(odd(bits), hex("010001"), 4, 1, signature, message));
    return 16 * made.status + made.second;
  };
  const [refused, looked] = [16 * STATUS_ERR + STATUS_BADMSG, STATUS_BADMSG];
  assertEquals(around(limits.RSA_MODULUS_BITS_MIN, of), [refused, looked, looked]);
  assertEquals(around(limits.RSA_MODULUS_BITS_MAX, of), [looked, looked, refused]);
});

Deno.test("RFC, bytes of a number: 2047 and 2048 are accepted, 2049 are not", () => {
  const message = new Uint8Array(20).fill(5);
  // A modulus with zeros in front.
  const of = (length: number): number => {
    const n = new Uint8Array(length);
    n.set(odd(1024), length - 128);
    const made = run(VERIFY, wire.ASYM_RSA, request.rsaVerify(n, hex("010001"), 4, 1, new Uint8Array(128), message));
    return made.status;
  };
  assertEquals(around(limits.NUMBER_BYTES_MAX, of), [STATUS_OK, STATUS_OK, STATUS_ERR]);
});

/** Runs `body` with no time for generating: what is allowed fails with ERR, what is not is still NOTSUPP. */
function withoutTime(body: () => void): void {
  executor.tools.generation.budgetMs = 0;
  try {
    body();
  } finally {
    executor.tools.generation.budgetMs = limits.GENERATION_MS_MAX;
  }
}

Deno.test("RFC, RSA keys to generate: 4096 bits are tried, eight more are not supported, nor are 504", () => {
  withoutTime(() => {
    const of = (bytes: number) => run(KEYGEN, wire.ASYM_RSA, request.rsaKeygen(bytes, 2, 1, hex("010001"))).status;
    assertEquals(around(limits.RSA_GENERATED_BITS_MAX / 8, of), [STATUS_ERR, STATUS_ERR, STATUS_NOTSUPP]);
    assertEquals(around(limits.RSA_MODULUS_BITS_MIN / 8, of)[0], STATUS_NOTSUPP);
  });
});

Deno.test("RFC, primes of an RSA key: four and five are tried, six are not supported", () => {
  withoutTime(() => {
    const of = (primes: number) => run(KEYGEN, wire.ASYM_RSA, request.rsaKeygen(512, primes, 1, hex("010001"))).status;
    assertEquals(around(limits.RSA_PRIMES_MAX, of), [STATUS_ERR, STATUS_ERR, STATUS_NOTSUPP]);
    assertEquals(around(2, of), [STATUS_NOTSUPP, STATUS_ERR, STATUS_ERR]);
  });
});

Deno.test("RFC, DSA moduli: 511 and 3073 bits are refused, 512 to 3072 are not; orders have 160, 224 or 256 bits", () => {
  const message = new Uint8Array(20).fill(5);
  const statusOf = (pBits: number, qBits: number): number => {
    // A modulus without a pattern, and an order that is a prime: then signing comes to a result in any group.
    const p = bytes(Math.ceil(pBits / 8), pBits);
    p[0] = odd(pBits)[0]!;
    p[p.length - 1]! |= 1;
    const q = new Uint8Array(generatePrimeSync(qBits));
    return run(SIGN, wire.ASYM_DSA, request.dsaSign([p, q, hex("02")], 4, hex("03"), message, 33)).status;
  };
  const of = (bits: number) => statusOf(bits, 160);
  assertEquals(around(limits.DSA_MODULUS_BITS_MIN, of), [STATUS_ERR, STATUS_OK, STATUS_OK]);
  assertEquals(around(limits.DSA_MODULUS_BITS_MAX, of), [STATUS_OK, STATUS_OK, STATUS_ERR]);
  for (const bits of limits.DSA_ORDER_BITS) {
    assertEquals(around(bits, (qBits) => statusOf(1024, qBits)), [STATUS_ERR, STATUS_OK, STATUS_ERR]);
  }
});

Deno.test("RFC, Diffie-Hellman moduli: 511 and 8193 bits are refused, 512 to 8192 are not", () => {
  const of = (bits: number) => run(EXCHANGE, wire.ASYM_DH, request.dhKeygen(odd(bits), hex("02"))).status;
  assertEquals(around(limits.DH_MODULUS_BITS_MIN, of), [STATUS_ERR, STATUS_OK, STATUS_OK]);
  assertEquals(around(limits.DH_MODULUS_BITS_MAX, of), [STATUS_OK, STATUS_OK, STATUS_ERR]);
});

Deno.test("RFC, Diffie-Hellman moduli to search for: 1024 bits are tried, eight more are not supported, nor are 504", () => {
  withoutTime(() => {
    const of = (bytes: number) => run(EXCHANGE, wire.ASYM_DH, request.dhParamGen(bytes)).status;
    assertEquals(around(limits.DH_GENERATED_BITS_MAX / 8, of), [STATUS_ERR, STATUS_ERR, STATUS_NOTSUPP]);
    assertEquals(around(limits.DH_MODULUS_BITS_MIN / 8, of)[0], STATUS_NOTSUPP);
  });
});

Deno.test("RFC, orders of curves without a name: 112 bits are accepted, 110 are not", () => {
  // SEC 2's secp112r1 and secp112r2 in another form: x is scaled by 4, y by 8, hence a by 16 and b by 64.
  const m = BigInt("0xdb7c2abf62e35e668076bead208b");
  const scaled = (x: string, y: string, a: string, b: string) =>
    [[x, 4n], [y, 8n], [a, 16n], [b, 64n]].map(([number, by]) =>
      hex((BigInt(`0x${number}`) * (by as bigint) % m).toString(16).padStart(28, "0"))
    );
  const of = (curveOf: Record<"order" | "cofactor" | "x" | "y" | "a" | "b", string>): number => {
    const { order, cofactor, x, y, a, b } = curveOf;
    const [sx, sy, sa, sb] = scaled(x, y, a, b);
    const curve = [sx!, sy!, hex(order), hex(m.toString(16)), sa!, sb!, hex(cofactor)];
    return run(KEYGEN, wire.ASYM_ECDSA, request.ecKeygen(curve, 0, 14)).status;
  };
  const first = of({
    order: "db7c2abf62e35e7628dfac6561c5",
    cofactor: "01",
    x: "09487239995a5ee76b55f9c2f098",
    y: "a89ce5af8724c0a23e0e0ff77500",
    a: "db7c2abf62e35e668076bead2088",
    b: "659ef8ba043916eede8911702b22",
  });
  const second = of({
    order: "36df0aafd8b8d7597ca10520d04b",
    cofactor: "04",
    x: "4ba30ab5e892b4e1649dd0928643",
    y: "adcd46f5882e3747def36e956e97",
    a: "6127c24c05f38a0aaaf65c0ef02c",
    b: "51def1815db5ed74fcc34c85d709",
  });
  assertEquals([first, second], [STATUS_OK, STATUS_ERR]);
});
