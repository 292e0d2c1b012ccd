/**
 * How many file descriptors a worker takes. The runtime cannot start an isolate without them: it ends the process.
 *
 * @module
 */

/**
 * Of a worker, at most: two eventfds and an epoll set; what the runtime opens for an isolate (Deno 2.9: an epoll set and
 * its copy, an eventfd, a socket, copies of standard output and standard error); and files while it is loaded.
 */
export const WORKER_FDS = 12;
