/**
 * The function `serve()`, which starts a device, for the program and for embedding. It is independent of the command
 * line, writes nothing to the console, and loads its modules when it is called, so that a missing library throws an
 * error that callers can handle.
 *
 * @module
 */
import type { VhostUserServer } from "../vhost_user/server.ts";
import { prepareDevice } from "./prepared_device.ts";
import type { ServedDevice, ServeOptions } from "./serve_options.ts";

function whereOf(
  { socketPath, socketMode, socketGroup, fd }: ServeOptions,
): ConstructorParameters<typeof VhostUserServer>[0]["socket"] {
  if ((socketPath === undefined) === (fd === undefined)) {
    throw new TypeError("a device has one socket: give either socketPath or fd");
  }
  if (socketPath === undefined) return { fd: fd! };
  return {
    path: socketPath,
    ...(socketMode === undefined ? {} : { mode: socketMode }),
    ...(socketGroup === undefined ? {} : { group: socketGroup }),
  };
}

/**
 * Starts a device. Throws {@linkcode LibraryMissingError} without OpenSSL, {@linkcode OpensslSettingsError} if its
 * settings cannot be applied, {@linkcode EngineModuleError} if an engine module cannot be used,
 * {@linkcode DescriptorLimitError} if the limit of open descriptors is too low, {@linkcode WorkerError} if a worker cannot
 * start (which also ends a running device), and {@linkcode ServerError} or {@linkcode SystemError} if the socket cannot
 * be created. After an error everything is released.
 */
export async function serve(options: ServeOptions): Promise<ServedDevice> {
  const socket = whereOf(options);
  const name = options.socketPath ?? `descriptor ${options.fd}`;
  return (await prepareDevice(options)).serve(name, socket);
}
