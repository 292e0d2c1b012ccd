/**
 * Finding and opening native libraries. Owns the search and the error that a person reads when a library is missing;
 * never holds logic of a library itself.
 *
 * @module
 */

import { adviceFor, type PackagedLibrary } from "./packages.ts";

/** How a native library is found, and which package brings it. */
export interface LibrarySpec {
  /** What people call the library, as in "OpenSSL's libcrypto". */
  readonly name: string;
  /** File names or paths to try, the preferred one first. */
  readonly candidates: readonly string[];
  /** What its packages are listed as. */
  readonly library: PackagedLibrary;
  /** File names of versions that are too old, to say so where one of them is there. */
  readonly tooOld?: readonly string[];
}

/** A native library that none of its candidate names opens. The message says which package to install. */
export class LibraryMissingError extends Error {
  /** The class's name. */
  override readonly name = "LibraryMissingError";
  /** What was looked for. */
  readonly spec: LibrarySpec;
  /** Why the last candidate could not be opened. */
  readonly reason: string;

  /** Tells `spec` and the `reason` of the last candidate's failure. */
  constructor(spec: LibrarySpec, reason: string) {
    super(
      `${spec.name} cannot be opened (tried ${spec.candidates.join(", ")}): ${adviceFor(spec.library)}, ` +
        `and allow FFI with --allow-ffi (${reason})`,
    );
    this.spec = spec;
    this.reason = reason;
  }
}

/** A library that has been opened, and the one of its candidate names that opened it. */
export interface OpenedLibrary<Symbols extends Deno.ForeignLibraryInterface> {
  readonly library: Deno.DynamicLibrary<Symbols>;
  readonly candidate: string;
}

/** Opens the first candidate of `spec` that has all `symbols`; throws {@linkcode LibraryMissingError} if none has. */
export function openCandidate<Symbols extends Deno.ForeignLibraryInterface>(
  spec: LibrarySpec,
  symbols: Symbols,
): OpenedLibrary<Symbols> {
  let reason = "no candidate names";
  for (const candidate of spec.candidates) {
    try {
      return { library: Deno.dlopen(candidate, symbols), candidate };
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
  }
  const old = spec.tooOld?.find(canOpen);
  throw new LibraryMissingError(spec, old === undefined ? reason : `${old} is here, which is too old`);
}

function canOpen(candidate: string): boolean {
  try {
    Deno.dlopen(candidate, {}).close();
    return true;
  } catch {
    return false;
  }
}

/** The same where the name does not matter. */
export function openLibrary<Symbols extends Deno.ForeignLibraryInterface>(
  spec: LibrarySpec,
  symbols: Symbols,
): Deno.DynamicLibrary<Symbols> {
  return openCandidate(spec, symbols).library;
}
