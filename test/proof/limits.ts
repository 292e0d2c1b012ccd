/**
 * Limits, each with the tests that try it one below, at and one above: what the documentation says of them, and what
 * `src/device/limits.ts` and the engine's own list export.
 *
 * @module
 */
import * as device from "../../src/device/limits.ts";
import * as asymmetric from "../../src/engine/asymmetric/limits.ts";
import { FDS_MAX, PAYLOAD_BYTES_MAX } from "../../src/wire/vhost_user.ts";
import { QUEUE_SIZE_MAX } from "../../src/wire/vring.ts";
import type { TestName } from "./test_names.ts";

/** A limit, or some that are told together. */
export interface Limit {
  /** What is limited: the row's words in the documentation's table, or what is not documented. */
  readonly what: string;
  /** What the documentation says it is; undefined: it is not documented. */
  readonly atMost?: string;
  /** Constants that say so in the code. */
  readonly exports: readonly string[];
  readonly tests: readonly TestName[];
}

const REQUESTS = "lifecycle/limits_requests_test.ts";
const LIFECYCLE = "lifecycle/limits_test.ts";
const PARTS = "device/limits_test.ts";
const STOPPING = "device/stop_jobs_test.ts";
const SOCKET = "vhost_user/limits_test.ts";
const ASYMMETRIC = "asymmetric/limits_test.ts";
const MIB = 1 << 20;

