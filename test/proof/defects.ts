/**
 * Defects that other devices, backends and drivers had, each with the tests that show it is not had here. An id is a
 * CVE, a commit of the project named, an issue's number, or, where there is none of these, the function or the
 * behaviour; it stands in the name of a test. Two defects of 2026 in libvhost-user go by the function's name, because
 * which CVE is whose could not be checked; CVE-2026-16457 could, against QEMU's list of commits.
 *
 * @module
 */
import type { TestName } from "./test_names.ts";

/** A defect of another device. */
export interface Defect {
  /** What it is known by; each stands in the name of at least one of the tests. */
  readonly ids: readonly string[];
  /** What a device without it does, in a sentence. */
  readonly sentence: string;
  readonly tests: readonly TestName[];
}

const REQUESTS = "conformance/hostile_test.ts";
const RINGS = "conformance/hostile_rings_test.ts";
const FRONTENDS = "conformance/hostile_frontends_test.ts";
const FRAMING = "vhost_user/framing_test.ts";

function defect(ids: string | readonly string[], sentence: string, ...tests: TestName[]): Defect {
  return { ids: typeof ids === "string" ? [ids] : ids, sentence, tests };
}

/** Of QEMU's own device, its cryptodev backends and its vhost-user frontend. */
const QEMU: readonly Defect[] = [
  defect("CVE-2017-5931", "Lengths whose sum overflows 32 bits are refused before anything is allocated.", [
    REQUESTS,
    "CVE-2017-5931: src_data_len 0xffffffff with iv_len 1 is ERR and allocates no memory",
  ], [REQUESTS, "every false length of every request, alone and in sums that wrap, is ERR"]),
  defect("CVE-2023-3180", "A destination of another length than its source is neither overrun nor left.", [
    REQUESTS,
    "CVE-2023-3180: a destination much longer or shorter than its source is never left or overrun",
  ]),
  defect("CVE-2024-3446", "A destination laid on the ring itself spoils that ring, and no state of the device.", [
    RINGS,
    "CVE-2024-3446: writable buffers that overlap the ring affect that ring only",
  ]),
  defect("CVE-2025-14876", "Lengths of asymmetric requests and keys are bounded before memory is taken for them.", [
    "device/akcipher_test.ts",
    "CVE-2025-14876: asymmetric keys and lengths beyond all bounds are a status, and the device lives",
  ]),
  defect("QEMU 15b11a1da6", "A request to a service that is not there is NOTSUPP, for sessions and for data.", [
    "conformance/decisions_test.ts",
    "v19 line 305, QEMU 15b11a1da6: services that are not offered are NOTSUPP, for sessions and for requests",
  ], ["device/akcipher_test.ts", "with the asymmetric service off, its requests are not supported"]),
  defect(["QEMU 7.2.3", "7.2.16", "7.2.17"], "A start that is broken off leaves no half-made or stale state.", [
    "vhost_user/endurance_test.ts",
    "QEMU 7.2.3, 7.2.16, 7.2.17: a thousand connections that end during their set-up leave nothing behind",
  ]),
  defect("QEMU assert(session_id)", "A session id of any value that names no session is a status, not an assertion.", [
    REQUESTS,
    "QEMU assert(session_id): 0, 256, 2^31, 2^32 more than a good one, 2^63, 2^64 - 1 and a destroyed one are INVSESS",
  ]),
  defect("CVE-2026-16457", "An empty packed ring that was kicked is looked at once, not for ever.", [
    FRONTENDS,
    "CVE-2026-16457: kicks on empty packed rings cost no CPU time afterwards (${workers} workers)",
  ]),
  defect("QEMU cryptodev-vhost-user", "Sessions that a reset guest never closes fill a table, not the memory.", [
    REQUESTS,
    "QEMU cryptodev-vhost-user, a reset that closes no sessions: 10 000 sessions fill the table, further ones are refused, and the device continues",
  ]),
  defect("QEMU virtio_error", "A malformed request is answered with ERR; neither device nor ring is lost by it.", [
    REQUESTS,
    "QEMU virtio_error: random bytes for header and parameters are answered, and the next good request works",
  ], [REQUESTS, "a request without a writable byte is completed with a length of 0"]),
];

