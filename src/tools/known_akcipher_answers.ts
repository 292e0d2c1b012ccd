/**
 * Known answers of the ratified asymmetric service, with which `probe` and `demo` check a device. The values are
 * published ones; for raw operations, PKCS #1's padding is applied to them.
 *
 * @module
 */
import * as ak from "../wire/akcipher.ts";
import * as w from "../wire/virtio_crypto.ts";
import type { AkcipherSession } from "../driver/sessions.ts";

/** One operation with its result. */
export interface AkcipherCase {
  readonly session: AkcipherSession;
  /** AKCIPHER_ENCRYPT, AKCIPHER_DECRYPT, AKCIPHER_SIGN or AKCIPHER_VERIFY. */
  readonly opcode: number;
  /** The source data; for AKCIPHER_VERIFY, the signature. */
  readonly src: Uint8Array<ArrayBuffer>;
  /** AKCIPHER_VERIFY only: the digest that was signed. */
  readonly digest?: Uint8Array<ArrayBuffer>;
  /** The result; empty for AKCIPHER_VERIFY, which has only a status. */
  readonly dst: Uint8Array<ArrayBuffer>;
}

/** The operations that check an algorithm with one padding or curve. */
export interface AkcipherAnswer {
  readonly service: "akcipher";
  /** The algorithm's number. */
  readonly algo: number;
  /** Its name. */
  readonly name: string;
  /** The document with the answers. */
  readonly source: string;
  /** The operations, the simplest first. */
  readonly cases: readonly AkcipherCase[];
}

function bytes(hexDigits: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(hexDigits);
}

const NOTHING = new Uint8Array();

/** RFC 7515, A.2: an RSA key of 2048 bits as RSAPrivateKey, a SHA-256 digest, and its signature. */
const RSA_PRIVATE: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(
  "MIIEowIBAAKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt" +
    "0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUs" +
    "LA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/" +
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQABAoIBABKucaRpzQorw35SbEUAVx8dYXUdZOlJcHtiWQ+dC6V8ljxA" +
    "Hj/PLyzTveyI5QO/xkObCyjIL303l2cfUhPu2MFaJdjVzqACXuOrLot/eSFvxjvqVidTtAZExqFRJ9mylUVAoLvhowVWmC1On95fZCXx" +
    "TUtxNEG1Xcc7m0rtzJKs45J+N/V9DP1edYH6USyPSWGp6wuA+KgHRnKKVf9GRx80JQY7nVNkL17eHoTWEwga+lwi0FEoW9Y7lDtWXYmK" +
    "BWhUE+U8PGxlJf8f40493HDw1WRQ/aSLoS4QTp3rn7gYgeHEvfJdkkf0UMhlknlo53M09EFPdadQ4TlUbjqKc50CgYEA4BzEEOtIpmVd" +
    "VEZNCqS7baC4crd0pqnRH/5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw/Py5PJdTJNPY8cQn7ouZ2KKDcmnPG" +
    "BY5t7yLc1QlQ5xHdwW1VhvKn+nXqhJTBgIPgtldC+KDV5z+y2XDwGUcCgYEAuQPEfgmVtjL0Uyyx88GZFF1fOunH3+7cepKmtH4pxhtC" +
    "oHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD/YwD66t62wDmpe/HlB+TnBA+njbglfIsRLtXlnDzQkv5dTltRJ11BKB" +
    "BypeeF6689rjcJIDEz9RWdcCgYAHAp9XcCSrn8wVkMVkKdb7DOX4IKjzdahm+ctDAJN4O/y7OW5FKebvUjdAIt2GuoTZ71iTG+7F0F+l" +
    "P88jtjP4U4qe7VHoewl4MKOfXZKTe+YCS1XbNvfgwJ3Ltyl1OH9hWvu2yza7q+d5PCsDzqtm27kxuvULVeya+TEdAB1ijQKBgQCH/3r6" +
    "YrVH/uCWGy6bzV1nGNOdjKc9tmkfOJmN54dxdixdpozCQ6U4OxZrsj3FcOhHBsqAHvX2uuYjagqvo3cOj1TRqNocX40omfCCMx3bD1yP" +
    "Pf/6TI2XECva/ggqEY2mYzmIiA5LVVmc5nrybr+lssFKneeyxN2Wq93S0iJMdQKBgCGHewxzoa1r8ZMD0LETNrToK423K377UCYqXfg5" +
    "XMclbrjPbEC3YI1ZNqMtuhdBJqUnBi6tjKMF+34Xf0CUN8ncuXGO2CAYvO8PdyCixHX52ybaDjy1FtCE6yUXjoKNXKvUm7MWGsAYH6f4" +
    "IegOetN5NvmUMFStCSkh7ixZLkN1",
);
const RSA_SIGNATURE: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(
  "cC4hiUPoj9Eetdgtv3hF80EGrhuB//dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh+0Qc/lF5YKt/O8W2Fp5jujGbds9uJdb" +
    "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB++f/nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB/eSN9383" +
    "LcOLn6/dO++xi12jzDwusC+eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy" +
    "wlVmtVrBp0igcN/IoypGlUPQGe77Rw==",
);
const RSA_DIGEST = bytes("c88a34847b4ffb12a9326e540f144b3dcc4d5515f18701e7d6e0ee7866c9c705");
/** RSAPublicKey has only modulus and exponent, which follow head and version in the private key. */
const RSA_PUBLIC = Uint8Array.of(...bytes("3082010a"), ...RSA_PRIVATE.slice(7, 7 + 261 + 5));
/** RFC 8017, 9.2: the digest, preceded by its algorithm and padded to the length of the modulus. */
const DIGEST_INFO = Uint8Array.of(...bytes("3031300d060960864801650304020105000420"), ...RSA_DIGEST);
const PADDED = Uint8Array.of(0, 1, ...new Array(256 - 3 - DIGEST_INFO.length).fill(0xff), 0, ...DIGEST_INFO);

