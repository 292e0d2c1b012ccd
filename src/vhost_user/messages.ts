/**
 * The form of valid vhost-user messages: for each request its name, the length of its payload, the maximum number of
 * descriptors, and how a refusal is reported to the frontend.
 *
 * @module
 */
import * as wire from "../wire/vhost_user.ts";
import type { Message } from "./framing.ts";

/** A request that is refused. The connection continues; the message contains the cause and the remedy. */
export class RequestError extends Error {
  override readonly name = "RequestError";
}

/** The remedy for guest memory without descriptors. */
export const NO_FD_REMEDY = "start QEMU with memory-backend-memfd,share=on";

/**
 * How a refusal is reported to the frontend: with a failure acknowledgement, if it requested one; or, for requests that
 * always have a reply, with a reply without payload or with this number.
 */
export type Refusal = "ack" | "empty" | bigint;

/** The form of a valid message of one request. */
export interface MessageRule {
  /** The request's name in the protocol specification, without the prefix. */
  readonly name: string;
  /** The shortest payload, in bytes. */
  readonly payloadMin: number;
  /** The longest payload, in bytes. */
  readonly payloadMax: number;
  /** Maximum number of descriptors. The handler checks whether fewer are sufficient, and states the remedy. */
  readonly fdsMax: number;
  /** The reply when the request is refused. */
  readonly refusal: Refusal;
}

const U64_BYTES = 8;
const INFLIGHT_BYTES_PACKED = 20;
const INFLIGHT_BYTES = 24;
const IOTLB_BYTES_PACKED = 26;
const IOTLB_BYTES = 32;
const SINGLE_REGION_BYTES = wire.MEM_REG_HEADER_BYTES + wire.REGION_BYTES;
const MEM_TABLE_BYTES_MAX = wire.MEM_TABLE_HEADER_BYTES + wire.MEM_TABLE_REGIONS_MAX * wire.REGION_BYTES;
const CONFIG_PAYLOAD_MAX = wire.CONFIG_HEADER_BYTES + wire.CONFIG_BYTES_MAX;
/** SET_DEVICE_STATE_FD: an error, and the bit "the reply has no descriptor". */
const DEVICE_STATE_REFUSED = 0x101n;

function rule(name: string, bytes: number | [number, number], fdsMax = 0, refusal: Refusal = "ack"): MessageRule {
  const [payloadMin, payloadMax] = typeof bytes === "number" ? [bytes, bytes] : bytes;
  return { name, payloadMin, payloadMax, fdsMax, refusal };
}

