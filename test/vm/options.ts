/**
 * The command line of the harness. Refuses unknown options.
 */
import { parseArgs } from "@std/cli/parse-args";
import { KERNEL_SUITES, QEMU_SUITES } from "./bundle.ts";

/** QEMU's device models. */
export type DeviceModel = "cryptodev" | "generic" | "builtin";

/** One guest to run. */
export interface Guest {
  readonly deviceModel: DeviceModel;
  readonly qemu: string;
  readonly kernel: string;
}

/** The parsed command line. */
export interface Options {
  readonly guests: readonly Guest[];
  readonly accel: "tcg" | "kvm";
  readonly smp: number;
  readonly threads: number;
  readonly seed: number;
  readonly append: string;
  readonly properties: string;
  /** The device's command line; `{socket}` stands for the socket's path. */
  readonly device: readonly string[];
  readonly timeoutMs: number;
  /** The number of the check whose answer is falsified; 0: none. */
  readonly corrupt: number;
  readonly showcase: boolean;
  /** Number of handovers of the device under load; 0: the usual checks. */
  readonly handovers: number;
  readonly mirror: string | undefined;
  readonly ubuntuMirror: string | undefined;
  readonly refresh: boolean;
  readonly keep: boolean;
  readonly skipIfUnavailable: boolean;
}

/** An invalid command line. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The text of `--help`. */
export const HELP = `A real Linux guest checks the device.

Usage: scripts/vm [options]
       scripts/vm --showcase [options]   a transcript: files, packets and disks encrypted by the device
       scripts/vm --handovers=N [options]   the device is handed over N times while the guest is under load
       scripts/vm --systemd [--skip-if-unavailable]   no guest: the installed units under a real systemd, as root
       scripts/vm --arm64   an emulated arm64 machine in which the tests of the sandbox run

Device models, the connections from the guest's driver to a device:
  cryptodev  QEMU's cryptodev-vhost-user: QEMU keeps the control queue, sessions arrive as messages
  generic    QEMU's generic vhost-user device: the device implements everything
  builtin    QEMU's own cryptodev-backend-builtin, without a device of this project, to test the checks themselves

Options:
  --device-model=NAME[,NAME...]  device models to test (default: cryptodev,generic; showcase: generic)
  --kernel=VERSION       ${Object.keys(KERNEL_SUITES).join(", ")} (default: 6.1; generic, showcase: 6.12);
                         5.4 is Ubuntu's, the latest of these whose dm-crypt can use the device
  --qemu=VERSION         ${Object.keys(QEMU_SUITES).join(", ")} (default: 7.2; generic: 11.1 and nothing else)
  --accel=tcg|kvm        how QEMU runs the guest (default: tcg)
  --smp=N                virtual CPUs (default: 1; more find races but are slower)
  --threads=N            threads of the check program (default: 4)
  --seed=N               seed of its random requests (default: 1)
  --append=TEXT          more for the kernel's command line
  --properties=LIST      more properties for QEMU's device, such as event_idx=off
  --device=COMMAND       the device's command, with {socket} where the socket's path goes
                         (default: scripts/vhost-user-crypto --socket-path={socket} --queues=1)
  --timeout-s=N          limit for one guest from start to end (default: 120)
  --corrupt=N            falsify the answer of check N: the run must fail
  --mirror=URL           Debian mirror, where the machine's apt sources name none
  --ubuntu-mirror=URL    Ubuntu mirror, for the kernel that comes from there
  --refresh              fetch kernels and QEMUs again
  --keep                 keep the temporary files
  --skip-if-unavailable  exit 0 when the guest cannot be had (no network, no QEMU); still says so
  --help                 this text

Packages are downloaded once into .cache/vm/, nothing is installed but gcc and the C library's headers where they are
missing. Exit code: 0 all passed, 1 something failed, 2 wrong command line.
`;

const STRINGS = [
  "device-model",
  "kernel",
  "qemu",
  "accel",
  "smp",
  "threads",
  "seed",
  "append",
  "properties",
  "device",
  "timeout-s",
  "corrupt",
  "handovers",
  "mirror",
  "ubuntu-mirror",
];
const BOOLEANS = ["showcase", "refresh", "keep", "skip-if-unavailable", "help"];

