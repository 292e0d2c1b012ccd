/**
 * QEMU's command line, by device model. An unpacked QEMU runs with the dynamic linker and the libraries of its packages,
 * so it is independent of the machine.
 */
import type { Guest, Options } from "./options.ts";
import { UnavailableError } from "./apt.ts";
import { CommandError, runOrThrow } from "./process.ts";

const MEMORY = "512M";
const LIBRARY_FOLDERS = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/** The command that starts an unpacked QEMU. */
export interface Qemu {
  readonly command: readonly string[];
  readonly env: Record<string, string>;
  /** The version that it reports, such as "7.2.22". */
  readonly version: string;
}

/** The files that a guest reads and writes. */
export interface GuestFiles {
  readonly vmlinux: string;
  readonly initramfs: string;
  readonly console: string;
  readonly results: string;
  readonly socket: string;
}

/** Finds the command for the QEMU in `directory`, and checks that it starts. */
export async function openQemu(directory: string): Promise<Qemu> {
  const linker = await firstFile(LIBRARY_FOLDERS.map((folder) => `${directory}/${folder}/ld-linux-x86-64.so.2`));
  const libraries = LIBRARY_FOLDERS.map((folder) => `${directory}/${folder}`);
  const command = [
    linker,
    "--library-path",
    libraries.join(":"),
    `${directory}/usr/bin/qemu-system-x86_64`,
    "-L",
    `${directory}/usr/share/qemu`,
    "-L",
    `${directory}/usr/share/seabios`,
  ];
  const env = { QEMU_MODULE_DIR: `${directory}/usr/lib/x86_64-linux-gnu/qemu` };
  try {
    const text = await runOrThrow([...command, "--version"], { env, timeoutMs: 20_000 });
    return { command, env, version: /version (\S+)/.exec(text)?.[1] ?? "of unknown version" };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new UnavailableError(`QEMU does not run on this machine: ${error.message}`);
  }
}

async function firstFile(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  throw new Error(`None of ${paths.join(", ")} is there: remove .cache/vm and try again`);
}

/**
 * The arguments for one guest. Its second serial port is the file `files.results`, or, in a dialogue, a socket on which
 * the host answers.
 */
export function guestArguments(
  guest: Guest,
  options: Options,
  files: GuestFiles,
  form: "report" | "dialogue" = "report",
): string[] {
  return [
    ["-machine", "q35,memory-backend=mem"],
    ["-accel", options.accel === "tcg" ? "tcg,thread=multi" : "kvm"],
    ["-cpu", "max", "-smp", String(options.smp), "-m", MEMORY],
    ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    // Without share=on the handshake succeeds, but the device cannot access the guest's memory.
    ["-object", `memory-backend-memfd,id=mem,size=${MEMORY},share=on`],
    ["-serial", `file:${files.console}`],
    form === "report"
      ? ["-serial", `file:${files.results}`]
      : ["-chardev", `socket,id=words,path=${files.results},server=on,wait=off`, "-serial", "chardev:words"],
    ["-kernel", files.vmlinux, "-initrd", files.initramfs],
    ["-append", `console=ttyS0 loglevel=5 panic=-1 mitigations=off ${options.append}`.trim()],
    deviceModelArguments(guest, options.properties, files.socket),
  ].flat();
}

function deviceModelArguments(guest: Guest, properties: string, socket: string): string[] {
  const more = properties === "" ? "" : `,${properties}`;
  const chardev = ["-chardev", `socket,id=crypto,path=${socket}`];
  if (guest.deviceModel === "generic") {
    // One data queue and the control queue; 56 bytes of configuration space are all that the specification defines.
    const device = "vhost-user-test-device-pci,chardev=crypto,virtio-id=20,num_vqs=2,vq_size=1024,config_size=56";
    return [...chardev, "-device", device + more];
  }
  // QEMU 7.2 without KVM crashes when a guest masks an MSI-X vector of a vhost-user device: interrupts by INTx there.
  const vectors = guest.qemu === "7.2" ? ",vectors=0" : "";
  const device = ["-device", `virtio-crypto-pci,cryptodev=cd${vectors}${more}`];
  if (guest.deviceModel === "builtin") return ["-object", "cryptodev-backend-builtin,id=cd", ...device];
  return [...chardev, "-object", "cryptodev-vhost-user,id=cd,chardev=crypto", ...device];
}
