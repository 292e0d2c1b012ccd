/**
 * A minimal vhost-user backend to test frontend and driver without the real one: it records every message, replies as
 * the protocol requires, and serves its rings with naive devices whose cipher is an exclusive or.
 */
import { closeFd, drainEventFd, signalEventFd } from "../../src/os/event_fd.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { type Mapping, mapShared, unmap } from "../../src/os/memory_map.ts";
import { FdSocket, unixSocketPair } from "../../src/os/unix_socket.ts";
import { type Answer, type Bytes, type NaiveDevice, NaivePacked, NaiveSplit, type Part } from "./naive_device.ts";

/** A received message. */
export interface ReceivedMessage {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly fdCount: number;
}

interface FakeRing {
  size: number;
  base: number;
  desc: number;
  driver: number;
  device: number;
  kickFd: number;
  callFd: number;
  errFd: number;
  naive?: NaiveDevice;
}

/** The fake cipher is an exclusive or of every byte with this. */
export const SCRAMBLE = 0x5a;

const OWN_REPLIES = new Set([1, 6, 11, 15, 17, 24, 26, 31, 36, 40]);

/** The backend. A test may change its fields while it runs. */
export class FakeBackend {
  /** The frontend's end. */
  readonly frontendFd: number;
  readonly heard: ReceivedMessage[] = [];
  features = 1n << 28n | 1n << 29n | 1n << 30n | 1n << 32n | 1n;
  protocolFeatures = 1n << 0n | 1n << 3n | 1n << 7n | 1n << 9n | 1n << 13n | 1n << 15n;
  config = new Uint8Array(56);
  /** Replies to messages instead of the backend; undefined leaves the reply to the backend. */
  hook: (
    message: ReceivedMessage,
  ) => { flags?: number; request?: number; payload?: Uint8Array } | "nothing" | undefined = () => undefined;
  /** Rings whose requests are not served. */
  readonly stuck: Set<number> = new Set();
  /** Changes a result before the chain is returned. */
  tamper: (parts: readonly Part[], bytes: Bytes, length: number) => number = (_parts, _bytes, length) => length;
  acknowledged = 0n;
  readonly #loop = new EventLoop();
  readonly #socket: FdSocket;
  readonly #rings = new Map<number, FakeRing>();
  readonly #mappings: { guestAddress: number; userAddress: number; sizeBytes: number; mapping: Mapping }[] = [];
  readonly #running: Promise<void>;
  #received: number[] = [];
  #fds: number[] = [];
  #nextSession = 1;

  constructor() {
    const [here, there] = unixSocketPair();
    this.frontendFd = there;
    this.#socket = new FdSocket(here);
    new DataView(this.config.buffer).setUint32(0, 1, true);
    new DataView(this.config.buffer).setUint32(4, 2, true);
    this.#loop.watch(here, () => this.#listen());
    this.#running = this.#loop.run();
  }

