/**
 * What is promised to users, each promise with the tests that hold the project to it. The documentation's table is
 * made from this one.
 *
 * @module
 */
import type { TestName } from "./test_names.ts";

/** A promise. */
export interface Promised {
  /** In the documentation's words. */
  readonly promise: string;
  readonly tests: readonly TestName[];
}

/** All promises, in the documentation's order. */
export const PROMISES: readonly Promised[] = [
  {
    promise: "the device fulfils every duty in v19's normative text",
    tests: [["conformance/clauses_test.ts", "every duty of the device in v19's normative text"]],
  },
  {
    promise: "every algorithm gives published results, and agrees with a second implementation",
    tests: [
      ["device/known_answers_test.ts", "every algorithm on offer has a known answer"],
      [
        "conformance/differential_test.ts",
        "random questions: the device agrees with independent implementations of every algorithm",
      ],
    ],
  },
  {
    promise: "a malformed request is answered, and does not affect others",
    tests: [
      ["conformance/hostile_test.ts", "CVE-2020-14376: a data request that is truncated at any byte is ERR"],
      [
        "conformance/hostile_test.ts",
        "QEMU virtio_error: random bytes for header and parameters are answered, and the next good request works",
      ],
    ],
  },
  {
    promise: "the device writes only to the writable buffers of a request",
    tests: [
      ["fuzz/fuzz_test.ts", "hostile rings, requests, messages and rewriters, with a new seed: no failure"],
      ["fuzz/fuzz_test.ts", "the fuzzer catches a broken device: ${fault}"],
    ],
  },
  {
    promise: "the device uses the values that it has checked, even if the guest changes them meanwhile",
    tests: [[
      "conformance/hostile_rings_test.ts",
      "CVE-2020-14374 to CVE-2020-14378: lengths that change while the device reads them never cause accesses outside its buffers",
    ]],
  },
  {
    promise: "a broken ring is halted until it is set up again; other rings are not affected",
    tests: [[
      "conformance/hostile_rings_test.ts",
      "a broken ring is halted: later requests are not answered, and none is replayed",
    ]],
  },
  {
    promise: "known defects of other devices do not exist in this one",
    tests: [["proof/proof_test.ts", "every defect of other devices has its tests, by its id"]],
  },
  {
    promise: "each limit is enforced: one below, at, and one above",
    tests: [["proof/proof_test.ts", "every documented limit is the code's, and has its tests"]],
  },
  {
    promise: "a flooded queue does not starve others",
    tests: [
      ["device/limits_test.ts", "fairness: a queue that is flooded lets another be served after ${what} at most"],
      ["device/limits_test.ts", "fairness in a worker: its queues are served alternately, batch by batch"],
    ],
  },
  {
    promise: "slow public-key operations do not delay other queues",
    tests: [["device/rfc3_test.ts", "a key that takes long to make delays no bulk request of another queue"]],
  },
  {
    promise: "an idle device uses no CPU time",
    tests: [[
      "conformance/hostile_frontends_test.ts",
      "CVE-2026-16457: kicks on empty packed rings cost no CPU time afterwards (${workers} workers)",
    ]],
  },
  {
    promise: "a destroyed session is invalid on every queue at once",
    tests: [[
      "conformance/hostile_test.ts",
      "DPDK cache_sym_session: a session is gone on every queue at once when it is destroyed (${workers} workers)",
    ]],
  },
  {
    promise: "keys are wiped when their session is destroyed",
    tests: [[
      "lifecycle/keys_test.ts",
      "keys of destroyed sessions and of disconnected frontends are nowhere in memory (${workers} workers)",
    ]],
  },
  {
    promise: "no plaintext is left after a wrong tag",
    tests: [[
      "conformance/decisions_aead_test.ts",
      "v19 line 569: after a wrong tag no plaintext is left, in place or not, in any descriptor layout",
    ]],
  },
  {
    promise: "no truncated, wrongly flagged, repeated or misordered message leaks anything or ends the device",
    tests: [
      [
        "vhost_user/every_message_test.ts",
        "every message cut off at every byte, and the connection closed: the device only gets the end of the connection",
      ],
      ["vhost_user/every_message_test.ts", "every two messages after each other, in either order"],
    ],
  },
  {
    promise: "a frontend that disconnects, in order or not, leaks nothing",
    tests: [
      ["lifecycle/lifecycle_test.ts", "frontends are killed under load"],
      [
        "conformance/hostile_frontends_test.ts",
        "SPDK #2228, #378: 1000 frontends that disconnect during their set-up leak nothing",
      ],
      [
        "lifecycle/retention_test.ts",
        "packed rings that start and stop, with valid and invalid states, leave no large garbage",
      ],
      ["lifecycle/retention_test.ts", "sessions that have gone leave no pages behind, whichever slots they had"],
    ],
  },
  {
    promise: "removed memory is not accessed any more",
    tests: [[
      "lifecycle/limits_test.ts",
      "unmapped memory is not written to any more, with requests in flight (${workers} workers)",
    ]],
  },
  {
    promise: "sessions are transferred through the frontend only with --migrate-sessions, and unchanged",
    tests: [
      [
        "vhost_user/session_transfer_test.ts",
        "sessions are saved on one device and loaded on another through a pipe, ${workers} workers",
      ],
      ["vhost_user/session_transfer_test.ts", "a device does not offer the transfer of sessions unless it is told to"],
      [
        "vhost_user/session_transfer_test.ts",
        "hostile states are refused, and leave no session; the next good one is loaded",
      ],
    ],
  },
  {
    promise: "after a crash no request is lost and none is completed twice",
    tests: [
      [
        "lifecycle/crash_test.ts",
        "the device is killed under load: no request is lost, none is completed twice (${title})",
      ],
      [
        "cli/keep_state_test.ts",
        "a device that is killed under load is continued (${title})",
      ],
      [
        "cli/keep_state_test.ts",
        "an encryption in place that may have been executed is answered with ERR after a crash",
      ],
    ],
  },
  {
    promise: "another process continues under load: no request is lost, wrong or executed twice",
    tests: [
      [
        "handover/handover_test.ts",
        "handovers under full load: no request is lost, repeated or answered wrongly (${format}, ${workers} workers)",
      ],
      [
        "handover/handover_test.ts",
        "a handover during requests of every service, mode and layout, and changes of memory, rings and dirty logs",
      ],
    ],
  },
  {
    promise: "exactly one of the two processes of a handover serves, whichever ends",
    tests: [
      [
        "handover/handover_test.ts",
        "a handover whose new process is killed at a random point: the old one serves the guest",
      ],
      [
        "handover/handover_test.ts",
        "a handover whose old process is killed after it has sent its state: the new one serves the guest",
      ],
      [
        "handover/handover_test.ts",
        "a process whose options contradict what was negotiated is refused, and the old one continues",
      ],
    ],
  },
  {
    promise: "what another process sends in a handover, and its state, are checked like any untrusted input",
    tests: [
      ["handover/hostile_test.ts", "handover: a hostile new process is refused, and the old one continues"],
      ["handover/hostile_test.ts", "handover: a hostile old process is refused, and leaves nothing open"],
      [
        "handover/state_test.ts",
        "a state that is truncated at any byte, or has an extra byte, is refused",
      ],
      ["handover/restore_test.ts", "random states are refused or used, and cause no failure"],
    ],
  },
  {
    promise: "no key is left in the process that hands its sessions over",
    tests: [
      ["handover/handover_test.ts", "keys are not in the memory of the old process after a handover, nor in its log"],
    ],
  },
  {
    promise: "every thread is in the sandbox",
    tests: [
      ["lifecycle/sandbox_test.ts", "every thread of the program is in the sandbox, with --sandbox=off none is"],
      [
        "lifecycle/sandbox_test.ts",
        "in the sandbox no file is written and no program runs, while the device serves (${workers} workers)",
      ],
    ],
  },
  {
    promise: "a missing library removes its algorithms, and nothing else",
    tests: [[
      "cli/missing_libraries_test.ts",
      "without the optional libraries, the other algorithms are served, and a sentence names each package",
    ]],
  },
  {
    promise: "a wrong command line ends with exit status 2 and one sentence",
    tests: [["cli/options_test.ts", 'exit code 2 and one sentence for: ${args.join(" ") || "no options"}']],
  },
  {
    promise: "a socket in use is refused, a dead process's replaced",
    tests: [
      ["cli/serving_test.ts", "a socket in use is refused and kept"],
      ["cli/serving_test.ts", "a socket left behind by a dead process is replaced"],
    ],
  },
  {
    promise: "the data path allocates nothing and throws nothing",
    tests: [["tidy/tidy_test.ts", "tidy: the data path allocates nothing, waits for nothing and throws nothing"]],
  },
  {
    promise: "inputs that have failed once are replayed",
    tests: [[
      "fuzz/corpus_test.ts",
      "the device survives the corpus and gives the recorded answers (${workers} workers)",
    ]],
  },
  {
    promise: "tests run nearly every line between guest and library",
    tests: [["proof/coverage_test.ts", "coverage: the modules between guest and library have a floor of 95 and more"]],
  },
];