function rsa(keyType: number, padding: number, hash: number): AkcipherSession {
  const key = keyType === ak.AKCIPHER_KEY_PRIVATE ? RSA_PRIVATE : RSA_PUBLIC;
  return { service: "akcipher", algo: ak.AKCIPHER_RSA, keyType, key, para0: padding, para1: hash };
}

function changed(signature: Uint8Array): Uint8Array<ArrayBuffer> {
  const forged = signature.slice();
  forged[forged.length - 1]! ^= 1;
  return forged;
}

/** A valid signature; {@linkcode forgedFrom} makes a forged one from it. */
function verification(session: AkcipherSession, src: Uint8Array<ArrayBuffer>, digest: Uint8Array<ArrayBuffer>) {
  return { session, opcode: w.AKCIPHER_VERIFY, src, digest, dst: NOTHING };
}

/** The same verification of a forged signature, which must be rejected; undefined for other operations. */
export function forgedFrom(testCase: AkcipherCase): AkcipherCase | undefined {
  return testCase.opcode === w.AKCIPHER_VERIFY ? { ...testCase, src: changed(testCase.src) } : undefined;
}

const RSA_PKCS1: AkcipherAnswer = {
  service: "akcipher",
  algo: ak.AKCIPHER_RSA,
  name: "RSA PKCS1 SHA256",
  source: "RFC 7515 A.2",
  cases: [
    verification(rsa(ak.AKCIPHER_KEY_PUBLIC, ak.RSA_PKCS1_PADDING, ak.RSA_SHA256), RSA_SIGNATURE, RSA_DIGEST),
    {
      session: rsa(ak.AKCIPHER_KEY_PRIVATE, ak.RSA_PKCS1_PADDING, ak.RSA_SHA256),
      opcode: w.AKCIPHER_SIGN,
      src: RSA_DIGEST,
      dst: RSA_SIGNATURE,
    },
  ],
};

const RSA_RAW: AkcipherAnswer = {
  service: "akcipher",
  algo: ak.AKCIPHER_RSA,
  name: "RSA raw",
  source: "RFC 7515 A.2, RFC 8017 9.2",
  cases: [
    {
      session: rsa(ak.AKCIPHER_KEY_PRIVATE, ak.RSA_RAW_PADDING, ak.RSA_NO_HASH),
      opcode: w.AKCIPHER_DECRYPT,
      src: PADDED,
      dst: RSA_SIGNATURE,
    },
    {
      session: rsa(ak.AKCIPHER_KEY_PUBLIC, ak.RSA_RAW_PADDING, ak.RSA_NO_HASH),
      opcode: w.AKCIPHER_ENCRYPT,
      src: RSA_SIGNATURE,
      dst: PADDED,
    },
  ],
};

/** RFC 6979, A.2.5, SHA-256 of "sample": the public point, r and s, and the digest. */
const EC_POINT = bytes(
  "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6" +
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
);
const EC_SIGNATURE = bytes(
  "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" +
    "022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
);
const EC_DIGEST = bytes("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf");

function ecdsa(algo: number, name: string): AkcipherAnswer {
  const keyType = ak.AKCIPHER_KEY_PUBLIC;
  const session: AkcipherSession = { service: "akcipher", algo, keyType, key: EC_POINT, para0: ak.CURVE_NIST_P256 };
  const cases = [verification(session, EC_SIGNATURE, EC_DIGEST)];
  return { service: "akcipher", algo, name, source: "RFC 6979 A.2.5", cases };
}

/** All answers, in the order of algorithm numbers. ECDSA has two numbers; see {@linkcode ak.AKCIPHER_ECDSA}. */
export const AKCIPHER_ANSWERS: readonly AkcipherAnswer[] = [
  RSA_PKCS1,
  RSA_RAW,
  ecdsa(ak.AKCIPHER_ECDSA, "ECDSA P-256"),
  ecdsa(ak.AKCIPHER_ECDSA_UAPI, "ECDSA P-256 (3)"),
];