  /** Closes the socket and frees everything. */
  async close(): Promise<void> {
    this.#loop.stop();
    await this.#running;
    for (const ring of this.#rings.values()) [ring.kickFd, ring.callFd, ring.errFd].forEach(closeFd);
    this.#loop.close();
    this.hangUp();
    for (const { mapping } of this.#mappings) unmap(mapping);
  }

  #hungUp = false;
  /** Closes the socket only. */
  hangUp(): void {
    if (this.#hungUp) return;
    this.#hungUp = true;
    this.#loop.unwatch(this.#socket.fd);
    this.#socket.close();
  }

  /** Signals that ring `index` is broken. */
  signalError(index: number): void {
    signalEventFd(this.#rings.get(index)!.errFd);
  }

  /** Serves ring `index` at once, as a device in another process may. */
  serveNow(index: number): void {
    this.#serve(index);
  }

  /** Number of chains received on ring `index`. */
  taken(index: number): number {
    return this.#rings.get(index)!.naive!.taken;
  }

  /** The message numbers received so far. */
  get requests(): number[] {
    return this.heard.map((message) => message.request);
  }

  #listen(): void {
    const chunk = new Uint8Array(4096);
    const received = this.#socket.receive(chunk);
    if (received.length <= 0) return this.hangUp();
    this.#fds.push(...received.fds);
    this.#received.push(...chunk.subarray(0, received.length));
    while (this.#received.length >= 12) {
      const header = new DataView(Uint8Array.from(this.#received.slice(0, 12)).buffer);
      const size = header.getUint32(8, true);
      if (this.#received.length < 12 + size) return;
      const payload = Uint8Array.from(this.#received.slice(12, 12 + size));
      this.#received = this.#received.slice(12 + size);
      const fds = this.#fds.splice(0);
      const message = {
        request: header.getUint32(0, true),
        flags: header.getUint32(4, true),
        payload,
        fdCount: fds.length,
      };
      this.heard.push(message);
      this.#handle(message, fds);
    }
  }

  #handle(message: ReceivedMessage, fds: number[]): void {
    const own = this.#act(message, new DataView(message.payload.buffer), fds);
    const hooked = this.hook(message);
    if (hooked === "nothing") return;
    const needsAck = (message.flags & 8) !== 0 && !OWN_REPLIES.has(message.request);
    if (hooked === undefined && own === undefined && !needsAck) return;
    this.say(hooked?.request ?? message.request, hooked?.payload ?? own ?? new Uint8Array(8), hooked?.flags ?? 5);
  }

  /** Sends a message, whether requested or not. */
  say(request: number, payload: Uint8Array, flags = 5): void {
    const bytes = new Uint8Array(12 + payload.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, request, true);
    view.setUint32(4, flags, true);
    view.setUint32(8, payload.length, true);
    bytes.set(payload, 12);
    this.#socket.send(bytes);
  }

  #ring(index: number): FakeRing {
    let ring = this.#rings.get(index);
    if (ring === undefined) {
      ring = { size: 0, base: 0, desc: 0, driver: 0, device: 0, kickFd: -1, callFd: -1, errFd: -1 };
      this.#rings.set(index, ring);
    }
    return ring;
  }

  #u64(value: bigint): Uint8Array {
    return new Uint8Array(new BigUint64Array([value]).buffer);
  }

  #act({ request, payload }: ReceivedMessage, view: DataView, fds: number[]): Uint8Array | undefined {
    const index = payload.length >= 4 ? view.getUint32(0, true) : 0;
    switch (request) {
      case 1:
        return this.#u64(this.features);
      case 2:
        this.acknowledged = view.getBigUint64(0, true);
        return;
      case 5:
        fds.forEach((fd, i) => this.#addRegion(view, 8 + 32 * i, fd));
        return;
      case 8:
        this.#ring(index).size = view.getUint32(4, true);
        return;
      case 9: {
        const ring = this.#ring(index);
        ring.desc = Number(view.getBigUint64(8, true));
        ring.device = Number(view.getBigUint64(16, true));
        ring.driver = Number(view.getBigUint64(24, true));
        return;
      }
      case 10:
        this.#ring(index).base = view.getUint32(4, true);
        return;
      case 11:
        return this.#stop(index, payload);
      case 12:
        return this.#start(index & 0xff, fds[0] ?? -1);
      case 13:
        this.#replace(index & 0xff, "callFd", fds[0] ?? -1);
        return;
      case 14:
        this.#replace(index & 0xff, "errFd", fds[0] ?? -1);
        return;
      case 15:
        return this.#u64(this.protocolFeatures);
      case 17:
        return this.#u64(3n);
      case 24:
        return Uint8Array.from([...payload.slice(0, 12), ...this.config, ...new Uint8Array(256)]).slice(
          0,
          payload.length,
        );
      case 26:
        return this.#session(payload);
      case 36:
        return this.#u64(64n);
      case 37:
        this.#addRegion(view, 8, fds[0]!);
        return;
      default:
        fds.forEach(closeFd);
        return;
    }
  }

  #session(payload: Uint8Array): Uint8Array {
    new DataView(payload.buffer).setBigInt64(payload.length === 1072 ? 1064 : 0, BigInt(this.#nextSession++), true);
    return payload;
  }

  #replace(index: number, name: "callFd" | "errFd", fd: number): void {
    const ring = this.#ring(index);
    closeFd(ring[name]);
    ring[name] = fd;
  }

  #addRegion(view: DataView, at: number, fd: number): void {
    const sizeBytes = Number(view.getBigUint64(at + 8, true));
    const mapping = mapShared(fd, sizeBytes, Number(view.getBigUint64(at + 24, true)));
    closeFd(fd);
    const guestAddress = Number(view.getBigUint64(at, true));
    this.#mappings.push({ guestAddress, userAddress: Number(view.getBigUint64(at + 16, true)), sizeBytes, mapping });
  }

  #find(address: number, sizeBytes: number, key: "guestAddress" | "userAddress"): Uint8Array {
    const found = this.#mappings.find((m) => address >= m[key] && address < m[key] + m.sizeBytes);
    if (found === undefined) throw new Error(`address 0x${address.toString(16)} is in no region`);
    // A range that crosses into the adjacent region is returned as a copy, which is good for reading only.
    const offset = address - found[key];
    const bytes = new Uint8Array(found.mapping.buffer);
    if (offset + sizeBytes <= found.sizeBytes) return bytes.subarray(offset, offset + sizeBytes);
    const head = bytes.subarray(offset, found.sizeBytes);
    return Uint8Array.from([...head, ...this.#find(address + head.length, sizeBytes - head.length, key)]);
  }

  #start(index: number, kickFd: number): undefined {
    const ring = this.#ring(index);
    ring.kickFd = kickFd;
    const user = (address: number, sizeBytes: number) => this.#find(address, sizeBytes, "userAddress");
    const guest: Bytes = (address, sizeBytes) => this.#find(address, sizeBytes, "guestAddress");
    const answer: Answer = (parts) => this.tamper(parts, guest, this.#answer(index, parts, guest));
    const { size } = ring;
    if ((this.acknowledged >> 34n & 1n) === 1n) {
      const naive = new NaivePacked(
        {
          desc: user(ring.desc, 16 * size),
          driverEvent: user(ring.driver, 4),
          deviceEvent: user(ring.device, 4),
          size,
        },
        guest,
        answer,
      );
      naive.availSlot = ring.base & 0x7fff;
      naive.availWrap = (ring.base >> 15 & 1) === 1;
      naive.usedSlot = ring.base >>> 16 & 0x7fff;
      naive.usedWrap = (ring.base >>> 31 & 1) === 1;
      ring.naive = naive;
    } else {
      const naive = new NaiveSplit(
        {
          desc: user(ring.desc, 16 * size),
          avail: user(ring.driver, 6 + 2 * size),
          used: user(ring.device, 6 + 8 * size),
          size,
        },
        guest,
        answer,
      );
      naive.availIdx = ring.base;
      ring.naive = naive;
    }
    this.#loop.watch(kickFd, () => {
      drainEventFd(kickFd);
      this.#serve(index);
    });
    return undefined;
  }

  #serve(index: number): void {
    const ring = this.#ring(index);
    const { naive } = ring;
    if (this.stuck.has(index) || naive === undefined) return;
    let wanted = naive.run() > 0;
    if (naive instanceof NaiveSplit) {
      naive.availEvent = naive.availIdx;
      // The device completes chains at once and in order, so the used ring equals the available ring.
      if (this.honoursUsedEvent) wanted = wanted && naive.usedEvent === ((naive.availIdx - 1) & 0xffff);
    }
    if (wanted && ring.callFd >= 0) signalEventFd(ring.callFd);
  }

  /** Signals only if the completed request is the one for which the driver requested a signal. */
  honoursUsedEvent = false;

  /** Returns a chain that was never made available. */
  giveNonsense(index: number): void {
    const { naive, callFd } = this.#ring(index);
    (naive as NaiveSplit).give(9999, 0);
    signalEventFd(callFd);
  }

  #stop(index: number, payload: Uint8Array): Uint8Array {
    const ring = this.#ring(index);
    const { naive } = ring;
    if (ring.kickFd >= 0) this.#loop.unwatch(ring.kickFd);
    closeFd(ring.kickFd);
    ring.kickFd = -1;
    let base = ring.base;
    if (naive instanceof NaiveSplit) base = naive.availIdx;
    if (naive instanceof NaivePacked) {
      base = (naive.availSlot | Number(naive.availWrap) << 15 | naive.usedSlot << 16 | Number(naive.usedWrap) << 31) >>>
        0;
    }
    delete ring.naive;
    new DataView(payload.buffer).setUint32(4, base, true);
    return payload;
  }

