/**
 * Hand-made requests of draft v5: each is described by the fields of its structure, and its buffers may be at any guest
 * address. Written from the text, without the driver's encoder.
 *
 * @module
 */
import type { CryptoDriver, CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import type { Segment } from "../../src/driver/guest_memory.ts";
import type { ChainLayout } from "../../src/driver/queue.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";

/** Rings and requests; two adjacent regions; one above 4 GiB, the last. */
export const RINGS = 0x1000_0000;
export const PAIR = 0x2000_0000;
export const PAIR_BORDER = 0x2001_0000;
export const HIGH = 0x1_4000_0000;
export const HIGH_END = 0x1_4001_0000;
const REGIONS = [
  { guestAddress: RINGS, sizeBytes: 1 << 20 },
  { guestAddress: PAIR, sizeBytes: 1 << 16 },
  { guestAddress: PAIR_BORDER, sizeBytes: 1 << 16 },
  { guestAddress: HIGH, sizeBytes: 1 << 16 },
];
/** Options of a driver with these regions. */
export const DRIVER: CryptoDriverOptions = { draft: "v5", regions: REGIONS, ringRegion: 0 };

export const KEY: Uint8Array<ArrayBuffer> = new Uint8Array(16).map((_, i) => 5 * i + 1);
export const AUTH_KEY: Uint8Array<ArrayBuffer> = new Uint8Array(20).map((_, i) => 100 + i);
export const SRC: Uint8Array<ArrayBuffer> = new Uint8Array(48).map((_, i) => 3 * i);
export const AAD: Uint8Array<ArrayBuffer> = new Uint8Array(24).map((_, i) => 200 - i);
const IV = new Uint8Array(16).fill(7);

export const SESSIONS = {
  cipher: { service: "cipher", algo: w.CIPHER_AES_CBC, key: KEY, op: w.OP_ENCRYPT },
  hash: { service: "hash", algo: w.HASH_SHA_256, hashResultLen: 32 },
  mac: { service: "mac", algo: w.MAC_HMAC_SHA1, hashResultLen: 20, authKey: AUTH_KEY },
  aead: { service: "aead", algo: w.AEAD_GCM, key: KEY, tagLen: 16, op: w.OP_ENCRYPT },
  opened: { service: "aead", algo: w.AEAD_GCM, key: KEY, tagLen: 16, op: w.OP_DECRYPT },
  chain: {
    service: "chain",
    algChainOrder: w.CHAIN_CIPHER_THEN_HASH,
    hashMode: w.HASH_MODE_AUTH,
    cipherAlgo: w.CIPHER_AES_CBC,
    cipherKey: KEY,
    op: w.OP_ENCRYPT,
    hashAlgo: w.MAC_HMAC_SHA1,
    hashResultLen: 20,
    authKey: AUTH_KEY,
  },
} as const satisfies Record<string, SessionParameters>;

/** A buffer of a request. */
export interface Buffer {
  readonly name: string;
  /** Offset of its address in the structure. */
  readonly at: number;
  /** The contents before the request; for a buffer that the device writes, only the length is used. */
  readonly bytes: Uint8Array;
  readonly isWritten: boolean;
}

/** A request of the draft. */
export interface Request {
  readonly name: string;
  readonly isControl: boolean;
  /** The session that a data request uses. */
  readonly session?: keyof typeof SESSIONS;
  /** le32 fields, by offset. */
  readonly words: Readonly<Record<number, number>>;
  readonly buffers: readonly Buffer[];
  readonly statusAt: number;
}

const reads = (name: string, at: number, bytes: Uint8Array): Buffer => ({ name, at, bytes, isWritten: false });
const writes = (name: string, at: number, length: number): Buffer => ({
  name,
  at,
  bytes: new Uint8Array(length),
  isWritten: true,
});

/** AES-128-GCM of SRC with AAD under KEY and the IV of these requests. */
export async function sealed(): Promise<{ text: Uint8Array; tag: Uint8Array }> {
  const key = await crypto.subtle.importKey("raw", KEY, "AES-GCM", false, ["encrypt"]);
  const options = { name: "AES-GCM", iv: IV.slice(0, 12), additionalData: AAD, tagLength: 128 };
  const bytes = new Uint8Array(await crypto.subtle.encrypt(options, key, SRC));
  return { text: bytes.slice(0, 48), tag: bytes.slice(48) };
}

/** Requests to create sessions with keys at addresses. */
const CONTROL_REQUESTS: readonly Request[] = [
  {
    name: "CIPHER create",
    isControl: true,
    words: { 0: 0x0002, 4: 3, 16: 3, 20: 16, 24: 1, 96: 1 },
    buffers: [reads("key", 32, KEY)],
    statusAt: 48,
  },
  {
    name: "CHAIN create",
    isControl: true,
    words: { 0: 0x0002, 16: 2, 20: 2, 24: 3, 28: 16, 32: 1, 40: 2, 44: 20, 48: 20, 96: 2 },
    buffers: [reads("key", 64, KEY), reads("auth_key", 72, AUTH_KEY)],
    statusAt: 88,
  },
  {
    name: "MAC create",
    isControl: true,
    words: { 0: 0x0202, 16: 2, 20: 20, 24: 20 },
    buffers: [reads("auth_key", 32, AUTH_KEY)],
    statusAt: 48,
  },
  {
    name: "AEAD create",
    isControl: true,
    words: { 0: 0x0302, 16: 1, 20: 16, 24: 16, 32: 1 },
    buffers: [reads("key", 40, KEY)],
    statusAt: 56,
  },
];

/** Data requests of all services but AEAD. */
const DATA_REQUESTS: readonly Request[] = [
  {
    name: "CIPHER",
    isControl: false,
    session: "cipher",
    words: { 0: 0x0000, 24: 16, 28: 48, 32: 48, 96: 1 },
    buffers: [reads("iv", 40, IV), reads("src", 48, SRC), writes("dst", 56, 48)],
    statusAt: 72,
  },
  {
    name: "CHAIN",
    isControl: false,
    session: "chain",
    words: { 0: 0x0000, 24: 16, 28: 48, 32: 48, 64: 24, 96: 2 },
    buffers: [
      reads("iv", 40, IV),
      reads("src", 48, SRC),
      reads("aad", 56, AAD),
      writes("dst", 72, 48),
      writes("digest", 80, 20),
    ],
    statusAt: 88,
  },
  {
    name: "HASH",
    isControl: false,
    session: "hash",
    words: { 0: 0x0100, 32: 48 },
    buffers: [reads("src", 24, SRC), writes("digest", 48, 32)],
    statusAt: 56,
  },
  {
    name: "MAC",
    isControl: false,
    session: "mac",
    words: { 0: 0x0200, 32: 48 },
    buffers: [reads("src", 24, SRC), writes("digest", 48, 20)],
    statusAt: 56,
  },
];

/** A request of every structure that has addresses: 22 fields, of which a decryption has five for a second time. */
export async function allRequests(): Promise<Request[]> {
  const { text, tag } = await sealed();
  const aead = { 24: 12, 28: 24, 32: 48, 36: 48 };
  return [
    ...CONTROL_REQUESTS,
    ...DATA_REQUESTS,
    {
      name: "AEAD encryption",
      isControl: false,
      session: "aead",
      words: { 0: 0x0300, ...aead },
      buffers: [
        reads("iv", 40, IV.subarray(0, 12)),
        reads("src", 48, SRC),
        reads("aad", 56, AAD),
        writes("dst", 64, 48),
        writes("digest", 72, 16),
      ],
      statusAt: 80,
    },
    {
      name: "AEAD decryption",
      isControl: false,
      session: "opened",
      words: { 0: 0x0301, ...aead },
      buffers: [
        reads("iv", 40, IV.subarray(0, 12)),
        reads("src", 48, text),
        reads("aad", 56, AAD),
        writes("dst", 64, 48),
        reads("digest", 72, tag),
      ],
      statusAt: 80,
    },
  ];
}

/** The structure of `request` with `sessionId` and the addresses of its buffers, by name. */
export function imageOf(
  request: Request,
  sessionId: number,
  addresses: ReadonlyMap<string, bigint>,
): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(104);
  const view = new DataView(image.buffer);
  for (const [offset, value] of Object.entries(request.words)) view.setUint32(Number(offset), value, true);
  if (!request.isControl) view.setBigUint64(8, BigInt(sessionId), true);
  for (const { name, at } of request.buffers) view.setBigUint64(at, addresses.get(name)!, true);
  // Buffers that the device writes have other contents before.
  view.setUint32(request.statusAt, 0xeeee_eeee, true);
  if (request.isControl) view.setBigUint64(request.statusAt - 8, 0xeeee_eeee_eeee_eeeen, true);
  return image;
}