/** Parses the command line; undefined for `--help`. */
export function readOptions(args: string[]): Options | undefined {
  const given: Record<string, unknown> = parseArgs(args, {
    string: STRINGS,
    boolean: BOOLEANS,
    unknown: (arg: string) => {
      throw new UsageError(`Unknown argument ${arg}: see scripts/vm --help`);
    },
  });
  if (given["help"] === true) return undefined;
  const text = (name: string) => typeof given[name] === "string" ? given[name] as string : undefined;
  const device = text("device") ?? "scripts/vhost-user-crypto --socket-path={socket} --queues=1";
  if (!device.includes("{socket}")) throw new UsageError("--device must hold {socket} where the socket's path goes");
  const showcase = given["showcase"] === true;
  const guests = showcase
    ? readGuests(text("device-model") ?? "generic", text("qemu"), text("kernel") ?? "6.12")
    : readGuests(text("device-model") ?? "cryptodev,generic", text("qemu"), text("kernel"));
  if (showcase && guests.some(({ kernel }) => kernel === "6.1")) {
    throw new UsageError("--showcase asks for random numbers, at which Linux 6.1 fails in QEMU: give --kernel=6.12");
  }
  if (showcase && guests.some(({ deviceModel }) => deviceModel === "builtin")) {
    throw new UsageError("--showcase shows this device: give --device-model=cryptodev or --device-model=generic");
  }
  return {
    guests,
    showcase,
    accel: oneOf("accel", text("accel") ?? "tcg", ["tcg", "kvm"] as const),
    smp: integer("smp", text("smp"), { otherwise: 1, min: 1, max: 16 }),
    threads: integer("threads", text("threads"), { otherwise: 4, min: 1, max: 32 }),
    seed: integer("seed", text("seed"), { otherwise: 1, min: 0, max: Number.MAX_SAFE_INTEGER }),
    append: text("append") ?? "",
    properties: text("properties") ?? "",
    device: device.split(/\s+/).filter((word) => word !== ""),
    timeoutMs: 1000 * integer("timeout-s", text("timeout-s"), { otherwise: 120, min: 1, max: 3600 }),
    corrupt: integer("corrupt", text("corrupt"), { otherwise: 0, min: 0, max: 1_000_000 }),
    handovers: integer("handovers", text("handovers"), { otherwise: 0, min: 0, max: 100_000 }),
    mirror: text("mirror"),
    ubuntuMirror: text("ubuntu-mirror"),
    refresh: given["refresh"] === true,
    keep: given["keep"] === true,
    skipIfUnavailable: given["skip-if-unavailable"] === true,
  };
}

function readGuests(deviceModels: string, qemu: string | undefined, kernel: string | undefined): Guest[] {
  return deviceModels.split(",").map((name) => {
    const deviceModel = oneOf("device-model", name, ["cryptodev", "generic", "builtin"] as const);
    const guest = {
      deviceModel,
      qemu: oneOf("qemu", qemu ?? (deviceModel === "generic" ? "11.1" : "7.2"), Object.keys(QEMU_SUITES)),
      kernel: oneOf("kernel", kernel ?? (deviceModel === "generic" ? "6.12" : "6.1"), Object.keys(KERNEL_SUITES)),
    };
    if (deviceModel === "generic" && guest.qemu !== "11.1") {
      throw new UsageError(
        `QEMU ${guest.qemu} has no generic vhost-user device: give --device-model=cryptodev or --qemu=11.1`,
      );
    }
    return guest;
  });
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw new UsageError(`--${name} takes ${allowed.join(", ")}, not "${value}"`);
  return found;
}

/** The range of an option, and its value if it is not given. */
interface Limits {
  readonly otherwise: number;
  readonly min: number;
  readonly max: number;
}

function integer(name: string, text: string | undefined, { otherwise, min, max }: Limits): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text === "" || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}
