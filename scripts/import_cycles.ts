/**
 * Finds files that import each other in a circle, with Tarjan's algorithm. Imports of types count as well: a reader has
 * to understand such files together.
 *
 * @module
 */

/** The files that each file imports. */
export type Imports = ReadonlyMap<string, readonly string[]>;

/** The search over one set of files. */
class Search {
  readonly #imports: Imports;
  /** By file, the order of the visit, and the earliest file on the path that can be reached. */
  readonly #order = new Map<string, number>();
  readonly #earliest = new Map<string, number>();
  readonly #path: string[] = [];
  readonly cycles: string[][] = [];

  constructor(imports: Imports) {
    this.#imports = imports;
  }

  visit(file: string): void {
    if (this.#order.has(file)) return;
    const order = this.#order.size;
    this.#order.set(file, order);
    this.#earliest.set(file, order);
    this.#path.push(file);
    for (const target of this.#imports.get(file) ?? []) {
      this.visit(target);
      if (!this.#path.includes(target)) continue;
      this.#earliest.set(file, Math.min(this.#earliest.get(file)!, this.#earliest.get(target)!));
    }
    if (this.#earliest.get(file) !== order) return;
    const component = this.#path.splice(this.#path.indexOf(file));
    if (component.length > 1) this.cycles.push(component.sort());
  }
}

/** Returns the groups of files that can reach each other through `imports`. */
export function importCycles(imports: Imports): string[][] {
  const search = new Search(imports);
  for (const file of imports.keys()) search.visit(file);
  return search.cycles;
}