/** The outcome of a request. */
export interface Outcome {
  readonly usedLen: number;
  readonly status: number;
  /** The structure afterwards. */
  readonly image: Uint8Array<ArrayBuffer>;
}

/** A driver of v5 for hand-made requests. */
export class Guest {
  readonly driver: CryptoDriver;
  readonly #sessions = new Map<string, number>();
  readonly #controlRing: number;

  constructor(driver: CryptoDriver) {
    this.driver = driver;
    this.#controlRing = driver.config!.maxDataqueues;
  }

  /** The session that `request` uses; 0 for a control request. */
  async sessionOf({ session }: Request): Promise<number> {
    if (session === undefined) return 0;
    let id = this.#sessions.get(session);
    if (id === undefined) this.#sessions.set(session, id = await this.driver.createSession(SESSIONS[session]));
    return id;
  }

  /** Addresses of the buffers in the region above 4 GiB, all odd. */
  usualAddresses(request: Request): Map<string, bigint> {
    return new Map(request.buffers.map(({ name }, i) => [name, BigInt(HIGH + 0x1001 + 0x1000 * i)]));
  }

  /** Fills the buffers that are in guest memory. */
  fill(request: Request, addresses: ReadonlyMap<string, bigint>): void {
    for (const { name, bytes, isWritten } of request.buffers) {
      const address = Number(addresses.get(name));
      if (!this.#isMapped(address, bytes.length)) continue;
      this.driver.memory.write(address, isWritten ? new Uint8Array(bytes.length).fill(0xee) : bytes);
    }
  }

  #isMapped(address: number, length: number): boolean {
    const end = address + length;
    return [[PAIR, PAIR_BORDER + 0x1_0000], [HIGH, HIGH_END], [RINGS, RINGS + (1 << 20)]].some(([from, to]) =>
      address >= from! && end <= to!
    );
  }