  /** Answers padded control and CIPHER requests only. */
  #answer(index: number, parts: readonly Part[], bytes: Bytes): number {
    const readable = parts.filter((part) => !part.isWritable);
    const writable = parts.filter((part) => part.isWritable);
    const input = new Uint8Array(readable.reduce((sum, part) => sum + part.length, 0));
    let done = 0;
    for (const { address, length } of readable) {
      input.set(bytes(address, length), done);
      done += length;
    }
    const view = new DataView(input.buffer);
    const room = writable.reduce((sum, part) => sum + part.length, 0);
    let output = new Uint8Array(room);
    if (index === 2) {
      if (view.getUint32(0, true) === 2) new DataView(output.buffer).setBigUint64(0, BigInt(this.#nextSession++), true);
    } else {
      const ivLen = view.getUint32(24, true);
      output = input.slice(72 + ivLen, 72 + ivLen + view.getUint32(28, true)).map((byte) => byte ^ SCRAMBLE);
    }
    done = 0;
    for (const { address, length } of writable) {
      // Bytes are written singly, as a part can cross from one region into the next.
      const piece = output.subarray(done, done + length);
      piece.forEach((byte, i) => bytes(address + i, 1)[0] = byte);
      done += piece.length;
    }
    const last = writable.findLast((part) => part.length > 0)!;
    bytes(last.address + last.length - 1, 1)[0] = 0;
    return room;
  }
}