/** Of DPDK's vhost library and its vhost_crypto. */
const DPDK: readonly Defect[] = [
  defect(
    ["CVE-2018-1059", "openvmm #4047", "cloud-hypervisor #2450"],
    "A buffer up to a region's very last byte is served, one a byte beyond is refused.",
    [
      REQUESTS,
      "CVE-2018-1059, openvmm #4047, cloud-hypervisor #2450: a buffer may end with memory's last byte, and may not exceed it",
    ],
    [REQUESTS, "a buffer across the border of adjacent regions works, one across a gap between regions is ERR"],
  ),
  defect("CVE-2019-14818", "Messages that replace what came before give back what that held.", [
    "vhost_user/endurance_test.ts",
    "CVE-2019-14818: 10 000 times SET_MEM_TABLE, NUM and KICK leave descriptors and mappings as they were",
  ]),
  defect(
    "CVE-2020-10722",
    "A log area whose size and offset wrap around is refused, and so is one that its file does not hold.",
    [
      "vhost_user/connection_test.ts",
      "CVE-2020-10722: SET_LOG_BASE is refused where size and offset wrap around or leave the file, and keeps no descriptor",
    ],
  ),
  defect(["CVE-2020-10723", "rust-vmm #212"], "A ring's index is compared in full width, and one too large refused.", [
    "vhost_user/rings_test.ts",
    "CVE-2020-10723, rust-vmm #212: rings that do not exist are refused, for any width of the index",
  ]),
  defect("CVE-2020-10724", "Key lengths beyond the fields that hold them are refused, by ring and by message.", [
    REQUESTS,
    "CVE-2020-10724: key lengths beyond every limit are refused, and the control queue continues",
  ], [
    "vhost_user/session_message_test.ts",
    "CVE-2020-10724: the ${name} layout of a session with keys of zero, full and impossible length",
  ]),
  defect("CVE-2020-10725", "A buffer without bytes is harmless wherever it is said to lie.", [
    REQUESTS,
    "CVE-2020-10725: buffers of length 0 may have any address",
  ]),
  defect("CVE-2020-10726", "Asking for inflight regions again and again leaks neither descriptors nor mappings.", [
    "lifecycle/inflight_state_test.ts",
    "CVE-2020-10726: 1000 inflight regions, some invalid, leave nothing behind and break nothing",
  ]),
  defect(["CVE-2020-14374", "CVE-2020-14378"], "What was checked is what is used, while a guest rewrites it.", [
    RINGS,
    "CVE-2020-14374 to CVE-2020-14378: lengths that change while the device reads them never cause accesses outside its buffers",
  ], ["fuzz/fuzz_test.ts", "hostile rings, requests, messages and rewriters, with a new seed: no failure"]),
  defect("CVE-2020-14376", "A request shorter than the structures it should hold is ERR, wherever it ends.", [
    REQUESTS,
    "CVE-2020-14376: a data request that is truncated at any byte is ERR",
  ], [REQUESTS, "a control request that is truncated at any byte is ERR"]),
  defect("CVE-2022-2132", "Tens of thousands of one-byte descriptors are served in bounded time.", [
    RINGS,
    "CVE-2022-2132: a request in tens of thousands of one-byte descriptors is answered in bounded time",
  ], [RINGS, "tens of thousands of meaningless descriptors are answered in bounded time, too"]),
  defect("c7e7244b82", "A chain that leads back to itself breaks its ring and hangs nothing.", [
    RINGS,
    "c7e7244b82 and similar defects: chains that loop break the ring and do not hang the device",
  ]),
  defect("DPDK b03cb9c87a", "A kick before addresses and size are known starts nothing and breaks nothing.", [
    "vhost_user/rings_test.ts",
    "DPDK b03cb9c87a: a ring starts when size, addresses and kick are set, in any order",
  ]),
  defect(["cd1e8f03ab", "7ccd67c418", "2fbada9154"], "Of a chain, bytes outside the ciphered part arrive unchanged.", [
    "conformance/decisions_chain_test.ts",
    "v19 line 1274, DPDK cd1e8f03ab, 7ccd67c418, 2fbada9154: source bytes that the cipher does not cover are copied unchanged",
  ]),
  defect("DPDK cache_sym_session", "An id is dead on every queue the moment its destruction is answered.", [
    REQUESTS,
    "DPDK cache_sym_session: a session is gone on every queue at once when it is destroyed (${workers} workers)",
  ]),
  defect("DPDK op_type 3 to 255", "An op_type that does not exist is NOTSUPP and never a success.", [
    "conformance/decisions_test.ts",
    "v19 line 821, DPDK op_type 3 to 255: op_type NONE and unknown ones are NOTSUPP, in sessions and in requests",
  ]),
  defect("DPDK's one slot a session", "Asymmetric requests of one session do not get each other's answers.", [
    "device/akcipher_test.ts",
    "DPDK's one slot a session: 64 requests in flight on one session each get their own answer",
  ]),
  defect("DPDK's DER reader", "A length inside a key never leads the reader out of the key.", [
    "asymmetric/hostile_test.ts",
    "DPDK's DER reader: false lengths are refused",
  ], ["asymmetric/hostile_test.ts", "keys cut off at every byte are refused"]),
  defect("DPDK CLOSE_CRYPTO_SESSION", "Closing a session that does not exist leaves the connection open.", [
    "vhost_user/session_message_test.ts",
    "DPDK CLOSE_CRYPTO_SESSION: closing any id is harmless, and acknowledged only on request",
  ]),
];

