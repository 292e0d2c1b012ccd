/**
 * Keys made by an independent implementation, in the forms that drivers send them in.
 *
 * @module
 */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { concat } from "../bytes.ts";
import { base64url, hex } from "./rfc3_requests.ts";

/** A pair of keys: as objects of the other implementation, and as DER. */
export interface Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly privateDer: Uint8Array;
  readonly publicDer: Uint8Array;
}

/** An RSA key of `modulusLength` bits. */
export function rsaPair(modulusLength: number): Pair {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength });
  const privateDer = new Uint8Array(privateKey.export({ type: "pkcs1", format: "der" }));
  const publicDer = new Uint8Array(publicKey.export({ type: "pkcs1", format: "der" }));
  return { privateKey, publicKey, privateDer, publicDer };
}

/** The numbers of an RSA key, by their names in a JWK. */
export function rsaNumbers(key: KeyObject): Record<"n" | "e" | "d" | "p" | "q" | "dp" | "dq" | "qi", Uint8Array> {
  const jwk = key.export({ format: "jwk" }) as Record<string, string>;
  return Object.fromEntries(
    ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map((name) => [name, base64url(jwk[name])]),
  ) as ReturnType<typeof rsaNumbers>;
}

/** A key on a named curve; the public DER is the bare point. */
export function ecPair(namedCurve: string, coordinateBytes: number): Pair {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve });
  const privateDer = new Uint8Array(privateKey.export({ type: "sec1", format: "der" }));
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  return { privateKey, publicKey, privateDer, publicDer: spki.slice(spki.length - 2 * coordinateBytes - 1) };
}

/** A DER element; lengths below 64 KiB. */
export function element(tag: number, ...parts: Uint8Array[]): Uint8Array {
  const content = concat(...parts);
  const { length } = content;
  const head = length < 128
    ? [tag, length]
    : length < 256
    ? [tag, 0x81, length]
    : [tag, 0x82, length >> 8, length & 0xff];
  return concat(Uint8Array.from(head), content);
}

/** A DER INTEGER. */
export function integer(number: Uint8Array): Uint8Array {
  return element(2, (number[0] ?? 0) >= 0x80 || number.length === 0 ? concat(hex("00"), number) : number);
}

/** An RSAPrivateKey as Linux before 6.4 tests its drivers with: "multi-prime", and zeros for all that has to do with primes. */
export function oldLinuxKey(key: KeyObject): Uint8Array {
  const { n, e, d } = rsaNumbers(key);
  const zero = integer(hex("00"));
  return element(0x30, integer(hex("01")), integer(n), integer(e), integer(d), zero, zero, zero, zero, zero);
}

/** An ECPrivateKey with nothing but the number, which is the second element of the whole one. */
export function shortEcKey(pair: Pair, coordinateBytes: number): Uint8Array {
  const at = pair.privateDer.indexOf(4) + 2;
  return element(0x30, integer(hex("01")), element(4, pair.privateDer.slice(at, at + coordinateBytes)));
}
