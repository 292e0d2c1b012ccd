/**
 * The asymmetric service of the RFC v3.
 *
 * @module
 */
import { Rfc3Dh } from "./dh_operations.ts";
import { Rfc3Dsa } from "./dsa_operations.ts";
import { Rfc3Ecdh, Rfc3Ecdsa } from "./ec_operations.ts";
import type { Run } from "./operation.ts";
import { Rfc3Rsa } from "./rsa_operations.ts";

/**
 * The operations of the asymmetric RFC v3, by algorithm; `config.asymAlgo` lists those that the device offers. All
 * methods throw {@linkcode RequestError} if a parameter is missing and resolve with the device's status otherwise;
 * {@linkcode expectOk} throws if it is not STATUS_OK. Numbers are big-endian.
 */
export class Rfc3Service {
  /** Sign, verify, encrypt, decrypt, generate keys. */
  readonly rsa: Rfc3Rsa;
  /** Sign, verify, generate keys and groups. */
  readonly dsa: Rfc3Dsa;
  /** Generate groups and keys, compute shared secrets. */
  readonly dh: Rfc3Dh;
  /** Sign, verify, generate keys. */
  readonly ecdsa: Rfc3Ecdsa;
  /** Generate keys, compute shared secrets. */
  readonly ecdh: Rfc3Ecdh;

  /** Made by the driver, which submits what `run` is given. */
  constructor(run: Run) {
    this.rsa = new Rfc3Rsa(run);
    this.dsa = new Rfc3Dsa(run);
    this.dh = new Rfc3Dh(run);
    this.ecdsa = new Rfc3Ecdsa(run);
    this.ecdh = new Rfc3Ecdh(run);
  }
}
