/**
 * Extracts the uncompressed ELF kernel from a Linux bzImage. QEMU starts it by the PVH entry point, which under TCG saves
 * the seconds that the kernel needs to unpack itself. Offsets are those of the x86 boot protocol's setup header
 * (Documentation/arch/x86/boot.rst).
 */
import { runOrThrow } from "./process.ts";

const SETUP_SECTORS_OFFSET = 0x1f1;
const HEADER_MAGIC_OFFSET = 0x202;
const HEADER_MAGIC = 0x53726448; // "HdrS"
const PAYLOAD_OFFSET_OFFSET = 0x248;
const PAYLOAD_LENGTH_OFFSET = 0x24c;

/** The compressed kernel in a bzImage and the program that unpacks it. */
export interface Payload {
  readonly bytes: Uint8Array;
  readonly tool: "xz" | "zstd" | "gzip" | "lz4";
}

const MAGICS: readonly (readonly [tool: Payload["tool"], bytes: readonly number[]])[] = [
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["gzip", [0x1f, 0x8b, 0x08]],
  ["lz4", [0x02, 0x21, 0x4c, 0x18]],
];

/** Finds the compressed kernel in a bzImage. */
export function findPayload(image: Uint8Array<ArrayBuffer>): Payload {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 0x250 || view.getUint32(HEADER_MAGIC_OFFSET, true) !== HEADER_MAGIC) {
    throw new Error("the kernel image has no setup header: it is not a bzImage");
  }
  // Zero means four sectors; the boot sector precedes them.
  const setupBytes = ((image[SETUP_SECTORS_OFFSET]! || 4) + 1) * 512;
  const start = setupBytes + view.getUint32(PAYLOAD_OFFSET_OFFSET, true);
  const length = view.getUint32(PAYLOAD_LENGTH_OFFSET, true);
  if (start + length > image.length) throw new Error("The kernel image is cut short");
  const found = MAGICS.find(([, magic]) => magic.every((byte, i) => image[start + i] === byte));
  if (found === undefined) throw new Error("The kernel image is compressed in a way that is not known here");
  const [tool] = found;
  // The build appends the unpacked size in four bytes, except to gzip, whose format ends with it.
  return { bytes: image.subarray(start, start + length - (tool === "gzip" ? 0 : 4)), tool };
}

/** Unpacks the kernel of the bzImage `from` into the ELF file `to`. */
export async function extractVmlinux(from: string, to: string): Promise<void> {
  const { bytes, tool } = findPayload(await Deno.readFile(from));
  const packed = `${to}.${tool}`;
  await Deno.writeFile(packed, bytes);
  await runOrThrow(["sh", "-c", 'exec "$1" -dc <"$2" >"$3"', "sh", tool, packed, to], { timeoutMs: 120_000 });
  await Deno.remove(packed);
  const head = (await Deno.readFile(to)).subarray(0, 4);
  if (head[0] !== 0x7f || head[1] !== 0x45) throw new Error(`The kernel of ${from} is not an ELF file`);
}