/** The requests whose form is known, supported or not, by number. */
export const MESSAGE_RULES: ReadonlyMap<number, MessageRule> = new Map([
  [wire.GET_FEATURES, rule("GET_FEATURES", 0, 0, "empty")],
  [wire.SET_FEATURES, rule("SET_FEATURES", U64_BYTES)],
  [wire.SET_OWNER, rule("SET_OWNER", 0)],
  [wire.RESET_OWNER, rule("RESET_OWNER", 0)],
  [wire.SET_MEM_TABLE, rule("SET_MEM_TABLE", [wire.MEM_TABLE_HEADER_BYTES, MEM_TABLE_BYTES_MAX], wire.FDS_MAX)],
  [wire.SET_LOG_BASE, rule("SET_LOG_BASE", [U64_BYTES, 2 * U64_BYTES], 1, 1n)],
  [wire.SET_LOG_FD, rule("SET_LOG_FD", [0, U64_BYTES], 1)],
  [wire.SET_VRING_NUM, rule("SET_VRING_NUM", wire.VRING_STATE_BYTES)],
  [wire.SET_VRING_ADDR, rule("SET_VRING_ADDR", wire.VRING_ADDR_BYTES)],
  [wire.SET_VRING_BASE, rule("SET_VRING_BASE", wire.VRING_STATE_BYTES)],
  [wire.GET_VRING_BASE, rule("GET_VRING_BASE", wire.VRING_STATE_BYTES, 0, "empty")],
  [wire.SET_VRING_KICK, rule("SET_VRING_KICK", U64_BYTES, 1)],
  [wire.SET_VRING_CALL, rule("SET_VRING_CALL", U64_BYTES, 1)],
  [wire.SET_VRING_ERR, rule("SET_VRING_ERR", U64_BYTES, 1)],
  [wire.GET_PROTOCOL_FEATURES, rule("GET_PROTOCOL_FEATURES", 0, 0, "empty")],
  [wire.SET_PROTOCOL_FEATURES, rule("SET_PROTOCOL_FEATURES", U64_BYTES)],
  [wire.GET_QUEUE_NUM, rule("GET_QUEUE_NUM", 0, 0, "empty")],
  [wire.SET_VRING_ENABLE, rule("SET_VRING_ENABLE", wire.VRING_STATE_BYTES)],
  [wire.SET_BACKEND_REQ_FD, rule("SET_BACKEND_REQ_FD", [0, U64_BYTES], 1)],
  [wire.IOTLB_MSG, rule("IOTLB_MSG", [IOTLB_BYTES_PACKED, IOTLB_BYTES], 0, 1n)],
  [wire.GET_CONFIG, rule("GET_CONFIG", [wire.CONFIG_HEADER_BYTES, CONFIG_PAYLOAD_MAX], 0, "empty")],
  [wire.SET_CONFIG, rule("SET_CONFIG", [wire.CONFIG_HEADER_BYTES, CONFIG_PAYLOAD_MAX])],
  [wire.CREATE_CRYPTO_SESSION, rule("CREATE_CRYPTO_SESSION", [0, wire.PAYLOAD_BYTES_MAX], 0, "empty")],
  [wire.CLOSE_CRYPTO_SESSION, rule("CLOSE_CRYPTO_SESSION", U64_BYTES)],
  [wire.GET_INFLIGHT_FD, rule("GET_INFLIGHT_FD", [INFLIGHT_BYTES_PACKED, INFLIGHT_BYTES], 0, "empty")],
  [wire.SET_INFLIGHT_FD, rule("SET_INFLIGHT_FD", [INFLIGHT_BYTES_PACKED, INFLIGHT_BYTES], 1)],
  [wire.RESET_DEVICE, rule("RESET_DEVICE", 0)],
  [wire.GET_MAX_MEM_SLOTS, rule("GET_MAX_MEM_SLOTS", 0, 0, "empty")],
  [wire.ADD_MEM_REG, rule("ADD_MEM_REG", SINGLE_REGION_BYTES, 1)],
  [wire.REM_MEM_REG, rule("REM_MEM_REG", SINGLE_REGION_BYTES, 1)],
  [wire.SET_STATUS, rule("SET_STATUS", U64_BYTES)],
  [wire.GET_STATUS, rule("GET_STATUS", 0, 0, "empty")],
  [wire.SET_DEVICE_STATE_FD, rule("SET_DEVICE_STATE_FD", 8, 1, DEVICE_STATE_REFUSED)],
  [wire.CHECK_DEVICE_STATE, rule("CHECK_DEVICE_STATE", 0, 0, 1n)],
]);

/** Throws {@linkcode RequestError} unless `message` has the size and no more descriptors than `rule` allows. */
export function checkMessage(rule: MessageRule, message: Message): void {
  const { payloadMin, payloadMax, fdsMax } = rule;
  const length = message.payload.length;
  if (length < payloadMin || length > payloadMax) {
    const expected = payloadMin === payloadMax ? `${payloadMin}` : `${payloadMin} to ${payloadMax}`;
    throw new RequestError(`the payload has ${length} bytes instead of ${expected}`);
  }
  if (message.lostFds === "too many") throw new RequestError(`the message has more than ${wire.FDS_MAX} descriptors`);
  if (message.lostFds === "not handed over") {
    throw new RequestError(
      "the kernel did not hand over the message's descriptors: this process may open no more files (raise " +
        "LimitNOFILE= of its unit, or ulimit -n), or a security policy forbids it",
    );
  }
  if (message.fds.length > fdsMax) {
    throw new RequestError(`the message has ${message.fds.length} descriptors: at most ${fdsMax} are expected`);
  }
}

/** A payload that consists of one number. */
export function u64Payload(value: bigint | number): Uint8Array {
  const payload = new Uint8Array(U64_BYTES);
  new DataView(payload.buffer).setBigUint64(0, BigInt(value), true);
  return payload;
}

/** A 64-bit field as a number. Throws {@linkcode RequestError} from 2^53 on, where numbers are not exact. */
export function readU64(view: DataView, offset: number, what: string): number {
  const value = view.getBigUint64(offset, true);
  if (value >= 2n ** 53n) {
    throw new RequestError(`${what} is 0x${value.toString(16)}: only values below 2^53 are supported`);
  }
  return Number(value);
}