/** Rows of the documentation's table, in its order. */
const TOLD: readonly Limit[] = [
  {
    what: "data queues; entries of a ring",
    atMost: `${device.DATA_QUEUES_MAX}; ${QUEUE_SIZE_MAX}`,
    exports: ["DATA_QUEUES_MAX"],
    tests: [
      [REQUESTS, "data queues: 63 and 64 of them serve, each by itself"],
      [LIFECYCLE, "options: as many queues and sessions as there may be, and one more or fewer than that"],
      [LIFECYCLE, "ring sizes: up to 32768 entries"],
      [LIFECYCLE, "ring sizes: packed rings of 32767 and 32768 entries, and not of one more"],
      [REQUESTS, "direct chains: one entry less than the ring has, and as many"],
    ],
  },
  {
    what: "devices of one process",
    atMost: `${device.SOCKETS_MAX}`,
    exports: ["SOCKETS_MAX"],
    tests: [
      ["cli/devices_test.ts", "the maximum number of devices serve, and end on SIGTERM"],
      ["cli/options_test.ts", 'exit code 2 and one sentence for: ${args.join(" ") || "no options"}'],
    ],
  },
  {
    what: "memory regions",
    atMost: `${device.REGIONS_MAX}`,
    exports: ["REGIONS_MAX"],
    tests: [
      [LIFECYCLE, "regions: added one at a time up to the number that the frontend was told, and no further"],
      [LIFECYCLE, "regions: a table has at most eight"],
    ],
  },
  {
    what: "sessions",
    atMost: `${device.SESSIONS_DEFAULT}, up to ${device.SESSIONS_MAX} with \`--max-sessions\``,
    exports: ["SESSIONS_DEFAULT", "SESSIONS_MAX"],
    tests: [
      [LIFECYCLE, "sessions: the last one fits, one more does not, and does again when one is gone"],
      [REQUESTS, "sessions: 4096 of them unless more are configured, and no further one"],
      [LIFECYCLE, "options: as many queues and sessions as there may be, and one more or fewer than that"],
    ],
  },
  {
    what: "bytes of a request (`max_size`)",
    atMost: `${device.REQUEST_BYTES_MAX / MIB} MiB`,
    exports: ["REQUEST_BYTES_MAX"],
    tests: [[REQUESTS, "bytes of a request: one less, as many, and one more than max_size (${workers} workers)"]],
  },
  {
    what: "bytes of a cipher key; an authentication key; an IV",
    atMost: `${device.CIPHER_KEY_BYTES_MAX}; ${device.AUTH_KEY_BYTES_MAX}; ${device.IV_BYTES_MAX}`,
    exports: ["CIPHER_KEY_BYTES_MAX", "AUTH_KEY_BYTES_MAX", "IV_BYTES_MAX"],
    tests: [
      [REQUESTS, "cipher keys: 63 and 64 bytes work, 65 are refused, in sessions, without, and by message"],
      [LIFECYCLE, "authentication keys: 511 and 512 bytes work, 513 are refused"],
      [REQUESTS, "authentication keys without a session: 511 and 512 bytes work, 513 are refused"],
      [REQUESTS, "IVs: 127 and 128 bytes work, 129 are refused"],
    ],
  },
  {
    what: "bytes of a KASUMI message; of a ZUC message",
    atMost: "2500; 8188",
    exports: [],
    tests: [["engines/ring_test.ts", "exactly the lengths that an algorithm does not allow are refused"]],
  },
  {
    what: "entries of an indirect table (the ring's size is no limit)",
    atMost: `${device.INDIRECT_ENTRIES_MAX}`,
    exports: ["INDIRECT_ENTRIES_MAX"],
    tests: [[REQUESTS, "entries of an indirect table: 65534 and 65535 work, 65536 break the ring"]],
  },
  {
    what: "requests, bytes, segments in a batch",
    atMost:
      `${device.BATCH_CHAINS_MAX}, ${device.BATCH_BYTES_MAX / MIB} MiB (a longer request is a batch of its own), ` +
      `${device.BATCH_SEGMENTS_MAX}`,
    exports: ["BATCH_CHAINS_MAX", "BATCH_BYTES_MAX", "BATCH_SEGMENTS_MAX"],
    tests: [
      [PARTS, "requests in a batch: 127 and 128 are taken at once, of 129 one has to wait"],
      [
        PARTS,
        "bytes in a batch: it goes on below a mebibyte and ends at it, and beyond it with the request that crosses it",
      ],
      [PARTS, "segments in a batch: 65535 and 65536 fit, one more does not"],
    ],
  },
  {
    what: "batches before other queues have their turn",
    atMost: `${device.ROUND_BATCHES_MAX}`,
    exports: ["ROUND_BATCHES_MAX"],
    tests: [
      [PARTS, "batches in a round: 7 and 8 are served in it, a ninth waits for the next"],
      [PARTS, "fairness: a queue that is flooded lets another be served after ${what} at most"],
      [PARTS, "fairness in a worker: its queues are served alternately, batch by batch"],
      [LIFECYCLE, "a queue that is flooded without pause leaves another its share"],
    ],
  },
  {
    what: "asymmetric operations of a queue in flight",
    atMost: `${device.JOBS_PER_QUEUE_MAX}`,
    exports: ["JOBS_PER_QUEUE_MAX"],
    tests: [
      [
        PARTS,
        "jobs of a queue: 256 that take no time are in flight at once, and the 257th is postponed until one is done",
      ],
      [
        REQUESTS,
        "asymmetric operations in flight: one less, as many, and one more than a queue may have, and all are answered",
      ],
    ],
  },
  {
    what:
      "milliseconds that they take altogether, unless there is one; that stopping waits for them; that halting all " +
      "queues waits for those that cannot return to the ring",
    atMost: `${device.JOB_BACKLOG_MS_MAX}; ${device.STOP_MS_MAX}; ${device.HALT_MS_MAX}`,
    exports: ["JOB_BACKLOG_MS_MAX", "STOP_MS_MAX", "HALT_MS_MAX"],
    tests: [
      [
        "device/late_jobs_test.ts",
        "when all queues are halted, a job before an answered request has HALT_MS_MAX, unless the record is kept",
      ],
      [PARTS, "jobs of a queue: those in flight take 200 ms altogether, by what their kinds took, or are one"],
      [STOPPING, "${format}, ${workers} workers: a key that takes longer than the bound is restarted"],
    ],
  },
  {
    what: "bytes that one reads; writes; of its key as DER",
    atMost: `${device.JOB_INPUT_BYTES_MAX}; ${device.JOB_OUTPUT_BYTES_MAX}; ${asymmetric.AKCIPHER_KEY_BYTES_MAX}`,
    exports: ["JOB_INPUT_BYTES_MAX", "JOB_OUTPUT_BYTES_MAX", "AKCIPHER_KEY_BYTES_MAX"],
    tests: [
      [REQUESTS, "bytes that an asymmetric operation reads: 16383 and 16384 reach it, 16385 are refused"],
      [
        REQUESTS,
        "bytes that an asymmetric operation writes: room for 16383, 16384, 16385 and more is never used up",
      ],
      [PARTS, "jobs: input and output of a slot are as long as they may be, and do not touch the next slot's"],
      [REQUESTS, "asymmetric keys: 8191 and 8192 bytes of DER work, 8193 are refused, in sessions and without"],
    ],
  },
  {
    what: "bits of an RSA modulus; of its public exponent",
    atMost: `${asymmetric.RSA_MODULUS_BITS_MIN} to ${asymmetric.RSA_MODULUS_BITS_MAX}; ` +
      `${asymmetric.RSA_PUBLIC_EXPONENT_BITS_MAX}`,
    exports: ["RSA_MODULUS_BITS_MIN", "RSA_MODULUS_BITS_MAX", "RSA_PUBLIC_EXPONENT_BITS_MAX"],
    tests: [
      [ASYMMETRIC, "RSA moduli: 511 and 8193 bits are refused, 512 to 8192 are not"],
      [ASYMMETRIC, "RFC, RSA moduli: 511 and 8193 bits are refused, 512 to 8192 are not"],
      [ASYMMETRIC, "RSA public exponents: 64 bits are accepted, 65 bits and the exponent 1 are not"],
    ],
  },
  {
    what: "RFC: bits of an RSA key to generate; of a DSA modulus",
    atMost: `${asymmetric.RSA_GENERATED_BITS_MAX}; ${asymmetric.DSA_MODULUS_BITS_MIN} to ` +
      `${asymmetric.DSA_MODULUS_BITS_MAX}`,
    exports: ["RSA_GENERATED_BITS_MAX", "DSA_MODULUS_BITS_MIN", "DSA_MODULUS_BITS_MAX", "DSA_ORDER_BITS"],
    tests: [
      [ASYMMETRIC, "RFC, RSA keys to generate: 4096 bits are tried, eight more are not supported, nor are 504"],
      [
        ASYMMETRIC,
        "RFC, DSA moduli: 511 and 3073 bits are refused, 512 to 3072 are not; orders have 160, 224 or 256 bits",
      ],
    ],
  },
  {
    what: "RFC: bits of a DH modulus; of one that is searched for, not published",
    atMost: `${asymmetric.DH_MODULUS_BITS_MIN} to ${asymmetric.DH_MODULUS_BITS_MAX}; ` +
      `${asymmetric.DH_GENERATED_BITS_MAX}`,
    exports: ["DH_MODULUS_BITS_MIN", "DH_MODULUS_BITS_MAX", "DH_GENERATED_BITS_MAX"],
    tests: [
      [ASYMMETRIC, "RFC, Diffie-Hellman moduli: 511 and 8193 bits are refused, 512 to 8192 are not"],
      [
        ASYMMETRIC,
        "RFC, Diffie-Hellman moduli to search for: 1024 bits are tried, eight more are not supported, nor are 504",
      ],
    ],
  },
  {
    what: "RFC: seconds that generating may take",
    atMost: `${asymmetric.GENERATION_MS_MAX / 1000}`,
    exports: ["GENERATION_MS_MAX"],
    tests: [["asymmetric/rfc3_test.ts", "a generation that takes too long ends with ERR"]],
  },
  {
    what: "microseconds that a worker looks at its rings before it sleeps",
    atMost: `${device.POLL_US_DEFAULT} (\`--poll-us\`)`,
    exports: ["POLL_US_DEFAULT"],
    tests: [
      [
        PARTS,
        "busy-poll time of a worker: the configured maximum, never more, down to 0",
      ],
    ],
  },
  {
    what: "bytes, descriptors of a vhost-user message",
    atMost: `${PAYLOAD_BYTES_MAX}, ${FDS_MAX}`,
    exports: [],
    tests: [
      [SOCKET, "bytes of a message: 4095 and 4096 behind the header are read, 4097 end the connection"],
      [SOCKET, "descriptors of a message: 7 and 8 are accepted, 9 are closed and refused"],
      [SOCKET, "descriptors of KICK, CALL and ERR: none only with bit 8, one, and never two"],
    ],
  },
  {
    what: "guest, frontend and file addresses",
    atMost: "below 2⁵³",
    exports: [],
    tests: [
      [
        "vhost_user/memory_table_test.ts",
        "a table that cannot be used does not replace the old one, and leaves nothing open",
      ],
      [
        "conformance/hostile_test.ts",
        "buffers outside guest memory, including the ends of the address space, are ERR and not accessed; a status there breaks the ring",
      ],
      ["vhost_user/rings_test.ts", "impossible values are refused"],
    ],
  },
];

