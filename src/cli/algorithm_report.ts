/**
 * Formats the list of algorithms as text and as JSON. Pure functions.
 *
 * @module
 */
import type { AlgorithmList, ListedAlgorithm, ListedLibrary, Range, ServiceName } from "./algorithm_list.ts";

const NAME_COLUMN = 5;
const LENGTHS_COLUMN = 29;
const LIBRARY_COLUMN = 49;

function rangesText(ranges: readonly Range[]): string {
  return ranges.map(({ min, max }) => min === max ? String(min) : `${min} to ${max}`).join(", ");
}

function curvesText(curves: readonly string[]): string {
  return curves.length < 2 ? curves[0] ?? "no curve" : `${curves[0]} to ${curves.at(-1)}`;
}

/** The middle column: lengths of keys, of digests if there are no keys, or curves. */
function lengthsText(algorithm: ListedAlgorithm): string {
  const { keyBytes, keyBits, verifyKeyBits, curves, verifyCurves, digestBytes } = algorithm;
  if (keyBytes !== undefined) return rangesText(keyBytes);
  if (keyBits !== undefined) {
    return `${rangesText(keyBits)} bits${verifyKeyBits === undefined ? "" : `; verify ${rangesText(verifyKeyBits)}`}`;
  }
  if (curves !== undefined) {
    return curvesText(curves) + (verifyCurves === undefined ? "" : `; verify ${curvesText(verifyCurves)}`);
  }
  if (digestBytes !== undefined) return digestBytes === 0 ? "any" : String(digestBytes);
  return "-";
}

function libraryText({ library, bursts, reason }: ListedAlgorithm): string {
  if (library === undefined) return `not served: ${reason}`;
  if (bursts === undefined) return library;
  return bursts === library ? `${library}, also multi-buffer` : `${library}; ${bursts} multi-buffer`;
}

/** Places each text at its column, after at least one space. */
function columns(...cells: readonly (readonly [column: number, text: string])[]): string {
  return cells.reduce(
    (line, [column, text]) => line.padEnd(line === "" ? column : Math.max(column, line.length + 1)) + text,
    "",
  );
}

function algorithmRow(algorithm: ListedAlgorithm): string {
  const { number, name } = algorithm;
  return columns(
    [1, String(number).padStart(3)],
    [NAME_COLUMN, name],
    [LENGTHS_COLUMN, lengthsText(algorithm)],
    [LIBRARY_COLUMN, libraryText(algorithm)],
  );
}

function libraryRow({ name, version, problem }: ListedLibrary): string {
  return columns([0, name], [12, [version, problem && `not used: ${problem}`].filter(Boolean).join(", ")]);
}

/** The headings of a service and of its lengths. */
const TITLES: Readonly<Record<ServiceName, readonly [title: string, lengths: string]>> = {
  cipher: ["CIPHER", "bytes of key"],
  hash: ["HASH", "bytes of digest"],
  mac: ["MAC", "bytes of key"],
  aead: ["AEAD", "bytes of key"],
  akcipher: ["AKCIPHER", "keys"],
};

function serviceText(service: ServiceName, list: AlgorithmList): string {
  const rows = list.algorithms.filter((algorithm) => algorithm.service === service);
  const [title, lengths] = TITLES[service];
  const heading = service === "akcipher" ? `${title} (${list.asymmetric})` : title;
  const columnHeads = columns([0, heading], [LENGTHS_COLUMN, lengths], [LIBRARY_COLUMN, "served by"]);
  return [columnHeads, ...rows.map(algorithmRow)].join("\n");
}

/** The list as a text table. */
export function algorithmsText(list: AlgorithmList): string {
  const served = list.algorithms.filter(({ library }) => library !== undefined).length;
  return [
    [...list.libraries.map(libraryRow), ...(list.fips === undefined ? [] : [columns([0, "fips"], [12, list.fips])])]
      .join("\n"),
    ...(Object.keys(TITLES) as ServiceName[]).map((service) => serviceText(service, list)),
    `${served} of ${list.algorithms.length} algorithms are served. Chains are any cipher with any hash or MAC.`,
  ].join("\n\n");
}

/** The list as JSON; absent values are null. */
export function algorithmsJson({ libraries, fips, asymmetric, algorithms }: AlgorithmList): string {
  return JSON.stringify(
    {
      libraries: libraries.map(({ name, version = null, problem = null }) => ({ name, version, problem })),
      fips: fips ?? null,
      asymmetric,
      algorithms: algorithms.map((algorithm) => ({
        service: algorithm.service,
        number: algorithm.number,
        name: algorithm.name,
        served: algorithm.library !== undefined,
        keyBytes: algorithm.keyBytes ?? null,
        digestBytes: algorithm.digestBytes ?? null,
        keyBits: algorithm.keyBits ?? null,
        verifyKeyBits: algorithm.verifyKeyBits ?? null,
        curves: algorithm.curves ?? null,
        verifyCurves: algorithm.verifyCurves ?? null,
        library: algorithm.library ?? null,
        bursts: algorithm.bursts ?? null,
        reason: algorithm.reason ?? null,
      })),
    },
    null,
    2,
  );
}
