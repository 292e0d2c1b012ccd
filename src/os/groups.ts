/**
 * Groups of users, by the names that this host has for them.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";

/** In struct group, after two pointers. */
const GID_OFFSET = 16;

/** The id of the group `name`, from wherever this host keeps its groups; undefined: there is no such group. */
export function groupId(name: string): number | undefined {
  const address = libc.getgrnam(new TextEncoder().encode(`${name}\0`));
  if (address === 0n) return undefined;
  return new Deno.UnsafePointerView(Deno.UnsafePointer.create(address)!).getUint32(GID_OFFSET);
}
