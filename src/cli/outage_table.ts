/**
 * The effects on a guest when its device goes away, by VMM and device model, as observed with Linux guests. Data for the
 * documentation and the manual page.
 *
 * @module
 */

/** One row. */
export interface OutageRow {
  /** The event that affects the device. */
  readonly event: string;
  /** The VMM and its device model. */
  readonly vmm: string;
  /** The effect on the guest. */
  readonly effect: string;
  /** The way to get the device back. */
  readonly remedy: string;
}

const GONE = "stopped, killed or crashed";
const AGAIN = "started again, on the same socket";

/** The table. Each row was observed, except those marked as not tried. */
export const OUTAGES: readonly OutageRow[] = [
  {
    event: GONE,
    vmm: "every QEMU, cryptodev and generic",
    effect: "requests in flight and later ones are not answered, and no error tells the guest so",
    remedy: "the next rows",
  },
  {
    event: AGAIN,
    vmm: "QEMU 10.0 and 11.1, cryptodev, its chardev with reconnect-ms",
    effect: "QEMU connects again, but sends neither memory nor rings, and sessions are gone: requests stay unanswered",
    remedy: "unbinding and binding the guest's driver, or a reset of the guest",
  },
  {
    event: AGAIN,
    vmm: "QEMU 7.2, cryptodev, its chardev with reconnect",
    effect: "the same; QEMU crashes when the driver is bound again or the guest is reset",
    remedy: "a new start of the virtual machine",
  },
  {
    event: AGAIN,
    vmm: "QEMU, cryptodev, no reconnect",
    effect: "requests stay unanswered; after a reset of the guest it has no device",
    remedy: "a new start of the virtual machine",
  },
  {
    event: AGAIN,
    vmm: "QEMU 11.1, generic",
    effect:
      "requests stay unanswered; QEMU aborts when the guest reads the configuration: at a reset, or when its driver " +
      "is bound again. A chardev with reconnect-ms does not start, one with server=on aborts at a second connection",
    remedy: "a new start of the virtual machine",
  },
  {
    event: "handed over (systemctl reload, --take-over)",
    vmm: "QEMU 7.2, cryptodev; QEMU 11.1, generic",
    effect: "a pause only: under AF_ALG and RSA load no request failed or had a wrong result",
    remedy: "not needed",
  },
  {
    event: "killed or crashed, and started again from the state that --keep-state=systemd has kept",
    vmm: "this project's driver as VMM and guest",
    effect: "a pause only; requests in place that were in flight fail",
    remedy: "not needed",
  },
  { event: "any of these", vmm: "Cloud Hypervisor", effect: "not tried", remedy: "not known" },
];

/** The advice after the table. */
export const OUTAGE_ADVICE =
  "Do not stop a device under a running guest: hand it over, or end the virtual machine first.";