/** What is not documented, because no user needs it. */
const UNTOLD: readonly Limit[] = [
  {
    what: "bytes of any number in a request of the RFC's; primes of an RSA modulus",
    exports: ["NUMBER_BYTES_MAX", "RSA_PRIMES_MAX"],
    tests: [
      [ASYMMETRIC, "RFC, bytes of a number: 2047 and 2048 are accepted, 2049 are not"],
      [ASYMMETRIC, "RFC, primes of an RSA key: four and five are tried, six are not supported"],
    ],
  },
  {
    what: "bits of a public exponent that is worked out from an RSA key's primes",
    exports: ["RSA_RECOVERED_EXPONENT_BITS_MAX"],
    tests: [[
      "asymmetric/rfc3_exponents_test.ts",
      "RSA of ${bits} bits: private keys with any public exponent sign and decrypt",
    ]],
  },
  {
    what: "bits of the order of a curve without a name",
    exports: ["EC_ORDER_BITS_MIN"],
    tests: [[ASYMMETRIC, "RFC, orders of curves without a name: 112 bits are accepted, 110 are not"]],
  },
  {
    what: "bytes of configuration that a message names",
    exports: [],
    tests: [[
      SOCKET,
      "bytes of configuration: 255 and 256 are returned and compared, 257 are refused, from any offset",
    ]],
  },
  {
    what: "bytes, rings and entries of an inflight region",
    exports: [],
    tests: [
      [
        SOCKET,
        "inflight regions: a byte too few, in the message or the file, is refused; as many, and one more, are accepted",
      ],
      [
        SOCKET,
        "inflight regions: for 2 and 3 rings of three, not for a fourth; of 32767 and 32768 entries, not of one more",
      ],
    ],
  },
  {
    what: "connections that are served at once",
    exports: [],
    tests: [[SOCKET, "connections: one is served; a second and a ninth wait, undisturbed, until it has ended"]],
  },
];

/** Rows of the documentation's table. */
export const LIMITS_TOLD: readonly Limit[] = TOLD;

/** Every limit. */
export const LIMITS: readonly Limit[] = [...TOLD, ...UNTOLD];

/** Constants that have to be among them. */
export const LIMIT_CONSTANTS: readonly string[] = [...Object.keys(device), ...Object.keys(asymmetric)];