  /** Submits `image`, by default in one writable buffer; `cut` makes the buffers of it. */
  async submit(
    { isControl, statusAt }: Request,
    image: Uint8Array,
    cut: (whole: Segment) => { readable: Segment[]; writable: Segment[] } = (whole) => ({
      readable: [],
      writable: [whole],
    }),
    { queue = 0, chain }: { readonly queue?: number; readonly chain?: ChainLayout } = {},
  ): Promise<Outcome> {
    const block = this.driver.memory.alloc(image.length, { region: 0 });
    block.bytes.set(image);
    const whole = { guestAddress: block.guestAddress, sizeBytes: image.length };
    const { readable, writable } = cut(whole);
    const ring = isControl ? this.#controlRing : queue;
    const usedLen = await this.driver.submitSegments(ring, readable, writable, chain);
    const after = block.bytes.slice(0, image.length);
    this.driver.memory.free(block);
    const status = after.length < statusAt + 4 ? -1 : new DataView(after.buffer).getUint32(statusAt, true);
    return { usedLen, status, image: after };
  }

  /** Fills the buffers at `addresses`, submits `request`, and reads what was written. */
  async ask(
    request: Request,
    addresses: ReadonlyMap<string, bigint> = this.usualAddresses(request),
  ): Promise<Outcome & { written: string }> {
    const sessionId = await this.sessionOf(request);
    this.fill(request, addresses);
    const outcome = await this.submit(request, imageOf(request, sessionId, addresses));
    return { ...outcome, written: this.written(request, addresses) };
  }

  /** The contents of the buffers that the device writes. */
  written(request: Request, addresses: ReadonlyMap<string, bigint>): string {
    const texts = request.buffers.filter(({ isWritten }) => isWritten).map(({ name, bytes }) => {
      const address = Number(addresses.get(name));
      return this.#isMapped(address, bytes.length)
        ? this.driver.memory.read(address, bytes.length).toHex()
        : "unmapped";
    });
    return texts.join(" ");
  }

  /** A copy of all memory except that of rings and requests. */
  dataMemory(): Uint8Array[] {
    return this.driver.memory.regions.slice(1).map(({ bytes }) => bytes.slice());
  }
}