/** Of libvhost-user, rust-vmm's crates, SPDK and Linux's driver. */
const OTHERS: readonly Defect[] = [
  defect("virtqueue_read_indirect_desc", "An indirect table of an impossible length breaks the ring, nothing else.", [
    RINGS,
    "virtqueue_read_indirect_desc: invalid indirect tables break the ring",
  ]),
  defect("vu_check_queue_inflights", "An inflight region that contradicts itself is refused.", [
    "lifecycle/inflight_state_test.ts",
    "vu_check_queue_inflights: a state with a wrong size, or a list that is out of bounds or loops, is refused",
  ], ["lifecycle/inflight_state_test.ts", "20 000 random states are refused or recovered within their bounds"]),
  defect("libvhost-user, partial reads", "A message may come in any pieces, with pauses between them.", [
    FRAMING,
    "libvhost-user, partial reads: a message cut at any byte is handled when the rest has come",
  ], [FRAMING, "a message that arrives byte by byte is handled"]),
  defect("libvhost-user, descriptors", "Descriptors beyond eight are closed, and their message refused.", [
    FRAMING,
    "libvhost-user, descriptors: more than 8 are closed and the message is refused",
  ], [FRAMING, "more than 8 descriptors spread over one message are closed"]),
  defect("libvhost-user, sizes", "A header that announces the impossible ends the connection in good order.", [
    FRAMING,
    "libvhost-user, sizes: an invalid header ends the connection",
  ]),
  defect(["rust-vmm #247", "#343"], "A kick that comes while a ring is disabled is served once it is enabled.", [
    FRONTENDS,
    "rust-vmm #247, #343: a kick before the ring is enabled is served when it is (${rings})",
  ]),
  defect(["rust-vmm #374", "#375"], "A ring that starts with requests in it serves them without a kick.", [
    FRONTENDS,
    "rust-vmm #374, #375: requests in the ring at its start are served without a kick (${rings})",
  ]),
  defect("rust-vmm #227", "A new kick descriptor replaces the old one and does not disable the ring.", [
    "vhost_user/rings_test.ts",
    "rust-vmm #227: a kick that is replaced restarts the ring where it was, and the old one is closed",
  ], [
    "vhost_user/flows_test.ts",
    "QEMU before 7.1: no feature bits at all, no protocol features, a whole memory table",
  ]),
  defect("rust-vmm #161", "A stopped ring keeps size and addresses: a base and a kick start it again.", [
    FRONTENDS,
    "rust-vmm #161: a ring continues after GET_VRING_BASE with only a base and a kick (${rings})",
  ], ["vhost_user/rings_test.ts", "rust-vmm #161: GET_VRING_BASE stops the ring, closes its kick and keeps the rest"]),
  defect(["SPDK #2228", "#378"], "Firmware that leaves half-way, a thousand times, leaves nothing behind.", [
    FRONTENDS,
    "SPDK #2228, #378: 1000 frontends that disconnect during their set-up leak nothing",
  ]),
  defect("SHMEM's two bits", "Protocol bits that mean different things to different programs are never agreed to.", [
    "vhost_user/connection_test.ts",
    "SHMEM's two bits: protocol features that were not offered, 21 and 22 among them, are refused, the others hold",
  ], ["vhost_user/connection_test.ts", "the offered protocol features are these and no others"]),
  defect("Linux's loop on the control queue", "Control requests do not wait behind what data queues have to do.", [
    REQUESTS,
    "Linux's loop on the control queue: control requests are answered while 10 000 data requests queue",
  ]),
];

/** What users have run into, and asked about. */
const REPORTED: readonly Defect[] = [
  defect("QEMU's generations of the session message", "A session message of an unknown length is told in one line.", [
    "vhost_user/session_message_test.ts",
    "QEMU's generations of the session message: one of unknown length is refused in one log line, and the connection continues",
  ]),
  defect("memory that is not shared", "Memory without descriptors is refused in one line that names share=on.", [
    "vhost_user/memory_table_test.ts",
    "memory that is not shared: a table without descriptors is refused with the remedy",
  ]),
  defect("QEMU's warning about CONFIG", "Configuration is offered, and a frontend without it is served too.", [
    FRONTENDS,
    "QEMU's warning about CONFIG: configuration is offered, and a frontend without it is served",
  ]),
  defect("QEMU's 256 sessions", "A VMM that creates sessions by message is not held to 256 of them.", [
    FRONTENDS,
    "QEMU's 256 sessions: a frontend that creates sessions by message fills the table, and further ones are refused",
  ]),
  defect("whatever the device serves", "The algorithms that QEMU shows a guest are documented.", [
    "proof/proof_test.ts",
    "the documentation says what QEMU offers its guests, whatever the device serves",
  ]),
  defect("stateless modes", "Servers that use a key once may do without sessions, service by service.", [
    "conformance/decisions_test.ts",
    "v19 line 295: stateless modes are negotiated service by service, and each requires MUX_MODE",
  ]),
];

/** Every defect. */
export const DEFECTS: readonly Defect[] = [...QEMU, ...DPDK, ...OTHERS, ...REPORTED];
