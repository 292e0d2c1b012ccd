/**
 * Finds and opens native libraries. Owns the search and the error about a missing library.
 *
 * @module
 */

import { adviceFor, type PackagedLibrary } from "./packages.ts";

/** File names of a native library, and its packages. */
export interface LibrarySpec {
  /** The library's name in errors, for example "OpenSSL's libcrypto". */
  readonly name: string;
  /** File names or paths to try, the preferred one first. */
  readonly candidates: readonly string[];
  /** Its entry in the list of packages. */
  readonly library: PackagedLibrary;
  /** File names of versions that are too old, which are named in the error if one of them exists. */
  readonly tooOld?: readonly string[];
}

/** No candidate of a native library can be opened. The message names the package to install. */
export class LibraryMissingError extends Error {
  /** The class's name. */
  override readonly name = "LibraryMissingError";
  /** The missing library. */
  readonly spec: LibrarySpec;
  /** The reason why the last candidate could not be opened. */
  readonly reason: string;

  /** Makes the error for `spec` with the `reason` of the last candidate's failure. */
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
